"""Writers of checkpoints that are killed, one after the other, in one run folder."""

from __future__ import annotations

import random
import time
from multiprocessing.connection import Connection
from pathlib import Path

from slipstream.checkpoint import BackgroundWriter, CheckpointStore, RunLock
from torture.content import same, snapshot_at
from torture.outcome import Outcome
from torture.processes import context

SIZE = 400_000
# What a writer is given at most, after it has begun.
LONGEST_SECONDS = 0.15


def kill(count: int, folder: Path, seed: int = 0) -> Outcome:
    """Kill a process that saves without end at a random moment, so many times.

    What it said was committed last, or a later one, is to be found, exactly; nothing committed is
    damaged; and the next process gets the lock, and goes on from there.
    """
    outcome, draw = Outcome("a writer killed"), random.Random(seed)
    for _ in range(count):
        outcome.tries += 1
        update = _killed(folder, draw)
        found = CheckpointStore(folder).latest()
        if found is None:
            outcome.expect(update == 0, f"nothing is found, where {update} was committed")
            continue
        exact = same(found.snapshot, snapshot_at(found.snapshot.update, SIZE))
        # It may have been ended before it could tell of one that it had committed, and the next.
        near = found.snapshot.update - update in (0, 1, 2)
        outcome.expect(exact and near and not found.skipped, f"after {update}: {found}")
        left = [path for path in found.path.parent.iterdir() if path.suffix]
        outcome.count("while a checkpoint was written", any(p.suffix == ".part" for p in left))
        outcome.count("while one was removed", any(path.suffix == ".gone" for path in left))
    return outcome


def _killed(folder: Path, draw: random.Random) -> int:
    """Return the last update that a process said was committed, or had found, before its end."""
    receiver, sender = context().Pipe(duplex=False)
    process = context().Process(target=_write_without_end, args=(str(folder), sender), daemon=True)
    process.start()
    sender.close()
    update = int(receiver.recv())
    time.sleep(draw.uniform(0.0, LONGEST_SECONDS))
    process.kill()
    process.join()
    while receiver.poll():
        try:
            update = int(receiver.recv())
        except EOFError:
            break
    receiver.close()
    return update


def _write_without_end(folder: str, sender: Connection) -> None:
    with RunLock(Path(folder)) as lock:
        store = CheckpointStore(Path(folder), lock=lock)
        found = store.latest()
        update = found.snapshot.update if found else 0
        sender.send(update)
        with BackgroundWriter(store) as writer:
            while True:
                writer.save(snapshot_at(update + 1, SIZE), best=update % 3 == 0)
                # The one before is committed when the next is taken.
                sender.send(update)
                update += 1
