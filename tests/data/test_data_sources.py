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
    path.write_text("a,b\n1,2\n3,2\nmany,2\n")
    with pytest.raises(DataError, match=r"type string, like 'many' in row 2\."):
        table_file(path, "b")
    path.write_text("a,b\n1,2\n1,2,3\n")
    with pytest.raises(DataError, match=r"gaps\.csv"):
        table_file(path, "b")
    with pytest.raises(DataError, match="nothing"):
        table_file(tmp_path / "none.csv", "b")
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"t\.parquet"):
        table_file(tmp_path / "t.parquet", "b")


@pytest.mark.parametrize(
    ("stray", "made", "says"),
    [
        ("unknown", "{:.1f}", r"1 of 40 rows, like 'unknown' in row 17\. Mend"),
        ("y", "{:.0f}", r"1 of 40 rows, like 'y' in row 17\. Mend"),
        (None, "{:,.0f}", r"40 of 40 rows, like '1,000' in row 0\. Mend"),
        (None, "{:.0f}%", r"40 of 40 rows, like '1000%' in row 0\. Mend"),
        (None, "{:.0f},5", r"40 of 40 rows, like '1000,5' in row 0\. Mend"),
        (None, "01/28/{:.0f}", r"40 of 40 rows, like '01/28/1000' in row 0\. Mend"),
        (None, "{:.0f}-01-28", r"date32\[day\] \(dates and times are no classes\)"),
    ],
)
def test_numbers_among_the_targets_never_become_names(tmp_path, stray, made, says):
    words = [made.format(1000 + 7 * row) for row in range(40)]
    words[17] = stray or words[17]
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "".join(f'{row},"{word}"\n' for row, word in enumerate(words)))
    with pytest.raises(DataError, match=says) as caught:
        table_file(path, "y")
    assert caught.value.code == "SLP-315"


def test_what_float32_cannot_hold_is_infinite_in_a_table_without_a_warning(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n1.5,1e200\n-1e200,0.5\n")
    split = table_file(path, "y")
    assert split.x.tolist() == [[1.5], [-np.inf]]
    assert split.y.tolist() == [np.inf, 0.5]


def test_numbers_that_are_written_as_words_in_parquet_are_refused_unless_whole(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [0, 1, 2], "y": ["1.5", "2", "10.25"]}), path)
    with pytest.raises(DataError, match=r"got words, like '1\.5' in row 0"):
        table_file(path, "y")
    pq.write_table(pa.table({"a": [0, 1, 2], "y": ["2", "0", "1"]}), path)
    assert table_file(path, "y").y.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    "names",
    [
        "0123456789abcdef",
        ["<=50K", ">50K"],
        ["0-10", "10-20", "20-30"],
        ["1st", "2nd", "3rd"],
        ["1.1.1", "1.1.2", "2.3.1"],
        ["true", "false"],
    ],
)
def test_names_that_hold_digits_are_names(tmp_path, names):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "".join(f"{row},{name}\n" for row, name in enumerate(names)))
    assert table_file(path, "y").y.tolist() == [sorted(names).index(name) for name in names]


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
    assert set(found) <= {"sparse_labels", "unscaled_inputs", "shared_rows"}


def empty_image(root):
    (root / "class_0" / "998.jpg").touch()
    return "998.jpg (an empty file)"


def notes(root):
    (root / "class_0" / "notes.txt").write_text("sharp")
    return "notes.txt (neither JPEG nor PNG (.txt))"


def deep_image(root):
    Image.fromarray(np.full((8, 8), 300, np.uint16)).save(root / "class_1" / "997.png")
    return "997.png (an image of 16 bits a channel, which would be cut off at 255)"


def image_of_no_class(root):
    Image.new("RGB", (8, 8)).save(root / "lost.png")
    return "lost.png"


@pytest.mark.parametrize("harm", [empty_image, notes, image_of_no_class])
def test_foreign_files_are_refused_with_their_name(folder, harm):
    root, _ = folder
    name = harm(root)
    (root / "class_1" / "Thumbs.db").touch()
    (root / "class_1" / ".hidden.txt").touch()
    (root / "README.md").write_text("of no class")
    with pytest.raises(DataError) as caught:
        image_folder(root, size=(8, 8))
    assert name in str(caught.value)
    assert "Thumbs" not in str(caught.value)


def test_an_image_of_16_bits_is_refused_when_it_is_read(folder):
    root, _ = folder
    deep_image(root)
    with pytest.raises(DataError, match=r"997\.png; got an image of 16 bits"):
        image_folder(root, size=(8, 8)).x[-1]


