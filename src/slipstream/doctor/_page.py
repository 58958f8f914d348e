"""The page of checks, docs/data-checks.md; `slipstream/pages.py` writes it."""

from __future__ import annotations

from slipstream.doctor import catalogue
from slipstream.doctor._catalogue import CHECKS, Entry

TITLE = """# What is checked before the first step

`slipstream` looks at data, model and plan before it trains, on every backend with the same words: \
what was expected, what came instead (where, and in how many examples, with the first rows), and \
what to do. What is *refused* ends a command with code 2 and trains nothing; all refusals are \
listed at once. A *warning* is told and kept in the report: it is true, but may be meant. Checks \
read each array a few times; of files that are decoded while training, they look at some, evenly \
spread. On 60,000 rows of 784 values all checks together take well under a second; \
`python bench/data_checks.py` measures it.

In `slipstream.fit(model, x, y, ...)` and `slipstream run SCRIPT.py`, which do what Keras does, \
nothing is refused: the same findings are told before the first step. Of what comes batch by batch \
(datasets, loaders, generators) the first batch is looked at, when the fit has taken it: nothing \
is read for the look alone, and what only a whole split can tell is not said.

This page is made of the checks themselves: `python -m slipstream.pages`."""


def checks_page() -> str:
    """Return the page as Markdown."""
    sections = [_section(entry, cause) for entry, cause in catalogue()]
    parts = [TITLE, "## Data, model and plan together", *sections[: len(CHECKS)]]
    parts += ["## While data are read", *sections[len(CHECKS) :]]
    return "\n\n".join(parts) + "\n"


def _section(entry: Entry, cause: str) -> str:
    what = f"{entry.code}, `{entry.name}`: {entry.outcome}. {cause}"
    return f"### {entry.title}\n\n{what}\n\n**Cure:** {entry.cure}"
