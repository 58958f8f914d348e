"""Plan: every training decision as one frozen value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Self

from pydantic import ConfigDict, ValidationError, ValidationInfo, model_validator

from slipstream.errors import PlanError, together
from slipstream.plan import parts
from slipstream.plan.architecture import Architecture, Transfer
from slipstream.plan.augmentation import Augmentation
from slipstream.plan.clashes import ClashError
from slipstream.plan.losses import Loss
from slipstream.plan.section import Section
from slipstream.plan.spelling import explain_validation_error, nearest_in_plan, problems_of, shown
from slipstream.plan.uses import find_clash, unused

Value = str | int | float | bool
# Context of a validation that leaves aside what keys say together.
_KEY_BY_KEY = "key by key"
# The identifiers of what several keys say, each of which may be right by itself.
SAID_TOGETHER = ("SLP-103", "SLP-104")


class Plan(Section):
    """Every training decision of one run.

    Example:
        >>> plan = Plan().edit({"schedule.peak": 3e-3, "batch.size": 128})
        >>> plan.schedule.peak, plan.batch.size
        (0.003, 128)
        >>> plan == Plan.from_dict(plan.to_dict())
        True
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    optimizer: parts.Optimizer = parts.Optimizer()
    groups: parts.Groups = parts.Groups()
    schedule: parts.Schedule = parts.Schedule()
    batch: parts.Batch = parts.Batch()
    clipping: parts.Clipping = parts.Clipping()
    loss: Loss = Loss()
    precision: parts.Precision = parts.Precision()
    architecture: Architecture = Architecture()
    transfer: Transfer = Transfer()
    regularization: parts.Regularization = parts.Regularization()
    augmentation: Augmentation = Augmentation()
    data: parts.DataPipeline = parts.DataPipeline()
    runtime: parts.Runtime = parts.Runtime()
    duration: parts.Duration = parts.Duration()
    guard: parts.Guard = parts.Guard()
    monitoring: parts.Monitoring = parts.Monitoring()
    seeds: parts.Seeds = parts.Seeds()

    @model_validator(mode="after")
    def _refuse_clashes(self, info: ValidationInfo) -> Self:
        clash = None if info.context == _KEY_BY_KEY else find_clash(self)
        if clash is not None:
            raise ClashError(clash)
        return self

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """Build a plan from nested mappings; raises PlanError that names the key."""
        return _read(values)

    def to_dict(self) -> dict[str, dict[str, Value]]:
        """Return the plan as nested plain values, section by section."""
        return self.model_dump(mode="json")

    def flat(self) -> dict[str, Value]:
        """Return the plan as one mapping from dotted keys, like "schedule.peak", to values."""
        return {
            f"{section}.{key}": value
            for section, values in self.to_dict().items()
            for key, value in values.items()
        }

    def edit(self, changes: Mapping[str, Value]) -> Plan:
        """Return a plan with the dotted keys changed, and nothing else.

        Raises:
            PlanError: A key is unknown, or the plan would contradict itself or set a key where it
                counts for nothing.
        """
        return Plan.from_dict(self._with(changes))

    def adapt(self, changes: Mapping[str, Value]) -> Plan:
        """Return a plan with the dotted keys changed; others that lose their use are reset.

        Raises:
            PlanError: As `edit` does, for the keys that are changed.

        Example:
            >>> polynomial = Plan().edit({"schedule.name": "polynomial", "schedule.power": 3.0})
            >>> polynomial.adapt({"schedule.name": "cosine"}).schedule.power
            2.0
        """
        return settled(self._with(changes), keep=changes)

    def _with(self, changes: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
        wrong = unknown_keys(changes)
        if wrong:
            raise together(wrong)
        values = self.to_dict()
        for dotted, value in changes.items():
            section, _, key = dotted.partition(".")
            values[section][key] = value
        return values

    def difference(self, other: Plan) -> dict[str, tuple[Value, Value]]:
        """Return the dotted keys whose values differ, each with (this value, the other's)."""
        theirs = other.flat()
        return {
            key: (mine, theirs[key]) for key, mine in self.flat().items() if mine != theirs[key]
        }

    def digest(self) -> str:
        """Return 12 hexadecimal characters that are equal for equal plans."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def settled(values: Mapping[str, Any], keep: Collection[str] = ()) -> Plan:
    """Return a plan from nested mappings, with keys that count for nothing at their defaults.

    Args:
        values: Section by section; what is not named has its default.
        keep: Dotted keys that are not reset.

    Raises:
        PlanError: A key is unknown or out of range, or the plan contradicts itself even so.

    Example:
        >>> settled({"schedule": {"name": "cosine", "power": 3.0}}).schedule.power
        2.0
    """
    plan = _read(values, _KEY_BY_KEY)
    # Once more: a key that is reset may have been what another counted beside.
    while lost := [use for use in unused(plan) if use.key not in keep]:
        values = plan.to_dict()
        for use in lost:
            section, _, key = use.key.partition(".")
            values[section][key] = use.default
        plan = _read(values, _KEY_BY_KEY)
    return Plan.from_dict(plan.to_dict())


def unknown_keys(given: Iterable[str]) -> list[PlanError]:
    """Return an error for each dotted key that plans do not have.

    Example:
        >>> [error.came for error in unknown_keys(["batch.size", "lr"])]
        ["'lr'"]
    """
    known = all_keys()
    return [
        PlanError(
            "a key of a plan, like schedule.peak",
            shown(key),
            f"Did you mean '{nearest_in_plan(key, known)}'?",
            code="SLP-101",
        )
        for key in given
        if key not in known
    ]


def wrong_values(changes: Mapping[str, Value]) -> list[PlanError]:
    """Return an error for each value that its key cannot have, whatever the rest of the plan is.

    Args:
        changes: Dotted keys that plans have, and their values.

    Example:
        >>> wrong_values({"batch.size": 64, "schedule.peak": 3e-3})
        []
    """
    nested: dict[str, dict[str, Value]] = {}
    for dotted, value in changes.items():
        section, _, key = dotted.partition(".")
        nested.setdefault(section, {})[key] = value
    try:
        Plan.model_validate(nested, context=_KEY_BY_KEY)
    except ValidationError as error:
        # What keys of a section say together, the keys that are not changed may put right.
        found = problems_of(error, all_keys())
        return [problem for problem in found if problem.code not in SAID_TOGETHER]
    return []


def _read(values: Mapping[str, Any], context: str | None = None) -> Plan:
    try:
        return Plan.model_validate(values, context=context)
    except ValidationError as error:
        raise explain_validation_error(error, all_keys()) from None


def all_keys() -> list[str]:
    """Return every dotted key that a plan has, in the order in which a plan is written.

    Example:
        >>> all_keys()[0]
        'optimizer.name'
    """
    return [
        f"{section}.{key}"
        for section, field in Plan.model_fields.items()
        for key in _section_class(field.annotation).model_fields
    ]


def _section_class(annotation: Any) -> type[Section]:
    assert isinstance(annotation, type) and issubclass(annotation, Section)
    return annotation
