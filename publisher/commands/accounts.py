"""`publisher accounts`: who can read and write on the embedded portal, and their keys and tokens."""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from publisher.errors import DefinitionError, PortalError
from publisher.portal.store.accounts import Accounts, Role, Use
from publisher.portal.store.catalog import DatasetCatalog

if TYPE_CHECKING:
    from pathlib import Path

SHORTEST = 12
"""The least number of characters in a password."""
ACCOUNTS = ("name", "role")
CREDENTIALS = ("id", "use", "account", "label", "made", "ends")


@dataclass(frozen=True)
class Given:
    """A secret that is shown once and stored nowhere, and the name that goes with it, if any."""

    name: str | None
    secret: str


def of(state: Path) -> Accounts:
    """The accounts of the portal in that folder; a running portal sees every change at once.

    Raises PortalError when there is no portal yet.
    """
    file = state / "catalogue.sqlite"
    if not file.is_file():
        raise PortalError(f"there is no portal in {state} yet: start it once with `publisher serve`")
    try:
        return Accounts(DatasetCatalog(file))
    except sqlite3.Error:
        raise PortalError(f"cannot open the catalog in {state}") from None


def add(state: Path, username: str, role: str, password: str | None) -> Given:
    """Create an account, or give one a new role and password; without a password, make a random one.

    Raises DefinitionError for an invalid name or password.
    """
    if not username or ":" in username or not username.isprintable() or len(username) > 200:
        raise DefinitionError("an account name must have 1 to 200 printable characters and no colon")
    if password is not None and len(password) < SHORTEST:
        raise DefinitionError(f"a password must have at least {SHORTEST} characters")
    accounts, secret = of(state), password or secrets.token_urlsafe(24)
    _keep_an_administrator(accounts, username, Role(role))
    accounts.add(username, secret, Role(role))
    return Given(username, secret)


def remove(state: Path, username: str) -> None:
    """Remove an account with its keys and tokens. Raises PortalError when no account has that name."""
    accounts = of(state)
    _keep_an_administrator(accounts, username, None)
    if not accounts.remove(username):
        raise PortalError(f"there is no account {username}")


def _keep_an_administrator(accounts: Accounts, username: str, role: Role | None) -> None:
    left = {each.username for each in accounts.everyone() if each.role is Role.ADMINISTRATOR} - {username}
    there = accounts.find(username)
    if there is not None and there.role is Role.ADMINISTRATOR and role is not Role.ADMINISTRATOR and not left:
        raise PortalError(f"{username} is the last administrator: add another administrator first")


def issue(state: Path, use: str, username: str | None, label: str, days: int | None) -> Given:
    """Make an API key or a token. Raises PortalError when a key has no account."""
    accounts, kind = of(state), Use(use)
    if kind is not Use.APP_TOKEN and (username is None or accounts.find(username) is None):
        raise PortalError(
            f"there is no account {username}" if username else "name the account it belongs to, with --account"
        )
    made, secret = accounts.issue(kind, username, label, seconds=None if days is None else days * 24 * 3600)
    return Given(made.id if kind is Use.API_KEY else None, secret)


def revoke(state: Path, identifier: str) -> None:
    """End a key or token. Raises PortalError when none has that id, or it has ended."""
    if not of(state).revoke(identifier):
        raise PortalError(f"no valid key or token has the id {identifier}: `publisher accounts list` shows the ids")


def accounts_listed(state: Path) -> list[tuple[str, str]]:
    """The accounts as rows of a table."""
    return [(each.username, each.role.value) for each in of(state).everyone()]


def credentials_listed(state: Path) -> list[tuple[str, str, str, str, str, str]]:
    """The keys and tokens as rows of a table, including those that have ended."""
    return [
        (each.id, each.use.value, each.username or "", each.label, _day(each.created_at), _end(each.expires_at))
        for each in of(state).credentials()
    ]


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _end(seconds: int | None) -> str:
    return "never" if seconds is None else _day(seconds)
