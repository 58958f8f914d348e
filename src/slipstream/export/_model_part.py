"""The part of a script that builds, changes and compiles the model as a plan says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from textwrap import indent
from typing import Any

from slipstream.errors import PlanError
from slipstream.export._objects import is_plain, literal, to_source
from slipstream.plan import Plan
from slipstream.task import Task

SET_DROPOUT = '''
def set_dropout(model: keras.Model, rate: float) -> keras.Model:
    """Set the rate of every Dropout layer; where there is none, put one before the outputs."""
    kinds = (
        keras.layers.Dropout,
        keras.layers.SpatialDropout1D,
        keras.layers.SpatialDropout2D,
        keras.layers.SpatialDropout3D,
    )
    found = [layer for layer in model._flatten_layers() if isinstance(layer, kinds)]
    for layer in found:
        layer.rate = rate
        if getattr(layer, "seed_generator", None) is None and rate > 0:
            # Keras gives a layer that was made with rate 0 no random source.
            layer.seed_generator = keras.random.SeedGenerator(layer.seed)
    if found or rate == 0:
        return model
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    outputs = {tensor._keras_history.operation.name for tensor in model.outputs}

    def call(layer, *args, **kwargs):
        if layer.name in outputs and args and hasattr(args[0], "shape"):
            args = (keras.layers.Dropout(rate, name=f"{layer.name}_dropout")(args[0]), *args[1:])
        return layer(*args, **kwargs)

    changed = keras.models.clone_model(model, call_function=call)
    changed.set_weights(model.get_weights())
    return changed
'''

SMOOTHED_CROSS_ENTROPY = '''
def smoothed_cross_entropy(labels, predictions):
    """Cross-entropy of integer labels, {smoothing} of each spread evenly over all classes."""
    if len(labels.shape) == len(predictions.shape):
        labels = keras.ops.squeeze(labels, -1)
    targets = keras.ops.one_hot(keras.ops.cast(labels, "int32"), predictions.shape[-1])
    return keras.losses.categorical_crossentropy(
        targets, predictions, from_logits={from_logits}, label_smoothing={smoothing}
    )
'''

# Names of cross-entropies that Keras smooths itself.
SMOOTHABLE = {
    "categorical_crossentropy": "CategoricalCrossentropy",
    "binary_crossentropy": "BinaryCrossentropy",
    "CategoricalCrossentropy": "CategoricalCrossentropy",
    "BinaryCrossentropy": "BinaryCrossentropy",
}
SPARSE = ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy")
# What is watched in place of val_loss where the training's loss has smoothed labels.
TASK_LOSS = "task_loss"


def model_definitions(task: Task, plan: Plan) -> list[str]:
    """Return the functions that `build` of the script needs."""
    parts = []
    if plan.regularization.dropout != "as_model":
        parts.append(SET_DROPOUT)
    if plan.regularization.label_smoothing and SPARSE_NAME in _loss_names(task):
        text = SMOOTHED_CROSS_ENTROPY.format(
            smoothing=plan.regularization.label_smoothing, from_logits=_from_logits(task)
        )
        parts.append(text)
    return parts


SPARSE_NAME = "sparse"


def build_function(task: Task, plan: Plan, expressions: Mapping[str, str]) -> str:
    """Return the script's function `build`."""
    varies = plan.schedule.name != "constant" or plan.schedule.warmup > 0
    lines = ["keras.utils.set_random_seed(SEED)"]
    policy = plan.precision.policy
    if policy.startswith("mixed"):
        lines.append(f'keras.config.set_dtype_policy("{policy}")')
    if policy == "graph_bfloat16":
        lines += [
            "# TensorFlow itself runs float32 graphs on bfloat16 kernels where that is safe.",
            "tf.config.optimizer.set_experimental_options(",
            '    {"auto_mixed_precision_onednn_bfloat16": True}',
            ")",
        ]
    lines.append(f"model = {_called(expressions['model'])}")
    if _looks_into_model(plan):
        lines += ["if not model.built:", "    model(keras.tree.map_structure(lambda a: a[:2], x))"]
    if policy.startswith("mixed"):
        lines += [
            "# Outputs stay in float32, so that losses do not lose digits.",
            "for tensor in model.outputs:",
            '    tensor._keras_history.operation.dtype_policy = "float32"',
        ]
    if plan.regularization.dropout != "as_model":
        lines.append(f"model = set_dropout(model, {plan.regularization.dropout})")
    if plan.regularization.l2 and plan.runtime.loop == "keras":
        lines += [
            f"for variable in model.trainable_variables:  # {plan.regularization.l2} * sum(w**2)",
            "    if variable.name in KERNELS and variable.regularizer is None:",
            f"        variable.regularizer = keras.regularizers.L2({plan.regularization.l2})",
        ]
    lines += _optimizer(plan, "rates(total_updates)" if varies else repr(plan.schedule.peak))
    lines += _compile(task, plan, expressions)
    lines.append("return model")
    arguments = "total_updates: int, x" if varies else "x"
    if not _looks_into_model(plan):
        arguments = arguments.removesuffix("x").removesuffix(", ")
    head = f'def build({arguments}) -> keras.Model:\n    """Return the model, compiled."""\n'
    return head + indent("\n".join(lines), "    ")


