"""Plans at random from what the registry has: techniques, with values that tuning may try."""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass, field

from slipstream.errors import InputError
from slipstream.plan import Plan, Value, all_keys
from slipstream.task import TaskFacts
from slipstream.techniques import Choice, Range, Technique, all_techniques
from slipstream.techniques._registry import clash_between, in_order

# A process has one backend: another one is not to be tried in it.
POOL = tuple(technique for technique in all_techniques() if technique.name != "backend")


@dataclass
class Drawn:
    """A plan, the techniques that made it, and what was refused on the way.

    Args:
        plan: The plan.
        names: The techniques in it, in the order in which they were applied.
        refused: Each refusal, with what its message has to name.
    """

    plan: Plan
    names: list[str] = field(default_factory=list)
    refused: list[tuple[InputError, tuple[str, ...]]] = field(default_factory=list)


def draw(source: random.Random, base: Plan, facts: TaskFacts) -> Drawn:
    """Put 2 to 8 techniques onto a plan, with values from their ranges."""
    drawn = Drawn(base)
    wanted = source.sample(POOL, source.randint(2, 8))
    while clash := _clash(wanted):
        try:
            in_order(wanted)
        except InputError as error:
            drawn.refused.append((error, tuple(f"'{technique.name}'" for technique in clash)))
        # As whoever is told so would: one of the two goes.
        wanted.remove(source.choice(clash))
    for technique in in_order(wanted):
        try:
            drawn.plan = technique.apply(drawn.plan, facts)
        except InputError as error:
            drawn.refused.append((error, (f"'{technique.name}'",)))
            continue
        drawn.names.append(technique.name)
        for key, space in technique.search.items():
            changes = {key: value_of(space, source)}
            try:
                drawn.plan = drawn.plan.adapt(changes)
            except InputError as error:
                drawn.refused.append((error, (key,)))
    return drawn


def value_of(space: Choice | Range, source: random.Random) -> Value:
    """Return one of the values that tuning may try."""
    if isinstance(space, Choice):
        return source.choice(space.values)
    if space.log:
        value = math.exp(source.uniform(math.log(space.low), math.log(space.high)))
    else:
        value = source.uniform(space.low, space.high)
    value = min(max(value, space.low), space.high)
    return round(value) if space.whole else value


def names_keys(message: str) -> set[str]:
    """Return the keys of plans that a message names."""
    return set(re.findall(r"[a-z]+\.[a-z_0-9]+", message)) & set(all_keys())


def _clash(techniques: list[Technique]) -> tuple[Technique, Technique] | None:
    pairs = (
        (one, other)
        for place, one in enumerate(techniques)
        for other in techniques[place + 1 :]
        if clash_between(one, other)
    )
    return next(pairs, None)
