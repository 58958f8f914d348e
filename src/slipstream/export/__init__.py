"""Leaving Slipstream: a plan and a task as a plain Keras script."""

from slipstream.export.eject import eject

__all__ = ["eject"]
