"""The engine: the only place where state changes."""

from slipstream.engine.events import Evaluated, Event, Finished, Observer, Progress, Started
from slipstream.engine.limits import Limits
from slipstream.engine.train import Origin, train

__all__ = [
    "Evaluated",
    "Event",
    "Finished",
    "Limits",
    "Observer",
    "Origin",
    "Progress",
    "Started",
    "train",
]
