"""Task: the unchanged problem, and the facts about it that can be known without Keras."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from slipstream.better import Mode
from slipstream.errors import TaskError
from slipstream.plan import Plan
from slipstream.plan.section import is_text

# What a person gets who calls Keras' compile and fit and leaves everything else alone.
AS_GIVEN = Plan().edit({"runtime.loop": "keras", "runtime.lowering": False})


@dataclass(frozen=True, kw_only=True)
class Task:
    """The unchanged problem: model, data, loss, metrics, and what to watch.

    Args:
        model: Called without arguments in a fresh process; returns an uncompiled Keras model.
        data: Called without arguments; returns what `slipstream.Data` takes: (x, y) pairs for
            train, validation and test.
        loss: What `Model.compile` takes: a name, a serialised Keras loss (a dict with
            class_name and config), a function, or one of these for each output, by name; or
            "sparse_focal_crossentropy", "asymmetric_mean_squared_error".
        metrics: What `Model.compile` takes; or "f1", "f1_macro", "f1_micro", "confusion_matrix",
            "expected_calibration_error".
        monitor: The validation metric to watch, like "val_accuracy".
        target: The value of it that ends the race, or None: what the tuned baseline reaches.
        mode: Whether a smaller or a larger value is better; told from the name where it can be.
        loss_weights: What `Model.compile` takes, for several outputs.
        plan: How the task is trained as given: the first baseline.
        name: What to call it.
        callbacks: Called without arguments before a training of `slipstream fit`; returns what is
            called with each of its events (`slipstream.engine.Event`), where True asks to stop.
            One with `state()` and `restore(state)` is saved with the run. Studies, which time
            plans, call none.

    Example:
        >>> task = Task(model=lambda: None, data=lambda: None, loss="mse", monitor="val_loss")
        >>> task.better
        'min'
    """

    model: Callable[[], Any]
    data: Callable[[], Any]
    loss: Any
    metrics: Sequence[Any] | Mapping[str, Any] = ()
    monitor: str = "val_loss"
    target: float | None = None
    mode: Mode | Literal["auto"] = "auto"
    loss_weights: Mapping[str, float] | Sequence[float] | None = None
    plan: Plan = field(default=AS_GIVEN)
    name: str = "task"
    callbacks: Callable[[], Sequence[Callable[[Any], bool | None]]] | None = None

    def __post_init__(self) -> None:
        functions = (("model", "build_model"), ("data", "load_data"), ("callbacks", "callbacks"))
        for name, called in functions:
            if not callable(getattr(self, name)) and (name, self.callbacks) != ("callbacks", None):
                raise TaskError(
                    f"Task({name}=...) to be a function without arguments",
                    f"{type(getattr(self, name)).__name__}",
                    f"Give the function itself, {name}={called} without parentheses, so that a"
                    " fresh process can call it.",
                    code="SLP-217",
                )
        if not is_text(self.name) or not str(self.name).strip():
            raise TaskError(
                "Task(name=...) to be a word or a few",
                ascii(self.name),
                "Give it a name of letters, like name='digits': records and reports show it.",
                code="SLP-246",
            )
        if not isinstance(self.model, type) and callable(getattr(self.model, "compile", None)):
            # A model can be called as well, with inputs.
            raise TaskError(
                "Task(model=...) to be a function that builds the model",
                f"a model that is built already ({type(self.model).__name__})",
                "Give the function itself, model=build_model without parentheses, so that each"
                " process can build its own.",
                code="SLP-217",
            )
        if not self.monitor.startswith("val_"):
            raise TaskError(
                "Task(monitor=...) to be a validation metric",
                f"'{self.monitor}'",
                f"Write 'val_{self.monitor}': choices are made on held-out data.",
                code="SLP-218",
            )
        if self.target is not None and not _is_finite(self.target):
            raise TaskError(
                "Task(target=...) to be a finite number, or None",
                repr(self.target),
                "Give the value of the monitor that ends the race, like target=0.97.",
                code="SLP-219",
            )

    @property
    def better(self) -> Mode:
        """Whether a smaller or a larger value of the monitor is better."""
        if self.mode != "auto":
            return self.mode
        return "min" if _looks_like_an_error(self.monitor) else "max"


class TaskFacts(BaseModel):
    """What is known of a task after one look at it; pure data, readable without Keras.

    Shapes are without the batch axis. `as_given` is the plan of the first baseline. `streamed`
    says that training examples are read from files as they are needed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str
    name: str
    fingerprint: str
    data_hash: str
    monitor: str
    mode: Mode
    target: float | None
    as_given: Plan
    kind: Literal["classification", "regression", "other"]
    num_train: int
    num_validation: int
    num_test: int
    num_classes: int | None
    input_shapes: dict[str, tuple[int | None, ...]]
    input_dtypes: dict[str, str]
    output_shapes: dict[str, tuple[int | None, ...]]
    parameters: int
    multiply_adds: int
    layers: dict[str, int]
    streamed: bool = False

    @property
    def has_image_input(self) -> bool:
        """Whether an input is (height, width, channels)."""
        return any(len(shape) == 3 for shape in self.input_shapes.values())


@dataclass(frozen=True)
class InputFacts:
    """One input of a built model; the shape is without the batch axis.

    `table` is how many rows the Embedding has that takes the input as it is, the fewest of several;
    None where there is none.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    table: int | None = None


@dataclass(frozen=True)
class OutputFacts:
    """One output of a built model and the loss that judges it.

    `activation` is the name of the last layer's activation, "linear" for none, "unknown" where it
    cannot be told. `loss` is the class name of the Keras loss, like
    "SparseCategoricalCrossentropy", "function" for a function of the user's own (Keras aligns what
    it is given), or "custom" for a class of the user's own. `from_logits` is None where the loss
    has no such setting. `metrics` are the class names of the Keras metrics of this output, each
    "custom" where it is the user's own function or class. `ignore_class` is the label that the
    loss leaves out. `share_metrics` are those metrics that hold the output against thresholds of
    probabilities, though the loss says that it is logits. `top_k` is the largest number of answers
    that a metric of them looks for the right class in.
    """

    name: str
    shape: tuple[int | None, ...]
    activation: str
    loss: str
    from_logits: bool | None
    metrics: tuple[str, ...] = ()
    ignore_class: int | None = None
    share_metrics: tuple[str, ...] = ()
    top_k: int | None = None


@dataclass(frozen=True)
class ModelFacts:
    """What checks need to know of a built model: inputs, outputs, and the names it logs.

    `logged` are the names without "val_", like ("loss", "accuracy"). `layers` are the classes of
    its layers and of the operations between them, each once, "custom" for those that are not
    Keras' own; empty where nobody looked.
    """

    inputs: tuple[InputFacts, ...]
    outputs: tuple[OutputFacts, ...]
    logged: tuple[str, ...]
    layers: tuple[str, ...] = ()


def _is_finite(value: object) -> bool:
    # NumPy's numbers are numbers too; True is none.
    try:
        return not isinstance(value, bool | str) and math.isfinite(value)  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        return False


def _looks_like_an_error(monitor: str) -> bool:
    name = monitor.lower()
    words = ("loss", "error", "mse", "mae", "mape", "msle", "rmse", "divergence", "deviance")
    return any(word in name for word in words)
