"""What came of one part of the torture, and the table of all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.table import Table


@dataclass
class Outcome:
    """What came of one part.

    Args:
        what: What was done.
        tries: How often.
        failures: A sentence for each time that it did not end as it must.
        counts: What else there is to tell, by name.
        skipped: Why it could not be done here; "" if it could.
    """

    what: str
    tries: int = 0
    failures: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    skipped: str = ""

    def count(self, name: str, when: bool = True) -> None:
        """Add one to a count, or nothing."""
        self.counts[name] = self.counts.get(name, 0) + when

    def expect(self, holds: bool, otherwise: str) -> None:
        """Note a failure unless something holds."""
        if not holds:
            self.failures.append(f"{self.what}, try {self.tries}: {otherwise}")


def table(rows: Iterable[tuple[Outcome, float]]) -> Table:
    """Return the table of outcomes and the seconds that they took."""
    drawn = Table("What", "Tries", "Failed", "Of these", "Seconds")
    for outcome, seconds in rows:
        counts = ", ".join(f"{count} {name}" for name, count in outcome.counts.items())
        failed = "-" if outcome.skipped else str(len(outcome.failures))
        drawn.add_row(
            outcome.what, str(outcome.tries), failed, outcome.skipped or counts, f"{seconds:.0f}"
        )
    return drawn