def build_call(plan: Plan) -> str:
    """Return how the script calls its `build`."""
    arguments = []
    if plan.schedule.name != "constant" or plan.schedule.warmup > 0:
        arguments.append("updates * EPOCHS")
    if _looks_into_model(plan):
        arguments.append("train[0]")
    return f"build({', '.join(arguments)})"


def watches_task_loss(task: Task, plan: Plan) -> bool:
    """Whether the loss that is watched is not the one that is trained on."""
    return (
        task.monitor == "val_loss"
        and plan.regularization.label_smoothing > 0
        and plan.runtime.loop == "slipstream"
    )


def plain_loss(loss: Any) -> Any:
    """Return a Keras loss object or function as a serialised value; others as they are."""
    if isinstance(loss, Mapping) and "class_name" not in loss:
        return {name: plain_loss(part) for name, part in loss.items()}
    if isinstance(loss, list | tuple):
        return [plain_loss(part) for part in loss]
    if not getattr(loss, "__module__", type(loss).__module__).startswith("keras."):
        return loss
    if hasattr(loss, "get_config"):
        return {"class_name": type(loss).__name__, "config": loss.get_config()}
    return getattr(loss, "__name__", loss)


def _called(expression: str) -> str:
    return f"{expression}()" if expression.isidentifier() else f"({expression})()"


def _looks_into_model(plan: Plan) -> bool:
    """Whether something is done with the model's layers or variables before training."""
    return (
        plan.precision.policy.startswith("mixed")
        or plan.regularization.dropout != "as_model"
        or (plan.regularization.l2 > 0 and plan.runtime.loop == "keras")
        or (plan.optimizer.weight_decay > 0 and not plan.optimizer.decay_norm_and_bias)
        or plan.optimizer.name in ("muon", "schedule_free_adamw")
    )


def _optimizer(plan: Plan, learning_rate: str) -> list[str]:
    settings = plan.optimizer
    arguments: dict[str, str] = {"learning_rate": learning_rate}
    arguments |= {key: repr(value) for key, value in _OWN_SETTINGS[settings.name](plan).items()}
    lines = []
    if settings.name == "muon":
        lines += [
            "# Muon is for hidden matrices: what maps to the outputs is left to its AdamW.",
            "outputs = [tensor._keras_history.operation.name for tensor in model.outputs]",
        ]
        arguments["exclude_layers"] = '[f"(^|/){name}/" for name in outputs]'
    elif settings.weight_decay or settings.name == "adamw":
        arguments["weight_decay"] = repr(settings.weight_decay)
    if plan.clipping.global_norm:
        arguments["global_clipnorm"] = repr(plan.clipping.global_norm)
    if settings.ema:
        arguments |= {"use_ema": "True", "ema_momentum": repr(settings.ema)}
    lines.append(f"optimizer = keras.optimizers.{_CLASSES[settings.name]}(")
    lines += [f"    {key}={value}," for key, value in arguments.items()]
    lines.append(")")
    if settings.weight_decay and not settings.decay_norm_and_bias:
        lines += [
            "# Biases and the scales of normalizations do not decay.",
            "optimizer.exclude_from_weight_decay(",
            "    var_list=[v for v in model.trainable_variables if len(v.shape) < 2]",
            ")",
        ]
    if settings.name == "schedule_free_adamw":
        lines += [
            "# Its averages start at the weights; on TensorFlow only where it is built before fit.",
            "optimizer.build(model.trainable_variables)",
        ]
    return lines


def _compile(task: Task, plan: Plan, expressions: Mapping[str, str]) -> list[str]:
    arguments = {"optimizer": "optimizer", "loss": _loss(task, plan, expressions)}
    if "loss_weights" in expressions:
        arguments["loss_weights"] = expressions["loss_weights"]
    metrics = _metrics(task, plan, expressions)
    if metrics:
        arguments["metrics"] = metrics
    if plan.runtime.jit != "auto":
        arguments["jit_compile"] = str(plan.runtime.jit == "on")
    if plan.runtime.steps_per_execution > 1 and plan.runtime.backend != "torch":
        arguments["steps_per_execution"] = str(plan.runtime.steps_per_execution)
    return ["model.compile(", *(f"    {key}={value}," for key, value in arguments.items()), ")"]


