"""Which modules' examples run where.

Examples in the docstrings of modules that need Keras run once per backend, together with
tests/on_each_backend; all other examples run once, without Keras.
"""

from __future__ import annotations

import os
from pathlib import Path

# Rooms that import Keras at module level (see docs/architecture.md).
NEED_KERAS = ("backends", "engine", "lowering", "ops", "rewrite")
PACKAGE = Path(__file__).parent / "src" / "slipstream"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the modules whose examples belong to the other kind of run."""
    if PACKAGE not in collection_path.parents or collection_path.is_dir():
        return None
    room, *rest = collection_path.relative_to(PACKAGE).parts
    backend = os.environ.get("KERAS_BACKEND")
    if backend is None:
        return True if room in NEED_KERAS else None
    if room not in NEED_KERAS:
        return True
    # A backend's module imports its framework: only in the process that runs on it.
    is_other = room == "backends" and not rest[0].startswith(("_", backend))
    is_other |= room == "lowering" and backend != "torch"
    return True if is_other else None
