"""A model rewritten as a plan's section [architecture] says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from slipstream.errors import InputError, PlanError
from slipstream.plan.architecture import Architecture
from slipstream.rewrite.base import swap_base
from slipstream.rewrite.branches import zero_branches
from slipstream.rewrite.depth import scale_depth
from slipstream.rewrite.freeze import freeze_batch_norms
from slipstream.rewrite.initialization import initialize
from slipstream.rewrite.normalize import insert_batch_norm
from slipstream.rewrite.report import Counter
from slipstream.rewrite.residual import insert_residuals
from slipstream.rewrite.separable import make_separable
from slipstream.rewrite.widths import scale_width

# From a model to the model in its place, and what was done.
Rewrite = Callable[[Any], tuple[Any, str]]


def rewritten(
    model: Any, section: Architecture, few: Any, load: Callable[[], Any]
) -> tuple[Any, dict[str, str]]:
    """Return the model that a plan asks for, and what was done, by plan key.

    Args:
        model: A built Keras model; it may be changed in place.
        section: The plan's section.
        few: Inputs of an example or two, as the model takes them.
        load: Returns the inputs of more examples, for rewrites that look at data.

    Raises:
        PlanError: The model does not bear a rewrite; it names the key.
    """
    applied: dict[str, str] = {}
    rewrites = list(_rewrites(section, load))
    counter = Counter(model, few) if rewrites else None
    for key, rewrite in rewrites:
        try:
            model, what = rewrite(model)
        except InputError as error:
            value = getattr(section, key)
            raise PlanError(
                f"{error.expected}, for architecture.{key} = {value!r}",
                error.came,
                error.mend,
                code=error.code,
            ) from error
        assert counter is not None
        applied[f"architecture.{key}"] = str(
            counter.changed(model, what, recount=key not in IN_PLACE)
        )
    return model, applied


# They leave the model's layers as they are.
IN_PLACE = ("init", "zero_gamma")


def _rewrites(section: Architecture, load: Callable[[], Any]) -> Iterator[tuple[str, Rewrite]]:
    """Yield what is to be done, by key: the graph first, then what is drawn for it."""
    if section.base != "as_model":
        yield "base", lambda model: swap_base(model, section.base)
    if section.width != 1.0:
        yield "width", lambda model: scale_width(model, section.width)
    if section.separable != "off":
        kernels = section.separable
        yield "separable", lambda model: make_separable(model, kernels)
    if section.depth != 1.0:
        yield "depth", lambda model: scale_depth(model, section.depth)
    if section.residual != "off":
        way = section.residual
        yield "residual", lambda model: insert_residuals(model, way)
    if section.batch_norm:
        yield "batch_norm", insert_batch_norm
    if section.init != "as_model":
        x = load if section.init == "lsuv" else lambda: None
        yield "init", lambda model: (model, initialize(model, section.init, x()))
    if section.zero_gamma:
        yield "zero_gamma", lambda model: (model, zero_branches(model))


def frozen_norms(model: Any, section: Architecture) -> dict[str, str]:
    """Freeze BatchNormalization if the plan asks for it; returns what was done, by plan key.

    Raises:
        PlanError: The model has no such layer.
    """
    if not section.freeze_batch_norm:
        return {}
    num_layers = freeze_batch_norms(model._flatten_layers())
    if not num_layers:
        raise PlanError(
            "a model with BatchNormalization, for architecture.freeze_batch_norm = true",
            f"none in '{model.name}'",
            "Set architecture.freeze_batch_norm = false.",
            code="SLP-154",
        )
    return {"architecture.freeze_batch_norm": f"{num_layers} layers keep their averages"}
