"""Writes docs/data-checks.md: python -m slipstream.doctor._page [PATH]."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

from slipstream.doctor import all_checks
from slipstream.doctor._catalogue import CHECKS, SOURCES, Entry

TITLE = """# What is checked before the first step

`slipstream` looks at data, model and plan before it trains, on every backend with the same words: \
what was expected, what came instead (where, and in how many examples, with the first rows), and \
what to do. What is *refused* ends a command with code 2 and trains nothing; all refusals are \
listed at once. A *warning* is told and kept in the report: it is true, but may be meant. Checks \
read each array a few times; of files that are decoded while training, they look at some, evenly \
spread. On 60,000 rows of 784 values all checks together take well under a second; \
`python bench/data_checks.py` measures it.

In `slipstream.fit(model, x, y, ...)` and `slipstream run SCRIPT.py`, which do what Keras does, \
nothing is refused: the same findings are told before the first step, of data that are arrays.

This page is made of the checks themselves: `python -m slipstream.doctor._page`."""


def page() -> str:
    """Return the page as Markdown."""
    causes = {check.__module__.rpartition(".")[2]: check.__doc__ or "" for check in all_checks()}
    parts = [TITLE, "## Data, model and plan together"]
    parts += [_section(entry, entry.cause or _body(causes[entry.name])) for entry in CHECKS]
    parts += ["## While data are read", *(_section(entry, entry.cause) for entry in SOURCES)]
    return "\n\n".join(parts) + "\n"


def _section(entry: Entry, cause: str) -> str:
    what = f"{entry.code}, `{entry.name}`: {entry.outcome}. {cause}"
    return f"### {entry.title}\n\n{what}\n\n**Cure:** {entry.cure}"


def _body(docstring: str) -> str:
    """Return a docstring in one line that begins with what is found, not with what is done."""
    text = re.sub(r"^(Refuse|Warn of|Find) ", "", " ".join(inspect.cleandoc(docstring).split()))
    return text[:1].upper() + text[1:]


def main(arguments: list[str]) -> None:
    """Write the page to the path given, or to docs/data-checks.md below the working folder."""
    path = Path(arguments[0]) if arguments else Path("docs") / "data-checks.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
