"""Freed memory stays in the process: large tensors come without page faults the second time."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# A process of its own, whose heap nobody else has shaped.
PROGRAM = """
import resource, torch
from slipstream.lowering._memory import keep_freed_memory
assert keep_freed_memory()
for _ in range(6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    activations = [torch.ones(2**20) for _ in range(20)]
    del activations
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_large_tensors_are_had_again_without_page_faults() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    first, *later = map(int, done.stdout.split())
    # 80 MiB are 20480 pages; the library would give them back after each round at first.
    assert max(later[:2]) < first / 2
