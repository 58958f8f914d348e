"""Caches of decoded examples, reading ahead, and what others' pipelines hand out."""

import threading

import grain
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.data import spool, to_data
from slipstream.data.caches import Cached, Tiers
from slipstream.data.columns import Chosen, Column
from slipstream.data.parallel import ReadAhead
from slipstream.data.pipelines import read_once
from slipstream.errors import DataError


class Counted(Column):
    """Examples that are known, and how often each was read."""

    def __init__(self, num, width=3):
        super().__init__((num, width), "int32")
        self.reads = np.zeros(num, int)
        self.values = np.arange(num * width, dtype="int32").reshape(num, width)

    def read(self, rows, out):
        np.add.at(self.reads, rows, 1)
        out[:] = self.values[rows]

    def identity(self):
        yield b"counted"


@given(
    num=st.integers(1, 30),
    in_memory=st.integers(0, 40),
    on_disk=st.booleans(),
    draws=st.lists(st.lists(st.integers(0, 10**6), min_size=1, max_size=12), max_size=6),
)
@settings(max_examples=40, deadline=None)
def test_a_cached_column_gives_the_same_and_decodes_once_what_it_has_room_for(
    tmp_path_factory, num, in_memory, on_disk, draws
):
    column = Counted(num)
    folder = tmp_path_factory.getbasetemp() if on_disk else None
    cached = Cached(column, Tiers(in_memory, folder))
    for draw in draws:
        rows = np.unique(np.array(draw) % num)[::-1]
        np.testing.assert_array_equal(cached[rows], column.values[rows])
    kept = num if on_disk else min(in_memory, num)
    assert (column.reads[:kept] <= 1).all()
    asked = np.zeros(num, int)
    for draw in draws:
        asked[np.unique(np.array(draw) % num)] += 1
    np.testing.assert_array_equal(column.reads[kept:], asked[kept:])


def test_a_file_of_examples_is_gone_with_its_column(tmp_path):
    cached = Cached(Counted(5), Tiers(2, tmp_path / "decoded"))
    cached[:]
    np.testing.assert_array_equal(cached[[4, 1]], [[12, 13, 14], [3, 4, 5]])
    assert list((tmp_path / "decoded").iterdir()) == []


def test_a_disk_without_room_is_refused_beforehand(tmp_path):
    column = Counted(2)
    column.shape = (2**50, 3)
    with pytest.raises(DataError, match="SLIPSTREAM_CACHE_DIR"):
        spool.Shelf((3,), "int32", 2**50, tmp_path)


def test_threads_read_ahead_in_order_from_wherever_they_begin():
    seen = set()
    both = threading.Barrier(2, timeout=30)

    def load(index):
        seen.add(threading.get_ident())
        if index in (7, 8):
            both.wait()
        return None if index == 9 else index

    reader = ReadAhead(load, start=7, threads=2, ahead=4)
    assert [next(reader) for _ in range(6)] == [7, 8, None, 10, 11, 12]
    reader.close()
    # The barrier opens for two threads at a time alone.
    assert len(seen - {threading.get_ident()}) == 2


def test_an_error_while_reading_ahead_comes_as_it_was_raised():
    def load(index):
        if index == 2:
            raise DataError("a whole image at a.png", "half of it", "Mend it.")
        return index

    reader = ReadAhead(load, start=0, threads=2, ahead=4)
    assert [next(reader), next(reader)] == [0, 1]
    with pytest.raises(DataError, match=r"a\.png"):
        next(reader)
    reader.close()


def pairs(num=20):
    x = np.arange(num * 2, dtype="float32").reshape(num, 2)
    return x, np.arange(num) % 3


def grain_map():
    x, y = pairs()
    return grain.MapDataset.range(20).map(lambda i: (x[i], y[i])).batch(6)


@pytest.mark.parametrize("make", [grain_map, lambda: grain_map().to_iter_dataset()])
def test_what_grain_hands_out_is_kept_example_by_example(make):
    data = to_data((make(), make()))
    for split in (data.train, data.validation):
        np.testing.assert_array_equal(split.x, pairs()[0])
        np.testing.assert_array_equal(split.y, pairs()[1])
    assert to_data(make()).validation.num_examples == 4


def test_many_examples_go_to_a_file_and_come_back(monkeypatch):
    monkeypatch.setattr(spool, "MOST_KEPT_BYTES", 60)
    x, y, weight = read_once(grain_map())
    assert isinstance(x, Column)
    assert weight is None
    np.testing.assert_array_equal(x[[19, 0, 7]], pairs()[0][[19, 0, 7]])
    np.testing.assert_array_equal(Chosen(x, np.array([4, 2]))[:], pairs()[0][[4, 2]])
    np.testing.assert_array_equal(y[:], pairs()[1])
    again, _, _ = read_once(grain_map())
    assert b"".join(again.identity()) == b"".join(x.identity())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: grain_map().repeat(), "with an end"),
        (lambda: grain.MapDataset.range(4).map(lambda i: (np.float32(i), i)), "single examples"),
        (lambda: grain.MapDataset.range(4).batch(2), "Map it to pairs"),
        (lambda: grain_map().filter(lambda _: False), "none"),
    ],
)
def test_pipelines_that_fit_would_not_take_are_refused(make, says):
    with pytest.raises(DataError, match=says):
        read_once(make())
