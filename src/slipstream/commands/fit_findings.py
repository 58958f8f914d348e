"""What the doctor finds in a call of fit: told, not refused, for Keras would train on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from slipstream import doctor
from slipstream.data import Data, Split, leaves, map_arrays
from slipstream.doctor import Case, Finding
from slipstream.plan import Plan
from slipstream.task import Task

# The arrays that a model was looked at with: a script may call fit once for each epoch.
_SEEN: WeakKeyDictionary[Any, set[tuple[int, ...]]] = WeakKeyDictionary()
# What a single batch cannot tell of the whole split.
_OF_WHOLE_SPLITS = frozenset(
    {
        "class_imbalance",
        "class_weight_keys",
        "constant_features",
        "constant_targets",
        "feature_scales",
        "missing_class",
        "one_class",
        "row_numbers",
        "shared_rows",
        "sorted_labels",
        "tiny_split",
        "unjudged_class",
        "unseen_class",
        "weight_values",
    }
)


def findings_of_fit(model: Any, arguments: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Examine a compiled model and the arrays that its fit is called with.

    Args:
        model: The model; one without declared outputs cannot be looked into.
        arguments: The arguments of `Model.fit`, by name.

    Returns:
        The findings; none where the data are no arrays, or where the same were looked at before.
    """
    if not getattr(model, "outputs", None) or getattr(model, "loss", None) is None:
        return ()
    given = [arguments.get(name) for name in ("x", "y", "sample_weight", "validation_data")]
    if given[1] is None or not _are_arrays(given[:3]) or _is_known(model, given):
        return ()
    return _examined(model, arguments)


def findings_of_batch(
    model: Any, arguments: Mapping[str, Any], batch: tuple[Any, Any, Any]
) -> tuple[Finding, ...]:
    """Examine a compiled model and the first batch that its fit is handed.

    Args:
        model: The model; one without declared outputs cannot be looked into.
        arguments: The arguments of `Model.fit`, by name.
        batch: Inputs, targets and weights.

    Returns:
        What a batch alone can tell; none where the model was looked at with the same source before.
    """
    if not getattr(model, "outputs", None) or getattr(model, "loss", None) is None:
        return ()
    if not _are_arrays(batch[:2]) or batch[1] is None or _is_known(model, [arguments.get("x")]):
        return ()
    x, y, sample_weight = batch
    shown = {**arguments, "x": x, "y": y, "sample_weight": sample_weight, "validation_split": 0.0}
    whole = "the training split"
    return tuple(
        replace(
            finding,
            what=finding.what.replace(whole, "the first batch"),
            where=finding.where.replace(whole, "the first batch"),
        )
        for finding in _examined(model, shown)
        if finding.check not in _OF_WHOLE_SPLITS
    )


def _examined(model: Any, arguments: Mapping[str, Any]) -> tuple[Finding, ...]:
    data, has_validation = _data(arguments)
    # No plan decides here: a batch that is larger than the split is what fit makes of it.
    plan = Plan().edit({"batch.size": 1})
    case = Case(
        data,
        _facts(model),
        plan,
        is_shuffled=bool(arguments.get("shuffle", True)),
        has_validation=has_validation,
        class_weight=arguments.get("class_weight"),
    )
    return doctor.examine(case)


def _facts(model: Any) -> Any:
    from slipstream.engine.look import model_facts

    metrics = getattr(getattr(model, "_compile_metrics", None), "_user_metrics", None) or ()

    def facts(judged_by: Any) -> Any:
        # The model is there already, and is not called to look at its outputs.
        task = Task(model=lambda: model, data=lambda: None, loss=model.loss, metrics=judged_by)
        return model_facts(task, model, None)

    try:
        return facts(metrics)
    except Exception:
        # Metrics in a form that the look does not know; their checks have nothing to say then.
        return facts(())


def _data(arguments: Mapping[str, Any]) -> tuple[Data, bool]:
    """Return the splits as fit makes them, and whether there is one for validation."""
    parts = [map_arrays(np.asarray, arguments.get(name)) for name in ("x", "y", "sample_weight")]
    train = Split(*parts)
    held = arguments.get("validation_data")
    if isinstance(held, tuple | list) and len(held) in (2, 3) and _are_arrays(held):
        return Data(train, Split(*map_arrays(np.asarray, tuple(held)))), True
    share = arguments.get("validation_split") or 0.0
    if held is not None or not share:
        return Data(train, train), False
    kept = int(train.num_examples * (1 - share))
    ends = [slice(None, kept), slice(kept, None)]
    splits = [
        Split(*(map_arrays(lambda array, end=end: array[end], part) for part in parts))  # type: ignore[misc]
        for end in ends
    ]
    return Data(*splits), True


def _are_arrays(nest: Any) -> bool:
    found = list(leaves(nest))
    return bool(found) and all(
        hasattr(leaf, "__array__") and len(getattr(leaf, "shape", ())) > 0 for leaf in found
    )


def _is_known(model: Any, given: list[Any]) -> bool:
    """Whether these arrays were looked at with this model; remembers that they were."""
    key = tuple(_identities(given))
    known = _SEEN.setdefault(model, set())
    if key in known:
        return True
    known.add(key)
    return False


def _identities(nest: Any) -> Iterator[int]:
    for leaf in leaves(nest):
        yield id(leaf)
