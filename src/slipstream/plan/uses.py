"""Which keys of a plan count only beside other keys: one table.

A plan that sets such a key where it counts for nothing is refused, so that none is ignored without
a word. `Plan.adapt` puts them back to their defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from slipstream.plan import parts
from slipstream.plan.architecture import Architecture, Transfer
from slipstream.plan.augmentation import SWITCHES, Augmentation, augments
from slipstream.plan.clashes import CLASHES, Clash
from slipstream.plan.losses import OF_CLASSES, Loss
from slipstream.plan.section import Section

if TYPE_CHECKING:
    from slipstream.plan.plan import Plan

_SECTIONS: Mapping[str, type[Section]] = {
    "optimizer": parts.Optimizer,
    "groups": parts.Groups,
    "schedule": parts.Schedule,
    "batch": parts.Batch,
    "clipping": parts.Clipping,
    "loss": Loss,
    "precision": parts.Precision,
    "architecture": Architecture,
    "transfer": Transfer,
    "regularization": parts.Regularization,
    "augmentation": Augmentation,
    "data": parts.DataPipeline,
    "runtime": parts.Runtime,
    "duration": parts.Duration,
    "guard": parts.Guard,
    "monitoring": parts.Monitoring,
    "seeds": parts.Seeds,
}


class Use(NamedTuple):
    """When a key counts.

    Args:
        key: The key.
        by: The keys that decide whether it counts.
        when: What they must be, in words.
        holds: Whether they are.
        idle: Values beside the default that say nothing but what holds anyhow, like "off".
    """

    key: str
    by: tuple[str, ...]
    when: str
    holds: Callable[[Plan], bool]
    idle: tuple[Any, ...] = ()

    @property
    def default(self) -> Any:
        """The key's default."""
        section, _, key = self.key.partition(".")
        return _SECTIONS[section].model_fields[key].default

    def is_broken(self, plan: Plan) -> bool:
        """Whether a plan sets the key where it counts for nothing."""
        section, _, key = self.key.partition(".")
        value = getattr(getattr(plan, section), key)
        return value not in (self.default, *self.idle) and not self.holds(plan)

    def as_clash(self) -> Clash:
        """Return the contradiction that a plan is refused with where the key counts for nothing."""
        shown = str(self.default).lower() if isinstance(self.default, bool) else repr(self.default)
        sentence = (
            f"{self.key} has no effect without {self.when}: set {self.key} = {shown}, its default"
        )
        return Clash((self.key, *self.by), self.is_broken, sentence)


def _or(names: tuple[str, ...]) -> str:
    *others, last = (f"'{name}'" for name in names)
    return f"{', '.join(others)} or {last}" if others else last


def _of_optimizers(key: str, *names: str) -> Use:
    when = f"optimizer.name = {_or(names)}"
    return Use(f"optimizer.{key}", ("optimizer.name",), when, lambda p: p.optimizer.name in names)


def _of_shapes(key: str, *names: str) -> Use:
    when = f"schedule.name = {_or(names)}"
    return Use(f"schedule.{key}", ("schedule.name",), when, lambda p: p.schedule.name in names)


def _of_plateau(key: str) -> Use:
    return Use(
        f"schedule.{key}",
        ("schedule.plateau_patience",),
        "schedule.plateau_patience above 0",
        lambda p: p.schedule.plateau_patience > 0,
    )


def _of_penalties(key: str) -> Use:
    return Use(
        f"regularization.{key}",
        ("regularization.adaptive_gap",),
        "regularization.adaptive_gap above 0",
        lambda p: p.regularization.adaptive_gap > 0,
    )


def _of_losses(key: str, *names: str) -> Use:
    return Use(
        f"loss.{key}",
        ("loss.name",),
        f"loss.name = {_or(names)}",
        lambda p: any(name in names for name in p.loss.names().values()),
    )


