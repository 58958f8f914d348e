"""Another base model."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._architecture import num_layers
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    # The model itself counts among its layers.
    if num_layers(task, "Functional", "Sequential", "Model") < 2 or not task.has_image_input:
        return "the model is not built on another model of images, as one of its layers"
    return None


TECHNIQUE = Technique(
    name="base_model",
    title="Another base model",
    summary=(
        "Puts another model of keras.applications, with random weights, in the place of the one "
        "that the model is built on; layers after it keep their weights where these fit."
    ),
    formula="outputs = head(base(x)),  base: another model of keras.applications",
    helps="Runs whose base is larger than the data or the time ask for.",
    hurts="Bases with trained weights: theirs are lost.",
    cost="Whatever the new base costs: parameters and multiply-adds are in the record.",
    reference="Keras documentation, Keras Applications",
    keys=("architecture.base",),
    edit=set_keys({"architecture.base": "MobileNetV2"}),
    applies=_applies,
    search={
        "architecture.base": Choice(
            ("as_model", "MobileNetV2", "EfficientNetV2B0", "ResNet50V2", "DenseNet121")
        )
    },
)
