"""What the techniques that change examples share."""

from __future__ import annotations

from collections.abc import Callable

from slipstream.plan import Plan
from slipstream.task import TaskFacts

HOST_ALONE = ("device_cache", "augmentation_in_step")


def of_images(*, host_alone: bool = False) -> Callable[[Plan, TaskFacts], str | None]:
    """Return whether something that changes images applies; `host_alone`: not in the step."""

    def applies(plan: Plan, task: TaskFacts) -> str | None:
        if not task.has_image_input:
            return "no input is an image of (height, width, channels)"
        if plan.runtime.loop == "keras":
            return "runtime.loop = 'keras' feeds the examples as they are"
        if host_alone and plan.data.cache == "device":
            return "data.cache = 'device' leaves no place to draw new examples on the host"
        if host_alone and plan.augmentation.place == "device":
            return "augmentation.place = 'device' leaves nothing to the host"
        return None

    return applies


def of_one_size(plan: Plan, task: TaskFacts) -> str | None:
    """Boxes and crops apply where all images have one height and width."""
    sizes = {shape[:2] for shape in task.input_shapes.values() if len(shape) == 3}
    if len(sizes) > 1 or any(size is None for shape in sizes for size in shape):
        return "its images have several sizes"
    return of_images()(plan, task)


def of_mixing(*, images_alone: bool) -> Callable[[Plan, TaskFacts], str | None]:
    """Return whether examples can be mixed: one output, and inputs that have a mean."""

    def applies(plan: Plan, task: TaskFacts) -> str | None:
        inputs = [(task.input_dtypes.get(n, ""), s) for n, s in task.input_shapes.items()]
        others = [dtype for dtype, shape in inputs if len(shape) != 3]
        no_classes = task.kind != "classification" or not plan.loss.has_cross_entropy
        reasons = {
            "it has several outputs, whose labels would be mixed alike": len(task.output_shapes)
            != 1,
            f"there are no labels to mix: it is {task.kind}": task.kind == "other",
            f"there are no classes to mix: it is {task.kind}, loss.name = '{plan.loss.name}'": (
                images_alone and no_classes
            ),
            "an example has more than one label": any(
                len(shape) > 1 for shape in task.output_shapes.values()
            ),
            "not all inputs are images of (height, width, channels)": images_alone and others,
            "an input is neither an image nor made of floating-point numbers": not all(
                dtype.startswith("float") for dtype in others
            ),
            "runtime.loop = 'keras' feeds the examples as they are": plan.runtime.loop == "keras",
        }
        reason = next((reason for reason, holds in reasons.items() if holds), None)
        return of_one_size(plan, task) if images_alone and reason is None else reason

    return applies
