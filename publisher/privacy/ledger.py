"""The ledger: what was spent on which block, exact, append-only, hash-chained, durable before any noise is drawn.

A charge is never refunded. Losses are rationals kept as text; sums are exact.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from publisher.errors import BudgetError, SourceError
from publisher.privacy.account import (
    ChargeLine,
    RunningSums,
    Spending,
    blocks_of,
    refuse_if_elsewhere,
    refuse_if_over,
    refuse_if_recomposed,
    refuse_if_redefined,
)
from publisher.privacy.chain import (
    Entry,
    Row,
    chain_faults,
    changed,
    edition_of,
    entry_of,
    following,
)
from publisher.privacy.charge import ChargeRequest, decimal, lines_of
from publisher.privacy.checkpoints import Checkpoints
from publisher.privacy.database import postgres, sqlite
from publisher.privacy.facts import CHARGE, Facts
from publisher.privacy.history import History
from publisher.privacy.installation import owner_of
from publisher.privacy.outside import OutsideHead
from publisher.privacy.tables import ENTRIES, SPENDING
from publisher.privacy.verification import ledger_checks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from publisher.privacy.account import LossAmount
    from publisher.privacy.amendment import DateReading
    from publisher.privacy.chain import Head
    from publisher.privacy.database import Database
    from publisher.privacy.verification import LedgerCheck

__all__ = ["ChargeRequest", "Entry", "Ledger", "Spending", "decimal", "open_ledger"]


OTHER_LEDGER = (
    "the ledger here and the one in the backup have parted: each has entries that the other lacks, so two copies of "
    "this state folder were at work, or one was changed. Run `publisher verify`. Nothing was restored."
)

_ONE_BY_ONE = 500
"""How many entries are looked up by their numbers; of more, all that were not read yet are read."""


class Ledger:
    """A ledger in a database; `checkpoints` are files in different places that name its last entry.

    `owner` is the id of the state folder that charges; `outside` is the head that is not in it.
    """

    def __init__(self, database: Database, checkpoints: Checkpoints, outside: OutsideHead, owner: str) -> None:
        self._database = database
        self._checkpoints = checkpoints
        self._outside = outside
        self.owner = owner
        self._history = History()
        self._facts = Facts()
        self._every: dict[str, tuple[int, list[ChargeLine]]] = {}
        self._spent: dict[str, tuple[int, Mapping[str, LossAmount]]] = {}
        self._sums: dict[str, RunningSums] = {}

    def close(self) -> None:
        """Close the database."""
        self._database.engine.dispose()

    def afford(self, request: ChargeRequest) -> None:
        """Raise BudgetError if the charge would be refused now. Charges nothing."""
        self.refuse_if_cut()
        with self._database.reading() as connection:
            self._made_or_affordable(connection, request)

    def check_terms(self, request: ChargeRequest) -> None:
        """Raise BudgetError if the source was charged under another unit, window, currency, clock or record id."""
        refuse_if_redefined(request, self._read().terms(request.source))

    def charge(self, request: ChargeRequest) -> Entry:
        """The durable charge for a draw: the one this state folder already made, or a new one.

        When this returns, the entry is on disk and the right to draw is this folder's; only then may noise be drawn.
        Raises BudgetError when it is refused.
        """
        with self._outside.turn() as turn:
            with self._database.writing() as connection:
                self._refuse_if_cut(connection, turn.heads)
                made = self._made_or_affordable(connection, request)
                entry = made or self._append_charge(connection, request)
                turn.begin(entry)
                turn.prepare(entry if made is None else None)
            turn.commit()
        if made is None:
            self._checkpoints.write(entry)
        return entry

    def _append_charge(self, connection: sa.Connection, request: ChargeRequest) -> Entry:
        entry = _append(connection, "charge", request.payload() | {"owner": self.owner})
        lines = [line | {"sequence": entry.sequence} for line in lines_of(entry.payload)]
        connection.execute(sa.insert(SPENDING), lines)
        return entry

    def record(self, kind: str, payload: dict[str, Any], *, drawn: str = "") -> Entry:
        """Append a fact that spends nothing, such as a release that became visible or a retraction.

        `drawn` is the hash of a charge whose draw is thereby on record. Raises BudgetError when the same release was
        recorded before with other content.
        """
        with self._outside.turn() as turn:
            with self._database.writing() as connection:
                self._refuse_if_cut(connection, turn.heads)
                if kind == "release":
                    self._refuse_if_released(connection, payload)
                entry = _append(connection, kind, payload)
                turn.prepare(entry, drawn=drawn)
            turn.commit()
        self._checkpoints.write(entry)
        return entry

    def resume(self, heads: Iterable[Head]) -> None:
        """Raise BudgetError if the ledger has lost an entry that a head, also one of these, remembers; then let the
        outside head name the last entry, if it does not yet."""
        with self._outside.turn() as turn:
            with self._database.reading() as connection:
                self._refuse_if_cut(connection, [*turn.heads, *heads])
                last = _entries(
                    connection, ENTRIES.c.sequence == sa.select(sa.func.max(ENTRIES.c.sequence)).scalar_subquery()
                )
            if last and last[0].sequence > turn.sequence:
                turn.prepare(last[0])
                turn.commit()

    def key(self) -> str | None:
        """The fingerprint of the key under which this state folder lands and orders; None if it is not recorded yet."""
        own = [entry.payload for entry in self.entries("key") if entry.payload["owner"] == self.owner]
        return str(own[0]["fingerprint"]) if own else None

    def record_key(self, fingerprint: str) -> None:
        """Record the key of this state folder, once."""
        self.record("key", {"owner": self.owner, "fingerprint": fingerprint})

    def manifests(self) -> Mapping[str, str]:
        """The SHA-256 of every manifest that was entered, by the release's name; the last one if there are several."""
        return self._known().hashes("release")

    def totals(self) -> Mapping[str, str]:
        """The same of every total over time, which was charged nothing."""
        return self._known().hashes("total")

    def validations(self) -> Mapping[str, str]:
        """The SHA-256 of the last result of each release's checks, by the release's name."""
        return self._known().hashes("validation")

    def entries(self, *kinds: str) -> list[Entry]:
        """Every entry, or those of the given kinds, oldest first. Each is read from the database once."""
        if not kinds or CHARGE in kinds:
            with self._database.reading() as connection:
                return _entries(connection, *([ENTRIES.c.kind.in_(kinds)] if kinds else []))
        return self._known().of(kinds)

    def about(self, dataset: str, *kinds: str) -> list[Entry]:
        """The entries of these kinds about one dataset, oldest first."""
        return self._known().about(dataset, kinds)

    def since(self, sequence: int) -> list[Entry]:
        """Every entry after that one, oldest first."""
        with self._database.reading() as connection:
            return _entries(connection, ENTRIES.c.sequence > sequence)

    def rows_since(self, sequence: int, most: int | None = None) -> list[Row]:
        """The entries after that one as the database keeps them, oldest first."""
        with self._database.reading() as connection:
            new = sa.select(ENTRIES).where(ENTRIES.c.sequence > sequence).order_by(ENTRIES.c.sequence).limit(most)
            return [Row(*row) for row in connection.execute(new)]

    def rows(self) -> list[Row]:
        """Every entry as the database keeps it, for a copy. Raises BudgetError when the chain breaks."""
        with self._database.reading() as connection:
            return _whole_chain(connection)

    def heads(self) -> list[Head]:
        """What remembers the ledger's last entry beside its database: nothing where all of it was lost. Raises
        BudgetError when the head outside cannot be read."""
        return [*self._checkpoints.heads(), *self._outside.read().heads]

    def extend(self, rows: Sequence[Row]) -> int:
        """Add what a copy of this ledger has beyond it, each entry as it was written; how many there were.

        A ledger without entries takes all of them, wherever it is kept: the chain, and so every head, stays the same.
        Raises BudgetError when the copy is of another ledger, or lacks an entry that a head remembers.
        """
        if not rows or chain_faults(rows):
            raise changed()
        with self._outside.turn() as turn:
            with self._database.writing() as connection:
                there = _whole_chain(connection)
                if there != rows[: len(there)]:
                    raise BudgetError(OTHER_LEDGER)
                _refuse_missing(rows, [*self._checkpoints.heads(), *turn.heads])
                _insert(connection, rows[len(there) :])
                turn.prepare(entry_of(rows[-1]))
            turn.commit()
        self._checkpoints.write(entry_of(rows[-1]))
        return len(rows) - len(there)

    def root(self, size: int | None = None) -> tuple[int, bytes]:
        """The size and the root of the Merkle tree over the first `size` entries, or all. Raises BudgetError."""
        tree = self._read().tree
        wanted = len(tree) if size is None else size
        return wanted, tree.root(wanted)

    def path(self, sequence: int) -> list[bytes]:
        """The audit path of an entry in the tree of the entries up to it, which no later one changes. Raises
        BudgetError."""
        return self._read().tree.path(sequence - 1, sequence)

    def newest(self) -> int:
        """The number of the last entry; zero if there is none."""
        with self._database.reading() as connection:
            return connection.execute(sa.select(sa.func.max(ENTRIES.c.sequence))).scalar() or 0

    @property
    def known(self) -> int:
        """The last entry that spends nothing: as long as it is the same, so are all facts."""
        return self._known().sequence

    def charges(self, dataset: str, period: str) -> list[Entry]:
        """The charges of a dataset's period, oldest first."""
        of_period = SPENDING.c.series.startswith(f"{dataset} {period} ", autoescape=True)
        with self._database.reading() as connection:
            return _charges(connection, of_period)

    def lines(self, source: str, reading: DateReading | None = None) -> list[ChargeLine]:
        """What counts on every block of a source, as its dates are read now (or would be by another `reading`), oldest
        first. Raises BudgetError when the chain breaks."""
        history = self._read()
        if reading is not None:
            return history.every(source, reading)
        moved, lines = self._every.get(source, (-1, []))
        if moved != history.moved:
            lines = history.every(source)
            self._every[source] = history.moved, lines
        return lines

    def spent(self, source: str) -> Mapping[str, LossAmount]:
        """What every block of a source has spent, as its dates are read now. Raises BudgetError when the chain
        breaks."""
        history = self._read()
        if not history.amended(source):
            sums = self._sums.setdefault(source, RunningSums())
            return sums.after(history.made(source, sums.charges))
        moved, spent = self._spent.get(source, (-1, {}))
        if moved != history.moved:
            spent = {name: block.spent for (_, name), block in blocks_of(self.lines(source)).items()}
            self._spent[source] = history.moved, spent
        return spent

    def sources(self) -> list[str]:
        """Every source that was ever charged. Raises BudgetError when the chain breaks."""
        return self._read().sources()

    def charged(self, source: str) -> set[str]:
        """The blocks of a source that were ever charged. Raises BudgetError when the chain breaks."""
        return self._read().charged(source)

    def terms(self, source: str) -> Mapping[str, Any]:
        """What must not change about a source; empty before its first charge. Raises BudgetError."""
        return self._read().terms(source)

    def allowed(self, source: str) -> Mapping[str, LossAmount]:
        """By block, what recorded decisions allow in addition to the source's budget. Raises BudgetError."""
        return self._read().allowed(source)

    def spending(self) -> list[Spending]:
        """What every block that was ever charged has spent, by source and block, as dates are read now.

        Raises BudgetError when the chain breaks.
        """
        blocks = blocks_of(line for source in self.sources() for line in self.lines(source))
        return [Spending(source, name, *blocks[source, name].spent) for source, name in sorted(blocks)]

    def checks(self, heads: Iterable[tuple[str, int, str]]) -> list[LedgerCheck]:
        """Every check with its faults; `heads` are (who says so, sequence, hash) from the releases' manifests.

        Raises SourceError when a server does not answer.
        """
        return ledger_checks(self._database, self._checkpoints, self._outside, heads)

    def verify(self, heads: Iterable[tuple[str, int, str]]) -> list[str]:
        """Every fault that the checks find, in words."""
        return [fault for check in self.checks(heads) for fault in check.faults]

    def first_budgets(self) -> dict[str, tuple[Fraction, Fraction]]:
        """By source, the budget and the δ that it was first charged under."""
        first: dict[str, tuple[Fraction, Fraction]] = {}
        for entry in self.entries("charge"):
            budget, delta = entry.payload["budget"], entry.payload.get("delta_budget", "0")
            first.setdefault(entry.payload["source"], (Fraction(budget), Fraction(delta)))
        return first

    def holds(self, sequence: int, digest: str) -> bool:
        """Whether the ledger has this entry."""
        with self._database.reading() as connection:
            return _holds(connection, sequence, digest)

    def refuse_if_cut(self, heads: Iterable[Head] = ()) -> None:
        """Raise BudgetError if the ledger has lost an entry that a head, also one of these, remembers."""
        outside = self._outside.read().heads
        with self._database.reading() as connection:
            self._refuse_if_cut(connection, [*outside, *heads])

    def _refuse_if_cut(self, connection: sa.Connection, heads: Iterable[Head]) -> None:
        """Refuse to spend from or add to a ledger that has lost entries: its blocks would look unspent."""
        every, history = [*self._checkpoints.heads(), *self._history.heads, *heads], self._history
        if len(every) > _ONE_BY_ONE:
            self._read_on(connection)
        # What was read is there as long as the last entry that was read is.
        known = _hashes(connection, {each.sequence for each in every if each.sequence >= history.sequence})
        for who, sequence, digest in every:
            if history.hash_of(sequence) != digest and known.get(sequence) != digest:
                raise BudgetError(
                    f"the ledger is missing entry {sequence}, which {who} remembers: the ledger was deleted, cut or "
                    "replaced by an older copy. Restore the newest copy, then run `publisher verify`. Nothing "
                    "was spent."
                )

    def _read(self) -> History:
        """What was charged, read up to the last entry. Raises BudgetError when the chain breaks."""
        with self._database.reading() as connection:
            self._read_on(connection)
        return self._history

    def _read_on(self, connection: sa.Connection) -> None:
        """Read and verify the entries added since. Raises BudgetError when the chain breaks."""
        new = sa.select(ENTRIES).where(ENTRIES.c.sequence > self._history.sequence).order_by(ENTRIES.c.sequence)
        self._history.follow(Row(*row) for row in connection.execute(new))

    def _known(self, connection: sa.Connection | None = None) -> Facts:
        """What the ledger says besides charges, read up to the last entry."""
        if connection is None:
            with self._database.reading() as own:
                return self._known(own)
        new = sa.select(ENTRIES).where(ENTRIES.c.sequence > self._facts.sequence, ENTRIES.c.kind != CHARGE)
        self._facts.follow(Row(*row) for row in connection.execute(new.order_by(ENTRIES.c.sequence)))
        return self._facts

    def _refuse_if_released(self, connection: sa.Connection, payload: dict[str, Any]) -> None:
        """Raise BudgetError if this edition was released before with another manifest."""
        edition = edition_of(payload)
        if edition is None:
            return
        before, manifest = self._known(connection).first("release", edition)
        if before and manifest != payload.get("manifest"):
            raise BudgetError(
                f"{payload['dataset']} {payload['period']}, edition {payload['edition']}, was released before with "
                f"other content, by another installation or from a state folder that is gone: keep that one, and "
                f"remove this edition's folder."
            )

    def _lines(self, connection: sa.Connection, request: ChargeRequest) -> list[ChargeLine]:
        """What was charged on the blocks of a request. Raises BudgetError when the spending table disagrees."""
        lines, size = self._history.lines(request.source, request.blocks), self._history.size(request.source)
        of_source = SPENDING.c.source == request.source
        there = _lines(connection, of_source, SPENDING.c.block.in_(request.blocks))
        many = connection.execute(sa.select(sa.func.count()).select_from(SPENDING).where(of_source)).scalar()
        if set(there) != set(lines) or many != size:
            raise changed()
        return lines

    def _made_or_affordable(self, connection: sa.Connection, request: ChargeRequest) -> Entry | None:
        """The charge already made for the draw, or None if its blocks can pay. Raises BudgetError if they cannot."""
        self._read_on(connection)
        lines = self._lines(connection, request)
        known = self._history.series(request.series)
        series = _entries(connection, ENTRIES.c.sequence.in_(known))
        if [entry.sequence for entry in series] != known:
            raise changed()
        refuse_if_recomposed(request, [entry.payload for entry in series])
        made = [entry for entry in series if entry.payload.get("vintage", 1) == request.vintage]
        if made:
            refuse_if_elsewhere(request, made[0].payload, self.owner)
            return made[0]
        refuse_if_redefined(request, self._history.terms(request.source))
        history, source = self._history, request.source
        counting = history.counting(source, request.blocks) if history.amended(source) else lines
        refuse_if_over(request, counting, lambda: history.after(source, request.blocks[-1]), history.allowed(source))
        return None


