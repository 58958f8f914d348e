"""Snapshots that tell by their update what has to be in them."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from slipstream.checkpoint import Snapshot


def snapshot_at(update: int, num_bytes: int = 20_000) -> Snapshot:
    """Return a snapshot whose every byte follows from its update and size."""
    draw = np.random.default_rng(update)
    arrays = {
        "weights/0": draw.standard_normal((num_bytes // 8, 2), np.float32).T,
        "weights/1": draw.standard_normal(5).astype(ml_dtypes.bfloat16),
        "seeds/0": draw.integers(0, 2**32, 2, np.uint32),
        "none": np.empty((0, 3), np.float32),
        "scalar": np.array(update, np.float64),
        "names": np.array(["Zoë", "x"]),
        "../flags": draw.random(7) < 0.5,
    }
    values = {
        "losses": draw.random(8).tolist(),
        "best": float("nan") if update % 2 else None,
        "events": [{"update": update, "what": "Grüße"}],
    }
    return Snapshot(arrays, values, epoch=update // 10, update=update)


def same(one: Snapshot, other: Snapshot) -> bool:
    """Whether two snapshots hold the same, bit for bit, in the same order."""
    return _told(one) == _told(other)


def _told(snapshot: Snapshot) -> list[object]:
    arrays = [
        (name, array.dtype, array.shape, np.asarray(array).tobytes())
        for name, array in snapshot.arrays.items()
    ]
    return [arrays, repr(snapshot.values), snapshot.epoch, snapshot.update]
