"""The engine: the only place where state changes."""

from slipstream.engine.events import (
    Evaluated,
    Event,
    Finished,
    Looked,
    Observer,
    Pictured,
    Progress,
    Resumed,
    Signalled,
    Started,
)
from slipstream.engine.job import Origin
from slipstream.engine.keeping import Keeping
from slipstream.engine.landscape import landscape_of
from slipstream.engine.limits import Limits
from slipstream.engine.look import look
from slipstream.engine.probe import Probe, RatePoint, learning_rate_range
from slipstream.engine.train import check, train

__all__ = [
    "Evaluated",
    "Event",
    "Finished",
    "Keeping",
    "Limits",
    "Looked",
    "Observer",
    "Origin",
    "Pictured",
    "Probe",
    "Progress",
    "RatePoint",
    "Resumed",
    "Signalled",
    "Started",
    "check",
    "landscape_of",
    "learning_rate_range",
    "look",
    "train",
]
