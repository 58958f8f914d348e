"""What hands out batches and does it badly: one sentence, before the first step or at the batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from slipstream.data import to_data
from slipstream.engine import drop_in
from slipstream.errors import DataError

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = (X[:, :1] > 0).astype("float32")
TWO_EPOCHS = {"epochs": 2, "steps_per_epoch": 4, "verbose": 0, "shuffle": False}


class Batches(keras.utils.PyDataset):
    """Batches as a function makes them of their number."""

    def __init__(self, make: Any, count: int) -> None:
        super().__init__()
        self._make, self._count = make, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        return self._make(index)


def batch(index: int) -> Any:
    rows = slice(8 * index, 8 * index + 8)
    return X[rows], Y[rows]


def wider(index: int) -> Any:
    x, y = batch(index)
    return (np.pad(x, ((0, 0), (0, 1))), y) if index == 3 else (x, y)


def as_text(index: int) -> Any:
    x, y = batch(index)
    return (x.astype("U8"), y) if index == 2 else (x, y)


def with_weights(index: int) -> Any:
    x, y = batch(index)
    return (x, y, np.ones(8)) if index == 1 else (x, y)


def broken(index: int) -> Any:
    if index == 4:
        raise RuntimeError("the disk is gone.")
    return batch(index)


def running_out(index: int) -> Any:
    return [batch(i) for i in range(3)][index]


def alone(index: int) -> Any:
    return X[index]


BAD: dict[str, tuple[Any, int, tuple[str, ...]]] = {
    "another shape": (wider, 5, ("float32[3]", "float32[4] in batch 3 of the keras.utils.", "Pad")),
    "another type": (as_text, 5, ("float32[3]", "in batch 2")),
    "weights at times": (with_weights, 5, ("2 arrays in every batch", "3 in batch 1")),
    "an error": (broken, 5, ("batch 4", "RuntimeError: the disk is gone in test_bad_loaders.py")),
    "fewer than it says": (running_out, 5, ("batch 3", "IndexError", "test_bad_loaders.py, line")),
    "none": (batch, 0, ("batches", "got none")),
    "examples alone": (alone, 5, ("batches (x, y)", "ndarray")),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_loader_is_refused_with_the_batch(name: str) -> None:
    make, count, words = BAD[name]
    with pytest.raises(DataError) as caught:
        to_data(Batches(make, count))
    assert not [word for word in words if word not in str(caught.value)], str(caught.value)


def test_a_dataset_of_the_backend_that_changes_shapes_is_refused(backend: str) -> None:
    if backend == "tensorflow":
        tf = pytest.importorskip("tensorflow")
        shapes = tf.TensorSpec((None, None)), tf.TensorSpec((None, 1))
        loader = tf.data.Dataset.from_generator(
            lambda: map(wider, range(5)), output_signature=shapes
        )
    elif backend == "torch":
        torch = pytest.importorskip("torch")
        loader = torch.utils.data.DataLoader(
            [wider(index) for index in range(5)], batch_size=None, collate_fn=lambda one: one
        )
    else:
        pytest.skip("JAX has no datasets of its own")
    with pytest.raises(DataError, match=r"float32\[4\] in batch 3 of the"):
        to_data(loader)


def test_a_generator_in_the_place_of_a_split_is_explained() -> None:
    for loaded in ((batch(i) for i in range(5)), {"train": (batch(i) for i in range(5))}):
        with pytest.raises(DataError, match=r"generator.*keras\.utils\.PyDataset"):
            to_data(loaded)


def model() -> Any:
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, activation="sigmoid")])
    net.compile("sgd", "binary_crossentropy")
    return net


def epochs(make_later: Any) -> Iterator[Any]:
    for index in range(4):
        yield batch(index)
    for index in range(4):
        yield make_later(index)


def test_another_shape_in_epoch_two_is_named() -> None:
    with pytest.raises(DataError) as caught:
        drop_in.fit(model(), epochs(wider), **TWO_EPOCHS)
    assert "shape (N, 3) in every batch" in str(caught.value)
    assert "(N, 4) in batch 3 of epoch 1, both counted from 0" in str(caught.value)


def test_other_sizes_of_batches_in_epoch_two_are_no_trouble() -> None:
    history = drop_in.fit(
        model(),
        epochs(lambda index: tuple(part[: index + 2] for part in batch(index))),
        **TWO_EPOCHS,
    )
    assert history.slipstream.loop == "slipstream"
    assert len(history.history["loss"]) == 2


@pytest.mark.filterwarnings("ignore:.*ran out of data:UserWarning")
def test_data_that_run_out_are_told_and_training_ends(caplog: pytest.LogCaptureFixture) -> None:
    settings = {**TWO_EPOCHS, "epochs": 4}
    net, plain = model(), model()
    plain.set_weights(net.get_weights())
    history = drop_in.fit(net, epochs(batch), **settings)
    assert len(history.history["loss"]) == 2
    assert "Expected batches for 4 epochs; got none in epoch 2" in caplog.text
    # What was trained until then is what Keras trains on as many epochs.
    wanted = plain.fit(epochs(batch), **TWO_EPOCHS).history["loss"]
    np.testing.assert_allclose(history.history["loss"], wanted, rtol=1e-4)
    np.testing.assert_allclose(net.get_weights()[0], plain.get_weights()[0], rtol=1e-4)
