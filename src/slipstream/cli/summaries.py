"""What a command prints at its end: the result in a sentence, a small table, where things lie."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box, markup
from rich.console import Console
from rich.table import Table

from slipstream.cli.running import Manner, tell_error
from slipstream.commands._writing import command_line
from slipstream.commands.batch import in_words as in_words_of_batch
from slipstream.commands.batch import row_in_words
from slipstream.commands.durations import seconds_in_words
from slipstream.commands.fit import in_words
from slipstream.commands.folders import LANDSCAPE_PICTURE, PLAN_FILE, REPORT_FILE, TRIED_FILE
from slipstream.commands.going_on import LASTING_FAILURES
from slipstream.commands.show import printable, write_json_line
from slipstream.errors import TrainingError
from slipstream.loss_surface import LANDSCAPE_FILE, Landscape
from slipstream.verdict import AblationRow, Verdict

if TYPE_CHECKING:
    from slipstream.commands.compare import CompareResult
    from slipstream.commands.optimize import OptimizeResult
    from slipstream.record import Failure, Record
    from slipstream.tuning.batch_sizes import BatchSizes

ABSENT = "-"
SHARES = ("accuracy", "precision", "recall")


def of_fit(record: Record, folder: Path, task: str, manner: Manner) -> None:
    """Print what came of one run."""
    files = {"report": folder / REPORT_FILE, "plan": folder / PLAN_FILE, "record": folder}
    if (folder / LANDSCAPE_PICTURE).exists():
        files["landscape"] = folder / LANDSCAPE_PICTURE
    if manner.json:
        values = record.model_dump(mode="json", exclude={"points"})
        _json("fit", outcome=record.outcome, record=values, files=files)
        return
    console = _console()
    _headline(console, f"{record.task}: {in_words(record)}.", good=record.outcome != "failed")
    tested = record.test_values or {}
    rows = [
        (f"best {record.monitor}", _number(record.best_value)),
        *((f"test {name}", _number(value)) for name, value in tested.items()),
        ("on the clock", seconds_in_words(record.timings.clock_seconds)),
        *_compiling(record),
        ("examples/s", f"{record.examples_per_second:,.0f}"),
        *_bound(record),
        ("peak memory", f"{record.peak_memory_bytes / 2**20:,.0f} MiB"),
        *_checkpoints(record),
        *(("note", note) for note in record.notes),
    ]
    _grid(console, rows)
    _files(console, files)
    _next(console, *_after_fit(record, folder, task))


def _after_fit(record: Record, folder: Path, task: str) -> tuple[object, ...]:
    """Return the command that fits next: one that mends the run, where it failed."""
    if record.failure is None:
        return "optimize", task
    if record.failure.kind not in LASTING_FAILURES:
        return "fit", task, "--out", folder, "--resume"
    rate = float(record.plan["schedule"]["peak"]) / 10
    change = f"schedule.peak={rate:.3g}"
    if record.failure.message.endswith("[SLP-525]"):
        # The validation split is at fault, and no rate.
        change = "runtime.loop=slipstream"
    return "fit", task, "--plan", folder / PLAN_FILE, "--set", change


def of_failure(failure: Failure, folder: Path) -> None:
    """Say on standard error why a training failed."""
    # What Slipstream itself raised names its identifier already.
    message, _, code = failure.message.removesuffix("]").partition(" [SLP-")
    error = TrainingError(
        "a training that goes on to its end",
        f"{failure.kind}: {message}".removesuffix("."),
        f"Begin anew with a change, in another folder (--out). {folder} holds the record with all "
        "events, the logs, and the best weights so far if there were any; --resume trains nothing "
        "there, for the same would come again."
        if failure.kind in LASTING_FAILURES
        else f"The logs in {folder} say more. When that is mended, the same command with --out and "
        "--resume goes on.",
        code=f"SLP-{code}" if code else "SLP-503",
    )
    tell_error(error, Manner())


def of_optimize(result: OptimizeResult, task: str, manner: Manner) -> None:
    """Print what came of a study."""
    files = {"report": result.report, "plan": result.plan_file, "script": result.script_file}
    files = {name: path for name, path in files.items() if path.exists()}
    if manner.json:
        _json(
            "optimize",
            outcome=result.outcome,
            headline=result.headline,
            target=result.target,
            plan=result.plan.to_dict(),
            verdicts={name: _plain(verdict) for name, verdict in result.verdicts.items()},
            tuning_seconds=result.tuning_seconds,
            payback_trainings=result.payback,
            folder=result.folder,
            files=files,
        )
        return
    console = _console()
    _headline(console, result.headline, good=result.outcome == "gain")
    if result.verdicts:
        _verdicts(console, {name.replace("_", " "): v for name, v in result.verdicts.items()})
    paid = (
        f"paid for after {result.payback:,.0f} trainings"
        if math.isfinite(result.payback)
        else "not paid back"
    )
    cut = [("cut off", text) for text in result.cut_off]
    took = f"{seconds_in_words(result.tuning_seconds)}, {paid}"
    _grid(console, [*cut, ("tuning took", took)])
    _files(console, files)
    tried = result.folder / TRIED_FILE
    if not result.verdicts and tried.exists():
        _next(console, "compare", task, result.plan_file, tried)
        return
    _next(console, "fit", task, "--plan", result.plan_file, *_test(*result.verdicts.values()))


def of_compare(result: CompareResult, task: str, plans: tuple[Path, Path], manner: Manner) -> None:
    """Print what came of a comparison."""
    files = {"report": result.report}
    if manner.json:
        _json(
            "compare",
            outcome=result.verdict.outcome,
            sentence=result.sentence,
            labels=result.labels,
            target=result.target,
            target_from=result.target_from,
            verdict=_plain(result.verdict),
            folder=result.folder,
            files=files,
        )
        return
    console = _console()
    _headline(console, result.sentence, good=result.verdict.outcome == "faster")
    _verdicts(console, {result.labels[0]: result.verdict})
    _grid(console, [("the target", f"{result.target:g}: {result.target_from}")])
    _files(console, files)
    better = plans[1] if result.verdict.outcome == "faster" else plans[0]
    _next(console, "fit", task, "--plan", better, *_test(result.verdict))


def _test(*verdicts: Verdict) -> tuple[str, ...]:
    """Return what has the test split read, where there was one."""
    pairs = [pair for verdict in verdicts for pair in verdict.pairs]
    tests = [value for pair in pairs for value in (pair.baseline_test, pair.candidate_test)]
    return ("--test",) if any(value is not None for value in tests) else ()


def of_ablate(rows: Sequence[AblationRow], folder: Path, manner: Manner) -> None:
    """Print the table of an ablation."""
    files = {"report": folder / REPORT_FILE}
    if manner.json:
        _json("ablate", rows=[row.model_dump(mode="json") for row in rows], files=files)
        return
    console = _console()
    count = len({row.technique for row in rows})
    _headline(console, f"{count} technique{'s' if count != 1 else ''} taken apart.", good=True)
    table = _table("technique", "how", "speed-up", "95 % interval", "quality")
    for row in rows:
        how = row.direction.replace("_", " ")
        cells = _cells(row.verdict) if row.verdict is not None else (row.failure or ABSENT, "", "")
        table.add_row(escape(row.technique), how, *map(escape, cells))
    console.print(table)
    _files(console, files)


def of_landscape(landscape: Landscape, folder: Path, manner: Manner) -> None:
    """Print how sharp the loss is, and where its picture lies."""
    files = {"picture": folder / LANDSCAPE_PICTURE, "numbers": folder / LANDSCAPE_FILE}
    if manner.json:
        _json("landscape", **landscape.model_dump(mode="json", exclude={"losses"}), files=files)
        return
    console = _console()
    _headline(console, f"{landscape.task}: {landscape.sentence()}.", good=True)
    _files(console, files)


def of_batch(found: BatchSizes, task: str, given: Sequence[object], manner: Manner) -> None:
    """Print every batch size that was tried, the fastest and the largest.

    `given` are the options that the plan came from: they go along with the size.
    """
    if manner.json:
        values = found.model_dump(mode="json")
        _json("batch", largest=found.largest, fastest=found.fastest, **values)
        return
    console = _console()
    _headline(console, f"{task}: {in_words_of_batch(found)}.", good=True)
    _grid(console, [(f"batch {r.size}", row_in_words(r).partition(": ")[2]) for r in found.rows])
    _next(console, "fit", task, *given, "--set", f"batch.size={found.fastest}")


def of_file(command: str, name: str, path: Path, manner: Manner) -> None:
    """Print where a file was written."""
    if manner.json:
        _json(command, files={name: path})
        return
    _files(_console(), {name: path})


def table(rows: Iterable[tuple[str, str]], manner: Manner) -> None:
    """Print names and what they are."""
    rows = list(rows)
    if manner.json:
        for name, summary in rows:
            write_json_line({"name": name, "summary": summary}, sys.stdout)
        return
    console = _console()
    if not console.is_terminal:
        width = max(len(name) for name, _ in rows)
        for name, summary in rows:
            console.print(f"{escape(name):<{width}}  {escape(summary)}", soft_wrap=True)
        return
    _grid(console, rows, indent=0)


def _verdicts(console: Console, verdicts: dict[str, Verdict]) -> None:
    table = _table("against", "its time", "this time", "speed-up", "95 % interval", "quality")
    for name, verdict in verdicts.items():
        times = (
            _median([pair.baseline_seconds for pair in verdict.pairs]),
            _median([pair.candidate_seconds for pair in verdict.pairs]),
        )
        table.add_row(*map(escape, (name, *times, *_cells(verdict))))
    console.print(table)


def _cells(verdict: Verdict) -> tuple[str, str, str]:
    """Return speed-up, its interval, and the difference in quality."""
    if verdict.ratio is None:
        speedup, interval = ABSENT, verdict.reason
    else:
        sign = {"exact": "", "at_least": "≥ ", "at_most": "≤ "}[verdict.bound]
        speedup = f"{sign}{verdict.ratio:.2f}x"
        interval = f"{verdict.low:.2f} to {verdict.high:.2f}".replace("inf", "∞")
    quality = verdict.quality
    if quality is None:
        return speedup, interval, ABSENT
    scale, unit = (100, " points") if any(s in quality.name for s in SHARES) else (1, "")
    difference = f"{quality.split} {quality.name} {scale * quality.difference:+.3g}{unit}"
    return speedup, interval, difference


def _table(*columns: str) -> Table:
    style = box.SIMPLE_HEAD if sys.stdout.isatty() else None
    table = Table(box=style, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=not sys.stdout.isatty())
    return table


def escape(text: str) -> str:
    r"""Return text that is shown as it is: no markup, nothing that a terminal would obey.

    Example:
        >>> escape("[bold]a\x1b[2J")
        '\\[bold]a\\x1b[2J'
    """
    return markup.escape(printable(text))


def _headline(console: Console, text: str, *, good: bool) -> None:
    style = "bold green" if good else "bold"
    console.print()
    console.print(escape(text), style=style, soft_wrap=not console.is_terminal)
    console.print()


def _grid(console: Console, rows: Sequence[tuple[str, str]], indent: int = 2) -> None:
    grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    grid.add_column(style="dim" if indent else "bold", no_wrap=True)
    grid.add_column()
    for name, text in rows:
        grid.add_row(" " * indent + escape(name), escape(text))
    console.print(grid)


def _files(console: Console, files: dict[str, Path]) -> None:
    for name, path in files.items():
        console.print(f"  {name:<14}{escape(str(path))}", highlight=False, soft_wrap=True)


def _next(console: Console, *words: object) -> None:
    console.print()
    console.print(f"  Next: {escape(command_line(*words))}", highlight=False, soft_wrap=True)


def _console() -> Console:
    # In a file a table is as wide as it needs to be.
    return Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else 200)


def _json(command: str, **values: Any) -> None:
    write_json_line({"kind": "result", "command": command, **values}, sys.stdout)


def _compiling(record: Record) -> list[tuple[str, str]]:
    # Keras' own loop does not tell it apart.
    seconds = record.timings.compile_seconds
    return [("of it compiling", seconds_in_words(seconds))] if seconds > 0 else []


def _bound(record: Record) -> list[tuple[str, str]]:
    if record.bound is None:
        return []
    waiting = f"{record.bound.waiting_share:.0%} of training waits for data"
    return [("bound", f"{record.bound.verdict}; {waiting}")]


def _checkpoints(record: Record) -> list[tuple[str, str]]:
    kept = record.checkpoints
    if kept is None or kept.count == 0:
        return []
    size = f"{kept.bytes / 2**20:,.1f} MiB"
    text = f"{kept.count} of {size}; training waited {seconds_in_words(kept.wait_seconds)}"
    return [("checkpoints", text)]


def _plain(verdict: Verdict) -> dict[str, Any]:
    return {"sentence": verdict.sentence(), **verdict.model_dump(mode="json")}


def _median(seconds: Sequence[float]) -> str:
    return seconds_in_words(statistics.median(seconds))


def _number(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.4g}"
