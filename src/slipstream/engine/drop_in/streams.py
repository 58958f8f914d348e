"""Training data that come batch by batch: datasets, loaders and generators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import keras
import numpy as np
from keras.src.trainers.data_adapters import data_adapter_utils
from keras.src.trainers.data_adapters.tf_dataset_adapter import TFDatasetAdapter
from keras.src.trainers.epoch_iterator import EpochIterator

from slipstream.backends import Program
from slipstream.data.splits import Arrays, leaves, map_arrays
from slipstream.engine.drop_in.first_batch import show
from slipstream.engine.drop_in.inputs import (
    MOST_BLOCK_BYTES,
    Portion,
    balanced,
    check_dense,
    num_bytes,
)
from slipstream.engine.drop_in.models import is_built
from slipstream.engine.drop_in.report import NotAcceleratedError
from slipstream.errors import DataError


@final
class Batches(EpochIterator):
    """Keras' way through the epochs of any data, batch by batch, in the form its backend takes."""

    def _get_iterator(self) -> Any:
        backend = keras.backend.backend()
        if backend == "torch":
            return self.data_adapter.get_torch_dataloader()
        if backend == "jax":
            return self.data_adapter.get_jax_iterator()
        if isinstance(self.data_adapter, TFDatasetAdapter):
            # The dataset itself: Keras makes an iterator more than it uses, which moves on the
            # seed of a dataset that is shuffled anew each time.
            return self.data_adapter.get_tf_dataset()
        return self.data_adapter.get_numpy_iterator()


