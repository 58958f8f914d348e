"""Rendering: values and templates in, one HTML text out."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from slipstream.files import write_text
from slipstream.report import _charts as charts
from slipstream.report import _facts as facts
from slipstream.report import _numbers as numbers
from slipstream.report import _pictures as pictures
from slipstream.report import _ran as ran
from slipstream.report import _still as still
from slipstream.report._content import AblationRow, Comparison, ReportInput
from slipstream.report._plan_text import plan_lines
from slipstream.report._policy import hashes_of

FOLDER = Path(__file__).parent
GOOD_WORDS = ("faster", "better")
BAD_WORDS = ("slower", "worse", "failed")


def render(content: ReportInput) -> str:
    """Return the report as the text of one HTML file that asks the network for nothing.

    Everything that a user can name is escaped; the page's policy runs its own scripts alone.

    Args:
        content: What to show; what is empty is left out.

    Returns:
        HTML, with the scripts and the style inside.

    Example:
        >>> page = render(ReportInput(task="<i>digits</i>"))
        >>> "&lt;i&gt;digits&lt;/i&gt;" in page, "<i>" in page.split("<script")[0]
        (True, False)
    """
    question = facts.question_of(content)
    drawn = charts.charts_of(content, question)
    metric_names = charts.metric_names(content.sides, question.monitor)
    stills: list[still.Panel] = []
    if content.still:
        stills, drawn = still.panels(drawn["curves"], metric_names), dict.fromkeys(drawn)
    has_charts = any(drawn.values())
    plotly = _plotly() if has_charts else ""
    script = _text("report.js")
    values = {
        "content": content,
        "question": question,
        "title": content.title or f"Slipstream: {question.task or 'report'}",
        "headline": next(iter(content.verdict), "") or facts.headline_of(content, question),
        "standing": _standing(content.outcome),
        "tiles": facts.tiles_of(content, question),
        "charts": drawn,
        "stills": stills,
        "metric_names": metric_names,
        "chart_json": _json(drawn),
        "plotly": Markup(plotly),
        "script": Markup(script),
        "style": Markup(_text("report.css")),
        "script_hashes": hashes_of(text for text in (plotly, script) if text),
        "sections": _sections(content, drawn["curves"] or stills),
        "num_warnings": sum(notice.warning for notice in content.notices),
        **_evidence(content, question),
        **_tuning(content),
        "plan_lines": plan_lines(content.plan, {change.key for change in content.changes}),
    }
    return _environment().get_template("report.html").render(values)


def write(content: ReportInput, path: Path) -> Path:
    """Write the report beside its place, sync it and rename it; returns its path."""
    return write_text(path, render(content))


def _sections(content: ReportInput, curves: Any) -> list[tuple[str, str]]:
    """Return the anchors of the sections worth a link, with short names."""
    present = {
        "curves": ("Curves", curves),
        "comparison": ("Comparison" if len(content.sides) > 1 else "Results", content.sides),
        "ablation": ("Ablation", content.ablation),
        "runtime": ("Runtimes", content.runtime),
        "cost": ("Cost", content.stages or content.tuning_seconds is not None),
        "plan": ("Plan", content.plan or content.changes),
        "reproduce": ("Reproduce", content.reproduce),
    }
    return [(anchor, name) for anchor, (name, shown) in present.items() if shown]


def _evidence(content: ReportInput, question: facts.Question) -> dict[str, Any]:
    """Return what the comparison and the ablation show."""
    slots = charts.enumerate_slots(content.sides)
    times = [(slot, side.label, facts.times_to(side, question.target)) for slot, side in slots]
    num_runs = sum(len(side.records) for side in content.sides)
    lanes = pictures.lanes([lane for lane in times if lane[2]])
    told = [content.winner_in_baseline_time] if content.winner_in_baseline_time else None
    return {
        "slots": slots,
        "lanes": lanes if num_runs > 1 and any(lane.dots for lane in lanes) else [],
        "rows": facts.rows_of(content.sides, question) if content.sides else [],
        "ran": ran.lines_of(slots),
        "in_time": told or facts.in_baselines_time(content.sides, question),
        "comparison_scales": _scales(content.comparisons),
        "ablation_scales": _scales(content.ablation),
        "failures": [
            (side.label, record)
            for side in content.sides
            for record in side.records
            if record.failure is not None
        ],
    }


def _tuning(content: ReportInput) -> dict[str, Any]:
    """Return what the tuning cost, and the bars of the runtime table."""
    spent, paid = content.tuning_seconds, content.payback_trainings
    if spent is None and content.stages:
        spent = sum(stage.seconds for stage in content.stages)
    return {
        "tuning_seconds": spent,
        "paid_trainings": math.ceil(paid) if paid is not None and math.isfinite(paid) else None,
        "infinity": math.inf,
        "stage_bars": pictures.share_bars([stage.seconds for stage in content.stages]),
        "runtime_bars": pictures.share_bars([row.examples_per_second for row in content.runtime]),
    }


def _scales(rows: tuple[Comparison, ...] | tuple[AblationRow, ...]) -> dict[str, pictures.Scale]:
    return {
        "speedup": pictures.ratio_scale(row.speedup for row in rows),
        "quality": pictures.difference_scale(row.quality for row in rows),
    }


def _standing(outcome: str) -> str:
    words = outcome.lower()
    if any(word in words for word in GOOD_WORDS):
        return "better"
    return "worse" if any(word in words for word in BAD_WORDS) else "open"


def _json(value: Any) -> Markup:
    """Return JSON that can neither end its script element nor open a comment."""
    return htmlsafe_json_dumps(value, dumps=json.dumps, allow_nan=False, separators=(",", ":"))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("seconds", "factor", "metric", "plain", "difference", "count")
    bounds = ("factor_bounds", "difference_bounds")
    environment.filters |= {name: getattr(numbers, name) for name in (*names, *bounds)}
    return environment


@cache
def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    # A browser reads every line ending as \n before it compares the hash.
    return str(get_plotlyjs()).replace("\r\n", "\n").replace("\r", "\n")
