"""The list of all techniques, and what can be done with several of them."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
from collections.abc import Iterable, Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter

import slipstream.techniques
from slipstream.errors import InputError, PlanError
from slipstream.plan import Plan
from slipstream.plan.usual_words import usual_word_for
from slipstream.task import TaskFacts
from slipstream.techniques._base import Technique


@cache
def all_techniques() -> tuple[Technique, ...]:
    """Return every technique, sorted by name: one per file of this folder.

    Example:
        >>> "warmup" in [technique.name for technique in all_techniques()]
        True
    """
    names = sorted(
        module.name
        for module in pkgutil.iter_modules(slipstream.techniques.__path__)
        if not module.name.startswith("_")
    )
    modules = [importlib.import_module(f"slipstream.techniques.{name}") for name in names]
    return tuple(module.TECHNIQUE for module in modules if hasattr(module, "TECHNIQUE"))


def get(name: str) -> Technique:
    """Return one technique by name; "SAM" and "one-cycle" will do for sam and one_cycle.

    Raises:
        InputError: There is none; it says the name that comes nearest, by spelling or meaning.

    Example:
        >>> get("warmup").keys
        ('schedule.warmup',)
    """
    by_name = {_squashed(technique.name): technique for technique in all_techniques()}
    if _squashed(name) not in by_name:
        raise InputError(
            "the name of a technique",
            f"'{name}'",
            f"Did you mean '{_nearest(name)}'? 'slipstream techniques' lists all.",
            code="SLP-022",
        )
    return by_name[_squashed(name)]


def _squashed(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _nearest(name: str) -> str:
    """Return the technique spelt nearly like it, or whose text speaks of it, or spelt nearest."""
    names = [technique.name for technique in all_techniques()]
    # The whole of it first, then its words.
    words = [re.escape(word) for word in (name.strip(), *name.split()) if word]
    texts = {t.name: f"{t.title} {t.summary} {t.formula} {t.search}" for t in all_techniques()}
    alike = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.8)
    meant = [
        known
        for word in words
        for known, text in texts.items()
        if re.search(rf"\b{word}", text, re.IGNORECASE)
    ]
    named = [word for word in name.lower().split() if word in names]
    key = usual_word_for(name)
    # The one that is about that key first of all.
    owners = sorted((len(t.keys), t.name) for t in all_techniques() if key in t.keys)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
    return [*alike, *named, *(owner for _, owner in owners[:1]), *meant, *near][0]


def apply_all(names: Iterable[str], plan: Plan, facts: TaskFacts) -> Plan:
    """Return the plan with these techniques, applied in the order that they declare.

    Raises:
        InputError: A name is unknown.
        PlanError: Two of them clash, or one does not apply.
    """
    for technique in in_order([get(name) for name in dict.fromkeys(names)]):
        plan = technique.apply(plan, facts)
    return plan


def in_order(techniques: Sequence[Technique]) -> list[Technique]:
    """Return techniques so that each comes after those it declares; raises PlanError on a clash."""
    _refuse_clashes(techniques)
    by_name = {technique.name: technique for technique in techniques}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for technique in techniques:
        sorter.add(
            technique.name,
            *(
                t.name
                for t in techniques
                if t.name in technique.after or t.one_of in technique.after
            ),
        )
    try:
        return [by_name[name] for name in sorter.static_order()]
    except CycleError as error:  # two files that each want to be the later one
        raise AssertionError(f"techniques wait for each other: {error.args[1]}") from error


def clash_between(one: Technique, other: Technique) -> bool:
    """Whether two techniques must not be combined."""
    alternatives = bool(one.one_of) and one.one_of == other.one_of
    return alternatives or other.name in one.clashes or one.name in other.clashes


def found_in(plan: Plan, baseline: Plan) -> tuple[Technique, ...]:
    """Return the techniques that tell a plan from a baseline, sorted by name.

    Every key in which the two differ belongs to exactly one of them, apart from seeds, epochs and
    stopping at the target, which are the conditions of a run, and from what is looked at
    (monitoring) and guarded against (guard).

    Example:
        >>> plan = Plan().edit({"schedule.name": "cosine", "schedule.warmup": 0.1})
        >>> [technique.name for technique in found_in(plan, Plan())]
        ['cosine', 'warmup']
    """
    return tuple(t for t in all_techniques() if t.is_in(plan, baseline))


def _refuse_clashes(techniques: Sequence[Technique]) -> None:
    for index, one in enumerate(techniques):
        for other in techniques[index + 1 :]:
            if clash_between(one, other):
                raise PlanError(
                    "techniques that go together",
                    f"both '{one.name}' and '{other.name}'",
                    "Keep one of them.",
                    code="SLP-158",
                )
