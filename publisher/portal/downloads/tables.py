"""Table files: typed Parquet, and an Excel workbook with a sheet that explains the data."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xlsxwriter

from publisher.portal.base.kinds import GEOMETRIES, TIMES, Kind
from publisher.portal.base.problems import problem
from publisher.portal.contract import about, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from decimal import Decimal
    from pathlib import Path

    from xlsxwriter.worksheet import Worksheet

    from publisher.portal.base.model import PortalColumn, PortalDataset
    from publisher.portal.contract import Odds

GROUP = 122_880
"""Rows in a row group of a Parquet file."""
SHEET_ROWS = 1_048_575
"""The most rows in a worksheet, without the header."""
DOUBLE = 15
"""The digits of a decimal number that a double always keeps."""
CELL_TEXT = 32_767
"""The most characters in a worksheet cell."""
RUN = ("=", "+", "-", "@", "\t", "\r")
"""With one of these at its start, a text can become a formula when a spreadsheet reads it again."""
_ARROW = {Kind.CHECKBOX: pa.bool_(), Kind.NUMBER: pa.decimal128(9, 0), Kind.FLOATING: pa.timestamp("us")}
_INSTANT = pa.timestamp("us", tz="UTC")


def batches(files: Sequence[Path], dataset: PortalDataset, size: int = 8192) -> Iterator[pa.RecordBatch]:
    """The rows of these files in order, with the dataset's own columns, typed; at most `size` rows per batch."""
    schema = schema_of(files, dataset)
    for file in files:
        with pq.ParquetFile(file) as stored:
            there = [name for name in schema.names if name in set(stored.schema_arrow.names)]
            for batch in stored.iter_batches(size, columns=there):
                arrays = [_values(batch, field, dataset.column(field.name)) for field in schema]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def schema_of(files: Sequence[Path], dataset: PortalDataset) -> pa.Schema:
    """The names and types of the columns, in display order."""
    stored = pa.unify_schemas([pq.read_schema(file) for file in files], promote_options="permissive")
    names = set(stored.names)
    types = {column.field: _type(column, stored, there=column.field in names) for column in dataset.columns}
    return pa.schema([pa.field(name, kind) for name, kind in types.items()])


def _type(column: PortalColumn, stored: pa.Schema, *, there: bool) -> pa.DataType:
    if column.kind is Kind.FIXED:
        return _INSTANT
    if there and column.kind in (Kind.NUMBER, Kind.FLOATING, Kind.CHECKBOX):
        return stored.field(column.field).type
    return _ARROW.get(column.kind, pa.string())


def _values(batch: pa.RecordBatch, field: pa.Field, column: PortalColumn | None) -> pa.Array:
    """The values of a column: nulls if it was added after the file was written; for a URL only the address."""
    if field.name not in batch.schema.names:
        return pa.nulls(batch.num_rows, field.type)
    values = batch.column(field.name)
    if column and column.kind is Kind.URL:
        return pa.array([text and json.loads(text).get("url") for text in values.to_pylist()], pa.string())
    return values.cast(field.type) if values.type != field.type else values


def of_period(batch: pa.RecordBatch, field: str, period: str) -> pa.RecordBatch:
    """The rows of one period."""
    return batch.filter(pc.equal(batch.column(field).cast(pa.string()), period))


def write_parquet(files: Sequence[Path], dataset: PortalDataset, base: str, target: Path) -> None:
    """Write typed columns in display order, with a description of the dataset as key-value metadata.

    `base` is the portal's public address, or empty if none is configured.
    """
    known = about(dataset)
    told = {
        "title": dataset.name,
        "description": dataset.description,
        "license": known.license,
        "license_url": known.license_address,
        "publisher": dataset.publisher,
        "id": dataset.id,
        "version": str(dataset.version),
        "url": f"{base.rstrip('/')}/d/{dataset.id}" if base else "",
        "guarantee": known.guarantee,
    }
    metadata = {name: text for name, text in told.items() if text} | _geo(dataset)
    schema = _described(_plain_types(schema_of(files, dataset), files, dataset), dataset).with_metadata(metadata)
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in batches(files, dataset, GROUP):
            arrays = [_plain(values, field.type) for values, field in zip(batch.columns, schema, strict=True)]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))


def _plain_types(schema: pa.Schema, files: Sequence[Path], dataset: PortalDataset) -> pa.Schema:
    """The types that data tools take as numbers and shapes: int64, double where it loses nothing, and WKB."""
    shapes = {column.field for column in dataset.columns if column.kind in GEOMETRIES}
    return pa.schema([pa.field(each.name, _plain_type(each, shapes, files)) for each in schema])


