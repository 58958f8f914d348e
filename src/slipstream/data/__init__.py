"""Where examples come from and in which order they are seen."""

from slipstream.data.splits import Data, Split, leaves, map_arrays, to_data

__all__ = ["Data", "Split", "leaves", "map_arrays", "to_data"]
