"""What every command shares: who listens, and what an error, a failure or Ctrl-C comes to."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from slipstream.cli.early import INTERRUPTED, TERMINATED, interrupts_are_told
from slipstream.errors import InputError, SlipstreamError, StorageError

if TYPE_CHECKING:
    from slipstream.progress import Listener

FAILED, BAD_INPUT = 1, 2
INTERNAL = "SLP-020"
ISSUES = "the project's issue tracker"
# What a disk says that is full, read-only or broken: nothing that a traceback would explain.
NO_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
# Of each part of a message: somebody's name of a file may be as long as they like.
MOST_SHOWN = 1200
DATA_FOLDER_VARIABLE = "SLIPSTREAM_DATA_DIR"


@dataclass(frozen=True)
class Manner:
    """How a command speaks.

    Args:
        json: One JSON object a line on standard output, for machines.
        quiet: Nothing but warnings and the result.
    """

    json: bool = False
    quiet: bool = False


@contextlib.contextmanager
def running(
    manner: Manner, *, folder: Path | None = None, again: Sequence[str] = ()
) -> Iterator[Listener]:
    """Within it a command works; errors come out as one message and an exit code.

    Args:
        manner: How it speaks.
        folder: Where its results lie, named when it ends early.
        again: The arguments that go on with it after Ctrl-C.

    Raises:
        typer.Exit: With 1 after a failure, 2 after bad input, 130 after Ctrl-C, 143 after SIGTERM.
    """
    from slipstream.commands.interrupt import Terminated, interrupts_raise_once

    try:
        interrupts_are_told()
        with interrupts_raise_once(), _listening(manner) as listener:
            yield listener
    except KeyboardInterrupt as error:
        code = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        _tell_interrupted(manner, folder, again, code)
        raise typer.Exit(code) from None
    except SlipstreamError as error:
        tell_error(error, manner)
        raise typer.Exit(error.exit_code) from None
    except (typer.Exit, BrokenPipeError):
        raise
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise typer.Exit(_failed(error, manner, folder)) from None
        tell_error(_too_long(error), manner)
        raise typer.Exit(BAD_INPUT) from None
    except Exception as error:
        raise typer.Exit(_failed(error, manner, folder)) from None


def _failed(error: Exception, manner: Manner, folder: Path | None) -> int:
    if isinstance(error, OSError) and error.errno in NO_STORAGE:
        tell_error(_storage_error(error, folder), manner)
    else:
        _tell_internal(error, manner, folder)
    return FAILED


def _too_long(error: OSError) -> InputError:
    name = str(error.filename or "")
    return InputError(
        "names of files and folders that the file system takes",
        f"one of {len(name)} letters: {name}",
        "Shorten it, or name another one.",
        code="SLP-008",
    )


def _storage_error(error: OSError, folder: Path | None) -> StorageError:
    where = error.filename or folder or "the folder of results"
    return StorageError(
        f"a disk that takes what is written to {where}",
        error.strerror or str(error),
        "Make room there, then go on with --resume; what was written before is intact.",
        code="SLP-612",
    )


def use_data_folder(folder: Path | None) -> None:
    """Let worker processes look for data in a folder first."""
    if folder is not None:
        os.environ[DATA_FOLDER_VARIABLE] = str(folder.absolute())


def tell_error(error: SlipstreamError, manner: Manner) -> None:
    """Say on standard error what was expected, what came and how to mend it."""
    if manner.json:
        _write_json(
            kind="error",
            error=type(error).__name__,
            code=error.code,
            expected=error.expected,
            got=error.came,
            mend=error.mend,
            exit_code=error.exit_code,
        )
    name = f"Error {error.code}".rstrip()
    typer.echo(f"{_red(f'{name}:')} expected {_plain(error.expected)}", err=True)
    typer.echo(f"  got: {_plain(error.came)}", err=True)
    # Further findings stand below, a line each.
    mend = "\n".join(map(_plain, error.mend.split("\n")))
    typer.echo(f"  to mend: {mend}", err=True)


def _plain(text: str) -> str:
    """Return a text in one line, cut where it is endless, without what a terminal would obey."""
    from slipstream.commands.show import printable

    line = text.replace("\n", " ")
    if len(line) > MOST_SHOWN:
        line = f"{line[: MOST_SHOWN // 2]} ... {line[-MOST_SHOWN // 2 :]}"
    return printable(line)


def _tell_interrupted(manner: Manner, folder: Path | None, again: Sequence[str], code: int) -> None:
    if folder is not None and not folder.is_dir():
        # Nothing was finished yet.
        folder, again = None, ()
    go_on = shlex.join(["slipstream", *again]) if again else ""
    if manner.json:
        _write_json(kind="interrupted", folder=folder, resume=go_on, exit_code=code)
    kept = f" What was finished is kept in {folder}." if folder is not None else ""
    typer.echo(f"{_red('Interrupted.')}{kept}", err=True)
    if go_on:
        typer.echo(f"  to go on: {go_on}", err=True)


def _tell_internal(error: Exception, manner: Manner, folder: Path | None) -> None:
    file = _write_traceback(error, folder)
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    if manner.json:
        _write_json(kind="error", error=text, code=INTERNAL, traceback=file, exit_code=FAILED)
    typer.echo(
        f"{_red(f'Internal error {INTERNAL}:')} {text}. The traceback is in {file}; please report "
        f"it with that file on {ISSUES}.",
        err=True,
    )


def _write_traceback(error: Exception, folder: Path | None) -> Path:
    from slipstream.environment import environment

    text = "".join(traceback.format_exception(error))
    about = f"{shlex.join(sys.argv)}\n{environment().model_dump_json(indent=1)}\n\n{text}"
    if folder is None or not folder.is_dir():
        folder = Path(tempfile.mkdtemp(prefix="slipstream-"))
    file = folder / "error.txt"
    file.write_text(about, encoding="utf-8")
    return file


def _listening(manner: Manner) -> contextlib.AbstractContextManager[Listener]:
    from slipstream.commands import show

    if manner.json:
        return show.as_json()
    return show.hidden() if manner.quiet else show.shown()


def _write_json(**values: object) -> None:
    from slipstream.commands.show import write_json_line

    write_json_line(values, sys.stdout)


def _red(text: str) -> str:
    return typer.style(text, fg=typer.colors.RED, bold=True)
