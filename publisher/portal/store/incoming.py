"""Read request bodies of any format into one Arrow table of texts."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from publisher.portal.base.kinds import Kind
from publisher.portal.base.problems import column_not_found, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from publisher.portal.base.model import PortalColumn

DELETED = ":deleted"
ORDER = ":order"
HAS = ":has:"
"""The prefix of the boolean columns that say which rows have a field."""

_IGNORED = frozenset({":created_at", ":updated_at", ":version"})
PIECE = 256 * 1024
"""Letters of JSON that are read at once: while Python reads them, no query of this process goes on."""
_BETWEEN_ROWS = re.compile(r"\}[ \t\r\n]*(,)[ \t\r\n]*\{")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?").fullmatch


def read(body: bytes, content_type: str, columns: Iterable[PortalColumn]) -> pa.Table:
    """The rows of a body: a text column for each field sent, with `:order` and, if sent, `:id` and `:deleted`.

    Raises SodaError if the body cannot be read or names a column that does not exist.
    """
    table = _from_csv(body) if content_type.startswith("text/csv") else _from_json(body)
    known = {column.field: column for column in columns}
    for name in table.column_names:
        if name not in known and not name.startswith((HAS, DELETED, ":id")):
            raise column_not_found(name)
    for name, column in known.items():
        if column.kind is Kind.NUMBER and name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, _without_exponents(table[name]))
    return table.append_column(ORDER, pa.array(range(table.num_rows), pa.int64()))


def _from_json(body: bytes) -> pa.Table:
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass").strip(" \t\r\n")
        return _piece_by_piece(text) or _from_rows(_value(text))
    except UnicodeEncodeError:
        raise invalid("The request body has text that is not valid Unicode") from None
    except ValueError:
        raise invalid("The request body is not JSON") from None
    except RecursionError:
        raise invalid("The request body is nested too deeply") from None


def _value(text: str) -> Any:
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)


def _piece_by_piece(text: str) -> pa.Table | None:
    """The rows of a long array, of which only a piece is in Python's memory at once. None if that is not possible: it
    is short, no array, or no JSON, or a comma was not between two rows."""
    if len(text) <= PIECE or text[0] != "[" or text[-1] != "]":
        return None
    try:
        tables = [_from_rows(_value(piece)) for piece in _pieces(text)]
    except json.JSONDecodeError:
        return None
    names = list(dict.fromkeys(itertools.chain.from_iterable(table.column_names for table in tables)))
    if any(table.column_names != names for table in tables):
        fields = [name for name in names if not name.startswith((":", HAS))]
        tables = [_telling(table, fields) for table in tables]
    return pa.concat_tables(tables, promote_options="default")


def _pieces(rows: str) -> Iterator[str]:
    """Arrays that together have these rows. A cut in a text or within a row leaves a piece that is no JSON."""
    begin = 1
    while (found := _BETWEEN_ROWS.search(rows, begin + PIECE)) is not None:
        yield f"[{rows[begin : found.start(1)]}]"
        begin = found.end(1)
    yield f"[{rows[begin:]}"


def _telling(table: pa.Table, fields: list[str]) -> pa.Table:
    """The table, which also says of each of these fields which rows have it."""
    for name in fields:
        if HAS + name not in table.column_names:
            there = name in table.column_names
            table = table.append_column(HAS + name, pa.array([there] * table.num_rows, pa.bool_()))
    return table


def _from_rows(parsed: Any) -> pa.Table:
    rows = [parsed] if isinstance(parsed, dict) else parsed
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise invalid("The request body must be a JSON object or an array of objects")
    names = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
    complete = all(len(row) == len(names) for row in rows)
    arrays: dict[str, Any] = {}
    for name in names:
        if name in _IGNORED:
            continue
        arrays[name] = _texts([row[name] for row in rows] if complete else [row.get(name) for row in rows])
        if not complete and not name.startswith(":"):
            arrays[HAS + name] = pa.array([name in row for row in rows], pa.bool_())
    if not arrays:
        arrays[DELETED] = pa.nulls(len(rows), pa.string())
    return pa.table(arrays)


def _texts(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except pa.ArrowTypeError:  # some are no texts yet
        return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return _geometry(value) if "coordinates" in value else json.dumps(value)


def _geometry(value: Any) -> str:
    """JSON with the numbers, which are texts here, as numbers again."""
    if isinstance(value, str):
        return value if _NUMBER(value) else json.dumps(value)
    if isinstance(value, list):
        return f"[{','.join(map(_geometry, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_geometry(member)}" for name, member in value.items()) + "}"
    return json.dumps(value)


def _from_csv(body: bytes) -> pa.Table:
    try:
        text = io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", newline="")
        header = [name.strip() for name in next(csv.reader(text), [])]
        if not header or len(set(header)) < len(header):
            raise invalid("The CSV needs a header row that names each column once")
        table = pa_csv.read_csv(
            io.BytesIO(body),
            read_options=pa_csv.ReadOptions(column_names=header, skip_rows_after_names=1),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error):
        raise invalid("The request body is not CSV in UTF-8 with the same number of cells in each row") from None
    return table.drop_columns([name for name in header if name in _IGNORED])


def _without_exponents(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pc.any(pc.match_substring(texts, "e", ignore_case=True)).as_py():
        return texts
    return pa.chunked_array([pa.array([_plain(text) for text in texts.to_pylist()], pa.string())])


def _plain(text: str | None) -> str | None:
    if text is None or "e" not in text.lower():
        return text
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return format(number, "f") if number.is_finite() and abs(number.adjusted()) < 40 else text
