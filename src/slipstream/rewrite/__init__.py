"""Changing a model that exists: layers and penalties that a plan asks for."""
