"""Examples from files: the same batches, the same training and exact values, however kept."""

import time

import keras
import numpy as np
import pytest
from engine_help import plan, sparse_loss

from image_files import write_folder
from slipstream.data import Data, Split, image_folder, to_data
from slipstream.data.columns import Column
from slipstream.data.order import epoch_order
from slipstream.engine import Limits, Probe, bounds, check, train
from slipstream.engine.feed import Feed, Ragged, evaluation_batches
from slipstream.engine.keras_feed import FileBatches
from slipstream.engine.pipeline import prepared
from slipstream.errors import DataError, PlanError
from slipstream.task import Task


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "images"
    return root, write_folder(root, per_class=11)


def from_files(folder):
    root, _ = folder
    split = image_folder(root, size=(8, 8))
    return Data(split, Split(split.x, split.y))


def in_arrays(folder):
    split = Split(folder[1], np.repeat([0, 1], 11))
    return Data(split, split)


def flat(feed, epoch, done=0):
    """All arrays that an epoch hands out, padding left out."""
    found = []
    for block in feed.epoch(epoch, done):
        batches = block.batches if isinstance(block, Ragged) else [block.arrays]
        end = None if isinstance(block, Ragged) else block.count
        found += [(x[:end], y[:end]) for x, y, _ in batches]
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data.cache": "none", "data.threads": 3},
        {"data.cache": "disk", "batch.accumulation": 2, "runtime.steps_per_execution": 4},
        {"data.cache": "hybrid", "data.memory_budget": "128MiB", "batch.remainder": "drop"},
        {"data.prefetch": 0, "augmentation.shift": 1},
        {"data.prefetch": 3, "augmentation.shift": 1, "duration.evaluations_per_epoch": 2},
    ],
)
def test_batches_are_those_of_the_arrays_whatever_the_cache(folder, changes):
    changes = {"batch.size": 4, **changes}
    plain = {key: value for key, value in changes.items() if not key.startswith("data.")}
    feed = Feed(prepared(from_files(folder), plan(changes)).data.train, plan(changes))
    wanted = Feed(in_arrays(folder).train, plan(plain))
    try:
        for epoch, done in ((0, 0), (1, 0), (2, 1), (0, 0)):
            pairs = zip(flat(feed, epoch, done), flat(wanted, epoch, done), strict=True)
            for (x, y), (wanted_x, wanted_y) in pairs:
                np.testing.assert_array_equal(x, wanted_x)
                np.testing.assert_array_equal(y, wanted_y)
    finally:
        feed.close()


def test_a_split_in_files_is_evaluated_whole(folder):
    _, seen = folder
    batches = evaluation_batches(from_files(folder).validation, 8)
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate([x for x, _, _ in batches]), seen)
    assert len(batches) == 11


def net():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )


def task(data, model=net):
    return Task(
        model=model,
        data=lambda: data,
        loss=sparse_loss(),
        metrics=["accuracy"],
        monitor="val_loss",
    )


def values(record):
    return [point.values for point in record.points]


def test_a_training_from_files_is_that_of_the_arrays(folder):
    wanted = values(train(task(in_arrays(folder)), plan({"schedule.peak": 0.01})))
    hybrid = {"data.cache": "hybrid", "data.memory_budget": "128MiB", "schedule.peak": 0.01}
    record = train(task(from_files(folder)), plan(hybrid))
    assert values(record) == wanted
    assert record.applied["data.memory_budget"].startswith("128MiB, room for ")
    assert record.applied["data.prefetch"] == "2 calls made ready ahead"
    device = train(task(from_files(folder)), plan({"data.cache": "device", "schedule.peak": 0.01}))
    assert device.applied["data.cache"] == "22 training examples on the device"
    for got, want in zip(values(device), wanted, strict=True):
        assert got == pytest.approx(want, rel=1e-5)


def test_keras_own_loop_trains_from_files_in_an_order_of_seed_and_epoch(folder):
    changes = {"runtime.loop": "keras", "runtime.lowering": False, "schedule.peak": 0.01}
    record = train(task(from_files(folder)), plan(changes))
    assert record.updates == 9
    assert record.outcome == "completed"
    batches = FileBatches(from_files(folder).train, plan(), is_training=True)
    batches.begin_epoch(1)
    order = epoch_order(22, 0, 1)
    np.testing.assert_array_equal(batches[2][0], folder[1][order[16:]])
    batches.close()


