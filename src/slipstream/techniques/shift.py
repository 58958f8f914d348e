"""Random shifts."""

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
    name="shift",
    title="Random shifts",
    summary="Moves each image by up to a few pixels in both directions, anew in every epoch.",
    formula="x'[i, j] = x[i + a, j + b],  a and b uniform in -shift..shift",
    helps="Images of things whose exact place means nothing, on nets that overfit.",
    hurts="Images where the place is the message; short runs, which have no time to overfit.",
    cost="A copy of the pixels on the host in each epoch.",
    reference=(
        "Simard, Steinkraus and Platt, Best practices for convolutional neural networks "
        "applied to visual document analysis, 2003, doi:10.1109/ICDAR.2003.1227801"
    ),
    keys=("augmentation.shift",),
    edit=set_keys({"augmentation.shift": 2}),
    applies=_applies,
    after=("own_loop",),
    clashes=("device_cache",),
    search={"augmentation.shift": Choice((0, 1, 2, 4))},
)
