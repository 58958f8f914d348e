"""What techniques are put onto when their effect is measured: a task and a plan, each cheap.

A technique goes onto the ground that `SPECIAL` names for it, else onto the first of `USUAL` that
it applies to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from slipstream.plan import Plan, Value
from slipstream.tasks import resolve


@dataclass(frozen=True)
class Ground:
    """A task and a plan.

    Args:
        name: Short name.
        words: The plan, in words: "Adam at 0.001 in batches of 32, on PyTorch".
        task: The built-in task.
        changes: Keys of the task's own plan that are changed.
        target: The value of the monitor that ends the race; the task's own if None.
        num_seeds: Runs of each side.
        is_cold: Whether each run has a process of its own, because starting or compiling counts.
    """

    name: str
    words: str
    task: str
    changes: Mapping[str, Value] = field(default_factory=dict)
    target: float | None = None
    num_seeds: int = 6
    is_cold: bool = False

    @property
    def plan(self) -> Plan:
        """The plan of the side without the technique."""
        return resolve(self.task).plan.adapt(self.changes)


TORCH: Mapping[str, Value] = {
    "runtime.backend": "torch",
    "runtime.loop": "slipstream",
    "runtime.lowering": True,
}
TENSORFLOW: Mapping[str, Value] = {**TORCH, "runtime.backend": "tensorflow"}
SHORT: Mapping[str, Value] = {"duration.epochs": 20, "duration.evaluations_per_epoch": 2}
# Every seed of the baseline gets there, so that times and not bounds are compared.
ENOUGH = 0.96
ADAM = "Adam at 0.001 in batches of 32, on PyTorch"

DIGITS = Ground("digits", ADAM, "digits", {**TORCH, **SHORT}, target=ENOUGH)
DIABETES = Ground(
    "diabetes", ADAM, "diabetes", {**TORCH, "duration.evaluations_per_epoch": 2}, target=0.55
)
TEXT = Ground(
    "text",
    f"{ADAM}, 2 epochs",
    "next_character",
    {**TORCH, "duration.epochs": 2, "duration.evaluations_per_epoch": 8},
    target=0.3,
    num_seeds=3,
)
ATTENTION = replace(
    TEXT,
    name="attention",
    words=f"{ADAM}, 1 epoch",
    task="next_character_attention",
    changes={**TORCH, "duration.epochs": 1, "duration.evaluations_per_epoch": 6},
)
CLOTHES = Ground(
    "clothes",
    "Adam at 0.002 in batches of 128, on PyTorch in bfloat16, 1 epoch",
    "fashion_mnist",
    {
        **TORCH,
        "precision.policy": "mixed_bfloat16",
        "batch.size": 128,
        "schedule.peak": 2e-3,
        "duration.epochs": 1,
        "duration.evaluations_per_epoch": 6,
    },
    target=0.85,
    num_seeds=3,
)
COLD = Ground(
    "cold", "Adam at 0.001 in batches of 32, on TensorFlow", "digits", {**TENSORFLOW, **SHORT},
    target=ENOUGH, num_seeds=3, is_cold=True,
)  # fmt: skip

# Recipes are raced for so long, where the task's own length would take minutes a run.
RECIPE_LENGTHS: Mapping[str, Mapping[str, Value]] = {
    "next_character": {"duration.epochs": 4, "duration.evaluations_per_epoch": 4},
    "next_character_attention": {"duration.epochs": 3, "duration.evaluations_per_epoch": 5},
}

USUAL = (DIGITS, DIABETES, TEXT, CLOTHES)


def on_digits(name: str, words: str, **changes: Value) -> Ground:
    """Return the usual ground with further keys changed; `optimizer__name` is optimizer.name."""
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return Ground(name, words, "digits", {**DIGITS.changes, **dotted}, target=ENOUGH)


SGD = on_digits(
    "sgd",
    "plain SGD at 0.05 in batches of 32, on PyTorch",
    optimizer__name="sgd",
    schedule__peak=0.05,
)
AS_GIVEN = Ground(
    "as_given",
    "Keras' fit with Adam at 0.001 in batches of 32, on TensorFlow",
    "digits",
    {"duration.epochs": 20},
    target=ENOUGH,
    num_seeds=3,
    is_cold=True,
)
GRAPH = replace(
    COLD,
    name="graph",
    words=f"{COLD.words}, without XLA",
    changes={**COLD.changes, "runtime.jit": "off"},
)

TRANSFER = Ground(
    "transfer",
    f"{ADAM}, from a net that can tell digits apart",
    "digits_transfer",
    {**TORCH, "duration.epochs": 40},
    target=0.9,
)

SPECIAL: Mapping[str, Ground] = {
    "adam": SGD,
    "nesterov": SGD,
    "sgd_momentum": SGD,
    "learning_rate": on_digits("low_rate", "Adam at 0.0001, on PyTorch", schedule__peak=1e-4),
    "constant": on_digits("falling", f"{ADAM}, with a cosine", schedule__name="cosine"),
    "float32": on_digits("bf16", f"{ADAM} in bfloat16", precision__policy="mixed_bfloat16"),
    "task_loss": on_digits("focal", f"{ADAM}, with a focal loss", loss__name="focal"),
    "momentum_cycling": on_digits(
        "one_cycle",
        "Adam with one cycle up to 0.005, on PyTorch",
        schedule__name="one_cycle",
        schedule__warmup=0.3,
        schedule__peak=5e-3,
    ),
    "slow_layers": on_digits(
        "pattern", f"{ADAM}; the pattern names the convolutions", groups__pattern="conv2d"
    ),
    "native_kernels": on_digits(
        "keras_calls", f"{ADAM}, layers run by Keras' calls", runtime__lowering=False
    ),
    "layer_decay": TRANSFER,
    **dict.fromkeys(
        ("linear_rate_scaling", "sqrt_rate_scaling"),
        on_digits("large_batch", "Adam at 0.001 in batches of 128, on PyTorch", batch__size=128),
    ),
    "adaptive_l2": on_digits(
        "penalty", f"{ADAM}, with an L2 penalty of 0.0001", regularization__l2=1e-4
    ),
    "augmentation_in_step": on_digits(
        "shifted", f"{ADAM}, with images shifted by a pixel", augmentation__shift=1
    ),
    "transfer": TRANSFER,
    # Its blocks can be repeated: what goes in and what comes out have one shape.
    "depth": ATTENTION,
    "residual": ATTENTION,
    "norm_batches": replace(
        CLOTHES,
        name="averaged_clothes",
        words=f"{CLOTHES.words}, with averaged weights whose statistics are left alone",
        changes={**CLOTHES.changes, "optimizer.ema": 0.98, "optimizer.norm_batches": 0},
    ),
    "batch_norm_momentum": CLOTHES,
    "own_loop": AS_GIVEN,
    "backend": COLD,
    "steps_per_execution": COLD,
    "jit": COLD,
    "graph_bfloat16": GRAPH,
    **dict.fromkeys(
        ("clipping", "clip_by_norm", "clip_by_value", "adaptive_clipping", "quantile_clipping"),
        TEXT,
    ),
}
