"""Schedule-Free AdamW."""

from __future__ import annotations

from slipstream.techniques._base import (
    OPTIMIZER_KEYS,
    Range,
    Technique,
    always,
    choose_optimizer,
    found_optimizer,
)

TECHNIQUE = Technique(
    name="schedule_free_adamw",
    title="Schedule-Free AdamW",
    summary=(
        "AdamW that evaluates a running average of its weights, which takes the place of a "
        "decaying rate."
    ),
    formula=(
        "y = (1 - b1) * z + b1 * x;  z = z - rate * g(y) / (sqrt(v_hat) + epsilon);  x = mean "
        "of all z so far"
    ),
    helps="Where the length of the training is not known in advance.",
    hurts=(
        "It needs its own, larger rate. Keras 3.15.1's own class, which runtime.loop = 'keras' "
        "runs, reads z after overwriting it on TensorFlow and PyTorch, and decays y in place of z."
    ),
    cost=(
        "Two more numbers for each weight, and an update that reads and writes them. The "
        "averaged weights are put in place for each evaluation."
    ),
    reference="Defazio et al., The road less scheduled, 2024, arXiv:2405.15682",
    keys=("optimizer.name", "optimizer.beta_1", "optimizer.beta_2", "schedule.peak"),
    edit=choose_optimizer(
        "schedule_free_adamw",
        2.5e-3,
        {
            "schedule.name": "constant",
            "schedule.plateau_patience": 0,
            "optimizer.ema": 0.0,
            "optimizer.swa": 0.0,
            "optimizer.lookahead": 0,
        },
    ),
    applies=always,
    clashes=(
        "cosine",
        "linear_decay",
        "one_cycle",
        "exponential",
        "step_decay",
        "warm_restarts",
        "ema",
        "polynomial",
        "inverse_time",
        "piecewise_constant",
        "warmup_stable_decay",
        "reduce_on_plateau",
    ),
    search={"schedule.peak": Range(3e-4, 3e-2, log=True)},
    one_of="optimizer",
    along=OPTIMIZER_KEYS,
    found=found_optimizer("schedule_free_adamw"),
)
