"""70,000 pictures of clothes, 28 x 28 pixels, in ten classes; a small residual net.

Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking
machine learning algorithms", 2017.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.data import Data, Split
from slipstream.data.idx import read_idx
from slipstream.errors import DataError
from slipstream.task import AS_GIVEN, Task
from slipstream.tasks._splits import SEED

FOLDER_VARIABLE = "SLIPSTREAM_DATA_DIR"
SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
SUBFOLDER = "fashion-mnist"
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
NUM_CLASSES = 10
SIDE = 28
VALIDATION_SHARE = 0.1

Array = np.ndarray[Any, np.dtype[Any]]


def build_model() -> Any:
    """Return a residual net of three blocks with 32, 64 and 128 channels."""
    import keras
    from keras import layers

    def convolution(x: Any, channels: int, strides: int = 1) -> Any:
        x = layers.Conv2D(channels, 3, strides=strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    def residual_block(x: Any, channels: int, strides: int) -> Any:
        y = layers.ReLU()(convolution(x, channels, strides))
        y = convolution(y, channels)
        if strides > 1 or x.shape[-1] != channels:
            x = layers.Conv2D(channels, 1, strides=strides, use_bias=False)(x)
        return layers.ReLU()(layers.Add()([x, y]))

    images = keras.Input((SIDE, SIDE, 1))
    x = layers.ReLU()(convolution(images, 32))
    for channels, strides in ((32, 1), (64, 2), (128, 2)):
        x = residual_block(x, channels, strides)
    x = layers.GlobalAveragePooling2D()(x)
    logits = layers.Dense(NUM_CLASSES, dtype="float32")(x)
    return keras.Model(images, logits, name="fashion_mnist")


def load_data() -> Data:
    """Return images in [0, 1] of shape (N, 28, 28, 1), float32, and labels 0 to 9, int64.

    A fixed tenth of the training examples, with equal shares of all classes, is the validation
    split.

    Raises:
        DataError: The files cannot be had in any way, or they are broken.
    """
    from sklearn.model_selection import train_test_split

    images, labels, test_images, test_labels = _load_arrays()
    _check(images, labels, "training")
    _check(test_images, test_labels, "test")
    train, validation = train_test_split(
        np.arange(len(images)), test_size=VALIDATION_SHARE, random_state=SEED, stratify=labels
    )
    return Data(
        _to_split(images[train], labels[train], train),
        _to_split(images[validation], labels[validation], validation),
        _to_split(test_images, test_labels),
    )


def keras_folder() -> Path:
    """Return the folder where Keras keeps the files once it has downloaded them."""
    home = os.environ.get("KERAS_HOME", "~/.keras")
    return Path(home).expanduser() / "datasets" / SUBFOLDER


def download() -> None:
    """Let Keras download the files into its own folder."""
    import keras

    keras.datasets.fashion_mnist.load_data()


def _load_arrays() -> list[Array]:
    folder = _find_folder()
    if folder is None:
        try:
            download()
        except Exception as error:  # Keras raises bare exceptions when a download fails.
            raise _not_found(
                f"no file, and Keras' download failed ({_first_line(error)})"
            ) from None
        folder = keras_folder()
    files = _files_in(folder)
    if files is None:
        raise _not_found("no file, and Keras' download left none")
    return [read_idx(file) for file in files]


def _find_folder() -> Path | None:
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        # A folder that the user names is not silently passed over.
        folder = Path(given).expanduser()
        for candidate in (folder, folder / SUBFOLDER):
            if _files_in(candidate):
                return candidate
        raise _not_found(f"a folder without all four files, {folder}")
    return next((f for f in (SYSTEM_FOLDER, keras_folder()) if _files_in(f)), None)


def _files_in(folder: Path) -> list[Path] | None:
    """Return the four files, gzipped or not, or None when one is missing."""
    files = []
    for name in FILES:
        found = next((f for f in (folder / f"{name}.gz", folder / name) if f.is_file()), None)
        if found is None:
            return None
        files.append(found)
    return files


def _check(images: Array, labels: Array, name: str) -> None:
    if images.shape[1:] != (SIDE, SIDE) or labels.shape != images.shape[:1]:
        came = f"images of shape {images.shape} and labels of shape {labels.shape}"
    elif images.dtype != np.uint8 or (labels.size and not 0 <= labels.min() <= labels.max() < 10):
        came = f"{images.dtype} images, or labels other than 0 to 9"
    else:
        return
    raise DataError(
        f"Fashion-MNIST's {name} files",
        came,
        "Delete the files and fetch them again.",
        code="SLP-237",
    )


def _to_split(images: Array, labels: Array, rows: Array | None = None) -> Split:
    pixels = images[..., None].astype(np.float32) / np.float32(255)
    return Split(pixels, labels.astype(np.int64), rows=rows)


def _not_found(came: str) -> DataError:
    return DataError(
        f"Fashion-MNIST's four idx files ({FILES[0]}.gz and so on)",
        came,
        f"Give their folder with --data-dir or {FOLDER_VARIABLE}; or, on Debian, run 'apt install "
        f"dataset-fashion-mnist'; or put them into {keras_folder()}; or connect to the internet, "
        "so that Keras can download them.",
        code="SLP-238",
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].removesuffix(".") if lines else type(error).__name__


TASK = Task(
    name="fashion_mnist",
    model=build_model,
    data=load_data,
    loss={"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
    metrics=["accuracy"],
    monitor="val_accuracy",
    target=0.90,
    plan=AS_GIVEN.edit({"duration.epochs": 10}),
)
