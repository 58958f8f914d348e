"""What Keras' fit takes, as one value."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The arguments of `keras.Model.fit`, with its defaults and its meaning of each."""

    x: Any = None
    y: Any = None
    batch_size: int | None = None
    epochs: int = 1
    verbose: Any = "auto"
    callbacks: Any = None
    validation_split: float = 0.0
    validation_data: Any = None
    shuffle: Any = True
    class_weight: Any = None
    sample_weight: Any = None
    initial_epoch: int = 0
    steps_per_epoch: int | None = None
    validation_steps: int | None = None
    validation_batch_size: int | None = None
    validation_freq: Any = 1

    def for_keras(self) -> dict[str, Any]:
        """Return them by name; the values themselves, not copies."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
