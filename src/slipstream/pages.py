"""Writes the pages of docs/ that are made of the code: python -m slipstream.pages [FOLDER]."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from slipstream.doctor._page import checks_page
from slipstream.messages._page import messages_page
from slipstream.techniques.explain import techniques_page

PAGES: dict[str, Callable[[], str]] = {
    "data-checks.md": checks_page,
    "errors.md": messages_page,
    "techniques.md": techniques_page,
}


def main(arguments: list[str]) -> None:
    """Write them into the folder given, or into docs/ below the working folder."""
    folder = Path(arguments[0]) if arguments else Path("docs")
    folder.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
