"""Small whole files of every kind that is read from strangers, and who reads them."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from slipstream.checkpoint import CheckpointStore, RunLock
from slipstream.commands._notes import FitNotes, read_notes, write_notes
from slipstream.data import image_folder, npz_file, read_idx, table_file
from slipstream.loss_surface import Landscape, read_landscape, write_landscape
from slipstream.plan.toml import Plan, read_plan, to_toml
from slipstream.record import Environment, Point, Record, Timings, point_to_line, read_record
from slipstream.record import write_record as write_facts
from slipstream.tasks.hand_over import task_from_folder
from slipstream.tuning.journal import JOURNAL_FILE, check_journal
from slipstream.tuning.study import Study
from torture import models
from torture.content import snapshot_at
from torture.forgery import renamed

IDX = bytes([0, 0, 8, 3]) + struct.pack(">3I", 6, 4, 4) + bytes(range(96))
COLUMNS = {
    "height": [1.5, 2.25, -3.0, 4.0],
    "legs": [2, 4, 6, 8],
    "kind": ["ant", "bee", "cat", "bee"],
}
CSV = b"height,legs,kind\n" + b"".join(
    f"{h},{n},{kind}\n".encode() for h, n, kind in zip(*COLUMNS.values(), strict=True)
)


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Args:
        name: What it is called.
        content: A whole one, or what is packed into one.
        write: Puts spoilt content into its place in a folder.
        read: Reads what lies in that folder.
        file: Where the file itself lies in the folder; "" where nobody knows before.
    """

    name: str
    content: bytes
    write: Callable[[Path, bytes], object]
    read: Callable[[Path], object]
    file: str = "file"


def formats(folder: Path, with_keras: bool = False) -> Iterator[Format]:
    """Yield all of them; each has what lies beside it written into `folder / name`.

    Args:
        folder: An empty folder.
        with_keras: Whether models and weights are loaded by Keras, as far as they come to it.
    """
    for make in (_arrays, _images, _tables, _texts, _folders, partial(_models, with_keras)):
        for one in make(folder):
            (folder / one.name).mkdir(parents=True, exist_ok=True)
            yield one


def _arrays(_: Path) -> Iterator[Format]:
    idx = lambda place: read_idx(place / "file")  # noqa: E731
    npz = lambda place: npz_file(place / "file")  # noqa: E731
    arrays = {"x": np.arange(24.0).reshape(6, 4), "y": np.arange(6), "z": np.array(["a", "bc"])}
    yield Format("idx", IDX, _file(), idx)
    yield Format("idx.gz", gzip.compress(IDX), _file(), idx)
    yield Format("idx in gz", IDX, _file(pack=gzip.compress), idx)
    yield Format("npz", _saved(np.savez, **arrays), _file(), npz)
    yield Format("npz, packed", _saved(np.savez_compressed, **arrays), _file(), npz)
    yield Format("npy in npz", _saved(np.save, arrays["x"]), _file(pack=_zipped), npz)


def _images(folder: Path) -> Iterator[Format]:
    pixels = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">2I5B", 8, 8, 8, 2, 0, 0, 0)
    for name, content, pack in (
        ("png", _image(pixels, "PNG"), bytes),
        ("jpg", _image(pixels, "JPEG"), bytes),
        ("chunks in png", head + lines, _png),
    ):
        for kind in "ab":
            (folder / name / "images" / kind).mkdir(parents=True)
        (folder / name / "images" / "b" / "1.png").write_bytes(_image(pixels, "PNG"))
        place = f"images/a/1.{'jpg' if name == 'jpg' else 'png'}"
        yield Format(name, content, _file(place, pack), _read_images, place)


def _tables(_: Path) -> Iterator[Format]:
    for name, content, pack in (
        ("csv", CSV, bytes),
        ("csv.gz", gzip.compress(CSV), bytes),
        ("csv in csv.gz", CSV, gzip.compress),
        ("csv.bz2", bz2.compress(CSV), bytes),
    ):
        file = f"table.{name.rpartition(' ')[2]}"
        yield Format(name, content, _file(file, pack), partial(_read_table, file), file)
    table = pa.table(COLUMNS)
    for packing in ("none", "snappy", "gzip", "zstd"):
        sink = io.BytesIO()
        pq.write_table(table, sink, compression=packing, use_dictionary=packing != "none")
        yield _named(f"parquet, {packing}", sink.getvalue(), "table.parquet", _read_parquet)


def _texts(folder: Path) -> Iterator[Format]:
    plan = to_toml(Plan()).encode()
    yield _named("plan", plan, "plan.toml", lambda place: read_plan(place / "plan.toml"))
    record = _record()
    place = folder / "record"
    write_facts(record, place)
    points = "".join(map(point_to_line, record.points))
    (place / "metrics.jsonl").write_text(points)
    yield _named("record", (place / "record.json").read_bytes(), "record.json", read_record)
    write_facts(record, folder / "metrics")
    yield _named("metrics", points.encode(), "metrics.jsonl", read_record)
    notes = FitNotes(reference="digits", as_given=Plan().to_dict(), warnings=({"a": "b"},))
    content = write_notes(folder / "notes", notes).read_bytes()
    yield _named("notes", content, "command.json", read_notes)
    losses = ((0.5, 0.25), (0.75, float("nan")))
    surface = Landscape(
        steps=(-1.0, 1.0),
        losses=losses,
        loss=0.2,
        sharpness=3.0,
        method="exact",
        examples=9,
        seed=0,
    )
    content = write_landscape(surface, folder / "landscape").read_bytes()
    yield _named("landscape", content, "landscape.json", read_landscape)
    study = {"schema_version": 1, "identity": {"num_seeds": 3}, "stages": {}, "spent_seconds": 1.5}
    yield _named("study", json.dumps(study).encode(), "study.json", Study.read)


