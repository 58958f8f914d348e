"""What a drop-in fit tells of itself: whether the engine ran, what Keras did itself, and why."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Any, Literal

LOGGER = logging.getLogger("slipstream")


class NotAcceleratedError(Exception):
    """Raised where the engine would not do what Keras does; Keras' own fit takes over.

    Args:
        reason: Why, as the end of "Keras' own fit runs, because ...".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class FitReport:
    """How a fit ran; it is the attribute `slipstream` of the returned History.

    Args:
        loop: "slipstream", or "keras" where Keras' own fit ran all of it.
        fallbacks: The parts that Keras ran itself, or that ran step by step, each with its reason.
        updates_per_call: How many updates went to the backend in one call, at most; 0 with Keras.
        updates: How many updates were made; 0 with Keras, which does not say.
        examples: How many examples they saw, each time anew; 0 with Keras.
        findings: What is wrong with model and data, where that was looked at beforehand.
    """

    loop: Literal["slipstream", "keras"]
    fallbacks: tuple[str, ...] = ()
    updates_per_call: int = 0
    updates: int = 0
    examples: int = 0
    findings: tuple[str, ...] = ()


def attached(history: Any, report: FitReport) -> Any:
    """Return the history with its report, and log every fallback."""
    history.slipstream = report
    for fallback in report.fallbacks:
        level = logging.WARNING if report.loop == "keras" else logging.INFO
        LOGGER.log(level, "fit: %s", fallback)
    return history


def with_findings(history: Any, findings: tuple[str, ...]) -> Any:
    """Return the history of a fit with what was found before it."""
    report = getattr(history, "slipstream", None)
    if findings and report is not None:
        history.slipstream = dataclasses.replace(report, findings=findings)
    return history
