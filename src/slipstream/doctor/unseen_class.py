"""Warns of classes that are judged and never trained."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._arrays import targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._classes import are_tokens, classes_in, named


def check(case: Case) -> Iterator[Finding]:
    """Warn of classes in the validation or test split that the training split never shows.

    No backend can tell; each such example is lost, which looks like overfitting. Of tokens, of
    which most are rare by nature, nothing is said.
    """
    trained: dict[str, frozenset[int]] = {}
    for part, output in targets_of(case):
        found = None if are_tokens(case, output) else classes_in(part, output)
        if found is None:
            continue
        if part.split == "training":
            trained[output.name] = found
            continue
        unseen = sorted(found - trained.get(output.name, found))
        if unseen:
            yield Finding(
                "unseen_class",
                "warning",
                f"every class of {part.place} to occur in the training split",
                f"{named(unseen)}, which never {'do' if len(unseen) > 1 else 'does'}",
                "Shuffle before splitting, or split each class alike (stratify).",
            )
