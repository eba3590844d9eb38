"""Uploaded files: joined from chunks and read into one Parquet file of texts, never whole in memory."""

from __future__ import annotations

import codecs
import csv
import json
import os
import re
import shutil
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from publisher import confined
from publisher.portal.api.payloads import ColumnPayload
from publisher.portal.base.kinds import Kind
from publisher.portal.base.problems import invalid
from publisher.portal.revisions import layers, workbooks
from publisher.portal.store.incoming import ORDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK = 8 * 1024 * 1024
"""The chunk size, in bytes, that clients are asked to use."""
LIMIT = 8 * 1024**3
"""The largest upload, in bytes."""
WORKBOOKS = frozenset({"application/vnd.ms-excel", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"})
TABLES = {"text/csv": ",", "text/tab-separated-values": "\t", "text/tsv": "\t", "text/plain": ","}
_ROWS = 10_000
_MEMORY = 2 * 1024**3
_SECONDS = 300
"""What reading a workbook or a file of shapes may take."""
PARSE_OPTIONS: dict[str, Any] = {
    "encoding": "utf8",
    "header_count": 1,
    "column_header": 1,
    "column_separator": ",",
    "quote_char": '"',
    "parse_source": True,
    "remove_empty_rows": True,
    "trim_whitespace": True,
}
"""What holds for a file where nothing else is said."""
Columns = list[tuple[str, str, Kind]]
"""Field name, display name and type of each column."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a text file: `header_count` rows come before the data, row `column_header` has the column names."""

    header_count: int = 1
    column_header: int = 1
    encoding: str = "utf-8"
    column_separator: str = ","
    quote_char: str = '"'
    remove_empty_rows: bool = True
    trim_whitespace: bool = True

    @classmethod
    def of(cls, options: dict[str, Any], content_type: str) -> Layout:
        """Read the parse options. Raises SodaError."""
        own = TABLES.get(content_type, ",")
        separator = options.get("column_separator") or own
        layout = cls(
            _whole(options, "header_count"),
            _whole(options, "column_header"),
            str(options.get("encoding") or "utf-8"),
            own if separator == "," else str(separator),  # a comma is said for every file, and a TSV has none
            str(options.get("quote_char") or '"'),
            options.get("remove_empty_rows") is not False,
            options.get("trim_whitespace") is not False,
        )
        try:
            "".encode(layout.encoding)  # fails too where it is no encoding of text
        except (LookupError, ValueError):
            raise invalid("parse_options: unknown encoding") from None
        marks = {layout.column_separator, layout.quote_char}
        if len(marks) < 2 or not all(re.fullmatch(r"[\t -~]", mark) for mark in marks):
            raise invalid("parse_options: column_separator and quote_char must be two different ASCII characters")
        return layout


def _whole(options: dict[str, Any], name: str) -> int:
    value = options.get(name)
    if value is None:
        return 1
    if not isinstance(value, int) or not 0 <= value <= 1000:
        raise invalid(f"parse_options: {name} must be a whole number from 0 to 1000")
    return value


def keep_chunk(folder: Path, offset: int, content: bytes) -> None:
    """Keep one chunk; a chunk that is sent again replaces itself. Raises SodaError if the upload is too large."""
    if offset + len(content) > LIMIT:
        raise invalid(f"An upload can be at most {LIMIT} bytes")
    beside = folder / f"{offset:015}.{os.urandom(4).hex()}.tmp"
    beside.write_bytes(content)
    beside.replace(folder / f"{offset:015}.chunk")


def assemble(folder: Path, size: int) -> Path:
    """Join the chunks. Raises SodaError if one is missing."""
    target, end = folder / "upload", 0
    chunks = sorted(folder.glob("*.chunk"))
    for chunk in chunks:
        if int(chunk.stem) != end:
            break
        end += chunk.stat().st_size
    if end != size:
        raise invalid(f"The upload is not complete: bytes are missing after byte {end} of {size}")
    beside = folder / "upload.tmp"
    with beside.open("wb") as file:
        for chunk in chunks:
            with chunk.open("rb") as part:
                shutil.copyfileobj(part, file, 1024 * 1024)
    beside.replace(target)
    for chunk in chunks:
        chunk.unlink()
    return target


def read_file(upload: Path, content_type: str, layout: Layout, target: Path) -> Columns:
    """Write the file's rows as texts to `target`; returns its columns. Raises SodaError."""
    if content_type in layers.TYPES:
        return _read_layer(upload, content_type, target)
    if content_type in WORKBOOKS:
        return _read_workbook(upload, layout, target)
    if content_type in TABLES:
        return _read_table(upload, layout, target)
    raise invalid("Files of this type cannot be read. Use CSV, TSV, an Excel workbook, GeoJSON, KML, or a Shapefile.")


def named(header: list[str]) -> list[tuple[str, str]]:
    """The field and display name for each cell of a header; all fields are different."""
    made: list[tuple[str, str]] = []
    taken: set[str] = set()
    for place, text in enumerate(header, start=1):
        shown = text.strip()[:1000] or f"column_{place}"
        plain = ColumnPayload(name=shown[:240]).field_name
        field = next(name for name in _spellings(plain) if name not in taken)
        taken.add(field)
        made.append((field, shown))
    return made


def _spellings(name: str) -> Iterator[str]:
    yield name
    number = 0
    while True:
        number += 1
        yield f"{name}_{number}"


def _head(rows: Iterator[list[str]], layout: Layout) -> tuple[list[str], int]:
    """The cells of the header, and how many rows come before the data. Raises SodaError if there is no header."""
    head: list[list[str]] = []
    count = 0
    while len(head) < max(layout.header_count, layout.column_header, 1):
        row = next(rows, None)
        if row is None:
            break
        count += 1
        if not layout.remove_empty_rows or any(cell.strip() for cell in row):
            head.append(row)
    header = head[max(layout.column_header, 1) - 1] if len(head) >= max(layout.column_header, 1) else []
    if not header:
        raise invalid("The file has no header row")
    named = header if layout.column_header else [""] * len(header)
    return named, count if layout.header_count else 0


def _encoding(layout: Layout) -> str:
    return "utf-8-sig" if codecs.lookup(layout.encoding).name == "utf-8" else layout.encoding


def _read_table(upload: Path, layout: Layout, target: Path) -> Columns:
    try:
        with upload.open(encoding=_encoding(layout), newline="") as file:
            lines = csv.reader(file, delimiter=layout.column_separator, quotechar=layout.quote_char)
            header, skipped = _head(lines, layout)
        columns = _texts(header)
        fields = [field for field, *_ in columns]
        reader = pa_csv.open_csv(
            upload,
            read_options=pa_csv.ReadOptions(
                column_names=fields, skip_rows_after_names=skipped, encoding=layout.encoding
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=layout.column_separator,
                quote_char=layout.quote_char,
                newlines_in_values=True,
                invalid_row_handler=lambda row: "error" if (row.text or "?").strip() else "skip",
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(fields, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        )
        _write(reader, fields, layout, target)
    except (pa.ArrowInvalid, UnicodeError, csv.Error):
        raise invalid(
            "The file is not a table with the same number of cells in each row, or it has another encoding"
        ) from None
    return columns


def _texts(header: list[str]) -> Columns:
    return [(field, shown, Kind.TEXT) for field, shown in named(header)]


def _read_workbook(upload: Path, layout: Layout, target: Path) -> Columns:
    """Read the first sheet of an Excel workbook, in a child with limits: a small file may unpack to any size."""
    plain = target.with_name(f"{target.name}.csv")
    try:
        known = confined.run(workbooks.write_sheet, str(upload), str(plain), memory=_MEMORY, seconds=_SECONDS)
        if not known:
            raise invalid("The file is not an Excel workbook")
        with plain.open(encoding="utf-8", newline="") as file:
            return _read_rows(csv.reader(file), layout, target)
    except confined.StoppedError:
        raise invalid("The workbook is too large to be read. Save its first sheet as CSV.") from None
    finally:
        plain.unlink(missing_ok=True)


def _read_layer(upload: Path, content_type: str, target: Path) -> Columns:
    """Read the features of a file of shapes, in a child with limits."""
    plain = target.with_name(f"{target.name}.jsonl")
    write = layers.write_features
    try:
        told = confined.run(write, str(upload), content_type, str(plain), memory=_MEMORY, seconds=_SECONDS)
        if "problem" in told:
            raise invalid(told["problem"])
        names = named([name for name, _ in told["columns"]])
        columns = [(*name, Kind(kind)) for name, (_, kind) in zip(names, told["columns"], strict=True)]
        fields = [field for field, *_ in columns]
        with plain.open(encoding="utf-8") as file:
            _write(_batches(map(json.loads, file), fields), fields, Layout(), target)
    except confined.StoppedError:
        raise invalid("The file of shapes is too large to be read. Send it in parts, or as CSV.") from None
    finally:
        plain.unlink(missing_ok=True)
    return columns


def _read_rows(rows: Iterator[list[str]], layout: Layout, target: Path) -> Columns:
    header, count = _head(rows, layout)
    if not count:
        raise invalid("The file has no header row")
    columns = _texts(header)
    fields = [field for field, *_ in columns]
    _write(_batches(rows, fields), fields, layout, target)
    return columns


def _batches(rows: Iterator[list[Any]], fields: list[str]) -> Iterator[pa.RecordBatch]:
    schema = pa.schema([(field, pa.string()) for field in fields])
    while batch := [row for _, row in zip(range(_ROWS), rows, strict=False)]:
        arrays = [pa.array([row[place] or None for row in batch], pa.string()) for place in range(len(fields))]
        yield pa.record_batch(arrays, schema=schema)


def _write(batches: Any, fields: list[str], layout: Layout, target: Path) -> None:
    """Write one row group per batch, with the places of the rows."""
    schema = pa.schema([*((field, pa.string()) for field in fields), (ORDER, pa.int64())])
    begin = 0
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in batches:
            columns = [_trimmed(column) for column in batch.columns] if layout.trim_whitespace else batch.columns
            made = pa.table(columns, names=fields)
            if layout.remove_empty_rows:
                made = made.filter(reduce(pc.or_, [column.is_valid() for column in made.columns]))
            places = pa.array(range(begin, begin + made.num_rows), pa.int64())
            writer.write_table(made.append_column(ORDER, places).cast(schema))
            begin += made.num_rows


def _trimmed(column: Any) -> Any:
    trimmed = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
