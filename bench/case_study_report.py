"""The report of the case study: tables with intervals, and curves, in one HTML file."""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from case_study_side import OPTIMISATIONS, Run
from slipstream.verdict import Pair, Rules, Verdict, judge, paired_interval

TITLES = {
    "baseline": "baseline: plain SGD at Keras' rate",
    "tuned": "plain SGD at its best rate",
    "all": "everything put in",
}
PUBLISHED = (
    "The published case: 7.9 % less time in all, 17 % fewer parameters, the accuracy of epoch 16 "
    "reached at epoch 10; one run each."
)
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em;
  color: #1a1a1a; background: #fff }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums }
th, td { padding: .3em .8em; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
.note { color: #555 }
"""


@dataclass(frozen=True)
class Row:
    """One side of the study: means over its seeds, and how it differs from the baseline."""

    name: str
    cells: tuple[str, ...]


HEAD = (
    "", "time in all, s", "to the baseline's best, s", "epochs to it", "training loss",
    "training accuracy", "validation accuracy at the end", "test accuracy", "parameters",
    "unrest of the validation loss",
)  # fmt: skip
ABLATION_HEAD = ("optimisation", "what", "put in alone", "quality", "taken out of all", "quality")


def write_report(file: Path, runs: Mapping[str, Sequence[Run]], size: Mapping[str, int]) -> str:
    """Write the report; return its tables as text."""
    targets = [max(run.val_accuracy) for run in runs["baseline"]]
    main = {name: raced(runs["all"], runs[name], targets) for name in ("baseline", "tuned")}
    said = [claim(name, verdict, runs) for name, verdict in main.items()]
    rows = [row(TITLES[name], runs[name], targets) for name in TITLES]
    others = [
        row(f"{how} {name}", runs[f"{key}_{name}"], targets)
        for key, how in (("with", "baseline with"), ("without", "everything without"))
        for name in OPTIMISATIONS
    ]
    ablation = ablation_rows(runs, targets)
    text = "\n".join([*said, "", table_text(HEAD, [*rows, *others]), "", *ablation_text(ablation)])
    page = [
        *(f"<p><b>{html.escape(sentence)}</b></p>" for sentence in said),
        f"<p class=note>{html.escape(PUBLISHED)}</p>",
        "<h2>The sides</h2>",
        f"<p class=note>{html.escape(how_measured(runs, size))}</p>",
        table_html(HEAD, rows),
        *charts(runs),
        "<h2>Each optimisation, put in and taken out</h2>",
        "<p class=note>Above 1 the optimisation helps, in both directions. Time is that to the "
        "baseline's best validation accuracy in the same seed; a run that never gets there took "
        "longer than it was watched. Intervals hold together with 95 %.</p>",
        table_html(ABLATION_HEAD, ablation),
        "<h2>All sides</h2>",
        table_html(HEAD, [*rows, *others]),
    ]
    title = "Fashion-MNIST from JPEG files: a study of a training's runtime"
    file.write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<style>{STYLE}</style><h1>{title}</h1>{''.join(page)}</html>",
        encoding="utf-8",
    )
    return f"{text}\n\nReport: {file}"


def raced(
    candidate: Sequence[Run], baseline: Sequence[Run], targets: Sequence[float], count: int = 1
) -> Verdict:
    """Return the verdict on the time to each seed's target; the quality is that at the end."""
    pairs = [
        Pair(
            seed=mine.seed,
            baseline_seconds=seconds_to(other, target),
            candidate_seconds=seconds_to(mine, target),
            baseline_clock_seconds=other.seconds[-1],
            candidate_clock_seconds=mine.seconds[-1],
            baseline_test=other.test_accuracy,
            candidate_test=mine.test_accuracy,
        )
        for mine, other, target in zip(candidate, baseline, targets, strict=True)
    ]
    mean = sum(targets) / len(targets)
    rules = Rules(monitor="val_accuracy", mode="max", target=mean, num_comparisons=count)
    return judge(pairs, rules)


def claim(name: str, verdict: Verdict, runs: Mapping[str, Sequence[Run]]) -> str:
    """Return what the whole is worth against a baseline, in one sentence."""
    text = f"Against {TITLES[name]}: "
    if verdict.ratio is not None:
        less = [100 * (1 - 1 / value) if value else -math.inf for value in
                (verdict.ratio, verdict.low, verdict.high)]  # fmt: skip
        text += (
            f"{less[0]:.1f} % less time to the baseline's best accuracy "
            f"(95 % interval {less[1]:.1f} to {less[2]:.1f} %); "
        )
    parameters = 100 * (1 - runs["all"][0].parameters / runs[name][0].parameters)
    return f"{text}{verdict.sentence()}; {parameters:.0f} % fewer parameters."


def row(name: str, runs: Sequence[Run], targets: Sequence[float]) -> Row:
    """Return what is shown of a side: means over the seeds, with half-widths of intervals."""
    pairs = list(zip(runs, targets, strict=True))
    return Row(
        name,
        (
            spread([run.seconds[-1] for run in runs], "{:.1f}"),
            spread([seconds_to(run, target) for run, target in pairs], "{:.1f}"),
            spread([epochs_to(run, target) for run, target in pairs], "{:.1f}"),
            spread([run.loss[-1] for run in runs], "{:.3f}"),
            spread([run.accuracy[-1] for run in runs], "{:.4f}"),
            spread([run.val_accuracy[-1] for run in runs], "{:.4f}"),
            spread([run.test_accuracy for run in runs], "{:.4f}"),
            f"{runs[0].parameters:,}",
            spread([unrest(run) for run in runs], "{:.3f}"),
        ),
    )


def ablation_rows(runs: Mapping[str, Sequence[Run]], targets: Sequence[float]) -> list[Row]:
    """Return a row for each optimisation, corrected for the number of comparisons."""
    count = 2 * len(OPTIMISATIONS)
    found = []
    for name, (words, _) in OPTIMISATIONS.items():
        alone = raced(runs[f"with_{name}"], runs["baseline"], targets, count)
        whole = raced(runs["all"], runs[f"without_{name}"], targets, count)
        cells = (words, times(alone), quality(alone), times(whole), quality(whole))
        found.append(Row(name, cells))
    return found


def seconds_to(run: Run, target: float) -> float:
    """Return the seconds at which a run first reached a validation accuracy, or infinity."""
    pairs = zip(run.seconds, run.val_accuracy, strict=True)
    return next((seconds for seconds, value in pairs if value >= target), math.inf)


def epochs_to(run: Run, target: float) -> float:
    """Return the epoch, from 1, in which a run first reached it, or infinity."""
    found = (epoch for epoch, value in enumerate(run.val_accuracy, 1) if value >= target)
    return next(found, math.inf)


def unrest(run: Run) -> float:
    """Return the mean step of the validation loss over its mean, in the second half of a run."""
    half = run.val_loss[len(run.val_loss) // 2 :]
    steps = [abs(b - a) for a, b in itertools.pairwise(half)]
    return sum(steps) / max(1, len(steps)) / (sum(half) / len(half))


def spread(values: Sequence[float], form: str) -> str:
    """Return a mean with the half-width of its 95 % interval; how many never got there."""
    missed = sum(math.isinf(value) for value in values)
    if missed:
        return f"missed in {missed} of {len(values)}"
    interval = paired_interval(values, [0.0] * len(values))
    return f"{form.format(interval.mean)} ± {form.format(interval.high - interval.mean)}"


def times(verdict: Verdict) -> str:
    """Return a ratio of times with its interval and the verdict's word."""
    if verdict.ratio is None:
        return "undecided: neither got there"
    bound = "" if verdict.bound == "exact" else verdict.bound.replace("_", " ") + " "
    high = "∞" if math.isinf(verdict.high) else f"{verdict.high:.2f}"
    word = verdict.outcome.replace("_", " ")
    return f"{bound}{verdict.ratio:.2f}x ({verdict.low:.2f} to {high}), {word}"


def quality(verdict: Verdict) -> str:
    """Return the difference in test accuracy, in percentage points."""
    found = verdict.quality
    assert found is not None
    low, mean, high = (100 * value for value in (found.low, found.difference, found.high))
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


def how_measured(runs: Mapping[str, Sequence[Run]], size: Mapping[str, int]) -> str:
    """Return what was trained on what, in a few sentences."""
    here = runs["baseline"][0].environment
    versions = here["versions"]
    return (
        f"{size['num_train']:,} JPEG files to train on, {size['num_validation']:,} for validation, "
        f"{size['num_test']:,} for the test, {size['epochs']} epochs, {size['num_seeds']} seeds, "
        f"interleaved, each run in a process of its own; means with 95 % intervals. "
        f"{here['machine']['processor']}, {here['machine']['logical_cores']} cores; keras "
        f"{versions['keras']}, tensorflow {versions.get('tensorflow')}, torch "
        f"{versions.get('torch')}. Validation accuracy is that of the last epoch's weights. Unrest "
        "is the mean step of the validation loss from one epoch to the next, over its mean, in "
        "the second half of the run."
    )


def charts(runs: Mapping[str, Sequence[Run]]) -> list[str]:
    """Return the curves of the three main sides, as HTML."""
    wanted: tuple[tuple[str, str, Callable[[Run], list[float]], bool], ...] = (
        ("Validation accuracy by time", "val_accuracy", lambda run: run.seconds, True),
        ("Validation accuracy by epoch", "val_accuracy", _epochs, False),
        ("Training accuracy by epoch", "accuracy", _epochs, False),
        ("Training loss by epoch", "loss", _epochs, False),
        ("Validation loss by epoch", "val_loss", _epochs, False),
    )
    return [
        _chart(title, name, across, by_time, runs, first=number == 0)
        for number, (title, name, across, by_time) in enumerate(wanted)
    ]


def _epochs(run: Run) -> list[float]:
    return [float(epoch) for epoch in range(1, len(run.loss) + 1)]


def _chart(
    title: str,
    name: str,
    across: Callable[[Run], list[float]],
    by_time: bool,
    runs: Mapping[str, Sequence[Run]],
    first: bool,
) -> str:
    import plotly.graph_objects as go

    figure = go.Figure()
    for side, color in zip(TITLES, ("#777777", "#1f77b4", "#d62728"), strict=True):
        for number, run in enumerate(runs[side]):
            figure.add_trace(
                go.Scatter(
                    x=across(run), y=getattr(run, name), mode="lines", name=TITLES[side],
                    legendgroup=side, showlegend=number == 0, line={"color": color, "width": 1.5},
                )
            )  # fmt: skip
    figure.update_layout(
        title=title,
        height=360,
        margin={"t": 50, "b": 40},
        template="plotly_white",
        xaxis_title="seconds" if by_time else "epoch",
    )
    return str(figure.to_html(full_html=False, include_plotlyjs=first))


def table_html(head: Sequence[str], rows: Sequence[Row]) -> str:
    """Return a table as HTML."""
    heads = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in (r.name, *r.cells)) + "</tr>"
        for r in rows
    )
    return f"<table><tr>{heads}</tr>{body}</table>"


def table_text(head: Sequence[str], rows: Sequence[Row]) -> str:
    """Return a table as Markdown."""
    lines = [head, ["---"] * len(head), *((r.name, *r.cells) for r in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def ablation_text(rows: Sequence[Row]) -> list[str]:
    """Return the table of optimisations as lines of Markdown."""
    return table_text(ABLATION_HEAD, rows).splitlines()
