"""The public ledger: `public/ledger.jsonl`, a line for each entry, for people outside who check what was spent.

Charges, what changes what they count, releases and decisions of reviewers are shown as they are; nothing in them comes
from records. Of all other entries the file has the kind, the time and the hash, so that the tree over them can be
computed and no charge can hide among them.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from publisher.definitions.model import Model
from publisher.durable import write_file, writing
from publisher.errors import PublisherError
from publisher.pipeline.reviews import AUTOMATIC, KINDS, TERMS
from publisher.privacy.chain import Row, payload_hash
from publisher.release.manifest import LedgerProof

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from publisher.privacy.ledger import Entry, Ledger

FILE = "ledger.jsonl"
SPENDING = ("charge", "amendment", "allowance")
"""What decides what is spent and what may be."""
SHOWN = (*SPENDING, "release", *KINDS, TERMS, AUTOMATIC)
"""The kinds of entries that are shown."""

_TAIL = 1 << 16


class PublicEntry(Model):
    """A line of the file."""

    sequence: int
    kind: str
    at: str
    payload: str | None
    """What the entry says, byte for byte; None where it is not shown."""
    sha256: str
    """Of that."""
    previous: str
    """The hash of the entry before it."""

    @property
    def line(self) -> bytes:
        """As it is in the file."""
        return json.dumps(self.model_dump(), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def public_entry(row: Row) -> PublicEntry:
    """What everyone may see of an entry."""
    payload = row.payload if row.kind in SHOWN else None
    return PublicEntry(
        sequence=row.sequence,
        kind=row.kind,
        at=row.at,
        payload=payload,
        sha256=payload_hash(row.payload),
        previous=row.previous,
    )


def proof_of(ledger: Ledger, entry: Entry) -> LedgerProof:
    """That an entry is in the ledger, as its release says it."""
    row = ledger.rows_since(entry.sequence - 1, 1)[0]
    return LedgerProof(
        kind=row.kind,
        at=row.at,
        payload=row.payload,
        previous=row.previous,
        path=tuple(each.hex() for each in ledger.path(row.sequence)),
        root=ledger.root(row.sequence)[1].hex(),
    )


def write_public(ledger: Ledger, public: Path) -> None:
    """Add the lines of new entries; a file that does not go on with the ledger is written again. What cannot be written
    now is written at the next occasion: the file stops no release."""
    path = public / FILE
    with suppress(PublisherError):
        last = last_line(public)
        begun = last is not None and _same(ledger, last)
        rows = ledger.rows_since(last.sequence if last is not None and begun else 0)
        if rows:
            _append(path, rows) if begun else write_file(path, _lines(rows))


def _lines(rows: Iterable[Row]) -> bytes:
    return b"".join(public_entry(row).line for row in rows)


def _same(ledger: Ledger, last: PublicEntry) -> bool:
    """Whether the ledger has the entry of the last line, as the line says."""
    found = ledger.rows_since(last.sequence - 1, 1)
    return bool(found) and public_entry(found[0]) == last


def _append(path: Path, rows: Iterable[Row]) -> None:
    with writing(path), path.open("ab") as file:
        file.write(_lines(rows))
        file.flush()
        os.fsync(file.fileno())


def last_line(public: Path) -> PublicEntry | None:
    """The last line of the file; None if there is none, or if it was cut off."""
    path = public / FILE
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            tail = file.read()
        return PublicEntry.model_validate_json(tail.splitlines()[-1]) if tail.endswith(b"\n") else None
    except (OSError, ValueError, IndexError):
        return None
