"""Decoded examples on disk."""

from __future__ import annotations

from slipstream.techniques._base import Choice, Technique, set_keys
from slipstream.techniques._files import CACHE_KEYS, found_cache, needs_files

TECHNIQUE = Technique(
    name="disk_cache",
    title="Cache on disk",
    summary="Examples are decoded once, into a file that is gone when the run is over.",
    formula="time to load = decoding in the first epoch, reading from disk in all others",
    helps="Memory that other work needs, and decoding that is slower than reading.",
    hurts="Data that memory could hold: the system reads the file again and again.",
    cost="Room on the disk for all decoded examples, and one system call for each example.",
    reference=(
        "Mohan, Phanishayee, Raniwala and Chidambaram, Analyzing and mitigating data stalls in "
        "DNN training, 2021, arXiv:2007.06775"
    ),
    keys=("data.cache",),
    edit=set_keys({"data.cache": "disk"}),
    applies=needs_files,
    search={"data.cache": Choice(("host", "disk"))},
    one_of="cache",
    along=CACHE_KEYS,
    found=found_cache("disk"),
)
