"""Sequences with masked steps, made sequences without gaps, and back."""

from __future__ import annotations

from typing import final

import torch


@final
class KeptSteps:
    """The steps of each sequence that a mask keeps.

    A recurrent layer passes over masked steps: what it makes of a sequence is what it makes of
    the kept steps in a row, each result held until the next. So any mask, wherever its gaps are,
    costs no more than moving rows.

    Args:
        mask: Of shape (batch, steps); nothing is kept where it is false.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        self._mask = mask.to(torch.bool)
        self._count = self._mask.sum(1)
        self._order: torch.Tensor | None = None
        padded = mask.device.type == "cpu" and bool((self._mask[:, 1:] <= self._mask[:, :-1]).all())
        if not padded:
            self._order = (~self._mask).to(torch.uint8).argsort(dim=1, stable=True)

    @property
    def any(self) -> torch.Tensor:
        """Whether a sequence keeps any step: of shape (batch, 1)."""
        return self._count.unsqueeze(1) > 0

    @property
    def last_is_kept(self) -> torch.Tensor:
        """Whether a sequence keeps its last step: of shape (batch, 1)."""
        return self._mask[:, -1:]

    @property
    def lengths(self) -> torch.Tensor:
        """How many steps a sequence keeps, or 1 where it keeps none: of shape (batch,)."""
        return self._count.clamp(min=1)

    def in_front(self, x: torch.Tensor) -> torch.Tensor:
        """Return sequences (batch, steps, features) with the kept steps first."""
        return x if self._order is None else _steps_of(x, self._order)

    def last(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return what was made of the last kept step, from what was made of those in front."""
        return _steps_of(outputs, self.lengths.unsqueeze(1) - 1).squeeze(1)

    def in_place(self, outputs: torch.Tensor, *, zeros: bool) -> torch.Tensor:
        """Return what was made of the steps in front in the order of all steps.

        Masked steps repeat the last result before them, or are zero if `zeros` or none is before.
        """
        position = self._mask.cumsum(1) - 1
        told = self._mask if zeros else position >= 0
        moved = _steps_of(outputs, position.clamp_(min=0))
        return torch.where(told.unsqueeze(-1), moved, 0)


def _steps_of(x: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Return steps (batch, some) of sequences (batch, steps, features)."""
    batch, length, features = x.shape
    rows = steps + torch.arange(0, batch * length, length, device=x.device).unsqueeze(1)
    # As rows of a matrix: moving these is fast, and so is moving their gradients back.
    chosen = x.reshape(batch * length, features).index_select(0, rows.flatten())
    return chosen.view(batch, -1, features)
