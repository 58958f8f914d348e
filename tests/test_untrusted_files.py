"""Files of strangers: a few of what `make torture` reads by the ten thousand."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slipstream.data import bounds, npz_file, read_idx, table_file
from slipstream.errors import DataError
from slipstream.files import MOST_TEXT_BYTES, read_json, read_text
from torture.untrusted import read_untrusted

UNPICKLE = """
import pickle, sys
from pathlib import Path
from torture.crafted import Payload
from torture.watching import CaughtError, Watch

def caught(deed):
    try:
        with watch.on():
            deed()
    except CaughtError as error:
        return True
    return False

watch, content = Watch(), pickle.dumps(Payload())
deeds = [
    lambda: pickle.loads(content),
    lambda: eval("1"),
    lambda: Path("new").write_text("x"),
    lambda: Path("new").mkdir(),
    lambda: Path(__import__("torture").__file__).read_bytes(),
]
print([caught(deed) for deed in deeds], Path("new").exists())
"""


def test_strangers_files_are_read_or_refused_and_do_nothing_else(tmp_path):
    outcome = read_untrusted(400, tmp_path, with_keras=False)
    assert outcome.failures == []
    assert outcome.counts["refused"] > 500
    assert outcome.counts["read"] > 100


def test_the_watch_sees_what_is_forbidden(tmp_path):
    tests = str(Path(__file__).parent)
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {tests!r})\n{UNPICKLE}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[True, True, True, True, False] False"


@pytest.fixture
def little_memory(monkeypatch):
    """As if a million bytes of memory were free."""
    for module in ("bounds", "table_bounds"):
        monkeypatch.setattr(f"slipstream.data.{module}.free_bytes", lambda: 1_000_000)


def write_npz(path: Path) -> None:
    np.savez_compressed(path, x=np.zeros(200_000), y=np.zeros(3))


def write_idx(path: Path) -> None:
    header = bytes([0, 0, 8, 1]) + (2_000_000).to_bytes(4, "big")
    path.write_bytes(header + bytes(2_000_000))


def write_csv(path: Path) -> None:
    path.write_text("a,kind\n" + "1,2\n" * 100_000)


def write_parquet(path: Path) -> None:
    # All the same: some hundreds of bytes.
    pq.write_table(pa.table({"a": np.zeros(100_000), "kind": np.ones(100_000)}), path)


@pytest.mark.parametrize(
    ("name", "write", "read"),
    [
        ("x.npz", write_npz, npz_file),
        ("x", write_idx, read_idx),
        ("x.csv", write_csv, lambda path: table_file(path, "kind")),
        ("x.parquet", write_parquet, lambda path: table_file(path, "kind")),
    ],
)
def test_what_memory_has_no_room_for_is_refused_before(tmp_path, little_memory, name, write, read):
    write(tmp_path / name)
    with pytest.raises(DataError, match="MiB of memory are free"):
        read(tmp_path / name)


def test_what_memory_has_room_for_is_read(tmp_path):
    for name, write in (("x.csv", write_csv), ("x.parquet", write_parquet)):
        write(tmp_path / name)
        assert table_file(tmp_path / name, "kind").x.shape == (100_000, 1)
    assert bounds.free_bytes() > 1_000_000


def test_long_words_are_kept_once_each(tmp_path):
    # As an array of text they would take four bytes a letter in each row: 80 GB.
    places = pa.array([0, 1] * 10_000, pa.int32())
    words = pa.DictionaryArray.from_arrays(places, pa.array(["x" * 1_000_000, "y"]))
    table = pa.table({"a": np.arange(20_000), "kind": words})
    pq.write_table(table, tmp_path / "x.parquet")
    assert table_file(tmp_path / "x.parquet", "kind").y.tolist() == [0, 1] * 10_000


def test_members_are_written_nowhere(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    with zipfile.ZipFile(inner / "x.npz", "w") as archive:
        for name in ("../x.npy", "x.npy", "y.npy"):
            with archive.open(name, "w") as member:
                np.save(member, np.arange(3))
    assert npz_file(inner / "x.npz").y.tolist() == [0, 1, 2]
    assert [path.name for path in tmp_path.rglob("*")] == ["inner", "x.npz"]


def test_texts_have_an_end(tmp_path):
    file = tmp_path / "long.json"
    with file.open("wb") as opened:
        opened.truncate(MOST_TEXT_BYTES + 1)
    with pytest.raises(ValueError, match="more than"):
        read_text(file)
    for levels, told in ((99, None), (101, "nested too deeply"), (100_000, "nested too deeply")):
        file.write_text("[" * levels + "]" * levels)
        if told is None:
            assert read_json(file)
        else:
            with pytest.raises(ValueError, match=told):
                read_json(file)
