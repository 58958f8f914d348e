"""What a step does beyond one gradient of a model's own loss."""

from __future__ import annotations

from dataclasses import dataclass

from slipstream.backends._preparation import Preparation
from slipstream.backends._shares import Shares


@dataclass(frozen=True)
class StepSettings:
    """What a step does beyond one gradient of a model's own loss, whatever the backend.

    Args:
        sharpness: The radius within which the worst gradient is taken; 0 is off.
        shares: What micro-batches count, where that is not their share of the examples.
        overflows: Whether what is measured of a batch is left out where it is not finite.
        preparation: What is done to examples in the step.
        tells_losses: Whether the loss of each update is kept until `read_losses` asks for it.
    """

    sharpness: float = 0.0
    shares: Shares | None = None
    overflows: bool = False
    preparation: Preparation | None = None
    tells_losses: bool = False

    @property
    def mixes(self) -> bool:
        """Whether labels are mixed in the step."""
        return self.preparation is not None and self.preparation.mixes


PLAIN = StepSettings()
