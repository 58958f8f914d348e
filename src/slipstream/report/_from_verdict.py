"""Verdicts as rows of the report."""

from __future__ import annotations

from slipstream.report._content import AblationRow, Comparison, Interval
from slipstream.verdict import AblationRow as VerdictRow
from slipstream.verdict import Quality, Verdict


def comparison_of(against: str, verdict: Verdict) -> Comparison:
    """Return a verdict as a row of the comparison.

    Args:
        against: The label of the baseline's side.
        verdict: The winner, as the candidate, against it.

    Example:
        >>> from slipstream.verdict import Pair, Rules, judge
        >>> pairs = [
        ...     Pair(
        ...         seed=seed,
        ...         baseline_seconds=30.0 + seed,
        ...         candidate_seconds=10.0 + seed,
        ...         baseline_clock_seconds=60.0,
        ...         candidate_clock_seconds=60.0,
        ...     )
        ...     for seed in range(3)
        ... ]
        >>> rules = Rules(monitor="val_accuracy", mode="max", target=0.97)
        >>> comparison_of("as given", judge(pairs, rules)).sentence[:34]
        '2.8x faster to val_accuracy 0.97 ('
    """
    return Comparison(
        against=against,
        sentence=_full(verdict.sentence()),
        speedup=_speedup(verdict),
        quality=_quality(verdict.quality),
        quality_metric=_name(verdict.quality),
        quality_mode=verdict.quality.mode if verdict.quality else "",
    )


def ablation_row_of(row: VerdictRow) -> AblationRow:
    """Return a row of an ablation as the report shows it.

    Example:
        >>> ablation_row_of(VerdictRow(technique="ema", direction="taken_out", failure="crashed"))
        AblationRow(technique='ema', direction='taken_out', speedup=None, quality=None, \
quality_metric='', quality_mode='', failure='crashed', note='')
    """
    together = f"together with {', '.join(row.together)}" if row.together else ""
    if row.verdict is None:
        return AblationRow(
            technique=row.technique,
            direction=row.direction,
            failure=row.failure or "",
            note=together,
        )
    reason = row.verdict.reason if row.verdict.ratio is None else ""
    return AblationRow(
        technique=row.technique,
        direction=row.direction,
        speedup=_speedup(row.verdict),
        quality=_quality(row.verdict.quality),
        quality_metric=_name(row.verdict.quality),
        quality_mode=row.verdict.quality.mode if row.verdict.quality else "",
        note="; ".join(filter(None, (together, reason))),
    )


def _full(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:] + "."


def _speedup(verdict: Verdict) -> Interval | None:
    if verdict.ratio is None:
        return None
    return Interval(verdict.ratio, verdict.low, verdict.high)


def _quality(quality: Quality | None) -> Interval | None:
    return None if quality is None else Interval(quality.difference, quality.low, quality.high)


def _name(quality: Quality | None) -> str:
    return "" if quality is None else f"{quality.split} {quality.name}"
