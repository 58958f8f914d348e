"""Random mirroring."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    if not task.has_image_input:
        return "no input is an image of (height, width, channels)"
    if plan.runtime.loop == "keras":
        return "runtime.loop = 'keras' feeds the examples as they are"
    if plan.data.cache == "device":
        return "data.cache = 'device' leaves no place to draw new examples"
    return None


TECHNIQUE = Technique(
    name="flip",
    title="Random mirroring",
    summary="Mirrors each image left and right in half of the cases, anew in every epoch.",
    formula="x'[i, j] = x[i, width - 1 - j] with probability 1/2",
    helps="Photographs and clothes, whose mirror image is as likely.",
    hurts="Digits, letters and traffic signs, whose mirror image means something else.",
    cost="A copy of the pixels on the host in each epoch.",
    reference=(
        "Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional "
        "neural networks, 2012, doi:10.1145/3065386"
    ),
    keys=("augmentation.flip",),
    edit=set_keys({"augmentation.flip": True}),
    applies=_applies,
    after=("own_loop",),
    clashes=("device_cache",),
    search={"augmentation.flip": Choice((False, True))},
)
