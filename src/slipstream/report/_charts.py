"""What the charts draw, as plain values for JSON. Colours are the page's, chosen by its theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from slipstream.record import Point, Record
from slipstream.report._content import ReportInput, Side, Trial
from slipstream.report._facts import Question, times_to

MOST_POINTS = 600  # of one run in one chart; more cannot be told apart
LONGEST_LABEL = 60
FEWEST_PARETO_POINTS = 4
NUM_SLOTS = 6  # colours that the style sheet has

Json = dict[str, Any]


def charts_of(content: ReportInput, question: Question) -> Json:
    """Return the values of every chart; a chart without enough to show is None."""
    return {
        "curves": curves(content.sides, question),
        "pareto": pareto(content.sides, content.trials, question),
    }


def plot_text(text: str, longest: int = LONGEST_LABEL) -> str:
    """Return text that Plotly shows as it is, cut where it is too long for a label.

    Its labels understand tags and entities.

    Example:
        >>> plot_text("<b>fast</b> & loose")
        '&lt;b&gt;fast&lt;/b&gt; &amp; loose'
    """
    flat = " ".join(text.split())
    short = flat if len(flat) <= longest else flat[: longest - 1] + "…"
    # A dollar would open a formula where MathJax is loaded, a percent sign with a brace a field.
    escaped = short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("$", "&#36;").replace("%{", "%\u200b{")


def curves(sides: Sequence[Side], question: Question) -> Json | None:
    """Return every metric of every run against the seconds on the clock."""
    points = [point for side in sides for run in side.records for point in run.points]
    names = metric_names(sides, question.monitor)
    if not names:
        return None
    divisor, unit = _time_unit(max(point.seconds for point in points))
    return {
        "metrics": [
            {"name": plot_text(name), "range": _range(points, name, question)} for name in names
        ],
        "unit": unit,
        "target": finite(question.target),
        "target_label": plot_text(f"target {question.target:g}") if question.target else "target",
        "sides": [
            {
                "slot": slot,
                "label": plot_text(side.label),
                "runs": [_run(record, names, question, divisor) for record in side.records],
            }
            for slot, side in enumerate_slots(sides)
        ],
    }


def pareto(sides: Sequence[Side], trials: Sequence[Trial], question: Question) -> Json | None:
    """Return time to target against quality, for trials and runs, and the best trade-offs."""
    groups: list[Json] = []
    tried = [
        _spot(trial.seconds, trial.quality, f"trial {trial.number} {trial.recipe}")
        for trial in trials
    ]
    groups.append({"slot": None, "label": "trials", "spots": [spot for spot in tried if spot]})
    for slot, side in enumerate_slots(sides):
        times = times_to(side, question.target)
        runs = [
            _spot(time, record.quality, f"{side.label}, seed {record.seed}")
            for time, record in zip(times, side.records, strict=False)
        ]
        spots = [spot for spot in runs if spot]
        groups.append({"slot": slot, "label": plot_text(side.label), "spots": spots})
    spots = [spot for group in groups for spot in group["spots"]]
    if len(spots) < FEWEST_PARETO_POINTS or len({spot["x"] for spot in spots}) < 2:
        return None
    return {
        "metric": plot_text(question.monitor),
        "groups": [group for group in groups if group["spots"]],
        "front": front([(spot["x"], spot["y"]) for spot in spots], question.mode == "max"),
    }


def front(points: Sequence[tuple[float, float]], more_is_better: bool) -> list[list[float]]:
    """Return the points that no other beats in both time and quality, fastest first.

    Example:
        >>> front([(1.0, 0.8), (2.0, 0.7), (3.0, 0.9)], more_is_better=True)
        [[1.0, 0.8], [3.0, 0.9]]
    """
    sign = 1.0 if more_is_better else -1.0
    kept: list[list[float]] = []
    for seconds, quality in sorted(points, key=lambda point: (point[0], -sign * point[1])):
        if not kept or sign * quality > sign * kept[-1][1]:
            kept.append([seconds, quality])
    return kept


def enumerate_slots(sides: Sequence[Side]) -> list[tuple[int, Side]]:
    """Give each side its colour: 0 baseline, 1 tuned baseline, 2 winner, 3 and on the rest."""
    preferred = {"baseline": 0, "tuned baseline": 1, "winner": 2, "run": 2}
    taken: set[int] = set()
    slots = []
    for side in sides:
        slot = preferred[side.role]
        if slot in taken:
            slot = next((free for free in range(3, NUM_SLOTS) if free not in taken), NUM_SLOTS - 1)
        taken.add(slot)
        slots.append((slot, side))
    return slots


def finite(value: float | None) -> float | None:
    """Return the value, or None where JSON has no number for it."""
    return value if value is not None and math.isfinite(value) else None


def _run(record: Record, names: Sequence[str], question: Question, divisor: float) -> Json:
    points = _thinned(record.points, record, question)
    return {
        "seed": record.seed,
        "failed": record.outcome == "failed",
        "x": [_digits(point.seconds / divisor) for point in points],
        "epoch": [_digits(point.epoch) for point in points],
        "y": [[_digits(point.values.get(name)) for point in points] for name in names],
        "hit": _hit(record, question, divisor),
    }


def _hit(record: Record, question: Question, divisor: float) -> list[float | None] | None:
    if question.target is None:
        return None
    seconds = record.seconds_to(question.target)
    for point in record.points:
        if point.seconds == seconds:
            return [_digits(seconds / divisor), _digits(point.values.get(question.monitor))]
    return None


def _thinned(points: Sequence[Point], record: Record, question: Question) -> list[Point]:
    """Leave out points evenly where there are too many; the last and the target's stay."""
    stride = math.ceil(len(points) / MOST_POINTS) or 1
    goal = math.inf if question.target is None else record.seconds_to(question.target)
    last = len(points) - 1
    return [
        point
        for index, point in enumerate(points)
        if index % stride == 0 or index == last or point.seconds == goal
    ]


def metric_names(sides: Sequence[Side], monitor: str) -> list[str]:
    """Return the metrics that the curves show, the monitor first, held-out ones before others."""
    points = [point for side in sides for run in side.records for point in run.points]
    names = dict.fromkeys(name for point in points for name in point.values)
    others = sorted((name for name in names if name != monitor), key=_validation_first)
    return ([monitor] if monitor in names else []) + others[:7]


def _validation_first(name: str) -> bool:
    return not name.startswith("val_")


def _range(points: Sequence[Point], name: str, question: Question) -> list[float] | None:
    """Return what to show at first: the poor values of the first evaluations are left out."""
    values = sorted(
        value for point in points if math.isfinite(value := point.values.get(name, math.nan))
    )
    if len(values) < 2:
        return None
    falling = question.mode == "min" if name == question.monitor else "loss" in name
    cut = len(values) // 5
    low, high = (values[0], values[-1 - cut]) if falling else (values[cut], values[-1])
    if name == question.monitor and question.target is not None:
        low, high = min(low, question.target), max(high, question.target)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    return [low - margin, high + margin]


def _time_unit(longest: float) -> tuple[float, str]:
    if longest > 3 * 3600:
        return 3600.0, "hours"
    return (60.0, "minutes") if longest > 600 else (1.0, "seconds")


def _spot(seconds: float | None, quality: float | None, label: str) -> Json | None:
    x, y = finite(seconds), finite(quality)
    if x is None or y is None or x <= 0:
        return None
    return {"x": x, "y": y, "label": plot_text(label)}


def _digits(value: float | None) -> float | None:
    """Return six significant digits: more would only make the file longer."""
    value = finite(value)
    return None if value is None else float(f"{value:.6g}")
