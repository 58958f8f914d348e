"""Labels of examples that were mixed, and the weights that go with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from slipstream.data.augmentation import floats, whole
from slipstream.data.splits import Arrays, leaves, map_arrays


@dataclass(frozen=True)
class MixedLabels:
    """Mixes labels by the shares that two examples have in a mixed one.

    Args:
        form: What a label is: "classes", which are numbers and become rows of shares; "one_hot",
            rows with one 1; "yes_no", any number of zeros and ones; or "numbers".
        num_classes: How many classes there are; 0 where labels are no class numbers.
        in_columns: Whether class numbers come in the shape (N, 1), not (N,).

    Example:
        >>> labels = MixedLabels("classes", 3)
        >>> rows, _ = labels.mix(np.array([0]), None, np.array([2]), None, np.array([0.25]))
        >>> rows.tolist(), labels.judged(rows).tolist()
        ([[0.25, 0.0, 0.75]], [2])
    """

    form: str
    num_classes: int = 0
    in_columns: bool = False

    def mix(
        self,
        y: Arrays,
        weights: Arrays,
        other: Arrays,
        other_weights: Arrays,
        share: Any,
        xp: Any = np,
    ) -> tuple[Arrays, Arrays]:
        """Return mixed labels and weights.

        The loss of a mixed example is s * w * loss(y) + (1 - s) * w' * loss(y'). Where the loss is
        linear in its labels, that is one with the weight W = s * w + (1 - s) * w' and the labels
        s * w / W * y + (1 - s) * w' / W * y'. Numbers are mixed by s alone.

        Args:
            y, other: One array each, in one form of nest, of shape (N, ...).
            weights, other_weights: Sample weights of shape (N,) or (N, 1), or None.
            share: What the first example has of each mixed one, shape (N,).
            xp: NumPy or keras.ops.
        """
        total = weights
        if weights is not None:
            w, v = (floats(next(leaves(part)), xp) for part in (weights, other_weights))
            first, second = _spread(share, w, xp) * w, (1.0 - _spread(share, w, xp)) * v
            total = map_arrays(lambda _: first + second, weights)
            if self.form != "numbers":
                counts = first + second > 0
                share = xp.where(counts, first / xp.where(counts, first + second, 1.0), 0.5)
        ones, others = (self.rows(next(leaves(part)), xp) for part in (y, other))
        own = _spread(xp.reshape(share, (-1,)), ones, xp)
        mixed = own * ones + (1.0 - own) * others
        return map_arrays(lambda _: mixed, y), total

    def rows(self, labels: Any, xp: Any = np) -> Any:
        """Return one array of labels as the loss of mixed ones takes them, nothing mixed."""
        if self.form != "classes":
            return floats(labels, xp)
        classes = whole(xp.reshape(labels, (-1, 1)), xp)
        return floats(classes == xp.arange(self.num_classes)[None, :], xp)

    def judged(self, rows: Any, xp: Any = np) -> Any:
        """Return the labels that metrics are judged by, in the task's own form.

        Those with the larger share; numbers stay mixed.
        """
        if self.form == "classes":
            largest = whole(xp.argmax(rows, axis=-1), xp)
            return xp.reshape(largest, (-1, 1)) if self.in_columns else largest
        if self.form == "one_hot":
            classes = whole(xp.argmax(rows, axis=-1), xp)[:, None]
            return floats(classes == xp.arange(rows.shape[-1])[None, :], xp)
        return floats(rows >= 0.5, xp) if self.form == "yes_no" else rows


def _spread(share: Any, array: Any, xp: Any) -> Any:
    """Return shares of shape (N,) with as many axes as an array."""
    return xp.reshape(share, (-1,) + (1,) * (len(array.shape) - 1))
