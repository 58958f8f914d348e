"""Plan and its parts: pure data, validation, TOML."""

from slipstream.plan.plan import Plan, Value, all_keys, settled, unknown_keys, wrong_values
from slipstream.plan.toml import from_toml, read_plan, to_toml, write_plan

__all__ = [
    "Plan",
    "Value",
    "all_keys",
    "from_toml",
    "read_plan",
    "settled",
    "to_toml",
    "unknown_keys",
    "write_plan",
    "wrong_values",
]
