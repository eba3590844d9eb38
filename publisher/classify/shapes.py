"""The fourth signal: the shape of values, which may fit a kind, contradict it, or say nothing."""

from __future__ import annotations

import re
from statistics import median, quantiles
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.classify.column import SampledColumn
    from publisher.classify.kinds import Kind

FITS, CONTRADICTS = 1, -3
ALONE = 3
"""A shape that only one kind has is enough by itself."""

_DATE = re.compile(r"(?:(\d{4})[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}))(?:[T ].*)?")
_HASH = re.compile(r"[0-9a-f]{16,64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TEXT = re.compile(r"[^\W\d_]{2,}")
_CODE = re.compile(r"[\w./#-]*\d[\w./#-]*(?: \w+)?")
_COMMON = frozenset(
    "the is are was were on at of to in for from with and but not has had been this that he she they we i my please "
    "el la los las de que en no se por con una un y al del esta hay su".split()
)
_LONG = 6
"""So many words are a sentence."""


def shaped(column: SampledColumn) -> dict[Kind, int]:
    """What the shape of the values says of each kind that it speaks about."""
    return {kind: points for kind, look in _LOOKS.items() if column.values and (points := look(column))}


def words_of(value: str) -> int:
    """The number of words of a value."""
    return len(_TEXT.findall(value))


def _text(column: SampledColumn) -> int:
    """Sentences: many words, seldom twice the same, with the small words of English or Spanish among them."""
    long = [value for value in column.distinct if words_of(value) >= _LONG]
    everything = [value for value in column.values if words_of(value) >= _LONG]
    if len(everything) < 0.02 * len(column.values) or not long:
        return CONTRADICTS if column.categories or column.numbers else 0
    small = sum(not _COMMON.isdisjoint(value.lower().split()) for value in long) / len(long)
    often = len(set(everything)) / len(everything)
    return ALONE if small >= 0.3 and often >= 0.25 and not column.categories else 0


def _birth_date(column: SampledColumn) -> int:
    """Days that lie as far apart as people's ages do."""
    years = [int(match[1] or match[2]) for value in column.values if (match := _DATE.fullmatch(value))]
    if len(years) < 0.9 * len(column.values):
        numbers = column.numbers
        plain = numbers and all(number.is_integer() and 1900 <= number <= 2100 for number in numbers)
        return 0 if plain else CONTRADICTS
    if len(years) < 20:
        return 0
    low, _, high = quantiles(years, n=4)
    return ALONE if high - low >= 20 and 1930 <= median(years) <= 2005 else 0


def _coordinates(column: SampledColumn) -> int:
    """Numbers with decimals that are close together and far from zero, as the places of one city are."""
    if not column.numbers or len(column.numbers) < 4:
        return 0 if column.share(r".*\d\.\d{3,}.*") > 0.3 or len(column.values) < 4 else CONTRADICTS
    low, middle, high = quantiles(column.numbers, n=4)
    close = abs(middle) > 0 and (high - low) / abs(middle) < 0.3
    degrees, projected = 15 < abs(middle) <= 180, abs(middle) >= 10_000
    fine = column.share(r"-?\d+\.\d{4,}") > 0.7
    if not close or not (degrees or projected):
        return CONTRADICTS
    return ALONE if degrees and fine and (high - low) / abs(middle) < 0.02 and column.unique > 0.02 else FITS


def _account(column: SampledColumn) -> int:
    """Codes with digits; hashes that come again are the pseudonyms of someone."""
    if column.share(_HASH) > 0.9:
        return ALONE if 0.001 < column.unique < 0.7 else FITS
    if column.share(r"[+-]?[\d,]*\.\d+") > 0.3 and column.share(r"\d+\.0") < 0.9:
        return CONTRADICTS
    return FITS if column.share(_CODE) > 0.8 else CONTRADICTS


def _codes(column: SampledColumn) -> int:
    """Codes with digits, not decimals."""
    if column.share(r"[+-]?[\d,]*\.\d+") > 0.3 and column.share(r"\d+\.0") < 0.9:
        return CONTRADICTS
    return FITS if column.share(_CODE) > 0.7 else CONTRADICTS


def _long_digits(column: SampledColumn) -> int:
    """At least so many digits as a number of a bank or a card has."""
    return FITS if column.share(r"(?=(?:\D*\d){4}).*") > 0.7 else CONTRADICTS


def _phone(column: SampledColumn) -> int:
    if column.ordered:
        return CONTRADICTS
    return FITS if column.share(r"\+?(?:\D{0,2}\d){7,15}.{0,10}") > 0.5 else CONTRADICTS


def _email(column: SampledColumn) -> int:
    return FITS if column.share(r".*@.*") > 0.5 else CONTRADICTS if column.share(r".*@.*") < 0.02 else 0


def _name(column: SampledColumn) -> int:
    """Words without digits, at most a few."""
    if column.share(r"[^\d@]*[^\W\d_]{2}[^@]*") < 0.6:
        return CONTRADICTS
    few = sum(1 <= words_of(value) <= 6 for value in column.distinct) / len(column.distinct)
    return FITS if few > 0.8 else 0


def _address(column: SampledColumn) -> int:
    """Words, or numbers of houses or of entries in a list of addresses."""
    whole = column.share(r"\d{1,9}[A-Za-z]?(?:\.0)?") > 0.9
    return 0 if whole else FITS if column.share(r".*[^\W\d_]{2}.*") > 0.6 else CONTRADICTS


def _link(column: SampledColumn) -> int:
    return FITS if column.share(r"\S*[/.]\S+") > 0.5 else CONTRADICTS


_LOOKS: dict[Kind, Callable[[SampledColumn], int]] = {
    "name": _name,
    "email": _email,
    "phone": _phone,
    "government-id": _codes,
    "card": _long_digits,
    "bank": _long_digits,
    "account": _account,
    "address": _address,
    "parcel": _codes,
    "birth-date": _birth_date,
    "plate": _codes,
    "coordinates": _coordinates,
    "link": _link,
    "text": _text,
}
