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
        torch.ones(2**22)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    # 16 MiB are 4096 pages, or 8 huge ones.
    assert max(faults[1:]) < 8
