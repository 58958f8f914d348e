"""Taking a technique out of a plan, and putting one alone onto a baseline."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, count

from slipstream.errors import PlanError
from slipstream.plan import Plan, Value
from slipstream.plan.clashes import Clash
from slipstream.plan.uses import find_clash
from slipstream.techniques._base import Technique
from slipstream.techniques._registry import found_in


@dataclass(frozen=True)
class Ablated:
    """A plan with one technique moved, and all that had to move with it.

    Args:
        plan: The result; it agrees with itself.
        together: The names of the techniques that moved, the one that was asked for first. More
            than one where the plan would have contradicted itself otherwise.
    """

    plan: Plan
    together: tuple[str, ...]


def take_out(technique: Technique, plan: Plan, baseline: Plan) -> Ablated:
    """Return the plan without one technique: its keys go back to the baseline's values.

    Where that would contradict itself, the fewest further techniques go with it. A batch that
    changes takes the learning rate along by its scaling rule, unless the two plans share one rate.

    Raises:
        PlanError: The plan does not hold the technique beyond the baseline, or no set of
            techniques can be taken out with it.

    Example:
        >>> from slipstream.techniques import get
        >>> winner = Plan().edit({"runtime.backend": "jax", "runtime.jit": "on"})
        >>> take_out(get("backend"), winner, Plan()).plan.flat()["runtime.jit"]
        'on'
        >>> torch = Plan().edit({"runtime.backend": "torch"})
        >>> take_out(get("backend"), winner, torch).together
        ('backend', 'jit')
    """
    return _exchange(technique, found_in(plan, baseline), source=baseline, target=plan)


def put_in(technique: Technique, plan: Plan, baseline: Plan) -> Ablated:
    """Return the baseline with one technique of the plan: its keys take the plan's values.

    The fewest further techniques of the plan come with it where it cannot stand alone; the
    learning rate follows a batch as in `take_out`.

    Raises:
        PlanError: The plan does not hold the technique beyond the baseline, or it cannot be put
            onto it.

    Example:
        >>> from slipstream.techniques import get
        >>> winner = Plan().edit({"schedule.name": "cosine", "schedule.warmup": 0.1})
        >>> alone = put_in(get("warmup"), winner, Plan()).plan
        >>> alone.schedule.name, alone.schedule.warmup
        ('constant', 0.1)
    """
    return _exchange(technique, found_in(plan, baseline), source=plan, target=baseline)


def _exchange(
    technique: Technique, found: Sequence[Technique], source: Plan, target: Plan
) -> Ablated:
    """Move a technique's keys from one plan to another, with the fewest others that it needs."""
    if technique not in found:
        raise PlanError(
            "a technique in which the two plans differ",
            f"'{technique.name}', in which they do not",
            f"Choose from: {', '.join(t.name for t in found) or 'none, the plans are equal'}.",
            code="SLP-156",
        )
    # The smallest group first, so that the first one that agrees is the smallest of all.
    order = count()
    groups: list[tuple[int, int, tuple[Technique, ...]]] = [(1, next(order), (technique,))]
    seen = {frozenset((technique.name,))}
    first_clash = ""
    while groups:
        _, _, group = heapq.heappop(groups)
        moved = _looked_at_where_possible(_with_keys(group, source, target))
        clash = find_clash(moved)
        if clash is None:
            return Ablated(Plan.from_dict(moved.to_dict()), tuple(t.name for t in group))
        first_clash = first_clash or clash.sentence
        for further in _endings(clash, group, found, source, target):
            larger = (*group, *further)
            names = frozenset(t.name for t in larger)
            if names not in seen:
                seen.add(names)
                heapq.heappush(groups, (len(larger), next(order), larger))
    raise PlanError(
        f"a plan that agrees with itself when '{technique.name}' is moved",
        "a contradiction",
        f"{first_clash}.",
        code="SLP-157",
    )


def _endings(
    clash: Clash,
    group: tuple[Technique, ...],
    found: Sequence[Technique],
    source: Plan,
    target: Plan,
) -> Iterator[tuple[Technique, ...]]:
    """Yield what can move along to end a contradiction, without what is not needed for it.

    Any group that agrees holds one of these, for only who owns a key of the contradiction has a
    say in it.
    """
    owners = [t for t in found if t not in group and set(t.moved) & set(clash.keys)]
    ends: list[set[str]] = []
    for size in range(1, len(owners) + 1):
        for further in combinations(owners, size):
            names = {technique.name for technique in further}
            if any(end <= names for end in ends):
                continue
            if not clash.holds(_with_keys((*group, *further), source, target)):
                ends.append(names)
                yield further


def _with_keys(group: Sequence[Technique], source: Plan, target: Plan) -> Plan:
    """Return the target with the source's values of a group's keys; it may contradict itself."""
    theirs = source.flat()
    moved = _unchecked(target, {key: theirs[key] for t in group for key in t.moved})
    for technique in group:
        follows = technique.rescale(target, moved) if technique.rescale else {}
        mine = moved.flat()
        # Once, though a batch and its accumulation both ask for it; and not where the value is
        # the source's own already: it was chosen for the source's batch.
        changes = {
            key: value
            for key, value in follows.items()
            if mine[key] == target.flat()[key] != theirs[key]
        }
        moved = _unchecked(moved, changes)
    return moved


def _looked_at_where_possible(plan: Plan) -> Plan:
    """Return the plan without the keys of monitoring that it contradicts: they are no technique."""
    defaults = Plan().flat()
    while clash := find_clash(plan):
        looks = [key for key in clash.keys if key.startswith("monitoring.")]
        if not looks:
            break
        plan = _unchecked(plan, {key: defaults[key] for key in looks})
    return plan


def _unchecked(plan: Plan, changes: dict[str, Value]) -> Plan:
    # Both plans are valid key by key; only what keys say together may fail, and that is asked.
    sections: dict[str, dict[str, Value]] = {}
    for dotted, value in changes.items():
        section, _, key = dotted.partition(".")
        sections.setdefault(section, {})[key] = value
    return plan.model_copy(
        update={
            section: getattr(plan, section).model_copy(update=values)
            for section, values in sections.items()
        }
    )