def test_unreadable_files_are_counted_and_skipped_if_asked_for(folder):
    root, seen = folder
    names = [harm(root) for harm in (empty_image, text_as_image, notes, deep_image, broken_jpeg)]
    damaged = bytearray((root / "class_1" / "001.png").read_bytes())
    damaged[40:80] = bytes(40)
    (root / "class_1" / "001.png").write_bytes(damaged)
    with pytest.raises(DataError, match=r"4 other files: .*notes\.txt"):
        image_folder(root, size=(8, 8))
    split = image_folder(root, size=(8, 8), skip_unreadable=True)
    kept = [row for row in range(10) if row not in (0, 6)]
    np.testing.assert_array_equal(split.x[:], seen[kept])
    assert split.y.tolist() == [0] * 4 + [1] * 4
    left_out = [f"{one.file} ({one.why})" for one in split.x.left_out]
    assert len(left_out) == 6
    for name in [*names, "001.png"]:
        assert sum(name in one for one in left_out) == 1
    model = ModelFacts(
        (InputFacts("x", (8, 8, 3), "float32"),),
        (OutputFacts("y", (2,), "softmax", "SparseCategoricalCrossentropy", False),),
        ("loss",),
        ("Rescaling",),
    )
    case = Case(to_data(split), model, Plan().edit({"batch.size": 2}))
    (told,) = [finding for finding in examine(case) if finding.check == "skipped_files"]
    assert "6 files beside 8 images, left out as asked" in told.where
    for file in (root / "class_1").iterdir():
        file.write_text("nothing")
    with pytest.raises(DataError, match=r"images in .*class_1, a class of its own"):
        image_folder(root, size=(8, 8), skip_unreadable=True)


def test_equal_files_have_equal_keys(folder, tmp_path):
    root, seen = folder
    image_folder(root, size=(8, 8))
    (tmp_path / "copy").mkdir()
    for name in ("class_0", "class_1"):
        (tmp_path / "copy" / name).mkdir()
    copied = (root / "class_1" / "003.png").read_bytes()
    (tmp_path / "copy" / "class_1" / "copied.png").write_bytes(copied)
    Image.fromarray(seen[2][::-1]).save(tmp_path / "copy" / "class_0" / "new.png")
    ours = image_folder(root, size=(8, 8)).x.row_keys()
    theirs = image_folder(tmp_path / "copy", size=(8, 8)).x.row_keys()
    assert len(set(ours.tolist())) == 10
    assert (theirs[:, None] == ours).nonzero()[1].tolist() == [8]


@pytest.mark.parametrize(
    ("pixels", "color", "words"),
    [
        (["L", "RGB"], "rgb", ("2 grey (like ", "8 colour", "all read as rgb")),
        (["RGBA"], "rgb", ("transparent",)),
        (["RGB"], "gray", ()),
        (["L"], "gray", ()),
    ],
)
def test_mixed_channels_are_told(tmp_path, pixels, color, words):
    root = tmp_path / "images"
    write_folder(root, per_class=5)
    for name in ("class_0", "class_1"):
        for number in range(5):
            mode = pixels[0] if number == 4 or len(pixels) == 1 else pixels[1]
            (root / name / f"{number:03d}.jpg").unlink(missing_ok=True)
            image = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
            Image.fromarray(image).convert(mode).save(root / name / f"{number:03d}.png")
    split = image_folder(root, size=(8, 8), color=color)
    model = ModelFacts(
        (InputFacts("x", (8, 8, 3 if color == "rgb" else 1), "float32"),),
        (OutputFacts("y", (2,), "softmax", "SparseCategoricalCrossentropy", False),),
        ("loss",),
    )
    found = examine(Case(to_data(split), model, Plan().edit({"batch.size": 2})))
    said = [finding.where for finding in found if finding.check == "mixed_channels"]
    assert len(said) == bool(words)
    assert not [word for word in words if word not in said[0]]


def test_ragged_rows_are_counted_and_their_lines_named(tmp_path):
    path = tmp_path / "ragged.csv"
    path.write_text("a,b,c\n1,2,3\n1,2\n1,2,3\n4,5,6,7\n1\n9,9\n")
    with pytest.raises(DataError) as caught:
        table_file(path, "c")
    said = str(caught.value)
    assert "3 values in every row" in said
    assert "4 rows (lines 3, 5, 6, ...), 2 in the first" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a;kind\n1;2\n", "write numbers with points: here are semicolons."),
        ("a\tkind\n1\t2\n", "here are tabs."),
        ("a;kind\n1;2\n1,5;2\n", "1 value in every row .* in 1 row .line 3., .* semicolons."),
        ("kind,a,kind\n1,2,3\n", "Give each of them a name of its own"),
    ],
)
def test_other_separators_and_names_that_come_twice_are_told(tmp_path, text, says):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=says):
        table_file(path, "kind")


def test_nulls_of_a_parquet_file_are_counted_and_their_rows_named(tmp_path):
    path = tmp_path / "t.parquet"
    columns = {"a": [1.0, None, 3.0, None], "y": [0, 1, None, 1]}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(DataError, match=r"column 'a' .*2 of 4 rows without one \(rows 1, 3\)"):
        table_file(path, "y")
    with pytest.raises(DataError, match=r"column 'y' .*1 of 4 rows without one \(row"):
        table_file(path, "y", features=["y"])
