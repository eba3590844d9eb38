"""The private report of a landing: the only place with exact counts of records.

A landing has a report of its own until its month is over; then the reports of that month are one file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Literal

from publisher import encryption
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydantic import TypeAdapter

    from publisher.records.intake import RawFile
    from publisher.records.rows import LandingCounts

Kind = Literal["landing", "counted"]
"""What was landed, or counted again in one batch that was landed before."""

_READ = 50
"""A person reads the report of so many files, a program that of more."""


@dataclass(frozen=True)
class BatchReport:
    """Counts of one batch."""

    batch: str
    file: str
    unlisted: tuple[str, ...]
    """Columns, or keys of JSON objects, that are not declared; they were not read."""
    rows_read: int
    rejected: int
    """Records that could not be read: wrong length, broken quotes, bytes outside the encoding."""
    landed: int
    duplicates: int
    """Rows of a record that was already landed, from this file or an earlier one."""
    without_event_time: int
    without_unit: int
    unlocated: dict[str, int]
    empty: tuple[str, ...] = ()
    """Raw columns that no landed row has a value in."""
    other: dict[str, dict[str, int]] = field(default_factory=dict)
    """By dataset and key column: rows with a date whose key is not in the keyset."""
    payment: dict[str, int] = field(default_factory=dict)
    """By raw column: rows with a card or bank number."""
    refused: tuple[str, ...] = ()
    """Why the batch was refused, with the likely causes."""


def counted(batch: str, file: str, raw: RawFile, counts: LandingCounts) -> BatchReport:
    """What was counted of a batch while it was read and landed."""
    return BatchReport(
        batch=batch,
        file=file,
        unlisted=raw.unlisted + raw.keys,
        rows_read=raw.read,
        rejected=raw.rejected,
        landed=counts.landed,
        duplicates=raw.read - counts.landed,
        without_event_time=counts.without_event_time,
        without_unit=counts.without_unit,
        unlocated=counts.unlocated,
        empty=counts.empty,
        payment=raw.payment,
    )


def folder(private: Path, source: str) -> Path:
    """Where the reports of a source are."""
    return private / "reports" / source


def path(private: Path, source: str, batches: Sequence[BatchReport], kind: Kind = "landing") -> Path:
    """The report of one landing, named by its first batch."""
    return folder(private, source) / f"{kind}-{batches[0].batch}.json"


def write(private: Path, source: str, batches: Sequence[BatchReport], kind: Kind = "landing") -> None:
    """Write or complete the report of one landing."""
    target = path(private, source, batches, kind)
    target.parent.mkdir(parents=True, exist_ok=True)
    content = {"source": source, "batches": [vars(batch) for batch in batches]}
    indent = 2 if len(batches) <= _READ else None  # with it, Python takes ten times as long
    encryption.write_file(target, json.dumps(content, indent=indent).encode() + b"\n")


def write_whole(private: Path, source: str, batches: Sequence[BatchReport]) -> Path:
    """Write the report of one landing instead of those of its passes, and say where it is."""
    whole = path(private, source, batches)
    write(private, source, batches)
    for number in range(len(batches)):
        part = path(private, source, batches[number:])
        if part != whole:
            part.unlink(missing_ok=True)
    return whole


def gather(private: Path, source: str, now: datetime) -> None:
    """Bring the reports of each month that is over together in one file, which says of each batch what the newest one
    did. Whatever moment it is interrupted at, all is read as before; a damaged report stays as it is."""
    months: dict[Path, list[Path]] = {}
    for path in _single(private, source):
        written = f"{datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y-%m}"
        if written < f"{now:%Y-%m}":
            months.setdefault(folder(private, source) / f"months-{written}.json", []).append(path)
    for target, paths in months.items():
        read = {path: found for path in paths if (found := _reports(path)) is not None}
        before = _reports(target) if target.exists() else ()
        if not read or before is None:
            continue
        counts = {batch.batch: batch for found in (before, *read.values()) for batch in found}
        content = {"source": source, "batches": [vars(batch) for batch in counts.values()]}
        encryption.write_file(target, json.dumps(content).encode() + b"\n")
        for path in read:  # the oldest first: what is left counts before what is in the month's
            path.unlink()


def reported(private: Path, source: str) -> dict[str, BatchReport]:
    """What earlier reports say of each batch; the newest counts. A damaged report says nothing."""
    months = sorted(folder(private, source).glob("months-*.json"))
    return {batch.batch: batch for path in (*months, *_single(private, source)) for batch in _reports(path) or ()}


def _single(private: Path, source: str) -> list[Path]:
    """The reports of single landings, the newest last."""
    paths = [path for kind in ("landing", "counted") for path in folder(private, source).glob(f"{kind}-*.json")]
    return sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name))


def _reports(path: Path) -> tuple[BatchReport, ...] | None:
    """What a report says of its batches; None if it is damaged."""
    try:
        return _adapter().validate_python(json.loads(encryption.read_file(path))["batches"])
    except (OSError, ValueError, TypeError, KeyError, SourceError):
        return None


@cache
def _adapter() -> TypeAdapter[tuple[BatchReport, ...]]:
    from pydantic import TypeAdapter

    return TypeAdapter(tuple[BatchReport, ...])


def batches_of(path: Path) -> set[str] | None:
    """The batches that a report is about; None if it is about none, or damaged."""
    try:
        return {str(batch["batch"]) for batch in json.loads(encryption.read_file(path))["batches"]}
    except (OSError, ValueError, TypeError, KeyError, SourceError):
        return None
