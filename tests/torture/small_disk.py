"""A small file system that is filled up to one byte after the other, and one that is read-only."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

from slipstream.checkpoint import CheckpointStore, RunLock
from slipstream.errors import InputError, StorageError
from torture.content import same, snapshot_at
from torture.outcome import Outcome

DISK_BYTES = 4 << 20
SIZE = 200_000


class NoMountError(Exception):
    """Who runs this may not mount file systems."""


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    """Mount a small file system in memory.

    Raises:
        NoMountError: It cannot be done here.
    """
    folder.mkdir(parents=True)
    if not _done("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)):
        raise NoMountError
    try:
        yield folder
    finally:
        _done("umount", str(folder))


def _done(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def fill(count: int, folder: Path) -> Outcome:
    """Save on a disk with so many different numbers of bytes left, from none to enough.

    A save that is refused is refused in one line, leaves nothing behind, and the checkpoint before
    is found, exactly.
    """
    outcome = Outcome("a disk filled")
    try:
        with mounted(folder) as disk, RunLock(disk / "run") as lock:
            store = CheckpointStore(disk / "run", lock=lock)
            update = store.save(snapshot_at(1, SIZE)).update
            for left in range(0, 2 * SIZE, 2 * SIZE // count)[:count]:
                outcome.tries += 1
                update = _saved(store, disk, update, left, outcome)
    except NoMountError:
        outcome.skipped = "may not mount file systems here"
    return outcome


def _saved(store: CheckpointStore, disk: Path, update: int, left: int, outcome: Outcome) -> int:
    """Return the update that was committed last."""
    filler = disk / "filler"
    filler.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - left)))
    try:
        update = store.save(snapshot_at(update + 1, SIZE)).update
        outcome.count("saved")
    except StorageError as error:
        outcome.count("refused")
        outcome.expect("full disk" in str(error) and "\n" not in str(error), str(error))
    found = CheckpointStore(store.folder).latest()
    whole = found is not None and same(found.snapshot, snapshot_at(update, SIZE))
    outcome.expect(whole, f"{left} bytes left: {found}")
    left_over = [path.name for path in disk.rglob("*.part")]
    outcome.expect(not left_over, f"{left} bytes left: {left_over}")
    filler.unlink()
    return update


def _refusal(act: Callable[[], object]) -> int:
    """Return the exit code of what an act is refused with, in one line; 0 if it is not."""
    try:
        act()
    except (InputError, StorageError) as error:
        return error.exit_code if "\n" not in str(error) else 0
    return 0


def close(folder: Path) -> Outcome:
    """Make a disk read-only under a run, and begin another run on it."""
    outcome = Outcome("a disk made read-only", tries=1)
    try:
        with mounted(folder) as disk, RunLock(disk / "run") as lock:
            store = CheckpointStore(disk / "run", lock=lock)
            store.save(snapshot_at(1))
            # Nothing may be open to be written there, or the system refuses: not even the lock.
            lock.release()
            if not _done("mount", "-o", "remount,ro", str(disk)):
                raise NoMountError
            held = SimpleNamespace(folder=disk / "run", is_held=True)
            store = CheckpointStore(disk / "run", lock=held)
            outcome.expect(_refusal(lambda: store.save(snapshot_at(2))) == 1, "saved, or other")
            outcome.expect(_refusal(RunLock(disk / "run").acquire) == 2, "locked, or other")
            found = CheckpointStore(disk / "run").latest()
            whole = found is not None and same(found.snapshot, snapshot_at(1))
            outcome.expect(whole, "the checkpoint before is not intact")
    except NoMountError:
        outcome.skipped = "may not mount file systems here"
    return outcome
