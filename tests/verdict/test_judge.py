"""The rules of decision: infinite times, bounds, small effects, quality, payback, ablation."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from slipstream.verdict import AblationRow, Pair, Rules, Verdict, correct, judge, payback

RULES = Rules(monitor="val_accuracy", mode="max", target=0.97)
INF = math.inf


def pairs_of(baseline, candidate, *, clock=100.0, **quality):
    return [
        Pair(
            seed=seed,
            baseline_seconds=slow,
            candidate_seconds=fast,
            baseline_clock_seconds=clock,
            candidate_clock_seconds=clock,
            **{name: values[seed] for name, values in quality.items()},
        )
        for seed, (slow, fast) in enumerate(zip(baseline, candidate, strict=True))
    ]


def verdict_of(baseline, candidate, *, rules=RULES, **more):
    return judge(pairs_of(baseline, candidate, **more), rules)


def test_a_clear_gain_is_faster_with_the_geometric_mean_and_scipys_interval():
    baseline, candidate = [30.0, 33.0, 36.0], [10.5, 9.5, 10.0]
    verdict = verdict_of(baseline, candidate)
    logs = stats.ttest_rel(np.log(baseline), np.log(candidate)).confidence_interval(0.95)
    assert verdict.outcome == "faster" and verdict.bound == "exact" and verdict.reason == ""
    assert verdict.ratio == pytest.approx(stats.gmean(np.divide(baseline, candidate)))
    assert (verdict.low, verdict.high) == pytest.approx((math.exp(logs.low), math.exp(logs.high)))


def test_changing_sides_turns_faster_into_slower():
    there = verdict_of([30.0, 33.0, 36.0], [10.5, 9.5, 10.0])
    back = verdict_of([10.5, 9.5, 10.0], [30.0, 33.0, 36.0])
    assert back.outcome == "slower"
    assert back.ratio == pytest.approx(1 / there.ratio)
    assert (back.low, back.high) == pytest.approx((1 / there.high, 1 / there.low))


def test_two_pairs_are_undecided_however_clear():
    verdict = verdict_of([100.0, 100.0], [1.0, 1.0])
    assert verdict.outcome == "undecided" and "3 paired seeds" in verdict.reason


def test_no_difference_needs_the_whole_interval_inside():
    close = verdict_of([10.0, 10.1, 10.05], [10.05, 10.0, 10.1])
    assert close.outcome == "no_difference"
    assert 1 / 1.05 <= close.low <= close.high <= 1.05
    wide = verdict_of([10.0, 12.0, 11.0], [11.0, 10.0, 12.0])
    assert wide.outcome == "undecided" and wide.reason == "the interval includes 1"


def test_an_effect_below_the_relevant_one_is_never_faster():
    inside = verdict_of([10.3, 10.3, 10.3], [10.0, 10.0, 10.0])
    assert inside.low > 1 and inside.outcome == "no_difference"
    astride = verdict_of([10.4, 10.4, 10.6, 10.4], [10.0, 10.0, 10.0, 10.0])
    assert astride.low > 1 and astride.high > 1.05 and astride.ratio < 1.05
    assert astride.outcome == "undecided" and "smaller than 5 %" in astride.reason


def test_a_run_with_itself_is_no_difference():
    times = [9.0, 20.0, 14.0, 3.0]
    verdict = verdict_of(times, times)
    assert verdict.ratio == 1.0 and verdict.outcome != "faster" and verdict.outcome != "slower"


def test_a_baseline_that_missed_the_target_gives_a_lower_bound():
    censored = verdict_of([INF, 90.0, INF], [10.0, 9.0, 11.0])
    as_if_at_its_clock = verdict_of([100.0, 90.0, 100.0], [10.0, 9.0, 11.0])
    assert censored.outcome == "faster" and censored.bound == "at_least"
    assert (censored.ratio, censored.low) == (as_if_at_its_clock.ratio, as_if_at_its_clock.low)
    assert censored.high == INF


@settings(max_examples=60, deadline=None)
@given(
    baseline=st.lists(st.floats(1, 100) | st.just(INF), min_size=3, max_size=5),
    candidate=st.lists(st.floats(1, 100), min_size=5, max_size=5),
    later=st.floats(1, 10),
)
def test_the_lower_bound_does_not_exceed_what_the_full_times_would_give(baseline, candidate, later):
    candidate = candidate[: len(baseline)]
    bound = verdict_of(baseline, candidate)
    full = [100.0 * later if math.isinf(time) else time for time in baseline]
    assert bound.ratio <= verdict_of(full, candidate, clock=INF).ratio * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(
    baseline=st.lists(st.floats(1, 100) | st.just(INF), min_size=4, max_size=4),
    candidate=st.lists(st.floats(1, 100) | st.just(INF), min_size=4, max_size=4),
)
def test_a_side_that_missed_the_target_once_is_never_called_the_faster(baseline, candidate):
    verdict = verdict_of(baseline, candidate)
    if any(map(math.isinf, candidate)):
        assert verdict.outcome != "faster"
    if any(map(math.isinf, baseline)):
        assert verdict.outcome != "slower"
    if INF in baseline or INF in candidate:
        assert verdict.outcome != "no_difference"


def test_a_candidate_that_always_misses_what_the_baseline_meets_is_slower():
    verdict = verdict_of([10.0, 9.0, 11.0], [INF, INF, INF])
    assert verdict.outcome == "slower" and verdict.bound == "at_most"
    assert verdict.low == 0.0 and verdict.high < 1
    assert verdict.sentence().startswith("at least 10.0x slower to val_accuracy 0.97")


@pytest.mark.parametrize(
    ("baseline", "candidate", "reason"),
    [
        ([INF] * 3, [INF] * 3, "neither side met the target"),
        ([INF, 5.0, 5.0], [5.0, INF, 5.0], "baseline missed the target in 1 and the candidate"),
        ([INF, 50.0, 50.0], [INF, 1.0, 1.0], "in 1 of 3 seeds"),
    ],
)
def test_where_both_sides_missed_the_target_nothing_is_known(baseline, candidate, reason):
    verdict = verdict_of(baseline, candidate)
    assert verdict.outcome == "undecided" and verdict.ratio is None
    assert (verdict.low, verdict.high) == (0.0, INF)
    assert reason in verdict.reason and reason in verdict.sentence()


def test_a_baseline_that_crashed_at_once_proves_nothing():
    verdict = verdict_of([INF, INF, INF], [1.0, 1.0, 1.0], clock=0.0)
    assert verdict.outcome == "undecided" and verdict.ratio is None
    assert "failed before its clock ran" in verdict.reason
    early = verdict_of([INF, INF, INF], [1.0, 1.0, 1.0], clock=0.5)
    assert early.outcome == "undecided" and early.ratio == 0.5


def test_times_that_differ_beyond_what_a_float_holds_do_not_break_it():
    verdict = verdict_of([1e-300, 1e300, 1.0], [1.0, 1.0, 1e300], clock=INF)
    assert verdict.outcome == "undecided" and verdict.high == INF
    assert verdict.sentence()


def test_quality_is_the_paired_difference_on_the_test_split():
    baseline, candidate = [0.90, 0.93, 0.91], [0.95, 0.94, 0.95]
    verdict = verdict_of(
        [1.0] * 3,
        [1.0] * 3,
        baseline_test=baseline,
        candidate_test=candidate,
        baseline_validation=[0.5] * 3,
        candidate_validation=[0.4] * 3,
    )
    expected = stats.ttest_rel(candidate, baseline).confidence_interval(0.95)
    quality = verdict.quality
    assert (quality.name, quality.split, quality.num_pairs) == ("accuracy", "test", 3)
    assert quality.difference == pytest.approx(0.1 / 3)
    assert (quality.low, quality.high) == pytest.approx(tuple(expected))
    assert quality.outcome == "undecided" and quality.not_worse_than == -quality.low


@pytest.mark.parametrize(
    ("mode", "candidate", "outcome"),
    [("max", 0.5, "better"), ("max", 0.1, "worse"), ("min", 0.1, "better"), ("min", 0.5, "worse")],
)
def test_better_and_worse_follow_the_mode(mode, candidate, outcome):
    verdict = verdict_of(
        [1.0] * 3,
        [1.0] * 3,
        rules=RULES.model_copy(update={"mode": mode}),
        baseline_validation=[0.30, 0.31, 0.29],
        candidate_validation=[candidate, candidate + 0.01, candidate - 0.005],
    )
    assert verdict.quality.split == "validation" and verdict.quality.outcome == outcome
    assert (verdict.quality.not_worse_than == 0) == (outcome == "better")


def test_the_test_split_is_used_only_where_no_pair_that_has_values_lacks_it():
    sides = {"baseline_validation": [0.1, 0.2, 0.3], "candidate_validation": [0.1, 0.2, 0.4]}
    some = verdict_of(
        [1.0] * 3, [1.0] * 3, baseline_test=[0.9, None, 0.9], candidate_test=[0.9] * 3, **sides
    )
    assert some.quality.split == "validation" and some.quality.num_pairs == 3
    assert verdict_of([1.0] * 3, [1.0] * 3).quality is None


@pytest.mark.parametrize(
    ("baseline", "candidate", "words"),
    [
        ([34.0, 33.0, 35.0], [10.0, 10.1, 9.9], "3.4x faster to val_accuracy 0.97 (95 % interval"),
        ([INF, 90.0, 95.0], [10.0, 9.0, 9.5], "at least 10.0x faster to val_accuracy 0.97"),
        (
            [10.0, 10.0, 10.0],
            [20.0, 20.2, 19.8],
            "2.0x slower to val_accuracy 0.97 (95 % interval 2.0 to 2.1, 3 seeds)",
        ),
        ([10.0] * 3, [10.0] * 3, "no difference larger than 5 % in time to val_accuracy 0.97"),
        ([10.0, 5.0, 9.0], [5.0, 10.0, 9.0], "undecided in time to val_accuracy 0.97: the inter"),
    ],
)
def test_the_sentence_says_the_verdict_first(baseline, candidate, words):
    sentence = verdict_of(baseline, candidate).sentence()
    assert sentence.startswith(words) and "3 seeds" in sentence and "\n" not in sentence


def test_the_whole_sentence():
    verdict = verdict_of(
        [34.0, 33.0, 35.0],
        [10.0, 10.2, 9.8],
        baseline_test=[0.970, 0.971, 0.969],
        candidate_test=[0.972, 0.974, 0.971],
    )
    assert verdict.sentence() == (
        "3.4x faster to val_accuracy 0.97 (95 % interval 3.0 to 3.8, 3 seeds), test accuracy "
        "+0.23 percentage points (-0.09 to +0.55), not lower by more than 0.09 percentage points"
    )


def test_the_sentence_names_the_correction_and_the_missed_seeds():
    rules = RULES.model_copy(update={"num_comparisons": 4})
    sentence = verdict_of([INF, 90.0, 95.0], [10.0, 9.0, 9.5], rules=rules).sentence()
    assert "corrected for 4 comparisons" in sentence
    assert "the baseline missed the target in 1 of 3" in sentence


@settings(max_examples=30, deadline=None)
@given(
    baseline=st.lists(st.floats(1, 100) | st.just(INF), min_size=3, max_size=3),
    candidate=st.lists(st.floats(1, 100) | st.just(INF), min_size=3, max_size=3),
    test=st.lists(st.floats(0, 1) | st.none(), min_size=3, max_size=3),
)
def test_a_verdict_reads_back_from_its_json_and_speaks(baseline, candidate, test):
    verdict = verdict_of(baseline, candidate, baseline_test=test, candidate_test=test)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
    plain = json.dumps(verdict.model_dump(mode="json"), allow_nan=False)
    assert Verdict.model_validate(json.loads(plain)) == verdict
    assert verdict.sentence()
    with pytest.raises(ValidationError, match="frozen"):
        verdict.ratio = 2.0


def test_payback_counts_trainings():
    verdict = verdict_of([31.0, 33.0, 35.0], [10.0, 11.0, 12.0])
    assert payback(220.0, verdict) == 10.0
    assert payback(221.0, verdict) == 11.0
    assert payback(0.0, verdict) == 0.0


def test_what_is_not_shown_to_be_faster_never_pays():
    for baseline, candidate in (
        ([10.0] * 3, [30.0, 31.0, 32.0]),
        ([10.0] * 3, [10.0] * 3),
        ([31.0, 33.0, 35.0], [10.0, 11.0, INF]),
    ):
        assert payback(1.0, verdict_of(baseline, candidate)) == INF


def test_a_missed_target_counts_with_its_clock_in_the_payback():
    verdict = verdict_of([INF, INF, INF], [10.0, 10.0, 10.0])
    assert verdict.outcome == "faster" and payback(180.0, verdict) == 2.0


def test_an_ablation_is_corrected_for_its_rows_with_a_verdict():
    verdict = verdict_of([34.0, 33.0, 35.0], [10.0, 10.1, 9.9])
    rows = [
        AblationRow(technique=name, direction="taken_out", verdict=verdict)
        for name in ("warmup", "cosine", "adamw")
    ]
    failed = AblationRow(technique="mixup", direction="put_alone", failure="out of memory")
    corrected = correct([*rows, failed])
    pairs = pairs_of([34.0, 33.0, 35.0], [10.0, 10.1, 9.9])
    expected = judge(pairs, RULES.model_copy(update={"num_comparisons": 3}))
    assert [row.verdict for row in corrected] == [expected] * 3 + [None]
    assert expected.low < verdict.low and expected.high > verdict.high
    assert correct(corrected) == corrected
    assert "failed: out of memory" in corrected[3].sentence()
    assert AblationRow.model_validate_json(corrected[0].model_dump_json()) == corrected[0]


def test_a_row_has_a_verdict_or_a_failure():
    with pytest.raises(ValidationError, match="either a verdict or a failure"):
        AblationRow(technique="warmup", direction="taken_out")
