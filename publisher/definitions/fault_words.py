"""What is wrong with a value, in the words of people who write TOML and not in those of a type checker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_TEXT, _LIST = "must be a text, in quotes", "must be a list, in square brackets"
_WHOLE, _NUMBER, _DAY = "must be a whole number", "must be a number", "must be a date, such as 2026-01-31"
_TABLE = "must be a table of keys and values"

_BY_KIND = (
    ("string_type string_sub_type string_unicode", _TEXT),
    ("int_type int_parsing int_parsing_size int_from_float", _WHOLE),
    # The only class that a key asks for is Decimal.
    ("float_type float_parsing decimal_type decimal_parsing is_instance_of", _NUMBER),
    ("finite_number", "must be a number that is not infinite"),
    ("bool_type bool_parsing", "must be true or false"),
    ("list_type tuple_type set_type frozen_set_type iterable_type", _LIST),
    ("dict_type model_type model_attributes_type dataclass_type mapping_type", _TABLE),
    ("date_type date_parsing date_from_datetime_parsing date_from_datetime_inexact", _DAY),
)
_PLAIN = {kind: words for kinds, words in _BY_KIND for kind in kinds.split()}
_LIMITS = {
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "union_tag_invalid": "must be {expected_tags}",
    "greater_than": "must be more than {gt:,}",
    "greater_than_equal": "must be {ge:,} or more",
    "less_than": "must be less than {lt:,}",
    "less_than_equal": "must be {le:,} or less",
    "string_pattern_mismatch": "is not of the form {pattern}",
}
_LETTERS = "must be lowercase letters, digits and {}, a letter first, {} characters at most"
FORMS = {
    r"^[a-z][a-z0-9_]{0,39}$": _LETTERS.format("underscores", 40),
    r"^[a-z][a-z0-9-]{0,59}$": _LETTERS.format("hyphens", 60),
    r"^[A-Za-z_][A-Za-z0-9_]*$": "must be the name of a variable of the environment, such as FEED_TOKEN",
    r"^/": "must be the whole path of a file, such as /run/secrets/token",
    r"^[\x20-\x7e]+$": "must be one line of plain ASCII characters",
    r"^[a-z0-9]{4}-[a-z0-9]{4}$": "must be the id of a dataset on the portal, such as abcd-1234",
    r"^[a-z0-9_-]+$": "must be the place's name in its address: lowercase letters, digits, - and _",
    r"^sc://[^/?#@\s]+(/.*)?$": "must be the address of a Spark Connect server, such as sc://spark.example.org:15002",
    r"^\d+(MB|GB)$": "must be a size, such as 500MB or 2GB",
    r"^https?://[^/]+$": "must be an address without a path, such as https://data.example.org",
}
"""The forms that texts have to have, as the models say them, in words."""


def words_of(fault: ErrorDetails) -> str:
    """What is wrong, without the value: that may be a secret."""
    kind, limits = fault["type"], fault.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind in ("too_short", "string_too_short"):
        return _so_many("entry" if kind == "too_short" else "character", limits["min_length"], "or more")
    if kind in ("too_long", "string_too_long"):
        return _so_many("entry" if kind == "too_long" else "character", limits["max_length"], "or fewer")
    if kind in _LIMITS:
        return FORMS.get(limits.get("pattern", "")) or _LIMITS[kind].format(**limits)
    return _PLAIN.get(kind) or fault["msg"].removeprefix("Value error, ")


def _so_many(what: str, number: int, which: str) -> str:
    if number == 1:
        return "must not be empty" if which == "or more" else f"must be one {what}"
    return f"must have {number} {'entries' if what == 'entry' else 'characters'} {which}"