def open_ledger(
    private: Path, *checkpoints: Path, server: str | None = None, heads: Path | None = None, owner: str | None = None
) -> Ledger:
    """The workspace's ledger in SQLite, or in the database on a `server`; created if needed.

    `checkpoints` are further heads kept outside the private folder, so that a restored backup of it is found. `heads`,
    outside the state folder, has a folder for each state folder; None for a state that is thrown away. `owner` is the
    id of a state folder that is restored; otherwise the folder has its own. Raises SourceError when it cannot be
    opened, DefinitionError when the server's address or its driver is missing.
    """
    database = sqlite(private / "ledger.sqlite") if server is None else postgres(server)
    try:
        owner = owner_of(private) if owner is None else owner
    except SourceError:
        database.engine.dispose()
        raise
    outside = OutsideHead(heads / owner if heads is not None else None, private)
    return Ledger(database, Checkpoints((private / "ledger.head", *checkpoints)), outside, owner)


def _whole_chain(connection: sa.Connection) -> list[Row]:
    """Every entry. Raises BudgetError when the chain breaks."""
    rows = [Row(*row) for row in connection.execute(sa.select(ENTRIES).order_by(ENTRIES.c.sequence))]
    if chain_faults(rows):
        raise changed()
    return rows


def _refuse_missing(rows: Sequence[Row], heads: Iterable[Head]) -> None:
    """Raise BudgetError if these entries lack one that a head remembers."""
    for who, sequence, digest in heads:
        if not 0 < sequence <= len(rows) or rows[sequence - 1].hash != digest:
            raise BudgetError(
                f"the ledger in the backup ends with entry {len(rows)}, and {who} remembers entry {sequence}: an older "
                "ledger would spend again what was spent since. Use the newest backup. Nothing was restored."
            )


