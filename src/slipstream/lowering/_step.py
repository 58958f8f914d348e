"""A whole training step: what of it runs natively, and what is left to Keras, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from slipstream.backends import overrides
from slipstream.backends.torch import Parts, keras_parts
from slipstream.lowering._cuda_host import DeviceUpdate, refusal
from slipstream.lowering._graph import NotAGraphError
from slipstream.lowering._loss import NativeLoss
from slipstream.lowering._lowered import Lowered
from slipstream.lowering._metric import NativeMetrics, left_to_keras
from slipstream.lowering.updates import NotNativeError, lower_update


@dataclass(frozen=True)
class LoweredStep:
    """The parts of a step, and what became of each.

    Args:
        parts: What `slipstream.backends.torch.open_program` takes.
        native: What runs natively, in words; "" where nothing does.
        fallbacks: What Keras runs itself, each with the reason.
        notes: What else a record should say.
    """

    parts: Parts
    native: str
    fallbacks: tuple[str, ...]
    notes: tuple[str, ...] = ()


class _Part(NamedTuple):
    """One part of a step: what runs it, what of it is native, and what is not, and why."""

    run: Any
    native: str = ""
    fallbacks: tuple[str, ...] = ()


def lower_step(model: Any, *, on_device: bool | None = None, unrecorded: str = "") -> LoweredStep:
    """Lower forward pass, loss, metrics and update of a compiled, built model as far as can be.

    The kernels of the model may be laid out anew in memory; their values stay what they are.

    Args:
        model: The model.
        on_device: Whether the step is to ask the host for nothing, so that a GPU's steps can be
            recorded; where the variables are on one if None.
        unrecorded: Why they are not to be recorded, where that is known; they ask the host then.
    """
    own = keras_parts(model)
    if overrides(model, "train_step"):
        why = f"the whole step: {type(model).__name__} has a train_step of its own"
        return LoweredStep(own, "", (why,))
    forward = _forward(model, own)
    loss = _loss(model, own, only_regularizers=bool(forward.native) and not forward.fallbacks)
    track = _track(model, own)
    update = _update(model, own)
    made = (forward, loss, track, update)
    step = LoweredStep(
        Parts(forward.run, loss.run, track.run, update.run),
        ", ".join(part.native for part in made if part.native),
        tuple(fallback for part in made for fallback in part.fallbacks),
    )
    if on_device is None:
        on_device = any(variable._value.is_cuda for variable in model.trainable_variables[:1])
    return _on_device(model, step, unrecorded) if on_device else step


def _on_device(model: Any, step: LoweredStep, unrecorded: str) -> LoweredStep:
    """Return the step such that it asks the host for nothing, where it can be so."""
    reason = unrecorded or refusal(model, step.fallbacks, step.parts.update)
    if reason:
        return replace(step, notes=(f"not captured in a CUDA graph: {reason}",))
    update = DeviceUpdate(model, step.parts.update)  # type: ignore[arg-type]
    return replace(step, parts=replace(step.parts, update=update, host=update))


def _forward(model: Any, own: Parts) -> _Part:
    try:
        lowered = Lowered(model)
    except NotAGraphError as reason:
        return _Part(own.forward, fallbacks=(f"the forward pass: {reason}",))
    fallbacks = tuple(str(fallback) for fallback in lowered.fallbacks)
    return _Part(lowered, f"{lowered.num_lowered} layer calls", fallbacks)


def _loss(model: Any, own: Parts, only_regularizers: bool) -> _Part:
    loss = NativeLoss(model, own.loss, only_regularizers)
    # Also where Keras computes it: evaluations may be judged by another loss.
    found = loss.compiled(model._compile_loss)
    if isinstance(found, str):
        return _Part(loss, fallbacks=(f"the loss: {found}",))
    return _Part(loss, "loss", tuple(f"the loss: {reason}" for reason in found.left))


def _track(model: Any, own: Parts) -> _Part:
    if overrides(model, "compute_metrics"):
        return _Part(own.track, fallbacks=("metrics: the model computes its metrics itself",))
    left = tuple(f"the metric {name} has no native form" for name in left_to_keras(model))
    return _Part(NativeMetrics(model, own.track), "metrics", left)


def _update(model: Any, own: Parts) -> _Part:
    optimizer = model.optimizer
    try:
        update = lower_update(optimizer, model.trainable_variables)
    except NotNativeError as reason:
        why = f"the optimizer, {type(optimizer).__name__}: {reason}"
        return _Part(own.update, fallbacks=(why,))
    return _Part(update, type(getattr(optimizer, "inner_optimizer", optimizer)).__name__)
