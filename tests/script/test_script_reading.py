"""What ties a script to its backend, read from its source."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipstream.script.reading import read

FREE = {
    "keras": "import keras\nkeras.layers.Dense(1)",
    "from tensorflow": "from tensorflow import keras\nimport numpy as np",
    "tf.keras and tf.data": "import tensorflow as tf\n"
    "d = tf.data.Dataset.range(3).prefetch(tf.data.AUTOTUNE)\nm = tf.keras.Sequential()",
    "deep": "from tensorflow.keras.layers import Dense\nimport tensorflow.keras.backend as K",
    "dtypes and seeds": "import tensorflow as tf\ntf.random.set_seed(1)\nx = tf.float32\n"
    "tf.config.list_physical_devices('GPU')\ntf.get_logger().setLevel('ERROR')\nk = tf.keras",
    "a word in a text": "import keras\nprint('tf.function', 'import torch')  # tf.cast",
    "an attribute of something else": "import keras\nimport numpy as np\nnp.random.normal()",
}
TIED = {
    "a function": ("import tensorflow as tf\n@tf.function\ndef f(): ...", 2, "tf.function"),
    "an op": ("import tensorflow as tf\nk = tf.keras\ny = tf.cast(1, tf.int32)", 3, "tf.cast"),
    "another name": ("import tensorflow\ntensorflow.square(2)", 2, "tensorflow.square"),
    "other random": ("import tensorflow as tf\ntf.random.normal((1,))", 2, "tf.random.normal"),
    "a name of it": ("from tensorflow import GradientTape", 1, "tensorflow.GradientTape"),
    "a star": ("from tensorflow import *", 1, "tensorflow.*"),
    "old ways": ("import tensorflow.compat.v1 as tf", 1, "tensorflow.compat"),
    "as a value": ("import tensorflow as tf\nf(tf)", 2, "as a value"),
    "torch": ("import keras\nimport torch.nn as nn", 2, "PyTorch"),
    "jax": ("import keras\ndef f():\n    from jax import numpy", 3, "JAX"),
    "keras 2": ("import tf_keras", 1, "Keras 2"),
    "train_step": (
        "import keras\nclass M(keras.Model):\n    def train_step(self, data): ...", 3, "train_step"
    ),
    ".numpy()": ("import keras\nkeras.ops.ones(1).numpy()", 2, ".numpy()"),
    "export": ("import keras\nmodel.export('here')", 2, ".export()"),
    "a layer": ("import keras\nkeras.layers.TFSMLayer('x')", 2, "TFSMLayer"),
    "distribution": ("import keras\nkeras.distribution.DataParallel()", 2, "keras.distribution"),
    "by name": ("import importlib\nimportlib.import_module('torch')", 2, "PyTorch"),
    "by a name unknown": ("import importlib, sys\n__import__(sys.argv[1])", 2, "known only later"),
}  # fmt: skip


@pytest.mark.parametrize("name", FREE)
def test_nothing_ties_a_script_that_any_backend_can_run(name: str, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(FREE[name])
    reading = read(script)
    assert (reading.tie, reading.uses_keras) == ("", True)


@pytest.mark.parametrize("name", TIED)
def test_what_only_one_backend_can_run_is_named_with_its_line(name: str, tmp_path: Path) -> None:
    source, line, word = TIED[name]
    script = tmp_path / "train.py"
    script.write_text(source)
    tie = read(script).tie
    assert tie.startswith(f"train.py, line {line}: ")
    assert word in tie


def test_the_modules_of_its_folder_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/__init__.py").write_text("")
    (tmp_path / "parts/model.py").write_text("from .blocks import block\nimport keras")
    (tmp_path / "parts/blocks.py").write_text("from .. import train\nimport data")
    (tmp_path / "data.py").write_text("import tensorflow as tf\ntf.io.read_file('x')")
    (tmp_path / "unused.py").write_text("import torch")
    script = tmp_path / "train.py"
    script.write_text("from parts.model import build\nimport no_such_module")
    reading = read(script)
    assert reading.tie == "data.py, line 2: uses tf.io.read_file"
    assert reading.uses_keras
    names = {str(file.relative_to(tmp_path)) for file in reading.files}
    assert names == {
        "train.py", "parts/__init__.py", "parts/model.py", "parts/blocks.py", "data.py"
    }  # fmt: skip


def test_a_module_of_its_own_may_be_called_like_a_package(tmp_path: Path) -> None:
    (tmp_path / "transformers.py").write_text("import keras")
    script = tmp_path / "train.py"
    script.write_text("import transformers")
    assert read(script).tie == ""


def test_no_keras_and_no_python(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("print(1)")
    assert not read(script).uses_keras
    script.write_text("print(")
    assert read(script).tie == "train.py cannot be read as Python"
