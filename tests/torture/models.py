"""Weights, models and journals of searches: whole ones, and such as somebody made up with care."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from slipstream.data.keras_files import why_not_model, why_not_weights
from slipstream.errors import RecordError
from slipstream.plan import Plan
from slipstream.tuning import journal

WEIGHTS_FILE, MODEL_FILE = "x.weights.h5", "model.keras"
CONFIG = {
    "module": "keras",
    "class_name": "Sequential",
    "config": {
        "name": "model",
        "layers": [
            {
                "module": "keras.layers",
                "class_name": "InputLayer",
                "config": {"batch_shape": [None, 2], "name": "in"},
                "registered_name": None,
            },
            {
                "module": "keras.layers",
                "class_name": "Dense",
                "config": {"name": "last", "units": 1},
                "registered_name": None,
            },
        ],
    },
    "registered_name": None,
}
Write = Callable[[h5py.File], object]


def weights(write: Write | None = None, **how: Any) -> bytes:
    """Return a file of weights with whatever is put in beside those of the model."""
    sink = io.BytesIO()
    with h5py.File(sink, "w", **how) as file:
        group = file.create_group("layers/dense/vars")
        group.attrs["name"] = "last"
        group["0"], group["1"] = np.ones((2, 1), "f4"), np.ones(1, "f4")
        if write is not None:
            write(file)
    return sink.getvalue()


def model(
    content: bytes, config: bytes | None = None, method: int = zipfile.ZIP_STORED, **more: bytes
) -> bytes:
    """Return the archive of a model with these weights, and more members."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", config or json.dumps(CONFIG))
        archive.writestr("model.weights.h5", content)
        for name, member in more.items():
            archive.writestr(name, member)
    return sink.getvalue()


def searched(file: Path) -> bytes:
    """Return the journal of a short search, which is written to a file that is not there yet."""
    study, _ = journal.open_study(file)
    study.set_user_attr(journal.RANGES, {"sgd": {"suggested": 0.1, "largest": 1.0}})
    for number in range(3):
        study.enqueue_trial({"recipe": "a", "rate": 0.1 + number})
        trial = study.ask()
        trial.suggest_categorical("recipe", ["a", "b"])
        trial.suggest_float("rate", 0.1, 10.0, log=True)
        row = journal.TrialRow(
            number=number, recipe="a", changes={"batch.size": 8}, score=1.0,
            seconds_to_target=1.0, best_value=0.5, outcome="target met",
        )  # fmt: skip
        tried = journal.Tried(plan=Plan(), score=1.0, clock_seconds=1.0, gap=0.0)
        if number < 2:
            trial.set_user_attr(journal.ROW, row.model_dump(mode="json"))
            trial.set_user_attr(journal.TRIED, tried.model_dump(mode="json"))
            study.tell(trial, 1.0)
    content = file.read_bytes()
    file.unlink()
    return content


def read_weights(place: Path, with_keras: bool) -> object:
    """Read weights as they are read before a landscape, or all that Keras could read of them."""
    file = place / WEIGHTS_FILE
    if why := why_not_weights(file):
        raise RecordError("weights", why, "Take others.")
    if not with_keras:
        return _every_array(file)
    import keras

    one = keras.Sequential.from_config(CONFIG["config"])
    try:
        return one.load_weights(file)
    except (OSError, ValueError) as error:
        raise RecordError("weights", str(error).splitlines()[0], "Take others.") from None


def read_model(place: Path, with_keras: bool) -> object:
    """Read a model as it is read when a handed-over task is built."""
    from slipstream.tasks._folder import load_model

    file = place / MODEL_FILE
    if with_keras:
        whole = file.is_file() and file.stat().st_size < 1 << 30
        digest = hashlib.sha256(file.read_bytes()).hexdigest() if whole else ""
        return load_model(place, digest)
    if why := why_not_model(file):
        raise RecordError("a model", why, "Take another.")
    with zipfile.ZipFile(file) as archive:
        return _every_array(io.BytesIO(archive.read("model.weights.h5")))


