"""The plan's section for losses, and what each of its names stands for at an output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from slipstream.errors import PlanError
from slipstream.plan.section import BelowOne, Positive, Section
from slipstream.plan.spelling import nearest_key

if TYPE_CHECKING:
    from slipstream.plan.plan import Plan

AS_TASK = "as_task"
LEARNED = "learned"
UNWEIGHTED = "none"
BALANCED = "balanced"
# Losses of numbers, with the classes that compute them.
OF_NUMBERS = {
    "mse": "MeanSquaredError",
    "mae": "MeanAbsoluteError",
    "huber": "Huber",
    "asymmetric_mse": "slipstream>AsymmetricMeanSquaredError",
}
OF_CLASSES = {
    "binary_crossentropy": "BinaryCrossentropy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "focal": "",
}
LOSS_NAMES = (AS_TASK, *OF_NUMBERS, *OF_CLASSES)
SMOOTHED = "slipstream>SmoothedSparseCategoricalCrossentropy"
SPARSE_FOCAL = "slipstream>SparseFocalCrossentropy"
# The focal form of each cross-entropy that a task may have.
_FOCAL = {
    "BinaryCrossentropy": "BinaryFocalCrossentropy",
    "BinaryFocalCrossentropy": "BinaryFocalCrossentropy",
    "CategoricalCrossentropy": "CategoricalFocalCrossentropy",
    "CategoricalFocalCrossentropy": "CategoricalFocalCrossentropy",
    "SmoothedSparseCategoricalCrossentropy": SPARSE_FOCAL,
    "SparseCategoricalCrossentropy": SPARSE_FOCAL,
    "SparseFocalCrossentropy": SPARSE_FOCAL,
}


class Loss(Section):
    """What training minimises. Validation and test are judged by the task's own loss."""

    name: str = Field(
        default=AS_TASK,
        description=f"{', '.join(LOSS_NAMES)}; or by output: 'kind=focal, size=huber'",
    )
    from_logits: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="cross-entropies: whether outputs are logits; auto: as the task's loss has it",
    )
    delta: Positive = Field(
        default=1.0, description="huber: where squares turn into absolute values"
    )
    asymmetry: Positive = Field(
        default=2.0, description="asymmetric_mse: how many times a prediction too low weighs"
    )
    focus: Annotated[float, Field(ge=1.0, allow_inf_nan=False)] = Field(
        default=2.0, description="focal: exponent of (1 - p)"
    )
    balance: BelowOne = Field(
        default=0.0, description="focal with two classes: weight of class 1, 0 the rest; 0 is off"
    )
    weights: str = Field(
        default=AS_TASK,
        description="of several outputs: as_task, learned, or by output: 'kind=1, size=0.1'",
    )
    class_weights: str = Field(
        default=UNWEIGHTED,
        description="of one output with classes: none, balanced, or by class: '0=1, 1=5'",
    )

    @model_validator(mode="after")
    def _refuse_misspelt_words(self) -> Self:
        for name in self.names().values():
            if name not in LOSS_NAMES:
                raise ValueError(
                    f"loss.name = '{self.name}' names the loss '{name}', and there is none: "
                    f"did you mean '{nearest_key(name, LOSS_NAMES)}'"
                )
        self.fixed_weights()
        self.weights_of_classes()
        return self

    def names(self) -> dict[str, str]:
        """Return the name of the loss for each output that has one of its own; "" is the rest.

        Example:
            >>> Loss(name="kind=focal, size=mae").names()
            {'kind': 'focal', 'size': 'mae'}
            >>> Loss(name="huber").names()
            {'': 'huber'}
        """
        if "=" not in self.name:
            return {"": self.name}
        return _pairs("loss.name", self.name)

    def fixed_weights(self) -> dict[str, float]:
        """Return the weights that are written out, by output.

        Example:
            >>> Loss(weights="kind=1, size=0.1").fixed_weights()
            {'kind': 1.0, 'size': 0.1}
        """
        if self.weights in (AS_TASK, LEARNED):
            return {}
        return {
            output: _weight(self.weights, number)
            for output, number in _pairs("loss.weights", self.weights).items()
        }

    def weights_of_classes(self) -> dict[int, float]:
        """Return the weights of classes that are written out, by class.

        Example:
            >>> Loss(class_weights="0=1, 1=5").weights_of_classes()
            {0: 1.0, 1: 5.0}
        """
        if self.class_weights in (UNWEIGHTED, BALANCED):
            return {}
        pairs = _pairs("loss.class_weights", self.class_weights)
        return dict(_weight_of_class(self.class_weights, *pair) for pair in pairs.items())

    @property
    def weighs_classes(self) -> bool:
        """Whether examples count as much as their class does."""
        return self.class_weights != UNWEIGHTED

    @property
    def is_changed(self) -> bool:
        """Whether training minimises something else than the task's own loss."""
        return self.weights != AS_TASK or any(name != AS_TASK for name in self.names().values())

    @property
    def has_cross_entropy(self) -> bool:
        """Whether there may be a cross-entropy in it whose labels can be smoothed."""
        return "" not in self.names() or any(
            name not in OF_NUMBERS for name in self.names().values()
        )


