"""The hash chain: every entry names the hash of the one before it, so that a changed byte is found."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, NamedTuple

from publisher.errors import BudgetError
from publisher.privacy.charge import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

GENESIS = "0" * 64

Edition = tuple[str, str, int]
"""Dataset, period and number."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, default=repr)


class Row(NamedTuple):
    """An entry as the database keeps it; if that was damaged, its fields may have anything."""

    sequence: int
    kind: str
    at: str
    payload: str
    previous: str
    hash: str


class Head(NamedTuple):
    """The last entry that someone remembers."""

    who: str
    sequence: int
    hash: str


@dataclass(frozen=True)
class Entry:
    """A fact in the ledger; its meaning never changes."""

    sequence: int
    kind: str
    at: str
    payload: dict[str, Any]
    previous: str
    hash: str


def following(last: Row | None, kind: str, payload: dict[str, Any]) -> Row:
    """The entry that comes after `last`."""
    sequence, previous = (last.sequence + 1, last.hash) if last is not None else (1, GENESIS)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Row(sequence, kind, at, text, previous, _digest(sequence, kind, at, text, previous))


def entry_of(row: Row) -> Entry:
    """The entry in a row. Raises BudgetError when it can no longer be read."""
    try:
        payload = json.loads(row.payload)
    except (ValueError, TypeError):
        raise changed() from None
    if not isinstance(payload, dict):
        raise changed()
    return Entry(row.sequence, row.kind, row.at, payload, row.previous, row.hash)


def changed() -> BudgetError:
    """The error for a ledger that is no longer as it was written."""
    return BudgetError("the ledger was changed and cannot be trusted: run `publisher verify`. Nothing was spent.")


def follows(row: Row, sequence: int, previous: str) -> bool:
    """Whether the row is, byte for byte, the entry after the one of that sequence and hash."""
    return row.sequence == sequence + 1 and row.previous == previous and row.hash == _digest(*row[:5])


def leaf_of(row: Row) -> bytes:
    """What the Merkle tree has of an entry: all but its payload, of which it has the hash, so that the kind of an entry
    can be shown alone."""
    return leaf_of_hash(row.sequence, row.kind, row.at, payload_hash(row.payload), row.previous)


def leaf_of_hash(sequence: int, kind: str, at: str, payload: str, previous: str) -> bytes:
    """The same where only the hash of the payload is known."""
    return _encoded(sequence, kind, at, payload, previous).encode()


def payload_hash(payload: str) -> str:
    """The SHA-256 of what an entry says."""
    return hashlib.sha256(payload.encode()).hexdigest()


def entry_hash(sequence: int, kind: str, at: str, payload: str, previous: str) -> str:
    """The hash by which the next entry names this one."""
    return _digest(sequence, kind, at, payload, previous)


def chain_faults(rows: Sequence[Row]) -> list[str]:
    """Where the chain breaks first, if it does."""
    previous = GENESIS
    for place, row in enumerate(rows, 1):
        if not follows(row, place - 1, previous):
            return [f"entry {place} was changed, removed or inserted: the chain breaks there"]
        previous = row.hash
    return []


def spending_faults(rows: Iterable[Row], spending: set[tuple[Any, ...]]) -> list[str]:
    """Whether the spending, as (sequence, source, block, loss, series, parallel, delta), is that of the charges."""
    try:
        wanted = {
            (row.sequence, *(line[name] for name in ("source", "block", "loss", "series", "parallel", "delta")))
            for row in rows
            if row.kind == "charge"
            for line in lines_of(json.loads(row.payload))
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return ["a charge cannot be read"]
    return [] if wanted == spending else ["the spending table does not agree with the charges"]


def release_faults(rows: Iterable[Row]) -> list[str]:
    """Every edition that is in the ledger twice with different content: two installations released it."""
    manifests: dict[Edition, Any] = {}
    faults = []
    for row in rows:
        try:
            payload = entry_of(row).payload if row.kind == "release" else {}
        except BudgetError:
            continue  # the chain breaks there
        if (edition := edition_of(payload)) is None:
            continue
        if manifests.setdefault(edition, payload.get("manifest")) != payload.get("manifest"):
            faults.append(
                f"{'/'.join(map(str, edition))} was released twice with different content: entry {row.sequence}"
            )
    return faults


def edition_of(payload: Mapping[str, Any]) -> Edition | None:
    """Which edition a fact is about, if any."""
    try:
        return str(payload["dataset"]), str(payload["period"]), int(payload["edition"])
    except (KeyError, ValueError, TypeError):
        return None


def head_faults(rows: Iterable[Row], heads: Iterable[tuple[str, int, str]]) -> list[str]:
    """Every head that is not among the entries."""
    known = {row.sequence: row.hash for row in rows}
    return [
        f"{who} remembers entry {sequence}, which the ledger no longer has: the ledger was cut, restored or changed"
        for who, sequence, digest in heads
        if known.get(sequence) != digest
    ]


def _digest(sequence: int, kind: str, at: str, payload: str, previous: str) -> str:
    return hashlib.sha256(_encoded(sequence, kind, at, payload, previous).encode()).hexdigest()


def _encoded(sequence: int, *texts: str) -> str:
    """A JSON array, made without an encoder of its own for each of thousands of entries: the same text in a third of
    the time."""
    if type(sequence) is int and all(type(each) is str for each in texts):
        return f"[{sequence}, {', '.join(map(encode_basestring, texts))}]"
    # A damaged database may give bytes for text; they have a hash too, which is never the right one.
    return _ENCODER.encode([sequence, *texts])
