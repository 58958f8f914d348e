"""The command line: parse, call, print; nothing else."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends with SystemExit.

    Args:
        arguments: Without the program's name; those of this process if None.
    """
    from slipstream.cli.early import interrupts_end_it

    # What the command line is made of takes a while to import.
    with interrupts_end_it():
        from slipstream.cli.app import main as run

        run(arguments)
