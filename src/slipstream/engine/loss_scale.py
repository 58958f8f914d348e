"""What loss scaling does under float16: which updates it skips, and when it can go no further."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from slipstream.errors import TrainingError
from slipstream.plan import Plan

# Below this scale gradients vanish: what still overflows does so in the forward pass.
SMALLEST_SCALE = 2.0**-10


class LossScaleWatch:
    """Counts the updates that loss scaling skipped, from the optimizer's own count of updates.

    Args:
        plan: The plan; nothing is counted unless its policy is mixed_float16.
        optimizer: The model's optimizer, a LossScaleOptimizer under that policy.
        begun_at: How many updates the training had made when that optimizer began.
        left_out: Returns how many updates between two are not made at all; none if None.
    """

    def __init__(
        self,
        plan: Plan,
        optimizer: Any,
        begun_at: int = 0,
        left_out: Callable[[int, int], int] | None = None,
    ) -> None:
        self._optimizer = optimizer
        self._begun_at = begun_at
        self._left_out = left_out or (lambda *_: 0)
        self._is_on = plan.precision.policy == "mixed_float16" and hasattr(
            optimizer, "inner_optimizer"
        )
        self._skipped = 0
        self._updates = 0

    def resume(self, updates: int) -> None:
        """Count from here, where the training has made so many updates."""
        self._updates, self._skipped = updates, self.skipped(updates)

    @property
    def counted(self) -> tuple[int, int]:
        """Updates and skipped ones up to which it has counted."""
        return self._updates, self._skipped

    def count_from(self, updates: int, skipped: int) -> None:
        """Count from where another one had counted to."""
        self._updates, self._skipped = updates, skipped

    def skipped(self, updates: int) -> int:
        """Return how many of the updates so far were skipped; the variables are to be readable."""
        if not self._is_on:
            return 0
        made = int(np.asarray(self._optimizer.inner_optimizer.iterations))
        left_out = self._left_out(self._begun_at, updates)
        return updates - self._begun_at - left_out - made

    def read(self, updates: int, values: dict[str, float]) -> dict[str, float]:
        """Return `skipped_updates` since the last time, and no loss where nothing was measured.

        Args:
            updates: How many the training has made.
            values: The training metrics since the last time.
        """
        if not self._is_on:
            return {}
        skipped, made = self.skipped(updates) - self._skipped, updates - self._updates
        self.resume(updates)
        # Metrics of nothing are 0 in Keras.
        nothing = {"loss": math.nan} if skipped == made and values.get("loss") == 0.0 else {}
        return {"skipped_updates": float(skipped), **nothing}

    def refuse_endless_overflow(self, updates: int) -> None:
        """Raise TrainingError where the scale is so small that the loss itself must overflow."""
        if self._is_on and self.scale < SMALLEST_SCALE:
            raise TrainingError(
                "values within float16's range, up to 65504",
                f"an overflow in {self.skipped(updates)} of {updates} updates, the last ones at a "
                f"loss scale of {self.scale:.2g}",
                self.advice,
                code="SLP-502",
            )

    def note(self, updates: int) -> str:
        """Return what a record should say at the end; "" where there is nothing to say."""
        skipped = self.skipped(updates)
        if not skipped:
            return ""
        return (
            f"Loss scaling: {skipped} of {updates} updates overflowed in float16 and were skipped; "
            f"the scale ended at {self.scale:g}."
        )

    @property
    def advice(self) -> str:
        """What mends values that are not finite, where the loss is scaled; "" where it is not."""
        if not self._is_on:
            return ""
        return "Set precision.float32_layers = 'auto', or precision.policy = 'mixed_bfloat16'."

    @property
    def scale(self) -> float:
        """The loss scale now."""
        return float(np.asarray(self._optimizer.dynamic_scale))
