"""Running an unmodified Keras script with every `Model.fit` through the engine."""

from slipstream.script.run import Ready, Settings, prepare, run

__all__ = ["Ready", "Settings", "prepare", "run"]
