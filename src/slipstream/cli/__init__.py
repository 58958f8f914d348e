"""The command line: parse, call, print; nothing else."""

from slipstream.cli.app import main

__all__ = ["main"]
