"""The reading side: the landed records of a period, by the source's delivery and its policy for late records."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from publisher.definitions.vintage import Vintage
from publisher.duck import literal, quoted
from publisher.errors import SourceError
from publisher.records import columns, sql
from publisher.records.batch import basis, by_receipt, two_ways
from publisher.records.purging import deleted, is_stub, refuse_if_purged
from publisher.records.shelves import batches_of, receipts_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from publisher.copies import LandedCopies
    from publisher.records.batch import Batch, BatchStore
    from publisher.records.receipts import Receipts
    from publisher.workspace import SourceFile


_TOGETHER = 1_000_000
"""How many rows one part has at least, unless there are no more files."""


@dataclass(frozen=True)
class LandedSelect:
    """A SELECT of the landed records whose event time is in a period, and where they come from."""

    sql: str
    parameters: list[object]
    fingerprint: str
    """The fingerprint of the boundaries and address lists that the records were placed by."""
    generated: bool
    """True if some of the records are stand-ins."""


@dataclass(frozen=True)
class LandedPart:
    """A SELECT of the rows of one landed file, or of some small ones, and how many there are at most."""

    sql: str
    rows: int


@dataclass(frozen=True)
class LandedParts:
    """The rows of `raw` in parts. `columns` are those of the parts, with their DuckDB types.

    Where newer files change records, the parts have every version of a record with its `_batch`, and `latest` makes the
    rows of `raw` of all versions of some records: a SELECT with {rows} where FROM names them. Otherwise it is empty.
    `parameters` are the bound values of `latest` or, if it is empty, of each part.
    """

    parts: tuple[LandedPart, ...]
    columns: dict[str, str]
    parameters: tuple[object, ...]
    latest: str = ""


def raw(
    source: SourceFile,
    private: Path,
    start: date,
    end: date,
    *,
    vintage: Vintage | None = None,
    copies: LandedCopies | None = None,
) -> LandedSelect:
    """The records with `start <= _event < end`, one row each, with the columns of `columns.landed_types`.

    With a policy for late records, they are given as they were before the vintage's cutoff: batches received later are
    not read. The column `_vintage` (SMALLINT) is then the number of the first vintage whose cutoff is after the day of
    the record's first receipt; `_event` is that day under `freeze`, and the event time of the record's first version
    under `increment`.
    Raises SourceError when nothing has been landed, or not as the source is now defined, when no batch was received
    before the cutoff, or when records of the period were purged.
    """
    landed, period = _landed(source, private, start, end, vintage, copies), (start, end)
    return LandedSelect(landed.counted(landed.versions), [*period], landed.fingerprint, landed.generated)


def in_parts(
    source: SourceFile,
    private: Path,
    start: date,
    end: date,
    *,
    vintage: Vintage | None = None,
    copies: LandedCopies | None = None,
) -> LandedParts:
    """The rows of `raw` for workers that each read some of the files. Raises what `raw` raises."""
    landed, period = _landed(source, private, start, end, vintage, copies), (start, end)
    versions, types = landed.versions, columns.landed_types(source.definition)
    if source.definition.delivery == "changes":
        parts = [
            LandedPart(
                f"SELECT {_names(source)}, CAST({number} AS BIGINT) AS _batch FROM {versions.shelf.scan(paths)}", rows
            )
            for place, batch in enumerate(versions.batches)
            for number, files in versions.numbered(place, batch)
            for paths, rows in _together(versions.shelf, files)
        ]
        newest = "SELECT _record, max(_batch) AS _batch FROM {rows} GROUP BY _record"
        given = f"(FROM {{rows}} WHERE _batch % 2 = 0) AS _versions SEMI JOIN ({newest}) USING (_record, _batch)"
        return LandedParts(
            tuple(parts), types | {"_batch": "BIGINT"}, period, landed.counted(replace(versions, given=given))
        )
    parts = [
        LandedPart(landed.counted(replace(versions, batches=batches, given=versions.shelf.scan(paths))), rows)
        for batches, files in landed.files()
        for paths, rows in _together(versions.shelf, files)
    ]
    return LandedParts(tuple(parts), types, period)


@dataclass(frozen=True)
class _Landed:
    """What is landed of a period, and how its rows are counted."""

    versions: _Versions
    receipts: Receipts
    days: dict[str, date]
    vintage: Vintage
    start: date
    end: date
    fingerprint: str

    @property
    def generated(self) -> bool:
        """Whether some of the records are stand-ins."""
        return any(batch.generated for batch in self.versions.batches)

    def counted(self, versions: _Versions) -> str:
        """The rows in the period by the policy's event time."""
        source = versions.source
        if source.definition.late is None:
            return _within(source, versions.rows(*_months(self.start, self.end)))
        return _of_vintage(source, self.vintage, _received(versions, self.receipts, self.days, self.start, self.end))

    def files(self) -> Iterator[tuple[tuple[Batch, ...], list[Path]]]:
        """The files that have the rows, of batches that are read alike."""
        definition, batches, shelf = self.versions.source.definition, self.versions.batches, self.versions.shelf
        late = definition.late
        months = _months(self.start, self.end)
        if late is None:
            yield batches, [path for batch in batches for path in shelf.files(batch, *months)]
            return
        moves = late.policy == "freeze" or (late.policy == "increment" and definition.delivery != "append")
        for batch in batches:
            yield (batch,), shelf.files(batch, *(() if moves else months))


