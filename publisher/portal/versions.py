"""Version files: the rows of a dataset as one immutable Parquet file, and how the next one is made from it."""

from __future__ import annotations

import os
import re
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb

from publisher.portal.catalogue import ALPHABET
from publisher.portal.incoming import DELETED, HAS, ORDER
from publisher.portal.kinds import Kind, Reading, reading, storage
from publisher.portal.model import SYSTEM
from publisher.portal.problems import column_maltyped, invalid, problem

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from publisher.portal.model import Column, Dataset

_DECIMAL = re.compile(r"DECIMAL\(\d+,(\d+)\)")


@dataclass(frozen=True, slots=True)
class Counts:
    """What a write did to the rows."""

    created: int = 0
    updated: int = 0
    deleted: int = 0
    errors: int = 0
    by_row_identifier: int = 0
    by_sid: int = 0

    def soda(self) -> dict[str, int]:
        """The counters as a client reads them."""
        return {
            "By RowIdentifier": self.by_row_identifier,
            "By SID": self.by_sid,
            "Errors": self.errors,
            "Rows Created": self.created,
            "Rows Deleted": self.deleted,
            "Rows Updated": self.updated,
        }


@dataclass(frozen=True, slots=True)
class Built:
    """A version file that stands complete on disk."""

    rows: int
    next_row: int
    counts: Counts


def quoted(name: str) -> str:
    """The name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as a quoted SQL string."""
    return "'" + text.replace("'", "''") + "'"


def row_id(number: str) -> str:
    """SQL for the `:id` of the row with this number; a bijection, so no two rows ever share one."""
    mixed = f"(({number})::HUGEINT * 806504083489871493 + 360287970189639683) % 1152921504606846976"
    letters = [f"substr('{ALPHABET}', ((({mixed})::BIGINT >> {5 * k}) & 31)::INT + 1, 1)" for k in range(12)]
    return f"concat('row-', {', '.join(letters[:4])}, '.', {', '.join(letters[4:8])}, '~', {', '.join(letters[8:])})"


def create(target: Path, columns: tuple[Column, ...]) -> None:
    """Write the version file of a dataset that has no rows yet."""
    selected = [f"NULL::{storage(column.kind)} AS {quoted(column.field)}" for column in (*SYSTEM, *columns)]
    with closing(duckdb.connect()) as connection:
        _copy(connection, f"SELECT {', '.join(selected)} WHERE false", target)


def build(target: Path, dataset: Dataset, old: Path, sent: pa.Table, *, replace: bool) -> Built:
    """Write to `target` the version that follows `old` when the rows of `sent` are upserted or put in its place.

    Errors: SodaError when a cell cannot be read as its column's type, or a row lacks its identifier.
    """
    with closing(duckdb.connect(config={"temp_directory": str(target.parent / "spill")})) as connection:
        try:
            return _Write(connection, dataset, old, sent, replace).into(target)
        except duckdb.OutOfMemoryException:
            raise problem(503, "soda.write.too-large", "The write does not fit into memory; send fewer rows") from None


