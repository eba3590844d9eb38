"""The catalog's schema, as small named steps that are each applied once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


def datasets(connection: sqlite3.Connection) -> None:
    """Datasets, with the pointer to the version that holds their rows."""
    connection.execute(
        """
        CREATE TABLE datasets (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            description TEXT NOT NULL,
            category TEXT NOT NULL,
            tags TEXT NOT NULL,
            attribution TEXT NOT NULL,
            attribution_link TEXT NOT NULL,
            license_id TEXT NOT NULL,
            metadata TEXT NOT NULL,
            row_identifier TEXT,
            owner TEXT NOT NULL,
            public INTEGER NOT NULL,
            published INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            published_at INTEGER,
            rows_updated_at INTEGER NOT NULL,
            version INTEGER NOT NULL,
            rows INTEGER NOT NULL,
            next_row INTEGER NOT NULL
        ) STRICT
        """
    )


def columns(connection: sqlite3.Connection) -> None:
    """The columns of each dataset; a column's id is never reused."""
    connection.execute(
        """
        CREATE TABLE columns (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            dataset TEXT NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
            field TEXT NOT NULL,
            name TEXT NOT NULL,
            kind TEXT NOT NULL,
            position INTEGER NOT NULL,
            description TEXT NOT NULL,
            UNIQUE (dataset, field)
        ) STRICT
        """
    )


def accounts(connection: sqlite3.Connection) -> None:
    """Accounts, with passwords as hashes; the salt is for scrypt hashes."""
    connection.execute(
        """
        CREATE TABLE accounts (
            username TEXT PRIMARY KEY,
            salt BLOB NOT NULL,
            hash BLOB NOT NULL,
            created_at INTEGER NOT NULL
        ) STRICT
        """
    )


def failed_logins(connection: sqlite3.Connection) -> None:
    """Failed logins by name and client address, to slow down guessing."""
    connection.execute(
        """
        CREATE TABLE failed_logins (
            username TEXT NOT NULL,
            client TEXT NOT NULL,
            failures INTEGER NOT NULL,
            last_at REAL NOT NULL,
            PRIMARY KEY (username, client)
        ) STRICT
        """
    )


def assets(connection: sqlite3.Connection) -> None:
    """Files attached to datasets; their content is in a folder next to the catalog."""
    connection.execute(
        """
        CREATE TABLE assets (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            media_type TEXT NOT NULL,
            size INTEGER NOT NULL,
            sha256 TEXT NOT NULL,
            owner TEXT NOT NULL,
            created_at INTEGER NOT NULL
        ) STRICT
        """
    )


def roles(connection: sqlite3.Connection) -> None:
    """Roles: what each account may do; older accounts could do everything."""
    connection.execute("ALTER TABLE accounts ADD COLUMN role TEXT NOT NULL DEFAULT 'administrator'")


def credentials(connection: sqlite3.Connection) -> None:
    """API keys, bearer tokens, and app tokens, as digests; a revoked one is stored as expired."""
    connection.execute(
        """
        CREATE TABLE credentials (
            id TEXT PRIMARY KEY,
            use TEXT NOT NULL,
            username TEXT REFERENCES accounts (username) ON DELETE CASCADE,
            hash BLOB NOT NULL UNIQUE,
            label TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            expires_at INTEGER
        ) STRICT
        """
    )


def trusted_logins(connection: sqlite3.Connection) -> None:
    """The addresses each account has logged in from, where failed logins from elsewhere do not delay it."""
    connection.execute(
        """
        CREATE TABLE trusted_logins (
            username TEXT NOT NULL,
            client TEXT NOT NULL,
            last_at REAL NOT NULL,
            PRIMARY KEY (username, client)
        ) STRICT
        """
    )


def blobs_and_copies(connection: sqlite3.Connection) -> None:
    """Datasets that are one file, and working copies of published datasets."""
    connection.execute("ALTER TABLE datasets ADD COLUMN blob TEXT")
    connection.execute("ALTER TABLE datasets ADD COLUMN copy_of TEXT REFERENCES datasets (id) ON DELETE SET NULL")


def drafts(connection: sqlite3.Connection) -> None:
    """Revisions and their documents, and the last revision of each dataset."""
    connection.execute("ALTER TABLE datasets ADD COLUMN revision INTEGER NOT NULL DEFAULT 0")
    connection.execute(
        """
        CREATE TABLE drafts (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            sort TEXT NOT NULL,
            parent INTEGER REFERENCES drafts (id) ON DELETE CASCADE,
            dataset TEXT REFERENCES datasets (id) ON DELETE CASCADE,
            body TEXT NOT NULL,
            created_at INTEGER NOT NULL
        ) STRICT
        """
    )
    connection.execute("CREATE INDEX drafts_parent ON drafts (parent)")
    connection.execute("CREATE INDEX drafts_dataset ON drafts (dataset)")


def writers(connection: sqlite3.Connection) -> None:
    """The account that last wrote the rows of each dataset."""
    connection.execute("ALTER TABLE datasets ADD COLUMN rows_updated_by TEXT NOT NULL DEFAULT ''")


STEPS = (
    datasets,
    columns,
    accounts,
    failed_logins,
    assets,
    roles,
    credentials,
    trusted_logins,
    blobs_and_copies,
    drafts,
    writers,
)


def unknown(connection: sqlite3.Connection) -> list[str]:
    """The steps that a newer program has applied to this catalog; read-only."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone():
        return []
    known = {step.__name__ for step in STEPS}
    return [name for (name,) in connection.execute("SELECT name FROM migrations ORDER BY rowid") if name not in known]


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the steps that are new to this catalog, and record them, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY) STRICT")
    done = {name for (name,) in connection.execute("SELECT name FROM migrations")}
    for step in STEPS:
        if step.__name__ not in done:
            step(connection)
            connection.execute("INSERT INTO migrations VALUES (?)", (step.__name__,))
    connection.execute("COMMIT")