def _landed(
    source: SourceFile, private: Path, start: date, end: date, vintage: Vintage | None, copies: LandedCopies | None
) -> _Landed:
    refuse_if_purged(source.name, private, start, end, f"{source.name} from {start} to {end - timedelta(days=1)}")
    shelf = batches_of(private, source.name, copies)
    if source.definition.delivery != "changes":  # which needs them until they are gone: the newest version decides
        shelf.hidden = deleted(private, source)
    landed, days = _current(source, shelf), {}
    receipts = receipts_of(private, source.name, basis(source.definition), landed[0].pseudonyms, copies)
    vintage = vintage or Vintage(1, (date.max,))
    fingerprint = landed[0].fingerprint
    if source.definition.late is not None:
        days = _days(source, receipts, landed)
        landed = by_receipt(batch for batch in landed if days[batch.sha256] < vintage.cutoff)
        if not landed:
            raise _too_early(source, vintage, start, end)
    versions = _Versions(source, shelf, _delivered(source, landed))
    return _Landed(versions, receipts, days, vintage, start, end, fingerprint)


def _together(shelf: BatchStore, files: Sequence[Path]) -> Iterator[tuple[list[Path], int]]:
    """Files with their number of rows: a large one by itself, small ones together."""
    paths: list[Path] = []
    rows = 0
    for path in files:
        paths.append(path)
        rows += shelf.rows(path)
        if rows >= _TOGETHER:
            yield paths, rows
            paths, rows = [], 0
    if paths:
        yield paths, rows


@contextmanager
def of_batches(
    source: SourceFile, private: Path, names: Collection[str], copies: LandedCopies | None = None
) -> Iterator[str]:
    """A SELECT of the records of some batches that have an event time, as `raw` gives them, but their `_record` is the
    name of their batch. Raises SourceError."""
    shelf = batches_of(private, source.name, copies)
    files = [path for batch in shelf.batches() if batch.batch in names for path in shelf.files(batch)]
    vintage = ", CAST(1 AS SMALLINT) AS _vintage" if source.definition.late is not None else ""
    batch = "CAST(split_part(_path, '/', -3) AS UUID)"
    with shelf.reading(files) as there:
        rows = sql.parquet(there, named=True) if there else f"(SELECT *, '//' AS _path FROM {_nothing(source)})"
        landed = f"SELECT * REPLACE ({batch} AS _record) FROM {rows}"
        yield f"SELECT {_names(source)}{vintage} FROM ({landed}) WHERE _event IS NOT NULL"


@dataclass(frozen=True)
class _Versions:
    """The batches of a source that are read, and the row of each record that counts."""

    source: SourceFile
    shelf: BatchStore
    batches: tuple[Batch, ...]
    given: str = ""
    """SQL for FROM with rows that are read instead."""

    def rows(self, first: str = "", last: str = "~") -> str:
        """SQL for FROM: the rows in the partitions of these months."""
        if self.given:
            return self.given
        files = {batch.batch: self.shelf.files(batch, first, last) for batch in self.batches}
        files = {batch: [path for path in paths if not is_stub(path)] for batch, paths in files.items()}
        if not any(files.values()):
            return _nothing(self.source)
        if self.source.definition.delivery == "changes":
            return self._newest(files)
        return self.shelf.scan([path for paths in files.values() for path in paths])

    def numbered(self, place: int, batch: Batch) -> Iterator[tuple[int, list[Path]]]:
        """The batch's files by their place in the order: its rows, and after them its ids of purged rows, which decide
        that an older version does not count and never count themselves: under `increment` the day is another's."""
        split: tuple[list[Path], list[Path]] = [], []
        for path in self.shelf.files(batch):
            split[is_stub(path)].append(path)
        yield from ((2 * place + kind, paths) for kind, paths in enumerate(split) if paths)

    def _newest(self, files: dict[str, list[Path]]) -> str:
        """The row of each record from its latest batch, which may have moved it to another month."""
        versions, chosen = [], []
        for place, batch in enumerate(self.batches):
            chosen_here = set(files[batch.batch])
            for number, everything in self.numbered(place, batch):
                versions.append(f"SELECT _record, {number} AS _batch FROM {self.shelf.scan(everything)}")
                if number % 2 == 0 and (there := [path for path in everything if path in chosen_here]):
                    chosen.append(f"SELECT *, {number} AS _batch FROM {self.shelf.scan(there)}")
        newest = f"SELECT _record, max(_batch) AS _batch FROM ({' UNION ALL '.join(versions)}) GROUP BY _record"
        return f"({' UNION ALL '.join(chosen)}) SEMI JOIN ({newest}) USING (_record, _batch)"