class _Write:
    """One write, from checked texts to the next version file."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, dataset: Dataset, old: Path, sent: pa.Table, replace: bool
    ) -> None:
        self.connection = connection
        self.dataset = dataset
        self.sent = set(sent.column_names)
        self.replace = replace
        self.columns = [column for column in dataset.columns if column.field in self.sent]
        self.key = self._key() if sent.num_rows else None
        connection.register("raw", sent)
        connection.execute(
            f"CREATE VIEW stored AS SELECT * FROM read_parquet({literal(str(old))}, file_row_number = true)"
        )
        self.stored = {name: kind for name, kind, *_ in connection.execute("DESCRIBE stored").fetchall()}

    def into(self, target: Path) -> Built:
        """Check, count, and write the version file."""
        self._check_types()
        self._check_key()
        types = self._types()
        self._type_rows(types)
        counts = self._counts()
        text = self._replaced(types) if self.replace else self._upserted(types)
        rows = _copy(self.connection, text, target, {"now": datetime.now(UTC).replace(tzinfo=None)})
        return Built(rows, self.dataset.next_row + self._number("SELECT count(*) FROM latest"), counts)

    def _key(self) -> str | None:
        if ":id" in self.sent:
            return ":id"
        return self.dataset.row_identifier

    def _check_types(self) -> None:
        """Find the first cell of each column that is there but cannot be read."""
        checked = [column for column in self.columns if column.kind is not Kind.TEXT]
        if not checked:
            return
        wrong = [
            f"min({quoted(ORDER)}) FILTER (WHERE nullif(trim({quoted(column.field)}), '') IS NOT NULL"
            f" AND ({reading(column.kind, quoted(column.field))}) IS NULL)"
            for column in checked
        ]
        found = self.connection.execute(f"SELECT {', '.join(wrong)} FROM raw").fetchone() or ()
        for column, row in zip(checked, found, strict=True):
            if row is not None:
                raise column_maltyped(column.field, column.kind.value, row)

    def _check_key(self) -> None:
        if self.key is None:
            return
        if self.key not in self.sent:
            raise problem(400, "soda.row.missing-identifier", f"Each row needs its row identifier, {self.key}")
        row = self._number(f"SELECT min({quoted(ORDER)}) FROM raw WHERE nullif({quoted(self.key)}, '') IS NULL")
        if row is not None and self.key != ":id":
            message = f"Row {row} lacks its row identifier, {self.key}"
            raise problem(400, "soda.row.missing-identifier", message, row_index=row)

    def _types(self) -> dict[str, str]:
        """The stored type of each column, numbers as wide as their values need."""
        return {
            column.field: self._width(column) if column.kind is Kind.NUMBER else storage(column.kind)
            for column in self.dataset.columns
        }

    def _width(self, column: Column) -> str:
        width = self._stored_width(column.field).joined(self._sent_width(column.field))
        if not width.fits:
            message = f"Column {column.field} would need numbers of more than 38 digits"
            raise problem(400, "soda.column.maltyped", message, column=column.field, type="number")
        return width.sql

    def _stored_width(self, field: str) -> Reading:
        if self.replace or field not in self.stored:
            return Reading()
        found = _DECIMAL.match(self.stored[field])
        largest = self._number(f"SELECT max(abs({quoted(field)})) FROM stored")
        return Reading(len(str(int(largest or 0))), int(found[1]) if found else 0)

    def _sent_width(self, field: str) -> Reading:
        if field not in self.sent:
            return Reading()
        text = f"trim({quoted(field)})"
        whole = f"max(length(regexp_extract({text}, '^[-+]?0*([0-9]*)', 1)))"
        scale = f"max(length(regexp_extract({text}, '\\.([0-9]*?)0*$', 1)))"
        found = self.connection.execute(f"SELECT {whole}, {scale} FROM raw").fetchone() or (0, 0)
        return Reading(max(1, found[0] or 0), found[1] or 0)

    def _type_rows(self, types: dict[str, str]) -> None:
        """`typed`: the sent rows as values; `latest`: the last of those that share a key."""
        selected = [quoted(ORDER), f"{self._deleted()} AS {quoted(DELETED)}"]
        selected += [
            f"CAST({reading(column.kind, quoted(column.field))} AS {types[column.field]}) AS {quoted(column.field)}"
            for column in self.columns
        ]
        selected += [quoted(name) for name in self.sent if name.startswith(HAS) or name == ":id"]
        self.connection.execute(f"CREATE TEMP TABLE typed AS SELECT {', '.join(selected)} FROM raw")
        last = ""
        if self.key:
            alone = f"coalesce({quoted(self.key)}::VARCHAR, {quoted(ORDER)}::VARCHAR)"
            last = f" QUALIFY row_number() OVER (PARTITION BY {alone} ORDER BY {quoted(ORDER)} DESC) = 1"
        self.connection.execute(f"CREATE TEMP TABLE latest AS SELECT * FROM typed{last}")

    def _deleted(self) -> str:
        return f"coalesce(lower({quoted(DELETED)}) IN ('true', '1'), false)" if DELETED in self.sent else "false"

    def _counts(self) -> Counts:
        """Count what the write does; of rows that share a key each but the last counts as updated before it."""
        total = self._number("SELECT count(*) FROM typed")
        if self.replace:
            return Counts(created=self._number('SELECT count(*) FROM latest WHERE NOT ":deleted"'))
        if not self.key:
            gone = self._number('SELECT count(*) FROM typed WHERE ":deleted"')
            return Counts(created=total - gone, errors=gone)
        matched = f"{quoted(self.key)} IN (SELECT {quoted(self.key)} FROM stored)"
        found = self.connection.execute(
            f"""
            SELECT count(*) FILTER (WHERE ":deleted" AND {matched}),
                   count(*) FILTER (WHERE ":deleted" AND NOT {matched}),
                   count(*) FILTER (WHERE NOT ":deleted" AND {matched}), count(*) FROM latest
            """
        ).fetchone()
        deleted, absent, updated, rows = found or (0, 0, 0, 0)
        created = rows - deleted - absent - updated
        if self.key == ":id":
            return Counts(0, updated, deleted, absent + created, by_sid=updated + deleted)
        updated += total - rows
        return Counts(created, updated, deleted, absent, by_row_identifier=updated + deleted)

    def _upserted(self, types: dict[str, str]) -> str:
        """SQL for the stored rows, changed where sent, followed by the new ones."""
        key = quoted(self.key) if self.key else None
        join = f"LEFT JOIN latest ON latest.{key} = stored.{key}" if key else "LEFT JOIN latest ON false"
        changed = [f"{self._changed(column, types)} AS {quoted(column.field)}" for column in self.dataset.columns]
        new = f"{key} IS NULL OR {key} NOT IN (SELECT {key} FROM stored)" if key else "true"
        if self.key == ":id":
            new = "false"
        return f"""
            SELECT * EXCLUDE (":place") FROM (
                SELECT stored.file_row_number AS ":place", stored.":id", stored.":created_at",
                    CASE WHEN latest.{quoted(ORDER)} IS NULL THEN stored.":updated_at" ELSE $now END AS ":updated_at",
                    {", ".join(changed)}
                FROM stored {join} WHERE latest.":deleted" IS NOT TRUE
                UNION ALL
                {self._fresh(types)} FROM latest WHERE NOT ":deleted" AND ({new})
            ) ORDER BY ":place"
            """

    def _replaced(self, types: dict[str, str]) -> str:
        """SQL for the sent rows alone; a row whose identifier was there before keeps its `:id`."""
        if not self.key or self.key == ":id":
            fresh = self._fresh(types)
            return f'SELECT * EXCLUDE (":place") FROM ({fresh} FROM latest WHERE NOT ":deleted") ORDER BY ":place"'
        values = [
            f"{self._sent(column, types, 'latest.')} AS {quoted(column.field)}" for column in self.dataset.columns
        ]
        return f"""
            SELECT coalesce(stored.":id", {row_id(self._next("latest."))}) AS ":id",
                coalesce(stored.":created_at", $now) AS ":created_at", $now AS ":updated_at", {", ".join(values)}
            FROM latest LEFT JOIN stored ON latest.{quoted(self.key)} = stored.{quoted(self.key)}
            WHERE NOT latest.":deleted" ORDER BY latest.{quoted(ORDER)}
            """

    def _fresh(self, types: dict[str, str]) -> str:
        values = [f"{self._sent(column, types)} AS {quoted(column.field)}" for column in self.dataset.columns]
        place = f'9000000000000000 + {quoted(ORDER)} AS ":place"'
        identifier = f'{row_id(self._next())} AS ":id"'
        return f'SELECT {place}, {identifier}, $now AS ":created_at", $now AS ":updated_at", {", ".join(values)}'

    def _next(self, table: str = "") -> str:
        return f"{self.dataset.next_row} + row_number() OVER (ORDER BY {table}{quoted(ORDER)}) - 1"

    def _sent(self, column: Column, types: dict[str, str], table: str = "") -> str:
        there = column.field in self.sent
        return f"{table}{quoted(column.field)}" if there else f"NULL::{types[column.field]}"

    def _changed(self, column: Column, types: dict[str, str]) -> str:
        name = quoted(column.field)
        kept = f"CAST(stored.{name} AS {types[column.field]})" if column.field in self.stored else "NULL"
        if column.field not in self.sent:
            return f"CAST({kept} AS {types[column.field]})"
        named = f"latest.{quoted(HAS + column.field)}" if HAS + column.field in self.sent else "true"
        return f"CASE WHEN latest.{quoted(ORDER)} IS NOT NULL AND {named} THEN latest.{name} ELSE {kept} END"

    def _number(self, text: str) -> Any:
        found = self.connection.execute(text).fetchone()
        return found[0] if found else None


def _copy(connection: duckdb.DuckDBPyConnection, text: str, target: Path, values: dict[str, Any] | None = None) -> int:
    """Write the rows of a SELECT to `target`, whole or not at all, durable on return; gives their number."""
    beside = target.with_suffix(".tmp")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        copied = connection.execute(
            f"COPY ({text}) TO {literal(str(beside))} (FORMAT parquet, COMPRESSION zstd)", values
        )
        rows = int((copied.fetchone() or (0,))[0])
    except (duckdb.ConversionException, duckdb.OutOfRangeException):
        beside.unlink(missing_ok=True)
        raise invalid("A value does not fit its column") from None
    _sync(beside)
    beside.replace(target)
    _sync(target.parent)
    return rows


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
