"""Checkpoints that somebody made up: each hash is right, and still nothing is believed."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from slipstream.checkpoint import CheckpointStore, RunLock
from slipstream.errors import RecordError
from torture.content import snapshot_at


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    with RunLock(tmp_path) as lock:
        return CheckpointStore(tmp_path, lock=lock).save(snapshot_at(1)).path


def entry(file: Path) -> dict[str, object]:
    content = file.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def forge(folder: Path, **changes: object) -> Path:
    """Return the folder with another manifest, under the name that goes with it."""
    file = folder / "manifest.json"
    values = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps(values))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    start = folder.name.rsplit("-", 1)[0]
    return folder.rename(folder.with_name(f"{start}-{digest}"))


def refusal(folder: Path) -> str:
    with pytest.raises(RecordError) as caught:
        CheckpointStore(folder.parents[1]).latest()
    return caught.value.came


def array(dtype: str = "<f4", shape: tuple[int, ...] = (2,), name: str = "w") -> dict[str, object]:
    return {"name": name, "dtype": dtype, "shape": shape}


def test_a_forged_manifest_is_read_if_it_is_right(checkpoint):
    forge(checkpoint, epoch=77)
    assert CheckpointStore(checkpoint.parents[1]).latest().snapshot.epoch == 77


@pytest.mark.parametrize("dtype", ["|O", "O", "|V8", "f4,f4", "<f3", "M8[s]", "float32", ""])
def test_only_plain_dtypes_are_read(checkpoint, dtype):
    assert "an array of dtype" in refusal(forge(checkpoint, arrays=[array(dtype)]))


@pytest.mark.parametrize("shape", [(2**40,), (2**62, 2**62, 2**62), (3,)])
def test_declared_sizes_are_compared_before_anything_is_read(checkpoint, shape):
    told = refusal(forge(checkpoint, arrays=[array(shape=shape)]))
    assert "declares arrays of" in told


@pytest.mark.parametrize(
    "changes",
    [
        {"arrays": [array(shape=(-1,))]},
        {"arrays": [array(shape=(2.0,))]},
        {"arrays": [array(shape=(1,) * 40)]},
        {"arrays": [array(), array()]},
        {"arrays": "all"},
        {"update": True},
        {"files": {"../../arrays.bin": {"bytes": 1, "sha256": "0" * 64}}},
        {"more": 1},
    ],
)
def test_a_manifest_that_says_something_else_is_refused(checkpoint, changes):
    assert "manifest.json" in refusal(forge(checkpoint, **changes))


def test_a_file_larger_than_memory_is_not_read(checkpoint):
    size = 8 << 40
    os.truncate(checkpoint / "arrays.bin", size)
    known = {
        "arrays.bin": {"bytes": size, "sha256": "0" * 64},
        "values.json": entry(checkpoint / "values.json"),
    }
    told = refusal(forge(checkpoint, files=known, arrays=[array("|u1", (size,))]))
    assert "more than this machine's memory" in told


def test_links_pipes_and_folders_in_the_place_of_files_are_refused(checkpoint, tmp_path):
    file = checkpoint / "values.json"
    copy = tmp_path / "copy.json"
    copy.write_bytes(file.read_bytes())
    file.unlink()
    for make, told in [
        (lambda: file.symlink_to(copy), "values.json is a link"),
        (lambda: os.mkfifo(file), "values.json is no file"),
        (file.mkdir, "values.json is no file"),
    ]:
        make()
        assert told in refusal(checkpoint)
        file.rmdir() if file.is_dir() else file.unlink()
    assert "values.json is missing" in refusal(checkpoint)


def test_a_link_in_the_place_of_a_checkpoint_is_refused(checkpoint, tmp_path):
    moved = checkpoint.rename(tmp_path / "moved")
    checkpoint.symlink_to(moved)
    assert "it is no folder" in refusal(checkpoint)


def test_a_checkpoint_under_another_name_is_refused(checkpoint):
    number, _, digest = checkpoint.name.split("-")
    other = checkpoint.rename(checkpoint.with_name(f"{number}-000000000009-{digest}"))
    assert "belongs to another checkpoint" in refusal(other)


def test_values_that_are_nested_without_end_are_refused(checkpoint):
    file = checkpoint / "values.json"
    file.write_bytes(b"[" * 200_000)
    known = {"arrays.bin": entry(checkpoint / "arrays.bin"), "values.json": entry(file)}
    assert "values.json holds no values" in refusal(forge(checkpoint, files=known))


def test_a_newer_form_is_told_from_damage(checkpoint):
    forge(checkpoint, schema_version=2, arrays={"not": "known here"})
    with pytest.raises(RecordError, match=r"schema version 2.*version that wrote it"):
        CheckpointStore(checkpoint.parents[1]).latest()
