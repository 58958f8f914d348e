"""Keys of rows, against NumPy's own way of finding equal rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.data.row_keys import joined, row_keys


@given(
    rows=st.integers(1, 300),
    width=st.integers(1, 40),
    values=st.integers(1, 4),
    dtype=st.sampled_from(["uint8", "int64", "float16", "float32", "float64", "bool"]),
)
@settings(max_examples=60, deadline=None)
def test_keys_are_equal_where_rows_are(rows: int, width: int, values: int, dtype: str) -> None:
    random = np.random.default_rng(rows + width)
    x = random.integers(0, values, (rows, width)).astype(dtype)
    _, wanted = np.unique(x, axis=0, return_inverse=True)
    keys = row_keys(x)
    _, found = np.unique(keys, return_inverse=True)
    same = wanted.reshape(-1)[:, None] == wanted.reshape(-1)[None]
    np.testing.assert_array_equal(found[:, None] == found[None], same)
    # In another place, another shape and by way of another dtype they are the same.
    np.testing.assert_array_equal(row_keys(np.asfortranarray(x)[::-1])[::-1], keys)
    np.testing.assert_array_equal(row_keys(x.reshape(rows, 1, width)), keys)
    np.testing.assert_array_equal(row_keys(x, "float64"), row_keys(x.astype("float64")))


def test_the_order_of_values_and_of_parts_counts() -> None:
    x = np.arange(6.0).reshape(1, 6)
    assert row_keys(x) != row_keys(x[:, ::-1])
    first, second = row_keys(x[:, :3]), row_keys(x[:, 3:])
    assert joined(first, second) != joined(second, first)
    assert row_keys(np.empty((0, 3))).shape == (0,)
    assert row_keys(np.empty((2, 0))).tolist() == [0, 0]


@pytest.mark.parametrize("exponent", range(-8, 9, 4))
def test_numbers_whose_lower_bits_are_zero_have_keys_of_their_own(exponent: int) -> None:
    x = np.arange(1, 20_001, dtype="float64") * 2.0**exponent
    assert len(np.unique(row_keys(x))) == 20_000
    assert len(np.unique(row_keys(x.astype("float32").reshape(-1, 2)))) == 10_000
