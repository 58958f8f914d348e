"""What a drop-in fit trains on: everything that Keras' fit takes, in the order it comes in."""

import keras
import numpy as np
import pytest
from drop_in_help import BACKEND, NUM_FEATURES, net, numbers, problem, same

import slipstream


def model(dropout=0.2):
    """Return a net whose random draws show a step too many or too few."""
    return net(optimizer=lambda: keras.optimizers.SGD(0.1, momentum=0.9), dropout=dropout)


def batches(num=44, size=8, seed=0):
    """Yield batches of which the last one is smaller."""
    x, y = problem(num, seed)
    for start in range(0, num, size):
        yield x[start : start + size], y[start : start + size]


def for_ever(size=8):
    """Yield batches without an end."""
    while True:
        yield from batches(40, size)


class Rows(keras.utils.PyDataset):
    """A PyDataset that counts its epochs."""

    def __init__(self, weighted=False):
        super().__init__()
        self.parts = list(batches())
        self.weighted = weighted
        self.epochs = 0

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, index):
        x, y = self.parts[index]
        return (x, y, np.linspace(0.5, 1.5, len(x)).astype("float32")) if self.weighted else (x, y)

    def on_epoch_end(self):
        self.epochs += 1


def tf_dataset():
    """Return a tf.data.Dataset, shuffled by a seed, of unknown size but on TensorFlow."""
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices(problem(44)).shuffle(44, seed=3).batch(8)
    return dataset if BACKEND == "tensorflow" else dataset.filter(lambda x, y: True)


def torch_loader():
    """Return a torch DataLoader."""
    import torch

    x, y = problem(44)
    examples = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    return torch.utils.data.DataLoader(examples, batch_size=8)


def grain_map(num=44):
    """Return a grain.MapDataset, shuffled by a seed, of batches."""
    import grain

    examples = list(zip(*problem(num), strict=True))
    return grain.MapDataset.source(examples).seed(3).shuffle().batch(8)


def grain_iterable():
    """Return the same as a grain.IterDataset."""
    return grain_map().to_iter_dataset()


def grain_loader():
    """Return a grain.DataLoader that shuffles one pass over the examples."""
    import grain

    examples = list(zip(*problem(44), strict=True))
    order = grain.samplers.IndexSampler(len(examples), shuffle=True, seed=3, num_epochs=1)
    batched = grain.transforms.Batch(8)
    return grain.DataLoader(data_source=examples, sampler=order, operations=[batched])


@pytest.mark.filterwarnings("ignore:.*shuffle=True.*", "ignore:.*ran out of data")
@pytest.mark.parametrize("x", [grain_map, grain_iterable, grain_loader])
def test_grain(x):
    pytest.importorskip("grain")
    # On TensorFlow Keras counts an update more, as of a generator that ends.
    is_miscounted = BACKEND == "tensorflow"
    both = same(
        lambda: model(0.0 if is_miscounted else 0.2),
        lambda: {"x": x(), "epochs": 2, "validation_data": grain_map(20)},
        parts=("weights",) if is_miscounted else ("weights", "optimizer"),
    )
    assert int(both.ours.optimizer.iterations) == 12
    assert both.report.updates_per_call > 1 or BACKEND == "torch"


@pytest.mark.filterwarnings("ignore:.*shuffle=True.*", "ignore:.*ran out of data")
@pytest.mark.parametrize(
    ("x", "settings"),
    [
        (for_ever, {"steps_per_epoch": 7, "epochs": 3}),
        (Rows, {}),
        (lambda: Rows(weighted=True), {"steps_per_epoch": 4}),
        (tf_dataset, {}),
        (torch_loader, {}),
    ],
    ids=["generator", "PyDataset", "weighted", "tf", "loader"],
)
def test_data_that_come_in_batches(x, settings):
    both = same(
        model, lambda: {"x": x(), "epochs": 2, **settings, "validation_data": (*problem(20, 5),)}
    )
    assert both.report.updates_per_call > 1 or BACKEND == "torch"


