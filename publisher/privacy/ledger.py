"""The ledger: what was spent on whom, exact, append-only, hash-chained, durable before any noise is drawn.

Blocks compose in parallel across each other and sequentially within (Sage, SOSP 2019; PrivateKube, OSDI 2021).
A charge is never refunded. Losses are rationals kept as text; sums are exact.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from publisher.definitions.period import LIFETIME, containing, parse
from publisher.durable import write_file
from publisher.errors import BudgetError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

GENESIS = "0" * 64

_UNREADABLE = (sa.exc.DatabaseError, UnicodeDecodeError)
"""What a damaged database raises; even the words of SQLite's own errors may no longer be text."""

_METADATA = sa.MetaData()
ENTRIES = sa.Table(
    "entries",
    _METADATA,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
)
SPENDING = sa.Table(
    "spending",
    _METADATA,
    sa.Column("sequence", sa.Integer, sa.ForeignKey("entries.sequence"), primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("block", sa.Text, primary_key=True),
    sa.Column("loss", sa.Text, nullable=False),
    sa.Index("spending_of_block", "source", "block"),
)


@dataclass(frozen=True)
class ChargeRequest:
    """A draw that wants to happen: `loss` for each of `blocks`, at most `budget` on any of them in all."""

    source: str
    dataset: str
    period: str
    statistical_hash: str
    currency: str
    unit: str
    window: str
    loss: Fraction
    budget: Fraction
    blocks: tuple[str, ...]
    measurements: tuple[str, ...]
    """The serialised OpenDP measurements, one per measured table."""
    event: str
    """By which column and clock records fall into blocks."""
    records: str
    """What makes a record, and what a row without identifier is."""

    @property
    def key(self) -> tuple[str, str, str]:
        """A draw is charged once for the same dataset, period and statistical hash."""
        return self.dataset, self.period, self.statistical_hash


@dataclass(frozen=True)
class Entry:
    """A fact of the ledger; its meaning never changes."""

    sequence: int
    kind: str
    at: str
    payload: dict[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True)
class Spending:
    """What one block has spent, in the source's currency."""

    source: str
    block: str
    spent: Fraction


class Ledger:
    """A ledger in a database; `anchors` are files, in different places, that name its last entry."""

    def __init__(self, engine: sa.Engine, anchors: tuple[Path, ...]) -> None:
        self._engine = engine
        self._anchors = anchors

    def close(self) -> None:
        """Gives the database back."""
        self._engine.dispose()

    def afford(self, request: ChargeRequest) -> None:
        """Raises BudgetError when the charge would be refused now. Charges nothing."""
        with self._transaction() as connection:
            self._refuse_if_cut(connection)
            if self._charge_of(connection, request.key) is None:
                _refuse_if_over(connection, request)

    def charge(self, request: ChargeRequest) -> Entry:
        """The durable charge of a draw: the one already made, or a new one. Raises BudgetError.

        When this returns the entry has been synchronised to disk; only then may noise be drawn.
        """
        with self._transaction() as connection:
            self._refuse_if_cut(connection)
            made = self._charge_of(connection, request.key)
            if made is not None:
                return made
            _refuse_if_over(connection, request)
            entry = _append(connection, "charge", _payload(request))
            rows = [
                {"sequence": entry.sequence, "source": request.source, "block": block, "loss": str(request.loss)}
                for block in request.blocks
            ]
            connection.execute(sa.insert(SPENDING), rows)
        self._write_anchor(entry)
        return entry

    def record(self, kind: str, payload: dict[str, Any]) -> Entry:
        """Appends a fact that spends nothing: a release that became visible, a withdrawal."""
        with self._transaction() as connection:
            self._refuse_if_cut(connection)
            entry = _append(connection, kind, payload)
        self._write_anchor(entry)
        return entry

    def entries(self, *kinds: str) -> list[Entry]:
        """Every entry, or those of the kinds named, oldest first."""
        query = sa.select(ENTRIES).order_by(ENTRIES.c.sequence)
        if kinds:
            query = query.where(ENTRIES.c.kind.in_(kinds))
        with self._transaction() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def charges(self, dataset: str, period: str) -> list[Entry]:
        """The charges of a dataset's period, oldest first."""
        where = {"dataset": dataset, "period": period}
        return [entry for entry in self.entries("charge") if entry.payload | where == entry.payload]

    def spending(self) -> list[Spending]:
        """What every block has spent, by source and block."""
        query = sa.select(SPENDING.c.source, SPENDING.c.block, SPENDING.c.loss).order_by(
            SPENDING.c.source, SPENDING.c.block
        )
        totals: dict[tuple[str, str], Fraction] = {}
        with self._transaction() as connection:
            for source, block, loss in connection.execute(query):
                totals[source, block] = totals.get((source, block), Fraction(0)) + _amount(loss)
        return [Spending(source, block, spent) for (source, block), spent in totals.items()]

    def verify(self, heads: Iterable[tuple[str, int, str]]) -> list[str]:
        """Every fault found, in words; `heads` are (who says so, sequence, hash) from the releases' manifests.

        A changed byte breaks the chain; a cut tail or a restored backup lacks a head that someone remembers.
        """
        try:
            with self._engine.connect() as connection:
                faults = _damage(connection)
                entries = [tuple(row) for row in connection.execute(sa.select(ENTRIES).order_by(ENTRIES.c.sequence))]
                spending = {tuple(row) for row in connection.execute(sa.select(SPENDING))}
        except _UNREADABLE:
            return ["the ledger's database is damaged and cannot be read"]
        faults += _chain_faults(entries)
        faults += _spending_faults(entries, spending)
        known = {entry[0]: entry[5] for entry in entries}
        return faults + [
            f"{who} remembers entry {sequence}, which the ledger no longer holds: it was cut, restored or changed"
            for who, sequence, digest in [*heads, *self._anchored(len(entries))]
            if known.get(sequence) != digest
        ]

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.execution_options(writing=True).begin() as connection:
                yield connection
        except _UNREADABLE as error:
            raise SourceError(f"the ledger cannot be read or written: {_why(error)}") from None

    def _charge_of(self, connection: sa.Connection, key: tuple[str, str, str]) -> Entry | None:
        query = sa.select(ENTRIES).where(ENTRIES.c.kind == "charge", ENTRIES.c.payload.contains(key[2]))
        for row in connection.execute(query):
            entry = _entry(row)
            found = entry.payload
            if (found["dataset"], found["period"], found["statistical_hash"]) == key:
                return entry
        return None

    def holds(self, sequence: int, digest: str) -> bool:
        """Whether the ledger has this entry."""
        query = sa.select(ENTRIES.c.hash).where(ENTRIES.c.sequence == sequence)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar() == digest

    def refuse_if_cut(self) -> None:
        """Raises BudgetError when the ledger has lost an entry that a head remembers."""
        with self._engine.connect() as connection:
            self._refuse_if_cut(connection)

    def _refuse_if_cut(self, connection: sa.Connection) -> None:
        """Nothing is spent from, or added to, a ledger that has lost entries: its blocks would look fresh."""
        for who, sequence, digest in self._anchored(0):
            query = sa.select(ENTRIES.c.hash).where(ENTRIES.c.sequence == sequence)
            if connection.execute(query).scalar() != digest:
                raise BudgetError(
                    f"the ledger lacks entry {sequence}, which {who} remembers: it was deleted, cut or replaced by an "
                    f"older copy. Put the newest copy back; see `publisher ledger verify`. Nothing was spent."
                )

    def _write_anchor(self, entry: Entry) -> None:
        """Written after the commit: it may lag behind the ledger by a crash, never run ahead of it."""
        text = json.dumps({"sequence": entry.sequence, "hash": entry.hash})
        for anchor in self._anchors:
            write_file(anchor, text.encode(), mode=0o600)

    def _anchored(self, entries: int) -> list[tuple[str, int, str]]:
        """What the anchors remember; one may be missing only after a crash at the very first entry."""
        heads = []
        for anchor in self._anchors:
            name = f"{anchor.parent.name}/{anchor.name}"
            try:
                head = json.loads(anchor.read_text(encoding="utf-8"))
                heads.append((name, int(head["sequence"]), str(head["hash"])))
            except FileNotFoundError:
                heads += [(f"{name}, which is missing,", -1, "")] if entries > 1 else []
            except (ValueError, KeyError, TypeError):
                heads.append((f"{name}, which is damaged,", -1, ""))
        return heads


def open_ledger(private: Path, *anchors: Path) -> Ledger:
    """The workspace's ledger in SQLite; made when it is not there. Raises SourceError when it cannot be opened.

    `anchors` are further heads, kept away from the private folder: so a restored backup of it is found.
    """
    engine = sa.create_engine(f"sqlite:///{private / 'ledger.sqlite'}", connect_args={"timeout": 60})
    _use_immediate_transactions(engine)
    try:
        _METADATA.create_all(engine.execution_options(writing=True))
    except _UNREADABLE as error:
        engine.dispose()
        raise SourceError(f"the ledger in {private} cannot be opened: {_why(error)}") from None
    (private / "ledger.sqlite").chmod(0o600)
    return Ledger(engine, (private / "ledger.head", *anchors))


def _why(error: Exception) -> str:
    return str(error.orig) if isinstance(error, sa.exc.DatabaseError) else "it is damaged"


def _use_immediate_transactions(engine: sa.Engine) -> None:
    """Every write takes the lock when it begins, and a commit returns after the disk has it."""

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _payload(request: ChargeRequest) -> dict[str, Any]:
    return {
        "source": request.source,
        "dataset": request.dataset,
        "period": request.period,
        "statistical_hash": request.statistical_hash,
        "currency": request.currency,
        "unit": request.unit,
        "window": request.window,
        "loss": str(request.loss),
        "budget": str(request.budget),
        "blocks": list(request.blocks),
        "measurements": [json.loads(text) for text in request.measurements],
        "event": request.event,
        "records": request.records,
    }


def _append(connection: sa.Connection, kind: str, payload: dict[str, Any]) -> Entry:
    last = connection.execute(sa.select(ENTRIES).order_by(ENTRIES.c.sequence.desc()).limit(1)).first()
    sequence, previous = (last.sequence + 1, last.hash) if last is not None else (1, GENESIS)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = _digest(sequence, kind, at, text, previous)
    row = {"sequence": sequence, "kind": kind, "at": at, "payload": text, "previous": previous, "hash": digest}
    connection.execute(sa.insert(ENTRIES), [row])
    return Entry(sequence, kind, at, json.loads(text), previous, digest)


def _digest(sequence: int, kind: str, at: str, payload: str, previous: str) -> str:
    # A damaged database may give bytes for text; they have a hash too, which is never the right one.
    text = json.dumps([sequence, kind, at, payload, previous], ensure_ascii=False, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse_if_over(connection: sa.Connection, request: ChargeRequest) -> None:
    _refuse_if_redefined(connection, request)
    query = sa.select(SPENDING.c.block, SPENDING.c.loss).where(
        SPENDING.c.source == request.source, SPENDING.c.block.in_(request.blocks)
    )
    spent = dict.fromkeys(request.blocks, Fraction(0))
    for block, loss in connection.execute(query):
        spent[block] += _amount(loss)
    fullest = max(request.blocks, key=lambda block: spent[block])
    left = request.budget - spent[fullest]
    if request.loss > left:
        free = [block for block in request.blocks if spent[block] + request.loss <= request.budget]
        raise BudgetError(
            f"{request.dataset} {request.period}: needs {decimal(request.loss)} on each of its "
            f"{len(request.blocks)} blocks, but block {fullest} of source {request.source} has {decimal(left)} left of "
            f"{decimal(request.budget)}; {len(free)} of its blocks could still pay. Nothing was read or spent. "
            f"A block's budget never comes back: {_opening(request.blocks[-1])}."
        )


def _opening(block: str) -> str:
    """When the block after this one opens."""
    if block == LIFETIME.label:
        return "a lifetime has no other block"
    this = parse(block)
    following = containing(this.end, this.grain)
    return f"the next block, {following.label}, opens on {following.start.isoformat()}"


def _refuse_if_redefined(connection: sa.Connection, request: ChargeRequest) -> None:
    """Blocks of another unit, window or currency would not add up with these."""
    first = connection.execute(
        sa.select(ENTRIES)
        .join(SPENDING, SPENDING.c.sequence == ENTRIES.c.sequence)
        .where(SPENDING.c.source == request.source)
        .limit(1)
    ).first()
    if first is None:
        return
    before = _entry(first).payload
    for field in ("unit", "window", "currency", "event", "records"):
        now = getattr(request, field)
        if before[field] != now:
            raise BudgetError(
                f"source {request.source}: its ledger was begun with {field} = {before[field]}, the definition now "
                f"says {now}. What was spent cannot be carried over: restore the {field}."
            )


def decimal(amount: Fraction) -> str:
    """The amount for people: exact where it is a short decimal, else a fraction."""
    text = f"{float(amount):.6g}"
    return text if Fraction(text) == amount else f"{amount} (about {text})"


def _entry(row: Any) -> Entry:
    try:
        return Entry(row.sequence, row.kind, row.at, json.loads(row.payload), row.previous, row.hash)
    except (ValueError, TypeError):
        raise _damaged() from None


def _amount(text: Any) -> Fraction:
    try:
        return Fraction(text)
    except (ValueError, TypeError, ZeroDivisionError):
        raise _damaged() from None


def _damaged() -> BudgetError:
    return BudgetError("the ledger was changed and cannot be trusted: run `publisher ledger verify`")


def _damage(connection: sa.Connection) -> list[str]:
    if connection.dialect.name != "sqlite":
        return []
    words = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    return [] if words == ["ok"] else ["the ledger's database fails its own integrity check"]


def _chain_faults(entries: list[tuple[Any, ...]]) -> list[str]:
    previous = GENESIS
    for place, (sequence, kind, at, payload, before, digest) in enumerate(entries, 1):
        if sequence != place or before != previous or digest != _digest(sequence, kind, at, payload, before):
            return [f"entry {place} was changed, removed or inserted: the chain breaks there"]
        previous = digest
    return []


def _spending_faults(entries: list[tuple[Any, ...]], spending: set[tuple[Any, ...]]) -> list[str]:
    try:
        wanted = {
            (sequence, payload["source"], block, payload["loss"])
            for sequence, kind, _, text, _, _ in entries
            if kind == "charge"
            for payload in [json.loads(text)]
            for block in payload["blocks"]
        }
    except (ValueError, KeyError, TypeError):
        return ["a charge cannot be read"]
    return [] if wanted == spending else ["the spending table does not agree with the charges"]
