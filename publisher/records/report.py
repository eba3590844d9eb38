"""The private report of a landing: the only place with exact counts of records."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from publisher import encryption
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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


def reported(private: Path, source: str) -> dict[str, BatchReport]:
    """What earlier reports say of each batch; the newest counts. A damaged report says nothing."""
    from pydantic import TypeAdapter

    paths = [path for kind in ("landing", "counted") for path in folder(private, source).glob(f"{kind}-*.json")]
    found: dict[str, BatchReport] = {}
    for each in sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name)):
        try:
            batches = TypeAdapter(tuple[BatchReport, ...]).validate_python(
                json.loads(encryption.read_file(each))["batches"]
            )
        except (OSError, ValueError, TypeError, KeyError, SourceError):
            continue
        found |= {batch.batch: batch for batch in batches}
    return found


def batches_of(path: Path) -> set[str] | None:
    """The batches that a report is about; None if it is about none, or damaged."""
    try:
        return {str(batch["batch"]) for batch in json.loads(encryption.read_file(path))["batches"]}
    except (OSError, ValueError, TypeError, KeyError, SourceError):
        return None
