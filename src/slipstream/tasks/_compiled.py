"""What a compiled Keras model was compiled with, as plain values that a fresh process can use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from slipstream.errors import TaskError
from slipstream.tasks._as_given import Compiled

WRITE_A_FILE = "Write a task file instead: a function that builds the model, and one for the data."
# Names that Keras resolves only once it has seen the shapes.
BY_SHAPE = ("accuracy", "acc")


@dataclass(frozen=True)
class Judges:
    """Loss and metrics as names and serialised configurations; notes on what was left out."""

    loss: Any
    metrics: Any
    loss_weights: Any
    notes: tuple[str, ...]

    def default_monitor(self, num_outputs: int) -> str:
        """Return the first accuracy as a validation metric, or else val_loss.

        Example:
            >>> Judges("mse", ["mae"], None, ()).default_monitor(1)
            'val_loss'
            >>> Judges("mse", ["mae", "accuracy"], None, ()).default_monitor(1)
            'val_accuracy'
        """
        # With several outputs the loss alone stands for all of them.
        for leaf in leaves(self.metrics) if num_outputs == 1 else ():
            name = leaf if isinstance(leaf, str) else str(leaf["config"].get("name", ""))
            if name == "acc" or "accuracy" in name:
                return f"val_{name}"
        return "val_loss"


def read_compiled(model: Any, *, weighted: bool) -> tuple[Compiled, Judges]:
    """Read how a model was compiled.

    Args:
        model: A compiled Keras model.
        weighted: Whether it is trained with sample weights.

    Raises:
        TaskError: It is no compiled Keras model, or its loss or a metric is not Keras' own.
    """
    import keras

    if not isinstance(model, keras.Model):
        raise TaskError(
            "a keras.Model", type(model).__name__, "Give the compiled model itself.", code="SLP-220"
        )
    config = model.get_compile_config() if model.compiled else {}
    if not config or config.get("loss") is None or model.optimizer is None:
        raise TaskError(
            "a compiled model with a loss and an optimizer",
            "one without",
            "Call model.compile(optimizer=..., loss=..., metrics=[...]) first.",
            code="SLP-221",
        )
    _check_own_functions(model)
    judges = _judges(config, weighted)
    with as_in_a_fresh_process():
        for leaf in leaves(judges.loss):
            _check_known("loss", leaf, keras.losses.get)
        for leaf in leaves(judges.metrics):
            if leaf not in BY_SHAPE:
                _check_known("metric", leaf, keras.metrics.get)
    return _compiled(model, config), judges


@contextmanager
def as_in_a_fresh_process() -> Iterator[None]:
    """Within it Keras knows none of the classes and functions that the user registered."""
    import keras

    registered = keras.saving.get_custom_objects()
    kept = dict(registered)
    registered.clear()
    try:
        yield
    finally:
        registered.update(kept)


def leaves(config: Any) -> Iterator[Any]:
    """Yield every name and serialised object in a nest of lists and dicts by output."""
    if isinstance(config, dict) and "class_name" not in config:
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from leaves(part)
    elif config is not None:
        yield config


def _compiled(model: Any, config: dict[str, Any]) -> Compiled:
    import keras

    optimizer = model.optimizer
    excluded = getattr(optimizer, "_exclude_from_weight_decay", None)
    pattern = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    return Compiled(
        optimizer=keras.saving.serialize_keras_object(optimizer),
        settings={**config, "jit_compile": _jit_setting(model)},
        backend=keras.backend.backend(),
        policies=frozenset(layer.dtype_policy.name for layer in model._flatten_layers()),
        excludes_from_decay=bool(excluded or pattern),
    )


def _jit_setting(model: Any) -> bool | str:
    # compile() has put True or False in the place of "auto": what auto gives is taken for auto.
    return "auto" if model.jit_compile == model._resolve_auto_jit_compile() else model.jit_compile


def _judges(config: dict[str, Any], weighted: bool) -> Judges:
    metrics, weighted_metrics = (
        _plain(config.get(name)) or [] for name in ("metrics", "weighted_metrics")
    )
    notes: tuple[str, ...] = ()
    if weighted_metrics and (metrics or weighted):
        notes = ("The weighted_metrics are left out.",)
    elif weighted_metrics:
        # Without weights the two are the same.
        metrics = weighted_metrics
    return Judges(_plain(config["loss"]), metrics, config.get("loss_weights"), notes)


def _plain(config: Any) -> Any:
    """Return a compile configuration in which Keras' own functions are given by name."""
    if isinstance(config, dict):
        if config.get("class_name") == "function":
            return config["config"]
        return {key: _plain(part) for key, part in config.items()}
    return [_plain(part) for part in config] if isinstance(config, list | tuple) else config


def _check_own_functions(model: Any) -> None:
    """Raise TaskError for functions of the user's: serialised, they are names that Keras may have.

    A function called "mse" that is not Keras' own would silently become Keras'.
    """
    import keras

    given = model._compile_config.config
    for kind, nest in (("loss", given["loss"]), ("metric", given["metrics"])):
        for leaf in keras.tree.flatten(nest):
            name = getattr(leaf, "__name__", None)
            if name is not None and not str(leaf.__module__).startswith("keras."):
                raise TaskError(
                    f"a {kind} of Keras' own",
                    f"the function '{name}'",
                    WRITE_A_FILE,
                    code="SLP-222",
                )


def _check_known(kind: str, leaf: Any, get: Callable[[Any], Any]) -> None:
    try:
        get(leaf)
    except (ValueError, TypeError):
        name = leaf if isinstance(leaf, str) else leaf.get("class_name")
        raise TaskError(
            f"a {kind} of Keras' own", f"'{name}'", WRITE_A_FILE, code="SLP-223"
        ) from None
