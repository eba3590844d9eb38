"""Texts that go into SQL: quoted names and literals, and cleaned values of records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.duck import literal
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_BLANKS = r"[\s\p{Z}]+"
_BLANK_CODES = (9, 10, 11, 12, 13, 32, 160)
_BLANK = tuple(f"chr({code})" for code in _BLANK_CODES)
BLANKS = literal("".join(map(chr, _BLANK_CODES)))
"""SQL for the blanks that values lose at their ends."""


def array(texts: Iterable[str]) -> str:
    """A list of quoted texts."""
    return "[" + ", ".join(literal(text) for text in texts) + "]"


def file(path: Path) -> str:
    """A quoted path to read, without wildcards."""
    return literal("".join(f"[{c}]" if c in "[*?" else c for c in str(path)))


def parquet(paths: Iterable[Path]) -> str:
    """SQL for FROM that reads Parquet files of one layout. Raises SourceError naming a file that is not Parquet."""
    paths = list(paths)
    for path in paths:
        _check_parquet(path)
    return f"read_parquet([{', '.join(file(path) for path in paths)}], hive_partitioning = false)"


def _check_parquet(path: Path) -> None:
    """Raise SourceError naming the file; DuckDB does not say which of many files it cannot read."""
    import pyarrow as pa
    import pyarrow.parquet

    try:
        pyarrow.parquet.read_metadata(path)
    except (OSError, pa.ArrowException):
        raise SourceError(f"{path}: is missing or damaged: restore it from a backup") from None


def lines(value: str) -> str:
    """The expression with line feeds alone as line ends."""
    return f"replace(replace({value}, chr(13) || chr(10), chr(10)), chr(13), chr(10))"


def trimmed(value: str) -> str:
    """The expression without blanks around it. Most texts have none, and checking first is five times as fast."""
    ends = " OR ".join(f"suffix({value}, {blank})" for blank in _BLANK)
    around = f"{value} < '!' OR prefix({value}, chr(160)) OR {ends}"
    return f"CASE WHEN {around} THEN trim({value}, {' || '.join(_BLANK)}) ELSE {value} END"


def present(value: str, nulls: tuple[str, ...]) -> str:
    """The expression, trimmed; NULL if nothing is left or it is one of the texts that mean missing."""
    missing = ", ".join(literal(text) for text in sorted({"", *(text.strip() for text in nulls)}))
    return f"CASE WHEN {trimmed(value)} IN ({missing}) THEN NULL ELSE {trimmed(value)} END"


def whole(value: str) -> str:
    """A place's key; whole numbers lose their decimals: 21.0 becomes 21."""
    return rf"regexp_replace({value}, '^(-?[0-9]+)\.0+$', '\1')"


def normal(value: str) -> str:
    """Identifiers for comparison: without differences in case, repeated blanks and composed letters."""
    return f"nfc_normalize(upper(trim(regexp_replace({value}, '{_BLANKS}', ' ', 'g'))))"


def address(value: str) -> str:
    """Addresses for comparison: without differences in case, punctuation and repeated blanks."""
    return rf"nfc_normalize(upper(trim(regexp_replace({value}, '[\s\p{{Z}}\p{{P}}\p{{S}}]+', ' ', 'g'))))"


def separated(values: Iterable[str]) -> str:
    """Several expressions as one text that still tells them apart; NULL differs from every text."""
    parts = (f"coalesce(strlen({value}) || ':' || {value}, '-')" for value in values)
    return " || ".join(parts)


def keyed(value: str, key: str) -> str:
    """HMAC-SHA256 of a text as 32 hex digits (128 bits); the pads are the variables `<key>_inner`, `<key>_outer`."""
    inner = f"sha256(getvariable('{key}_inner') || encode({value}))"
    return f"left(sha256(getvariable('{key}_outer') || unhex({inner})), 32)"
