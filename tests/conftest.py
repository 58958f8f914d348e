"""What all tests share: the folder that needs Keras is skipped, with the reason, without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REASON = "KERAS_BACKEND is unset; run KERAS_BACKEND=tensorflow|jax|torch pytest {folder}"


class SkippedFolder(pytest.Dir):
    """A folder whose tests need a backend, which no one has named."""

    def collect(self) -> list[pytest.Item]:
        """Collect nothing: not even conftest.py or the modules are imported."""
        pytest.skip(REASON.format(folder="tests/on_each_backend"))


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Skip tests/on_each_backend unless the process was told its backend."""
    if path.name == "on_each_backend" and "KERAS_BACKEND" not in os.environ:
        return SkippedFolder.from_parent(parent, path=path)
    return None
