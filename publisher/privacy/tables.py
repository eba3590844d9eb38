"""The ledger's tables, and how older layouts become the current one: named steps, each applied once.

A step and its record are one transaction. Steps use only SQL that SQLite and PostgreSQL both understand.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import sqlalchemy as sa

from publisher.errors import SourceError
from publisher.privacy.charge import lines_of

if TYPE_CHECKING:
    from collections.abc import Callable

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
    sa.Column("series", sa.Text, nullable=False),
    sa.Column("parallel", sa.Integer, nullable=False),
    sa.Column("delta", sa.Text, nullable=False),
)
"""The amount of each charge on each of its blocks; the charges themselves are authoritative."""
MIGRATIONS = sa.Table("migrations", _METADATA, sa.Column("name", sa.Text, primary_key=True))


_ENTRIES = """
CREATE TABLE IF NOT EXISTS entries (
    sequence INTEGER NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    at TEXT NOT NULL,
    payload TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE
)
"""
_SPENDING = """
CREATE TABLE IF NOT EXISTS spending (
    sequence INTEGER NOT NULL REFERENCES entries (sequence),
    source TEXT NOT NULL,
    block TEXT NOT NULL,
    loss TEXT NOT NULL,
    PRIMARY KEY (sequence, source, block)
)
"""


def entries_and_spending(connection: sa.Connection) -> None:
    """The first layout; ledgers from that time have it without a record of it."""
    for statement in (_ENTRIES, _SPENDING, "CREATE INDEX IF NOT EXISTS spending_of_block ON spending (source, block)"):
        connection.exec_driver_sql(statement)


def series_and_delta(connection: sa.Connection) -> None:
    """The series of a charge, whether its vintages are parallel, and δ. Old charges have no series and no δ."""
    for statement in (
        "ALTER TABLE spending ADD COLUMN series TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE spending ADD COLUMN parallel INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE spending ADD COLUMN delta TEXT NOT NULL DEFAULT '0'",
        "CREATE INDEX spending_of_series ON spending (series)",
    ):
        connection.exec_driver_sql(statement)
    charges = sa.select(ENTRIES.c.sequence, ENTRIES.c.payload).where(ENTRIES.c.kind == "charge")
    for sequence, payload in connection.execute(charges).all():
        try:
            series = lines_of(json.loads(payload))[0]["series"]
        except (ValueError, KeyError, TypeError, IndexError):
            continue  # verification finds it: its spending will not agree
        connection.execute(sa.update(SPENDING).where(SPENDING.c.sequence == sequence).values(series=series))


def amendments_and_allowances(_: sa.Connection) -> None:
    """Entries that change what charges count; an older version, which would pass over them, refuses the ledger."""


STEPS = (entries_and_spending, series_and_delta, amendments_and_allowances)


def pending(connection: sa.Connection) -> list[Callable[[sa.Connection], None]]:
    """The steps that this ledger does not have yet. Raises SourceError when it has steps that are not known here."""
    if not sa.inspect(connection).has_table(MIGRATIONS.name):
        return list(STEPS)
    done = set(connection.execute(sa.select(MIGRATIONS.c.name)).scalars())
    if strange := sorted(done - {step.__name__ for step in STEPS}):
        raise SourceError(f"the ledger was made by a newer publisher ({', '.join(strange)}): install that version")
    return [step for step in STEPS if step.__name__ not in done]


def migrate(connection: sa.Connection) -> None:
    """Apply the pending steps, with their records, in the caller's transaction."""
    steps = pending(connection)
    if steps:
        MIGRATIONS.create(connection, checkfirst=True)
    for step in steps:
        step(connection)
        connection.execute(sa.insert(MIGRATIONS), [{"name": step.__name__}])
