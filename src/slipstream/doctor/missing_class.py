"""Warns of classes that the model knows and the data lack."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._arrays import targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._classes import chooses_one, classes_in, named
from slipstream.doctor._losses import BINARY, num_classes

# With fewer examples for each class, one may be missing by chance.
EXAMPLES_PER_CLASS = 5


def check(case: Case) -> Iterator[Finding]:
    """Warn of outputs whose class no example of any split has.

    No backend minds: labels that are read wrongly, the folder of a class that is empty, or an
    output too many look the same to it.
    """
    found: dict[str, frozenset[int]] = {}
    unknown: set[str] = set()
    num_trained: dict[str, int] = {}
    for part, output in targets_of(case):
        classes = classes_in(part, output) if chooses_one(case, output) else None
        if classes is None:
            unknown.add(output.name)
            continue
        found[output.name] = found.get(output.name, frozenset()) | classes
        num_trained.setdefault(output.name, len(part.array))
    for output in case.model.outputs:
        classes = found.get(output.name, frozenset())
        count = 2 if output.loss in BINARY else num_classes(output) or 0
        missing = sorted(set(range(count)) - classes)
        # Examples of a single class are another check's.
        if output.name in unknown or not missing or len(classes) < 2:
            continue
        if num_trained[output.name] < EXAMPLES_PER_CLASS * count:
            continue
        yield Finding(
            "missing_class",
            "warning",
            f"examples of all {count} classes of '{output.name}'",
            f"none of {named(missing)} in any split",
            "Check how the labels are read, or give the model as many outputs as there are"
            " classes.",
        )
