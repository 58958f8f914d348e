"""Bytes flipped and files cut short, anywhere in a checkpoint."""

from __future__ import annotations

import random
from pathlib import Path

from slipstream.checkpoint import CheckpointStore, RunLock
from torture.content import same, snapshot_at
from torture.outcome import Outcome


def damage(count: int, folder: Path, seed: int = 0) -> Outcome:
    """Damage one file of the newest checkpoint, read, and mend it again, so many times.

    Each time the one before is to be found, exactly, and the sentence about the newest one names
    the file.
    """
    outcome, draw = Outcome("a byte flipped or a file cut short"), random.Random(seed)
    with RunLock(folder) as lock:
        store = CheckpointStore(folder, lock=lock)
        paths = [store.save(snapshot_at(update)).path for update in (1, 2)]
    files = sorted(paths[-1].iterdir())
    for _ in range(count):
        file = draw.choice(files)
        content = file.read_bytes()
        file.write_bytes(_damaged(content, draw, outcome))
        outcome.tries += 1
        outcome.count(file.name)
        _judge(folder, file, outcome)
        file.write_bytes(content)
    found = CheckpointStore(folder).latest()
    whole = found is not None and not found.skipped and same(found.snapshot, snapshot_at(2))
    outcome.expect(whole, "what was mended is still refused")
    return outcome


def _damaged(content: bytes, draw: random.Random, outcome: Outcome) -> bytes:
    place = draw.randrange(len(content))
    outcome.count("cut short", cut := draw.random() < 0.3)
    if cut:
        return content[:place]
    other = content[place] ^ draw.randrange(1, 256)
    return content[:place] + bytes([other]) + content[place + 1 :]


def _judge(folder: Path, file: Path, outcome: Outcome) -> None:
    found = CheckpointStore(folder).latest()
    if found is None or not same(found.snapshot, snapshot_at(1)):
        outcome.expect(False, f"not the one before was read when {file.name} was damaged")
        return
    said = len(found.skipped) == 1 and file.parent.name in found.skipped[0]
    outcome.expect(said and file.name in found.skipped[0], f"not said so: {found.skipped}")
