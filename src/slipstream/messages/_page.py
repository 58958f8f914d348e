"""The page of messages, docs/errors.md; `slipstream/pages.py` writes it."""

from __future__ import annotations

from slipstream.messages import Entry, all_entries
from slipstream.messages._sentences import PACKAGE, sentences_in

TITLE = """# Messages

Every error and warning has an identifier: `Error SLP-101: expected ...`, `Warning SLP-511: ...`, \
and `[SLP-101]` at the end of an error's text in Python. `slipstream explain SLP-101` prints its \
entry here; an identifier is never given to another message. What stands in braces varies.

What is found in data, from SLP-401 on, and why it matters, is told at length in \
[data-checks.md](data-checks.md); exit codes in [commands.md](commands.md).

This page is made of the messages themselves: `python -m slipstream.pages`."""

PARTS = {
    "0": "The command line, and backends",
    "1": "Plans",
    "2": "Tasks",
    "3": "Sources of data",
    "4": "Data, model and plan together",
    "5": "Trainings, and what a run shows",
    "6": "Folders, checkpoints, records, studies and comparisons",
    "7": "Changes to models",
    "8": "Keras scripts: written by `eject`, and run as they are",
}


def messages_page() -> str:
    """Return the page as Markdown."""
    said = sentences_in(PACKAGE)
    lines, part = [TITLE], ""
    for code, entry in all_entries().items():
        if code[4] != part:
            part = code[4]
            lines.append(f"## {PARTS[part]}")
        lines.append(_section(entry, said.get(code, [])))
    return "\n\n".join(lines) + "\n"


def _section(entry: Entry, sentences: list[str]) -> str:
    # Four spaces in front: neither braces nor stars of a sentence are markup.
    quoted = "".join(f"    {' '.join(sentence.split())}\n" for sentence in sentences)
    said = f"{quoted}\n" if quoted else ""
    return (
        f"### {entry.code}: {entry.title}\n\n{said}**Cause:** {entry.cause}\n\n"
        f"**Cure:** {entry.cure}"
    )
