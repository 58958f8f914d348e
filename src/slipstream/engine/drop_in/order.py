"""In which order the examples of arrays are seen: as Keras' fit would, but for its random draws."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.data.order import epoch_order


def draw_seed(updates: int) -> int:
    """Return a seed for the orders of one fit.

    A digest of NumPy's global random state, which `keras.utils.set_random_seed` sets, and of the
    number of updates made so far. The state is read, not advanced: a script that draws numbers
    after its fit gets those that it would have got without a shuffle. A second fit of the same
    model has another seed, because its optimizer has gone on.

    Args:
        updates: The optimizer's iterations before the fit.
    """
    state: Any = np.random.get_state()
    digest = hashlib.blake2b(np.asarray(state[1]).tobytes(), digest_size=8)
    digest.update(f"{state[2]} {updates}".encode())
    return int.from_bytes(digest.digest(), "little")


def positions_of_epoch(
    num_examples: int, batch_size: int, shuffle: Any, seed: int, epoch: int
) -> NDArray[np.int64] | None:
    """Return the order of the examples in an epoch, or None for the order they are in.

    A pure function of its arguments. Whole batches of it are Keras' batches.

    Args:
        num_examples: How many examples there are.
        batch_size: Examples per batch.
        shuffle: As Keras takes it: a false value, a true one, or "batch", which shuffles the
            examples within each batch.
        seed: What `draw_seed` returned.
        epoch: The epoch, from 0.

    Example:
        >>> positions_of_epoch(5, 2, "batch", seed=0, epoch=0)[-1]
        np.int64(4)
    """
    if not shuffle:
        return None
    if shuffle != "batch":
        return epoch_order(num_examples, seed, epoch)
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64)))
    positions = np.arange(num_examples)
    full = num_examples - num_examples % batch_size
    within = generator.permuted(positions[:full].reshape(-1, batch_size), axis=1)
    return np.concatenate([within.ravel(), generator.permutation(positions[full:])])
