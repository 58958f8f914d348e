"""Data as values: what loaders may return, what is set apart, and the digest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.data import Data, Split, leaves, map_arrays, splits, to_data
from slipstream.data.splits import check_equal_lengths, set_apart
from slipstream.errors import DataError


def pair(start, num):
    return np.arange(start, start + num, dtype=np.float32), np.arange(start, start + num)


def test_all_forms_of_three_splits_mean_the_same():
    train, validation, test = pair(0, 6), pair(6, 3), pair(9, 2)
    forms = [
        (train, validation, test),
        [list(train), list(validation), list(test)],
        {"train": train, "validation": validation, "test": test},
        Data(Split(*train), Split(*validation), Split(*test)),
        (Split(*train), Split(*validation), Split(*test)),
    ]
    digests = {to_data(form).digest() for form in forms}
    assert len(digests) == 1


@settings(max_examples=30)
@given(st.integers(5, 200))
def test_a_missing_validation_split_is_a_fixed_fifth_of_the_training_examples(num):
    data = to_data(pair(0, num))
    again = to_data(pair(0, num))
    assert data.validation.num_examples == round(0.2 * num)
    assert sorted([*data.train.y, *data.validation.y]) == list(range(num))
    assert data.digest() == again.digest()
    np.testing.assert_array_equal(data.train.x, data.train.y)


def test_a_pair_of_pairs_is_train_and_validation():
    data = to_data((pair(0, 4), pair(4, 2)))
    assert (data.train.num_examples, data.validation.num_examples, data.test) == (4, 2, None)


def test_weights_and_several_inputs_are_taken_along():
    x = {"a": np.arange(10), "b": (np.arange(10) * 2, np.arange(10) * 3)}
    data = to_data(Split(x, np.arange(10), np.arange(10) / 10))
    rows = data.validation.y
    np.testing.assert_array_equal(data.validation.x["a"], rows)
    np.testing.assert_array_equal(data.validation.x["b"][1], rows * 3)
    np.testing.assert_array_equal(data.validation.sample_weight, rows / 10)


@pytest.mark.parametrize("loaded", [None, 3, "data", {"x": 1}, np.zeros(3), (np.zeros(3),)])
def test_anything_else_is_refused(loaded):
    with pytest.raises(DataError, match="the data loader to return"):
        to_data(loaded)


def test_no_training_split_is_refused():
    with pytest.raises(DataError, match="training data"):
        to_data({"train": None})


def test_unequal_lengths_are_refused():
    with pytest.raises(DataError, match="inputs of 3, targets of 4 examples"):
        check_equal_lengths(Split(np.zeros(3), np.zeros(4)), "training")
    with pytest.raises(DataError, match="training split"):
        set_apart(Split(np.zeros(3), (np.zeros(3), np.zeros(2))), 0.2)
    with pytest.raises(DataError):
        check_equal_lengths(Split(np.zeros(3), np.zeros(3), np.float32(1)), "training")


def test_take_keeps_the_order_of_the_indices():
    split = Split((np.arange(5), np.arange(5) * 2), np.arange(5)).take(np.array([3, 0]))
    assert [part.tolist() for part in split.x] == [[3, 0], [6, 0]]
    assert split.y.tolist() == [3, 0]
    assert split.sample_weight is None
    assert Split(None, None).num_examples == 0


@settings(max_examples=20)
@given(st.integers(5, 60), st.integers(0, 9))
def test_examples_that_are_taken_know_their_rows_in_the_users_arrays(num, seed):
    x, y = np.arange(num) * 10, np.arange(num)
    assert Split(x, y).rows is None
    data = to_data((x, y))
    order = np.random.default_rng(seed).permutation(data.train.num_examples)
    for split in (data.train, data.validation, data.train.take(order), data.train.take(order[:2])):
        np.testing.assert_array_equal(x[split.rows], split.x)
    for indices in (slice(1, 4), np.arange(num) % 2 == 0):
        np.testing.assert_array_equal(Split(x, y).take(indices).rows, y[indices])
        kept = to_data(Data(Split(x, y).take(indices), data.validation)).train
        np.testing.assert_array_equal(kept.rows, y[indices])


def test_leaves_and_map_arrays_walk_the_same_nest():
    nest = {"a": [np.ones(1), None], "b": np.ones(2)}
    assert [len(array) for array in leaves(nest)] == [1, 2]
    assert map_arrays(len, nest) == {"a": (1, None), "b": 2}


def changes(data):
    x, y = data.train.x, data.train.y
    yield Data(Split(x.astype(np.float64), y), data.validation)
    yield Data(Split(x[::-1], y), data.validation)
    yield Data(Split(x.reshape(2, 3), y), data.validation)
    yield Data(Split(x, y, np.ones(6)), data.validation)
    yield Data(data.train, data.validation, data.validation)
    yield Data(data.validation, data.train)


def test_the_digest_tells_data_apart():
    data = to_data((pair(0, 6), pair(6, 3)))
    digests = [data.digest(), *(changed.digest() for changed in changes(data))]
    assert len(set(digests)) == len(digests)


def test_the_digest_does_not_depend_on_the_layout_in_memory():
    x = np.arange(12.0).reshape(3, 4)
    y = np.arange(3)
    contiguous = Data(Split(x, y), Split(x, y))
    transposed = Data(Split(np.asfortranarray(x), y), Split(np.repeat(x, 2, axis=0)[::2], y))
    assert contiguous.digest() == transposed.digest()


@settings(max_examples=20)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(8, 400))
def test_the_digest_does_not_depend_on_the_pieces_it_is_read_in(num, width, piece_bytes):
    x = np.arange(num * width * 2.0).reshape(num, width * 2)[:, ::2]
    whole = Data(Split(x.copy(), x[:, 0].copy()), Split(None, None)).digest()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "PIECE_BYTES", piece_bytes)
        assert Data(Split(x, x[:, 0]), Split(None, None)).digest() == whole


def test_the_digest_reads_the_arrays_once(monkeypatch):
    read = []
    monkeypatch.setattr(splits, "_bytes", lambda array: read.append(len(array)) or b"")
    data = Data(Split(np.zeros(3), np.zeros(3)), Split(np.zeros(2), None))
    assert data.digest() == data.digest()
    assert read == [3, 3, 2]


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a", "bc"]),
        np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[D]"),
        np.array(["a", None], dtype=object),
        np.zeros((0, 3)),
        np.array([True, False]),
    ],
    ids=["strings", "dates", "objects", "empty", "booleans"],
)
def test_every_type_has_a_digest(array):
    split = Split(array, array)
    assert len(Data(split, split).digest()) == 16


def test_lists_of_numbers_are_refused() -> None:
    with pytest.raises(DataError, match=r"numpy\.asarray"):
        to_data(([[1.0, 2.0], [3.0, 4.0]], [0, 1]))


@pytest.mark.parametrize(
    ("names", "nested"),
    [
        ("x_train x_test y_train y_test", False),
        ("x_train x_val x_test y_train y_val y_test", False),
        ("x_train y_train x_test y_test", False),
        ("x_train x_test y_train y_test", True),
    ],
)
def test_arrays_in_one_row_are_known_by_their_lengths(names: str, nested: bool) -> None:
    lengths = {"train": 12, "val": 5, "test": 4}
    row = [
        np.zeros((lengths[name[2:]], 3) if name[0] == "x" else lengths[name[2:]])
        for name in names.split()
    ]
    loaded = ((row[0], row[1]), (row[2], row[3])) if nested else row
    with pytest.raises(DataError) as caught:
        to_data(tuple(loaded))
    assert names.replace(" ", ", ") in caught.value.came
    splits = dict.fromkeys(name[2:] for name in names.split())
    pairs = ", ".join(f"(x_{name}, y_{name})" for name in splits)
    assert caught.value.mend == f"Return {pairs}."


def test_pairs_in_their_order_are_taken() -> None:
    x, y = np.zeros((6, 3)), np.zeros(6)
    assert to_data(((x, y), (x[:2], y[:2]))).validation.num_examples == 2
    # Splits of one length tell nothing, and are pairs as ever.
    assert to_data(((x, y), (x, y))).validation.num_examples == 6
    with pytest.raises(DataError, match="got tuple"):
        to_data((x, y, y, x[:1]))


def test_a_generator_in_a_pair_is_called_one() -> None:
    with pytest.raises(DataError, match=r"got a generator\. .*PyDataset"):
        to_data(((x for x in range(3)), np.zeros(3)))
