"""Pairs of keys that cannot hold together, each with the reason and the way out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from slipstream.plan.augmentation import SWITCHES, augments, needs_host

if TYPE_CHECKING:
    from slipstream.plan.plan import Plan


class Clash(NamedTuple):
    """A contradiction: the keys that take part in it, when it holds, and what to say then."""

    keys: tuple[str, ...]
    holds: Callable[[Plan], bool]
    sentence: str


class ClashError(ValueError):
    """What a validator raises where a contradiction holds."""

    def __init__(self, clash: Clash) -> None:
        super().__init__(clash.sentence)
        self.clash = clash


# A plan has one of them, or none.
BOUNDS = ("value", "norm", "global_norm", "adaptive", "quantile")


def _bounds_by(one: str, other: str) -> Callable[[Plan], bool]:
    def holds(plan: Plan) -> bool:
        clipping = plan.clipping
        return getattr(clipping, one) > 0 and getattr(clipping, other) > 0  # type: ignore[no-any-return]

    return holds


def _watched_in_keras_loop(key: str) -> Callable[[Plan], bool]:
    def holds(plan: Plan) -> bool:
        return plan.runtime.loop == "keras" and getattr(plan.monitoring, key) > 0

    return holds


def _cycled_momentum(plan: Plan) -> float:
    """Return the momentum that schedule.momentum_low cycles; 0 where there is none."""
    optimizer = plan.optimizer
    if optimizer.name == "sgd":
        return optimizer.momentum
    return optimizer.beta_1 if optimizer.name in ("adam", "adamw") else 0.0


CLASHES: tuple[Clash, ...] = (
    Clash(
        ("schedule.name", "schedule.warmup"),
        lambda p: p.schedule.name == "one_cycle" and p.schedule.warmup == 0,
        "schedule.name = 'one_cycle' needs schedule.warmup above 0: its rising part",
    ),
    Clash(
        (
            *("schedule.momentum_low", "schedule.name"),
            *("optimizer.name", "optimizer.momentum", "optimizer.beta_1"),
        ),
        lambda p: (
            p.schedule.name == "one_cycle"
            and p.schedule.momentum_low > 0
            and p.schedule.momentum_low >= _cycled_momentum(p)
        ),
        "schedule.momentum_low needs an optimizer whose momentum is above it: optimizer.name = "
        "'sgd' with optimizer.momentum, or 'adam' or 'adamw' with optimizer.beta_1",
    ),
    Clash(
        ("runtime.loop", "schedule.plateau_patience"),
        lambda p: p.runtime.loop == "keras" and p.schedule.plateau_patience > 0,
        "runtime.loop = 'keras' and schedule.plateau_patience do not go together: Keras lowers no "
        "rate that a schedule sets; set runtime.loop = 'slipstream'",
    ),
    Clash(
        ("optimizer.name", "schedule.plateau_patience"),
        lambda p: p.optimizer.name == "schedule_free_adamw" and p.schedule.plateau_patience > 0,
        "optimizer.name = 'schedule_free_adamw' and schedule.plateau_patience do not go together: "
        "its averaging takes the place of a decay; set schedule.plateau_patience = 0",
    ),
    *(
        Clash(
            (f"clipping.{one}", f"clipping.{other}"),
            _bounds_by(one, other),
            f"clipping.{one} and clipping.{other} both bound the gradient: set one of them to 0",
        )
        for one, other in combinations(BOUNDS, 2)
    ),
    Clash(
        ("optimizer.name", "schedule.name"),
        lambda p: (
            p.optimizer.name == "schedule_free_adamw" and p.schedule.name not in ("constant",)
        ),
        "optimizer.name = 'schedule_free_adamw' needs schedule.name = 'constant': "
        "its averaging takes the place of a decay",
    ),
    Clash(
        ("optimizer.name", "optimizer.ema"),
        lambda p: p.optimizer.name == "schedule_free_adamw" and p.optimizer.ema > 0,
        "optimizer.name = 'schedule_free_adamw' averages the weights itself: set optimizer.ema = 0",
    ),
    Clash(
        ("optimizer.name", "optimizer.swa"),
        lambda p: p.optimizer.name == "schedule_free_adamw" and p.optimizer.swa > 0,
        "optimizer.name = 'schedule_free_adamw' averages the weights itself: set optimizer.swa = 0",
    ),
    Clash(
        ("optimizer.ema", "optimizer.swa"),
        lambda p: p.optimizer.ema > 0 and p.optimizer.swa > 0,
        "optimizer.ema and optimizer.swa are two averages of which one is judged: "
        "set one of them to 0",
    ),
    Clash(
        ("optimizer.name", "optimizer.lookahead"),
        lambda p: p.optimizer.name == "schedule_free_adamw" and p.optimizer.lookahead > 0,
        "optimizer.name = 'schedule_free_adamw' and optimizer.lookahead both move the weights "
        "back towards an average: set optimizer.lookahead = 0",
    ),
    Clash(
        ("runtime.loop", "optimizer.sam"),
        lambda p: p.runtime.loop == "keras" and p.optimizer.sam > 0,
        "runtime.loop = 'keras' takes one gradient an update and optimizer.sam needs two: "
        "set runtime.loop = 'slipstream'",
    ),
    Clash(
        ("runtime.loop", "optimizer.swa"),
        lambda p: p.runtime.loop == "keras" and p.optimizer.swa > 0,
        "runtime.loop = 'keras' does not go with optimizer.swa: Keras averages exponentially; "
        "set runtime.loop = 'slipstream'",
    ),
    Clash(
        ("precision.policy", "runtime.backend"),
        lambda p: p.precision.policy == "graph_bfloat16" and p.runtime.backend != "tensorflow",
        "precision.policy = 'graph_bfloat16' needs runtime.backend = 'tensorflow'; "
        "elsewhere use 'mixed_bfloat16'",
    ),
    Clash(
        ("precision.policy", "runtime.jit"),
        lambda p: p.precision.policy == "graph_bfloat16" and p.runtime.jit != "off",
        "precision.policy = 'graph_bfloat16' needs runtime.jit = 'off': "
        "the rewrite happens in TensorFlow's graph, which XLA replaces",
    ),
    Clash(
        ("runtime.backend", "runtime.jit"),
        lambda p: p.runtime.backend == "jax" and p.runtime.jit == "off",
        "runtime.backend = 'jax' always compiles: set runtime.jit = 'auto' or 'on'",
    ),
    Clash(
        ("runtime.backend", "runtime.jit"),
        lambda p: p.runtime.backend == "torch" and p.runtime.jit == "on",
        "runtime.backend = 'torch' runs its kernels as they are: set runtime.jit = 'auto' or 'off'",
    ),
    Clash(
        ("runtime.eager", "runtime.jit"),
        lambda p: p.runtime.eager and p.runtime.jit == "on",
        "runtime.eager compiles nothing and runtime.jit = 'on' all of the step: "
        "set runtime.jit = 'auto' or runtime.eager = false",
    ),
    Clash(
        ("runtime.eager", "precision.policy"),
        lambda p: p.runtime.eager and p.precision.policy == "graph_bfloat16",
        "runtime.eager makes no graph, which precision.policy = 'graph_bfloat16' would rewrite: "
        "set runtime.eager = false",
    ),
    Clash(
        ("runtime.eager", "runtime.steps_per_execution"),
        lambda p: p.runtime.eager and p.runtime.steps_per_execution > 1,
        "runtime.eager makes one operation after the other and runtime.steps_per_execution several "
        "updates in one: set runtime.steps_per_execution = 1",
    ),
    Clash(
        ("data.cache", "augmentation.rand_ops", "augmentation.augmix"),
        lambda p: p.data.cache == "device" and needs_host(p),
        "data.cache = 'device' does not go with augmentation.rand_ops or augmentation.augmix: "
        "the host puts each image through its own operations; set data.cache = 'host'",
    ),
    Clash(
        ("data.cache", "augmentation.place"),
        lambda p: p.data.cache == "device" and p.augmentation.place == "host",
        "data.cache = 'device' and augmentation.place = 'host' do not go together: the host does "
        "not see the examples; set augmentation.place = 'auto'",
    ),
    Clash(
        ("augmentation.place", "augmentation.rand_ops", "augmentation.augmix"),
        lambda p: p.augmentation.place == "device" and needs_host(p),
        "augmentation.place = 'device' does not go with augmentation.rand_ops or "
        "augmentation.augmix: in a step each image would go through all operations; "
        "set augmentation.place = 'auto'",
    ),
    Clash(
        ("runtime.loop", "runtime.backend", "runtime.steps_per_execution"),
        lambda p: (
            p.runtime.loop == "keras"
            and p.runtime.backend == "torch"
            and p.runtime.steps_per_execution > 1
        ),
        "runtime.loop = 'keras' with runtime.backend = 'torch' has one step per execution: "
        "set runtime.steps_per_execution = 1",
    ),
    Clash(
        ("runtime.loop", "batch.accumulation"),
        lambda p: p.runtime.loop == "keras" and p.batch.accumulation > 1,
        "runtime.loop = 'keras' and batch.accumulation do not go together: Keras lets schedules "
        "count micro-batches and carries remainders over; set runtime.loop = 'slipstream'",
    ),
    Clash(
        ("runtime.loop", "data.cache"),
        lambda p: p.runtime.loop == "keras" and p.data.cache == "device",
        "runtime.loop = 'keras' and data.cache = 'device' do not go together: "
        "set runtime.loop = 'slipstream'",
    ),
    Clash(
        ("runtime.loop", "duration.evaluations_per_epoch"),
        lambda p: p.runtime.loop == "keras" and p.duration.evaluations_per_epoch > 1,
        "runtime.loop = 'keras' validates once an epoch: set duration.evaluations_per_epoch = 1",
    ),
    Clash(
        ("runtime.loop", *(f"augmentation.{key}" for key in SWITCHES)),
        lambda p: p.runtime.loop == "keras" and augments(p),
        "runtime.loop = 'keras' feeds the examples as they are: switch off augmentation.shift "
        "and all that changes them, or set runtime.loop = 'slipstream'",
    ),
    Clash(
        ("runtime.loop", "regularization.adaptive_gap"),
        lambda p: p.runtime.loop == "keras" and p.regularization.adaptive_gap > 0,
        "runtime.loop = 'keras' does not go with regularization.adaptive_gap: Keras' penalties "
        "stay what they are; set runtime.loop = 'slipstream'",
    ),
    Clash(
        ("architecture.freeze_batch_norm", "architecture.batch_norm_momentum"),
        lambda p: (
            p.architecture.freeze_batch_norm and p.architecture.batch_norm_momentum != "as_model"
        ),
        "architecture.freeze_batch_norm keeps the averages that architecture.batch_norm_momentum "
        "moves: set architecture.batch_norm_momentum = 'as_model'",
    ),
    Clash(
        ("architecture.freeze_batch_norm", "architecture.batch_norm"),
        lambda p: p.architecture.freeze_batch_norm and p.architecture.batch_norm,
        "architecture.freeze_batch_norm leaves what architecture.batch_norm inserts without "
        "effect: set one of them to false",
    ),
    Clash(
        ("architecture.freeze_batch_norm", "architecture.zero_gamma"),
        lambda p: p.architecture.freeze_batch_norm and p.architecture.zero_gamma,
        "architecture.freeze_batch_norm and architecture.zero_gamma leave residual branches with "
        "nothing for ever: set one of them to false",
    ),
    Clash(
        ("runtime.loop", "transfer.frozen"),
        lambda p: p.runtime.loop == "keras" and p.transfer.is_on,
        "runtime.loop = 'keras' has one phase and transfer.frozen makes two: "
        "set runtime.loop = 'slipstream'",
    ),
    Clash(
        ("loss.balance", "loss.class_weights"),
        lambda p: p.loss.balance > 0 and p.loss.weighs_classes,
        "loss.balance and loss.class_weights both weigh class 1 against class 0: set "
        "loss.balance = 0 or loss.class_weights = 'none'",
    ),
    Clash(
        ("loss.name", "regularization.label_smoothing"),
        lambda p: p.regularization.label_smoothing > 0 and not p.loss.has_cross_entropy,
        "loss.name without a cross-entropy and regularization.label_smoothing do not go together: "
        "there are no labels to smooth; set regularization.label_smoothing = 0",
    ),
    *(
        Clash(
            ("runtime.loop", f"monitoring.{key}"),
            _watched_in_keras_loop(key),
            f"runtime.loop = 'keras' is Keras' own fit, to be measured as it is, and has no "
            f"monitoring.{key}: set runtime.loop = 'slipstream'",
        )
        for key in ("layers_every", "wrong_images", "profile")
    ),
    Clash(
        ("runtime.loop", "precision.float32_layers"),
        lambda p: p.runtime.loop == "keras" and p.precision.float32_layers == "auto",
        "runtime.loop = 'keras' and precision.float32_layers = 'auto' do not go together: nothing "
        "is measured before Keras' loop; name the layers, or set runtime.loop = 'slipstream'",
    ),
    Clash(
        ("runtime.loop", "batch.remainder"),
        lambda p: p.runtime.loop == "keras" and p.batch.remainder == "drop",
        "runtime.loop = 'keras' keeps the last batch: set batch.remainder = 'keep'",
    ),
)