def _plain_type(field: pa.Field, shapes: set[str], files: Sequence[Path]) -> pa.DataType:
    if field.name in shapes:
        return pa.binary()
    if not pa.types.is_decimal(field.type):
        return field.type
    if field.type.scale == 0 and field.type.precision <= 18:
        return pa.int64()
    return pa.float64() if _digits(files, field) <= DOUBLE else field.type


def _digits(files: Sequence[Path], field: pa.Field) -> int:
    """The most digits of a stored number of this column, by the files' statistics."""
    most = 0
    for file in files:
        described = pq.read_metadata(file)
        names = described.schema.names
        if field.name not in names:
            continue
        for group in range(described.num_row_groups):
            told = described.row_group(group).column(names.index(field.name)).statistics
            if told is None or not (told.has_min_max or told.null_count == described.row_group(group).num_rows):
                return int(field.type.precision)
            edges = (told.min, told.max) if told.has_min_max else ()
            most = max((most, *(len(str(abs(edge.scaleb(field.type.scale).to_integral_value()))) for edge in edges)))
    return int(most)


def _plain(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if kind != pa.binary():
        return values.cast(kind)
    import shapely

    return pa.array(shapely.to_wkb(shapely.from_geojson(values.to_pylist())), kind)


def _geo(dataset: PortalDataset) -> dict[str, str]:
    """The metadata of GeoParquet 1.1, by which GeoPandas and map programs know the shapes; none without shapes."""
    if dataset.geometry is None:
        return {}
    shapes = {column.field: column.kind for column in dataset.columns if column.kind in GEOMETRIES}
    columns = {name: {"encoding": "WKB", "geometry_types": [GEOMETRIES[kind]]} for name, kind in shapes.items()}
    return {"geo": json.dumps({"version": "1.1.0", "primary_column": dataset.geometry.field, "columns": columns})}


def _described(schema: pa.Schema, dataset: PortalDataset) -> pa.Schema:
    columns = {column.field: column for column in dataset.columns}
    return pa.schema([field.with_metadata(_column_metadata(columns[field.name])) for field in schema])


def _column_metadata(column: PortalColumn) -> dict[str, str]:
    told = {"title": column.name, "description": column.description, "type": column.kind.value}
    return {name: text for name, text in told.items() if text}


def write_workbook(files: Sequence[Path], dataset: PortalDataset, base: str, target: Path) -> None:
    """Write a sheet of rows and a sheet about them. Raises SodaError if the rows do not fit in a sheet."""
    if dataset.rows > SHEET_ROWS:
        message = (
            f"An Excel sheet has at most {SHEET_ROWS:,} rows, and this dataset has more. Use rows.parquet or data.csv."
        )
        raise problem(400, "download.too-many-rows", message, rows=dataset.rows, limit=SHEET_ROWS)
    options = {"constant_memory": True, "tmpdir": str(target.parent), "nan_inf_to_errors": True}
    with xlsxwriter.Workbook(str(target), options) as book:
        created = datetime.fromtimestamp(dataset.changed_at, UTC).replace(tzinfo=None)
        book.set_properties({"title": dataset.name, "author": dataset.attribution, "created": created})
        bold, clock = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        inert = book.add_format({"quote_prefix": True})
        _fill(book.add_worksheet("Data"), files, dataset, _Formats(bold, clock, inert))
        _explain(book.add_worksheet("About"), dataset, base, bold)


class _Formats(NamedTuple):
    """The formats of a workbook's cells."""

    bold: Any
    clock: Any
    inert: Any
    """For a text that a spreadsheet would run once someone has edited or saved it; it shows the text as it is."""


def _fill(sheet: Worksheet, files: Sequence[Path], dataset: PortalDataset, formats: _Formats) -> None:
    sheet.freeze_panes(1, 0)
    for place, column in enumerate(dataset.columns):
        sheet.set_column(place, place, 20 if column.kind in TIMES else 16)
        sheet.write_string(0, place, column.name[:CELL_TEXT], formats.bold)
    number = 0
    for batch in batches(files, dataset):
        writers = [_writer(sheet, place, column, formats) for place, column in enumerate(dataset.columns)]
        for values in zip(*(array.to_pylist() for array in batch.columns), strict=True):
            number += 1
            for write, value in zip(writers, values, strict=True):
                if value is not None:
                    write(number, value)


def _writer(sheet: Worksheet, place: int, column: PortalColumn, formats: _Formats) -> Callable[[int, Any], None]:
    """A function that writes a column's values by their type, so that text never becomes a formula or a link."""
    if column.kind is Kind.NUMBER:
        return lambda row, value: _write_number(sheet, row, place, value)
    if column.kind is Kind.CHECKBOX:
        return lambda row, value: _done(sheet.write_boolean(row, place, value))
    if column.kind in TIMES:
        return lambda row, value: _write_time(sheet, row, place, value.replace(tzinfo=None), formats.clock)
    return lambda row, value: _write_text(sheet, row, place, value, formats.inert)


def _done(_written: object) -> None:
    return None


def _write_number(sheet: Worksheet, row: int, place: int, value: Decimal) -> None:
    """Write a number; Excel has 15 digits, so a longer number is written as text to stay exact."""
    if len(value.normalize().as_tuple().digits) > 15:
        sheet.write_string(row, place, format(value, "f"))
    else:
        sheet.write_number(row, place, float(value))


def _write_time(sheet: Worksheet, row: int, place: int, value: datetime, clock: Any) -> None:
    """Write a time; Excel's dates begin in 1900, so an earlier one is written as text."""
    if value.year < 1900:
        sheet.write_string(row, place, value.isoformat())
    else:
        sheet.write_datetime(row, place, value, clock)


def _write_text(sheet: Worksheet, row: int, place: int, value: str, inert: Any) -> None:
    if len(value) > CELL_TEXT:
        message = f"An Excel cell has at most {CELL_TEXT:,} characters, and a text here is longer. Use data.csv."
        raise problem(400, "download.text-too-long", message, limit=CELL_TEXT)
    sheet.write_string(row, place, value, inert if value.startswith(RUN) else None)


def _explain(sheet: Worksheet, dataset: PortalDataset, base: str, bold: Any) -> None:
    """Fill the sheet that says what the rows are, how they may be used, and what each column means."""
    known = about(dataset)
    stand_in = "Generated sample data - not real records" if known.stand_in else ""
    told = (
        ("Title", dataset.name),
        ("Description", dataset.description),
        ("Publisher", dataset.publisher),
        ("Contact", known.contact),
        ("License", " ".join(filter(None, (known.license, known.license_address)))),
        ("Address", f"{base.rstrip('/')}/d/{dataset.id}" if base else ""),
        ("Version", str(dataset.version)),
        ("Rows updated", datetime.fromtimestamp(dataset.rows_updated_at, UTC).isoformat()),
        ("Privacy", known.guarantee),
        ("Odds", _odds(dataset)),
        ("Limitations", "\n".join(known.limitations)),
        ("Note", stand_in),
    )
    sheet.set_column(0, 2, 28)
    sheet.set_column(3, 3, 90)
    lines = [(label, text) for label, text in told if text]
    for row, (label, text) in enumerate(lines):
        sheet.write_string(row, 0, label, bold)
        sheet.write_string(row, 1, text[:CELL_TEXT])
    start = len(lines) + 1
    for place, heading in enumerate(("Column", "Field", "Type", "Meaning")):
        sheet.write_string(start, place, heading, bold)
    for row, column in enumerate(dataset.columns, start=start + 1):
        for place, text in enumerate((column.name, column.field, column.type_name, column.description)):
            sheet.write_string(row, place, text[:CELL_TEXT])


def _more(odds: Odds) -> str:
    """The odds of a household, and those once the source has spent its budget, where they are told."""
    units = "records" if odds.unit == "record" else f"units (\u201c{odds.unit}\u201d)"
    household = f" For a household with {odds.household_units} {units} in it: {_at_most(odds.household)}."
    source = f" Once this source has spent its whole privacy budget: {_at_most(odds.source)}."
    return (household if odds.household_units else "") + (source if odds.source else "")


def _at_most(chance: float) -> str:
    return f"right at most {percent(chance)} times in 100"


def _odds(dataset: PortalDataset) -> str:
    odds = about(dataset).odds
    if odds is None:
        return ""
    who = "one record is" if odds.unit == "record" else f"the records of one \u201c{odds.unit}\u201d are"
    return (
        f"Someone who guesses whether {who} in the data, and is right {percent(odds.before)} times in 100"
        " without the published numbers,"
        f" is right at most {percent(odds.after)} times in 100 after reading everything.{_more(odds)}"
        f" One guarantee covers {odds.period} ({odds.loss})."
    )
