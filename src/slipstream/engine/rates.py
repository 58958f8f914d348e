"""What changes from update to update: learning rates, and the momentum that mirrors them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.engine.feed import Feed
from slipstream.ops.schedules import learning_rates, momenta, num_warmup_updates
from slipstream.plan import Plan
from slipstream.plan.rates import rate_factor, written_out


def rates_of(plan: Plan, feed: Feed) -> NDArray[np.float64]:
    """Return the learning rate of each update of a run, shape (updates,)."""
    total = feed.updates_per_epoch * plan.duration.epochs
    rates = learning_rates(written_out(plan).schedule, total, feed.updates_per_epoch)
    if plan.transfer.is_on:
        rates[plan.transfer.num_frozen(plan.duration.epochs, feed.updates_per_epoch) :] *= (
            plan.transfer.rate
        )
    return rates


def cycle_momentum(plan: Plan, feed: Feed, optimizer: Any, after: int = 0) -> None:
    """Give an optimizer the momentum of each update, where the plan cycles it.

    Args:
        plan: The plan.
        feed: The training split, cut into updates.
        optimizer: The optimizer.
        after: How many updates of the run another optimizer makes before it.
    """
    if not plan.schedule.momentum_low:
        return
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    settings = plan.optimizer
    highest = settings.momentum if settings.name == "sgd" else settings.beta_1
    total = feed.updates_per_epoch * plan.duration.epochs
    inner.momenta = momenta(plan.schedule, highest, total, feed.updates_per_epoch)[after:]


def applied_to_rates(plan: Plan, feed: Feed) -> dict[str, str]:
    """Return what is done of the plan's schedule and clipping, by plan key."""
    schedule = plan.schedule
    total = feed.updates_per_epoch * plan.duration.epochs
    num_warmup = num_warmup_updates(schedule, total, feed.updates_per_epoch)
    applied = {"schedule.name": f"{schedule.name} over {total} updates"}
    if plan.batch.rate_scaling != "none":
        rule = f"{plan.batch.rate_scaling}: rates times {rate_factor(plan):.4g}"
        applied["batch.rate_scaling"] = rule
        applied["batch.rate_base"] = f"{plan.batch.rate_base} examples an update"
    if num_warmup:
        applied["schedule.warmup"] = f"{num_warmup} updates"
    if schedule.momentum_low:
        applied["schedule.momentum_low"] = f"{schedule.momentum_low} at the peak"
    if schedule.plateau_patience:
        applied["schedule.plateau_patience"] = (
            f"times {schedule.plateau_factor} after {schedule.plateau_patience} evaluations "
            "without a better one"
        )
    if plan.transfer.is_on:
        num_frozen = plan.transfer.num_frozen(plan.duration.epochs, feed.updates_per_epoch)
        applied["transfer.frozen"] = f"the first {num_frozen} of {total} updates"
        if num_frozen < total:
            applied["transfer.rate"] = f"times {plan.transfer.rate} after that"
    bounds = {key: value for key, value in plan.clipping if key != "window" and value > 0}
    return {**applied, **{f"clipping.{key}": str(value) for key, value in bounds.items()}}
