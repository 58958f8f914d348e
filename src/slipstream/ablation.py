"""Ablation: each technique taken out of a plan, and put alone onto the baseline, one at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from slipstream.errors import PlanError
from slipstream.plan import Plan
from slipstream.record import Record
from slipstream.techniques import Technique, found_in, put_in, take_out
from slipstream.verdict import AblationRow, compare, correct

Direction = Literal["taken_out", "put_alone"]
PLAN, BASELINE = "winner", "as_given"


@dataclass(frozen=True)
class Variant:
    """One row of an ablation before it is run.

    Args:
        technique: The technique's name.
        direction: Taken out of the plan, or put alone onto the baseline.
        together: Techniques that had to go with it, so that no plan contradicts itself.
        plan: What is to be run, or None where it cannot be.
        failure: Why it cannot be run.
    """

    technique: str
    direction: Direction
    together: tuple[str, ...]
    plan: Plan | None
    failure: str = ""

    @property
    def side(self) -> str:
        """The name of its runs."""
        word = "without" if self.direction == "taken_out" else "only"
        return f"{word}_{self.technique}"


def variants(
    plan: Plan, baseline: Plan, directions: Sequence[Direction] = ("taken_out", "put_alone")
) -> tuple[Variant, ...]:
    """Return what an ablation has to run: every technique, in every direction.

    Example:
        >>> plan = Plan().edit({"schedule.name": "cosine", "batch.size": 64})
        >>> [variant.side for variant in variants(plan, Plan(), ["taken_out"])]
        ['without_batch_size', 'without_cosine']
    """
    return tuple(
        _variant(technique, plan, baseline, direction)
        for direction in directions
        for technique in found_in(plan, baseline)
    )


def rows(
    chosen: Sequence[Variant], records: Mapping[str, Sequence[Record]], target: float
) -> tuple[AblationRow, ...]:
    """Return the table of an ablation, corrected for its number of comparisons.

    In both directions the candidate is the side that has the technique: a ratio above 1 means
    that it helps.

    Args:
        chosen: The variants that were run, or could not be.
        records: The runs of every side; the plan's under "winner", the baseline's under
            "as_given".
        target: The value of the monitor that ends the race.
    """
    return correct([_row(variant, records, target) for variant in chosen])


def _variant(technique: Technique, plan: Plan, baseline: Plan, direction: Direction) -> Variant:
    exchange = take_out if direction == "taken_out" else put_in
    try:
        ablated = exchange(technique, plan, baseline)
    except PlanError as error:
        return Variant(technique.name, direction, (), None, str(error))
    together = tuple(name for name in ablated.together if name != technique.name)
    return Variant(technique.name, direction, together, ablated.plan)


def _row(variant: Variant, records: Mapping[str, Sequence[Record]], target: float) -> AblationRow:
    verdict = None
    failure: str | None = variant.failure or None
    if variant.plan is not None:
        if variant.direction == "taken_out":
            verdict = compare(records[PLAN], records[variant.side], target=target)
        else:
            verdict = compare(records[variant.side], records[BASELINE], target=target)
    return AblationRow(
        technique=variant.technique,
        direction=variant.direction,
        together=variant.together,
        verdict=verdict,
        failure=failure,
    )
