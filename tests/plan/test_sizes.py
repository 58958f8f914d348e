"""Amounts of memory in plans."""

import pytest

from slipstream.errors import PlanError
from slipstream.plan import Plan, from_toml, to_toml
from slipstream.plan.sizes import bytes_of


@pytest.mark.parametrize(
    ("given", "num_bytes"),
    [("512MiB", 512 * 2**20), ("2 gb", 2 * 10**9), (4096, 4096), ("1.5KiB", 1536), ("77B", 77)],
)
def test_sizes_are_read_and_come_back_from_toml(given, num_bytes):
    plan = Plan().edit({"data.cache": "hybrid", "data.memory_budget": given})
    assert bytes_of(plan.data.memory_budget) == num_bytes
    assert from_toml(to_toml(plan)) == plan


@pytest.mark.parametrize("given", ["", "much", "-1MiB", 0, -5, 1.5, True, "0"])
def test_what_is_no_size_is_refused(given):
    with pytest.raises(PlanError, match=r"data\.memory_budget"):
        Plan().edit({"data.memory_budget": given})
