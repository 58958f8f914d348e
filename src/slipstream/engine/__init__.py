"""The engine: the only place where state changes."""

from slipstream.engine.events import Evaluated, Event, Finished, Observer, Progress, Started
from slipstream.engine.limits import Limits
from slipstream.engine.look import look
from slipstream.engine.probe import Probe, RatePoint, learning_rate_range
from slipstream.engine.train import Origin, check, train

__all__ = [
    "Evaluated",
    "Event",
    "Finished",
    "Limits",
    "Observer",
    "Origin",
    "Probe",
    "Progress",
    "RatePoint",
    "Started",
    "check",
    "learning_rate_range",
    "look",
    "train",
]
