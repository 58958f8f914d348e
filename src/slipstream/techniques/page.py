"""Writes docs/techniques.md: python -m slipstream.techniques.page [PATH]."""

from __future__ import annotations

import sys
from pathlib import Path

from slipstream.techniques.explain import techniques_page


def main(arguments: list[str]) -> None:
    """Write the page to the path given, or to docs/techniques.md below the working folder."""
    path = Path(arguments[0]) if arguments else Path("docs") / "techniques.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(techniques_page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
