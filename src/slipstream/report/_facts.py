"""What the runs of each side say: medians over seeds, and the sentences told from them."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from slipstream.record import Record
from slipstream.report import _numbers as numbers
from slipstream.report._content import ReportInput, Side

VALIDATION_LOSS = "val_loss"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the runs raced for, in the report's or else in the records' words."""

    task: str
    monitor: str
    mode: str
    target: float | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table of sides: a quantity, and a cell (text, small print) for each side."""

    name: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One figure that stands out below the headline."""

    name: str
    value: str
    small: str = ""


def question_of(content: ReportInput) -> Question:
    """Return what the runs raced for."""
    records = [record for side in content.sides for record in side.records]
    first = records[0] if records else None
    return Question(
        task=content.task or (first.task if first else ""),
        monitor=content.monitor or (first.monitor if first else ""),
        mode=first.mode if first and not content.monitor else content.mode,
        target=content.target if content.target is not None or not first else first.target,
    )


def headline_of(content: ReportInput, question: Question) -> str:
    """Return one sentence for a report that came without a verdict."""
    records = [record for side in content.sides for record in side.records]
    if not records:
        return "No run has been recorded yet."
    best = [record.best_value for record in records if record.best_value is not None]
    if not best:
        return f"No run of {question.task} came to a value of {question.monitor}."
    value = statistics.median(best)
    clock = statistics.median(record.timings.clock_seconds for record in records)
    runs = "" if len(records) == 1 else f" (median of {len(records)} runs)"
    reached = f"{question.monitor} {numbers.metric(value)} after {numbers.seconds(clock)}{runs}"
    if question.target is None:
        return f"{reached}."
    first = statistics.median(record.seconds_to(question.target) for record in records)
    goal = f"the target {numbers.plain(question.target)}"
    if math.isinf(first):
        return f"{reached}; {goal} was not reached."
    return f"{reached}; {goal} was met after {numbers.seconds(first)}."


def rows_of(sides: Sequence[Side], question: Question) -> list[Row]:
    """Return the table of sides: what each took, reached and needed; medians over seeds."""
    rows = [
        _row("Runs", sides, _runs),
        _time_to(f"Time to target ({numbers.plain(question.target)})", sides, question.target),
        *_catching_up(sides),
        _row(f"Best {question.monitor}", sides, lambda side: _spread(_best_values(side))),
        *_test_rows(sides),
        _row("Whole run, on the clock", sides, _median_of(_clock, numbers.seconds)),
        _row("of it compiling", sides, _median_of(_compiling, numbers.seconds)),
        _row("Throughput", sides, _median_of(lambda r: r.examples_per_second, _per_second)),
        _row("Bound by", sides, _bound),
        _row("Epochs run", sides, _median_of(lambda r: r.epochs, numbers.plain)),
        _row("Parameters", sides, _median_of(lambda r: r.parameters, numbers.count)),
        _row("Peak memory", sides, _median_of(lambda r: r.peak_memory_bytes, numbers.size)),
        _row("Jitter of validation loss", sides, _jitter),
        _row("Energy, estimated", sides, _energy),
        _row("Cost, estimated", sides, lambda side: (side.cost or numbers.ABSENT, "")),
    ]
    return [row for row in rows if any(text != numbers.ABSENT for text, _ in row.cells)]


def in_baselines_time(sides: Sequence[Side], question: Question) -> list[str]:
    """Return what the winner reaches in the time that each baseline takes to its own best."""
    winner = winner_of(sides)
    if winner is None:
        return []
    sentences = []
    for side in sides:
        best = _median(_best_values(side))
        if side is winner or best is None:
            continue
        seconds = _median(_seconds_to_own_best(side))
        reached = _median(record.best_within(seconds or 0.0) for record in winner.records)
        came = "nothing yet" if reached is None else numbers.metric(reached)
        sentences.append(
            f"In the {numbers.seconds(seconds)} that “{side.label}” takes to its best "
            f"{question.monitor} of {numbers.metric(best)}, “{winner.label}” reaches {came}."
        )
    return sentences


def tiles_of(content: ReportInput, question: Question) -> list[Tile]:
    """Return the few figures that matter most: the comparison's, or else the run's own."""
    tiles = [
        Tile(
            name=f"speed-up against {row.against}",
            value=numbers.factor(row.speedup.estimate),
            small=numbers.factor_bounds(row.speedup),
        )
        for row in content.comparisons
        if row.speedup
    ]
    tiles += [
        Tile(
            name=f"{row.quality_metric or question.monitor} against {row.against}",
            value=numbers.difference(row.quality.estimate),
            small=numbers.difference_bounds(row.quality),
        )
        for row in content.comparisons
        if row.quality
    ]
    if tiles:
        return tiles[:4]
    alone = content.sides[0] if len(content.sides) == 1 else None
    return _own_tiles(alone, question) if alone and alone.records else []


def _own_tiles(side: Side, question: Question) -> list[Tile]:
    best, spread = _spread(_best_values(side))
    clock = numbers.seconds(_median(_clock(record) for record in side.records))
    tiles = [
        Tile(name=f"best {question.monitor}", value=best, small=spread),
        Tile(name="on the clock", value=clock),
    ]
    times = times_to(side, question.target)
    if times:
        name = f"to the target of {numbers.plain(question.target)}"
        tiles.insert(0, Tile(name=name, value=numbers.seconds(_median(times))))
    tests = _test_rows([side])[:2]
    return tiles + [Tile(name=row.name, value=row.cells[0][0]) for row in tests]


