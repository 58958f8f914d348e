"""Width of the hidden layers."""

from __future__ import annotations

from slipstream.techniques._architecture import LINEAR, RECURRENT, needs_layers
from slipstream.techniques._base import Choice, Technique, set_keys

TECHNIQUE = Technique(
    name="width",
    title="Width of the model",
    summary=(
        "Multiplies units and filters of the hidden layers, but for those that something else "
        "holds: the outputs, a sum with an input, a layer that Keras does not know."
    ),
    formula="units = max(1, round(width * units))",
    helps="Above 1, nets that underfit; below 1, nets that are larger than their data ask for.",
    hurts="Above 1, small data sets; below 1, quality where the net is small already.",
    cost="Arithmetic and parameters between width and width squared.",
    reference="Zagoruyko and Komodakis, Wide residual networks, 2016, arXiv:1605.07146",
    keys=("architecture.width",),
    edit=set_keys({"architecture.width": 0.5}),
    applies=needs_layers(
        2, *LINEAR, *RECURRENT, why="the model has no hidden layer with a width of its own"
    ),
    search={"architecture.width": Choice((0.5, 0.75, 1.0, 1.5, 2.0))},
)
