"""Versions: the rows of a dataset as a folder of immutable Parquet parts, and how the next version is made.

A part that a write does not change is the same file in both versions (a hard link), so a write costs what it changes.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq

from publisher.portal.base.durable import sync
from publisher.portal.base.kinds import Kind, Reading, reading, storage
from publisher.portal.base.model import SYSTEM
from publisher.portal.base.problems import column_maltyped, invalid, problem
from publisher.portal.base.sql import literal, quoted
from publisher.portal.store.catalog import ALPHABET
from publisher.portal.store.incoming import DELETED, HAS, ORDER
from publisher.portal.store.parts import listed, write_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from publisher.portal.base.model import PortalColumn, PortalDataset

logger = logging.getLogger(__name__)

GROUP = 61_440
"""Rows per row group."""
PART = 2 * GROUP
"""Rows per part; new rows are added to the last part until it is full."""

THREADS = max(1, (os.cpu_count() or 1) // 2)
"""Threads of one write: the other half of the processors is left to readers."""

_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


@dataclass(frozen=True, slots=True)
class WriteCounts:
    """How many rows a write created, updated, and deleted."""

    created: int = 0
    updated: int = 0
    deleted: int = 0
    errors: int = 0
    by_row_identifier: int = 0
    by_sid: int = 0

    def soda(self) -> dict[str, int]:
        """The counters in the format that clients read."""
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
    """A complete version on disk."""

    rows: int
    next_row: int
    counts: WriteCounts


def parts(files: Sequence[Path]) -> str:
    """SQL for the rows of these parts; `file_index` and `file_row_number` are the place of each row."""
    return f"read_parquet([{', '.join(literal(str(file)) for file in files)}], hive_partitioning = false)"


PLACE = "((file_index::BIGINT << 32) + file_row_number)"
"""SQL for a row's place in the rows of `parts`."""


def row_id(number: str) -> str:
    """SQL for the `:id` of the row with this number. A larger number's `:id` sorts after a smaller one's.

    The rows of a version are in the order of their `:id`, which is the order that paging clients use.
    """
    letters = [f"substr('{ALPHABET}', ((({number})::BIGINT >> {5 * k}) & 31)::INT + 1, 1)" for k in range(11, -1, -1)]
    return f"concat('row-', {', '.join(letters[:4])}, '.', {', '.join(letters[4:8])}, '~', {', '.join(letters[8:])})"


def create(target: Path, columns: tuple[PortalColumn, ...]) -> None:
    """Write the version of a dataset that has no rows yet."""
    selected = [f"NULL::{storage(column.kind)} AS {quoted(column.field)}" for column in (*SYSTEM, *columns)]
    with closing(duckdb.connect()) as connection:
        folder = _Folder(connection, target)
        folder.write(f"SELECT {', '.join(selected)} WHERE false")
        folder.finish()


def adopt(target: Path, old: Sequence[Path]) -> None:
    """Write a version with the same rows as another dataset."""
    with closing(duckdb.connect()) as connection:
        folder = _Folder(connection, target)
        for part in old:
            folder.keep(part)
        folder.finish()


def texts(files: Sequence[Path], columns: Sequence[PortalColumn], target: Path, *, identified: bool) -> None:
    """Write the rows as texts to one Parquet file that `build` can read; with their `:id` if `identified`."""
    selected = [f"{quoted(column.field)}::VARCHAR AS {quoted(column.field)}" for column in columns]
    selected += ['":id"'] if identified else []
    with closing(duckdb.connect()) as connection:
        connection.execute(
            f"COPY (SELECT {', '.join(selected)}, {PLACE} AS {quoted(ORDER)} FROM {parts(files)})"
            f" TO {literal(str(target))} (FORMAT parquet)"
        )


