"""What a fit shows while it runs: a Keras callback that looks at the end of epochs alone.

Nothing is asked for between steps: the engine is free to make many of them at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slipstream.record import Point


@dataclass
class Seen:
    """What has been seen so far.

    Args:
        start: When the fit began, by `time.perf_counter`.
        points: One for each epoch that ended.
        epochs_wanted: How many epochs the fit was to have, by its own count.
        evaluate_seconds: What went into validation.
        stopped: Whether a callback ended the fit.
    """

    start: float = field(default_factory=time.perf_counter)
    points: list[Point] = field(default_factory=list)
    epochs_wanted: int = 0
    evaluate_seconds: float = 0.0
    stopped: bool = False

    @property
    def seconds(self) -> float:
        """Seconds since the fit began."""
        return time.perf_counter() - self.start


def with_watch(arguments: Mapping[str, Any], seen: Seen) -> dict[str, Any]:
    """Return the arguments of a fit with a callback more that fills `seen`.

    A `CallbackList` of the user's own is left as it is: such a fit has no points.
    """
    import keras

    given = arguments.get("callbacks")
    if isinstance(given, keras.callbacks.CallbackList):
        return dict(arguments)
    mine = given if isinstance(given, list | tuple) else [given] if given else []
    return {**arguments, "callbacks": [*mine, _callback(seen)]}


def iterations_of(model: Any) -> int:
    """Return how many steps the model's optimizer has made; 0 where it does not say."""
    try:
        return int(model.optimizer.iterations)
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return 0


def _callback(seen: Seen) -> Any:
    import keras

    class Watch(keras.callbacks.Callback):
        """Notes what there is at the end of each epoch."""

        def __init__(self) -> None:
            super().__init__()
            self._before = 0
            self._test_start = 0.0

        def on_train_begin(self, _logs: Mapping[str, Any] | None = None) -> None:
            self._before = iterations_of(self.model)
            seen.epochs_wanted = int((self.params or {}).get("epochs") or 0)

        def on_test_begin(self, _logs: Mapping[str, Any] | None = None) -> None:
            self._test_start = time.perf_counter()

        def on_test_end(self, _logs: Mapping[str, Any] | None = None) -> None:
            seen.evaluate_seconds += time.perf_counter() - self._test_start

        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            made = iterations_of(self.model) - self._before
            values = dict(_numbers(logs or {}))
            point = Point(step=made, epoch=epoch + 1.0, seconds=seen.seconds, values=values)
            seen.points.append(point)

        def on_train_end(self, _logs: Mapping[str, Any] | None = None) -> None:
            seen.stopped = bool(self.model.stop_training)

    return Watch()


def _numbers(logs: Mapping[str, Any]) -> list[tuple[str, float]]:
    found = []
    for name, value in logs.items():
        try:
            found.append((str(name), float(value)))
        except (TypeError, ValueError):
            continue
    return found
