"""The private report of a landing: the only place with exact counts of records."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from publisher import durable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


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


def path(private: Path, source: str, batches: Sequence[BatchReport]) -> Path:
    """The report of one landing, named by its first batch."""
    return private / "reports" / source / f"landing-{batches[0].batch}.json"


def write(private: Path, source: str, batches: Sequence[BatchReport]) -> None:
    """Write or complete the report of one landing."""
    target = path(private, source, batches)
    target.parent.mkdir(parents=True, exist_ok=True)
    content = {"source": source, "batches": [asdict(batch) for batch in batches]}
    durable.write_file(target, json.dumps(content, indent=2).encode() + b"\n")
