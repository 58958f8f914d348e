"""Columns of the live display: a stage's bar, and the time it has left."""

from __future__ import annotations

from rich.progress import ProgressColumn, Task
from rich.progress_bar import ProgressBar
from rich.text import Text

# Before so much is done, an estimate from what is done says nothing.
LEAST_FRACTION = 0.02


class StageBar(ProgressColumn):
    """How much of the stage is done; moves to and fro where that is not known."""

    def render(self, task: Task) -> ProgressBar:
        """Return the bar."""
        fraction = fraction_of(task)
        return ProgressBar(
            total=1.0 if fraction is not None else None,
            completed=fraction or 0.0,
            width=24,
            pulse=fraction is None,
            animation_time=task.get_time(),
        )


class TimeLeft(ProgressColumn):
    """About how long the stage still takes."""

    def render(self, task: Task) -> Text:
        """Return the time, like "0:12 left"."""
        left = seconds_left(task)
        if left is None:
            return Text("")
        minutes, seconds = divmod(round(left), 60)
        return Text(f"{minutes}:{seconds:02d} left", style="cyan")


def fraction_of(task: Task) -> float | None:
    """Return how much of a stage is done: as it was told, or by its planned time."""
    told = task.fields["fraction"]
    if told is not None:
        return float(min(1.0, max(0.0, told)))
    planned = task.fields["planned"]
    return min(1.0, (task.elapsed or 0.0) / planned) if planned else None


def seconds_left(task: Task) -> float | None:
    """Return how long a stage still takes, or None where that cannot be told."""
    fraction, elapsed = task.fields["fraction"], task.elapsed or 0.0
    if fraction is not None and fraction >= LEAST_FRACTION:
        share = min(1.0, float(fraction))
        return elapsed * (1.0 - share) / share
    planned = task.fields["planned"]
    return max(0.0, float(planned) - elapsed) if planned else None
