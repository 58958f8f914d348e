"""A few of the kills of studies and their workers that `make torture` makes by the hundred."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from torture.studies import studies


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="kills as POSIX has them")
def test_killed_studies_and_workers_lose_nothing(tmp_path: Path) -> None:
    outcome = studies("compare", 3, tmp_path, seed=2)
    assert outcome.failures == []
    assert outcome.tries == 3 and min(outcome.counts.values()) > 0
