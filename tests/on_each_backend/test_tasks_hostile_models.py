"""Handed-over models that somebody else has written: Keras' safe mode is on, always."""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from slipstream.errors import TaskError
from slipstream.tasks.hand_over import hand_over, task_from_folder
from torture import models

COMMAND = "touch owned"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="last")])
    model.compile("sgd", "mse")
    place = tmp_path_factory.mktemp("strangers") / "task"
    return hand_over(model, np.ones((10, 2)), np.ones((10, 1)), folder=place)


def put(folder: Path, content: bytes) -> None:
    """Write the model's file, and the hash that goes with it: whoever can do one can do both."""
    (folder / "model.keras").write_bytes(content)
    file = folder / "task.json"
    values = json.loads(file.read_text())
    values["digests"]["model.keras"] = hashlib.sha256(content).hexdigest()
    file.write_text(json.dumps(values))


def with_layer(whole: bytes, place: Path, layer: dict) -> bytes:
    """Return a model's file in whose configuration the last layer is another one."""
    (place / "whole.keras").write_bytes(whole)
    with (
        zipfile.ZipFile(place / "whole.keras") as before,
        zipfile.ZipFile(place / "made.keras", "w") as after,
    ):
        for name in before.namelist():
            content = before.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][-1] = layer
                content = json.dumps(config).encode()
            after.writestr(name, content)
    return (place / "made.keras").read_bytes()


def of_lambda() -> dict:
    layer = keras.layers.Lambda(lambda x: (open("owned", "w"), x)[1])  # noqa: PTH123, SIM115
    return keras.saving.serialize_keras_object(layer)


LAYERS = {
    "a lambda": of_lambda,
    "a function of the system": lambda: {
        "module": "os", "class_name": "system", "config": {"command": COMMAND},
        "registered_name": "system",
    },
    "a class of the library": lambda: {
        "module": "subprocess", "class_name": "Popen", "config": {"args": COMMAND, "shell": True},
        "registered_name": None,
    },
    "a function that fetches": lambda: {
        "module": "keras.utils", "class_name": "get_file", "registered_name": None,
        "config": {"origin": "http://127.0.0.1:9/x", "fname": "owned"},
    },
    "no layer": lambda: {"class_name": "__lambda__", "config": {"value": "gASV"}},
}  # fmt: skip


@pytest.mark.parametrize("what", LAYERS)
def test_code_in_a_model_is_refused_and_not_run(folder, tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    whole = (folder / "model.keras").read_bytes()
    put(folder, with_layer(whole, tmp_path, LAYERS[what]()))
    try:
        with pytest.raises(TaskError, match="safe mode") as caught:
            task_from_folder(folder).model()
    finally:
        put(folder, whole)
    assert len(str(caught.value)) < 1000
    assert not list(tmp_path.rglob("owned"))


# What Keras reads, and what it asks of a file: within what the file holds.
HARMLESS = {"a group within itself", "a long note", "the newest form", "99 levels"}


def made_up():
    yield from models.made_up_models()
    yield from ((what, models.model(content)) for what, content in models.made_up_weights())


def test_what_keras_does_not_write_is_refused_before_keras_sees_it(folder, monkeypatch):
    whole, read = (folder / "model.keras").read_bytes(), []
    try:
        for what, content in made_up():
            put(folder, content)
            with monkeypatch.context() as patched:
                patched.setattr(
                    keras.saving, "load_model", lambda *_, what=what, **__: read.append(what)
                )
                with contextlib.suppress(TaskError):
                    task_from_folder(folder).model()
    finally:
        put(folder, whole)
    assert set(read) == HARMLESS


@pytest.mark.parametrize("harm", [lambda c: c[:200], lambda c: b"", lambda c: c[:-30]])
def test_what_is_no_model_is_refused_in_a_sentence(folder, harm):
    whole = (folder / "model.keras").read_bytes()
    put(folder, harm(whole))
    try:
        with pytest.raises(TaskError, match="as Keras writes it"):
            task_from_folder(folder).model()
    finally:
        put(folder, whole)
    assert task_from_folder(folder).model().count_params() == 3
