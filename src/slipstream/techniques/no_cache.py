"""Nothing is kept of what is decoded."""

from __future__ import annotations

from slipstream.techniques._base import Technique, set_keys
from slipstream.techniques._files import CACHE_KEYS, found_cache, needs_files

TECHNIQUE = Technique(
    name="no_cache",
    title="No cache",
    summary="Examples are read from their files and decoded anew in each epoch.",
    formula="time to load = decoding, in each epoch",
    helps="Trainings of one epoch, and machines with neither memory nor disk to spare.",
    hurts="Every other: decoding is the most expensive part of reading images.",
    cost="Decoding, in every epoch.",
    reference=(
        "Mohan, Phanishayee, Raniwala and Chidambaram, Analyzing and mitigating data stalls in "
        "DNN training, 2021, arXiv:2007.06775"
    ),
    keys=("data.cache",),
    edit=set_keys({"data.cache": "none"}),
    applies=needs_files,
    one_of="cache",
    along=CACHE_KEYS,
    found=found_cache("none"),
)
