"""Several threads decode."""

from __future__ import annotations

from slipstream.techniques._base import Choice, Technique, set_keys
from slipstream.techniques._files import decodes_ahead

TECHNIQUE = Technique(
    name="decoding_threads",
    title="Decoding in parallel",
    summary="So many threads read and decode at a time; the order of examples stays the same.",
    formula="time to load >= time to decode / threads",
    helps="Images: decoding leaves Python's lock, so that threads run side by side.",
    hurts="More threads than processors take turns with the step.",
    cost="One thread each, and the examples that it has under way.",
    reference=(
        "Murray, Simsa, Klimovic and Indyk, tf.data: a machine learning data processing "
        "framework, 2021, arXiv:2101.12127"
    ),
    keys=("data.threads",),
    edit=set_keys({"data.threads": 4}),
    applies=decodes_ahead,
    search={"data.threads": Choice((1, 2, 4, 8))},
)
