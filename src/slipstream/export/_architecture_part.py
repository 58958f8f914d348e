"""The part of a script that rewrites the model as a plan's section [architecture] says."""

from __future__ import annotations

from slipstream.export._copied import copied_module, only_used
from slipstream.export._phases_part import base_lines
from slipstream.plan import Plan
from slipstream.plan.architecture import Architecture

# Modules of slipstream.rewrite, in the order in which they need each other, and which of them each
# key needs.
MODULES = (
    *("graph", "blocks", "residual", "branches", "depth", "separable", "widths", "normalize"),
    *("initialization", "base", "freeze"),
)
NEEDED = {
    "base": ("graph", "base"),
    "width": ("graph", "blocks", "widths"),
    "separable": ("graph", "separable"),
    "depth": ("graph", "blocks", "residual", "branches", "depth"),
    "residual": ("graph", "blocks", "residual"),
    "batch_norm": ("graph", "normalize"),
    "init": ("initialization",),
    "zero_gamma": ("graph", "blocks", "branches"),
}
ERROR = '''
class InputError(ValueError):
    """A model that cannot be rewritten as asked."""

    def __init__(self, expected: str, came: str, mend: str) -> None:
        super().__init__(f"Expected {expected}; got {came}. {mend}")
'''


def rewrite_definitions(plan: Plan) -> list[str]:
    """Return the definitions that rewriting the model needs."""
    keys = _changed(plan.architecture)
    needed = {module for key in keys for module in NEEDED[key]}
    needed |= {"graph", "freeze"} if plan.transfer.is_on else set()
    if not needed:
        return []
    copied = [copied_module(f"slipstream.rewrite.{name}") for name in MODULES if name in needed]
    text = "\n\n\n".join([ERROR.strip("\n"), *copied])
    return [only_used(text, "\n".join([*rewrite_lines(plan), *base_lines(plan)]))]


def rewrite_lines(plan: Plan) -> list[str]:
    """Return the lines that rewrite `model`, for inputs `x`."""
    section, lines = plan.architecture, []
    calls = {
        "base": f"swap_base(model, {section.base!r})",
        "width": f"scale_width(model, {section.width!r})",
        "separable": f"make_separable(model, {section.separable!r})",
        "depth": f"scale_depth(model, {section.depth!r})",
        "residual": f"insert_residuals(model, {section.residual!r})",
        "batch_norm": "insert_batch_norm(model)",
    }
    keys = _changed(section)
    lines += [f"model, _ = {call}" for key, call in calls.items() if key in keys]
    if section.init == "lsuv":
        lines += [
            "order = np.random.Generator(np.random.Philox(key=[SEED, 0])).permutation(",
            "    len(keras.tree.flatten(x)[0])",
            ")",
            "seen = keras.tree.map_structure(lambda array: array[order[:SCALED_BY]], x)",
            'initialize(model, "lsuv", seen)',
        ]
    elif "init" in keys:
        lines.append(f"initialize(model, {section.init!r})")
    if section.zero_gamma:
        lines.append("zero_branches(model)")
    return lines


def freeze_lines(plan: Plan) -> list[str]:
    """Return the lines that freeze BatchNormalization, after all else is done to the layers."""
    if not plan.architecture.freeze_batch_norm:
        return []
    return [
        "for layer in model._flatten_layers():  # they keep their averages",
        "    if isinstance(layer, keras.layers.BatchNormalization):",
        "        layer.trainable = False",
    ]


def rewrites_model(plan: Plan) -> bool:
    """Whether anything is done to the model that the task builds."""
    changed = bool(_changed(plan.architecture)) or plan.architecture.freeze_batch_norm
    return changed or plan.transfer.is_on


def _changed(section: Architecture) -> list[str]:
    plain = Architecture()
    return [key for key in NEEDED if getattr(section, key) != getattr(plain, key)]