def _of_augmentation(key: str, switch: str) -> Use:
    return Use(
        f"augmentation.{key}",
        (f"augmentation.{switch}",),
        f"augmentation.{switch} above 0",
        lambda p: getattr(p.augmentation, switch) > 0,
    )


def _of_transfer(key: str, ending: bool) -> Use:
    when = "transfer.frozen above 0" + (" and below 1: a phase after it" if ending else "")

    def holds(plan: Plan) -> bool:
        return plan.transfer.is_on and not (ending and plan.transfer.frozen == 1.0)

    return Use(f"transfer.{key}", ("transfer.frozen",), when, holds)


def _of_guard(key: str, lowering: bool = False) -> Use:
    by = ("guard.non_finite", "guard.spike", *(["guard.lower_after"] if lowering else []))
    when = "guard.non_finite = true or guard.spike above 0"

    def holds(plan: Plan) -> bool:
        guard = plan.guard
        return (guard.non_finite or guard.spike > 0) and (guard.lower_after > 0 or not lowering)

    return Use(f"guard.{key}", by, f"{when}, and guard.lower_after" if lowering else when, holds)


def averages_weights(plan: Plan) -> bool:
    """Whether other weights than those of the last update are judged and kept."""
    settings = plan.optimizer
    return settings.ema > 0 or settings.swa > 0 or settings.name == "schedule_free_adamw"


_WITH_BETAS = ("adam", "adamw", "nadam", "lion", "lamb", "muon", "schedule_free_adamw")
_WITH_ROOTS = (
    *("adam", "adamw", "nadam", "rmsprop", "adagrad", "adadelta", "lamb", "muon"),
    "schedule_free_adamw",
)
_TO_A_FLOOR = (
    *("cosine", "linear", "polynomial", "one_cycle", "warmup_stable_decay", "exponential"),
    *("inverse_time", "step_decay", "warm_restarts"),
)
_BY_DECAYS = ("exponential", "step_decay", "inverse_time")

