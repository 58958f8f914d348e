"""From two sets of records to a verdict: what may be compared, and pairing by seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from slipstream.errors import InputError, RecordError
from slipstream.record import Record
from slipstream.verdict.judge import judge
from slipstream.verdict.values import Pair, Rules, Verdict


def compare(
    candidate: Sequence[Record],
    baseline: Sequence[Record],
    *,
    target: float,
    num_comparisons: int = 1,
    confidence: float = 0.95,
    equivalence: float = 0.05,
) -> Verdict:
    """Return whether the candidate reaches the target sooner than the baseline.

    The runs are paired by their seed; `judge` documents the formula, the rules of decision and
    what becomes of runs that never met the target. Seeds that only one side has are left out and
    named in the verdict. A run that was cut says when it met the target, and nothing of quality.

    Args:
        candidate: The runs of one plan, one for each seed.
        baseline: The runs of the other plan.
        target: The value of the monitor that ends the race.
        num_comparisons: How many comparisons share the confidence, as in an ablation.
        confidence: Of the intervals of all these comparisons together.
        equivalence: The smallest relevant effect.

    Raises:
        RecordError: The records differ in task, data, monitor, machine or versions, a side mixes
            plans or has a seed twice, or fewer than two seeds are on both sides.
        InputError: A confidence, target or number that makes no sense.

    Example:
        >>> compare([], [], target=0.97)
        Traceback (most recent call last):
        slipstream.errors.RecordError: Expected runs on both sides; got none on the candidate's \
side. Train each plan with the same seeds, at least three. [SLP-641]
    """
    _refuse_what_differs(candidate, baseline)
    by_seed = [_by_seed("candidate", candidate), _by_seed("baseline", baseline)]
    shared = sorted(by_seed[0].keys() & by_seed[1].keys())
    if len(shared) < 2:
        raise RecordError(
            "at least two seeds that both sides ran",
            f"{len(shared)} (candidate {sorted(by_seed[0])}, baseline {sorted(by_seed[1])})",
            "Train both plans with the same seeds, at least three.",
            code="SLP-640",
        )
    rules = _rules(
        monitor=baseline[0].monitor,
        mode=baseline[0].mode,
        target=target,
        num_comparisons=num_comparisons,
        confidence=confidence,
        equivalence=equivalence,
    )
    pairs = [_pair(by_seed[0][seed], by_seed[1][seed], target) for seed in shared]
    return judge(pairs, rules, sorted(by_seed[0].keys() ^ by_seed[1].keys()))


def _rules(**values: Any) -> Rules:
    try:
        if not math.isfinite(values["target"]):
            raise InputError(
                "a finite target", str(values["target"]), "Name a value to reach.", code="SLP-027"
            )
        return Rules.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"a {first['loc'][0]} that makes sense",
            f"{first['input']}",
            f"{first['msg']}.",
            code="SLP-028",
        ) from None


def _refuse_what_differs(candidate: Sequence[Record], baseline: Sequence[Record]) -> None:
    for name, side in (("candidate", candidate), ("baseline", baseline)):
        if not side:
            raise RecordError(
                "runs on both sides",
                f"none on the {name}'s side",
                "Train each plan with the same seeds, at least three.",
                code="SLP-641",
            )
        plans = [_without_seed(record) for record in side]
        if any(plan != plans[0] for plan in plans):
            raise RecordError(
                f"runs of one plan on the {name}'s side",
                "runs of several plans",
                "Compare two plans at a time; the seed alone may differ within a side.",
                code="SLP-642",
            )
    wanted = dict(_must_agree(baseline[0]))
    for record in (*baseline, *candidate):
        _refuse_another(wanted, dict(_must_agree(record)), record)


def _refuse_another(wanted: dict[str, Any], came: dict[str, Any], record: Record) -> None:
    for field in sorted(wanted.keys() | came.keys()):
        if wanted.get(field) != came.get(field):
            raise RecordError(
                f"the same {field} in all runs ({_or_none(wanted, field)})",
                f"{_or_none(came, field)} in the run with seed {record.seed} on {record.backend}",
                "Run both plans in one study, on one machine, with one installation.",
                code="SLP-643",
            )


def _or_none(values: dict[str, Any], field: str) -> str:
    return str(values[field]) if field in values else "none"


def _must_agree(record: Record) -> Iterator[tuple[str, Any]]:
    yield "task fingerprint", record.fingerprint
    yield "data hash", record.data_hash
    yield "monitor", f"{record.monitor}, {record.mode}"
    for name, value in record.environment.machine.items():
        yield f"environment.machine.{name}", value
    for name, version in record.environment.versions.items():
        yield f"environment.versions.{name}", version


def _without_seed(record: Record) -> dict[str, Any]:
    return {name: section for name, section in record.plan.items() if name != "seeds"}


def _by_seed(name: str, side: Sequence[Record]) -> dict[int, Record]:
    found: dict[int, Record] = {}
    for record in side:
        if record.seed in found:
            raise RecordError(
                f"one run for each seed on the {name}'s side",
                f"two runs with seed {record.seed}",
                "Leave one of them out.",
                code="SLP-644",
            )
        found[record.seed] = record
    return found


def _pair(candidate: Record, baseline: Record, target: float) -> Pair:
    return Pair(
        seed=baseline.seed,
        baseline_seconds=baseline.seconds_to(target),
        candidate_seconds=candidate.seconds_to(target),
        baseline_clock_seconds=_watched(baseline),
        candidate_clock_seconds=_watched(candidate),
        baseline_test=_tested(baseline),
        candidate_test=_tested(candidate),
        baseline_validation=_finite(baseline.quality),
        candidate_validation=_finite(candidate.quality),
    )


def _watched(record: Record) -> float:
    return max([record.timings.clock_seconds, *(point.seconds for point in record.points)])


def _tested(record: Record) -> float | None:
    if record.is_cut:
        return None
    values = record.test_values or {}
    name = record.monitor.removeprefix("val_")
    return _finite(values.get(name, values.get(f"test_{name}", values.get(record.monitor))))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
