"""Pairs of keys that cannot hold together, each with the reason and the way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipstream.plan.plan import Plan

Clash = tuple[Callable[["Plan"], bool], str]

CLASHES: tuple[Clash, ...] = (
    (
        lambda p: p.optimizer.nesterov and (p.optimizer.name != "sgd" or not p.optimizer.momentum),
        "optimizer.nesterov needs optimizer.name = 'sgd' and optimizer.momentum above 0",
    ),
    (
        lambda p: p.optimizer.momentum > 0 and p.optimizer.name not in ("sgd", "rmsprop"),
        "optimizer.momentum is for optimizer.name = 'sgd' or 'rmsprop'; "
        "the others keep their own mean (optimizer.beta_1)",
    ),
    (
        lambda p: p.schedule.name == "one_cycle" and p.schedule.warmup == 0,
        "schedule.name = 'one_cycle' needs schedule.warmup above 0: its rising part",
    ),
    (
        lambda p: (
            p.optimizer.name == "schedule_free_adamw" and p.schedule.name not in ("constant",)
        ),
        "optimizer.name = 'schedule_free_adamw' needs schedule.name = 'constant': "
        "its averaging takes the place of a decay",
    ),
    (
        lambda p: p.optimizer.name == "schedule_free_adamw" and p.optimizer.ema > 0,
        "optimizer.name = 'schedule_free_adamw' averages the weights itself: set optimizer.ema = 0",
    ),
    (
        lambda p: p.precision.policy == "graph_bfloat16" and p.runtime.backend != "tensorflow",
        "precision.policy = 'graph_bfloat16' needs runtime.backend = 'tensorflow'; "
        "elsewhere use 'mixed_bfloat16'",
    ),
    (
        lambda p: p.precision.policy == "graph_bfloat16" and p.runtime.jit != "off",
        "precision.policy = 'graph_bfloat16' needs runtime.jit = 'off': "
        "the rewrite happens in TensorFlow's graph, which XLA replaces",
    ),
    (
        lambda p: p.runtime.backend == "jax" and p.runtime.jit == "off",
        "runtime.backend = 'jax' always compiles: set runtime.jit = 'auto' or 'on'",
    ),
    (
        lambda p: p.runtime.backend == "torch" and p.runtime.jit == "on",
        "runtime.backend = 'torch' runs its kernels as they are: set runtime.jit = 'auto' or 'off'",
    ),
    (
        lambda p: p.data.cache == "device" and (p.augmentation.shift > 0 or p.augmentation.flip),
        "data.cache = 'device' and augmentation do not go together: "
        "augmentation draws new examples on the host; set data.cache = 'host'",
    ),
    (
        lambda p: (
            p.runtime.loop == "keras"
            and p.runtime.backend == "torch"
            and p.runtime.steps_per_execution > 1
        ),
        "runtime.loop = 'keras' with runtime.backend = 'torch' has one step per execution: "
        "set runtime.steps_per_execution = 1",
    ),
    (
        lambda p: p.runtime.loop == "keras" and p.batch.accumulation > 1,
        "runtime.loop = 'keras' and batch.accumulation do not go together: Keras lets schedules "
        "count micro-batches and carries remainders over; set runtime.loop = 'slipstream'",
    ),
    (
        lambda p: p.runtime.loop == "keras" and p.data.cache == "device",
        "runtime.loop = 'keras' and data.cache = 'device' do not go together: "
        "set runtime.loop = 'slipstream'",
    ),
    (
        lambda p: p.runtime.loop == "keras" and p.duration.evaluations_per_epoch > 1,
        "runtime.loop = 'keras' validates once an epoch: set duration.evaluations_per_epoch = 1",
    ),
    (
        lambda p: p.runtime.loop == "keras" and (p.augmentation.shift > 0 or p.augmentation.flip),
        "runtime.loop = 'keras' and augmentation do not go together: "
        "set runtime.loop = 'slipstream'",
    ),
    (
        lambda p: p.runtime.loop == "keras" and p.batch.remainder == "drop",
        "runtime.loop = 'keras' keeps the last batch: set batch.remainder = 'keep'",
    ),
)


def find_clash(plan: Plan) -> str | None:
    """Return the sentence of the first pair of keys that contradict each other, or None."""
    return next((sentence for clashes, sentence in CLASHES if clashes(plan)), None)
