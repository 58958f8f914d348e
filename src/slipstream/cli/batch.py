"""The command `batch`: parse, call, print."""

from __future__ import annotations

from typing import Annotated

import typer

from slipstream.cli.options import (
    DataOption,
    JsonOption,
    PlanOption,
    QuietOption,
    SetOption,
    TaskArgument,
    parse_changes,
)
from slipstream.cli.running import Manner, running, use_data_folder

EXAMPLE = "Example: slipstream batch digits --set runtime.backend=jax"


def batch(
    task: TaskArgument,
    *,
    plan: PlanOption = None,
    changes: SetOption = None,
    largest: Annotated[
        int | None,
        typer.Option(min=1, max=1 << 31, help="Largest size. Default: the training split."),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory for training. Default: nearly all that is free."),
    ] = None,
    budget: Annotated[
        str, typer.Option(metavar="TIME", help="No size is begun after it: 90s, 5m.")
    ] = "5m",
    data_dir: DataOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure the largest batch that fits into memory, and the fastest one."""
    manner = Manner(json, quiet)
    use_data_folder(data_dir)
    with running(manner) as listener:
        from slipstream.cli import summaries
        from slipstream.commands.batch import find_batch_sizes
        from slipstream.commands.durations import parse_seconds
        from slipstream.plan import read_plan

        found = find_batch_sizes(
            task,
            read_plan(plan) if plan is not None else None,
            changes=parse_changes(changes),
            largest=largest,
            memory=memory,
            seconds=parse_seconds(budget),
            listener=listener,
        )
        given = [*(("--plan", plan) if plan is not None else ())]
        for change in changes or ():
            if change.partition("=")[0].strip() != "batch.size":
                given += ["--set", change]
        summaries.of_batch(found, task, given, manner)
