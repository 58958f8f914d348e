"""Pieces that Keras lacks: schedules, losses, metrics, layers."""