def _current(source: SourceFile, shelf: BatchStore) -> tuple[Batch, ...]:
    batches = shelf.batches()
    if not batches:
        raise SourceError(f"{source.name}: nothing has been landed: run `publisher land`")
    if {batch.basis for batch in batches} != {basis(source.definition)}:
        raise SourceError(f"{source.name}: was landed under an earlier definition: run `publisher land`")
    if len({batch.pseudonyms for batch in batches}) > 1:
        raise two_ways(source.name)
    if len({batch.fingerprint for batch in batches}) > 1:
        raise SourceError(f"{source.name}: was placed by different boundaries: run `publisher land`")
    return batches


def _delivered(source: SourceFile, batches: tuple[Batch, ...]) -> tuple[Batch, ...]:
    return batches[-1:] if source.definition.delivery == "snapshot" else batches


def _days(source: SourceFile, receipts: Receipts, batches: Sequence[Batch]) -> dict[str, date]:
    days = receipts.days()
    if any(batch.sha256 not in days or not receipts.has(batch.batch) for batch in batches):
        raise SourceError(f"{source.name}: was landed before it had a policy for late records: run `publisher land`")
    late, unit = source.definition.late, source.definition.privacy.unit
    if late is not None and late.policy == "increment" and unit != "record":
        _refuse_gaps(source, receipts.batches() - {batch.batch for batch in batches})
    return days


def _too_early(source: SourceFile, vintage: Vintage, start: date, end: date) -> SourceError:
    """The refusal of an edition that would be only noise, at full price."""
    return SourceError(
        f"{source.name}: no file was received before {vintage.cutoff}, the cutoff of scheduled edition "
        f"{vintage.number} of {len(vintage.cutoffs)} for the period from {start} to {end - timedelta(days=1)}, so it "
        "would have no record. Set the dataset's `first` to a later period; or, if the file names say when the files "
        "were received, set `late.received` before they are landed; or release the past without [late]. Nothing was "
        "read or spent."
    )


def _refuse_gaps(source: SourceFile, gone: set[str]) -> None:
    """Refuse if batches that earlier editions counted are gone: what they counted of people limits the next edition."""
    if gone:
        raise SourceError(
            f"{source.name}: batches that earlier editions have counted are gone: {', '.join(sorted(gone))}: restore "
            "them, or put their files back and run `publisher land`"
        )


def _received(versions: _Versions, receipts: Receipts, days: dict[str, date], start: date, end: date) -> str:
    """SQL for FROM: rows with `_received`, the day of the record's first receipt, and `_first`, its event time then.

    If feeds only append, the batch that has a record is its first.
    """
    definition = versions.source.definition
    policy = definition.late.policy if definition.late else None
    if definition.delivery != "append":
        # A corrected record may be in another month than the one it counts in.
        rows = versions.rows(*(_months(start, end) if policy == "charge" else ()))
        return f"(SELECT * FROM {rows}) JOIN {receipts.known()} USING (_record)"
    by_day, months = [], () if policy == "freeze" else _months(start, end)
    for day in sorted({days[batch.sha256] for batch in versions.batches}):
        if policy == "freeze" and day < start:
            continue
        batches = tuple(batch for batch in versions.batches if days[batch.sha256] == day)
        rows = replace(versions, batches=batches).rows(*months)
        by_day.append(f"SELECT *, DATE {literal(day.isoformat())} AS _received, _event AS _first FROM {rows}")
    nothing = f"SELECT *, NULL::DATE AS _received, NULL::TIMESTAMP AS _first FROM {_nothing(versions.source)}"
    return f"({' UNION ALL BY NAME '.join(by_day) or nothing})"


def _of_vintage(source: SourceFile, vintage: Vintage, rows: str) -> str:
    """The rows in the period by the policy's event time, with their vintage."""
    late = source.definition.late
    event = {"freeze": "_received::TIMESTAMP", "increment": "_first"}.get(late.policy if late else "", "_event")
    number = " + ".join(f"(_received >= DATE {literal(day.isoformat())})::SMALLINT" for day in vintage.cutoffs)
    dated = f"SELECT * REPLACE ({event} AS _event), CAST(1 + {number} AS SMALLINT) AS _vintage FROM {rows}"
    names = f"{_names(source)}, _vintage"
    return f"SELECT {names} FROM ({dated}) WHERE _event >= ? AND _event < ? AND _vintage <= {vintage.number}"


def _within(source: SourceFile, rows: str) -> str:
    return f"SELECT {_names(source)} FROM {rows} WHERE _event >= ? AND _event < ?"


def _nothing(source: SourceFile) -> str:
    types = columns.landed_types(source.definition).items()
    cells = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(column)}" for column, kind in types)
    return f"(SELECT {cells} WHERE false)"


def _months(start: date, end: date) -> tuple[str, str]:
    """The first and the last month partition of a period."""
    return start.strftime("%Y-%m"), (end - timedelta(days=1)).strftime("%Y-%m")


def _names(source: SourceFile) -> str:
    return columns.names(source.definition)
