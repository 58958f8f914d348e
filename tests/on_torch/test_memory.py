"""Freed memory stays in the process: large tensors come without page faults the second time."""

from __future__ import annotations

import platform
import resource

import pytest
import torch

from slipstream.lowering._memory import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_large_tensors_are_had_again_without_page_faults() -> None:
    assert keep_freed_memory()
    faults = []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        activations = [torch.ones(2**20) for _ in range(20)]
        del activations
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    # 80 MiB are 20480 pages; the library would give them back after each round.
    assert max(faults[1:]) < 4096
