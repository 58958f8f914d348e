"""Checkpoints on disk: committed as a whole or not at all, verified when they are read.

What a training's state is, the engine knows; here it is arrays and plain values.
"""

from slipstream.checkpoint._writing import why_not_kept
from slipstream.checkpoint.background import BackgroundWriter
from slipstream.checkpoint.lock import RunLock
from slipstream.checkpoint.snapshot import Found, Saved, Snapshot
from slipstream.checkpoint.store import CheckpointStore

__all__ = [
    "BackgroundWriter",
    "CheckpointStore",
    "Found",
    "RunLock",
    "Saved",
    "Snapshot",
    "why_not_kept",
]