def _folders(folder: Path) -> Iterator[Format]:
    arrays = _saved(np.savez, array_0=np.ones((8, 2)), array_1=np.arange(8))
    place = folder / "handed over"
    place.mkdir()
    (place / "arrays.npz").write_bytes(arrays)
    description = {
        "name": "mine", "loss": "mse", "metrics": ["mae"], "loss_weights": None,
        "monitor": "val_loss", "target": None, "plan": Plan().to_dict(), "notes": [],
        "splits": {"train": [{"array": "array_0"}, {"array": "array_1"}, None]},
    }  # fmt: skip
    digests = {"model.keras": "0" * 64, "arrays.npz": hashlib.sha256(arrays).hexdigest()}
    task = {"version": 1, "description": description, "digests": digests}
    content = json.dumps(task, indent=1).encode()
    yield _named("handed over", content, "task.json", lambda place: task_from_folder(place).data())
    for name in ("manifest.json", "values.json", "arrays.bin"):
        run = folder / f"checkpoint, {name}"
        with RunLock(run) as lock:
            path = CheckpointStore(run, lock=lock).save(snapshot_at(1, 400)).path
        content = (path / name).read_bytes()
        yield Format(run.name, content, partial(_commit, name), _read_checkpoint, "")


def _models(with_keras: bool, folder: Path) -> Iterator[Format]:
    read_weights = partial(models.read_weights, with_keras=with_keras)
    read_model = partial(models.read_model, with_keras=with_keras)
    weights, file = models.weights(), models.MODEL_FILE
    yield _named("weights", weights, models.WEIGHTS_FILE, read_weights)
    yield _named("keras", models.model(weights), file, read_model)
    yield Format("weights in keras", weights, _file(file, models.model), read_model, file)
    journal = models.searched(folder / JOURNAL_FILE)
    read = lambda place: check_journal(place / JOURNAL_FILE)  # noqa: E731
    yield _named("journal", journal, JOURNAL_FILE, read)


def _commit(name: str, run: Path, content: bytes) -> None:
    """Write a checkpoint's file, with a manifest and a name that say the same."""
    (path,) = (run / "checkpoints").iterdir()
    (path / name).write_bytes(content)
    manifest = (path / "manifest.json").read_bytes()
    if name != "manifest.json":
        values = json.loads(manifest)
        digest = hashlib.sha256(content).hexdigest()
        values["files"][name] = {"bytes": len(content), "sha256": digest}
        manifest = json.dumps(values).encode()
    renamed(path, manifest)


def _read_checkpoint(run: Path) -> object:
    return CheckpointStore(run).latest()


def _read_images(place: Path) -> object:
    return image_folder(place / "images", size=(4, 4)).x[:]


def _read_parquet(place: Path) -> object:
    return _read_table("table.parquet", place)


def _read_table(file: str, place: Path) -> object:
    return table_file(place / file, "kind")


def _file(
    name: str = "file", pack: Callable[[bytes], bytes] = bytes
) -> Callable[[Path, bytes], object]:
    return lambda place, content: (place / name).write_bytes(pack(content))


def _named(name: str, content: bytes, file: str, read: Callable[[Path], object]) -> Format:
    return Format(name, content, _file(file), read, file)


def _saved(save: Callable[..., None], *values: object, **named: object) -> bytes:
    sink = io.BytesIO()
    save(sink, *values, **named)
    return sink.getvalue()


def _zipped(content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", content)
        archive.writestr("y.npy", _saved(np.save, np.arange(6)))
    return sink.getvalue()


def _image(pixels: np.ndarray, kind: str) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, kind)
    return sink.getvalue()


def _png(content: bytes) -> bytes:
    """Return a PNG whose header and lines are these, with lengths and sums that are right."""
    lines = zlib.compress(content[13:])
    parts = [(b"IHDR", content[:13]), (b"zTXt", b"k\0\0" + lines), (b"IDAT", lines), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def _record() -> Record:
    points = [Point(step=i, epoch=i, seconds=i, values={"val_loss": 1 / i}) for i in (1, 2)]
    here = Environment(machine={"cores": 2}, versions={})
    return Record(
        task="digits", reference="digits", fingerprint="f", data_hash="h", plan=Plan().to_dict(),
        plan_digest="d", backend="torch", seed=0, monitor="val_loss", mode="min", target=None,
        started_at="2026-01-01T00:00:00", environment=here, timings=Timings(),
        outcome="completed", updates=2, epochs=2.0, examples_per_second=1.0, peak_memory_bytes=1,
        parameters=1, best_value=0.5, best_epoch=2.0, final_values={"val_loss": 0.5}, points=points,
    )  # fmt: skip
