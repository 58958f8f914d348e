"""Files from strangers, spoilt and made up, read in a process with limits that is watched."""

from __future__ import annotations

import os
import random
import resource
import shutil
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from torture.outcome import Outcome
from torture.processes import context

if TYPE_CHECKING:
    from torture.formats import Format

# Beyond what the process has taken when it begins.
MOST_BYTES = 4 << 30
MOST_RESIDENT_MIB = 700
MOST_WRITTEN_BYTES = 1 << 26
MOST_SECONDS = 5.0
# No reader of ours waits for a stranger's file.
PATIENCE_SECONDS = 120.0


def read_untrusted(count: int, folder: Path, seed: int = 0, *, with_keras: bool = True) -> Outcome:
    """Read all that was made up with care, and so many spoilt files of every kind.

    Each is read, or refused in one sentence: nothing is run, nothing written, no memory taken that
    the file does not fill, and none takes long. `with_keras` also loads models, on PyTorch.
    """
    outcome = Outcome("a file of a stranger")
    receiver, sender = context().Pipe(duplex=False)
    arguments = (str(folder), count, seed, with_keras, sender)
    process = context().Process(target=_read_all, args=arguments, daemon=True)
    process.start()
    sender.close()
    while (told := _received(receiver)) != ("done", ""):
        outcome.tries += 1
        what, came = told
        outcome.count(came if came in ("read", "refused") else "worse")
        outcome.expect(came in ("read", "refused"), f"{what}: {came}")
        if what == "the reader":
            break
    receiver.close()
    if process.is_alive():
        process.kill()
    process.join()
    return outcome


def _received(receiver: Connection) -> tuple[str, str]:
    try:
        if receiver.poll(PATIENCE_SECONDS):
            return receiver.recv()
        return "the reader", "hangs"
    except EOFError:
        return "the reader", "died"


def _read_all(folder: str, count: int, seed: int, with_keras: bool, sender: Connection) -> None:
    warnings.simplefilter("ignore")
    root = Path(folder)
    home = root / "home"
    home.mkdir()
    os.chdir(home)
    os.environ.update({name: str(home) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")})
    os.environ["KERAS_BACKEND"] = "torch"
    # Here: the other parts of the torture need none of these libraries.
    from torture.formats import formats
    from torture.watching import Watch, seen_below

    every = list(formats(root / "files", with_keras))
    for one in every:
        one.write(root / "files" / one.name, one.content)
        # What is whole is read, and libraries have imported what they need.
        one.read(root / "files" / one.name)
    _limit()
    watch, before = Watch(), _resident_mib()
    draw = random.Random(seed)
    for one, what, put in _cases(every, count, draw):
        place = root / "files" / one.name
        put(place)
        seen, start = seen_below(root), time.process_time()
        told = _told(one.read, place, watch)
        took = time.process_time() - start
        if seen_below(root) != seen:
            told = "something was written"
        elif took > MOST_SECONDS:
            told = f"took {took:.1f} s"
        sender.send((f"{one.name}, {what}", told))
        _clear(place / one.file if one.file else None)
    taken = _resident_mib() - before
    sender.send(("memory", "read" if taken < MOST_RESIDENT_MIB else f"{taken} MiB taken"))
    sender.send(("done", ""))


def _cases(every: list[Format], count: int, draw: random.Random) -> Iterator[tuple]:
    """Yield a format, what is done, and what puts it into its place."""
    from torture.crafted import crafted
    from torture.mangling import mangled

    for one, what, content in crafted(every):
        put = _write if isinstance(content, bytes) else _instead
        yield one, what, partial(put, one, content)
        if one.file:
            # What comes next finds a whole one.
            yield one, "whole", partial(_write, one, one.content)
    for number in range(count):
        one = draw.choice(every)
        yield one, f"spoilt {number}", partial(_write, one, mangled(one.content, draw))


def _write(one: Format, content: bytes, place: Path) -> None:
    one.write(place, content)


def _instead(one: Format, put: Callable[[Path], object], place: Path) -> None:
    _clear(place / one.file)
    put(place / one.file)


def _clear(file: Path | None) -> None:
    if file is None:
        return
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    else:
        file.unlink(missing_ok=True)


def _told(read: Callable[[Path], object], place: Path, watch: object) -> str:
    from slipstream.errors import InputError, PlanError
    from torture.watching import CaughtError

    try:
        with watch.on():
            read(place)
    except InputError as error:
        text = str(error)
        # Every mistake of a plan stands on a line of its own.
        is_long = len(text) > 3000 or ("\n" in text and not isinstance(error, PlanError))
        if is_long or "MemoryError" in text or "fit into memory" in text:
            return f"said so: {text[:1000]!r}"
        return "refused"
    except CaughtError as error:
        return f"caught: {error}"
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error!s:.300} at {last.filename}:{last.lineno}"
    return f"caught: {watch.caught}" if watch.caught else "read"


def _limit() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_WRITTEN_BYTES, MOST_WRITTEN_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _resident_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
