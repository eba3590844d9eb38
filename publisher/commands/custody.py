"""What `publisher doctor` says of how private files are kept: encryption, modes, users, backups, clock, memory."""

from __future__ import annotations

import os
import pwd
import resource
import stat
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from publisher.backup.record import newest_backup
from publisher.commands.keys import keys_standing
from publisher.confined import is_dumpable
from publisher.errors import BudgetError, PublisherError, SourceError
from publisher.pipeline.session import opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.workspace import Workspace

BACKUP_DAYS = 7
"""A backup that is older is too old, unless the person says otherwise."""
_APART = timedelta(minutes=5)
"""So far may the portal's clock be from this one."""
_AHEAD = timedelta(seconds=5)
_SECONDS = 5


@dataclass(frozen=True)
class Diagnosis:
    """The result of one check; `exit_code` is 0 if it passed."""

    what: str
    words: str
    exit_code: int = 0
    risky: bool = False
    """Whether it passed, but people should change something."""

    @property
    def status(self) -> str:
        """ok, warning or failed."""
        if self.exit_code:
            return "failed"
        return "warning" if self.risky else "ok"


def custody(workspace: Workspace, backup_days: int) -> Iterator[Diagnosis]:
    """Every check of how private files are kept; a fault does not stop the rest."""
    yield _encryption(workspace)
    yield _spill(workspace)
    yield _modes(workspace)
    yield _users(workspace)
    yield _backup(workspace, backup_days)
    yield _clock(workspace)
    yield _core_dumps()


def _encryption(workspace: Workspace) -> Diagnosis:
    try:
        standing = keys_standing(workspace)
    except PublisherError as error:
        return Diagnosis("encryption", str(error), error.exit_code)
    if standing is None:
        words = "landed records, receipts and reports lie as they are: add [encryption], or use an encrypted disk"
        return Diagnosis("encryption", words, risky=True)
    left = standing.files.plain + standing.files.previous
    if left:
        words = f"some files do not have the key {standing.key} yet: run `publisher keys rotate`"
        return Diagnosis("encryption", words, risky=True)
    if standing.previous is not None:
        words = f"all files have the key {standing.key}: remove `previous` from [encryption]"
        return Diagnosis("encryption", words, risky=True)
    return Diagnosis("encryption", f"all files have the key {standing.key}")


def _spill(workspace: Workspace) -> Diagnosis:
    settings = workspace.settings.encryption
    if settings is None:
        return Diagnosis("spill", f"what does not fit into memory goes to {workspace.private / 'tmp'}, as it is")
    if settings.spill == "off":
        return Diagnosis("spill", "off; temporary files are in memory")
    return Diagnosis("spill", f"to {workspace.private / 'tmp'}, which publisher.toml says is on an encrypted volume")


def _private_files(workspace: Workspace) -> Iterator[tuple[Path, os.stat_result]]:
    for folder in (workspace.private, workspace.portal):
        for path in folder.rglob("*"):
            try:
                yield path, path.lstat()
            except OSError:  # gone meanwhile
                continue


def _modes(workspace: Workspace) -> Diagnosis:
    private = [path for path, status in _private_files(workspace) if stat.S_IMODE(status.st_mode) & 0o077]
    opened_up = [path for path in private if path.is_file() and not path.is_symlink()]
    if opened_up:
        words = f"others may read {opened_up[0]}{_more(opened_up)}: run chmod -R go= {workspace.private}"
        return Diagnosis("file modes", words, SourceError.exit_code)
    return Diagnosis("file modes", "no private file is open to others")


def _users(workspace: Workspace) -> Diagnosis:
    mine = os.geteuid()
    others = [path for path, status in _private_files(workspace) if status.st_uid != mine]
    if others:
        words = f"{others[0]}{_more(others)} belong to another user than {_name(mine)}: run publisher as one user"
        return Diagnosis("user", words, SourceError.exit_code)
    if mine == 0:
        return Diagnosis("user", "publisher runs as root: give it a user of its own", risky=True)
    return Diagnosis("user", f"everything private belongs to {_name(mine)}")


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _more(paths: list[Path]) -> str:
    return f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""


def _backup(workspace: Workspace, days: int) -> Diagnosis:
    found = newest_backup(workspace)
    if found is None:
        return Diagnosis("backup", "none is known of this state folder: publisher backup", risky=True)
    words = f"the last one was made on {found.made[:10]}"
    old = found.days > days
    return Diagnosis("backup", f"{words}, more than {days} days ago" if old else words, risky=old)


def _clock(workspace: Workspace) -> Diagnosis:
    """Whether this machine's clock agrees with what it wrote before, and with the portal's."""
    now, newest = datetime.now(UTC), _newest_entry(workspace)
    if newest is not None and newest > now + _AHEAD:
        words = f"it is {now:%Y-%m-%d %H:%M} UTC here, and the ledger's newest entry is from {newest:%Y-%m-%d %H:%M}"
        return Diagnosis("clock", f"{words}: set the clock before anything is released", BudgetError.exit_code)
    theirs = _portal_time(workspace)
    if theirs is not None and abs(theirs - datetime.now(UTC)) > _APART:
        words = f"it is {now:%Y-%m-%d %H:%M} UTC here and {theirs:%Y-%m-%d %H:%M} on the portal: set the wrong one"
        return Diagnosis("clock", words, risky=True)
    agrees = " and the portal" if theirs is not None else ""
    return Diagnosis("clock", f"{now:%Y-%m-%d %H:%M} UTC, which agrees with the ledger{agrees}")


def _newest_entry(workspace: Workspace) -> datetime | None:
    try:
        with opened(workspace) as catalog:
            entries = catalog.ledger.since(max(0, catalog.ledger.newest() - 1))
        return datetime.fromisoformat(entries[-1].at) if entries else None
    except (PublisherError, ValueError):
        return None  # the ledger's own check says what is wrong with it


def _portal_time(workspace: Workspace) -> datetime | None:
    """The time of the portal's answer; None if it does not answer."""
    import requests

    target = workspace.settings.portal
    url = f"https://{target.domain}" if target.kind == "socrata" else f"{target.url}/health"
    try:
        answer = requests.head(url, timeout=_SECONDS, allow_redirects=False)
        return parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)
    except (requests.RequestException, KeyError, ValueError):
        return None


def _core_dumps() -> Diagnosis:
    limit, _ = resource.getrlimit(resource.RLIMIT_CORE)
    if limit or is_dumpable():
        words = f"{sys.platform} may write the memory of publisher, which holds records, to a file: run `ulimit -c 0`"
        return Diagnosis("core dumps", words, risky=True)
    return Diagnosis("core dumps", "off for every process of publisher")
