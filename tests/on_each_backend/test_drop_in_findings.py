"""What the doctor finds in a call of fit: told before its first step, and nothing is refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

import slipstream
from slipstream.commands.fit_findings import findings_of_fit

X = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
LABELS = np.arange(60) % 3


def model(units: int = 3, loss: str = "sparse_categorical_crossentropy") -> Any:
    ending = "softmax" if units > 1 else "sigmoid"
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, activation=ending)])
    net.compile("sgd", loss, metrics=["accuracy"])
    return net


def checks(**arguments: Any) -> set[str]:
    given = {"x": X, "y": LABELS} | arguments
    return {finding.check for finding in findings_of_fit(model(), given)}


def test_nan_is_told_before_the_first_step_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    x = X.copy()
    x[7, 2] = np.nan
    seen: list[int] = []
    begin = keras.callbacks.LambdaCallback(
        on_train_begin=lambda _: seen.append(len(caplog.records))
    )
    with caplog.at_level(logging.WARNING, "slipstream"):
        history = slipstream.fit(model(), x, LABELS, epochs=1, verbose=0, callbacks=[begin])
    said = (
        "Expected finite numbers in the inputs of the training split; got NaN in 1 of 60 examples"
        " (row 7). Leave these examples out, or fill in the missing values. [SLP-408]"
    )
    assert history.slipstream.findings == (said,)
    assert seen == [1]
    assert caplog.messages[0] == f"fit: {said}"
    assert np.isnan(history.history["loss"]).all()


def test_a_healthy_fit_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    history = slipstream.fit(model(), X, LABELS, epochs=1, verbose=0, validation_split=0.2)
    assert history.slipstream.findings == ()
    assert not [entry for entry in caplog.records if entry.name == "slipstream"]


def test_each_form_of_held_out_data_is_looked_at() -> None:
    assert checks() == set()
    assert checks(batch_size=600) == set()
    assert checks(validation_data=(X[:30], LABELS[:30])) == {"shared_rows"}
    assert checks(y=np.sort(LABELS), validation_split=0.2) == {"one_class"}
    assert checks(y=np.sort(LABELS), validation_split=0.4) == {"unseen_class"}
    assert checks(y=np.sort(LABELS), shuffle=False) == {"sorted_labels"}
    assert checks(y=LABELS + 1) == {"sparse_labels"}
    assert checks(sample_weight=np.zeros(60)) == {"weight_values"}


def test_class_weights_answer_imbalance() -> None:
    rare = np.arange(60) % 20 == 0
    arguments = {"x": X, "y": rare}
    binary = model(1, "binary_crossentropy")
    assert {f.check for f in findings_of_fit(binary, arguments)} == {"class_imbalance"}
    # The same arrays are looked at once.
    assert findings_of_fit(binary, arguments) == ()
    weighed = {**arguments, "class_weight": {0: 1.0, 1: 19.0}}
    assert findings_of_fit(model(1, "binary_crossentropy"), weighed) == ()
    named = {**arguments, "class_weight": {"no": 1.0, 1: 19.0}}
    (finding,) = findings_of_fit(model(1, "binary_crossentropy"), named)
    assert "none for class 0, weighed as 1, and one for 'no'" in finding.where


def test_tensors_of_the_backend_are_looked_at_and_generators_left_alone() -> None:
    x = X.copy()
    x[3] = np.inf
    assert checks(x=keras.ops.convert_to_tensor(x)) == {"not_finite"}
    assert checks(x=iter([(x, LABELS)]), y=None) == set()
    assert checks(x=[[1.0, 2.0]], y=[0]) == set()


def batches() -> Iterator[Any]:
    x = X.copy()
    x[3] = np.nan
    while True:
        for start in range(0, 60, 20):
            yield x[start : start + 20], LABELS[start : start + 20]


class Loader(keras.utils.PyDataset):
    """Batches by their numbers; counts how often they are asked for."""

    asked = 0

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        self.asked += 1
        return X[20 * index : 20 * index + 20], LABELS[20 * index : 20 * index + 20]


def test_the_first_batch_of_a_generator_is_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []
    begin = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: seen.append(len(caplog.records)))
    with caplog.at_level(logging.WARNING, "slipstream"):
        history = slipstream.fit(
            model(), batches(), steps_per_epoch=3, verbose=0, shuffle=False, callbacks=[begin]
        )
    (said,) = history.slipstream.findings
    assert "finite numbers in the inputs of the first batch; got NaN in 1 of 20" in said
    assert caplog.messages[0] == f"fit: {said}"
    assert seen == [1]
    assert np.isnan(history.history["loss"]).all()


def test_a_look_at_a_loader_reads_nothing_more() -> None:
    loaders = [Loader(), Loader()]
    kept = [model(), model()]
    kept[1].set_weights(kept[0].get_weights())
    kept[0].fit(loaders[0], epochs=2, verbose=0, shuffle=False)
    history = slipstream.fit(kept[1], loaders[1], epochs=2, verbose=0, shuffle=False)
    assert history.slipstream.findings == ()
    assert history.slipstream.loop == "slipstream"
    assert loaders[1].asked <= loaders[0].asked
    for one, other in zip(kept[0].get_weights(), kept[1].get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
