"""Manifests made up by somebody who knows the hashes, read in a process with limits."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import resource
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from slipstream.checkpoint import CheckpointStore, RunLock
from slipstream.errors import RecordError
from torture.content import snapshot_at
from torture.outcome import Outcome
from torture.processes import context

MOST_BYTES = 3 << 30
MOST_SECONDS = 2.0
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 3, 2**31, 2**53, 2**63 - 1, 2**63, 10**30, 0.5, 1e308, "", "..",
    "../../x", "/etc/passwd", "arrays.bin", "|O", "<f8", "|u1", "<U999999999", "f4,f4", "\x1b[2J\n",
    "0" * 64, [], {}, [0], [2**40, 2**40], [[[[]]]], {"name": "w", "dtype": "|O", "shape": [1]},
)  # fmt: skip


def forge(count: int, folder: Path, seed: int = 0) -> Outcome:
    """Read so many checkpoints with other manifests, whose hashes are right.

    Each is refused in one line, or read (where what was changed says nothing of the files), within
    limits on memory and time. Nothing else may be raised.
    """
    outcome = Outcome("a manifest made up")
    receiver, sender = context().Pipe(duplex=False)
    arguments = (str(folder), count, seed, sender)
    process = context().Process(target=_read_forgeries, args=arguments, daemon=True)
    process.start()
    sender.close()
    for _ in range(count):
        outcome.tries += 1
        try:
            told = receiver.recv()
        except EOFError:
            outcome.expect(False, "the reader died")
            break
        outcome.count(told if told in ("read", "refused") else "worse")
        outcome.expect(told in ("read", "refused"), told)
    receiver.close()
    process.join()
    return outcome


def _read_forgeries(folder: str, count: int, seed: int, sender: Connection) -> None:
    draw = random.Random(seed)
    with RunLock(Path(folder)) as lock:
        path = CheckpointStore(Path(folder), lock=lock).save(snapshot_at(1)).path
    manifest = (path / "manifest.json").read_text("utf-8")
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    for _ in range(count):
        content = _forged(manifest, draw)
        path = renamed(path, content)
        start = time.perf_counter()
        told = _told(Path(folder))
        took = time.perf_counter() - start
        sender.send(told if took < MOST_SECONDS else f"{took:.1f} s for {content[:200]!r}")


def _told(folder: Path) -> str:
    try:
        CheckpointStore(folder).latest()
    except RecordError as error:
        text = str(error)
        if not text.isprintable() or len(text) > 1000 or "memory" in text:
            return f"said so: {text[:1000]!r}"
        return "refused"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "read"


def _forged(manifest: str, draw: random.Random) -> bytes:
    """Return it with one or two of its values replaced, or with a few bytes of its text."""
    if draw.random() < 0.3:
        content = bytearray(manifest.encode())
        for _ in range(draw.randint(1, 3)):
            content[draw.randrange(len(content))] = draw.choice(b'0123456789"{}[],:-e \x00\xff')
        return bytes(content)
    values = json.loads(manifest)
    for _ in range(draw.randint(1, 2)):
        holder, key = draw.choice(list(_places(values)))
        holder[key] = copy.deepcopy(draw.choice(VALUES))
    return json.dumps(values).encode()


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place of a value in lists and mappings: what holds it, and where."""
    keys = list(values) if isinstance(values, dict) else range(len(values))
    for key in keys:
        yield values, key
        if isinstance(values[key], dict | list):
            yield from _places(values[key])


def renamed(path: Path, content: bytes) -> Path:
    """Return the checkpoint with other content, under the name that its manifest asks for."""
    (path / "manifest.json").write_bytes(content)
    number, update, _ = path.name.split("-")
    try:
        told = json.loads(content)
        if all(isinstance(told[name], int) for name in ("number", "update")):
            number, update = f"{told['number']:08d}", f"{told['update']:012d}"
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    if not (number.isdecimal() and update.isdecimal() and len(number + update) < 36):
        number, update = "00000001", "000000000001"
    digest = hashlib.sha256(content).hexdigest()[:16]
    return path.rename(path.with_name(f"{number[:18]}-{update[:18]}-{digest}"))
