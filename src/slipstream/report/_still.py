"""Curves as still pictures: SVG lines beside the text, without a library that draws them.

A page with them is a hundredth of the size of one whose curves can be zoomed into.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slipstream.report import _numbers as numbers

WIDTH, HEIGHT = 100.0, 40.0


@dataclass(frozen=True)
class Line:
    """One run's curve: the colour of its side, and the path in a box of WIDTH by HEIGHT."""

    slot: int
    path: str


@dataclass(frozen=True)
class Panel:
    """One metric's curves, with what its axes end in."""

    name: str
    lines: tuple[Line, ...]
    low: str
    high: str
    end: str


def panels(curves: dict[str, Any] | None, names: Sequence[str]) -> list[Panel]:
    """Return a picture for each metric that has a curve; a single point is none.

    Args:
        curves: What the chart of the same name draws.
        names: The names of its metrics, as the page writes them.
    """
    if curves is None:
        return []
    drawn = [_panel(curves, number, name) for number, name in enumerate(names)]
    return [panel for panel in drawn if panel is not None]


def _panel(curves: dict[str, Any], number: int, name: str) -> Panel | None:
    runs = [(side["slot"], run) for side in curves["sides"] for run in side["runs"]]
    known = [(x, y) for _, run in runs for x, y in _points(run, number)]
    if len(known) < 2:
        return None
    end = max(x for x, _ in known)
    low, high = min(y for _, y in known), max(y for _, y in known)
    lines = [Line(slot, _path(_points(run, number), end, low, high)) for slot, run in runs]
    return Panel(
        name=name,
        lines=tuple(line for line in lines if line.path),
        low=numbers.metric(low),
        high=numbers.metric(high),
        end=f"{end:.3g} {curves['unit']}",
    )


def _points(run: dict[str, Any], number: int) -> list[tuple[float, float]]:
    return [(x, y) for x, y in zip(run["x"], run["y"][number], strict=True) if y is not None]


def _path(points: Sequence[tuple[float, float]], end: float, low: float, high: float) -> str:
    """Return an SVG path; the largest value lies at the top.

    Example:
        >>> _path([(1.0, 3.0), (2.0, 1.0)], end=2.0, low=1.0, high=3.0)
        'M50,0L100,40'
    """
    spread = (high - low) or 1.0
    places = [
        f"{WIDTH * x / (end or 1.0):.4g},{HEIGHT * (high - y) / spread:.4g}" for x, y in points
    ]
    return f"M{'L'.join(places)}" if len(places) > 1 else ""
