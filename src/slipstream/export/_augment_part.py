"""The part of a script that changes examples: the classes that Slipstream itself uses, copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slipstream.data.augmentation import KINDS
from slipstream.errors import PlanError
from slipstream.export._copied import copied
from slipstream.plan import Plan
from slipstream.plan.augmentation import augments, keys_in_words, mixes_labels
from slipstream.plan.losses import changes_loss
from slipstream.task import Task

_PLAIN = "slipstream.data.augmentation"
_BY_HOST = "slipstream.data.rand_augment"
_SHAPES = ("rotate", "shear_rows", "shear_columns", "move_rows", "move_columns", "warp")
_VALUES = ("stretch", "equalize", "solarize", "posterize", "contrast", "brightness", "sharpness")
_OPERATIONS = (
    *("operations", "each_its_own", "to_unit", "from_unit", "same", *_SHAPES, *_VALUES),
    *("colour", "away_from", "grey", "_wide"),
)
# What each class calls, in the order in which a script defines it.
_CALLED: Mapping[str, tuple[str, ...]] = {
    "Moves": ("pick", "whole"),
    "ResizedCrop": ("boxes", "bilinear", "pick", "whole", "floats", "like"),
    "RandAugment": ("bilinear", "pick", "whole", "floats", "like", "value_range"),
    "AugMix": ("bilinear", "pick", "whole", "floats", "like", "value_range"),
    "Erase": ("boxes", "inside", "whole", "like", "value_range"),
    "Mix": ("inside", "whole", "floats", "like"),
}
NAMES = (
    *_CALLED,
    *("draw_all", "boxes", "inside", "pick", "bilinear", "whole", "floats", "like", "value_range"),
    *(name for name in _OPERATIONS if not name.startswith("_")),
    *("mix_labels", "one_hot_labels", "changed", "KINDS"),
)
# Types of the copied functions; a script has no need of more.
_TYPES = "Tensor = Draws = Images = Operation = Kind = Any"

CHANGED = '''
    def changed(self, places):
        """Return the inputs at some places of the epoch, changed."""
        x = keras.tree.map_structure(lambda a: a[self.order[places]], self.split[0])
        for name, kind in self.kinds.items():
            if name != "mix":
                x = self.each(kind, self.draws[name][places], x)
        return x

    def each(self, kind, draws, x):
        """Return inputs whose images one kind has changed."""
        return keras.tree.map_structure(
            lambda a: kind.apply(a, draws) if a.ndim == 4 else a, x
        )
'''

MIX_LABELS = '''
def mix_labels(y, {weights}share):
    """Mix rows of labels with the next ones, the last with the first."""
    share = share.astype("float32"){weigh}

    def mixed(labels):
        own = share.reshape(-1, *[1] * (labels.ndim - 1))
        labels = labels.astype("float32")
        return own * labels + (1 - own) * np.roll(labels, -1, axis=0)

    return keras.tree.map_structure(mixed, y){returned}
'''
_WEIGH = """
    first = share * weights.reshape(-1)
    weight = first + (1 - share) * np.roll(weights.reshape(-1), -1)
"""
_BY_WEIGHT = """    # The losses of two examples, each by its weight, as one.
    share = np.where(weight > 0, first / np.where(weight > 0, weight, 1), 0.5)
