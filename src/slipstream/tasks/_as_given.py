"""From how a Keras model was compiled to the plan of the task as given, and what no plan says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slipstream.errors import TaskError
from slipstream.plan import Plan, Value
from slipstream.task import AS_GIVEN

OPTIMIZERS = {
    "SGD": "sgd",
    "Adam": "adam",
    "AdamW": "adamw",
    "RMSprop": "rmsprop",
    "Adagrad": "adagrad",
    "Nadam": "nadam",
    "Adadelta": "adadelta",
    "Adafactor": "adafactor",
    "Lion": "lion",
    "Lamb": "lamb",
    "Muon": "muon",
    "ScheduleFreeAdamW": "schedule_free_adamw",
}
# Adam with one part exchanged: near enough to race against, and the note says so.
RELATIVES = {"Adamax": "adam"}

# Settings that are translated below, or that change nothing.
SAID = {
    *("name", "learning_rate", "weight_decay", "adam_weight_decay", "global_clipnorm"),
    *("clipnorm", "clipvalue"),
    *("use_ema", "ema_momentum", "gradient_accumulation_steps", "momentum", "nesterov"),
    *("beta_1", "beta_2", "adam_beta_1", "adam_beta_2", "rho", "epsilon", "warmup_steps"),
}
# Settings that no plan has, at the values at which they do nothing or are Keras' own.
UNSAID = {
    **{"loss_scale_factor": None},
    **{"ema_overwrite_frequency": None, "amsgrad": False, "centered": False},
    **{"initial_accumulator_value": 0.1, "exclude_layers": [], "exclude_embeddings": True},
    **{"muon_a": 3.4445, "muon_b": -4.775, "muon_c": 2.0315, "ns_steps": 5},
    **{"adam_lr_ratio": 1, "rms_rate": 0.2},
    **{"beta_2_decay": -0.8, "epsilon_1": 1e-30, "epsilon_2": 1e-3, "clip_threshold": 1.0},
    # Keras' Adafactor bounds its rate by 1 / sqrt(step) whatever it says.
    **{"relative_step": True},
}
MUON_MOMENTUM = 0.95
CLIPPING = {
    "clipping.value": "clipvalue",
    "clipping.norm": "clipnorm",
    "clipping.global_norm": "global_clipnorm",
}


@dataclass(frozen=True)
class Compiled:
    """How a model was compiled, as plain values.

    Args:
        optimizer: Class name and configuration, as Keras serialises them.
        settings: jit_compile, steps_per_execution and run_eagerly, as Model.compile took them.
        backend: The backend that Keras runs on.
        policies: The names of the layers' dtype policies.
        excludes_from_decay: Whether some variables were excluded from weight decay.
    """

    optimizer: Mapping[str, Any]
    settings: Mapping[str, Any]
    backend: str
    policies: frozenset[str] = frozenset()
    excludes_from_decay: bool = False


@dataclass
class _Translation:
    """A plan that is being written: changes of the default plan, and what they leave unsaid."""

    total_updates: int
    changes: dict[str, Value] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def plan_as_given(
    compiled: Compiled, *, num_examples: int, batch_size: int, epochs: int
) -> tuple[Plan, tuple[str, ...]]:
    """Translate how a model was compiled into the plan of the first baseline.

    Args:
        compiled: How it was compiled.
        num_examples: The number of training examples.
        batch_size: Examples per batch, as they would be given to fit.
        epochs: Epochs, as they would be given to fit.

    Returns:
        The plan, and a sentence for everything that it cannot say.

    Raises:
        TaskError: The optimizer is of a class that plans do not have.
        PlanError: A value of the optimizer is out of range.

    Example:
        >>> adam = {"class_name": "Adam", "config": {"learning_rate": 0.01}}
        >>> compiled = Compiled(adam, {}, "jax")
        >>> plan, notes = plan_as_given(compiled, num_examples=100, batch_size=10, epochs=2)
        >>> plan.optimizer.name, plan.schedule.peak, plan.runtime.backend, notes
        ('adam', 0.01, 'jax', ())
    """
    total_updates = math.ceil(num_examples / batch_size) * epochs
    translation = _Translation(total_updates)
    translation.changes |= {"batch.size": batch_size, "duration.epochs": epochs}
    class_name, config = _class_and_config(compiled.optimizer, translation)
    _translate_optimizer(class_name, config, translation)
    _translate_decay(config, compiled.excludes_from_decay, translation)
    _translate_learning_rate(config.get("learning_rate"), config, translation)
    _translate_runtime(compiled, translation)
    return AS_GIVEN.edit(translation.changes), tuple(translation.notes)


def _class_and_config(
    optimizer: Mapping[str, Any], translation: _Translation
) -> tuple[str, Mapping[str, Any]]:
    class_name, config = str(optimizer.get("class_name")), optimizer.get("config", {})
    if class_name == "LossScaleOptimizer":
        translation.notes.append("The loss scale is left to Keras, with its default settings.")
        return _class_and_config(config["inner_optimizer"], translation)
    if class_name in RELATIVES:
        translation.notes.append(
            f"Plans have no {class_name}: the first baseline runs its nearest relative, Adam."
        )
    elif class_name not in OPTIMIZERS:
        raise TaskError(
            f"a model compiled with one of {', '.join([*OPTIMIZERS, *RELATIVES])}",
            f"the optimizer {class_name}",
            "Compile it with one of these, or write a task file and choose its first baseline.",
            code="SLP-224",
        )
    return class_name, config


def _translate_optimizer(
    class_name: str, config: Mapping[str, Any], translation: _Translation
) -> None:
    name = OPTIMIZERS.get(class_name) or RELATIVES[class_name]
    changes = translation.changes
    changes["optimizer.name"] = name
    for key in ("beta_1", "beta_2", "adam_beta_1", "adam_beta_2", "rho", "epsilon"):
        if config.get(key) is not None:
            changes[f"optimizer.{key.removeprefix('adam_')}"] = config[key]
    if name in ("sgd", "rmsprop"):
        changes["optimizer.momentum"] = config.get("momentum") or 0.0
        # Without momentum there is nothing to look ahead along.
        changes["optimizer.nesterov"] = bool(config.get("nesterov") and config.get("momentum"))
    for key, argument in CLIPPING.items():
        if config.get(argument):
            changes[key] = config[argument]
    if config.get("use_ema") and name != "schedule_free_adamw":
        changes["optimizer.ema"] = config["ema_momentum"]
    if (config.get("gradient_accumulation_steps") or 1) > 1:
        # Keras' loop lets remainders wait for the next epoch; a plan has no such thing.
        changes["batch.accumulation"] = config["gradient_accumulation_steps"]
        changes["runtime.loop"] = "slipstream"
        translation.notes.append("Gradients are accumulated by Slipstream's loop, not by Keras'.")
    _note_unsaid(class_name, config, translation)


def _note_unsaid(class_name: str, config: Mapping[str, Any], translation: _Translation) -> None:
    left_out = {
        key: value
        for key, value in config.items()
        if key not in SAID and not (key in UNSAID and value == UNSAID[key])
    }
    if class_name == "Muon":
        translation.notes.append("Muon leaves the output layers to its AdamW.")
        if config.get("momentum") != MUON_MOMENTUM or not config.get("nesterov"):
            left_out["momentum"] = config.get("momentum")
    translation.notes += [
        f"Plans cannot say {class_name}({key}={value!r}): the first baseline runs without it."
        for key, value in left_out.items()
    ]


def _translate_decay(config: Mapping[str, Any], excludes: bool, translation: _Translation) -> None:
    decay = config.get("weight_decay")
    if not decay:
        return
    # Keras lets everything decay, unless some variables were excluded by hand.
    translation.changes |= {
        "optimizer.weight_decay": decay,
        "optimizer.decay_norm_and_bias": not excludes,
    }
    if excludes:
        translation.notes.append(
            "Some variables were excluded from weight decay: the first baseline excludes all "
            "biases and norm scales."
        )
    if config.get("adam_weight_decay", decay) != decay:
        translation.notes.append("Muon's AdamW decays as its matrices do.")


def _translate_learning_rate(
    rate: Any, config: Mapping[str, Any], translation: _Translation
) -> None:
    if isinstance(rate, Mapping):
        _translate_schedule(str(rate.get("class_name")), rate.get("config", {}), translation)
        return
    # Keras keeps the rate in float32: the shortest decimal that means it is what was typed.
    translation.changes["schedule.peak"] = float(str(np.float32(rate)))
    if config.get("warmup_steps"):
        translation.changes["schedule.warmup"] = _warmup(config["warmup_steps"], translation)


def _translate_schedule(
    class_name: str, config: Mapping[str, Any], translation: _Translation
) -> None:
    changes = translation.changes
    if class_name == "CosineDecay":
        _translate_cosine(config, translation)
    elif class_name == "PolynomialDecay" and not config["cycle"]:
        if config["power"] == 1.0:
            changes["schedule.name"] = "linear"
        else:
            changes |= {"schedule.name": "polynomial", "schedule.power": config["power"]}
        changes["schedule.peak"] = config["initial_learning_rate"]
        changes["schedule.floor"] = config["end_learning_rate"] / config["initial_learning_rate"]
        _note_length(config["decay_steps"], translation)
    elif class_name == "ExponentialDecay":
        _translate_exponential(config, translation)
    elif class_name == "InverseTimeDecay":
        changes |= {
            "schedule.name": "inverse_time",
            "schedule.peak": config["initial_learning_rate"],
            "schedule.decay_rate": 1 / (1 + config["decay_rate"]),
            "schedule.decay_every": f"{max(1, round(config['decay_steps']))} steps",
            "schedule.staircase": bool(config.get("staircase")),
        }
    elif class_name == "PiecewiseConstantDecay" and _only_falls(config["values"]):
        first, *others = config["values"]
        # Keras lets a value hold up to its boundary, and for one update more.
        pieces = zip(config["boundaries"], others, strict=True)
        changes |= {
            "schedule.name": "piecewise_constant",
            "schedule.peak": first,
            "schedule.pieces": ", ".join(f"{at + 1} steps: {v / first!r}" for at, v in pieces),
        }
    else:
        rates = [value for key, value in config.items() if key in ("initial_learning_rate",)]
        rates += list(config.get("values", ()))[:1]
        if not rates:
            raise TaskError(
                "a learning rate, or a schedule that plans have",
                f"the schedule {class_name}",
                "Compile the model with a constant rate, or write a task file.",
                code="SLP-225",
            )
        changes["schedule.peak"] = rates[0]
        translation.notes.append(
            f"Plans have no {class_name}: the first baseline holds the learning rate at {rates[0]}."
        )


def _only_falls(values: Sequence[float]) -> bool:
    """Whether the first of several rates is the highest, and all are above 0."""
    return len(values) > 1 and max(values) == values[0] and min(values) > 0


def _translate_cosine(config: Mapping[str, Any], translation: _Translation) -> None:
    warmup_steps = config.get("warmup_steps") or 0
    warms_up = warmup_steps > 0 and config.get("warmup_target") is not None
    peak = config["warmup_target"] if warms_up else config["initial_learning_rate"]
    translation.changes |= {
        "schedule.name": "cosine",
        "schedule.peak": peak,
        "schedule.floor": config.get("alpha") or 0.0,
    }
    if warms_up:
        translation.changes["schedule.warmup"] = _warmup(warmup_steps, translation)
        if config["initial_learning_rate"]:
            translation.notes.append("The warm-up begins near 0 in the first baseline.")
    _note_length(config["decay_steps"] + (warmup_steps if warms_up else 0), translation)


def _translate_exponential(config: Mapping[str, Any], translation: _Translation) -> None:
    rate, steps = config["decay_rate"], config["decay_steps"]
    translation.changes["schedule.peak"] = config["initial_learning_rate"]
    if config.get("staircase"):
        if steps >= translation.total_updates:
            return  # The first step of the staircase outlasts the run.
        translation.changes["schedule.name"] = "step_decay"
    else:
        translation.changes["schedule.name"] = "exponential"
        if steps > translation.total_updates:
            # The same curve, told by where it is at the end of the run.
            rate, steps = rate ** (translation.total_updates / steps), translation.total_updates
    translation.changes |= {
        "schedule.decay_rate": rate,
        "schedule.decay_every": steps / translation.total_updates,
    }


def _warmup(steps: int, translation: _Translation) -> float:
    if steps >= translation.total_updates:
        translation.notes.append("The warm-up is longer than the run: it takes half of it instead.")
        return 0.5
    return float(steps / translation.total_updates)


def _note_length(steps: int, translation: _Translation) -> None:
    if steps != translation.total_updates:
        translation.notes.append(
            f"The learning rate's curve has {steps} updates and the run "
            f"{translation.total_updates}: in the first baseline it spans the run."
        )


def _translate_runtime(compiled: Compiled, translation: _Translation) -> None:
    changes, settings = translation.changes, compiled.settings
    changes["runtime.backend"] = compiled.backend
    jit = settings.get("jit_compile", "auto")
    if jit != "auto" and compiled.backend == "tensorflow":
        changes["runtime.jit"] = "on" if jit else "off"
    elif jit is (compiled.backend == "torch"):
        translation.notes.append(f"jit_compile={jit} is left to Keras' default.")
    steps = settings.get("steps_per_execution") or 1
    if compiled.backend != "torch":
        changes["runtime.steps_per_execution"] = steps
    if settings.get("run_eagerly"):
        translation.notes.append("run_eagerly=True is for debugging and left out (runtime.eager).")
    mixed = sorted(name for name in compiled.policies if name.startswith("mixed_"))
    if mixed:
        changes["precision.policy"] = mixed[0]
