"""Landscape: the loss around a model's weights, as a value on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from slipstream.errors import RecordError
from slipstream.files import read_text
from slipstream.record import JsonModel, write_json

LANDSCAPE_FILE = "landscape.json"


class LandscapeSettings(JsonModel):
    """What of a landscape is computed.

    Args:
        points: Points along each of the two directions.
        span: How far it goes each way; 1 is a step as long as each filter itself.
        examples: Training examples on which the loss is computed, at most.
        seed: What directions and examples follow from.
    """

    points: int = 15
    span: float = 1.0
    examples: int = 512
    seed: int = 0


class Landscape(JsonModel):
    """The loss at w + a * d1 + b * d2, and how sharp it is at w.

    Args:
        steps: The values of a and of b, ascending; 0 is the weights themselves.
        losses: The loss at (a, b): one row for each b. Infinite or NaN where it is.
        loss: The loss at the weights.
        sharpness: The largest eigenvalue of the loss's Hessian; None where Lanczos' iteration did
            not converge.
        method: How products with the Hessian were computed.
        examples: How many training examples the loss is the mean of.
        seed: What directions and examples follow from.
    """

    task: str = ""
    backend: str = ""
    steps: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]
    loss: float
    sharpness: float | None
    method: str
    examples: int
    seed: int

    def sentence(self) -> str:
        """Return what it shows in a sentence."""
        sharp = "not found" if self.sharpness is None else f"{self.sharpness:.4g} ({self.method})"
        return (
            f"loss {self.loss:.4g} on {self.examples:,} training examples; largest eigenvalue of "
            f"its Hessian {sharp}"
        )


def write_landscape(landscape: Landscape, folder: Path) -> Path:
    """Write landscape.json; returns its path."""
    values: dict[str, Any] = landscape.model_dump(mode="json")
    return write_json(folder / LANDSCAPE_FILE, values)


def read_landscape(folder: Path) -> Landscape:
    """Read landscape.json from a folder; raises RecordError when there is none."""
    path = folder / LANDSCAPE_FILE
    try:
        return Landscape.model_validate_json(read_text(path))
    except (OSError, ValueError, ValidationError) as error:
        raise RecordError(
            f"a landscape at {path}",
            f"{type(error).__name__}: {str(error).splitlines()[0]}",
            "Make one with: slipstream landscape FOLDER.",
            code="SLP-629",
        ) from None
