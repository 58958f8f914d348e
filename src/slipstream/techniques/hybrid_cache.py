"""Decoded examples in memory and on disk."""

from __future__ import annotations

from slipstream.techniques._base import Choice, Technique, set_keys
from slipstream.techniques._files import CACHE_KEYS, found_cache, needs_files

TECHNIQUE = Technique(
    name="hybrid_cache",
    title="Cache in memory and on disk",
    summary=(
        "Examples are decoded once: as many as a budget of memory holds stay there, the others go "
        "to a file."
    ),
    formula="examples in memory = (budget - examples under way) / bytes of an example",
    helps="Data sets of files that are larger than memory, decoded: only the first epoch decodes.",
    hurts="Little; a disk that is slower than decoding.",
    cost="The budget in memory, and room on the disk for the decoded examples beyond it.",
    reference=(
        "Mohan, Phanishayee, Raniwala and Chidambaram, Analyzing and mitigating data stalls in "
        "DNN training, 2021, arXiv:2007.06775"
    ),
    keys=CACHE_KEYS,
    edit=set_keys({"data.cache": "hybrid"}),
    applies=needs_files,
    search={"data.cache": Choice(("host", "hybrid"))},
    one_of="cache",
    along=CACHE_KEYS,
    found=found_cache("hybrid"),
)
