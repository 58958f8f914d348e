"""What stands in a report, and what is left out."""

from __future__ import annotations

import math
import re
import statistics

import pytest
from sample import failed_record, record, sample, small_sample

from slipstream.report import (
    Comparison,
    Interval,
    ReportInput,
    Side,
    Stage,
    ablation_row_of,
    comparison_of,
    render,
)
from slipstream.report import _charts as charts
from slipstream.report import _facts as facts
from slipstream.report import _ran as ran
from slipstream.verdict import AblationRow, compare

SECTIONS = (
    "curves",
    "comparison",
    "ablation",
    "runtime",
    "cost",
    "pareto",
    "trials",
    "plan",
    "notes",
    "environment",
    "reproduce",
)


def body_of(content: ReportInput) -> str:
    html = render(content)
    return html[html.index("<body>") : html.index('<script type="application/json"')]


def text_of(content: ReportInput) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", body_of(content)).split())


def sections_of(content: ReportInput) -> list[str]:
    return re.findall(r'<section id="(\w+)">', body_of(content))


def test_sections_stand_in_order_and_the_verdict_first():
    body = body_of(sample())
    assert tuple(sections_of(sample())) == SECTIONS
    assert body.index("<h1") < body.index('<section id="curves">')
    assert sample().verdict[0] in re.sub(r"<[^>]*>", "", body)


def test_everything_given_is_shown():
    content = sample()
    text = text_of(content)
    wanted = [
        *(side.label for side in content.sides),
        *(text for side in content.sides for run in side.records for text in run.notes),
        *(text for side in content.sides for run in side.records for text in run.applied.values()),
        *(row.technique for row in content.ablation),
        *(row.failure for row in content.ablation),
        *(row.detail for row in content.runtime),
        *(stage.result for stage in content.stages),
        *(trial.parameters for trial in content.trials),
        *(change.key for change in content.changes),
        *content.machine.values(),
        *content.versions.values(),
        *content.reproduce,
        *(notice.text for notice in content.notices),
        content.written_at,
        content.version,
        "4 min 31 s",
    ]
    assert [one for one in wanted if " ".join(one.split()) not in text] == []


@pytest.mark.parametrize("name", ["ablation", "runtime", "trials", "plan", "reproduce"])
def test_what_is_empty_is_left_out(name):
    content = sample()
    empty = type(getattr(content, name))()
    changes = {name: empty, "changes": ()} if name == "plan" else {name: empty}
    assert name not in sections_of(ReportInput(**{**vars(content), **changes}))


def test_nothing_at_all_makes_a_page():
    assert sections_of(ReportInput()) == []
    assert "No run has been recorded yet." in text_of(ReportInput())


def test_one_run_tells_its_own_headline():
    run = record(ceiling=0.985)
    content = ReportInput(sides=(Side(label="digits", role="run", records=(run,)),))
    text = text_of(content)
    assert f"val_accuracy {run.best_value:.4f} after" in text
    assert "the target 0.97 was met after" in text
    assert sections_of(content) == ["curves", "comparison"]
    assert "The run" in text
    assert "The comparison" not in text


def test_a_run_that_missed_the_target_says_so():
    run = record(ceiling=0.5)
    content = ReportInput(sides=(Side(label="digits", role="run", records=(run,)),))
    assert "the target 0.97 was not reached." in text_of(content)


def test_failed_runs_are_shown_with_their_reason():
    content = ReportInput(sides=(Side(label="broken", role="run", records=(failed_record(),)),))
    assert "The loss became NaN at update 180." in text_of(content)
    assert "1 failed" in text_of(content)


def test_what_was_applied_and_what_was_left_out_stands_once_for_each_side():
    runs = [record(seed) for seed in range(3)]
    runs[1] = runs[1].model_copy(update={"notes": [*runs[1].notes, "<b>one</b> only"]})
    content = ReportInput(sides=(Side(label="digits", role="run", records=tuple(runs)),))
    lines = ran.lines_of([(0, content.sides[0])])
    assert [(line.key, line.text, line.share) for line in lines] == [
        ("runtime.lowering", runs[0].applied["runtime.lowering"], ""),
        ("", runs[0].notes[0], ""),
        ("", "<b>one</b> only", "1 of 3 runs"),
    ]
    assert text_of(content).count("Left to Keras: layer") == 1
    bare = [run.model_copy(update={"notes": [], "applied": {}}) for run in runs]
    silent = ReportInput(sides=(Side(label="digits", role="run", records=tuple(bare)),))
    assert "What was done of the plan" not in text_of(silent)


@pytest.mark.parametrize(
    ("trainings", "words"),
    [
        (6.2, "paid for itself after 7 trainings."),
        (1.0, "paid for itself after 1 training."),
        (math.inf, "does not pay for itself"),
    ],
)
def test_payback(trainings, words):
    stages = (Stage(name="Learn", seconds=90.0),)
    text = text_of(ReportInput(stages=stages, payback_trainings=trainings))
    assert "paid for itself" not in text_of(ReportInput(stages=stages))
    assert "pay for itself" not in text_of(ReportInput(stages=stages))
    assert words in text
    assert "The search took 1 min 30 s." in text


