"""The base of every definition: frozen, strict, and unknown keys are errors."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema


class Model(BaseModel):
    """A frozen model that accepts exactly the declared keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class RuleError(ValueError):
    """A broken rule that changing one key of a model can fix; `key` is relative to the model."""

    def __init__(self, key: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.key = key


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
"""A column that publisher writes or reads in SQL: lower case, digits, underscores."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,59}$")]
"""The name of a source, dataset or keyset: its file name without the extension."""

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
"""Text that is not empty."""

MOST_PLACES = 40
"""Digits before the point of a number, or zeros after it: far more than anything counted or measured has."""


def ordinary(number: Decimal) -> bool:
    """Whether a number is of a size that can be meant: exact arithmetic with 1e-400 or 1e999999 has no end."""
    if not number.is_finite():
        return False
    return abs(number.adjusted()) <= MOST_PLACES and int(number.as_tuple().exponent) >= -100


def _exact(value: object) -> object:
    number = Decimal(value) if type(value) is int else value
    if isinstance(number, Decimal) and number.is_finite() and not ordinary(number):
        raise ValueError(f"is too large or too small: write a number between 1e-{MOST_PLACES} and 1e40")
    return number


Exact = Annotated[
    Decimal,
    BeforeValidator(_exact),
    Field(allow_inf_nan=False),
    WithJsonSchema({"type": "number"}),
]
"""A number exactly as it was written: losses, bounds and shares are never floats."""
