"""Full-text search: the condition that words occur in a row's text, by English stems, ignoring case and accents."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from publisher.portal.base.kinds import Kind, part_of_location
from publisher.portal.base.sql import quoted
from publisher.portal.soql.terms import Term, exact_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.portal.soql.relations import FromItem
    from publisher.portal.soql.terms import Values

_PIECE = re.compile(r'"([^"]*)"|(\S+)')
_WORD = re.compile(r"\d+\.\d+|\w+")
"""A decimal number is one word."""
_ENGLISH = re.compile(r"[a-z]+")
_MOST_PIECES = 20


def found_words(source: FromItem, values: Values, words: str) -> Term:
    """The condition that each word or quoted phrase occurs in a text, an address, a link or its description; a number
    may also be the value of a number column."""
    pieces = [match[1] or match[2] or "" for match in _PIECE.finditer(words)][:_MOST_PIECES]
    wanted = [piece for piece in pieces if stems(_plain(piece)).strip()]
    places = [each for piece in wanted if (each := " OR ".join(_places(source, values, piece)))]
    if not wanted or len(places) < len(wanted):
        return Term("false", Kind.CHECKBOX, varies=True)
    return Term(f"({' AND '.join(f'({each})' for each in places)})", Kind.CHECKBOX, varies=True)


def _places(source: FromItem, values: Values, piece: str) -> list[str]:
    """The conditions by which a row has a word or phrase, one for each column that may have it."""
    phrase, number, found = stems(_plain(piece)), exact_number(piece), []
    for name, field in source.relation.fields.items():
        column = f"{source.alias}.{quoted(name)}"
        if field.kind is Kind.TEXT:
            found.append(_occurs(column, phrase, values))
        elif field.kind is Kind.URL:
            found.append(_occurs(f"json_extract_string({column}, '$.url')", phrase, values))
            found.append(_occurs(f"json_extract_string({column}, '$.description')", phrase, values))
        elif field.kind is Kind.LOCATION:
            found.append(_occurs(part_of_location(column, "human_address"), phrase, values))
        elif field.kind is Kind.NUMBER and number is not None:
            found.append(f"coalesce({column} = {values.bind(number)}, false)")
    return found


def _occurs(column: str, phrase: str, values: Values) -> str:
    """The condition for one phrase; CASE makes DuckDB first search for the letters that a word and its stem share."""
    plain = f"lower(strip_accents({column}))"
    start = values.bind(_shared(phrase.split(maxsplit=1)[0]))
    return f"(contains({plain}, {start}) AND contains(soda_stems({plain}), {values.bind(phrase)}))"


def _shared(stem: str) -> str:
    """The first letters of all words with a stem: endings change, and so can the last two letters (die, dying)."""
    if not _ENGLISH.fullmatch(stem):
        return stem
    return stem[:1] if stem in {"die", "lie", "tie"} else stem[: max(2, len(stem) - 2)]


def _plain(text: str) -> str:
    spread = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(c for c in spread if not unicodedata.combining(c))).lower()


@lru_cache(maxsize=1)
def _stemmer() -> Callable[[str], str]:
    import snowballstemmer  # type: ignore[import-untyped]

    stem: Callable[[str], str] = snowballstemmer.stemmer("english").stemWord
    return lru_cache(maxsize=50_000)(stem)


def stems(plain: str) -> str:
    """The stems of the words in a text, with a space on each side."""
    stem = _stemmer()
    words = _WORD.findall(plain)
    return f" {' '.join(stem(word) if _ENGLISH.fullmatch(word) else word for word in words)} "
