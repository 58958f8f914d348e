"""Clipping of gradients, as Keras' optimizers do it, with a few calls for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from slipstream.lowering.updates._kernel import Tensors


def clip(optimizer: Any, gradients: Tensors, variables: Sequence[Any]) -> torch.Tensor | None:
    """Clip gradients where they lie, or return the scalar that all are still to be divided by.

    Norms of the whole are left to a kernel that divides while it reads the gradients anyway. What
    clipping does is noted where the optimizer has a `clip_watch`.
    """
    watch = getattr(optimizer, "clip_watch", None)
    if watch is not None and not optimizer.global_clipnorm:
        # Before Keras' own bounds, as in Keras' own step.
        gradients[:] = watch(gradients, variables)
    if optimizer.clipnorm and optimizer.clipnorm > 0:
        _clip_each(gradients, optimizer.clipnorm)
    elif optimizer.global_clipnorm and optimizer.global_clipnorm > 0:
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if watch is not None:
            exceeds = (norm > optimizer.global_clipnorm).to(norm.dtype)
            watch.totals._value.add_(torch.stack([torch.ones_like(norm), exceeds, norm]))
        divisor: torch.Tensor = (norm / optimizer.global_clipnorm).clamp_(min=1.0)
        # A norm that is not finite makes all gradients NaN, as in Keras.
        return divisor.add_(norm - norm)
    elif optimizer.clipvalue and optimizer.clipvalue > 0:
        torch._foreach_clamp_min_(gradients, -optimizer.clipvalue)
        torch._foreach_clamp_max_(gradients, optimizer.clipvalue)
    return None


def _clip_each(gradients: Tensors, largest: float) -> None:
    norms = torch.stack(torch._foreach_norm(gradients))
    factors = largest / norms.clamp_(min=largest)
    torch._foreach_mul_(gradients, list(factors.unbind()))
