"""Warns of folders that mix grey, coloured and transparent images."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.data.image_files import ALPHA, COLOR, GRAY
from slipstream.data.images import ImageFiles
from slipstream.doctor._arrays import image_folders
from slipstream.doctor._case import Case, Finding


def check(case: Case) -> Iterator[Finding]:
    """Warn of image files of several kinds, or of a kind that loses something in being read.

    All are converted to what was asked for, on every backend alike: grey images get three equal
    channels, transparency is dropped, colours become grey. A model may tell a class by that.
    """
    for name, source in image_folders(case):
        yield from _findings(source, name)


def _findings(source: ImageFiles, split: str) -> Iterator[Finding]:
    counts, examples = source.kinds
    is_mixed = sum(counts[kind] > 0 for kind in (GRAY, COLOR, ALPHA)) > 1
    if not is_mixed and not counts[ALPHA]:
        return
    shown = ", ".join(
        f"{count} {kind} (like {examples[kind]})" for kind, count in counts.most_common()
    )
    yield Finding(
        "mixed_channels",
        "warning",
        f"images of one kind of channels in the {split} split",
        f"{shown} among {counts.total()} files looked into, all read as {source.color}",
        "Convert the files to one kind, or see to it that no class can be told by it.",
    )