@final
class StreamSource:
    """See `Source`; batches of the same shapes that follow each other make a block.

    Args:
        batches: Keras' iterator over epochs.
        as_given: Whether batches are handed over as they came: for a user's train_step.
    """

    def __init__(self, batches: Batches, as_given: bool) -> None:
        self._batches = batches
        self._as_given = as_given
        self._most = 1
        self._steps = 0
        self._main: Any = None
        self._epoch: Iterator[Arrays] = iter(())
        self._held: Arrays | None = None
        self._next = 0
        self._number = 0
        self._inputs: list[tuple[int | None, ...]] = []
        _refuse_ragged_datasets(batches.data_adapter)

    @property
    def num_batches(self) -> int | None:
        """Batches in an epoch, or None as long as nobody knows."""
        known: int | None = self._batches.num_batches
        return known

    @property
    def updates_per_call(self) -> int:
        """How many updates a block has."""
        return max(1, self._steps)

    def build_state(self, model: Any) -> None:
        """See `Source`; looks at the data no more than Keras does."""
        inputs = getattr(model, "inputs", None) or []
        self._inputs = [tuple(tensor.shape[1:]) for tensor in inputs]
        if keras.backend.backend() == "tensorflow":
            batch = None if is_built(model) else _specs(self._batches.data_adapter)
            model._symbolic_build(data_batch=batch)
        else:
            model._symbolic_build(iterator=self._batches)
        self._batches.reset()

    def specs(self) -> Arrays:
        """See `Source`."""
        parts = _specs(self._batches.data_adapter)
        return data_adapter_utils.pack_x_y_sample_weight(*parts) if self._as_given else parts

    def open(self, program: Program, most: int) -> None:
        """See `Source`; PyTorch runs step by step: there a block would only be a copy."""
        program.place(None)
        self._most = 1 if keras.backend.backend() == "torch" else most

    def begin_epoch(self, epoch: int) -> None:
        """See `Source`."""
        self._number = epoch
        self._epoch = (data[0] for _, _, data in self._batches)
        self._held = None
        self._next = 0

    def take(self, at_most: int) -> Portion | None:
        """See `Source`; a batch of other shapes than the first one goes alone."""
        batch = self._pull()
        if batch is None:
            return None
        if self._main is None:
            check_dense(batch)
            show(*data_adapter_utils.unpack_x_y_sample_weight(batch))
            self._main = _shapes(batch)
            self._steps = self._block_size(batch)
        if _shapes(batch) != self._main:
            _refuse_other_inputs(batch, self._inputs, self._next, self._number)
            return self._portion(1, batch, is_block=False)
        block = [batch]
        while len(block) < min(at_most, self._steps):
            batch = self._pull()
            if batch is None:
                break
            if _shapes(batch) != self._main:
                self._held = batch
                break
            block.append(batch)
        return self._portion(len(block), self._stacked(block), is_block=True)

    def _portion(self, count: int, arrays: Arrays, is_block: bool) -> Portion:
        self._next += count
        return Portion(self._next - count, count, arrays, is_block)

    def _pull(self) -> Arrays | None:
        if self._held is not None:
            batch, self._held = self._held, None
            return batch
        batch = next(self._epoch, None)
        if batch is None:
            return None
        parts = data_adapter_utils.unpack_x_y_sample_weight(batch)
        return data_adapter_utils.pack_x_y_sample_weight(*parts) if self._as_given else parts

    def _block_size(self, batch: Arrays) -> int:
        most = min(self._most, max(1, MOST_BLOCK_BYTES // max(1, num_bytes(batch))))
        return most if self.num_batches is None else balanced(self.num_batches, most)

    def _stacked(self, block: list[Arrays]) -> Arrays:
        if self._steps == 1:
            return map_arrays(lambda leaf: leaf[None, None], block[0])
        block = block + [block[-1]] * (self._steps - len(block))
        return _zipped(block)


def _zipped(block: list[Arrays]) -> Arrays:
    """Return one nest of arrays of shape (batches, 1, ...) from a list of nests."""
    columns = zip(*(leaves(batch) for batch in block), strict=True)
    stacked = iter([np.stack([np.asarray(leaf) for leaf in column])[:, None] for column in columns])
    return map_arrays(lambda _: next(stacked), block[0])


def _shapes(batch: Arrays) -> Any:
    described = map_arrays(lambda leaf: f"{tuple(leaf.shape)} {leaf.dtype}", batch)
    return repr(described)


def _refuse_other_inputs(
    batch: Arrays, declared: list[tuple[int | None, ...]], number: int, epoch: int
) -> None:
    """Refuse a later batch whose inputs the model cannot take; what fits it may have any size."""
    x = batch[0] if isinstance(batch, tuple) else batch
    found = [] if isinstance(x, dict) else [tuple(leaf.shape[1:]) for leaf in leaves(x)]
    for shape, wanted in zip(found, declared, strict=False):
        # Keras adds and takes away a last axis of 1 itself.
        if len(found) != len(declared) or abs(len(shape) - len(wanted)) == 1:
            continue
        sizes = zip(shape, wanted, strict=False)
        if len(shape) != len(wanted) or any(b is not None and a != b for a, b in sizes):
            raise DataError(
                f"inputs of shape {_in_words(wanted)} in every batch, as the model's input",
                f"{_in_words(shape)} in batch {number} of epoch {epoch}, both counted from 0",
                "Pad or resize examples to one shape, in every epoch.",
                code="SLP-316",
            )


def _in_words(shape: tuple[int | None, ...]) -> str:
    sizes = ["?" if size is None else str(size) for size in shape]
    return f"({', '.join(['N', *sizes])})"


def _refuse_ragged_datasets(adapter: Any) -> None:
    # As NumPy arrays they would be filled up with zeros without a word.
    specification = getattr(getattr(adapter, "_dataset", None), "element_spec", None)
    for part in keras.tree.flatten(specification):
        if part is not None and type(part).__name__ != "TensorSpec":
            raise NotAcceleratedError(f"the dataset holds a {type(part).__name__}")
        if part is not None and part.dtype.name in ("string", "variant", "resource"):
            raise NotAcceleratedError(f"the dataset holds values of type {part.dtype.name}")


def _specs(adapter: Any) -> Any:
    """Return the shapes of a batch, from where Keras' TensorFlow trainer would read them."""
    if hasattr(getattr(adapter, "_dataset", None), "element_spec"):
        shapes = adapter._dataset.element_spec
    elif hasattr(adapter, "_output_signature") and adapter._output_signature is not None:
        shapes = adapter._output_signature
    elif hasattr(adapter, "_first_batches"):
        shapes = adapter._first_batches[0]
    elif hasattr(adapter, "py_dataset"):
        shapes = adapter._standardize_batch(adapter.py_dataset[0])
    else:
        shapes = next(iter(adapter.get_numpy_iterator()))
    parts = data_adapter_utils.unpack_x_y_sample_weight(shapes)
    check_dense(parts)
    return map_arrays(
        lambda leaf: keras.KerasTensor(
            (None, *leaf.shape[1:]), keras.backend.standardize_dtype(leaf.dtype)
        ),
        parts,
    )