def _every_array(source: Path | io.BytesIO) -> list[Any]:
    found: list[Any] = []

    def read(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append((np.array(item), dict(item.attrs)))

    with h5py.File(source, "r") as file:
        file.visititems(read)
    return found


def made_up_weights() -> Iterator[tuple[str, bytes]]:
    """Yield files whose arrays lie elsewhere, or are nothing but declared."""
    last = "layers/dense/vars/0"

    for name, link in (
        ("zeros without end", h5py.ExternalLink("/dev/zero", "/x")),
        ("a file outside", h5py.ExternalLink("/etc/passwd", "/x")),
        ("a pipe", h5py.ExternalLink("pipe", "/x")),
        ("itself", h5py.SoftLink(f"/{last}")),
    ):
        for place in (last, "layers/dense"):
            yield f"{place}, a link to {name}", weights(partial(_put, place=place, item=link))

    def made(**how: Any) -> bytes:
        def write(file: h5py.File) -> None:
            del file[last]
            file.create_dataset(last, **how)

        return weights(write)

    outside = [("/etc/passwd", 0, 8)]
    yield "an array in a file outside", made(shape=(8,), dtype="u1", external=outside)
    layout = h5py.VirtualLayout((8,), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (8,))
    yield "an array of views", weights(lambda file: file.create_virtual_dataset("x", layout))
    for size in (1 << 28, 1 << 31, 1 << 60):
        packed = {"chunks": (1 << 20,), "compression": "gzip"}
        yield f"{size} bytes declared", made(shape=(size,), dtype="u1")
        yield f"{size} bytes packed", made(shape=(size,), dtype="u1", **packed)
    zeros = np.zeros(1 << 26, "u1")
    yield "zeros that are packed", made(data=zeros, compression="gzip", compression_opts=9)
    yield "words", made(data=np.array(["a", "b"], object))
    yield "references", made(shape=(2,), dtype=h5py.ref_dtype)
    yield "records", made(data=np.zeros(2, [("a", "f4"), ("b", "V900")]))
    yield "a type", weights(partial(_put, place=last, item=np.dtype("f4")))
    yield "a group within itself", weights(lambda file: file.__setitem__("layers/x", file["/"]))
    yield "a long note", weights(lambda file: file[last].attrs.__setitem__("dtype", "x" * 60_000))
    yield (
        "many notes",
        weights(lambda file: [file.attrs.__setitem__(str(number), 1) for number in range(99)]),
    )
    yield "the newest form", weights(libver="latest")

    def nested(file: h5py.File) -> None:
        group = file["/"]
        for _ in range(2000):
            group = group.create_group("x")

    yield "2000 levels", weights(nested)


def _put(file: h5py.File, place: str, item: object) -> None:
    del file[place]
    file[place] = item


def made_up_models() -> Iterator[tuple[str, bytes]]:
    """Yield archives with other members, packed ones, and odd configurations."""
    whole = weights()
    for name in ("../x", "/tmp/x", "assets/../../x", "assets/..\\x", "C:\\x", "x" * 60_000):
        yield f"a member {name[:20]!r}", model(whole, **{name: b"x"})
    yield "a pickle", model(whole, **{"model.weights.npz": pickle.dumps(print)})
    zeros = bytes(10_000_000)
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        yield f"packing {method}", model(zeros, method=method)
    for levels in (99, 990, 100_000):
        yield f"{levels} levels", model(whole, b'{"a": ' + b"[" * levels + b"]" * levels + b"}")
    yield "a long configuration", model(whole, b'"' + b"x" * (17 << 20) + b'"')
    bomb = bytearray(model(whole))
    place = bomb.rfind(b"PK\x01\x02")
    bomb[place + 20 : place + 28] = b"\xfe\xff\xff\xff" * 2
    yield "4 GiB declared", bytes(bomb)


def made_up_journals() -> Iterator[tuple[str, bytes]]:
    """Yield lines that Optuna would take, or stumble over."""
    begun = {"op_code": 0, "worker_id": "x", "study_name": "learn", "directions": [1]}
    trial = {"op_code": 4, "worker_id": "x", "study_id": 0, "datetime_start": None}
    numbers = {"name": "IntDistribution", "attributes": {"low": 0, "high": 10**300, "step": 1}}
    wide = {"name": "CategoricalDistribution", "attributes": {"choices": list(range(10**5))}}
    odd = {"name": "FloatDistribution", "attributes": {"low": 0, "high": 1, "step": 1e-300}}
    for what, *entries in (
        ("another study", {**begun, "study_name": "x"}),
        ("two aims", {**begun, "directions": [1, 2]}),
        ("the other aim", {**begun, "directions": [2]}),
        ("no such operation", {**begun, "op_code": 99}),
        ("no operation", {}),
        ("no entries", [1], 2, "x", None),
        ("a trial without a study", trial),
        ("a state that there is not", begun, {**trial, "state": 99}),
        ("a value that is none", begun, {**trial, "state": 1, "value": "x"}),
        ("nothing to wait for", begun, {**trial, "state": 4}),
        ("odd parameters", begun, {**trial, "state": 4, "system_attrs": {"fixed_params": "x"}}),
        ("odd notes", begun, {**trial, "user_attrs": {"row": [1], "tried": 2}}),
        ("odd ranges", begun, {"op_code": 2, "worker_id": "x", "study_id": 0,
                               "user_attr": {"ranges": {"sgd": 1}}}),
        *(
            (f"a range {number}", begun, {**trial, "distributions": {"a": json.dumps(one)},
                                          "params": {"a": 1e308}})
            for number, one in enumerate((numbers, wide, odd))
        ),
    ):  # fmt: skip
        yield what, "".join(json.dumps(entry) + "\n" for entry in entries).encode()
    yield "a long line", json.dumps(begun).encode() + b"\n" + b'"' + b"x" * (20 << 20) + b'"\n'
    yield "more than is read", b"\n" * (33 << 20)
    for levels in (99, 100_000):
        yield f"{levels} levels", b'{"op_code": ' + b"[" * levels + b"]" * levels + b"}\n"
    yield "a pickle", pickle.dumps(os.getcwd) + b"\n"
