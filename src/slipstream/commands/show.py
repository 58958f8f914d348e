"""What a long command tells, shown: live on a terminal, as plain lines elsewhere, or as JSON."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
import sys
import time
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, final

from slipstream.commands.durations import seconds_in_words
from slipstream.progress import Happening, Listener, Notice, StageDone, StageStarted, Step, silent

if TYPE_CHECKING:
    from rich.console import Console

# In a log, a word now and then shows that something still happens.
PASSING_EVERY_SECONDS = 15.0


@contextlib.contextmanager
def shown(stream: IO[str] | None = None) -> Iterator[Listener]:
    """Within it, happenings are shown: live where the stream is a terminal, else line by line.

    Args:
        stream: Where; standard error if None.
    """
    stream = stream or sys.stderr
    if not stream.isatty() and not _in_notebook():
        yield Lines(stream)
        return
    from rich.console import Console

    with _Live(Console(file=None if _in_notebook() else stream)) as live:
        yield live


@contextlib.contextmanager
def hidden(stream: IO[str] | None = None) -> Iterator[Listener]:
    """Within it, only warnings are shown."""
    lines = Lines(stream or sys.stderr)

    def listen(happening: Happening) -> None:
        if isinstance(happening, Notice) and happening.warning:
            lines(happening)

    yield listen


@contextlib.contextmanager
def as_json(stream: IO[str] | None = None) -> Iterator[Listener]:
    """Within it, every happening is a JSON object on a line of its own, on standard output."""
    yield lambda happening: write_json_line(to_json(happening), stream or sys.stdout)


def no_one() -> contextlib.AbstractContextManager[Listener]:
    """Within it, nothing is shown."""
    return contextlib.nullcontext(silent)


def to_json(happening: Happening) -> dict[str, Any]:
    """Return a happening as plain values; `kind` says which it is.

    Example:
        >>> to_json(Notice("Few examples.", warning=True))
        {'kind': 'notice', 'text': 'Few examples.', 'warning': True, 'code': ''}
    """
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(happening).__name__).lower()
    return {"kind": kind, **dataclasses.asdict(happening)}


def write_json_line(values: Any, stream: IO[str]) -> None:
    """Write one JSON value as a line, at once; what is not finite is null."""
    stream.write(json.dumps(_finite(values), allow_nan=False, default=str) + "\n")
    stream.flush()


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value


@final
class Lines:
    """Plain lines, without control characters; passing steps only now and then.

    Args:
        stream: Where they are written.

    Example:
        >>> lines = Lines(sys.stdout)
        >>> lines(StageStarted("look", "Looking at the task"))
        Look: Looking at the task
        >>> lines(StageDone("look", "digits: 1,077 training examples", 2.0))
        Look: done in 2.0 s. digits: 1,077 training examples
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._said_at = time.monotonic()

    def __call__(self, happening: Happening) -> None:
        """Write what is worth a line."""
        is_passing = isinstance(happening, Step) and happening.passing
        if is_passing and time.monotonic() - self._said_at < PASSING_EVERY_SECONDS:
            return
        self._said_at = time.monotonic()
        print(in_a_line(_printable(happening)), file=self._stream, flush=True)


def printable(text: str) -> str:
    r"""Return text in which all that a terminal would obey, ends of lines aside, is spelt out.

    Example:
        >>> printable("a\x1b[2J")
        'a\\x1b[2J'
    """
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def _printable(happening: Happening) -> Happening:
    """Return it with what a terminal would obey spelt out: names in it may be anybody's."""
    given = vars(happening).items()
    texts = {name: printable(value) for name, value in given if isinstance(value, str)}
    return dataclasses.replace(happening, **texts)  # type: ignore[arg-type]


def in_a_line(happening: Happening) -> str:
    """Return a happening as one line of plain text.

    Example:
        >>> in_a_line(Step("runtime", "jax: 5,100 examples/s", 0.5))
        '  [ 50 %] jax: 5,100 examples/s'
    """
    if isinstance(happening, StageStarted):
        planned = happening.seconds_planned
        about = f" (about {seconds_in_words(planned)})" if planned is not None else ""
        return f"{happening.stage.capitalize()}: {happening.what}{about}"
    if isinstance(happening, StageDone):
        how = "done before" if happening.resumed else "done"
        return (
            f"{happening.stage.capitalize()}: {how} in {seconds_in_words(happening.seconds)}. "
            f"{happening.text}"
        )
    if isinstance(happening, Step):
        part = f"[{100 * happening.fraction:3.0f} %] " if happening.fraction is not None else ""
        return f"  {part}{happening.text}"
    kind = "Warning" if happening.warning else "Note"
    return f"{kind} {happening.code}".rstrip() + f": {happening.text}"


@final
class _Live:
    """A line for the stage that runs, with a bar, the time it took and the time left."""

    def __init__(self, console: Console) -> None:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        from slipstream.commands._columns import StageBar, TimeLeft

        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.fields[stage]}"),
            StageBar(),
            TimeElapsedColumn(),
            TimeLeft(),
            TextColumn("[dim]{task.description}", markup=True),
            console=console,
            transient=True,
        )
        self._task: Any = None

    def __enter__(self) -> _Live:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def __call__(self, happening: Happening) -> None:
        from rich.markup import escape

        happening = _printable(happening)
        if isinstance(happening, StageStarted):
            self._clear()
            name = happening.stage.capitalize()
            self._print(f"[bold]{name}[/]  {escape(happening.what)}")
            self._task = self._progress.add_task(
                "", total=1.0, stage=name, planned=happening.seconds_planned, fraction=None
            )
        elif isinstance(happening, Step):
            self._step(happening)
        elif isinstance(happening, StageDone):
            self._clear()
            took = "done before" if happening.resumed else seconds_in_words(happening.seconds)
            name = f"[bold]{happening.stage.capitalize()}[/]  " if happening.resumed else ""
            self._print(f"[green]✓[/] {name}{escape(happening.text)}  [dim]{took}[/]")
        else:
            mark = "[yellow]![/]" if happening.warning else "[cyan]i[/]"
            code = f"  [dim]{happening.code}[/]" if happening.code else ""
            self._print(f"{mark} {escape(happening.text)}{code}")

    def _step(self, step: Step) -> None:
        from rich.markup import escape

        if self._task is not None:
            self._progress.update(self._task, description=escape(step.text), fraction=step.fraction)
        if not step.passing:
            self._print(f"  [dim]{escape(step.text)}[/]")

    def _clear(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=False)


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    return type(running).__name__ == "ZMQInteractiveShell"
