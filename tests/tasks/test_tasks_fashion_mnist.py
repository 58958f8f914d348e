"""Where fashion_mnist takes its files from, and what it says when there are none."""

import gzip
import struct

import numpy as np
import pytest

from slipstream.errors import DataError
from slipstream.tasks import fashion_mnist

NUM_TRAIN, NUM_TEST = 200, 50
SYSTEM_FOLDER = fashion_mnist.SYSTEM_FOLDER


def write_files(folder, brightness, *, gzipped=True, labels_to=10):
    """Write four small idx files whose every pixel has one brightness; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, num in zip(fashion_mnist.FILES, (NUM_TRAIN,) * 2 + (NUM_TEST,) * 2, strict=True):
        if "images" in name:
            content = (
                struct.pack(">4B3I", 0, 0, 8, 3, num, 28, 28) + bytes([brightness]) * num * 784
            )
        else:
            content = struct.pack(">4BI", 0, 0, 8, 1, num) + bytes(
                i % labels_to for i in range(num)
            )
        path = folder / (name + ".gz" if gzipped else name)
        path.write_bytes(gzip.compress(content) if gzipped else content)
    return folder


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No folder has files, and no download succeeds, unless a test says so."""

    def fail():
        raise Exception("URL fetch failure\nand more")

    monkeypatch.delenv(fashion_mnist.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.setattr(fashion_mnist, "download", fail)


def brightness():
    return round(float(fashion_mnist.load_data().train.x[0, 0, 0, 0]) * 255)


def test_the_sources_come_in_their_order(tmp_path, monkeypatch):
    write_files(fashion_mnist.keras_folder(), 30)
    assert brightness() == 30
    write_files(tmp_path / "system", 20, gzipped=False)
    assert brightness() == 20
    monkeypatch.setenv(fashion_mnist.FOLDER_VARIABLE, str(write_files(tmp_path / "given", 10)))
    assert brightness() == 10


def test_a_subfolder_of_the_given_folder_will_do(tmp_path, monkeypatch):
    write_files(tmp_path / "given" / "fashion-mnist", 10)
    monkeypatch.setenv(fashion_mnist.FOLDER_VARIABLE, str(tmp_path / "given"))
    assert brightness() == 10


def test_keras_downloads_when_nothing_is_there(monkeypatch):
    monkeypatch.setattr(
        fashion_mnist, "download", lambda: write_files(fashion_mnist.keras_folder(), 40)
    )
    assert brightness() == 40


def test_one_error_lists_all_the_ways():
    with pytest.raises(DataError) as caught:
        fashion_mnist.load_data()
    message = str(caught.value)
    for way in ("--data-dir", "SLIPSTREAM_DATA_DIR", "apt install dataset-fashion-mnist", "keras"):
        assert way in message
    assert "URL fetch failure)" in message and "and more" not in message


def test_a_given_folder_without_the_files_is_not_passed_over(tmp_path, monkeypatch):
    write_files(tmp_path / "system", 20)
    given = write_files(tmp_path / "given", 10)
    (given / f"{fashion_mnist.FILES[3]}.gz").unlink()
    monkeypatch.setenv(fashion_mnist.FOLDER_VARIABLE, str(given))
    with pytest.raises(DataError, match=f"without all four files, {given}"):
        fashion_mnist.load_data()


def test_files_of_another_data_set_are_refused(tmp_path):
    write_files(tmp_path / "system", 20, labels_to=11)
    with pytest.raises(DataError, match="labels other than 0 to 9"):
        fashion_mnist.load_data()


def test_a_broken_file_is_named(tmp_path):
    folder = write_files(tmp_path / "system", 20)
    file = folder / f"{fashion_mnist.FILES[2]}.gz"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match=str(file)):
        fashion_mnist.load_data()


def test_the_validation_split_is_a_tenth_with_all_classes_alike(tmp_path):
    write_files(tmp_path / "system", 255)
    data = fashion_mnist.load_data()
    assert (data.train.num_examples, data.test.num_examples) == (NUM_TRAIN * 9 // 10, NUM_TEST)
    assert np.unique(data.validation.y, return_counts=True)[1].tolist() == [NUM_TRAIN // 100] * 10
    assert data.train.x.shape[1:] == (28, 28, 1) and data.train.x.dtype == np.float32
    assert data.train.x.max() == 1.0 and data.train.y.dtype == np.int64
    for split in (data.train, data.validation):
        # The labels of the files written here count up.
        np.testing.assert_array_equal(split.rows % 10, split.y)
    assert data.digest() == fashion_mnist.load_data().digest()


@pytest.mark.skipif(
    not SYSTEM_FOLDER.is_dir(), reason="the package dataset-fashion-mnist is not installed"
)
def test_the_real_files_are_what_the_paper_says(monkeypatch):
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", SYSTEM_FOLDER)
    data = fashion_mnist.load_data()
    sizes = [split.num_examples for split in (data.train, data.validation, data.test)]
    assert sizes == [54_000, 6_000, 10_000]
    assert np.bincount(data.validation.y).tolist() == [600] * 10
    assert np.bincount(data.test.y).tolist() == [1000] * 10
    # The mean and deviation that are commonly quoted for the 60,000 training images.
    pixels = np.concatenate([data.train.x.ravel(), data.validation.x.ravel()])
    assert abs(pixels.mean(dtype=np.float64) - 0.2860) < 5e-5
    assert abs(pixels.std(dtype=np.float64) - 0.3530) < 5e-5
