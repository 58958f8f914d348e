"""What scripts do about data that do not lie in memory."""

import grain
import numpy as np
import pytest

from image_files import write_folder
from slipstream.data import image_folder
from slipstream.errors import TaskError
from slipstream.export._data_part import loading


def test_a_script_decodes_a_folder_of_images_into_arrays(tmp_path):
    root = tmp_path / "images"
    seen = write_folder(root, per_class=4)
    split = image_folder(root, size=(8, 8))
    lines = loading({"train": split, "validation": split}).lines
    assert (
        lines[-1] == "train, validation = keras.tree.map_structure(np.asarray, (train, validation))"
    )
    np.testing.assert_array_equal(np.asarray(split.x), seen)


def test_a_pipeline_of_another_library_is_refused():
    pipeline = grain.MapDataset.range(4).map(lambda i: (i, i)).batch(2)
    for loaded in (pipeline, (pipeline, (np.zeros(2), np.zeros(2))), {"train": pipeline}):
        with pytest.raises(TaskError, match=r"grain\.MapDataset"):
            loading(loaded)
