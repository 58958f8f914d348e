"""Observers of a run: they get snapshots, and may ask it to stop; they never change it."""

from slipstream.observers.tensorboard import TensorBoardWriter

__all__ = ["TensorBoardWriter"]
