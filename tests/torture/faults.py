"""Every call to the system that a save makes fails once, or is the last one ever made."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from slipstream.checkpoint import CheckpointStore, RunLock
from slipstream.errors import StorageError
from torture.content import same, snapshot_at
from torture.faulty_disk import WAYS, DiedError, FaultyDisk
from torture.outcome import Outcome

CODES = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.EDQUOT)


def fail_everywhere(
    folder: Path, *, ways: tuple[str, ...] = WAYS, hears_syncs: bool = True, every: int = 1
) -> Outcome:
    """Save a third checkpoint beside two, once for each way to fail and (nth) call to the system.

    Afterwards the second or the third is to be found, exactly, without a word about damage; and
    the next save succeeds and leaves nothing lying about.
    """
    outcome = Outcome("a call to the system that fails or is the last")
    with FaultyDisk(folder).put_in():
        _fail_everywhere(folder, ways, hears_syncs, every, outcome)
    return outcome


def _fail_everywhere(
    folder: Path, ways: tuple[str, ...], hears_syncs: bool, every: int, outcome: Outcome
) -> None:
    base = folder / "base"
    with RunLock(base) as lock:
        store = CheckpointStore(base, lock=lock)
        for update in (1, 2):
            store.save(snapshot_at(update), best=True)
    sound = FaultyDisk(base)
    _try(shutil.copytree(base, folder / "sound"), sound, Outcome(""))
    for way in ways:
        for at in range(0, sound.calls, every):
            run = shutil.copytree(base, folder / f"{way}-{at}")
            disk = FaultyDisk(run, at, way, CODES[at % len(CODES)], hears_syncs)
            outcome.tries += 1
            _try(run, disk, outcome)


def _try(run: Path, disk: FaultyDisk, outcome: Outcome) -> None:
    disk.folder = run
    with RunLock(run) as lock:
        came = _saved(CheckpointStore(run, lock=lock), disk, outcome)
        outcome.count(came)
        found = CheckpointStore(run).latest()
        told = f"{disk.way} at call {disk.at}, {came}"
        updates = (3,) if came == "saved" else (2, 3)
        whole = found is not None and any(same(found.snapshot, snapshot_at(u)) for u in updates)
        outcome.expect(whole and found is not None and not found.skipped, f"{told}: {found}")
        if came == "refused":
            left = [path.name for path in run.rglob("*.part")]
            outcome.expect(not left, f"{told}: {left} is left")
        CheckpointStore(run, lock=lock).save(snapshot_at(4))
        names = sorted(path.name for path in (run / "checkpoints").iterdir())
        clean = len(names) in (2, 3) and not any("." in name for name in names)
        outcome.expect(clean, f"{told}: {names} after the next save")


def _saved(store: CheckpointStore, disk: FaultyDisk, outcome: Outcome) -> str:
    with disk.put_in():
        try:
            store.save(snapshot_at(3), best=True)
        except DiedError:
            return "died"
        except StorageError as error:
            outcome.expect("\n" not in str(error), f"more than a line: {error}")
            return "refused"
    return "saved"
