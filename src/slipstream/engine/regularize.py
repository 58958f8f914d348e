"""What a plan does to a model's layers against learning the training set by heart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from slipstream.errors import PlanError
from slipstream.plan import Plan
from slipstream.rewrite.drop_connect import drop_weights
from slipstream.rewrite.dropout import set_dropout
from slipstream.rewrite.graph import has_graph
from slipstream.rewrite.penalty import Penalty
from slipstream.rewrite.rewiring import can_be_rewired
from slipstream.rewrite.spatial_dropout import drop_channels
from slipstream.rewrite.stochastic_depth import drop_branches

CHANNELS = "regularization.spatial_dropout"
BRANCHES = "regularization.stochastic_depth"
# By plan key: what drops it, what that needs, what a model without it lacks, and further advice.
_DROPS: Mapping[str, tuple[Callable[[Any, float], tuple[Any, list[Any]]], str, str, str]] = {
    CHANNELS: (
        drop_channels,
        "a convolution before the outputs",
        "one",
        "; regularization.dropout drops single units",
    ),
    BRANCHES: (
        drop_branches,
        "residual branches, each added to a shortcut of equal shape",
        "any",
        "",
    ),
}


def drop(model: Any, plan: Plan) -> tuple[Any, dict[str, str]]:
    """Make a model drop units, channels, weights and branches while it trains.

    Dropped weights come last: what makes a model anew does not know of them.

    Args:
        model: A built model.
        plan: The plan.

    Returns:
        The model, or one of its layers and new ones, and what was done, by plan key.

    Raises:
        PlanError: The model has nothing of the kind that the plan drops.
    """
    settings = plan.regularization
    applied: dict[str, str] = {}
    spatial: list[Any] = []
    if settings.spatial_dropout > 0:
        model, spatial = _dropped(model, CHANNELS, settings.spatial_dropout)
        applied[CHANNELS] = f"rate {settings.spatial_dropout}, {len(spatial)} layers"
    if settings.dropout != "as_model":
        model = set_dropout(model, settings.dropout, spatial)
        applied["regularization.dropout"] = f"rate {settings.dropout}"
    if settings.stochastic_depth > 0:
        model, rates = _dropped(model, BRANCHES, settings.stochastic_depth)
        words = f"{len(rates)} residual branches, rates {rates[0]:.3g} to {rates[-1]:.3g}"
        applied[BRANCHES] = words
    if settings.drop_connect > 0:
        num_kernels = _drop_weights(model, settings.drop_connect)
        applied["regularization.drop_connect"] = f"on {num_kernels} kernels"
    return model, applied


def penalise(model: Any, plan: Plan) -> tuple[Penalty, dict[str, str]]:
    """Put the plan's penalties on a model's kernels.

    Returns:
        The penalty, and what was done, by plan key.

    Raises:
        PlanError: No kernel is there to be penalised.
    """
    settings = plan.regularization
    scaled = settings.adaptive_gap > 0
    penalty = Penalty(model, settings.l2, settings.l1, scaled=scaled)
    keys = [f"regularization.{name}" for name in ("l1", "l2") if getattr(settings, name) > 0]
    if keys and not penalty.num_kernels:
        raise PlanError(
            f"kernels that train and have no regularizer of their own, for {keys[0]}",
            f"{type(model).__name__} '{model.name}', which has none",
            f"Set {' = 0 and '.join(keys)} = 0.",
            code="SLP-147",
        )
    applied = dict.fromkeys(keys, f"on {penalty.num_kernels} kernels")
    if scaled:
        limit = settings.adaptive_limit
        applied |= {
            "regularization.adaptive_gap": f"a factor on {' and '.join(keys)}, 1 at first",
            "regularization.adaptive_step": f"at most times {settings.adaptive_step:g} at once",
            "regularization.adaptive_limit": f"from {1 / limit:.3g} to {limit:.3g}",
        }
    return penalty, applied


def _dropped(model: Any, key: str, rate: float) -> tuple[Any, list[Any]]:
    """Return what drops at a key's rate, and what of it does; refuse where nothing can."""
    change, needs, lacks, advice = _DROPS[key]
    _refuse_without_graph(model, key)
    model, found = change(model, rate)
    if not found:
        raise PlanError(
            f"{needs}, for {key}",
            f"a model without {lacks}, '{model.name}'",
            f"Set {key} = 0{advice}.",
            code="SLP-148" if key == CHANNELS else "SLP-149",
        )
    return model, found


def _drop_weights(model: Any, rate: float) -> int:
    num_kernels = drop_weights(model, rate)
    if not num_kernels:
        raise PlanError(
            "a Dense or convolutional layer that trains, before those that make the outputs, for "
            "regularization.drop_connect",
            f"a model without one, '{model.name}'",
            "Set regularization.drop_connect = 0.",
            code="SLP-150",
        )
    return num_kernels


def _refuse_without_graph(model: Any, key: str) -> None:
    if not has_graph(model):
        raise PlanError(
            f"a model of connected layers, whose graph can be read, for {key}",
            f"{type(model).__name__}, a class with a call of its own",
            f"Set {key} = 0, or build the model with keras.Model(inputs, outputs).",
            code="SLP-151",
        )
    if not can_be_rewired(model):
        raise PlanError(
            f"a model whose class takes inputs and outputs alone, for {key}",
            f"{type(model).__name__}, which cannot be made anew around its layers",
            f"Set {key} = 0, or let the class take (inputs, outputs, name).",
            code="SLP-152",
        )
