"""Where examples come from and in which order they are seen."""

from slipstream.data.idx import idx_files, read_idx
from slipstream.data.images import image_folder
from slipstream.data.npz import npz_file
from slipstream.data.splits import Data, Split, leaves, map_arrays, to_data
from slipstream.data.tables import table_file

__all__ = [
    "Data",
    "Split",
    "idx_files",
    "image_folder",
    "leaves",
    "map_arrays",
    "npz_file",
    "read_idx",
    "table_file",
    "to_data",
]
