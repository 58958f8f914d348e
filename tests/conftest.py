"""What all tests share: the folder that needs Keras is skipped, with the reason, without it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# Looking for doctests, pytest would import every conftest.py under one name; they have none.
collect_ignore_glob = ["*conftest.py"]

REASON = "KERAS_BACKEND is not {backend}; run KERAS_BACKEND={backend} pytest tests/{folder}"
# What a folder needs; None is any backend.
NEEDS = {
    "on_each_backend": None,
    "on_torch": "torch",
    "on_jax": "jax",
    "on_tensorflow": "tensorflow",
}


def pytest_configure() -> None:
    """Hear Ctrl-C, as on a terminal: a shell that runs the tests in the background mutes it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class SkippedFolder(pytest.Dir):
    """A folder whose tests need a backend that this process does not run on."""

    def collect(self) -> list[pytest.Item]:
        """Collect nothing: not even conftest.py or the modules are imported."""
        backend = NEEDS[self.path.name] or "tensorflow|jax|torch"
        pytest.skip(REASON.format(backend=backend, folder=self.path.name))


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Skip folders that need a backend unless the process was told to run on it."""
    current = os.environ.get("KERAS_BACKEND")
    if path.name in NEEDS and (current is None or NEEDS[path.name] not in (None, current)):
        return SkippedFolder.from_parent(parent, path=path)
    return None


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is remembered between runs out of the user's cache, and out of other tests."""
    monkeypatch.setenv("SLIPSTREAM_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