def winner_of(sides: Sequence[Side]) -> Side | None:
    """Return the side that is compared with the others, or None where nothing is compared."""
    if len(sides) < 2:
        return None
    return next((side for side in sides if side.role == "winner" and side.records), None)


def times_to(side: Side, target: float | None) -> list[float]:
    """Return each run's seconds to the target, infinity where it was not reached."""
    if target is None:
        return []
    return [record.seconds_to(target) for record in side.records]


def _row(name: str, sides: Sequence[Side], cell: Callable[[Side], tuple[str, str]]) -> Row:
    return Row(name=name, cells=tuple(cell(side) for side in sides))


def _runs(side: Side) -> tuple[str, str]:
    failed = sum(record.outcome == "failed" for record in side.records)
    cut = sum(record.is_cut for record in side.records)
    said = [f"{failed} failed"] * bool(failed) + [f"{cut} cut off"] * bool(cut)
    return str(len(side.records)), ", ".join(said)


def _time_to(name: str, sides: Sequence[Side], target: float | None) -> Row:
    def cell(side: Side) -> tuple[str, str]:
        times = times_to(side, target)
        reached = [time for time in times if math.isfinite(time)]
        return numbers.seconds(_median(times)), _share(len(reached), len(times))

    return _row(name, sides, cell)


def _catching_up(sides: Sequence[Side]) -> list[Row]:
    """Return seconds and epochs to what the strongest baseline reaches at its best."""
    rivals = [side for side in sides if side.role in ("tuned baseline", "baseline")]
    rival = next((side for side in rivals if side.role == "tuned baseline"), None)
    rival = rival or next(iter(rivals), None)
    goal = _median(_best_values(rival)) if rival else None
    if rival is None or goal is None:
        return []

    def epochs(side: Side) -> tuple[str, str]:
        return numbers.plain(_median(_epochs_to(record, goal) for record in side.records)), ""

    name = f"what “{rival.label}” reaches ({numbers.metric(goal)})"
    return [_time_to(f"Time to {name}", sides, goal), _row(f"Epochs to {name}", sides, epochs)]


def _test_rows(sides: Sequence[Side]) -> list[Row]:
    names = dict.fromkeys(
        name for side in sides for record in side.records for name in record.test_values or {}
    )
    return [_row(f"Test {name}", sides, _test_cell(name)) for name in names]


def _test_cell(name: str) -> Callable[[Side], tuple[str, str]]:
    def cell(side: Side) -> tuple[str, str]:
        values = [record.test_values or {} for record in side.records if not record.is_cut]
        return _spread(value[name] for value in values if name in value)

    return cell


def _jitter(side: Side) -> tuple[str, str]:
    value = _median(jitter(record) for record in side.records)
    return (numbers.ABSENT if value is None else f"{100 * value:.1f} %"), ""


def jitter(record: Record) -> float | None:
    """Return how much the validation loss jumps: its mean step over its mean, second half."""
    losses = [point.values.get(VALIDATION_LOSS, math.nan) for point in record.points]
    half = [loss for loss in losses[len(losses) // 2 :] if math.isfinite(loss)]
    if len(half) < 3 or not sum(half):
        return None
    steps = [abs(after - before) for before, after in pairwise(half)]
    return statistics.fmean(steps) / abs(statistics.fmean(half))


def _bound(side: Side) -> tuple[str, str]:
    """Return what bounds most runs, and the median share of time that they waited for examples."""
    bounds = [record.bound for record in side.records if record.bound]
    if not bounds:
        return numbers.ABSENT, ""
    verdict = Counter(bound.verdict for bound in bounds).most_common(1)[0][0]
    waiting = statistics.median(bound.waiting_share for bound in bounds)
    return verdict, f"{waiting:.0%} waiting for data"


def _energy(side: Side) -> tuple[str, str]:
    if side.energy_watt_hours is None:
        return numbers.ABSENT, ""
    return f"{numbers.plain(side.energy_watt_hours)} Wh", ""


def _median_of(
    value: Callable[[Record], float], write: Callable[[float | None], str]
) -> Callable[[Side], tuple[str, str]]:
    def cell(side: Side) -> tuple[str, str]:
        values = [value(record) for record in side.records if record.outcome != "failed"]
        # Zero is what a record holds where a thing was not measured.
        return write(_median(number for number in values if number)), ""

    return cell


def _clock(record: Record) -> float:
    return record.timings.clock_seconds


def _compiling(record: Record) -> float:
    return record.timings.compile_seconds


def _per_second(value: float | None) -> str:
    return numbers.ABSENT if value is None else f"{numbers.count(value)} examples/s"


def _best_values(side: Side) -> list[float]:
    return [record.quality for record in side.records if record.quality is not None]


def _seconds_to_own_best(side: Side) -> list[float]:
    return [
        record.seconds_to(record.quality) for record in side.records if record.quality is not None
    ]


def _epochs_to(record: Record, goal: float) -> float:
    seconds = record.seconds_to(goal)
    epochs = (point.epoch for point in record.points if point.seconds == seconds)
    return next(epochs, math.inf)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and not math.isnan(value)]
    return statistics.median(known) if known else None


def _spread(values: Iterable[float]) -> tuple[str, str]:
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return numbers.ABSENT, ""
    if len(known) < 2:
        return numbers.metric(known[0]), ""
    # Enough digits that the spread itself can be read.
    return numbers.metric(statistics.fmean(known)), f"± {numbers.metric(statistics.stdev(known))}"


def _share(reached: int, runs: int) -> str:
    return f"{reached} of {runs} runs" if reached < runs else ""
