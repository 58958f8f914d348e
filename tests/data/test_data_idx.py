"""The reader of idx files, against files written by hand here, sound ones and broken ones."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from slipstream.data.idx import read_idx
from slipstream.errors import DataError

# The product of the last is 2**64: it must not wrap around to 0.
TOO_LARGE = [(2**32 - 1,) * 3, (1_000_000_000,), (2**16,) * 4]
CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}
SHAPES = st_numpy.array_shapes(min_dims=1, max_dims=4, min_side=0)
PICTURES = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes(range(12))


def to_idx(array):
    header = bytes([0, 0, CODES[array.dtype.name], array.ndim])
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return header + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "file"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_hand_written_bytes(file, pack):
    file.write_bytes(pack(PICTURES))
    pictures = read_idx(file)
    assert pictures.dtype == np.uint8
    assert pictures.tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]


@settings(max_examples=50)
@given(
    st.sampled_from(sorted(CODES)).flatmap(
        lambda name: st_numpy.arrays(
            name, st_numpy.array_shapes(min_dims=1, max_dims=4, min_side=0)
        )
    )
)
def test_every_type_and_shape_reads_back(tmp_path_factory, array):
    file = tmp_path_factory.mktemp("idx") / "file"
    file.write_bytes(to_idx(array))
    found = read_idx(file)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("length", range(len(PICTURES)))
def test_every_truncation_is_refused(file, length):
    file.write_bytes(PICTURES[:length])
    with pytest.raises(DataError, match="idx file"):
        read_idx(file)


def test_every_truncation_of_a_gzipped_file_is_refused(file):
    packed = gzip.compress(PICTURES)
    for length in range(len(packed)):
        file.write_bytes(packed[:length])
        with pytest.raises(DataError, match="idx file"):
            read_idx(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG" + bytes(20), "begins with 89504e47"),
        (b"\0\1\x08\1\0\0\0\0", "begins with 00010801"),
        (b"\0\0\x07\1\0\0\0\0", "begins with 00000701"),
        (b"\0\0\x08\0", "0 axes"),
        (b"\0\0\x08\xff" + bytes(1020), "255 axes"),
        (PICTURES + b"\0", "more than the 12 bytes"),
        (b"", "begins with nothing"),
        (b"\x1f\x8b\x08not really gzip", "Error"),
    ],
)
def test_what_is_no_idx_file_is_refused(file, content, message):
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(file)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    "sizes", [(2**32 - 1,) * 3, (1_000_000_000,), (2**16, 2**16, 2**16, 2**16)]
)
def test_a_header_that_declares_too_much_allocates_nothing(file, sizes, pack):
    file.write_bytes(pack(bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)))
    tracemalloc.start()
    with pytest.raises(DataError, match="more than the file can hold"):
        read_idx(file)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_gzipped_file_is_unpacked_no_further_than_declared(file):
    bomb = bytes([0, 0, 8, 1, 0, 0, 0, 4]) + bytes(50_000_000)
    file.write_bytes(gzip.compress(bomb))
    tracemalloc.start()
    with pytest.raises(DataError, match="more than the 4 bytes"):
        read_idx(file)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_missing_file_is_named(file):
    with pytest.raises(DataError, match=str(file)):
        read_idx(file)
