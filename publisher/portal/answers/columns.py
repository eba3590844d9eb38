"""Write rows as JSON from Arrow columns: for a small result, this takes less time than DuckDB needs to plan the SQL."""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from publisher.portal.base.kinds import GEOMETRIES, TIMES, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

_ESCAPES = {code: f"\\u{code:04X}" for code in range(32)} | {
    ord(mark): "\\" + letter for mark, letter in zip('"\\\b\f\n\r\t', '"\\bfnrt', strict=True)
}
_ESCAPED = bytes(_ESCAPES)
"""The bytes that must be escaped in a JSON string."""
_QUOTES = {Kind.TEXT: ('"', '"'), Kind.NUMBER: ('"', '"'), Kind.FLOATING: ('"', '"'), Kind.FIXED: ('"', 'Z"')}
_MOMENT = len("2026-05-01T12:00:00.000")
_FIRST, _END = -62_135_596_800_000_000, 253_402_300_800_000_000
"""The years from 1 to 9999, in microseconds, which Arrow writes with the same number of characters."""
_NUMBER = re.compile(r"-?(?:[0-9]*[1-9][0-9]*(?:\.[0-9]*[1-9])?(?:\.?[0-9]*e.*)?|0\.[0-9]*[1-9](?:e.*)?)|0")
"""The same as the engine's `soda_number`."""


class _UnknownError(Exception):
    """This module cannot write the column's type or one of its values."""


def json_rows(fields: Sequence[tuple[str, Kind]], table: pa.Table) -> bytes | None:
    """The rows as JSON objects, byte for byte as `formats.JSON.each` writes them; None if DuckDB must write them."""
    if not table.num_rows:
        return b""
    try:
        columns = [
            _members(name, kind, column, first=not number)
            for number, ((name, kind), column) in enumerate(zip(fields, table.columns, strict=True))
        ]
    except _UnknownError:
        return None
    parts = list(chain.from_iterable(columns))
    if len(columns[0]) == 1:  # its first value may be missing, and then the comma comes first
        parts = [pc.binary_replace_slice(_joined(*parts), 0, 1, b"")]
    return _bytes(_joined("\n,{", *parts, "}"))


def _members(name: str, kind: Kind, column: pa.ChunkedArray, *, first: bool) -> list[Any]:
    """The column's part of every row: texts and arrays of texts, or one array if values are missing."""
    values = column.combine_chunks()
    texts = _texts(kind, values)
    opening, closing = _QUOTES.get(kind, ("", ""))
    before = f"{json.dumps(name)}:{opening}"
    if texts.null_count:
        return [pc.fill_null(_joined("," + before, texts, closing), "")]
    return [before if first else "," + before, texts, closing]


def _texts(kind: Kind, values: pa.Array) -> pa.Array:
    """The values as JSON text, without the quotes around them. Raises _UnknownError."""
    if kind is Kind.NUMBER:
        return _numbers(values)
    if kind in TIMES and pa.types.is_temporal(values.type):
        return _moments(values.cast(pa.timestamp("us")))
    if kind is Kind.CHECKBOX and pa.types.is_boolean(values.type):
        return values.cast(pa.string())
    if kind is Kind.TEXT and pa.types.is_string(values.type):
        return _escaped(values)
    if kind in (Kind.URL, Kind.LOCATION, *GEOMETRIES) and pa.types.is_string(values.type):
        return values
    raise _UnknownError


def _numbers(values: pa.Array) -> pa.Array:
    """The numbers as text without trailing zeros."""
    if pa.types.is_integer(values.type):
        return values.cast(pa.string())
    if pa.types.is_floating(values.type):
        found = (None if value is None else _NUMBER.search(repr(value)) for value in values.to_pylist())
        return pa.array([match and match[0] for match in found], pa.string())
    if not pa.types.is_decimal(values.type) or values.type.scale > 6:  # Arrow writes small ones with an exponent
        raise _UnknownError
    texts = values.cast(pa.string())
    return pc.ascii_rtrim(pc.ascii_rtrim(texts, "0"), ".") if values.type.scale else texts


def _moments(values: pa.Array) -> pa.Array:
    """The times as `2026-05-01T12:00:00.000`; only the years from 1 to 9999."""
    span = pc.min_max(values.view(pa.int64())).as_py()
    if values.null_count < len(values) and not _FIRST <= span["min"] <= span["max"] < _END:
        raise _UnknownError
    texts = values.cast(pa.string())
    return pc.binary_replace_slice(pc.utf8_slice_codeunits(texts, 0, _MOMENT), 10, 11, b"T")


def _escaped(values: pa.Array) -> pa.Array:
    raw = _bytes(values)
    if len(raw.translate(None, _ESCAPED)) == len(raw):
        return values
    return pa.array([text and text.translate(_ESCAPES) for text in values.to_pylist()], pa.string())


def _joined(*parts: Any) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def _bytes(texts: pa.Array) -> bytes:
    """All texts of an array, joined."""
    _, ends, data = texts.buffers()
    places = memoryview(ends).cast("i")
    first, last = places[texts.offset], places[texts.offset + len(texts)]
    return data.to_pybytes()[first:last] if data is not None else b""
