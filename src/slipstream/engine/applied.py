"""What was done of a plan, key by key, read from what was built of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from slipstream.engine.build import Built
from slipstream.engine.class_weights import class_weights_in_words
from slipstream.engine.feed import Feed
from slipstream.engine.rates import rates_of
from slipstream.ops.norm_statistics import normalizations
from slipstream.ops.schedules import learning_rates
from slipstream.plan import Plan
from slipstream.task import Task


@dataclass(frozen=True)
class _Seen:
    """What a run is made of."""

    task: Task
    plan: Plan
    built: Built
    feed: Feed
    num_train: int

    @property
    def optimizer(self) -> Any:
        """The optimizer without the loss scaling around it."""
        optimizer = self.built.model.optimizer
        return getattr(optimizer, "inner_optimizer", optimizer)


# Returns what is true of a key; None where what was built does not show it.
_Statement = Callable[[_Seen], str | None]


def state_applied(task: Task, plan: Plan, built: Built, feed: Feed, num_train: int) -> None:
    """Add to what a built model states as applied every further key that its plan changes.

    Args:
        task: The task.
        plan: The plan.
        built: The model that was built of it; its program is open.
        feed: The training split, cut into updates.
        num_train: Training examples.
    """
    seen = _Seen(task, plan, built, feed, num_train)
    for key in plan.difference(Plan()):
        statement = _STATEMENTS.get(key)
        if key not in built.applied and statement is not None:
            text = statement(seen)
            if text is not None:
                built.applied[key] = text


def _said(text: str) -> _Statement:
    return lambda _: text


def _optimizer_name(seen: _Seen) -> str:
    rule = type(seen.optimizer)
    if hasattr(rule, "extras"):
        rule = rule.__mro__[1]
    owner = "Keras" if rule.__module__.startswith("keras.") else "Slipstream"
    return f"{owner}'{'' if owner == 'Keras' else 's'} {rule.__name__}"


def _of_optimizer(key: str) -> _Statement:
    def statement(seen: _Seen) -> str | None:
        names = [name for name in (f"adam_{key}", key) if hasattr(seen.optimizer, name)]
        value = getattr(seen.optimizer, names[0]) if names else None
        return str(value) if value == getattr(seen.plan.optimizer, key) else None

    return statement


def _decays_all(seen: _Seen) -> str | None:
    spared = getattr(seen.optimizer, "_exclude_from_weight_decay", None)
    return None if spared else "weights of all shapes decay"


def _lookahead_share(seen: _Seen) -> str | None:
    extras = getattr(seen.optimizer, "extras", None)
    return str(extras.lookahead_share) if extras and extras.lookahead else None


def _norm_batches(seen: _Seen) -> str | None:
    if seen.plan.optimizer.norm_batches == 0:
        return "BatchNormalization's statistics stay as they are"
    found = normalizations(seen.built.model)
    return None if found else "the model has no BatchNormalization"


def _pattern(seen: _Seen) -> str:
    paths = [variable.path for variable in seen.built.model.trainable_variables]
    num_found = sum(bool(re.search(seen.plan.groups.pattern, path)) for path in paths)
    text = f"found in {num_found} of {len(paths)} variables"
    return text if seen.plan.groups.rate != 1 else f"{text}, whose rate is that of all"


def _of_curve(key: str) -> _Statement:
    def statement(seen: _Seen) -> str:
        schedule = seen.plan.schedule
        rates = rates_of(seen.plan, seen.feed)
        usual = schedule.model_copy(update={key: type(schedule).model_fields[key].default})
        others = learning_rates(usual, len(rates), seen.feed.updates_per_epoch)
        changes = int(np.sum(rates != others))
        return f"{getattr(schedule, key)}: it changes {changes} of {len(rates)} rates"

    return statement


def _peak(seen: _Seen) -> str:
    return f"rates up to {rates_of(seen.plan, seen.feed).max():.6g}"


def _of_schedule(key: str) -> _Statement:
    return lambda seen: str(getattr(seen.plan.schedule, key))


def _window(seen: _Seen) -> str | None:
    watched = getattr(seen.optimizer, "clip_watch", None) is not None
    return f"of the last {seen.plan.clipping.window} norms" if watched else None


def _remainder(seen: _Seen) -> str:
    batch = seen.plan.batch
    full, left_over = divmod(seen.num_train, batch.size * batch.accumulation)
    if full == 0:
        return "kept: an epoch is less than one update"
    return f"{left_over} examples left out of each epoch"


def _jit(seen: _Seen) -> str | None:
    if seen.plan.runtime.backend == "torch":
        return "neither compiled nor recorded"
    compiled = bool(seen.built.model.jit_compile)
    if compiled != (seen.plan.runtime.jit == "on"):
        return None
    return "compiled with XLA" if compiled else "not compiled with XLA"


def _eager(seen: _Seen) -> str | None:
    done = "each operation by itself, by Keras' own calls"
    return done if seen.built.model.run_eagerly else None


def _steps(seen: _Seen) -> str:
    if seen.plan.runtime.loop == "keras":
        return f"{seen.built.model.steps_per_execution} updates a call"
    return f"{seen.feed.updates_per_call} updates a call"


def _loop(seen: _Seen) -> str:
    return "Keras' fit" if seen.plan.runtime.loop == "keras" else "Slipstream's"


def _guarded(seen: _Seen) -> str:
    return "looked for" if seen.plan.guard.non_finite else "updates that are not finite are made"


def _of_guard(key: str) -> _Statement:
    def statement(seen: _Seen) -> str:
        value = str(getattr(seen.plan.guard, key))
        return f"{value}: not in Keras' loop" if seen.plan.runtime.loop == "keras" else value

    return statement


def _of_guards(*keys: str) -> dict[str, _Statement]:
    return {f"guard.{key}": _of_guard(key) for key in keys}


def _backend(seen: _Seen) -> str | None:
    name = keras.backend.backend()
    return name if name == seen.plan.runtime.backend else None


def _epochs(seen: _Seen) -> str:
    epochs = seen.plan.duration.epochs
    return f"{epochs} epochs of {seen.feed.updates_per_epoch} updates"


def _stop_at_target(seen: _Seen) -> str:
    task = seen.task
    if task.target is None:
        return "the task has no target to stop at"
    sign = "<=" if task.better == "min" else ">="
    return f"ends when {task.monitor} {sign} {task.target:g}"


def _of_optimizers(*keys: str) -> dict[str, _Statement]:
    return {f"optimizer.{key}": _of_optimizer(key) for key in keys}


def _of_curves(*keys: str) -> dict[str, _Statement]:
    return {f"schedule.{key}": _of_curve(key) for key in keys}


def _of_schedules(*keys: str) -> dict[str, _Statement]:
    return {f"schedule.{key}": _of_schedule(key) for key in keys}


_STATEMENTS: Mapping[str, _Statement] = {
    "optimizer.name": _optimizer_name,
    **_of_optimizers("momentum", "nesterov", "beta_1", "beta_2", "rho", "trust", "epsilon"),
    **_of_optimizers("weight_decay"),
    "optimizer.decay_norm_and_bias": _decays_all,
    "optimizer.lookahead_share": _lookahead_share,
    "optimizer.norm_batches": _norm_batches,
    "groups.pattern": _pattern,
    "schedule.peak": _peak,
    "schedule.warmup": _said("shorter than half an update"),
    **_of_curves("floor", "decay_rate", "decay_every", "staircase", "power", "decay_last"),
    **_of_curves("decay_shape", "pieces", "cycles"),
    **_of_schedules("plateau_factor", "plateau_floor", "plateau_cooldown", "plateau_min_delta"),
    "clipping.window": _window,
    "loss.name": lambda seen: None if seen.plan.loss.is_changed else "the task's own",
    "loss.class_weights": lambda seen: class_weights_in_words(seen.feed.train, seen.plan),
    "batch.size": lambda seen: f"{seen.plan.batch.size} examples at a time",
    "batch.accumulation": lambda seen: f"{seen.plan.batch.accumulation} batches an update",
    "batch.remainder": _remainder,
    "precision.policy": _said("products of TensorFlow's graph in bfloat16"),
    "data.cache": lambda seen: "the training set on the device" if seen.feed.is_placed else None,
    "runtime.backend": _backend,
    "runtime.jit": _jit,
    "runtime.eager": _eager,
    "runtime.steps_per_execution": _steps,
    "runtime.lowering": _said("none: every call is Keras' own"),
    "runtime.loop": _loop,
    "duration.epochs": _epochs,
    "duration.evaluations_per_epoch": lambda seen: (
        f"{len(seen.feed.evaluation_points())} in each epoch"
    ),
    "duration.patience": lambda seen: (
        f"ends after {seen.plan.duration.patience} evaluations without a better {seen.task.monitor}"
    ),
    "duration.stop_at_target": _stop_at_target,
    "guard.non_finite": _guarded,
    **_of_guards("spike", "window", "lower_after", "rate_factor", "retries"),
    "duration.restore_best": _said("ends with the weights of the last update"),
    "seeds.seed": lambda seen: str(seen.plan.seeds.seed),
}
