"""Images and sequences as the planes (batch, channels, rows, columns) that kernels work on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from slipstream.lowering._rule import NotLoweredError

View = Callable[[torch.Tensor], torch.Tensor]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Planes:
    """Views between a layer's layout and planes; nothing is copied.

    Channels-last planes keep their order in memory (`torch.channels_last`), for which there are
    kernels. Sequences are planes of one row: that is how they come by channels-last kernels too.

    Args:
        enter: From the layer's layout to planes.
        leave: The way back.
    """

    enter: View
    leave: View


def planes_of(rank: int, data_format: str) -> Planes:
    """Return the views for a layer of 1 or 2 spatial axes."""
    if (rank, data_format) == (2, "channels_last"):
        return Planes(lambda x: x.permute(0, 3, 1, 2), lambda x: x.permute(0, 2, 3, 1))
    if (rank, data_format) == (2, "channels_first"):
        return Planes(lambda x: x, lambda x: x)
    if (rank, data_format) == (1, "channels_last"):
        return Planes(
            lambda x: x.permute(0, 2, 1).unsqueeze(2), lambda x: x.squeeze(2).permute(0, 2, 1)
        )
    if (rank, data_format) == (1, "channels_first"):
        return Planes(lambda x: x.unsqueeze(2), lambda x: x.squeeze(2))
    raise NotLoweredError(f"it has {rank} spatial axes")


def pair(values: Sequence[int]) -> Pair:
    """Return a setting of each spatial axis for planes: sequences have one row."""
    row, column = (1, *values) if len(values) == 1 else values
    return row, column


def same_padding(size: Sequence[int], window: Pair, strides: Pair, dilation: Pair) -> list[Pair]:
    """Return what Keras' "same" pads before and after rows and columns."""
    return [_same(*axis) for axis in zip(size[-2:], window, strides, dilation, strict=True)]


def _same(length: int, window: int, stride: int, dilation: int) -> Pair:
    reach = (window - 1) * dilation + 1
    # As Keras' torch backend: with stride 1 whatever the length is.
    covered = length if stride == 1 else (-(-length // stride) - 1) * stride + 1
    total = max(0, covered + reach - 1 - length)
    return total // 2, total - total // 2


def pad(planes: torch.Tensor, padding: Sequence[Pair], mode: str = "constant") -> torch.Tensor:
    """Return planes with margins around rows and columns; the order in memory stays."""
    (top, bottom), (left, right) = padding
    return functional.pad(planes, (left, right, top, bottom), mode=mode)
