"""What the engine leaves to Keras' own fit, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras.src.backend import config
from keras.src.distribution import distribution_lib

from slipstream.backends import overrides
from slipstream.engine.drop_in.arguments import Arguments
from slipstream.engine.drop_in.models import keras_method
from slipstream.engine.drop_in.report import FitReport, NotAcceleratedError, attached


def check_model(model: Any) -> None:
    """Refuse what the programs would run otherwise than Keras does.

    Args:
        model: A compiled model, which need not be built.

    Raises:
        NotAcceleratedError: With the reason.
    """
    for applies, reason in _REASONS:
        if applies(model):
            raise NotAcceleratedError(reason)
    if keras.backend.backend() == "torch" and overrides(model, "train_step"):
        raise NotAcceleratedError("the model has its own train_step")


def check_results(model: Any, specs: Callable[[], Any]) -> None:
    """Refuse a model of which a step returns other values than its metrics hold.

    A block of updates has no values of its own to log: the metrics' are read at its end.

    Args:
        model: A built model.
        specs: Returns a batch of `KerasTensor`, as Keras would hand it to the model's train_step.

    Raises:
        NotAcceleratedError: The names differ, or the step could not be traced.
    """
    own = next((name for name in ("train_step", "compute_metrics") if overrides(model, name)), None)
    if own is None:
        return
    try:
        logs = _traced_logs(model, own, specs())
    except Exception as error:
        raise NotAcceleratedError(
            f"the model's own {own} cannot be traced: {type(error).__name__}"
        ) from error
    if not isinstance(logs, dict) or set(logs) != set(model.get_metrics_result()):
        raise NotAcceleratedError(f"the model's own {own} returns more than the model's metrics")


def fit_with_keras(model: Any, arguments: Arguments, reason: str) -> Any:
    """Run Keras' own fit and return its History, which says why.

    The method of Keras' trainer is called, even where `keras.Model.fit` has been replaced.
    """
    history = keras_method("fit")(model, **arguments.for_keras())
    report = FitReport("keras", (f"Keras' own fit runs, because {reason}",))
    return attached(history, report) if history is not None else history


def has_own_fit(model: Any) -> bool:
    """Whether a model's class has its own fit, which may call Keras' at its end."""
    return overrides(model, "fit")


def fit_with_own(model: Any, *positional: Any, **named: Any) -> Any:
    """Call the model's own fit, and say so in its History if it returns one."""
    history = model.fit(*positional, **named)
    if not isinstance(history, keras.callbacks.History):
        return history
    return attached(history, FitReport("keras", ("the model's own fit runs",)))


def _traced_logs(model: Any, own: str, batch: Any) -> Any:
    trace = keras.src.backend.compute_output_spec
    if own == "compute_metrics":
        x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
        predictions = trace(model, x, training=False)
        return trace(model.compute_metrics, x, y, predictions, sample_weight=weights)
    if keras.backend.backend() != "jax":
        return trace(model.train_step, batch)
    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    state = tuple([keras.KerasTensor(v.shape, v.dtype) for v in group] for group in groups)
    logs, _ = trace(model.train_step, state, batch)
    return logs


def _is_distributed(model: Any) -> bool:
    if distribution_lib.distribution() is not None:
        return True
    if keras.backend.backend() != "tensorflow":
        return False
    # A model made under a strategy keeps it; another one may be current now.
    return (
        model._distribute_strategy is not None or model.distribute_strategy.num_replicas_in_sync > 1
    )


def _has_limits_for_debugging(_: Any) -> bool:
    names = ("max_epochs", "max_steps_per_epoch")
    return any(getattr(config, name, lambda: None)() for name in names)


def _is_traced_by_nobody(model: Any) -> bool:
    return keras.backend.backend() == "jax" and not model.jit_compile


def _has_too_many_steps_per_execution(model: Any) -> bool:
    return keras.backend.backend() == "torch" and int(model.steps_per_execution) > 1


def _uses_nnx(_: Any) -> bool:
    return bool(getattr(config, "is_nnx_enabled", lambda: False)())


_REASONS: tuple[tuple[Callable[[Any], bool], str], ...] = (
    (lambda model: bool(model.run_eagerly), "run_eagerly is set"),
    (_is_distributed, "training is distributed"),
    (_uses_nnx, "Flax NNX is enabled"),
    (_has_limits_for_debugging, "keras.config limits epochs or steps"),
    (_is_traced_by_nobody, "jit_compile is off, or a layer does not support it"),
    (_has_too_many_steps_per_execution, "Keras refuses steps_per_execution on PyTorch"),
    (lambda model: overrides(model, "make_train_function"), "the model makes its train_function"),
    (
        lambda model: not isinstance(model.optimizer, keras.optimizers.Optimizer),
        "the model has no Keras optimizer",
    ),
)
