"""Folders of images, tables and npz files, against plain Pillow, the csv module and NumPy."""

import csv
import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from image_files import write_folder
from slipstream.data import (
    Data,
    Split,
    idx_files,
    image_folder,
    npz_file,
    table_file,
    to_data,
)
from slipstream.data.columns import columns_in
from slipstream.doctor import Case, examine
from slipstream.errors import DataError
from slipstream.plan import Plan
from slipstream.task import InputFacts, ModelFacts, OutputFacts


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "images", write_folder(tmp_path / "images", per_class=5)


def test_images_are_what_pillow_decodes_and_labels_are_their_folders(folder):
    root, seen = folder
    split = image_folder(root, size=(8, 8))
    assert split.x.shape == (10, 8, 8, 3)
    np.testing.assert_array_equal(split.x[:], seen)
    np.testing.assert_array_equal(split.x[[7, 0, 7]], seen[[7, 0, 7]])
    np.testing.assert_array_equal(split.x[-1], seen[-1])
    assert split.y.tolist() == [0] * 5 + [1] * 5


def test_size_colour_and_order_of_classes_are_as_asked_for(folder):
    root, _ = folder
    split = image_folder(root, size=(4, 6), color="gray", classes=["class_1", "class_0"])
    with Image.open(root / "class_1" / "001.png") as image:
        wanted = np.asarray(image.convert("L").resize((6, 4), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(split.x[1][..., 0], wanted)
    assert split.x.shape == (10, 4, 6, 1)


def test_a_part_of_a_folder_is_not_decoded_when_it_is_set_apart(folder):
    root, seen = folder
    data = to_data(image_folder(root, size=(8, 8)))
    assert len(columns_in(data.train.x)) == 1
    together = np.concatenate([data.train.rows, data.validation.rows])
    assert sorted(together.tolist()) == list(range(10))
    np.testing.assert_array_equal(data.validation.x[:], seen[data.validation.rows])
    np.testing.assert_array_equal(data.train.take(np.array([3])).x[0], seen[data.train.rows[3]])


def test_the_digest_follows_names_sizes_and_contents(folder, tmp_path):
    root, _ = folder
    before = to_data(image_folder(root, size=(8, 8))).digest()
    assert to_data(image_folder(root, size=(8, 8))).digest() == before
    root.rename(tmp_path / "moved")
    root = tmp_path / "moved"
    assert to_data(image_folder(root, size=(8, 8))).digest() == before
    Image.new("RGB", (8, 8), "blue").save(root / "class_0" / "001.png")
    assert to_data(image_folder(root, size=(8, 8))).digest() != before


def broken_jpeg(root):
    whole = (root / "class_0" / "000.jpg").read_bytes()
    (root / "class_0" / "000.jpg").write_bytes(whole[:-40])
    return "000.jpg"


def empty_class(root):
    (root / "class_2").mkdir()
    return "class_2"


def text_as_image(root):
    (root / "class_1" / "999.png").write_text("hello")
    return "999.png"


def other_format(root):
    (root / "class_1" / "3.bmp").write_bytes(b"BM")
    return "3.bmp"


@pytest.mark.parametrize("harm", [broken_jpeg, empty_class, text_as_image, other_format])
def test_a_folder_that_is_not_whole_is_refused_with_the_name(folder, harm):
    root, _ = folder
    name = harm(root)
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        image_folder(root, size=(8, 8))


def test_a_missing_folder_and_one_without_classes_are_refused(tmp_path):
    with pytest.raises(DataError, match="absent"):
        image_folder(tmp_path / "absent", size=(8, 8))
    with pytest.raises(DataError, match="no sub-folder"):
        image_folder(tmp_path, size=(8, 8))


def test_an_image_that_breaks_later_is_named_when_it_is_read(folder):
    root, _ = folder
    split = image_folder(root, size=(8, 8))
    (root / "class_0" / "002.png").write_bytes(b"\x89PNG\r\n\x1a\nIEND\xaeB`\x82")
    with pytest.raises(DataError, match=r"002\.png"):
        split.x[2]


ROWS = [(1.5, 3, "cat"), (-2.25, 4, "dog"), (1e-3, 5, "ant")]


def write_csv(path):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("weight", "legs", "kind"), *ROWS])
    return path