def test_keras_own_loop_sees_what_ours_sees_however_far_it_reads_ahead(folder):
    """Each example once in each epoch: batches that are ready too early are none of the next."""
    changes = {"schedule.peak": 0.01, "duration.epochs": 4, "runtime.lowering": False}
    wanted = values(train(task(from_files(folder)), plan(changes)))
    for more in ({"data.prefetch": 0}, {"data.prefetch": 4, "data.threads": 3}):
        keras_own = plan({**changes, **more, "runtime.loop": "keras"})
        got = values(train(task(from_files(folder)), keras_own))
        for mine, theirs in zip(got, wanted, strict=True):
            assert mine["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-4)


def test_a_probe_measures_examples_from_files(folder):
    assert min(Probe(task(from_files(folder)), plan(), from_files(folder)).measure(0.05, 2)) > 0


def test_settings_for_files_are_refused_for_arrays(folder):
    data = in_arrays(folder)
    for changes, says in (
        ({"data.cache": "disk"}, "data.cache"),
        ({"data.memory_budget": "1GiB"}, "data.memory_budget"),
        ({"data.threads": 2}, "data.threads"),
    ):
        with pytest.raises(PlanError, match=says):
            check(task(data), plan(changes), data)


def test_a_budget_without_room_for_what_is_under_way_is_refused(folder):
    data = from_files(folder)
    with pytest.raises(PlanError, match="at least"):
        train(task(data), plan({"data.memory_budget": "1KiB"}), data=data)


def test_a_file_that_breaks_while_training_ends_it_with_its_name(tmp_path):
    write_folder(tmp_path / "images", per_class=6)
    data = from_files((tmp_path / "images", None))
    (tmp_path / "images" / "class_1" / "004.png").unlink()
    with pytest.raises(DataError, match=r"004\.png"):
        train(task(data), plan(), data=data)


class Slow(Column):
    """Examples of which each takes a while to read."""

    def __init__(self, num, seconds):
        super().__init__((num, 8), "float32")
        self._seconds = seconds

    def read(self, rows, out):
        time.sleep(self._seconds * len(rows))
        out[:] = rows[:, None] / 100

    def identity(self):
        yield b"slow"


def layers_of(*units):
    def model():
        return keras.Sequential([keras.Input((8,)), *map(keras.layers.Dense, (*units, 2))])

    return model


def test_what_bounds_three_nets_is_told_right(monkeypatch):
    # Few updates are enough here, for the three are worlds apart.
    monkeypatch.setattr(bounds, "SHORTEST_SECONDS", 0.0)
    labels = np.arange(256) % 2
    few = Split(np.zeros((2, 8), "float32"), labels[:2])
    arrays = Split(np.random.default_rng(0).normal(size=(256, 8)).astype("float32"), labels)
    slow = Split(Slow(256, 0.03), labels)
    cases = {
        "input-bound": (slow, layers_of(4), {"data.cache": "none", "batch.size": 16}, 6),
        "overhead-bound": (arrays, layers_of(4), {"batch.size": 4}, 100),
        "compute-bound": (arrays, layers_of(1500, 1500), {"batch.size": 256}, 6),
    }
    for verdict, (split, model, changes, updates) in cases.items():
        changes |= {"schedule.peak": 1e-6, "duration.epochs": 10}
        data = Data(split, few)
        record = train(task(data, model), plan(changes), data=data, limits=Limits(updates=updates))
        assert record.bound is not None
        assert record.bound.verdict == verdict, record.bound
        assert record.timings.wait_seconds <= record.timings.train_seconds


def test_a_py_dataset_is_read_once():
    class Pairs(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return np.full((4, 2), index, "float32"), np.arange(4)

    data = to_data((Pairs(), (np.zeros((1, 2)), np.zeros(1))))
    assert data.train.x[:, 0].tolist() == [0.0] * 4 + [1.0] * 4 + [2.0] * 4


def test_the_backends_own_pipeline_is_read_once(backend):
    x, y = np.arange(20, dtype="float32").reshape(10, 2), np.arange(10)
    if backend == "tensorflow":
        import tensorflow as tf

        made = tf.data.Dataset.from_tensor_slices((x, y))
        with pytest.raises(DataError, match="with an end"):
            to_data(made.batch(4).repeat())
        with pytest.raises(DataError, match="single examples"):
            to_data(made)
        pipeline = made.batch(4)
    elif backend == "torch":
        import torch

        tensors = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
        pipeline = torch.utils.data.DataLoader(tensors, batch_size=4)
    else:
        pytest.skip("JAX has no pipeline of its own")
    data = to_data((pipeline, (x, y)))
    np.testing.assert_array_equal(data.train.x, x)
    np.testing.assert_array_equal(data.train.y, y)