def test_medians_count_runs_that_never_came_as_infinite():
    side = Side(label="a", role="baseline", records=(record(ceiling=0.99), record(ceiling=0.5)))
    question = facts.question_of(ReportInput(sides=(side,)))
    [row] = [
        row for row in facts.rows_of([side], question) if row.name.startswith("Time to target")
    ]
    assert row.cells == (("never", "1 of 2 runs"),)


def test_catching_up_is_measured_against_the_tuned_baseline():
    contestants = sample().sides
    tuned, winner = contestants[1], contestants[2]
    goal = statistics.median(run.best_value for run in tuned.records)
    wanted = statistics.median(run.seconds_to(goal) for run in winner.records)
    question = facts.question_of(sample())
    rows = {row.name: row.cells for row in facts.rows_of(contestants, question)}
    name = f"Time to what “{tuned.label}” reaches ({goal:.4f})"
    assert rows[name][2][0] == f"{wanted:.1f} s"


def test_what_the_winner_reaches_in_the_baselines_time():
    contestants = sample().sides
    tuned, winner = contestants[1], contestants[2]
    seconds = statistics.median(run.seconds_to(run.best_value) for run in tuned.records)
    reached = statistics.median(run.best_within(seconds) for run in winner.records)
    sentence = facts.in_baselines_time(contestants, facts.question_of(sample()))[1]
    assert f"In the {seconds:.1f} s that “{tuned.label}”" in sentence
    assert sentence.endswith(f"reaches {reached:.4f}.")


def test_jitter_of_a_known_loss():
    run = record(epochs=8)
    losses = [9, 9, 9, 9, 1.0, 2.0, 1.0, 2.0]
    points = [
        point.model_copy(update={"values": {"val_loss": loss}})
        for point, loss in zip(run.points, losses, strict=True)
    ]
    assert facts.jitter(run.model_copy(update={"points": points})) == pytest.approx(1.0 / 1.5)
    assert facts.jitter(run.model_copy(update={"points": points[:2]})) is None


def test_values_that_are_no_numbers_become_gaps():
    run = record(epochs=3)
    values = [{"val_accuracy": math.nan}, {"val_accuracy": math.inf}, {"val_accuracy": 0.5}]
    points = [
        point.model_copy(update={"values": value})
        for point, value in zip(run.points, values, strict=True)
    ]
    side = Side(label="a", role="run", records=(run.model_copy(update={"points": points}),))
    drawn = charts.curves([side], facts.question_of(ReportInput(sides=(side,))))
    assert drawn["sides"][0]["runs"][0]["y"] == [[None, None, 0.5]]
    render(ReportInput(sides=(side,)))


def test_long_runs_are_thinned_but_keep_their_end_and_the_target():
    run = record(epochs=3000, rate=0.004, ceiling=0.99)
    side = Side(label="a", role="run", records=(run,))
    question = facts.question_of(ReportInput(sides=(side,)))
    drawn = charts.curves([side], question)
    shown = drawn["sides"][0]["runs"][0]
    assert len(shown["x"]) <= charts.MOST_POINTS + 2
    assert shown["x"][-1] == pytest.approx(run.points[-1].seconds / 60, rel=1e-5)
    assert shown["hit"][0] in shown["x"]


def test_each_side_keeps_its_colour_whoever_is_missing():
    contestants = sample().sides
    assert [slot for slot, _ in charts.enumerate_slots(contestants)] == [0, 1, 2]
    assert [slot for slot, _ in charts.enumerate_slots(contestants[1:])] == [1, 2]
    more = [Side(label=str(number), role="baseline") for number in range(9)]
    slots = [slot for slot, _ in charts.enumerate_slots(more)]
    assert slots[:4] == [0, 3, 4, 5]
    assert max(slots) == charts.NUM_SLOTS - 1


def test_a_verdict_becomes_a_row():
    contestants = sample().sides
    verdict = compare(contestants[2].records, contestants[1].records, target=0.97)
    row = comparison_of("tuned", verdict)
    assert row.speedup == Interval(verdict.ratio, verdict.low, verdict.high)
    assert row.quality_metric == f"test {verdict.quality.name}"
    assert verdict.sentence() in row.sentence
    both = AblationRow(technique="ema", direction="put_alone", together=("swa",), verdict=verdict)
    alone = ablation_row_of(both)
    assert alone.speedup == row.speedup
    assert alone.note == "together with swa"


@pytest.mark.parametrize(("mode", "standing"), [("min", "better"), ("max", "worse")])
def test_less_loss_is_better(mode, standing):
    row = Comparison(
        against="baseline",
        quality=Interval(-0.2, -0.3, -0.1),
        quality_metric="test loss",
        quality_mode=mode,
    )
    content = ReportInput(**{**vars(small_sample()), "comparisons": (row,)})
    comparison = re.search(r'<section id="comparison">.*?</table>', body_of(content), re.DOTALL)
    assert re.findall(r'class="whisker (\w+)"', comparison.group()) == [standing]
