"""What the sections of a plan share, and the numbers that their keys take."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
BelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]

# From here on whole numbers are no floating-point numbers, and nothing is counted so far.
MOST = 2**53


def is_text(value: object) -> bool:
    r"""Whether a value is text that a file can hold: half a surrogate pair is none.

    Example:
        >>> is_text("größe"), is_text("\udcff"), is_text(3)
        (True, False, False)
    """
    try:
        return isinstance(value, str) and bool(value.encode("utf-8") or True)
    except UnicodeEncodeError:
        return False


class Section(BaseModel):
    """What all sections share: frozen, hashable, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        # Python takes True for 1, so `size = true` would pass as a batch of one.
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and field.annotation is not bool:
            words = [repr(one) for one in get_args(field.annotation) if isinstance(one, str)]
            allowed = " or ".join(words) or "a number or a word"
            raise PydanticCustomError("truth_for_a_number", f"Input should be {allowed}")
        if isinstance(value, str) and not is_text(value):
            raise PydanticCustomError("no_text", "Input should be text that a file can hold")
        if isinstance(value, int) and abs(value) > MOST:
            raise PydanticCustomError("too_large", "Input should be a number up to 2**53")
        return value