def build(target: Path, dataset: PortalDataset, old: Sequence[Path], sent: pa.Table | Path, *, replace: bool) -> Built:
    """Write to `target` the next version after `old`, in which the rows of `sent` are upserted or replace all rows.

    `sent`: texts by field, with `:order`; a table, or a Parquet file with one. Without rows, an upsert only updates the
    columns. Raises SodaError if a cell cannot be read as its column's type, or a row has no identifier.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    spill = str(target.parent / "spill")
    with closing(duckdb.connect(config={"temp_directory": spill, "threads": THREADS})) as connection:
        try:
            return _Write(connection, dataset, tuple(old), sent, replace).into(target)
        except duckdb.OutOfMemoryException:
            raise problem(
                503, "soda.write.too-large", "The write does not fit in memory. Send fewer rows at a time."
            ) from None
        finally:
            shutil.rmtree(_beside(target), ignore_errors=True)  # where it has failed, perhaps because the disk is full


def _beside(target: Path) -> Path:
    """Where a version is written before it has its name."""
    return target.with_suffix(".tmp")


class _Folder:
    """A version being written: its parts in order, written completely or not at all, durable once finished."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, target: Path) -> None:
        self._connection = connection
        self._target = target
        self._beside = _beside(target)
        self._count = 0
        self._digests: dict[str, str] = {}
        """The digests of the parts that came from another version, by their new name."""
        self.rows = 0
        """How many rows the parts have so far."""
        shutil.rmtree(self._beside, ignore_errors=True)
        self._beside.mkdir(mode=0o700, parents=True)

    @property
    def empty(self) -> bool:
        """True if no part was written yet."""
        return self._count == 0

    def _next(self) -> Path:
        self._count += 1
        return self._beside / f"{self._count:05}.parquet"

    def keep(self, part: Path) -> None:
        """Link a part unchanged."""
        file = self._next()
        try:
            os.link(part, file)
        except OSError:  # a file system without hard links
            shutil.copy2(part, file)
            sync(file)
        known = (listed(part.parent) or {}).get(part.name)
        if known:
            self._digests[file.name] = known
        self.rows += pq.read_metadata(file).num_rows

    def write(self, text: str, values: dict[str, Any] | None = None) -> None:
        """Write the rows of a SELECT as one part."""
        file = self._next()
        try:
            copied = self._connection.execute(
                f"COPY ({text}) TO {literal(str(file))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {GROUP})",
                values,
            )
            self.rows += int((copied.fetchone() or (0,))[0])
        except (duckdb.ConversionException, duckdb.OutOfRangeException):
            raise invalid("A value does not fit its column") from None
        sync(file)

    def finish(self) -> None:
        """List the parts with their hashes, sync the folder, and give the version its final name."""
        sync(write_list(self._beside, self._digests))
        sync(self._beside)
        shutil.rmtree(self._target, ignore_errors=True)
        self._beside.rename(self._target)
        sync(self._target.parent)


