"""The part of a script that weighs classes."""

from __future__ import annotations

from dataclasses import replace

from slipstream.errors import PlanError
from slipstream.export._copied import copied
from slipstream.export._data_part import Loading
from slipstream.plan import Plan
from slipstream.plan.losses import BALANCED

_MODULE = "slipstream.ops.class_weights"
WEIGHTED = '''
def class_weighted(split):
    """Return a split in which each example counts as much as its class does."""
    classes = classes_of(np.asarray(keras.tree.flatten(split[1])[0]))
    weights = {weights}
    return (*split[:2], weighted_examples(classes, weights{own}))
'''


def class_weighted(load: Loading, plan: Plan) -> Loading:
    """Return how a script loads its data, with the weights of classes put on its training split.

    Raises:
        PlanError: The plan compares training with validation, too.
    """
    if not plan.loss.weighs_classes:
        return load
    if plan.regularization.adaptive_gap > 0:
        raise PlanError(
            "a plan without loss.class_weights for a script that compares training and validation",
            f"regularization.adaptive_gap = {plan.regularization.adaptive_gap}",
            "Set regularization.adaptive_gap = 0, or train with 'slipstream fit'.",
            code="SLP-802",
        )
    lines = (*load.lines, "train = class_weighted(train)")
    return replace(load, lines=lines, weighted=load.weighted | {"train"})


def class_weight_definitions(load: Loading, plan: Plan) -> list[str]:
    """Return the functions that weigh classes; `load` is how the data came before that."""
    if not plan.loss.weighs_classes:
        return []
    balanced = plan.loss.class_weights == BALANCED
    weights = "balanced_weights(classes)" if balanced else repr(plan.loss.weights_of_classes())
    own = ", np.asarray(split[2])" if "train" in load.weighted else ""
    names = ("classes_of", *(["balanced_weights"] if balanced else []), "weighted_examples")
    parts = [copied(_MODULE, name) for name in names]
    return [*parts, WEIGHTED.format(weights=weights, own=own)]
