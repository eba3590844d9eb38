"""The base of every definition: frozen, strict, and unknown keys are errors."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


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

NAME = "[a-z][a-z0-9-]{0,59}"

Slug = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
"""The name of a source, dataset or keyset: its file name without the extension."""

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
"""Text that is not empty."""

LANGUAGES = ("en", "es")
"""The languages of the portal's pages; the first is that of definitions."""


class Translated(str):
    """A text in English that knows itself in other languages."""

    __slots__ = ("others",)
    others: Mapping[str, str]


def _wording(value: Any, plain: ValidatorFunctionWrapHandler) -> str:
    if not isinstance(value, dict):
        text: str = plain(value)
        return text
    for code, said in value.items():
        if code not in LANGUAGES:
            raise RuleError((code,), f"is no language of the pages: they are in {' and '.join(LANGUAGES)}")
        if not isinstance(said, str) or not said.strip():
            raise RuleError((code,), "must be text that is not empty")
    english, *codes = LANGUAGES
    if english not in value:
        raise RuleError((), f"needs {english}, which every page without a translation shows")
    found = Translated(plain(value[english]))
    found.others = {code: plain(value[code]) for code in codes if code in value}
    return found


def in_other_languages(text: str) -> Mapping[str, str]:
    """By language, what a text of a definition is in it; empty if it is in English only."""
    return text.others if isinstance(text, Translated) else {}


Wording = Annotated[
    Text,
    WrapValidator(_wording),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "object",
                    "properties": {code: {"type": "string", "minLength": 1} for code in LANGUAGES},
                    "required": [LANGUAGES[0]],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
"""Text for readers: in English, or a table of languages."""

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
