"""One row of an ablation, and the correction for the number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import model_validator

from slipstream.record import JsonModel
from slipstream.verdict.judge import judge
from slipstream.verdict.values import Verdict


class AblationRow(JsonModel):
    """What one technique contributes.

    In both directions the candidate of the verdict is the side that has the technique, so that
    a ratio above 1 always means that it helps: "taken_out" compares the whole plan with the plan
    without it, "put_alone" compares the baseline with it to the baseline.

    Args:
        technique: Its name.
        direction: What was done with it.
        together: The names of techniques that had to go, or come, with it.
        verdict: The comparison, or None where there is none.
        failure: Why there is none, or None.
    """

    technique: str
    direction: Literal["taken_out", "put_alone"]
    together: tuple[str, ...] = ()
    verdict: Verdict | None = None
    failure: str | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.verdict is None) == (self.failure is None):
            raise ValueError("a row has either a verdict or a failure")
        return self

    def sentence(self) -> str:
        """Return the row as one sentence for people, without a full stop."""
        how = "in the whole plan" if self.direction == "taken_out" else "alone"
        names = " with ".join([self.technique, *filter(None, [", ".join(self.together)])])
        said = self.verdict.sentence() if self.verdict is not None else f"failed: {self.failure}"
        return f"{names} {how}: {said}"


def correct(rows: Sequence[AblationRow]) -> tuple[AblationRow, ...]:
    """Return the rows judged again, corrected for their number.

    Every interval is widened by Bonferroni's rule (`paired_interval`), so that all of them hold
    together. Rows without a verdict are no comparison and are not counted.

    Example:
        >>> correct([AblationRow(technique="warmup", direction="taken_out", failure="crashed")])
        (AblationRow(technique='warmup', direction='taken_out', together=(), verdict=None, \
failure='crashed'),)
    """
    count = sum(row.verdict is not None for row in rows)
    return tuple(_judged_again(row, count) for row in rows)


def _judged_again(row: AblationRow, num_comparisons: int) -> AblationRow:
    verdict = row.verdict
    if verdict is None:
        return row
    rules = verdict.rules.model_copy(update={"num_comparisons": num_comparisons})
    again = judge(verdict.pairs, rules, verdict.unpaired_seeds)
    return row.model_copy(update={"verdict": again})
