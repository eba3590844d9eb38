"""Texts that go into SQL: quoted names and literals, and cleaned values of records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher import encryption
from publisher.duck import encrypted, file_literal, literal
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from duckdb import DuckDBPyConnection

FILES = "\0"
"""Stands for the files in SQL that reads any of a kind."""
PATH = "_path"
"""The column that says from which file a row is."""
_BLANKS = r"[\s\p{Z}]+"
_UNEVEN = r"^ | $|  |[\t-\r\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]"
"""Texts whose blanks are not single spaces between words."""
_BLANK_CODES = (9, 10, 11, 12, 13, 32, 160)
_BLANK = tuple(f"chr({code})" for code in _BLANK_CODES)
BLANKS = literal("".join(map(chr, _BLANK_CODES)))
"""SQL for the blanks that values lose at their ends."""


def array(texts: Iterable[str]) -> str:
    """A list of quoted texts."""
    return "[" + ", ".join(literal(text) for text in texts) + "]"


def file(path: Path) -> str:
    """A quoted path to read, without wildcards."""
    return file_literal(path)


def parquet(paths: Iterable[Path], *, named: bool = False) -> str:
    """SQL for FROM that reads Parquet files of one layout; if `named`, with the path of each row's file.

    Raises SourceError naming a file that is not Parquet.
    """
    paths = list(paths)
    for path in paths:
        _check_parquet(path)
    return written(paths, named=named)


def written(paths: Iterable[Path], *, named: bool = False) -> str:
    """The same for files that were just written."""
    paths = list(paths)
    if encryption.anywhere() and encryption.of(paths[0]) is not None:
        return encrypted(paths, PATH if named else None)
    also = f", filename = '{PATH}'" if named else ""
    return f"read_parquet({files(paths)}, hive_partitioning = false{also})"


def files(paths: Iterable[Path]) -> str:
    """A list of quoted paths to read, without wildcards."""
    return f"[{', '.join(file(path) for path in paths)}]"


def copy(connection: DuckDBPyConnection, select: str, path: Path, compression: str = "snappy") -> None:
    """Write what a SELECT gives to a Parquet file."""
    if encryption.of(path) is None:
        packed = "" if compression == "snappy" else f", COMPRESSION {compression}"
        connection.execute(f"COPY ({select}) TO {literal(str(path))} (FORMAT parquet{packed})")
    else:
        encryption.write_parquet(connection.sql(select).to_arrow_reader(encryption.ROWS), path)


def _check_parquet(path: Path) -> None:
    """Raise SourceError naming the file; DuckDB does not say which of many files it cannot read."""
    import pyarrow as pa

    try:
        encryption.metadata(path)
    except (OSError, pa.ArrowException):
        raise SourceError(f"{path}: is missing or damaged: restore it from a backup") from None


def lines(value: str) -> str:
    """The expression with line feeds alone as line ends."""
    return f"replace(replace({value}, chr(13) || chr(10), chr(10)), chr(13), chr(10))"


def trimmed(value: str, *, spaces: bool = False) -> str:
    """The expression without blanks around it. Most texts have none, and checking first is ten times as fast; twice as
    fast again if it is known that all blanks are `spaces`."""
    around = f"{value} < '!' OR suffix({value}, ' ')"
    if not spaces:
        around += f" OR prefix({value}, chr(160)) OR suffix({value}, chr(160)) OR right({value}, 1) < '!'"
    return f"CASE WHEN {around} THEN trim({value}, {' || '.join(_BLANK)}) ELSE {value} END"


def present(value: str, nulls: tuple[str, ...], *, spaces: bool = False) -> str:
    """The expression, trimmed; NULL if nothing is left or it is one of the texts that mean missing."""
    missing = ", ".join(literal(text) for text in sorted({"", *(text.strip() for text in nulls)}))
    text = trimmed(value, spaces=spaces)
    return f"CASE WHEN {text} IN ({missing}) THEN NULL ELSE {text} END"


def whole(value: str) -> str:
    """A place's key; whole numbers lose their decimals: 21.0 becomes 21."""
    without = rf"regexp_replace({value}, '^(-?[0-9]+)\.0+$', '\1')"
    return f"CASE WHEN contains({value}, '.0') THEN {without} ELSE {value} END"


def normal(value: str, *, spaces: bool = False) -> str:
    """Trimmed identifiers for comparison: without differences in case, repeated blanks and composed letters.

    Most have single spaces inside and nothing else to even out, and checking first is three times as fast; it is known
    for some files that all blanks are `spaces`.
    """
    uneven = f"contains({value}, '  ')" if spaces else f"regexp_matches({value}, '{_UNEVEN}')"
    even = f"CASE WHEN {uneven} THEN {_evened(value)} ELSE {value} END"
    return f"nfc_normalize(upper({even}))"


def _evened(value: str) -> str:
    return f"trim(regexp_replace({value}, '{_BLANKS}', ' ', 'g'))"


def address(value: str) -> str:
    """Addresses for comparison: without differences in case, punctuation and repeated blanks."""
    return rf"nfc_normalize(upper(trim(regexp_replace({value}, '[\s\p{{Z}}\p{{P}}\p{{S}}]+', ' ', 'g'))))"


def separated(values: Iterable[str]) -> str:
    """Several expressions as one text that still tells them apart; NULL differs from every text."""
    parts = (f"coalesce(strlen({value}) || ':', '-'), {value}" for value in values)  # concat leaves NULL out
    return f"concat({', '.join(parts)})"
