"""What a run shows that somebody should know: found in its curves and in its layers."""

from slipstream.signals.curves import found_at_the_end, found_over, is_new
from slipstream.signals.layers import Activation, Gradient, Layers, found_in_layers
from slipstream.signals.shared_rows import Evidence, evidence
from slipstream.signals.spikes import Spikes

__all__ = [
    "Activation",
    "Evidence",
    "Gradient",
    "Layers",
    "Spikes",
    "evidence",
    "found_at_the_end",
    "found_in_layers",
    "found_over",
    "is_new",
]
