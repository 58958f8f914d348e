"""A schedule to look at: its value at any update and its picture, without a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slipstream.errors import InputError
from slipstream.ops.schedules import Array, learning_rates
from slipstream.plan import Plan, Value
from slipstream.plan.parts import Schedule
from slipstream.plan.rates import written_out

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, eq=False)
class Curve:
    """The learning rates of a run.

    Args:
        title: What schedule it is.
        rates: The learning rate of each optimizer update, shape (updates,).
        updates_per_epoch: Optimizer updates of one epoch, or None.
    """

    title: str
    rates: Array
    updates_per_epoch: float | None = None

    def at(self, update: int) -> float:
        """Return the learning rate of one update, counted from 0.

        Raises:
            InputError: The run has no such update.
        """
        if not 0 <= update < len(self.rates):
            raise InputError(
                f"an update from 0 to {len(self.rates) - 1}",
                f"{update}",
                "Name an update of the run, or look at a longer run.",
                code="SLP-024",
            )
        return float(self.rates[update])

    def text(self, width: int = 64) -> str:
        """Return the curve as one line of blocks, at most so wide.

        Example:
            >>> schedule("linear", 8, peak=1.0).text()
            '█▇▆▅▄▃▂▁'
        """
        columns = np.linspace(0, len(self.rates) - 1, min(width, len(self.rates))).round()
        heights = self.rates[columns.astype(int)] / self.rates.max()
        levels = np.ceil(heights * len(BLOCKS) - 1e-9).astype(int) - 1
        return "".join(BLOCKS[max(0, level)] for level in levels)

    def plot(self) -> Figure:
        """Return a Plotly figure; in a notebook it shows itself.

        Example:
            >>> figure = schedule("cosine", 100).plot()
            >>> len(figure.data[0].y)
            100
        """
        from plotly.graph_objects import Figure, Scatter

        updates = np.arange(len(self.rates))
        epochs = self.updates_per_epoch
        x = updates / epochs if epochs else updates
        shape = "hv" if len(self.rates) > 1 and self._jumps() else "linear"
        line: dict[str, Any] = {"shape": shape}
        figure = Figure(Scatter(x=x, y=self.rates, mode="lines", line=line))
        figure.update_layout(
            title=self.title,
            xaxis_title="epoch" if epochs else "update",
            yaxis_title="learning rate",
            yaxis_rangemode="tozero",
        )
        return figure

    def _jumps(self) -> bool:
        """Whether most updates keep the rate: what changes then changes at once."""
        return float(np.mean(np.diff(self.rates) == 0)) > 1 / 2


def schedule(
    plan: Plan | str,
    updates: int,
    *,
    updates_per_epoch: float | None = None,
    **settings: Value,
) -> Curve:
    """Return the learning rates of a run of so many optimizer updates, to look at.

    Args:
        plan: A plan, or the name of a schedule.
        updates: Optimizer updates of the run (not micro-batches).
        updates_per_epoch: Optimizer updates of one epoch: for lengths in epochs, and as the
            unit of the picture.
        settings: Keys of the plan's section [schedule] that are changed, like peak=0.1.

    Raises:
        PlanError: There is no such key or value, or a length does not fit into the run.
        InputError: There are no updates.

    Example:
        >>> curve = schedule("cosine", 100, peak=0.1, warmup="10 steps")
        >>> curve.at(10), round(curve.at(55), 6)
        (0.1, 0.05)
    """
    if isinstance(plan, str):
        settings = {"name": plan, **settings}
        plan = Plan()
        if settings["name"] == "one_cycle":
            settings = {"warmup": 0.3, **settings}
    if updates_per_epoch is not None and not updates_per_epoch > 0:
        raise InputError(
            "updates of an epoch above 0",
            f"{updates_per_epoch:g}",
            "It is the training examples by those of an update (batch.size * batch.accumulation).",
            code="SLP-025",
        )
    changed = plan.edit({f"schedule.{key}": value for key, value in settings.items()})
    section = written_out(changed).schedule
    rates = learning_rates(section, updates, updates_per_epoch)
    return Curve(_title(section), rates, updates_per_epoch)


def _title(section: Schedule) -> str:
    """Return what a schedule is, also what only a run can show of it.

    Example:
        >>> schedule("cosine", 9, plateau_patience=3).title
        'cosine, and times 0.5 from each plateau on'
    """
    title = section.name.replace("_", " ")
    if section.warmup:
        title += " after a warm-up"
    if section.plateau_patience:
        title += f", and times {section.plateau_factor:g} from each plateau on"
    return title
