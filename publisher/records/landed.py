"""The reading side: the landed records of a period, resolved by the source's delivery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from publisher.errors import SourceError
from publisher.records import columns, sql
from publisher.records.batch import Shelf, basis

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date
    from pathlib import Path

    from publisher.records.batch import Batch
    from publisher.workspace import SourceFile


@dataclass(frozen=True)
class Raw:
    """A SELECT of the landed records whose event time lies in a period, and where they come from."""

    sql: str
    parameters: list[object]
    fingerprint: str
    """Of the boundaries and address lists by which the records were placed."""
    generated: bool
    """Some of the records are stand-ins."""
    batches: tuple[str, ...]
    """The batches that were looked at, in the order of landing."""


def raw(source: SourceFile, private: Path, start: date, end: date) -> Raw:
    """The records with `start <= _event < end`, one row each, with the columns of `columns.landed_types`.

    Raises SourceError when nothing has been landed, or not as the source is now defined.
    """
    shelf = Shelf(private, source.name)
    batches = _current(source, shelf)
    if source.definition.delivery == "snapshot":
        batches = batches[-1:]
    first, last = start.strftime("%Y-%m"), (end - timedelta(days=1)).strftime("%Y-%m")
    files = {batch.batch: shelf.files(batch, first, last) for batch in batches}
    parameters: list[object] = [start, end]
    if not any(files.values()):
        select, parameters = _nothing(source), []
    elif source.definition.delivery == "changes":
        select = _newest(source, shelf, files, batches)
    else:
        select = _within(source, sql.parquet(path for paths in files.values() for path in paths))
    names = tuple(batch.batch for batch in batches)
    return Raw(select, parameters, batches[0].fingerprint, any(batch.generated for batch in batches), names)


def _current(source: SourceFile, shelf: Shelf) -> tuple[Batch, ...]:
    batches = shelf.batches()
    if not batches:
        raise SourceError(f"{source.name}: nothing has been landed: run `publisher land`")
    if any(batch.basis != basis(source.definition) for batch in batches):
        raise SourceError(f"{source.name}: was landed under an earlier definition: run `publisher land`")
    if len({batch.fingerprint for batch in batches}) > 1:
        raise SourceError(f"{source.name}: was placed by different boundaries: run `publisher land`")
    return batches


def _within(source: SourceFile, rows: str) -> str:
    return f"SELECT {_names(source)} FROM {rows} WHERE _event >= ? AND _event < ?"


def _newest(source: SourceFile, shelf: Shelf, files: dict[str, list[Path]], batches: Iterable[Batch]) -> str:
    """Of each record the row of its latest batch, which may have moved it to another month."""
    versions, chosen = [], []
    for number, batch in enumerate(batches):
        if everything := shelf.files(batch):
            versions.append(f"SELECT _record, {number} AS _batch FROM {sql.parquet(everything)}")
        if files[batch.batch]:
            chosen.append(f"SELECT *, {number} AS _batch FROM {sql.parquet(files[batch.batch])}")
    newest = f"SELECT _record, max(_batch) AS _batch FROM ({' UNION ALL '.join(versions)}) GROUP BY _record"
    return _within(source, f"({' UNION ALL '.join(chosen)}) SEMI JOIN ({newest}) USING (_record, _batch)")


def _nothing(source: SourceFile) -> str:
    types = columns.landed_types(source.definition).items()
    return f"SELECT {', '.join(f'CAST(NULL AS {kind}) AS {sql.name(column)}' for column, kind in types)} WHERE false"


def _names(source: SourceFile) -> str:
    return ", ".join(sql.name(column) for column in columns.landed_types(source.definition))
