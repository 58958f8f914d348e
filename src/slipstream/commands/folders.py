"""The folders that commands write into."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from slipstream.checkpoint import RunLock
from slipstream.checkpoint.lock import HOLDER_FILE, LOCK_FILE
from slipstream.errors import InputError
from slipstream.files import is_part, sweep

RUNS = Path("runs")
REPORT_FILE = "report.html"
PLAN_FILE = "plan.toml"
TRIED_FILE = "tried.toml"
SCRIPT_FILE = "train.py"
LANDSCAPE_PICTURE = "landscape.html"
LOG_FOLDER = "logs"
TASK_FOLDER, TASK_FILE = "task", "task.task.pkl"
RESUMING = ", or go on with --resume"
# What a command that was refused leaves behind: no result.
LOCK_FILES = (LOCK_FILE, HOLDER_FILE)
NO_RESULTS = (LOG_FOLDER, *LOCK_FILES, "error.txt", TASK_FOLDER, TASK_FILE)
# What is written in its place, and not beside it first; all that lies below is, too.
WRITTEN_IN_PLACE = (*NO_RESULTS, RUNS.name, "tuning")
GROWING_FILES = (".jsonl", ".log", ".journal")


def default_folder(command: str, reference: str, *, resume: bool = False) -> Path:
    """Return `runs/<task>-<command>-<date-time>`; to go on, the newest one that is there.

    Args:
        command: The name of the command.
        reference: The task.
        resume: Whether the command goes on where it stopped.

    Raises:
        InputError: There is nothing to go on with.

    Example:
        >>> default_folder("fit", "tasks/my_task.py").name[:12]
        'my_task-fit-'
    """
    start = f"{slug(reference)}-{command}-"
    if resume:
        found = sorted(path for path in RUNS.glob(f"{start}*") if path.is_dir())
        if found:
            return found[-1]
        raise InputError(
            f"a folder {RUNS / start}... to go on with",
            "none here",
            "Name the folder with --out, or leave --resume away.",
            code="SLP-604",
        )
    return RUNS / f"{start}{time.strftime('%Y%m%d-%H%M%S')}"


def slug(reference: str) -> str:
    """Return a reference as part of a file's name.

    Example:
        >>> slug("tasks/my_task.py:small"), slug("package.module:task")
        ('my_task-small', 'package-module-task')
    """
    location, colon, name = reference.rpartition(":")
    if not colon or not name.isidentifier():
        location, name = reference, ""
    stem = re.sub(r"(\.task\.pkl|\.py)$", "", Path(location).name)
    return re.sub(r"[^A-Za-z0-9_]+", "-", f"{stem}-{name}").strip("-") or "task"


def claim(folder: Path, *, resume: bool | None = False, marker: str = "") -> Path:
    """Make a folder for one command; returns it.

    Args:
        folder: New, or without results.
        resume: Whether it may hold what this command began; None for a command that never goes on.
        marker: The file by which such a folder is known; any will do if empty.

    Raises:
        InputError: It holds something that is not to be gone on with, or a link in the place of
            what is written; or it cannot be written to.
    """
    with _writable(folder):
        holds = next((name for name in _names(folder) if not _is_scrap(name)), None)
        if holds is not None and not resume:
            raise InputError(
                f"a new or an empty folder, where {folder} is",
                f"one that holds {holds}",
                f"Name another folder with --out{'' if resume is None else RESUMING}.",
                code="SLP-601",
            )
        if holds is not None and marker and not (folder / marker).is_file():
            raise InputError(
                f"a folder that this command began, where {folder} is",
                f"one that holds {holds} and no {marker}",
                "Name another folder with --out.",
                code="SLP-602",
            )
        _refuse_links(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    return folder


def _refuse_links(folder: Path) -> None:
    """Refuse what would have a command write elsewhere, in a folder that somebody handed out."""
    for path in _written_in_place(folder):
        if path.is_symlink():
            raise InputError(
                f"files and folders of its own in {folder}",
                f"{path.relative_to(folder)}, a link to somewhere else",
                "Remove the link. To keep a run on another disk, let --out name a folder there.",
                code="SLP-639",
            )


def _written_in_place(folder: Path) -> Iterator[Path]:
    for name in _names(folder):
        path = folder / name
        if name in WRITTEN_IN_PLACE or name.endswith(GROWING_FILES):
            yield path
        if name in WRITTEN_IN_PLACE and path.is_dir() and not path.is_symlink():
            yield from path.rglob("*")


@contextlib.contextmanager
def claimed(
    folder: Path,
    *,
    resume: bool | None = False,
    marker: str = "",
    traces: Sequence[str] = (),
    locked: bool = False,
) -> Iterator[Path]:
    """Within it a folder is one command's; see `claim`. A command that is refused leaves nothing.

    What was there before stays as it was.

    Args:
        folder: New, or without results.
        resume: Whether it may hold what this command began; None for a command that never goes on.
        marker: The file by which such a folder is known; any will do if empty.
        traces: What the command writes before it knows that it will not be refused, like its
            marker: with nothing but these and logs in it, a folder is no result.
        locked: Whether this process is to be the only one that writes there. What it starts may
            lock the folder instead.

    Raises:
        InputError: It holds something that is not to be gone on with, another process has it, or it
            cannot be written to.
    """
    with _writable(folder):
        before = _names(folder)
        made = [path for path in (folder, *folder.parents) if not path.exists()]
    claim(folder, resume=resume, marker=marker)
    try:
        with contextlib.ExitStack() as held:
            if locked:
                held.enter_context(RunLock(folder))
                sweep(folder)
            else:
                _sweep_unless_taken(folder)
            yield folder
    except InputError:
        _take_back(folder, before, made, {*NO_RESULTS, *traces})
        raise
    except KeyboardInterrupt:
        _take_back(folder, before, made, set(NO_RESULTS))
        raise


def holds_results(folder: Path) -> bool:
    """Return whether a folder holds more than what a command that came to nothing leaves."""
    with _writable(folder):
        return any(not _is_scrap(name) for name in _names(folder))


def _is_scrap(name: str) -> bool:
    """Whether a file or folder of that name is no result, whoever left it."""
    return name in NO_RESULTS or is_part(name)


def _sweep_unless_taken(folder: Path) -> None:
    """Remove what was being written when an earlier command was killed, where nobody writes now."""
    if any(map(is_part, _names(folder))):
        with contextlib.suppress(InputError), RunLock(folder):
            sweep(folder)


def _take_back(folder: Path, before: Sequence[str], made: Sequence[Path], scrap: set[str]) -> None:
    """Remove what was written since, if it is scrap, and the folders that are empty then."""
    with contextlib.suppress(OSError):
        new = [name for name in _names(folder) if name not in before]
        if not scrap.issuperset(new) or is_anothers(folder):
            return
        for path in (folder / name for name in new):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        # The innermost comes first; one that others write to stays.
        for path in made:
            path.rmdir()


def is_anothers(folder: Path) -> bool:
    """Whether another process has begun a run there meanwhile."""
    if not (folder / LOCK_FILE).exists():
        return False
    try:
        with RunLock(folder):
            return False
    except InputError:
        return True


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@contextlib.contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"a folder that can be written to at {folder}",
            f"{type(error).__name__}: {error}",
            "Name another folder with --out.",
            code="SLP-603",
        ) from None
