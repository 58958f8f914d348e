"""Verdicts and records as one HTML file that opens offline."""

from slipstream.report._content import (
    AblationRow,
    Change,
    Comparison,
    Interval,
    Notice,
    Rate,
    ReportInput,
    Role,
    RuntimeRow,
    Side,
    Stage,
    Trial,
)
from slipstream.report._from_verdict import ablation_row_of, comparison_of
from slipstream.report._page import render, write

__all__ = [
    "AblationRow",
    "Change",
    "Comparison",
    "Interval",
    "Notice",
    "Rate",
    "ReportInput",
    "Role",
    "RuntimeRow",
    "Side",
    "Stage",
    "Trial",
    "ablation_row_of",
    "comparison_of",
    "render",
    "write",
]
