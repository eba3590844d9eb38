"""`publisher doctor`: this machine and this workspace."""

from __future__ import annotations

import os
import platform
import stat
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from publisher.commands.custody import BACKUP_DAYS, Diagnosis, custody
from publisher.commands.verify import ledger_findings
from publisher.errors import BudgetError, PublisherError
from publisher.feeds.credentials import content_of
from publisher.pipeline.session import opened
from publisher.privacy.noise_check import DRAWS, installed_fits
from publisher.push.embedded import answers
from publisher.records.stored_batches import refuse_open_to_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.copies import LandedCopies
    from publisher.workspace import Workspace

PACKAGES = ("duckdb", "opendp", "great-expectations", "sodapy", "pandas", "pyarrow", "sqlglot", "sqlalchemy")


def checkup(workspace: Workspace, backup_days: int = BACKUP_DAYS) -> Iterator[Diagnosis]:
    """Run every check; a fault does not stop the rest."""
    packages = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    yield Diagnosis("versions", f"Python {platform.python_version()}, {packages}")
    yield _definitions(workspace)
    yield _private(workspace)
    if workspace.copies is not None:
        yield _landed(workspace.copies)
    yield from custody(workspace, backup_days)
    yield _ledger(workspace)
    yield _heads(workspace)
    yield _noise()
    yield _portal(workspace)
    yield _notices(workspace)


def _definitions(workspace: Workspace) -> Diagnosis:
    try:
        words = f"{len(workspace.sources)} sources, {len(workspace.datasets)} datasets"
        words += f"; drafts left out: {len(workspace.unfinished)}" if workspace.unfinished else ""
        return Diagnosis("definitions", words)
    except PublisherError as error:
        return Diagnosis("definitions", str(error), error.exit_code)


def _private(workspace: Workspace) -> Diagnosis:
    private = workspace.private
    if not private.is_dir():
        return Diagnosis("private folder", f"{private} does not exist yet: run `publisher init`")
    mode = stat.S_IMODE(private.stat().st_mode)
    if mode != 0o700:
        return Diagnosis("private folder", f"{private} is open to others (mode {mode:o}): chmod 700", 5)
    if not os.access(private, os.W_OK):
        return Diagnosis("private folder", f"{private} cannot be written", 5)
    return Diagnosis("private folder", f"{private}, mode 700")


def _landed(copies: LandedCopies) -> Diagnosis:
    """Whether the store of landed records can be written, read and tidied, and by no one without keys."""
    try:
        refuse_open_to_all(copies)
    except PublisherError as error:
        return Diagnosis("landed records", str(error), error.exit_code)
    return Diagnosis("landed records", f"in {copies.address.url}, which can be written and read, with keys alone")


def _ledger(workspace: Workspace) -> Diagnosis:
    if not workspace.private.is_dir():
        return Diagnosis("ledger", "nothing is spent yet")
    try:
        with opened(workspace) as catalog:
            findings = list(ledger_findings(catalog.by_the_files))
        faults = [fault for each in findings for fault in each.faults]
        words = f"verifies: {', '.join(each.checked for each in findings)}"
        return Diagnosis("ledger", "; ".join(faults) or words, BudgetError.exit_code if faults else 0)
    except PublisherError as error:
        return Diagnosis("ledger", str(error), error.exit_code)


def _heads(workspace: Workspace) -> Diagnosis:
    """Whether what remembers the ledger outside the state folder would be lost together with it."""
    if _disk_of(workspace.heads) == _disk_of(workspace.state):
        words = f"{workspace.heads} is on the same disk as {workspace.state}: set `heads` to a folder on another disk"
        return Diagnosis("ledger's head outside", words, risky=True)
    return Diagnosis("ledger's head outside", f"in {workspace.heads}, on another disk than the state folder")


def _disk_of(path: Path) -> int:
    """The disk of a folder, or of the one that it would be made in."""
    return next(each for each in (path, *path.parents) if each.exists()).stat().st_dev


def _noise() -> Diagnosis:
    """Draws noise as a release does and compares it with the exact probabilities."""
    fits = installed_fits()
    bad = [f"{fit.kind} by {fit.sampler} ({fit.worst[0]}: p = {fit.worst[1]:.1g})" for fit in fits if not fit.passed]
    if bad:
        words = f"not what a release pays for: {', '.join(bad)}. Publish nothing; install numpy and opendp again"
        return Diagnosis("noise", words, BudgetError.exit_code)
    draws = " and ".join(f"{count:,} draws by {sampler}" for sampler, count in DRAWS.items())
    least = min(fit.worst[1] for fit in fits)
    return Diagnosis("noise", f"{draws} of each distribution fit its exact probabilities (least p = {least:.2g})")


def _portal(workspace: Workspace) -> Diagnosis:
    target = workspace.settings.portal
    if target.kind == "socrata":
        return Diagnosis("portal", f"{target.domain}: checked when you push")
    running = "answers" if answers(target.url) else "is not running; `publisher run` starts it for a push"
    return Diagnosis("portal", f"{target.url} {running}")


def _notices(workspace: Workspace) -> Diagnosis:
    settings = workspace.settings.notices
    if settings is None:
        return Diagnosis("notices", "no one is told when something needs a person: add [notices]", risky=True)
    try:
        content_of(settings.addresses, "publisher.toml: notices.addresses:")
    except PublisherError as error:
        return Diagnosis("notices", str(error), error.exit_code)
    file = settings.addresses.file
    if file is not None and stat.S_IMODE(Path(file).stat().st_mode) & 0o077:
        return Diagnosis("notices", f"{file} is open to others, and may hold passwords: chmod 600", risky=True)
    return Diagnosis("notices", "have addresses: `publisher notify --test` tries them")
