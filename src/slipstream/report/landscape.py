"""A landscape as one HTML file: the surface, and its contours."""

from __future__ import annotations

import math
from pathlib import Path

from slipstream.files import write_text
from slipstream.loss_surface import Landscape
from slipstream.report import _charts as charts
from slipstream.report._policy import with_policy

# The loss far away would flatten what is near: it is cut off at so many times the range near by.
CUT = 20.0
LONGEST_SENTENCE = 250


def write_picture(landscape: Landscape, path: Path) -> Path:
    """Write the surface and its contours as one HTML file that opens offline; returns its path."""
    # Here: the import takes a second.
    from plotly.graph_objects import Contour, Scatter, Surface
    from plotly.subplots import make_subplots

    heights = _shown(landscape)
    figure = make_subplots(
        cols=2, specs=[[{"type": "scene"}, {"type": "xy"}]], column_widths=[0.55, 0.45]
    )
    steps = list(landscape.steps)
    figure.add_trace(
        Surface(x=steps, y=steps, z=heights, colorscale="Viridis", showscale=False), 1, 1
    )
    figure.add_trace(
        Contour(x=steps, y=steps, z=heights, colorscale="Viridis", colorbar={"title": "loss"}),
        1,
        2,
    )
    figure.add_trace(
        Scatter(x=[0.0], y=[0.0], mode="markers", marker={"color": "white"}, showlegend=False),
        1,
        2,
    )
    names = (landscape.task, landscape.backend)
    said = charts.plot_text(landscape.sentence(), LONGEST_SENTENCE)
    title = "{} on {}: {}".format(*map(charts.plot_text, names), said)
    axes = {"xaxis_title": "first direction", "yaxis_title": "second direction"}
    figure.update_layout(
        title={"text": title},
        scene={**axes, "zaxis_title": "loss"},
        **axes,
        template="plotly_white",
    )
    # Without links to Plotly's own pages, whose address is no part of the file.
    settings = {"displaylogo": False}
    html = figure.to_html(config=settings, include_plotlyjs=True, full_html=True)
    return write_text(path, with_policy(html))


def _shown(landscape: Landscape) -> list[list[float | None]]:
    """Return the heights; what is not finite is a hole, what is far above is cut off."""
    finite = [value for row in landscape.losses for value in row if math.isfinite(value)]
    middle = sorted(finite)[len(finite) // 2] if finite else 0.0
    limit = middle + CUT * max(middle - min(finite, default=0.0), 1e-12)
    return [
        [min(value, limit) if math.isfinite(value) else None for value in row]
        for row in landscape.losses
    ]
