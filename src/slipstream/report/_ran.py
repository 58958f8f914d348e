"""How the runs of each side were made: what the engine did of the plan, and what it did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from slipstream.report._content import Side


@dataclass(frozen=True, kw_only=True)
class Line:
    """What records say of how a side ran.

    Args:
        slot: The side's colour.
        label: The side's name.
        key: The plan's key that was applied; "" for a note.
        text: What the records say.
        share: In how many runs it was so, where not in all.
    """

    slot: int
    label: str
    key: str
    text: str
    share: str


def lines_of(slots: Sequence[tuple[int, Side]]) -> list[Line]:
    """Return what the records of each side say of how they ran, each thing once."""
    return [line for slot, side in slots for line in _of_side(slot, side)]


def _of_side(slot: int, side: Side) -> list[Line]:
    said: Counter[tuple[str, str]] = Counter()
    for record in side.records:
        said.update(dict.fromkeys(record.applied.items(), 1))
        said.update(dict.fromkeys((("", note) for note in record.notes), 1))
    runs = len(side.records)
    return [
        Line(
            slot=slot,
            label=side.label,
            key=key,
            text=text,
            share=f"{count} of {runs} runs" if count < runs else "",
        )
        # What was done comes before what was left out; both in the records' order.
        for (key, text), count in sorted(said.items(), key=lambda item: not item[0][0])
    ]