def _metrics(task: Task, plan: Plan, expressions: Mapping[str, str]) -> str:
    plain = is_plain(task.metrics)
    text = to_source(task.metrics, "metrics") if plain and task.metrics else ""
    if not plain:
        text = expressions["metrics"]
    if not watches_task_loss(task, plan):
        return text
    loss = plain_loss(task.loss)
    if isinstance(loss, list) or (isinstance(loss, Mapping) and "class_name" not in loss):
        raise PlanError(
            "regularization.label_smoothing = 0 for a script of a task that watches the loss of "
            "several outputs",
            str(plan.regularization.label_smoothing),
            "Plain Keras has no validation loss without smoothing: watch a metric instead.",
        )
    exact = (
        f"keras.losses.get({literal(loss)})"
        if isinstance(loss, str)
        else to_source(loss, "loss", reduction="none")
    )
    # Labels are smoothed in training alone; this is the loss that the task itself asks for.
    own = f'keras.metrics.MeanMetricWrapper({exact}, name="{TASK_LOSS}")'
    return f"[*{text}, {own}]" if text else f"[{own}]"


def _loss(task: Task, plan: Plan, expressions: Mapping[str, str]) -> str:
    smoothing = plan.regularization.label_smoothing
    if not smoothing:
        return to_source(task.loss, "loss") if is_plain(task.loss) else expressions["loss"]
    loss = plain_loss(task.loss)
    if not is_plain(loss):
        raise _cannot_smooth("a loss of your own")
    if isinstance(loss, Mapping) and "class_name" not in loss:
        parts = (f"{literal(name)}: {_smoothed(part, smoothing)}" for name, part in loss.items())
        return "{" + ", ".join(parts) + "}"
    if isinstance(loss, list):
        return "[" + ", ".join(_smoothed(part, smoothing) for part in loss) + "]"
    name = _name_of(loss)
    if name not in SPARSE and name not in SMOOTHABLE:
        raise _cannot_smooth(name)
    return _smoothed(loss, smoothing)


def _smoothed(loss: Any, smoothing: float) -> str:
    name = _name_of(loss)
    if name in SPARSE:
        return "smoothed_cross_entropy"
    if name not in SMOOTHABLE:
        return to_source(loss, "loss")
    config = loss.get("config", {}) if isinstance(loss, Mapping) else {}
    smoothed = {
        "class_name": SMOOTHABLE[name],
        "config": {**config, "label_smoothing": smoothing},
    }
    return to_source(smoothed, "loss")


def _cannot_smooth(what: str) -> PlanError:
    return PlanError(
        "a cross-entropy loss for regularization.label_smoothing",
        what,
        "Set regularization.label_smoothing = 0.",
    )


def _name_of(loss: Any) -> str:
    return str(loss["class_name"]) if isinstance(loss, Mapping) else str(loss)


def _parts(task: Task) -> list[Any]:
    loss = plain_loss(task.loss)
    if isinstance(loss, list):
        return loss
    return list(loss.values()) if isinstance(loss, Mapping) and "class_name" not in loss else [loss]


def _loss_names(task: Task) -> set[str]:
    return {SPARSE_NAME if _name_of(loss) in SPARSE else _name_of(loss) for loss in _parts(task)}


def _from_logits(task: Task) -> bool:
    settings = {
        bool(loss.get("config", {}).get("from_logits")) if isinstance(loss, Mapping) else False
        for loss in _parts(task)
        if _name_of(loss) in SPARSE
    }
    if len(settings) > 1:
        raise _cannot_smooth("outputs with logits and outputs with probabilities")
    return settings.pop()


def _betas(plan: Plan) -> dict[str, Any]:
    return {"beta_1": plan.optimizer.beta_1, "beta_2": plan.optimizer.beta_2}


def _adam_settings(plan: Plan) -> dict[str, Any]:
    return {**_betas(plan), "epsilon": plan.optimizer.epsilon}


def _sgd_settings(plan: Plan) -> dict[str, Any]:
    settings = {"momentum": plan.optimizer.momentum, "nesterov": plan.optimizer.nesterov}
    return {key: value for key, value in settings.items() if value}


def _rmsprop_settings(plan: Plan) -> dict[str, Any]:
    momentum = {"momentum": plan.optimizer.momentum} if plan.optimizer.momentum else {}
    return {"rho": plan.optimizer.rho, "epsilon": plan.optimizer.epsilon, **momentum}


def _adagrad_settings(plan: Plan) -> dict[str, Any]:
    return {"epsilon": plan.optimizer.epsilon}


def _muon_settings(plan: Plan) -> dict[str, Any]:
    return {
        "adam_beta_1": plan.optimizer.beta_1,
        "adam_beta_2": plan.optimizer.beta_2,
        "epsilon": plan.optimizer.epsilon,
        "weight_decay": plan.optimizer.weight_decay,
        "adam_weight_decay": plan.optimizer.weight_decay,
    }


_CLASSES = {
    "sgd": "SGD",
    "adam": "Adam",
    "adamw": "AdamW",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
    "lion": "Lion",
    "muon": "Muon",
    "schedule_free_adamw": "ScheduleFreeAdamW",
}
_OWN_SETTINGS: Mapping[str, Callable[[Plan], dict[str, Any]]] = {
    "sgd": _sgd_settings,
    "adam": _adam_settings,
    "adamw": _adam_settings,
    "rmsprop": _rmsprop_settings,
    "adagrad": _adagrad_settings,
    "lion": _betas,
    "muon": _muon_settings,
    "schedule_free_adamw": _adam_settings,
}
