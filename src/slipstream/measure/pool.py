"""Warm workers: many short trainings without a new start for each."""

from __future__ import annotations

from typing import Self, final

from slipstream.measure.manager import Failed, Launch, Worker


@final
class WorkerPool:
    """One warm worker for each backend: many short trials without a new start for each.

    Args:
        launch: How workers are started.
    """

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._workers: dict[str, Worker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers.values():
            worker.__exit__(*error)

    def get(self, backend: str) -> Worker | Failed:
        """Return the open worker of a backend; a fresh one where the last has ended."""
        worker = self._workers.get(backend)
        if worker is not None and worker.is_alive:
            return worker
        worker = self._launch.worker(backend, f"pool_{backend}")
        self._workers[backend] = worker
        opened = worker.open()
        return opened if isinstance(opened, Failed) else worker

    def replace(self, backend: str) -> None:
        """End the worker of a backend, so that the next `get` starts a fresh one."""
        worker = self._workers.pop(backend, None)
        if worker is not None:
            worker.end()
