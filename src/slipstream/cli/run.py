"""The command that runs a script as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slipstream.cli.running import Manner, running

# What follows the script is the script's: no option behind it is read here.
CONTEXT = {"allow_interspersed_args": False, "ignore_unknown_options": False}
EXAMPLE = "Example: slipstream run --backend auto train.py --epochs 3"


def run(
    script: Annotated[str, typer.Argument(metavar="SCRIPT.py", help="A Keras script.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ITS ARGUMENTS]", help="Handed to the script.")
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="tensorflow, jax, torch, or auto: where the script uses nothing of TensorFlow but "
            "tf.keras and tf.data, its first fit is tried for a few seconds on each, and the "
            "quickest is taken and remembered. A trial runs the script in its own folder up to "
            "that fit, output swallowed; what it does before happens each time, with "
            "SLIPSTREAM_TRIAL set. Default: the script's own.",
        ),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for records and reports. Default: runs/SCRIPT-TIME."),
    ] = None,
) -> None:
    """Run an unmodified Keras script, with every Model.fit through Slipstream's engine.

    Output, files and exit code are the script's own; options come before SCRIPT.py.
    """
    with running(Manner(quiet=True)):
        from slipstream import script as scripts

        ready = scripts.prepare(scripts.Settings(script, tuple(arguments or ()), backend, out))
    raise typer.Exit(scripts.run(ready))