class JudgedOutput(NamedTuple):
    """What must be known of an output to choose its loss.

    `loss` is the class name of the task's loss, `from_logits` that loss' setting, or None, and
    `activation` the name of the output's activation, or "unknown".
    """

    name: str
    loss: str
    from_logits: bool | None
    activation: str = "unknown"


class LossChoice(NamedTuple):
    """A loss as Keras serialises it."""

    class_name: str
    config: Mapping[str, Any]


def changes_loss(plan: Plan) -> bool:
    """Whether training minimises another loss than the task's, penalties on weights apart."""
    return plan.loss.is_changed or plan.regularization.label_smoothing > 0


def choose_losses(
    loss: Loss, outputs: Sequence[JudgedOutput], smoothing: float = 0.0
) -> dict[str, LossChoice]:
    """Return the loss of every output whose loss the plan changes.

    A name without an output goes to all outputs that it is for: those with a cross-entropy, or
    those with a loss of numbers. To a single output it goes whatever the task has there.

    Raises:
        PlanError: An output is misspelt or has no loss, or no output takes the loss.

    Example:
        >>> digit = JudgedOutput("digit", "SparseCategoricalCrossentropy", True)
        >>> choose_losses(Loss(name="focal"), [digit])["digit"].class_name
        'slipstream>SparseFocalCrossentropy'
    """
    known = {output.name: output for output in outputs}
    chosen: dict[str, str] = {}
    for output, name in loss.names().items():
        if name == AS_TASK:
            continue
        if output:
            _refuse_unknown("loss.name", output, list(known))
            chosen[output] = name
        else:
            chosen.update(dict.fromkeys(_those_for(name, outputs), name))
    for output in chosen:
        if known[output].loss == "none":
            raise PlanError(
                "loss.name for outputs that the task's loss judges",
                f"'{output}', which has none",
                "Leave it out, or give the task a loss for it.",
                code="SLP-114",
            )
    return {
        output: _choice(loss, name, known[output], smoothing) for output, name in chosen.items()
    }


def weights_of(loss: Loss, outputs: Sequence[str]) -> dict[str, float]:
    """Return the written weights by output, 1 where none is written; {} where the task has them.

    Raises:
        PlanError: There is but one output, or one of the names is misspelt.
    """
    fixed = loss.fixed_weights()
    if loss.weights != AS_TASK and len(outputs) < 2:
        raise PlanError(
            "loss.weights = 'as_task' for a model with one output",
            f"'{loss.weights}'",
            "Weights are for the losses of several outputs.",
            code="SLP-115",
        )
    for output in fixed:
        _refuse_unknown("loss.weights", output, outputs)
    return {output: fixed.get(output, 1.0) for output in outputs} if fixed else {}


def _those_for(name: str, outputs: Sequence[JudgedOutput]) -> list[str]:
    judged = [output for output in outputs if output.loss != "none"]
    if len(judged) == 1:
        return [judged[0].name]
    wanted = name in OF_CLASSES
    fitting = [
        output.name
        for output in judged
        if output.loss not in ("function", "custom") and _is_of_classes(output.loss) == wanted
    ]
    if not fitting:
        raise PlanError(
            f"an output that loss.name = '{name}' is for",
            ", ".join(f"'{output.name}' with {output.loss}" for output in judged),
            f"Name the output: loss.name = '{judged[0].name}={name}'." if judged else "Leave it.",
            code="SLP-116",
        )
    return fitting


