"""What a ledger is checked for: its chain, its spending table, its editions, and all that remembers its entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from publisher.errors import BudgetError, SourceError
from publisher.privacy.chain import Row, chain_faults, head_faults, release_faults, spending_faults
from publisher.privacy.tables import ENTRIES, SPENDING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from publisher.privacy.checkpoints import Checkpoints
    from publisher.privacy.database import Database
    from publisher.privacy.outside import OutsideHead


class LedgerCheck(NamedTuple):
    """One thing that was looked at."""

    what: str
    checked: str
    """How much was looked at, in words."""
    faults: Sequence[str]


def ledger_checks(
    database: Database, checkpoints: Checkpoints, outside: OutsideHead, heads: Iterable[tuple[str, int, str]]
) -> list[LedgerCheck]:
    """Every check with its faults, in words; `heads` are (who says so, sequence, hash).

    A changed byte breaks the chain; a cut tail or a restored backup is missing a head that someone remembers. Raises
    SourceError when a server does not answer.
    """
    # The heads first: they lag behind, so what they remember is there when the entries are read.
    remembered, missing = checkpoints.heads(), checkpoints.missing()
    beyond, unread = _outside(outside)
    try:
        with database.reading() as connection:
            damage = database.damage(connection)
            rows = [Row(*row) for row in connection.execute(sa.select(ENTRIES).order_by(ENTRIES.c.sequence))]
            spending = {tuple(row) for row in connection.execute(sa.select(SPENDING))}
    except SourceError:
        if database.remote:
            raise
        return [LedgerCheck("ledger", "", ["the ledger's database is damaged and cannot be read"])]
    every = [*heads, *remembered, *beyond, *(missing if len(rows) > 1 else [])]
    return [
        LedgerCheck("ledger: chain", f"entries: {len(rows)}", [*damage, *chain_faults(rows)]),
        LedgerCheck("ledger: spending", f"charged blocks: {len(spending)}", spending_faults(rows, spending)),
        LedgerCheck("ledger: editions", "each released once", release_faults(rows)),
        LedgerCheck("ledger: heads", f"places: {len(every)}", [*head_faults(rows, every), *unread]),
    ]


def _outside(outside: OutsideHead) -> tuple[list[tuple[str, int, str]], list[str]]:
    """What the outside head remembers, and why it cannot be read."""
    try:
        return [*outside.read().heads], []
    except BudgetError as error:
        return [], [str(error)]
