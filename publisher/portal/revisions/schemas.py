"""Schemas: the input columns of a source, and the output columns that transforms make from them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import duckdb
from pydantic import BaseModel, ConfigDict, Field

from publisher.portal.api.payloads import ColumnPayload, parsed_as
from publisher.portal.base.kinds import Kind
from publisher.portal.base.problems import invalid, problem
from publisher.portal.base.sql import literal, quoted
from publisher.portal.engine import geography
from publisher.portal.revisions.transforms import Steps, compiled, conversion, guess
from publisher.portal.store.drafts import Draft, Drafts, Sort
from publisher.portal.store.incoming import ORDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.revisions.transforms import Transform

SAMPLE = 2000
"""How many rows are checked first."""
WRONG = ":wrong:"
"""The prefix of the columns that say what is wrong with a value, or are null."""


class TransformPayload(BaseModel):
    """The transform of an output column."""

    transform_expr: str = Field(max_length=10_000)


class OutputColumnPayload(BaseModel):
    """An output column, as clients send it."""

    model_config = ConfigDict(extra="ignore")

    field_name: str
    display_name: str | None = Field(None, max_length=1000)
    description: str | None = Field(None, max_length=100_000)
    position: int | None = None
    is_primary_key: bool | None = False
    transform: TransformPayload

    @property
    def plain(self) -> ColumnPayload:
        """The column as a dataset column. Raises SodaError for an invalid field name."""
        sent = {"fieldName": self.field_name, "name": self.display_name, "description": self.description}
        return parsed_as(ColumnPayload, sent, "output_columns")


class SchemaPayload(BaseModel):
    """The output columns."""

    output_columns: list[OutputColumnPayload] = Field(min_length=1, max_length=1000)
    sort_bys: list[dict[str, Any]] = Field(default_factory=list)


def add_input(drafts: Drafts, source: Draft, columns: Sequence[tuple[str, str, Kind]], rows: Path) -> Draft:
    """Add the input schema of a source whose rows are in `file` as texts: field, name, and type of each column."""
    with closing(duckdb.connect()) as connection:
        total = _number(connection, f"SELECT count(*) FROM {_table(rows)}")
    described = [
        {"field_name": field, "display_name": name, "position": place, "soql_type": kind.value}
        for place, (field, name, kind) in enumerate(columns, start=1)
    ]
    made = drafts.add(Sort.INPUT, {"input_columns": described, "total_rows": total}, parent=source.id)
    rows.replace(input_file(drafts, made))
    return made


def input_file(drafts: Drafts, schema: Draft) -> Path:
    """The file with the rows of an input schema as texts."""
    return drafts.folder(schema.parent or 0) / f"input-{schema.id}.parquet"


def output_file(drafts: Drafts, source: int, schema: Draft) -> Path:
    """The file with the rows of an output schema as texts."""
    return drafts.folder(source) / f"made-{schema.id}.parquet"


def add_output(drafts: Drafts, schema: Draft, payload: SchemaPayload) -> Draft:
    """Run the transforms. Raises SodaError if one is not possible or two columns have the same name."""
    kinds = {each["field_name"]: Kind(each["soql_type"]) for each in schema.body["input_columns"]}
    sent = sorted(payload.output_columns, key=lambda column: column.position or 0)
    plain = [column.plain for column in sent]
    if len({column.field_name for column in plain}) < len(plain):
        raise invalid("Two output columns have the same field name")
    if sum(bool(column.is_primary_key) for column in sent) > 1:
        raise invalid("Only one column can be the row identifier")
    steps = Steps()
    transforms = [compiled(column.transform.transform_expr, kinds, steps) for column in sent]
    file = input_file(drafts, schema)
    beside = file.with_suffix(".output")
    try:
        made_by_field = {each.field_name: made for each, made in zip(plain, transforms, strict=True)}
        errors = _carry_out(steps, _table(file), made_by_field, beside)
        columns = [
            {
                "field_name": each.field_name,
                "display_name": column.display_name or each.field_name,
                "description": column.description or "",
                "position": place,
                "is_primary_key": bool(column.is_primary_key),
                "transform_expr": column.transform.transform_expr,
                "soql_type": (made.kind or Kind.TEXT).value,
                "inputs": list(made.inputs),
                "error_count": wrong,
            }
            for place, (column, each, made, wrong) in enumerate(zip(sent, plain, transforms, errors, strict=True), 1)
        ]
        body = {"output_columns": columns, "sort_bys": payload.sort_bys, "error_count": sum(errors)}
        made_draft = drafts.add(Sort.OUTPUT, body | {"total_rows": schema.body["total_rows"]}, parent=schema.id)
        beside.replace(output_file(drafts, schema.parent or 0, made_draft))
    finally:
        beside.unlink(missing_ok=True)
    return made_draft


def _carry_out(steps: Steps, rows: str, columns: dict[str, Transform], target: Path) -> list[int]:
    """Write the output columns of the rows; returns for each how many of its values are wrong. Raises SodaError."""
    table = steps.over(rows)
    selected = [f"{made.sql} AS {quoted(field)}" for field, made in columns.items()]
    selected += [f"({made.wrong})::VARCHAR AS {quoted(WRONG + field)}" for field, made in columns.items()]
    with closing(_opened(target)) as connection:
        geography.register(connection)
        there = {name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()}
        selected += [quoted(name) for name in (":id", ORDER) if name in there]
        query = f"SELECT {', '.join(selected)} FROM {table}"
        to = f"TO {literal(str(target))} (FORMAT parquet, COMPRESSION zstd)"
        try:
            connection.execute(f"COPY ({query}) {to}", steps.bound(query))
        except (duckdb.OutOfRangeException, duckdb.ConversionException, duckdb.InvalidInputException):
            words = "The transforms cannot be carried out: a number or a date becomes too large"
            raise problem(400, "transform.not-possible", words) from None
        counts = ", ".join(f"count({quoted(WRONG + field)})" for field in columns)
        return list(connection.execute(f"SELECT {counts} FROM {_table(target)}").fetchone() or ())


def proposed(drafts: Drafts, schema: Draft, dataset: PortalDataset | None, *, new_columns: bool) -> SchemaPayload:
    """The first output schema: the dataset's columns keep their types, other columns get types that fit their values.

    Raises SodaError if no column of the source is in the dataset.
    """
    file, columns = input_file(drafts, schema), []
    known = {} if dataset is None else {column.field: column for column in dataset.columns}
    titles = {column.name.lower(): column for column in known.values()}
    with closing(duckdb.connect()) as connection:
        for sent in schema.body["input_columns"]:
            field, name, kind = sent["field_name"], sent["display_name"], Kind(sent["soql_type"])
            column = known.get(field) or titles.get(name.lower())
            if column is None and known and not new_columns:
                continue
            wanted = column.kind if column else kind if kind is not Kind.TEXT else _guessed(connection, file, field)
            columns.append(
                OutputColumnPayload(
                    field_name=column.field if column else field,
                    display_name=column.name if column else name,
                    description=column.description if column else "",
                    position=sent["position"],
                    is_primary_key=bool(dataset and column and column.field == dataset.row_identifier),
                    transform=TransformPayload(transform_expr=conversion(field, wanted)),
                )
            )
    if not columns:
        raise invalid("The source has no columns in common with the dataset")
    return SchemaPayload(output_columns=columns)


def configured(config: Draft) -> SchemaPayload | None:
    """The output columns of a configuration, or None if it has none."""
    columns = config.body.get("columns")
    if not columns:
        return None
    sent = [
        {**column, "position": place, "transform": {"transform_expr": column.get("transform_expr")}}
        for place, column in enumerate(columns, start=1)
    ]
    return parsed_as(SchemaPayload, {"output_columns": sent}, "columns")


def _guessed(connection: duckdb.DuckDBPyConnection, file: Path, field: str) -> Kind:
    """The first type that all values fit; the first rows already rule out most types."""
    there = f"count(*) FILTER (WHERE nullif(trim({quoted(field)}), '') IS NOT NULL)"
    guesses = guess(field)
    for rows in (f"(FROM {_table(file)} LIMIT {SAMPLE})", _table(file)):
        counts = ", ".join([there, *(sql for _, sql in guesses)])
        values, *misfits = connection.execute(f"SELECT {counts} FROM {rows}").fetchone() or (0,)
        guesses = [each for each, count in zip(guesses, misfits, strict=True) if count == 0]
        if not guesses:
            return Kind.TEXT
    return guesses[0][0] if values else Kind.TEXT


def is_row_identifier(drafts: Drafts, source: int, schema: Draft, field: str) -> bool:
    """True if every row has a value in the column, and all values are different."""
    name = quoted(field)
    with closing(duckdb.connect()) as connection:
        found = connection.execute(
            f"SELECT count(*), count({name}), count(DISTINCT {name}) FROM {_table(_there(drafts, source, schema))}"
        ).fetchone() or (0, 0, 0)
    return len(set(found)) == 1


def cells(
    drafts: Drafts, source: int, schema: Draft, *, offset: int, limit: int, errors: bool
) -> Iterator[dict[str, Any]]:
    """Rows of an output schema with the values sent and what is wrong; only rows with errors if `errors`."""
    columns = schema.body["output_columns"]
    inputs = sorted({name for column in columns for name in column["inputs"]})
    file = drafts.folder(source) / f"input-{schema.parent}.parquet"
    condition = (
        " OR ".join(f"{quoted(WRONG + column['field_name'])} IS NOT NULL" for column in columns) if errors else "true"
    )
    sent = ", ".join(f"source.{quoted(name)} AS {quoted(':in:' + name)}" for name in inputs) or "0"
    with closing(duckdb.connect()) as connection:
        found = connection.execute(
            f"""
            SELECT made.*, {sent} FROM {_table(_there(drafts, source, schema))} AS made
            JOIN {_table(file)} AS source USING ({quoted(ORDER)})
            WHERE {condition} ORDER BY {quoted(ORDER)} LIMIT {limit} OFFSET {offset}
            """
        )
        names = [name for name, *_ in found.description or ()]
        for row in found.fetchall():
            yield dict(zip(names, row, strict=True))


def prepared(drafts: Drafts, source: int, schema: Draft, *, deleted: bool, rejected: bool) -> Path:
    """The rows to write, in the format of `versions.build`; without rows that have errors if `rejected`."""
    columns = [column["field_name"] for column in schema.body["output_columns"]]
    file = _there(drafts, source, schema)
    target = drafts.folder(source) / f"apply-{schema.id}.parquet"
    condition = " AND ".join(f"{quoted(WRONG + field)} IS NULL" for field in columns) if rejected else "true"
    with closing(_opened(target)) as connection:
        there = {name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {_table(file)}").fetchall()}
        selected = [quoted(name) for name in (*columns, *((":id",) if ":id" in there else ()), ORDER)]
        selected += ["'true' AS \":deleted\""] if deleted else []
        connection.execute(
            f"COPY (SELECT {', '.join(selected)} FROM {_table(file)} WHERE {condition})"
            f" TO {literal(str(target))} (FORMAT parquet)"
        )
    return target


def _there(drafts: Drafts, source: int, schema: Draft) -> Path:
    file = output_file(drafts, source, schema)
    if not file.exists():
        raise problem(410, "source.gone", "The files of this source are no longer kept. Upload it again.")
    return file


def _opened(target: Path) -> duckdb.DuckDBPyConnection:
    """A DuckDB that spills next to the target; DuckDB removes these files, or the sweep of the source's folder."""
    spill = str(target.parent / "spill")
    # By a column's least and greatest value, DuckDB 2.0.0 loses rows where a CASE may be NULL below LIKE.
    return duckdb.connect(config={"temp_directory": spill, "disabled_optimizers": "statistics_propagation"})


def _table(file: Path) -> str:
    return f"read_parquet({literal(str(file))})"


def _number(connection: duckdb.DuckDBPyConnection, text: str) -> int:
    found = connection.execute(text).fetchone()
    return int(found[0]) if found else 0
