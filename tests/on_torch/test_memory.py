"""Freed memory stays in the process: large blocks come without page faults the second time."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from slipstream.lowering import _memory

# A process of its own, whose heap nobody else has shaped.
PROGRAM = """
import resource, runpy, sys
if sys.argv[2] == "keep":
    assert runpy.run_path(sys.argv[1])["keep_freed_memory"]()
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    activations = [b"x" * 2**22 for _ in range(20)]
    del activations
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
@pytest.mark.parametrize("what", ["keep", "leave"])
def test_large_blocks_are_had_again_without_page_faults(what: str) -> None:
    command = [sys.executable, "-c", PROGRAM, _memory.__file__, what]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second, _ = map(int, done.stdout.split())
    # 80 MiB are 20480 pages; the library gives them back after the first round if left to itself.
    assert (second < first / 2) is (what == "keep")
