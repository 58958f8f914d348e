"""Warns of classes that are judged and never trained."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._arrays import NUM_ROWS_SHOWN, targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._classes import classes_in


def check(case: Case) -> Iterator[Finding]:
    """Warn of classes in the validation or test split that the training split never shows.

    No backend can tell; each such example is lost, which looks like overfitting.
    """
    trained: dict[str, frozenset[int]] = {}
    for part, output in targets_of(case):
        found = classes_in(part, output)
        if found is None:
            continue
        if part.split == "training":
            trained[output.name] = found
            continue
        unseen = sorted(found - trained.get(output.name, found))
        if unseen:
            shown = ", ".join(str(label) for label in unseen[:NUM_ROWS_SHOWN])
            more = f" and {len(unseen) - NUM_ROWS_SHOWN} more"
            yield Finding(
                "unseen_class",
                "warning",
                f"every class of {part.place} to occur in the training split",
                f"class {shown}{more if len(unseen) > NUM_ROWS_SHOWN else ''}, which never does",
                "Shuffle before splitting, or split each class alike (stratify).",
            )