class _Write:
    """One write: checks the texts and makes the next version."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        dataset: PortalDataset,
        old: tuple[Path, ...],
        sent: pa.Table | Path,
        replace: bool,
    ) -> None:
        self.connection = connection
        self.dataset = dataset
        self.old = old
        self.replace = replace
        now = datetime.now(UTC).replace(tzinfo=None)
        # As answers show it: a client may ask for what was changed after the time that it has read.
        self.now = {"now": now.replace(microsecond=now.microsecond // 1000 * 1000)}
        if isinstance(sent, Path):
            connection.execute(f"CREATE VIEW raw AS SELECT * FROM {parts([sent])}")
        else:
            connection.register("raw", sent)
        self.sent = {name for name, *_ in connection.execute("DESCRIBE raw").fetchall()}
        self.columns = [column for column in dataset.columns if column.field in self.sent]
        self.empty = self._number("SELECT 1 FROM raw LIMIT 1") is None
        self.key = None if self.empty else self._key()
        connection.execute(f"CREATE VIEW stored AS SELECT *, file_index, file_row_number FROM {parts(old)}")
        self.stored = {
            name: kind for name, kind, *_ in connection.execute(f"DESCRIBE SELECT * FROM {parts(old)}").fetchall()
        }

    def into(self, target: Path) -> Built:
        """Check, count, and write the version."""
        self._check_types()
        self._check_key()
        types = self._types()
        self._type_rows(types)
        self._match()
        counts = self._counts()
        folder = _Folder(self.connection, target)
        write = self._write_replaced if self.replace else self._write_upserted
        rows = write(folder, types, counts)
        if folder.rows != rows:
            logger.error("a version of %d rows has %d and is not kept", rows, folder.rows)
            raise problem(503, "soda.write.failed", "The rows could not be written; nothing was changed")
        folder.finish()
        return Built(rows, self.dataset.next_row + self._number("SELECT count(*) FROM latest"), counts)

    def _key(self) -> str | None:
        if ":id" in self.sent:
            return ":id"
        return self.dataset.row_identifier

    def _check_types(self) -> None:
        """Raise an error for the first cell that has a value but cannot be read."""
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
            raise problem(
                400, "soda.row.missing-identifier", f"Each row needs a value for the row identifier, {self.key}"
            )
        row = self._number(f"SELECT min({quoted(ORDER)}) FROM raw WHERE nullif({quoted(self.key)}, '') IS NULL")
        if row is not None and self.key != ":id":
            message = f"Row {row} has no value for the row identifier, {self.key}"
            raise problem(400, "soda.row.missing-identifier", message, row_index=row)

    def _types(self) -> dict[str, str]:
        """The stored type of each column; numbers are as wide as their values need."""
        return {
            column.field: self._width(column) if column.kind is Kind.NUMBER else storage(column.kind)
            for column in self.dataset.columns
        }

    def _width(self, column: PortalColumn) -> str:
        sent = self._sent_width(column.field)
        there = None if self.replace else _DECIMAL.match(self.stored.get(column.field, ""))
        if there is None:
            width = sent
        else:
            digits, scale = int(there[1]), int(there[2])
            if sent.whole <= digits - scale and sent.scale <= scale:
                return there[0]
            largest = self._number(f"SELECT max(abs({quoted(column.field)})) FROM stored")
            width = sent.joined(Reading(len(str(int(largest or 0))), scale))
        if not width.fits:
            message = f"Column {column.field} would need numbers with more than 38 digits"
            raise problem(400, "soda.column.maltyped", message, column=column.field, type="number")
        return width.sql

    def _sent_width(self, field: str) -> Reading:
        if field not in self.sent:
            return Reading()
        text = f"trim({quoted(field)})"
        whole = f"max(length(regexp_extract({text}, '^[-+]?0*([0-9]*)', 1)))"
        scale = f"max(length(regexp_extract({text}, '\\.([0-9]*?)0*$', 1)))"
        found = self.connection.execute(f"SELECT {whole}, {scale} FROM raw").fetchone() or (0, 0)
        return Reading(max(1, found[0] or 0), found[1] or 0)

    def _type_rows(self, types: dict[str, str]) -> None:
        """Create `latest`: the sent rows as values; of rows with the same key, only the last."""
        selected = [quoted(ORDER), f"{self._deleted()} AS {quoted(DELETED)}"]
        selected += [
            f"CAST({reading(column.kind, quoted(column.field))} AS {types[column.field]}) AS {quoted(column.field)}"
            for column in self.columns
        ]
        selected += [quoted(name) for name in self.sent if name.startswith(HAS) or name == ":id"]
        chosen = "raw"
        if self.key:
            alone = f"coalesce({quoted(self.key)}::VARCHAR, {quoted(ORDER)}::VARCHAR)"
            last = f"SELECT max({quoted(ORDER)}) FROM raw GROUP BY {alone}"
            chosen = f"raw WHERE {quoted(ORDER)} IN ({last})"
        self.connection.execute(f"CREATE TEMP TABLE latest AS SELECT {', '.join(selected)} FROM {chosen}")

    def _deleted(self) -> str:
        return f"coalesce(lower({quoted(DELETED)}) IN ('true', '1'), false)" if DELETED in self.sent else "false"

    def _match(self) -> None:
        """Create `matched`: which sent row replaces which stored one, and where the stored one is."""
        key = self.dataset.column(self.key) if self.key else None
        there = self.key == ":id" or (key is not None and self._alike(key))
        condition = f"latest.{quoted(self.key)} = stored.{quoted(self.key)}" if self.key and there else "false"
        self.connection.execute(
            f"""
            CREATE TEMP TABLE matched AS
            SELECT latest.{quoted(ORDER)} AS sent, file_index AS part, file_row_number AS place
            FROM stored JOIN latest ON {condition}
            """
        )

    def _counts(self) -> WriteCounts:
        """Count what the write does; of rows with the same key, all but the last count as updated before it."""
        found = self.connection.execute(
            f"""
            SELECT count(*) FILTER (WHERE {quoted(DELETED)} AND matched.sent IS NOT NULL),
                   count(*) FILTER (WHERE {quoted(DELETED)} AND matched.sent IS NULL),
                   count(*) FILTER (WHERE NOT {quoted(DELETED)} AND matched.sent IS NOT NULL), count(*)
            FROM latest LEFT JOIN matched ON latest.{quoted(ORDER)} = matched.sent
            """
        ).fetchone()
        deleted, absent, updated, rows = found or (0, 0, 0, 0)
        created = rows - deleted - absent - updated
        if self.replace:
            return WriteCounts(created=created + updated)
        if self.key == ":id":
            return WriteCounts(0, updated, deleted, absent + created, by_sid=updated + deleted)
        updated += self._number("SELECT count(*) FROM raw") - rows
        return WriteCounts(created, updated, deleted, absent, by_row_identifier=updated + deleted if self.key else 0)

    def _write_upserted(self, folder: _Folder, types: dict[str, str], counts: WriteCounts) -> int:
        """Write the stored parts with the changes, then the new rows; returns the number of rows."""
        remaining = self._remaining(types)
        last = len(self.old) - 1
        room = counts.created > 0 and pq.read_metadata(self.old[last]).num_rows < PART
        for number, file in enumerate(self.old[: last if room else None]):
            if number not in remaining:
                folder.keep(file)
            elif remaining[number]:
                self._write_part(folder, self._changed_part(number, types), remaining[number])
        if room:
            kept = remaining.get(last, pq.read_metadata(self.old[last]).num_rows)
            both = f"{self._changed_part(last, types)} UNION ALL {self._fresh(types)}"
            self._write_part(folder, both, kept + counts.created)
        elif counts.created or folder.empty:
            self._write_part(folder, self._fresh(types), counts.created)
        return self.dataset.rows + counts.created - counts.deleted

    def _remaining(self, types: dict[str, str]) -> dict[int, int]:
        """The parts that must be written again, with the number of rows that each will keep."""
        found = self.connection.execute(
            f"""
            SELECT matched.part, count(*) FILTER (WHERE latest.{quoted(DELETED)})
            FROM matched JOIN latest ON latest.{quoted(ORDER)} = matched.sent GROUP BY matched.part
            """
        ).fetchall()
        deleted = dict(found)
        if {name: kind for name, kind in self.stored.items() if not name.startswith(":")} != types:
            deleted = dict.fromkeys(range(len(self.old)), 0) | deleted
        return {part: pq.read_metadata(self.old[part]).num_rows - gone for part, gone in deleted.items()}

    def _changed_part(self, number: int, types: dict[str, str]) -> str:
        """SQL for a stored part's rows, with the changes and without the deleted rows."""
        changed = [f"{self._changed(column, types)} AS {quoted(column.field)}" for column in self.dataset.columns]
        return f"""
            SELECT file_row_number AS ":place", stored.":id", stored.":created_at",
                CASE WHEN latest.{quoted(ORDER)} IS NULL THEN stored.":updated_at" ELSE $now END AS ":updated_at",
                {", ".join(changed)}
            FROM (SELECT *, file_row_number FROM {parts([self.old[number]])}) AS stored
            LEFT JOIN matched ON matched.part = {number} AND matched.place = stored.file_row_number
            LEFT JOIN latest ON latest.{quoted(ORDER)} = matched.sent
            WHERE latest.{quoted(DELETED)} IS NOT TRUE
            """

    def _fresh(self, types: dict[str, str]) -> str:
        """SQL for the sent rows that match no stored row."""
        values = [f"{self._sent(column, types)} AS {quoted(column.field)}" for column in self.dataset.columns]
        new = "false" if self.key == ":id" else f"NOT {quoted(DELETED)} AND matched.sent IS NULL"
        return f"""
            SELECT 9000000000000000 + latest.{quoted(ORDER)} AS ":place", {row_id(self._next())} AS ":id",
                $now AS ":created_at", $now AS ":updated_at", {", ".join(values)}
            FROM latest LEFT JOIN matched ON matched.sent = latest.{quoted(ORDER)} WHERE {new}
            """

    def _write_replaced(self, folder: _Folder, types: dict[str, str], counts: WriteCounts) -> int:
        """Write only the sent rows. A row that existed before keeps its `:id`, and its times if no value changed."""
        values = [f"{self._sent(column, types)} AS {quoted(column.field)}" for column in self.dataset.columns]
        same = " AND ".join(["matched.sent IS NOT NULL", *(self._same(column) for column in self.dataset.columns)])
        text = f"""
            SELECT coalesce(stored.":id", {row_id(self._next())}) AS ":id",
                coalesce(stored.":created_at", $now) AS ":created_at",
                CASE WHEN {same} THEN stored.":updated_at" ELSE $now END AS ":updated_at", {", ".join(values)}
            FROM latest LEFT JOIN matched ON matched.sent = latest.{quoted(ORDER)}
            LEFT JOIN stored ON stored.file_index = matched.part AND stored.file_row_number = matched.place
            WHERE NOT latest.{quoted(DELETED)}
            """
        self._write_part(folder, f'SELECT *, ":id" AS ":place" FROM ({text})', counts.created)
        return counts.created

    def _same(self, column: PortalColumn) -> str:
        """SQL that is true if a sent row and the stored one have the same value."""
        name = quoted(column.field)
        if column.field not in self.stored:
            return "true" if column.field not in self.sent else f"latest.{name} IS NULL"
        if not self._alike(column):
            return "false"
        return f"stored.{name} IS NOT DISTINCT FROM {f'latest.{name}' if column.field in self.sent else 'NULL'}"

    def _alike(self, column: PortalColumn) -> bool:
        """True if the stored values have the column's type, so that they can be compared."""
        stored: str = self.stored.get(column.field, "")
        return stored.startswith("DECIMAL") if column.kind is Kind.NUMBER else stored == storage(column.kind)

    def _write_part(self, folder: _Folder, text: str, rows: int) -> None:
        """Write rows in the order of `:place`, in several parts if there are many."""
        ordered = f'SELECT * EXCLUDE (":place") FROM ({text}) ORDER BY ":place"'
        if rows <= 2 * PART:
            folder.write(ordered, self.now)
            return
        numbered = f'SELECT *, row_number() OVER (ORDER BY ":place") - 1 AS ":n" FROM ({text})'
        self.connection.execute(f'CREATE TEMP TABLE written AS SELECT * EXCLUDE (":place") FROM ({numbered})', self.now)
        for begin in range(0, rows, PART):
            share = f'SELECT * FROM written WHERE ":n" BETWEEN {begin} AND {begin + PART - 1}'
            folder.write(f'SELECT * EXCLUDE (":n") FROM ({share}) ORDER BY ":n"')

    def _next(self) -> str:
        return f"{self.dataset.next_row} + row_number() OVER (ORDER BY latest.{quoted(ORDER)}) - 1"

    def _sent(self, column: PortalColumn, types: dict[str, str]) -> str:
        there = column.field in self.sent
        return f"latest.{quoted(column.field)}" if there else f"NULL::{types[column.field]}"

    def _changed(self, column: PortalColumn, types: dict[str, str]) -> str:
        name = quoted(column.field)
        kept = f"CAST(stored.{name} AS {types[column.field]})" if column.field in self.stored else "NULL"
        if column.field not in self.sent:
            return f"CAST({kept} AS {types[column.field]})"
        named = f"latest.{quoted(HAS + column.field)}" if HAS + column.field in self.sent else "true"
        return f"CASE WHEN latest.{quoted(ORDER)} IS NOT NULL AND {named} THEN latest.{name} ELSE {kept} END"

    def _number(self, text: str) -> Any:
        found = self.connection.execute(text).fetchone()
        return found[0] if found else None
