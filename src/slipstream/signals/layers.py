"""Dead units, vanishing and exploding gradients, told from looks into the layers. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slipstream.record import Signal

# A layer is told of when at least this share of its units says 0 to every example.
DEAD = 0.5
# By how much the gradients of a kernel may be smaller than the largest ones of the model.
VANISHED = 1e-5
# The norm of a whole gradient by that of the weights; and by the largest of earlier looks.
EXPLODED, GROWN = 1e3, 100.0
# How many layers are named.
NAMED = 4


@dataclass(frozen=True)
class Gradient:
    """The gradient of one variable on the examples that were looked at.

    Args:
        path: The variable.
        norm: Its gradient's norm; not finite where an element is not.
        rms: The root of its gradient's mean square.
        weight_norm: The norm of the variable itself.
        is_kernel: Whether it is a matrix or a kernel all of which takes part in every example.
    """

    path: str
    norm: float
    rms: float
    weight_norm: float
    is_kernel: bool


@dataclass(frozen=True)
class Activation:
    """What one layer puts out for the examples that were looked at.

    Args:
        layer: The layer.
        dead: Share of its units that are 0 for all examples; None where it does not rectify.
        mean: The mean over all of it.
        deviation: The standard deviation over all of it.
    """

    layer: str
    dead: float | None
    mean: float
    deviation: float


@dataclass(frozen=True)
class Layers:
    """One look into all layers, after `step` updates."""

    step: int
    epoch: float
    loss: float
    gradients: tuple[Gradient, ...]
    activations: tuple[Activation, ...]

    @property
    def gradient_norm(self) -> float:
        """The norm of the whole gradient."""
        return math.sqrt(sum(gradient.norm**2 for gradient in self.gradients))

    @property
    def weight_norm(self) -> float:
        """The norm of all weights that have a gradient."""
        return math.sqrt(sum(gradient.weight_norm**2 for gradient in self.gradients))


def found_in_layers(looks: Sequence[Layers]) -> list[Signal]:
    """Return what the last of a run's looks shows, in the light of those before it.

    Example:
        >>> kernel = Gradient("dense/kernel", math.nan, math.nan, 1.0, True)
        >>> look = Layers(step=10, epoch=1.0, loss=0.5, gradients=(kernel,), activations=())
        >>> [signal.kind for signal in found_in_layers([look])]
        ['exploding_gradients']
    """
    last = looks[-1]
    dead = _dead(last)
    found = (dead, _exploding(looks), None if dead else _vanishing(looks))
    return [
        Signal(epoch=last.epoch, step=last.step, kind=kind, seen=seen, advice=advice)
        for kind, seen, advice in filter(None, found)
    ]


def _dead(look: Layers) -> tuple[str, str, str] | None:
    worst = sorted(
        (one for one in look.activations if one.dead is not None and one.dead >= DEAD),
        key=lambda one: -(one.dead or 0.0),
    )
    if not worst:
        return None
    shares = _listed(f"{one.dead:.0%} of {one.layer}" for one in worst)
    seen = f"units that are 0 for every example: {shares}"
    advice = (
        "Lower schedule.peak or add schedule.warmup, normalize before the activation, or take one "
        "that never goes flat (leaky ReLU, GELU)."
    )
    return "dead_units", seen, advice


def _exploding(looks: Sequence[Layers]) -> tuple[str, str, str] | None:
    last = looks[-1]
    broken = [one.path for one in last.gradients if not math.isfinite(one.norm)]
    advice = (
        "Bound it (clipping.global_norm = 1.0), lower schedule.peak or add schedule.warmup; "
        "standardize inputs and targets that are large."
    )
    if broken:
        return "exploding_gradients", f"gradients that are not finite: {_listed(broken)}", advice
    norm, weights = last.gradient_norm, last.weight_norm
    if weights > 0 and norm > EXPLODED * weights:
        seen = f"a gradient of norm {norm:.3g} on weights of norm {weights:.3g}"
        return "exploding_gradients", seen, advice
    before = [one.gradient_norm for one in looks[:-1] if math.isfinite(one.gradient_norm)]
    if before and norm > GROWN * max(before) > 0:
        seen = f"a gradient of norm {norm:.3g}, at most {max(before):.3g} in all looks before"
        return "exploding_gradients", seen, advice
    return None


def _vanishing(looks: Sequence[Layers]) -> tuple[str, str, str] | None:
    # At the start a gradient of 0 may be meant: branches that begin at zero learn to wake up.
    small = [_vanished(look) for look in looks if look.step > 0][-2:]
    lasting = [path for path in small[-1] if path in small[0]] if len(small) == 2 else []
    if not lasting:
        return None
    seen = f"gradients {1 / VANISHED:,.0f} times smaller than the largest ones: {_listed(lasting)}"
    advice = (
        "Take activations that do not saturate (ReLU, GELU), normalization or residual "
        "connections between the layers, or other initial weights."
    )
    return "vanishing_gradients", seen, advice


def _vanished(look: Layers) -> list[str]:
    largest = max((one.rms for one in look.gradients if math.isfinite(one.rms)), default=0.0)
    return [one.path for one in look.gradients if one.is_kernel and one.rms < VANISHED * largest]


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return f"{', '.join(every[:NAMED])}{more}"
