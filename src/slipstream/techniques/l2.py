"""L2 penalty."""

from __future__ import annotations

from slipstream.techniques._base import Choice, Technique, always, set_keys

TECHNIQUE = Technique(
    name="l2",
    title="L2 penalty",
    summary=(
        "Adds the sum of the squares of every kernel to the loss, so that large weights must "
        "earn their size."
    ),
    formula="loss = loss + l2 * sum(w**2)",
    helps="SGD on nets that overfit.",
    hurts="Adaptive optimizers, which divide the penalty's gradient away: use weight_decay there.",
    cost="A pass over the kernels in each step, forward and backward.",
    reference="Krogh and Hertz, A simple weight decay can improve generalization, NIPS 1991",
    keys=("regularization.l2",),
    edit=set_keys({"regularization.l2": 1e-4}),
    applies=always,
    search={"regularization.l2": Choice((0.0, 1e-5, 1e-4, 1e-3))},
)
