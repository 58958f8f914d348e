"""From the losses of examples to one number, with weights and masks, as Keras does it."""

from __future__ import annotations

import torch

from slipstream.lowering._loss_values import same_rank

MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight")
REDUCTIONS = ("sum", *MEANS)

Tensor = torch.Tensor


def reduce_losses(
    values: Tensor, weights: Tensor | None, mask: Tensor | None, reduction: str
) -> Tensor:
    """Return the reduced loss.

    Args:
        values: The losses of the examples, float32.
        weights: Sample weights, or None.
        mask: True where the predictions count, or None.
        reduction: One of `REDUCTIONS`.
    """
    weights = masked_weights(weights, mask, spread=reduction in ("mean", "sum_over_batch_size"))
    if weights is not None:
        values, weights = same_rank(values, weights)
        values = values * weights
    if values.ndim == 0 or reduction == "sum":
        return values.sum()
    if reduction == "mean_with_sample_weight" and weights is not None:
        return divide_no_nan(values.sum(), weights.sum())
    return values.mean()


def masked_weights(weights: Tensor | None, mask: Tensor | None, spread: bool) -> Tensor | None:
    """Return weights that are 0 where a mask is false.

    Args:
        weights: Sample weights, or None.
        mask: The mask on the predictions, or None.
        spread: Whether what is left counts as much as all would: it weighs total / valid.
    """
    if weights is not None:
        weights = weights.to(torch.float32)
    if mask is None:
        return weights
    kept = mask.to(torch.float32)
    if spread:
        total = torch.full((), float(kept.numel()), device=kept.device)
        kept = torch.where(mask.to(torch.bool), divide_no_nan(total, kept.sum()), 0.0)
    if weights is None:
        return kept
    kept, weights = same_rank(kept, weights)
    return weights * kept


def divide_no_nan(one: Tensor, other: Tensor) -> Tensor:
    """Return one / other, and 0 where other is 0."""
    is_zero = other == 0
    return torch.where(is_zero, 0.0, one / torch.where(is_zero, 1.0, other))
