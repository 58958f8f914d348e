"""Checkpoints come back bit for bit, in the order of their commits; enough of them are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from slipstream.checkpoint import CheckpointStore, RunLock, Snapshot
from slipstream.errors import InputError, RecordError
from torture.content import same, snapshot_at

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
DTYPES = arrays_of.scalar_dtypes().filter(lambda dtype: dtype.kind in "biufc")
ARRAYS = st.dictionaries(
    st.text(st.characters(codec="utf-8")),
    arrays_of.arrays(DTYPES, arrays_of.array_shapes(min_dims=0, min_side=0)),
    max_size=3,
)


@pytest.fixture
def store(tmp_path):
    with RunLock(tmp_path) as lock:
        yield CheckpointStore(tmp_path, lock=lock)


def updates(store: CheckpointStore) -> list[int]:
    names = sorted(path.name for path in (store.folder / "checkpoints").iterdir())
    return [int(name.split("-")[1]) for name in names]


def spoil(path: Path) -> None:
    file = path / "arrays.bin"
    file.write_bytes(file.read_bytes()[:-1])


@settings(max_examples=12, deadline=None)
@given(arrays=ARRAYS, values=st.dictionaries(st.text(), JSON, max_size=3))
def test_what_is_saved_is_found(tmp_path_factory, arrays, values):
    folder = tmp_path_factory.mktemp("run")
    snapshot = Snapshot(arrays, values, epoch=3, update=40)
    with RunLock(folder) as lock:
        saved = CheckpointStore(folder, lock=lock).save(snapshot)
    found = CheckpointStore(folder).latest()
    assert found.path == saved.path
    assert same(found.snapshot, snapshot)
    assert saved.bytes == sum(path.stat().st_size for path in saved.path.iterdir())


def test_arrays_of_any_layout_and_kind_are_found(store):
    snapshot = snapshot_at(11)
    assert not snapshot.arrays["weights/0"].flags.c_contiguous
    store.save(snapshot)
    found = store.latest().snapshot
    assert same(found, snapshot)
    assert all(array.flags.writeable for array in found.arrays.values())


def test_the_newest_and_the_best_are_kept(store):
    for update in range(1, 7):
        store.save(snapshot_at(update), best=update == 2)
    assert updates(store) == [2, 5, 6]
    assert store.best().snapshot.update == 2
    store.save(snapshot_at(7), best=True)
    assert updates(store) == [6, 7]
    assert store.best().snapshot.update == store.latest().snapshot.update == 7


def test_the_latest_is_the_one_committed_last_though_the_training_went_back(store):
    for update in (10, 20, 15):
        store.save(snapshot_at(update))
    assert store.latest().snapshot.update == 15
    store.save(snapshot_at(15), best=True)
    assert updates(store) == [15, 15]


def test_a_damaged_one_is_named_and_not_counted_among_the_kept(store):
    paths = [store.save(snapshot_at(update)).path for update in (1, 2)]
    spoil(paths[1])
    found = store.latest()
    assert found.snapshot.update == 1
    assert len(found.skipped) == 1
    assert "update 2" in found.skipped[0]
    assert "arrays.bin has" in found.skipped[0]
    store.save(snapshot_at(3))
    assert updates(store) == [1, 3]


def test_nothing_but_damaged_ones_is_an_error_and_none_at_all_is_not(store):
    assert store.latest() is None
    assert store.best() is None
    spoil(store.save(snapshot_at(1), best=True).path)
    for read in (store.latest, store.best):
        with pytest.raises(RecordError, match=r"an intact checkpoint.*update 1 .*is damaged"):
            read()


def test_reading_makes_and_removes_nothing(tmp_path):
    store = CheckpointStore(tmp_path / "run")
    assert store.latest() is None
    assert not (tmp_path / "run").exists()


def test_only_what_a_crash_left_is_swept(store):
    store.save(snapshot_at(1))
    root = store.folder / "checkpoints"
    for name in (f"00000009-{'0' * 32}.part", "00000001-000000000001-0123456789abcdef.gone"):
        (root / name).mkdir()
        (root / name / "arrays.bin").write_bytes(b"half")
    for name in ("notes.part", "mine.gone"):
        (root / name).mkdir()
    CheckpointStore(store.folder, lock=store.lock).save(snapshot_at(2))
    left = {path.name for path in root.iterdir() if path.suffix}
    assert left == {"notes.part", "mine.gone"}


def test_without_the_lock_on_the_folder_nothing_is_saved(tmp_path):
    with RunLock(tmp_path / "other") as lock, pytest.raises(ValueError, match="not locked"):
        CheckpointStore(tmp_path / "run", lock=lock).save(snapshot_at(1))
    store = CheckpointStore(tmp_path / "other", lock=lock)
    with pytest.raises(ValueError, match="not locked"):
        store.save(snapshot_at(1))
    with pytest.raises(ValueError, match="2 or more"):
        CheckpointStore(tmp_path, keep=1)


@pytest.mark.parametrize(
    ("snapshot", "came"),
    [
        (Snapshot({"w": np.array([None])}), "'w', which is of dtype object"),
        (Snapshot({"w": np.zeros(2, "f4,i2")}), "'w', which is of dtype"),
        (Snapshot({"w": [1.0]}), "'w', which is list"),
        (Snapshot({"\ud800": np.zeros(2)}), "which is of dtype float64"),
        (Snapshot({}, {"a": {1: 2}}), r"values\['a'\] with a key of type int"),
        (Snapshot({}, {"a": [0, {2}]}), r"values\['a'\]\['1'\] of type set"),
        (Snapshot({}, {"a": np.float32(1)}), r"values\['a'\] of type float32"),
    ],
)
def test_what_would_not_come_back_is_refused(store, snapshot, came):
    store.save(snapshot_at(1))
    with pytest.raises(InputError, match=came):
        store.save(snapshot)
    assert store.latest().snapshot.update == 1


def test_a_folder_of_checkpoints_that_leads_elsewhere_is_refused(store, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (store.folder / "checkpoints").symlink_to(elsewhere)
    with pytest.raises(InputError, match="a link to somewhere else"):
        store.save(snapshot_at(1))
    assert not list(elsewhere.iterdir())