def _insert(connection: sa.Connection, rows: Sequence[Row]) -> None:
    """Write entries as they are, and what their charges put on each block."""
    for row in rows:
        connection.execute(sa.insert(ENTRIES), [row._asdict()])
        if row.kind == CHARGE:
            lines = lines_of(entry_of(row).payload)
            connection.execute(sa.insert(SPENDING), [line | {"sequence": row.sequence} for line in lines])


def _append(connection: sa.Connection, kind: str, payload: dict[str, Any]) -> Entry:
    last = connection.execute(sa.select(ENTRIES).order_by(ENTRIES.c.sequence.desc()).limit(1)).first()
    row = following(Row(*last) if last is not None else None, kind, payload)
    connection.execute(sa.insert(ENTRIES), [row._asdict()])
    return entry_of(row)


def _entries(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> list[Entry]:
    query = sa.select(ENTRIES).where(*where).order_by(ENTRIES.c.sequence)
    return [entry_of(Row(*row)) for row in connection.execute(query)]


def _charges(connection: sa.Connection, where: sa.ColumnElement[bool]) -> list[Entry]:
    return _entries(connection, ENTRIES.c.sequence.in_(sa.select(SPENDING.c.sequence).where(where)))


def _lines(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> list[ChargeLine]:
    """What the spending table says was charged."""
    query = sa.select(*(SPENDING.c[name] for name in ChargeLine._fields)).where(*where)
    return [ChargeLine(*row) for row in connection.execute(query)]


def _holds(connection: sa.Connection, sequence: int, digest: str) -> bool:
    return connection.execute(sa.select(ENTRIES.c.hash).where(ENTRIES.c.sequence == sequence)).scalar() == digest


def _hashes(connection: sa.Connection, sequences: Collection[int]) -> dict[int, str]:
    """The hashes of those of these entries that there are."""
    columns = sa.select(ENTRIES.c.sequence, ENTRIES.c.hash)
    few = len(sequences) <= _ONE_BY_ONE
    columns = columns.where(ENTRIES.c.sequence.in_(sequences) if few else ENTRIES.c.sequence >= min(sequences))
    return {row.sequence: row.hash for row in connection.execute(columns)}
