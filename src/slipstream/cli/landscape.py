"""The command `landscape`: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slipstream.cli.options import DataOption, JsonOption, QuietOption
from slipstream.cli.running import Manner, running, use_data_folder

EXAMPLE = "Example: slipstream landscape runs/digits --points 21"


def landscape(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of one run.")],
    *,
    points: Annotated[int, typer.Option(min=3, max=201, help="Points each way.")] = 15,
    span: Annotated[
        float, typer.Option(min=1e-6, max=1e6, help="How far; 1 is as long as each filter.")
    ] = 1.0,
    examples: Annotated[int, typer.Option(min=1, help="Training examples, at most.")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="For directions and examples.")] = 0,
    data_dir: DataOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Picture the loss around a run's weights, and tell how sharp it is."""
    manner = Manner(json, quiet)
    use_data_folder(data_dir)
    with running(manner, folder=folder) as listener:
        from slipstream.cli import summaries
        from slipstream.commands.landscape import look_around
        from slipstream.loss_surface import LandscapeSettings

        settings = LandscapeSettings(points=points, span=span, examples=examples, seed=seed)
        found = look_around(folder, settings, listener)
        summaries.of_landscape(found, folder, manner)