def _is_of_classes(loss: str) -> bool:
    return "Crossentropy" in loss or "Hinge" in loss


def _choice(loss: Loss, name: str, output: JudgedOutput, smoothing: float) -> LossChoice:
    if name in OF_NUMBERS:
        settings: dict[str, dict[str, Any]] = {
            "huber": {"delta": loss.delta},
            "asymmetric_mse": {"asymmetry": loss.asymmetry},
        }
        return LossChoice(OF_NUMBERS[name], settings.get(name, {}))
    logits = {"from_logits": _from_logits(loss, name, output)}
    if name != "focal":
        if name == "sparse_categorical_crossentropy":
            smoothed = {"smoothing": smoothing, **logits}
            return (
                LossChoice(SMOOTHED, smoothed)
                if smoothing
                else LossChoice(OF_CLASSES[name], logits)
            )
        return LossChoice(OF_CLASSES[name], {**logits, **_smoothing(smoothing)})
    return _focal(loss, output, logits, smoothing)


def _focal(
    loss: Loss, output: JudgedOutput, logits: dict[str, Any], smoothing: float
) -> LossChoice:
    form = _FOCAL.get(output.loss)
    if form is None:
        raise PlanError(
            f"a cross-entropy as the task's loss of '{output.name}' for loss.name = 'focal'",
            output.loss,
            "Its focal form follows the form of the targets: name a cross-entropy in the task.",
            code="SLP-117",
        )
    settings = {**logits, "gamma": loss.focus}
    if form == "BinaryFocalCrossentropy":
        balance = {"apply_class_balancing": True, "alpha": loss.balance} if loss.balance else {}
        return LossChoice(form, {**settings, **balance, **_smoothing(smoothing)})
    if loss.balance:
        raise PlanError(
            "loss.balance = 0 for more than two classes",
            f"{loss.balance} for '{output.name}' with {output.loss}",
            "Balance weighs class 1 against class 0: set it to 0.",
            code="SLP-118",
        )
    if form == SPARSE_FOCAL:
        return LossChoice(form, {**settings, "smoothing": smoothing})
    # Keras' alpha multiplies all classes alike: a factor of the learning rate, no balance.
    return LossChoice(form, {**settings, "alpha": 1.0, **_smoothing(smoothing)})


def _smoothing(smoothing: float) -> dict[str, float]:
    return {"label_smoothing": smoothing} if smoothing else {}


def _from_logits(loss: Loss, name: str, output: JudgedOutput) -> bool:
    if loss.from_logits != "auto":
        return loss.from_logits == "on"
    if output.from_logits is not None:
        return output.from_logits
    by_activation = {"linear": True, "softmax": False, "sigmoid": False}
    if output.activation not in by_activation:
        raise PlanError(
            f"loss.from_logits = 'on' or 'off' for loss.name = '{name}'",
            f"'auto', though neither the task's loss of '{output.name}' nor its activation tells",
            "Set 'on' for outputs without an activation, 'off' for probabilities.",
            code="SLP-119",
        )
    return by_activation[output.activation]


def _refuse_unknown(key: str, output: str, outputs: Sequence[str]) -> None:
    if output not in outputs:
        raise PlanError(
            f"{key} with names of the model's outputs",
            f"'{output}'",
            f"Did you mean '{nearest_key(output, outputs)}'? They are: {', '.join(outputs)}.",
            code="SLP-120",
        )


def _pairs(key: str, text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value) or name in pairs:
            raise ValueError(f"{key} = '{text}' is to be pairs like 'kind=..., size=...'")
        pairs[name] = value
    return pairs


def _weight(text: str, number: str) -> float:
    weight = _number(number)
    if weight is None:
        raise ValueError(
            f"loss.weights = '{text}' is to be 'as_task', 'learned', or numbers from 0 by output"
        )
    return weight


def _weight_of_class(text: str, one: str, number: str) -> tuple[int, float]:
    weight = _number(number)
    if weight is None or not one.isdecimal():
        raise ValueError(
            f"loss.class_weights = '{text}' is to be 'none', 'balanced', or numbers from 0 by "
            "class, like '0=1, 1=5'"
        )
    return int(one), weight


def _number(text: str) -> float | None:
    """Return a finite number from 0 that a text writes out, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0.0 <= number < float("inf") else None
