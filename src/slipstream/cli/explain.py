"""The command `explain`: parse, call, print."""

from __future__ import annotations

from typing import Annotated

import typer

from slipstream.cli.options import JsonOption
from slipstream.cli.running import Manner, running

EXAMPLE = "Example: slipstream explain SLP-101"


def explain(
    identifier: Annotated[
        str | None,
        typer.Argument(metavar="SLP-NNN", help="What a message names. Default: list all."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Explain a message by its identifier: what it says, its cause and its cure."""
    manner = Manner(json)
    with running(manner):
        from slipstream.cli import summaries
        from slipstream.messages import explain as messages

        if identifier is None:
            summaries.table(messages.table(), manner)
        else:
            typer.echo(messages.explain(identifier), nl=False)
