"""L1 penalty."""

from __future__ import annotations

from slipstream.techniques._base import Choice, Technique, always, set_keys

TECHNIQUE = Technique(
    name="l1",
    title="L1 penalty",
    summary=(
        "Adds the sum of the absolute values of every kernel to the loss, which draws the weights "
        "that matter least to zero; with l2 beside it, it is the elastic net."
    ),
    formula="loss = loss + l1 * sum(|w|)",
    helps="Many inputs of which few matter, as in tables; nets that are to be pruned.",
    hurts=(
        "Nets whose inputs are alike, where it keeps one by chance: add l2. Adaptive optimizers, "
        "which take steps of one size whatever the penalty."
    ),
    cost="A pass over the kernels in each step, forward and backward.",
    reference=(
        "Tibshirani, Regression shrinkage and selection via the lasso, 1996, "
        "doi:10.1111/j.2517-6161.1996.tb02080.x; Zou and Hastie, Regularization and variable "
        "selection via the elastic net, 2005, doi:10.1111/j.1467-9868.2005.00503.x"
    ),
    keys=("regularization.l1",),
    edit=set_keys({"regularization.l1": 1e-5}),
    applies=always,
    search={"regularization.l1": Choice((0.0, 1e-6, 1e-5, 1e-4))},
)