@pytest.mark.filterwarnings("ignore:.*ran out of data")
def test_a_generator_that_ends_ends_the_epoch():
    # On TensorFlow Keras counts an update more, and draws once more: its step for the batch that
    # does not come has begun when the data turn out to have ended.
    is_miscounted = BACKEND == "tensorflow"
    both = same(
        lambda: model(0.0 if is_miscounted else 0.2),
        lambda: {"x": batches()},
        parts=("weights",) if is_miscounted else ("weights", "optimizer"),
    )
    assert int(both.ours.optimizer.iterations) == 6


def test_validation_on_other_data_is_left_to_keras():
    x, y = problem(24)
    both = same(
        model,
        lambda: {
            "x": x,
            "y": y,
            "batch_size": 8,
            "epochs": 2,
            "validation_data": Rows(),
            "validation_steps": 3,
        },
    )
    assert any("Keras evaluates" in fallback for fallback in both.report.fallbacks)


def test_arrays_with_steps_for_an_epoch():
    x, y = problem(44)
    fit = {"x": x, "y": y, "batch_size": 8, "steps_per_epoch": 2, "epochs": 3}
    same(model, lambda: fit)


@pytest.mark.parametrize("form", ["float64", "lists of inputs", "pandas", "tensors"])
def test_forms_of_arrays(form):
    x, y = problem(28)

    def make():
        if form != "lists of inputs":
            return model()
        left, right = keras.Input((2,)), keras.Input((NUM_FEATURES - 2,))
        both = keras.layers.Concatenate()([left, right])
        built = keras.Model([left, right], keras.layers.Dense(3)(both))
        built.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return built

    def fit():
        if form == "float64":
            given = (x.astype("float64"), y.astype("int32"))
        elif form == "lists of inputs":
            given = ([x[:, :2], x[:, 2:]], y)
        elif form == "pandas":
            pandas = pytest.importorskip("pandas")
            given = (pandas.DataFrame(x), pandas.Series(y))
        else:
            given = (keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(y))
        return {"x": given[0], "y": given[1], "batch_size": 8, "validation_data": given}

    same(make, fit)


def test_batches_larger_than_the_data_and_a_single_one():
    x, y = problem(5)
    same(model, lambda: {"x": x, "y": y, "batch_size": 8, "epochs": 2, "validation_data": (x, y)})


def test_no_targets_where_the_model_needs_none():
    def make():
        x = keras.Input((NUM_FEATURES,))
        built = keras.Model(
            x, keras.layers.ActivityRegularization(l2=0.1)(keras.layers.Dense(2)(x))
        )
        built.compile("sgd")
        return built

    same(make, lambda: {"x": numbers(20, NUM_FEATURES), "batch_size": 8})


def test_a_model_that_is_built_by_its_first_batch():
    def make():
        built = keras.Sequential([keras.layers.Dense(4, "relu"), keras.layers.Dense(3)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        built.compile("sgd", loss, metrics=["accuracy"])
        return built

    x, y = problem(44)
    same(make, lambda: {"x": x, "y": y, "batch_size": 8, "epochs": 2})


def test_large_sets_stay_on_the_host(monkeypatch):
    from slipstream.engine.drop_in import arrays, inputs

    monkeypatch.setattr(arrays, "MOST_PLACED_BYTES", 0)
    monkeypatch.setattr(arrays, "MOST_BLOCK_BYTES", 8 * 3 * 4 * (NUM_FEATURES + 2))
    assert inputs.MOST_UPDATES > 3
    x, y = problem(44)
    both = same(model, lambda: {"x": x, "y": y, "batch_size": 8, "epochs": 2})
    assert both.report.updates_per_call in (2, 3)


def test_pydatasets_are_told_of_epochs_as_by_keras():
    data = []

    def fit():
        data.append(Rows())
        return {"x": data[-1], "epochs": 2}

    same(model, fit)
    assert data[0].epochs == data[1].epochs


def test_positional_arguments_are_those_of_keras():
    x, y = problem(20)
    history = slipstream.fit(model(), x, y, 10, 2, 0, None, 0.5)
    assert history.epoch == [0, 1]
    assert "val_loss" in history.history
