"""An entry of the catalogue as text, for a terminal."""

from __future__ import annotations

import textwrap

from slipstream.messages import all_entries, get
from slipstream.messages._sentences import sentences

WIDTH = 88


def explain(code: str) -> str:
    """Return what an identifier stands for.

    Raises:
        InputError: No message has it.

    Example:
        >>> print(explain("SLP-010"), end="")
        SLP-010: `--set` without a key and a value
        <BLANKLINE>
          says:  Expected --set KEY=VALUE; got {text}. Write --set schedule.peak=3e-3.
          cause: `--set` changes one key of the plan; key and value stand together, with an equals
                 sign between.
          cure:  Write `--set schedule.peak=3e-3`; quote a value that holds spaces.
    """
    entry = get(code)
    lines = [f"{entry.code}: {entry.title}", ""]
    lines += [_indented("says:", sentence) for sentence in sentences(entry.code)]
    lines += [_indented("cause:", entry.cause), _indented("cure:", entry.cure)]
    return "\n".join(lines) + "\n"


def table() -> list[tuple[str, str]]:
    """Return every identifier with its title."""
    return [(code, entry.title) for code, entry in all_entries().items()]


def _indented(name: str, text: str) -> str:
    first, after = f"  {name:<7}", " " * 9
    return textwrap.fill(
        " ".join(text.split()),
        WIDTH + 2,
        initial_indent=first,
        subsequent_indent=after,
        break_long_words=False,
        break_on_hyphens=False,
    )