# A key stands after those that decide over it.
USES: tuple[Use, ...] = (
    _of_optimizers("momentum", "sgd", "rmsprop", "lars"),
    Use(
        "optimizer.nesterov",
        ("optimizer.name", "optimizer.momentum"),
        "optimizer.name = 'sgd' and optimizer.momentum above 0",
        lambda p: p.optimizer.name == "sgd" and p.optimizer.momentum > 0,
    ),
    _of_optimizers("beta_1", *_WITH_BETAS),
    _of_optimizers("beta_2", *_WITH_BETAS),
    _of_optimizers("rho", "rmsprop", "adadelta"),
    _of_optimizers("trust", "lars"),
    _of_optimizers("epsilon", *_WITH_ROOTS),
    Use(
        "optimizer.decay_norm_and_bias",
        ("optimizer.weight_decay",),
        "optimizer.weight_decay above 0",
        lambda p: p.optimizer.weight_decay > 0,
    ),
    Use(
        "optimizer.lookahead_share",
        ("optimizer.lookahead",),
        "optimizer.lookahead above 0",
        lambda p: p.optimizer.lookahead > 0,
    ),
    Use(
        "optimizer.norm_batches",
        ("optimizer.ema", "optimizer.swa", "optimizer.name", "runtime.loop"),
        "averaged weights (optimizer.ema, optimizer.swa, or optimizer.name = "
        "'schedule_free_adamw') in runtime.loop = 'slipstream'",
        lambda p: averages_weights(p) and p.runtime.loop == "slipstream",
        idle=(0,),
    ),
    Use(
        "groups.rate",
        ("groups.pattern",),
        "groups.pattern, a regular expression that names its variables",
        lambda p: bool(p.groups.pattern),
    ),
    _of_shapes("floor", *_TO_A_FLOOR),
    _of_shapes("decay_rate", *_BY_DECAYS),
    _of_shapes("decay_every", *_BY_DECAYS),
    _of_shapes("staircase", "exponential", "inverse_time"),
    _of_shapes("power", "polynomial"),
    _of_shapes("decay_last", "warmup_stable_decay"),
    _of_shapes("decay_shape", "warmup_stable_decay"),
    _of_shapes("pieces", "piecewise_constant"),
    _of_shapes("cycles", "warm_restarts"),
    _of_shapes("momentum_low", "one_cycle"),
    _of_plateau("plateau_factor"),
    _of_plateau("plateau_floor"),
    _of_plateau("plateau_cooldown"),
    _of_plateau("plateau_min_delta"),
    Use(
        "regularization.adaptive_gap",
        ("regularization.l1", "regularization.l2"),
        "regularization.l1 or regularization.l2 above 0",
        lambda p: p.regularization.l1 > 0 or p.regularization.l2 > 0,
    ),
    _of_penalties("adaptive_step"),
    _of_penalties("adaptive_limit"),
    Use(
        "batch.rate_base",
        ("batch.rate_scaling",),
        "batch.rate_scaling = 'linear' or 'sqrt'",
        lambda p: p.batch.rate_scaling != "none",
    ),
    Use(
        "precision.float32_layers",
        ("precision.policy",),
        "precision.policy = 'mixed_bfloat16' or 'mixed_float16'",
        lambda p: p.precision.policy.startswith("mixed"),
    ),
    Use(
        "clipping.window",
        ("clipping.quantile",),
        "clipping.quantile above 0",
        lambda p: p.clipping.quantile > 0,
    ),
    Use(
        "monitoring.histograms",
        ("monitoring.layers_every",),
        "monitoring.layers_every above 0",
        lambda p: p.monitoring.layers_every > 0,
    ),
    _of_guard("window"),
    _of_guard("lower_after"),
    _of_guard("rate_factor", lowering=True),
    _of_guard("retries"),
    Use(
        "data.memory_budget",
        ("data.cache",),
        "data.cache = 'host' or 'hybrid'",
        lambda p: p.data.cache in ("host", "hybrid"),
    ),
    Use(
        "data.prefetch",
        ("data.cache",),
        "data.cache other than 'device', where the step gathers its own examples",
        lambda p: p.data.cache != "device",
        idle=(0,),
    ),
    Use(
        "data.threads",
        ("data.prefetch", "data.cache"),
        "data.prefetch above 0, or data.cache = 'device'",
        lambda p: p.data.prefetch != 0 or p.data.cache == "device",
    ),
    _of_transfer("base", ending=False),
    _of_transfer("rate", ending=True),
    _of_transfer("batch_norm", ending=True),
    _of_losses("from_logits", *OF_CLASSES),
    _of_losses("delta", "huber"),
    _of_losses("asymmetry", "asymmetric_mse"),
    _of_losses("focus", "focal"),
    _of_losses("balance", "focal"),
    _of_augmentation("rand_strength", "rand_ops"),
    _of_augmentation("augmix_strength", "augmix"),
    _of_augmentation("erase_area", "erase"),
    Use(
        "augmentation.place",
        tuple(f"augmentation.{key}" for key in SWITCHES),
        "augmentation.shift or another key that changes examples",
        augments,
    ),
)
UNUSED: tuple[Clash, ...] = tuple(use.as_clash() for use in USES)


def find_clash(plan: Plan) -> Clash | None:
    """Return the first keys that contradict each other, or one that counts for nothing; or None."""
    return next((clash for clash in (*CLASHES, *UNUSED) if clash.holds(plan)), None)


def unused(plan: Plan) -> Iterator[Use]:
    """Yield the keys that a plan sets where they count for nothing."""
    return (use for use in USES if use.is_broken(plan))


def use_of(key: str) -> Use | None:
    """Return when a key counts; None where it always does.

    Example:
        >>> use_of("clipping.window").when
        'clipping.quantile above 0'
    """
    return next((use for use in USES if use.key == key), None)
