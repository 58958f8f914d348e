"""From a plan to what goes around the optimizer's rule: groups, Lookahead, snapshots."""

from __future__ import annotations

import math
import re
from typing import Any

from slipstream.data.splits import Split
from slipstream.engine.feed import Feed
from slipstream.engine.optimizers import is_own
from slipstream.errors import PlanError
from slipstream.ops.norm_statistics import normalizations
from slipstream.ops.optimizer_extras import Extras, rate_factors
from slipstream.plan import Plan


def extras_of(plan: Plan, model: Any, train: Split, after: int = 0) -> Extras | None:
    """Return what the plan puts around the optimizer's rule; None where it is nothing.

    Args:
        plan: The plan.
        model: A built Keras model.
        train: The training split.
        after: How many updates of the run another optimizer makes before it.

    Raises:
        PlanError: groups.pattern is no regular expression, or names no variable of the model; or
            weights would be averaged over two phases of the training.
    """
    first, every = _snapshots(plan, train)
    first = max(0, first - after)
    extras = Extras(
        _factors(plan, model),
        plan.optimizer.lookahead,
        plan.optimizer.lookahead_share,
        first,
        every,
    )
    is_plain = not (extras.factors or extras.lookahead or extras.first_snapshot)
    return None if is_plain else extras


def applied_to_optimizer(plan: Plan, model: Any, extras: Extras | None) -> dict[str, str]:
    """Return what was done of the plan around the optimizer, by plan key."""
    settings, applied = plan.optimizer, {}
    if is_own(plan):
        applied["optimizer.name"] = f"Slipstream's {settings.name}"
    if settings.ema > 0:
        applied["optimizer.ema"] = f"decay {settings.ema}"
    if settings.sam > 0:
        applied["optimizer.sam"] = f"two gradients an update, radius {settings.sam}"
    if extras and extras.lookahead:
        applied["optimizer.lookahead"] = f"every {extras.lookahead} updates"
    if extras and extras.first_snapshot:
        alone = _num_snapshots(plan) == 1
        which = "one snapshot, of update" if alone else "snapshots from update"
        applied["optimizer.swa"] = f"{which} {extras.first_snapshot}{'' if alone else ' on'}"
    if extras and extras.factors and plan.groups.layer_decay < 1:
        lowest, highest = min(extras.factors), max(extras.factors)
        applied["groups.layer_decay"] = f"factors from {lowest:.3g} to {highest:.3g}"
    if extras and extras.factors and plan.groups.rate != 1:
        paths = [variable.path for variable in model.trainable_variables]
        num_found = sum(bool(re.search(plan.groups.pattern, path)) for path in paths)
        applied["groups.rate"] = f"on {num_found} of {len(paths)} variables"
    averages = settings.ema > 0 or settings.swa > 0 or settings.name == "schedule_free_adamw"
    if averages and plan.runtime.loop == "slipstream" and settings.norm_batches:
        num_norms = len(normalizations(model))
        if num_norms and settings.swa > 0 and _num_snapshots(plan) == 1:
            # Those weights were trained with: what the layers keep is theirs.
            applied["optimizer.norm_batches"] = "not needed: one snapshot is no average"
        elif num_norms:
            applied["optimizer.norm_batches"] = f"for {num_norms} BatchNormalization layers"
    return applied


def _factors(plan: Plan, model: Any) -> tuple[float, ...]:
    groups = plan.groups
    if groups.pattern:
        _refuse_pattern(groups.pattern, model)
    if groups.layer_decay == 1.0 and groups.rate == 1.0:
        return ()
    return rate_factors(model, groups.layer_decay, groups.pattern, groups.rate)


def _refuse_pattern(pattern: str, model: Any) -> None:
    # All weights: those of a base that is frozen at first count too.
    paths = [variable.path for variable in model.weights]
    try:
        found = any(re.search(pattern, path) for path in paths)
    except re.error as error:
        raise PlanError(
            "groups.pattern to be a regular expression",
            f"'{pattern}': {error}",
            "Escape its special characters with a backslash.",
            code="SLP-132",
        ) from None
    if not found:
        raise PlanError(
            "groups.pattern to be found in the path of a trainable variable",
            f"'{pattern}', and the paths are {', '.join(paths[:8])}"
            + (", ..." if len(paths) > 8 else ""),
            "Name a part of one of these paths.",
            code="SLP-133",
        )


def _snapshots(plan: Plan, train: Split) -> tuple[int, int]:
    """Return the update of the first snapshot and the updates between them, or (0, 1)."""
    if plan.optimizer.swa == 0:
        return 0, 1
    epochs = plan.duration.epochs
    every = Feed(train, plan).updates_per_epoch
    first = (epochs - _num_snapshots(plan) + 1) * every
    num_frozen = plan.transfer.num_frozen(epochs, every)
    if first <= num_frozen < epochs * every:
        raise PlanError(
            "an average over weights of the second phase alone",
            f"optimizer.swa = {plan.optimizer.swa}, whose first snapshot is that of update "
            f"{first}, and transfer.frozen = {plan.transfer.frozen!r}, which lasts for "
            f"{num_frozen} updates",
            "Lower optimizer.swa or transfer.frozen.",
            code="SLP-134",
        )
    return first, every


def _num_snapshots(plan: Plan) -> int:
    """Return how many weights SWA averages: those of its share of whole epochs, one at least."""
    return max(1, math.floor(plan.duration.epochs * plan.optimizer.swa + 1e-9))
