"""What a run shows that somebody should know: found in its curves and in its layers."""

from slipstream.signals.curves import found_at_the_end, found_over, is_new
from slipstream.signals.layers import Activation, Gradient, Layers, found_in_layers

__all__ = [
    "Activation",
    "Gradient",
    "Layers",
    "found_at_the_end",
    "found_in_layers",
    "found_over",
    "is_new",
]
