"""The open state of a workspace: for one writer under its lock, or for readers at the same time."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from publisher import encryption
from publisher.durable import remove_unfinished, writing
from publisher.errors import LockedError, SourceError
from publisher.pipeline.catalog import Catalog
from publisher.pipeline.continuity import resume
from publisher.pipeline.journaling import follow, journal_of
from publisher.pipeline.public_ledger import write_public
from publisher.pipeline.reviews import record_terms
from publisher.privacy.installation import owner_of
from publisher.privacy.ledger import open_ledger
from publisher.privacy.outside import refuse_if_replaced
from publisher.records.secrets import create_key
from publisher.release.store import ReleaseStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.privacy.ledger import Ledger
    from publisher.workspace import Workspace


INTERRUPTED = "a command that was interrupted"
"""Who did what the ledger has and no one has told the journal."""

_PAUSE = 0.5
"""Seconds between two looks at a lock that someone holds."""

_RESTED = b"at rest"
"""The content of the lock's file while no one is at work, and no one was killed at work."""


@contextmanager
def locked(workspace: Workspace) -> Iterator[Catalog]:
    """The catalog, for one writer at a time. Raises LockedError when another run is at work."""
    create_key(workspace.private)
    with held_lock(workspace) as lock:
        encryption.check(workspace.private)
        with opened(workspace) as catalog, _at_rest(lock, workspace):
            if not workspace.feeds:  # a rehearsal is thrown away
                refuse_if_replaced(workspace.heads, workspace.state, owner_of(workspace.private))
            with _kept_from_the_collector():
                resume(catalog, workspace.private)
                catalog.store.hide_measurements()
            follow(catalog.journal, catalog.ledger, who=INTERRUPTED, settle=False)
            try:
                record_terms(catalog.ledger, workspace.review)
                yield catalog
            finally:
                follow(catalog.journal, catalog.ledger)
                write_public(catalog.ledger, workspace.public)


@contextmanager
def held_lock(workspace: Workspace, *, patience: float = 0) -> Iterator[int]:
    """The lock of the state folder, whose private folder is there. Raises LockedError when another command holds it
    for longer than `patience` seconds."""
    with writing("the state folder"):
        descriptor = os.open(workspace.private / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        until = time.monotonic() + patience
        while not _taken(descriptor):
            if time.monotonic() >= until:
                raise LockedError(f"another run holds {workspace.private / 'lock'}: wait until it ends")
            time.sleep(_PAUSE)
        yield descriptor
    finally:
        gc.unfreeze()
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _kept_from_the_collector() -> Iterator[None]:
    """What is read here, as many objects as there are releases, stays: to look through it again and again for garbage
    would take as long as all else."""
    asked = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if asked:
            gc.enable()


@contextmanager
def _at_rest(lock: int, workspace: Workspace) -> Iterator[None]:
    """Remove what a killed run left, unless the lock's file says that the last owner came to an end by itself."""
    with writing("the state folder"):
        rested = os.pread(lock, len(_RESTED), 0) == _RESTED
        os.ftruncate(lock, 0)
        os.fsync(lock)
    _tidy(workspace, thoroughly=not rested)
    yield
    with suppress(OSError):  # a full disk: the next run removes what there is to remove
        os.pwrite(lock, _RESTED, 0)


@contextmanager
def opened(workspace: Workspace) -> Iterator[Catalog]:
    """The catalog for reading, even while a run is at work."""
    if not workspace.private.is_dir():
        raise SourceError(f"{workspace.private} does not exist yet: run `publisher init` or `publisher run` first")
    ledger = ledger_of(workspace)
    try:
        store = ReleaseStore(workspace.public, workspace.private)
        yield Catalog(store, ledger, journal_of(workspace), reviewed=workspace.review is not None)
    finally:
        ledger.close()


def ledger_of(workspace: Workspace, owner: str | None = None) -> Ledger:
    """The workspace's ledger, wherever it is kept; `owner` as in `open_ledger`."""
    heads = workspace.heads if not workspace.feeds else None  # a rehearsal is thrown away
    checkpoint, server = workspace.public / "ledger.head", _server(workspace)
    return open_ledger(workspace.private, checkpoint, server=server, heads=heads, owner=owner)


def _server(workspace: Workspace) -> str | None:
    """Where the ledger is, if not in the private folder; a rehearsal never reaches the real one."""
    if workspace.feeds:
        return None
    return os.environ.get("PUBLISHER_LEDGER") or workspace.settings.ledger


def _at_work(folder: Path) -> bool:
    """Whether the process that the folder is named after is alive."""
    try:
        os.kill(int(folder.suffix[1:]), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:  # someone else's
        return True
    return True


def _apart(folder: Path) -> list[Path]:
    """States of their own in a private folder, perhaps at work, and what others look at just now."""
    return [folder / "audit", folder / "rehearsal", *filter(_at_work, folder.glob(".preview.*"))]


def _tidy(workspace: Workspace, *, thoroughly: bool) -> None:
    """Remove spilled data, and files and folders that a killed command was still writing; `thoroughly`, in all folders
    and not only in the first ones."""
    shutil.rmtree(workspace.private / "tmp", ignore_errors=True)
    with writing("the state folder"):
        (workspace.private / "tmp").mkdir(mode=0o700)
        encryption.empty_scratch(workspace.private, _apart)
        workspace.public.mkdir(exist_ok=True)
        apart = _apart(workspace.private)
        for folder in (workspace.state, workspace.public, workspace.private):
            found = folder.rglob(".*") if thoroughly and folder != workspace.state else folder.glob(".*")
            remove_unfinished(path for path in found if not any(map(path.is_relative_to, apart)))
