"""Tells which files of a folder were left out."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.data.image_files import named
from slipstream.doctor._arrays import image_folders
from slipstream.doctor._case import Case, Finding


def check(case: Case) -> Iterator[Finding]:
    """Warn of files that were to be skipped, and were: how many, which, and why.

    Without skip_unreadable=True they are refused when the folder is opened.
    """
    for name, source in image_folders(case):
        count = len(source.left_out)
        if count:
            yield Finding(
                "skipped_files",
                "warning",
                f"whole JPEG or PNG images alone in the folder of the {name} split",
                f"{count} file{'s' if count > 1 else ''} beside {len(source)} images, left out as"
                f" asked: {named(source.left_out)}",
                "Convert, fetch again or move them.",
            )