"""

ONE_HOT = '''
def one_hot_labels(split, num_classes):
    """Return a split with a row of zeros and a one in place of each class number."""
    x, y, *weights = split
    return x, keras.utils.to_categorical(np.reshape(y, -1), num_classes), *weights
'''


def augment_definitions(task: Task, plan: Plan, *, weighted: bool) -> list[str]:
    """Return the classes and functions that change examples.

    Raises:
        PlanError: The task's labels cannot be mixed in plain Keras.
    """
    if not augments(plan):
        return []
    parts: dict[str, str] = {"types": f"{_TYPES}\nKINDS = {KINDS!r}".replace("'", '"')}
    for name in [text.partition("(")[0] for text in _kinds(plan).values()]:
        module = _BY_HOST if name in ("RandAugment", "AugMix") else _PLAIN
        parts[name] = copied(module, name)
        parts |= {called: copied(_PLAIN, called) for called in _CALLED[name]}
        if module == _BY_HOST:
            parts |= {called: copied(_BY_HOST, called) for called in _OPERATIONS}
    parts["draw_all"] = copied(_PLAIN, "draw_all")
    if mixes_labels(plan):
        check_mixing(task, plan)
        parts["mix_labels"] = _mix_labels(task, weighted)
        if _has_class_numbers(task):
            parts["one_hot_labels"] = ONE_HOT
    return [part.strip("\n") for part in parts.values()]


def kinds_lines(plan: Plan) -> list[str]:
    """Return the lines that make the kinds of changes, where `split` is the training split."""
    kinds = _kinds(plan)
    text = " ".join(kinds.values())
    lines = []
    if any(word in text for word in ("height", "low")):
        lines.append("images = [a for a in keras.tree.flatten(split[0]) if a.ndim == 4]")
    if "height" in text:
        channels = ", channels" if "channels" in text else ", _"
        lines.append(f"height, width{channels} = images[0].shape[1:]")
    if "low" in text:
        lines.append("low, high = value_range(images[0])")
    return [
        *lines,
        "self.kinds = {",
        *(f'    "{name}": {made},' for name, made in kinds.items()),
        "}",
    ]


def has_one_hot_labels(task: Task, plan: Plan) -> bool:
    """Whether class numbers become rows in a script, for all splits."""
    return mixes_labels(plan) and _has_class_numbers(task)


def check_mixing(task: Task, plan: Plan) -> None:
    """Raise PlanError where plain Keras cannot train a task on mixed labels."""
    metrics = task.metrics if isinstance(task.metrics, list | tuple) else ["metrics by output"]
    sparse = _has_class_numbers(task)
    others = [str(name) for name in metrics if sparse and name not in ("accuracy", "acc")]
    came = ""
    if others:
        came = f"metrics of class numbers: {', '.join(others)}"
    elif plan.loss.is_changed:
        came = f"loss.name = '{plan.loss.name}'"
    elif changes_loss(plan) and task.monitor == "val_loss":
        came = "smoothed labels, and a task that watches val_loss"
    elif not isinstance(task.loss, str) and not (
        isinstance(task.loss, Mapping) and "class_name" in task.loss
    ):
        came = "a loss that is not one of Keras' by its name"
    if came:
        raise PlanError(
            f"a task with plain labels and metrics for a script with {keys_in_words(plan)}",
            came,
            "Plain Keras has one form of labels for training and metrics: leave the mixing out.",
            code="SLP-801",
        )


def loss_of_rows(loss: Any, smoothing: float) -> Any:
    """Return the loss of class numbers as the same loss of rows; others as they are."""
    settings = dict(loss.get("config", {})) if isinstance(loss, Mapping) else {}
    name = str(loss.get("class_name")) if isinstance(loss, Mapping) else str(loss)
    if name not in ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"):
        return loss
    kept = {key: settings[key] for key in ("from_logits", "reduction") if key in settings}
    smoothed = {"label_smoothing": smoothing} if smoothing else {}
    return {"class_name": "CategoricalCrossentropy", "config": {**kept, **smoothed}}


def _has_class_numbers(task: Task) -> bool:
    return loss_of_rows(task.loss, 0.0) is not task.loss


def _kinds(plan: Plan) -> dict[str, str]:
    """Return how a script makes each kind of change that the plan has."""
    section = plan.augmentation
    made = {
        "moves": f"Moves({section.shift}, {section.flip}, {section.flip_vertical})",
        "resized_crop": f"ResizedCrop({section.resized_crop}, height, width)",
        "rand_augment": f"RandAugment({section.rand_ops}, {section.rand_strength}, low, high)",
        "augmix": f"AugMix({section.augmix}, {section.augmix_strength}, low, high)",
        "erase": f"Erase({section.erase}, {section.erase_area}, (height, width, channels), "
        "low, high)",
        "mix": f"Mix({section.mixup}, {section.cutmix}, height, width)"
        if section.cutmix
        else f"Mix({section.mixup}, {section.cutmix}, 1, 1)",
    }
    is_on = {
        "moves": section.shift or section.flip or section.flip_vertical,
        "resized_crop": section.resized_crop,
        "rand_augment": section.rand_ops,
        "augmix": section.augmix,
        "erase": section.erase,
        "mix": mixes_labels(plan),
    }
    return {name: made[name] for name in KINDS if is_on[name]}


def _mix_labels(task: Task, weighted: bool) -> str:
    if not weighted:
        return MIX_LABELS.format(weights="", weigh="", returned="")
    numbers = not any(
        word in str(task.loss).lower() for word in ("crossentropy", "class_name': 'binary")
    )
    weigh = _WEIGH if numbers else _WEIGH + _BY_WEIGHT
    return MIX_LABELS.format(
        weights="weights, ", weigh=weigh.rstrip("\n"), returned=", weight.reshape(weights.shape)"
    )
