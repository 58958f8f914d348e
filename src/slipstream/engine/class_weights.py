"""Weights of classes: each training example counts as much as its class does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.backends import overrides
from slipstream.data.splits import Split, leaves, map_arrays
from slipstream.errors import PlanError
from slipstream.ops.class_weights import balanced_weights, classes_of, weighted_examples
from slipstream.plan import Plan
from slipstream.plan.losses import BALANCED

# So many classes are written out in a record.
MOST_IN_WORDS = 12


def class_weighted(train: Split, plan: Plan) -> Split:
    """Return the training split with the weights that a plan gives to its classes.

    They multiply the weights that its examples have. Who judges the model is given the split as
    it was.

    Raises:
        PlanError: The targets are no classes, or not those that the plan has weights for.
    """
    if not plan.loss.weighs_classes:
        return train
    classes = _classes(train)
    weights = _weights(classes, plan)
    if train.sample_weight is None:
        sample_weight: Any = weighted_examples(classes, weights)
    else:
        sample_weight = map_arrays(
            lambda own: weighted_examples(classes, weights, np.asarray(own)), train.sample_weight
        )
    return Split(train.x, train.y, sample_weight, train.rows)


def class_weights_in_words(train: Split, plan: Plan) -> str:
    """Return which weight each class has, for a record."""
    weights = _weights(_classes(train), plan)
    shown = [f"{one}={weight:.4g}" for one, weight in [*weights.items()][:MOST_IN_WORDS]]
    more = f" and {len(weights) - MOST_IN_WORDS} more" if len(weights) > MOST_IN_WORDS else ""
    return f"in training alone: {', '.join(shown)}{more}"


def refuse_own_loss(model: Any, plan: Plan) -> None:
    """Refuse weights of classes for a model that need not heed them.

    Raises:
        PlanError: The model computes its loss by itself.
    """
    own = [name for name in ("train_step", "compute_loss") if overrides(model, name)]
    if plan.loss.weighs_classes and own:
        raise PlanError(
            "a model trained by a loss of Keras' kind, for loss.class_weights",
            f"{type(model).__name__}, which has a {own[0]} of its own",
            "Set loss.class_weights = 'none', and weigh the classes there.",
            code="SLP-124",
        )


def _classes(train: Split) -> NDArray[np.int64]:
    labels = list(leaves(train.y))
    if len(labels) != 1:
        raise PlanError(
            "targets of one output for loss.class_weights",
            f"{len(labels)} arrays of targets",
            "Set loss.class_weights = 'none', or give the data a weight for each example.",
            code="SLP-125",
        )
    classes = classes_of(np.asarray(labels[0]))
    if classes is None:
        raise PlanError(
            "a class for each example, as a whole number or as a row with a single 1, for "
            "loss.class_weights",
            f"targets of shape {tuple(labels[0].shape)} and dtype {labels[0].dtype}",
            "Set loss.class_weights = 'none'.",
            code="SLP-126",
        )
    return classes


def _weights(classes: NDArray[np.int64], plan: Plan) -> dict[int, float]:
    if plan.loss.class_weights == BALANCED:
        return balanced_weights(classes)
    weights = plan.loss.weights_of_classes()
    present = {int(one) for one in np.unique(classes)}
    for missing, what in (
        (present - weights.keys(), "no weight for class"),
        (weights.keys() - present, "a weight for a class that no training example has:"),
    ):
        if missing:
            shown = ", ".join(str(one) for one in sorted(missing)[:MOST_IN_WORDS])
            raise PlanError(
                "loss.class_weights with one weight for each class of the training split",
                f"'{plan.loss.class_weights}', with {what} {shown}",
                "Name exactly the classes that occur, or set loss.class_weights = 'balanced'.",
                code="SLP-127",
            )
    return weights
