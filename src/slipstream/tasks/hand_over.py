"""A compiled model and arrays, handed over as a folder from which any process rebuilds a task."""

from __future__ import annotations

from pathlib import Path

from slipstream.task import Task


def task_from_folder(folder: Path) -> Task:
    """Return the task in a folder."""
    raise NotImplementedError
