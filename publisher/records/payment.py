"""Card and bank numbers in the columns that are read: they must not land, whatever a definition says of them.

A number counts if its check digits are right and so are those of at least half of the numbers in its column that look
like it: of any other numbers one in ten has them right by chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.duck import literal, quoted
from publisher.identifiers import CARD, IBAN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from duckdb import DuckDBPyConnection

_SPACED = r"(?:^|[^\d.-])([2-6]\d{3}[ -]\d{4}[ -]\d{4}[ -]\d{4}|3\d{3}[ -]\d{6}[ -]\d{5})(?:[^\d-]|$)"
_PLAIN = rf"(?:^|[^\w.-])({CARD})(?:[^\w-]|$)"
_IBAN = rf"^({IBAN})$"
_ROUTING = r"^((?:0\d|1[0-2]|2[1-9]|3[0-2]|6[1-9]|7[0-2]|80)\d{7})$"
_SHORTEST = 9
_LIKELY = r"\d{9}|\d{4}[ -]\d{4}[ -]\d{4}[ -]|3\d{3}[ -]\d{6}[ -]|^[A-Z] *[A-Z] *\d *\d(?: *[A-Z\d]){11}"
"""What every number of these kinds has; few other texts do, so few are looked at more closely."""


def likely(texts: Sequence[str]) -> str:
    """SQL for whether one of these expressions may have such a number; they seldom have."""
    return " OR ".join(_may_have(text) for text in texts)


def payment_looks(
    columns: Sequence[str], relation: str, connection: DuckDBPyConnection
) -> dict[int, dict[str, list[int]]]:
    """By file (`_file`) and column, for each kind of number: how many values look like it, and how many prove it. Each
    row counts by itself, so what parts of a file have is added up."""
    looks = ", ".join(look for column in columns for look in _looks(quoted(column)))
    query = f"SELECT _file, {looks} FROM {relation} WHERE {likely([*map(quoted, columns)])} GROUP BY _file"
    counts = {}
    for number, *found in connection.execute(query).fetchall():
        each = len(found) // len(columns)
        counted = {column: found[n * each : (n + 1) * each] for n, column in enumerate(columns)}
        counts[int(number)] = {column: values for column, values in counted.items() if any(values)}
    return counts


def payment_numbers(looks: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """How many rows have a card or bank number, by column; only columns that have some."""
    proven = {column: _proven(counted) for column, counted in looks.items()}
    return {column: count for column, count in proven.items() if count}


def _may_have(text: str) -> str:
    # Both sides of an AND are evaluated for every row; what CASE does not choose is not.
    return f"CASE WHEN strlen({text}) >= {_SHORTEST} THEN regexp_matches({text}, {literal(_LIKELY)}) ELSE false END"


def _proven(found: Sequence[int]) -> int:
    """The rows of all kinds of numbers whose check digits are right too often for chance."""
    return sum(proven for shaped, proven in zip(found[::2], found[1::2], strict=True) if proven * 2 >= shaped)


def _looks(column: str) -> list[str]:
    """SQL that counts, for each kind of number, the values with its shape and those that prove it."""
    spaceless = f"replace({column}, ' ', '')"
    card = f"regexp_replace(coalesce({_first(column, _PLAIN)}, {_first(column, _SPACED)}), '[ -]', '', 'g')"
    kinds = ((card, _luhn), (_first(spaceless, _IBAN), _mod97), (_first(column, _ROUTING), _routing))
    return [
        count for number, proof in kinds for count in (f"count({number})", f"count(*) FILTER (WHERE {proof(number)})")
    ]


def _first(text: str, pattern: str) -> str:
    return f"nullif(regexp_extract({text}, {literal(pattern)}, 1), '')"


def _digits(number: str) -> str:
    """The digits, from the last."""
    return f"list_transform(string_split(reverse({number}), ''), lambda digit: CAST(digit AS INTEGER))"


def _luhn(number: str) -> str:
    doubled = "CASE WHEN place % 2 = 1 THEN digit WHEN digit > 4 THEN digit * 2 - 9 ELSE digit * 2 END"
    return f"list_sum(list_transform({_digits(number)}, lambda digit, place: {doubled})) % 10 = 0"


def _routing(number: str) -> str:
    """Weights 3, 7, 1 from the first of nine digits, so 1, 7, 3 from the last."""
    weighted = "digit * CASE place % 3 WHEN 1 THEN 1 WHEN 2 THEN 7 ELSE 3 END"
    return f"list_sum(list_transform({_digits(number)}, lambda digit, place: {weighted})) % 10 = 0"


def _mod97(number: str) -> str:
    """The first four characters go to the end, and letters are numbers from 10 on."""
    moved = f"string_split({number}[5:] || {number}[:4], '')"
    value = "CASE WHEN sign BETWEEN '0' AND '9' THEN ascii(sign) - 48 ELSE ascii(sign) - 55 END"
    values = f"list_transform({moved}, lambda sign: {value})"
    step = "(rest * CASE WHEN value > 9 THEN 100 ELSE 10 END + value) % 97"
    return f"list_reduce({values}, lambda rest, value: {step}) = 1"