def test_a_table_is_the_same_from_csv_packed_csv_and_parquet(tmp_path):
    plain = write_csv(tmp_path / "t.csv")
    packed = tmp_path / "t.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    columns = dict(zip(("weight", "legs", "kind"), zip(*ROWS, strict=True), strict=True))
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    wanted = np.array([row[:2] for row in ROWS], np.float32)
    for path in (plain, packed, tmp_path / "t.parquet"):
        split = table_file(path, "kind")
        np.testing.assert_array_equal(split.x, wanted)
        assert split.y.tolist() == [1, 2, 0]
    legs = table_file(plain, "legs", features=["weight"])
    assert legs.y.tolist() == [3, 4, 5]
    assert legs.y.dtype == np.int64
    assert table_file(plain, "weight", features=["legs"]).y.dtype == np.float32


@pytest.mark.parametrize(
    ("label", "features", "says"),
    [
        ("kinds", None, "Did you mean 'kind'"),
        ("weight", None, "numbers in column 'kind'"),
        ("kind", ["height"], "column 'height'"),
    ],
)
def test_a_table_without_a_column_or_numbers_is_refused(tmp_path, label, features, says):
    with pytest.raises(DataError, match=says) as caught:
        table_file(write_csv(tmp_path / "t.csv"), label, features=features)
    assert "t.csv" in str(caught.value)


def test_gaps_broken_rows_and_missing_tables_are_refused(tmp_path):
    path = tmp_path / "gaps.csv"
    path.write_text("a,b\n1,2\n,3\n")
    with pytest.raises(DataError, match=r"column 'a' of .*gaps\.csv; got 1 of 2 rows"):
        table_file(path, "b")
    path.write_text("a,b\n1,2\n1,2,3\n")
    with pytest.raises(DataError, match=r"gaps\.csv"):
        table_file(path, "b")
    with pytest.raises(DataError, match="nothing"):
        table_file(tmp_path / "none.csv", "b")
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"t\.parquet"):
        table_file(tmp_path / "t.parquet", "b")


def test_arrays_of_an_npz_file_are_taken_by_name(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, x=np.eye(3), labels=np.arange(3), w=np.ones(3))
    split = npz_file(file, y="labels", weight="w")
    np.testing.assert_array_equal(split.x, np.eye(3))
    assert split.sample_weight.tolist() == [1, 1, 1]
    with pytest.raises(DataError, match="'labels'"):
        npz_file(file)
    with pytest.raises(DataError, match=r"none\.npz"):
        npz_file(tmp_path / "none.npz")
    np.savez(file, x=np.array([object()]), y=np.arange(1))
    with pytest.raises(DataError, match=r"a\.npz"):
        npz_file(file)


def test_a_pair_of_idx_files_is_a_split(tmp_path):
    (tmp_path / "x").write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes(range(6)))
    (tmp_path / "y").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2]) + bytes([7, 9]))
    split = idx_files(tmp_path / "x", str(tmp_path / "y"))
    np.testing.assert_array_equal(split.x, [[0, 1, 2], [3, 4, 5]])
    assert split.y.tolist() == [7, 9]


def test_the_doctor_looks_at_a_sample_of_images_and_at_every_label(folder):
    root, _ = folder
    train = image_folder(root, size=(8, 8))
    train.y[9] = 5
    model = ModelFacts(
        (InputFacts("x", (8, 8, 3), "float32"),),
        (OutputFacts("y", (2,), "softmax", "SparseCategoricalCrossentropy", False),),
        ("loss",),
    )
    plan = Plan().edit({"batch.size": 4})
    found = {f.check: f for f in examine(Case(Data(train, Split(train.x, train.y)), model, plan))}
    assert {"sparse_labels", "unscaled_inputs"} <= set(found)
    assert "1 of 10 examples (row 9)" in found["sparse_labels"].where
    assert set(found) <= {"sparse_labels", "unscaled_inputs"}
