"""Plan and its parts: pure data, validation, TOML."""

from slipstream.plan.plan import Plan, Value, all_keys, check_values, settled
from slipstream.plan.toml import from_toml, read_plan, to_toml, write_plan

__all__ = [
    "Plan",
    "Value",
    "all_keys",
    "check_values",
    "from_toml",
    "read_plan",
    "settled",
    "to_toml",
    "write_plan",
]
