"""Scaled dot-product attention of heads, by the kernel that is fastest where it runs."""

from __future__ import annotations

import math
from typing import Any, final

import torch
from torch.nn import functional

from slipstream.lowering._draw import Dropout

# Up to so many scores for each head the product of matrices is the faster way in half precision.
MOST_SCORES = 256 * 256


@final
class Attend:
    """softmax(query key^T * scale) value, masked and with dropout as Keras' layers do it.

    Args:
        scale: Factor of the scores.
        dropout: What drops scores in training; None drops nothing.
    """

    def __init__(self, scale: float, dropout: Dropout | None) -> None:
        self._scale = scale
        self._dropout = dropout

    def __call__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        training: bool,
        *,
        is_causal: bool,
    ) -> torch.Tensor:
        """Return what each query attends to, of shape (batch, queries, heads, width).

        Args:
            query: Of shape (batch, queries, heads, depth).
            key: Of shape (batch, keys, heads, depth).
            value: Of shape (batch, keys, heads, width).
            mask: True where a query may attend to a key, or None; of up to four axes.
            training: Whether to drop scores.
            is_causal: Without a mask: no query attends to a later key.
        """
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        if mask is not None:
            mask = _with_heads(mask)
        if self._dropout is not None:
            attended = self._with_dropout(query, key, value, mask, training, is_causal)
        elif mask is None and _products_are_faster(query, key):
            attended = self._products(query, key, value, is_causal)
        else:
            attended = self._fused(query, key, value, mask, is_causal)
        return attended.transpose(1, 2)

    def _products(self, query: Any, key: Any, value: Any, is_causal: bool) -> torch.Tensor:
        scores = torch.matmul(query * self._scale, key.transpose(-1, -2))
        if is_causal:
            scores = scores.masked_fill(~_causal(query, key), -math.inf)
        return torch.matmul(torch.softmax(scores, -1), value)

    def _fused(self, query: Any, key: Any, value: Any, mask: Any, is_causal: bool) -> torch.Tensor:
        # Keras masks by adding a large negative number: a query without keys sees all alike.
        bias = None if mask is None else torch.where(mask, 0.0, _largest(query.dtype) * -0.7)
        parts = (query, key, value)
        if query.device.type == "cpu":
            # In half precision its backward pass takes four times as long there.
            parts = tuple(part.float() for part in parts)
        elif bias is not None:
            bias = bias.to(query.dtype)
        attended = functional.scaled_dot_product_attention(
            *parts, bias, is_causal=is_causal, scale=self._scale
        )
        return attended.to(query.dtype)

    def _with_dropout(
        self, query: Any, key: Any, value: Any, mask: Any, training: bool, is_causal: bool
    ) -> torch.Tensor:
        scores = torch.matmul(query * self._scale, key.transpose(-1, -2))
        if is_causal:
            mask = _causal(query, key)
        hidden = None if mask is None else ~mask
        if hidden is not None:
            scores = scores.masked_fill(hidden, -3e4 if scores.dtype == torch.float16 else -1e9)
        shares = torch.softmax(scores, -1)
        if hidden is not None and not is_causal:
            # Here a query without keys sees nothing.
            shares = shares.masked_fill(hidden, 0.0)
        if training and self._dropout is not None:
            shares = self._dropout(shares)
        return torch.matmul(shares, value)


def causal_mask(queries: int, keys: int, device: torch.device) -> torch.Tensor:
    """Return a mask (queries, keys) that lets no query attend to a later key."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril()


def _causal(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    return causal_mask(query.shape[-2], key.shape[-2], query.device)


def _products_are_faster(query: torch.Tensor, key: torch.Tensor) -> bool:
    # On the CPU the fused kernel's backward pass in half precision takes four times that of
    # float32; the product of matrices does not.
    scores = query.shape[-2] * key.shape[-2]
    return query.device.type == "cpu" and query.dtype == torch.bfloat16 and scores <= MOST_SCORES


def _with_heads(mask: torch.Tensor) -> torch.Tensor:
    """Return a mask (batch, queries, keys), or one with fewer axes, with an axis for heads."""
    while mask.ndim < 4:
        mask = mask.unsqueeze(-3)
    return mask


def _largest(dtype: torch.dtype) -> float:
    """Return what Keras takes for the largest number of a dtype."""
    return 65500.0 if dtype == torch.float16 else 3.38953e38
