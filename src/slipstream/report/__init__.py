"""Verdicts and records as one HTML file that opens offline."""

from slipstream.report._content import (
    AblationRow,
    Change,
    Comparison,
    Interval,
    Notice,
    ReportInput,
    RuntimeRow,
    Side,
    Stage,
    Trial,
)
from slipstream.report._page import render, write

__all__ = [
    "AblationRow",
    "Change",
    "Comparison",
    "Interval",
    "Notice",
    "ReportInput",
    "RuntimeRow",
    "Side",
    "Stage",
    "Trial",
    "render",
    "write",
]
