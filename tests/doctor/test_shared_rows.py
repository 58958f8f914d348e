"""Rows that two splits share, against Python's own sets, in memory and in files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_files import write_folder
from slipstream.data import Data, Split, image_folder, to_data
from slipstream.data.columns import Chosen, Column
from slipstream.data.spool import Collector
from slipstream.doctor import Case, Finding, shared_rows
from slipstream.plan import Plan
from slipstream.task import ModelFacts

FACTS = ModelFacts((), (), ("loss",))


class Squares(Column):
    """Examples that only reading tells from each other."""

    def read(self, rows: Any, out: Any) -> None:
        out[:] = (rows**2)[:, None]

    def identity(self) -> Iterator[bytes]:
        yield b"squares"


def found(train: Any, held: Any, test: Any = None) -> list[Finding]:
    splits = [None if x is None else Split(x, None) for x in (train, held, test)]
    return list(shared_rows.check(Case(Data(*splits), FACTS, Plan())))


@given(
    sizes=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    values=st.integers(2, 4),
    dtypes=st.tuples(*[st.sampled_from(["float32", "float64", "int64", "uint8"])] * 2),
    several=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_shared_rows_are_counted_as_sets_count_them(
    sizes: tuple[int, int], values: int, dtypes: tuple[str, str], several: bool
) -> None:
    random = np.random.default_rng(values)
    train, held = (
        random.integers(0, values, (size, 3)).astype(dtype)
        for size, dtype in zip(sizes, dtypes, strict=True)
    )
    known = {tuple(row) for row in train.tolist()}
    wanted = [place for place, row in enumerate(held.tolist()) if tuple(row) in known]
    pair = [(x[:, :2], x[:, 2]) if several else x for x in (train, held)]
    overlap = shared_rows._overlap(*(Split(x, None) for x in pair), "validation", {})
    assert overlap is not None
    rows = "row" if len(wanted) == 1 else "rows"
    shown = ", ".join(map(str, wanted[:3])) + (", ..." if len(wanted) > 3 else "")
    assert str(overlap.rows) == f"{len(wanted)} of {len(held)} examples ({rows} {shown})"
    twice = [row for row in train.tolist() if train.tolist().count(row) > 1]
    assert overlap.repeated == pytest.approx(len(twice) / len(train))


def test_the_test_split_is_compared_and_rows_have_the_users_numbers() -> None:
    x = np.random.default_rng(0).normal(size=(100, 4))
    split = (
        Split(x[:60], None),
        Split(x[60:80], None),
        Split(x[50:70], None, rows=np.arange(50, 70)),
    )
    (finding,) = shared_rows.check(Case(Data(*split), FACTS, Plan()))
    assert finding.severity == "error"
    assert "the test split" in finding.what
    assert "10 of 20 examples (rows 50, 51, 52, ... of the data before the split)" in finding.where


@pytest.mark.parametrize(
    ("shared", "of", "severity"), [(9, 20, "warning"), (10, 20, "error"), (19, 19, "warning")]
)
def test_half_of_a_split_is_refused_unless_it_is_tiny(shared: int, of: int, severity: str) -> None:
    x = np.random.default_rng(0).normal(size=(200, 4))
    (finding,) = found(x[:100], x[100 - shared : 100 - shared + of])
    assert (finding.severity, f"{shared} of {of}" in finding.where) == (severity, True)


def test_a_few_equal_rows_are_natural_where_training_rows_repeat_as_often() -> None:
    random = np.random.default_rng(0)
    train, held = random.normal(size=(1000, 2)), random.normal(size=(400, 2))
    held[7] = train[3]
    assert len(found(train, held)) == 1
    train[100:110] = train[200:210]
    assert found(train, held) == []


@pytest.mark.parametrize("kind", ["one-hot", "0 and 1", "small numbers"])
def test_chance_explains_equal_rows_where_few_rows_are_possible(kind: str) -> None:
    random = np.random.default_rng(3)
    if kind == "one-hot":
        x = np.eye(5)[random.integers(0, 5, (900, 4))].reshape(900, 20)
    else:
        x = random.integers(0, *((2, (900, 9)) if kind == "0 and 1" else (4, (900, 5))))
    train, held = x[:600], x[600:]
    known = {tuple(row) for row in train.tolist()}
    assert sum(tuple(row) in known for row in held.tolist()) > 50
    assert found(train, held) == []
    # More of them than chance gives: the first rows were put into both.
    copied = np.concatenate([held[:100], train[:200]])
    (finding,) = found(train, copied)
    assert "of 300 examples" in finding.where
    # Copies of images of as few shades are none of chance.
    images = random.integers(0, 4, (300, 64))[np.arange(900) % 300]
    assert len(found(images[:600], images[600:])) == 1


def test_nothing_is_said_of_what_cannot_be_compared() -> None:
    x = np.random.default_rng(0).normal(size=(30, 4))
    assert found(x, x[:, :3]) == []
    assert found(x, (x, x)) == []
    assert found(x, np.array(["a"] * 30)) == []
    assert found(x, x[:0]) == []
    assert found(x * np.nan, x * np.nan) == []


def test_copies_of_files_are_found_without_decoding_them(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", per_class=12)
    split = image_folder(tmp_path / "a", size=(8, 8))
    assert found(split.x, image_folder(tmp_path / "a", size=(4, 4)).x) == []
    (finding,) = found(split.x, Chosen(image_folder(tmp_path / "a", size=(8, 8)).x, np.arange(20)))
    assert "20 of 20 examples" in finding.where
    assert finding.severity == "error"
    data = to_data(split)
    assert found(data.train.x, data.validation.x) == []


def test_examples_in_a_file_of_ours_are_compared_with_those_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipstream.data.spool.MOST_KEPT_BYTES", 200)
    x = np.random.default_rng(0).normal(size=(60, 4))
    collector = Collector(tmp_path)
    for start in range(0, 60, 10):
        collector.add(x[start : start + 10])
    spooled = collector.result()
    assert isinstance(spooled, Column)
    for held in (x[40:].copy(), Chosen(spooled, np.arange(40, 60))):
        (finding,) = found(spooled, held)
        assert "20 of 20" in finding.where
    (finding,) = found(Chosen(spooled, np.arange(45)), x[40:])
    assert "5 of 20" in finding.where


def test_what_only_reading_tells_is_compared_by_some_rows() -> None:
    column = Squares((1000, 2), "float64")
    (finding,) = found(column, Squares((1000, 2), "float64"))
    assert "64 of 64 examples (rows 0, 15, 31, ...) of those compared, 100 %" in finding.where
    assert found(column, np.random.default_rng(0).normal(size=(50, 2))) == []
