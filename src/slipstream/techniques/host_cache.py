"""Decoded examples in memory."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Technique, set_keys
from slipstream.techniques._files import CACHE_KEYS, found_cache


def _applies(plan: Plan, task: TaskFacts) -> str | None:
    if not task.streamed and plan.data.cache != "device":
        return "the data lie in memory as arrays already"
    return None


TECHNIQUE = Technique(
    name="host_cache",
    title="Cache in memory",
    summary=(
        "Examples rest in the host's memory: of those that are read from files, as many as a "
        "budget holds are decoded once."
    ),
    formula="time to load = decoding in the first epoch, copying from memory in all others",
    helps="Files that memory can hold, decoded: only the first epoch decodes.",
    hurts="Where memory holds a small part: all else is decoded anew in each epoch.",
    cost="Memory for the decoded examples, up to the budget.",
    reference=(
        "Mohan, Phanishayee, Raniwala and Chidambaram, Analyzing and mitigating data stalls in "
        "DNN training, 2021, arXiv:2007.06775"
    ),
    keys=CACHE_KEYS,
    edit=set_keys({"data.cache": "host"}),
    applies=_applies,
    one_of="cache",
    along=CACHE_KEYS,
    found=found_cache("host"),
)
