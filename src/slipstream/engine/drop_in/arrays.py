"""Training arrays, cut into blocks of batches: in place on the device where they are small."""

from __future__ import annotations

from typing import Any, final

import keras
import numpy as np
from keras.src.trainers.data_adapters import array_slicing, data_adapter_utils
from numpy.typing import NDArray

from slipstream.backends import Program
from slipstream.data.splits import Arrays, Split, leaves, map_arrays
from slipstream.engine.drop_in.inputs import (
    MOST_BLOCK_BYTES,
    Portion,
    balanced,
    check_dense,
    check_not_sparse,
    num_bytes,
)
from slipstream.engine.drop_in.models import is_built
from slipstream.engine.drop_in.order import positions_of_epoch
from slipstream.engine.drop_in.report import NotAcceleratedError

# Larger sets stay on the host: they would be there twice.
MOST_PLACED_BYTES = 256 * 2**20

Parts = tuple[Arrays, Arrays, Arrays]


def to_parts(adapter: Any) -> Parts:
    """Return inputs, targets and weights of Keras' adapter of arrays, as NumPy arrays.

    The adapter has checked them, has turned class weights into sample weights, and gives one
    weight for all outputs to each of them; floats become Keras' float type here, as in a fit.

    Raises:
        NotAcceleratedError: They are not dense arrays of numbers.
    """
    check_not_sparse(adapter._inputs)
    sliceable = array_slicing.convert_to_sliceable(adapter._inputs, target_backend="numpy")
    arrays = keras.tree.map_structure(
        lambda part: None if part is None else part.convert_to_numpy(part[0 : len(part.array)]),
        sliceable,
    )
    parts: Parts = data_adapter_utils.unpack_x_y_sample_weight(arrays)
    check_dense(parts)
    return parts


@final
class Draws:
    """Draws from PyTorch's global generator what Keras' way through arrays draws.

    Its loader takes a number at the beginning of each pass and another one after it. Dropout
    without a seed draws from the same generator, so it would see other numbers without them.

    Args:
        adapter: Keras' adapter of the arrays.
    """

    def __init__(self, adapter: Any) -> None:
        is_torch = keras.backend.backend() == "torch"
        self._loader = adapter.get_torch_dataloader() if is_torch else None

    def draw(self) -> None:
        """Draw one number, on PyTorch."""
        if self._loader is not None:
            iter(self._loader)


@final
class ArraySource:
    """See `Source`; in the adapter's batches, in an order of its own where shuffled.

    Args:
        adapter: Keras' adapter of the arrays.
        shuffle: As Keras' fit takes it.
        seed: What `draw_seed` returned.
        as_given: Whether batches are handed over as Keras does to a user's train_step: without
            the targets or weights that do not exist.
    """

    def __init__(self, adapter: Any, shuffle: Any, seed: int, as_given: bool) -> None:
        self._parts = to_parts(adapter)
        self._draws = Draws(adapter)
        self._nest: Arrays = self._parts
        if as_given:
            self._nest = data_adapter_utils.pack_x_y_sample_weight(*self._parts)
        self._as_given = as_given
        self._num = int(next(leaves(self._parts)).shape[0])
        if self._num == 0:
            raise NotAcceleratedError("there are no examples")
        self._size = min(int(adapter.batch_size), self._num)
        self._shuffle, self._seed = shuffle, seed
        self._full = self._num // self._size
        self._is_placed = False
        self._steps = 1
        self._order: NDArray[np.integer[Any]] = np.arange(0)
        self._next = 0

    @property
    def num_batches(self) -> int:
        """Batches in an epoch, the smaller one at its end included."""
        return -(-self._num // self._size)

    @property
    def updates_per_call(self) -> int:
        """How many updates a block has."""
        return self._steps

    def build_state(self, model: Any) -> None:
        """See `Source`; on TensorFlow with a batch of unknown size, as in its fit."""
        if not is_built(model):
            self._draws.draw()
        size = None if keras.backend.backend() == "tensorflow" else self._size
        model._symbolic_build(data_batch=_specs(self._parts, size))

    def specs(self) -> Arrays:
        """See `Source`."""
        return _specs(self._nest, self._size)

    def open(self, program: Program, most: int) -> None:
        """See `Source`; puts the arrays on the device where they are small enough."""
        total = num_bytes(self._parts)
        self._is_placed = total <= MOST_PLACED_BYTES and not self._as_given
        program.place(Split(*self._parts) if self._is_placed else None)
        if not self._is_placed:
            most = min(most, max(1, MOST_BLOCK_BYTES * self._num // (total * self._size + 1)))
        self._steps = balanced(self._full, most)

    def begin_epoch(self, epoch: int) -> None:
        """See `Source`."""
        order = positions_of_epoch(self._num, self._size, self._shuffle, self._seed, epoch)
        if order is None:
            order = np.arange(self._num)
        # With padding for the last block, which no update reads.
        padded = np.pad(order, (0, self._steps * self._size))
        self._order = padded.astype(np.int32) if self._is_placed else padded
        self._next = 0
        self._draws.draw()

    def take(self, at_most: int) -> Portion | None:
        """See `Source`."""
        first = self._next
        count = min(at_most, self._steps, self._full - first)
        if count > 0:
            self._next += count
            return Portion(first, count, self._block(first), is_block=True)
        if first < self.num_batches:
            self._next += 1
            left_over = self._examples(self._order[first * self._size : self._num])
            return Portion(first, 1, left_over, is_block=False)
        self._draws.draw()
        return None

    def _block(self, first: int) -> Arrays:
        start, shape = first * self._size, (self._steps, 1, self._size)
        positions = self._order[start : start + self._steps * self._size]
        if self._is_placed:
            return positions.reshape(shape)
        return map_arrays(
            lambda array: array.reshape(*shape, *array.shape[1:]), self._examples(positions)
        )

    def _examples(self, positions: NDArray[np.integer[Any]]) -> Arrays:
        return map_arrays(lambda array: array[positions], self._nest)


def _specs(arrays: Arrays, size: int | None) -> Arrays:
    return map_arrays(
        lambda array: keras.KerasTensor(
            (size, *array.shape[1:]), keras.backend.standardize_dtype(array.dtype)
        ),
        arrays,
    )
