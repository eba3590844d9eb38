"""A backup of the state folder: taken under its lock, so that ledger, releases and records are of one moment."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from publisher import __version__
from publisher.backup.contents import (
    ABOUT,
    ALWAYS,
    KEY,
    LEDGER,
    RECORDS,
    STATE,
    BackupAbout,
    backups_in,
    files_below,
    ledger_lines,
    read_about,
)
from publisher.backup.record import BackupRecord, remember
from publisher.durable import private_files, remove_unfinished, sync, sync_tree
from publisher.errors import DefinitionError, SourceError
from publisher.journal.entry import Fact
from publisher.pipeline.continuity import unentered_heads
from publisher.pipeline.journaling import follow, journal_of
from publisher.pipeline.session import held_lock, opened
from publisher.release.manifest import FileHash, hash_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.privacy.chain import Row
    from publisher.workspace import Workspace

PATIENCE = 3600.0
"""Seconds that a backup waits for a run that is at work."""

_CHUNK = 1 << 20


def back_up(workspace: Workspace, folder: Path, *, records: bool, key: bool) -> tuple[Path, BackupAbout]:
    """Copy the state into a new folder below `folder`, whole or not at all; where it is, and what is in it.

    A file that the backup before has too is linked and not copied, where the disk can. Raises BudgetError when the
    state went back or its ledger was changed: such a state is no backup. Raises LockedError and SourceError.
    """
    _refuse_inside(workspace, folder)
    with held_lock(workspace, patience=PATIENCE), opened(workspace) as catalog:
        catalog.ledger.refuse_if_cut(unentered_heads(catalog.by_the_files))
        follow(catalog.journal, catalog.ledger)
        rows, now = catalog.ledger.rows(), datetime.now(UTC)
        about = BackupAbout(
            made=now.isoformat(timespec="seconds"),
            publisher=__version__,
            owner=catalog.ledger.owner,
            entries=len(rows),
            head=rows[-1].hash if rows else "",
            records=records,
            key=key and not records,
            files={},
        )
        words = f"{'with' if records else 'without'} records, {'with' if about.key else 'without'} the key"
        journal_of(workspace).tell(
            Fact("backup", reference=f"{now:%Y-%m-%dT%H%M%SZ}, ledger entry {len(rows)}", reason=words)
        )
        with _writing(folder):
            target = _written(workspace, folder, about, rows)
        remember(workspace.private, BackupRecord(made=about.made, entries=about.entries, folder=str(target)))
    return target, read_about(target)


def _refuse_inside(workspace: Workspace, folder: Path) -> None:
    if folder.resolve().is_relative_to(workspace.state):
        raise DefinitionError(f"{folder}: is inside the state folder, and would be lost with it: choose another folder")
    if folder.resolve().is_relative_to(workspace.heads):
        raise DefinitionError(f"{folder}: is the folder for heads, which is kept apart: choose another folder")


def _written(workspace: Workspace, folder: Path, about: BackupAbout, rows: list[Row]) -> Path:
    """The folder, which appears under its name once all of it is on disk."""
    with private_files():
        folder.mkdir(parents=True, exist_ok=True)
        earlier = backups_in(folder)
        if earlier and read_about(earlier[-1]).owner != about.owner:
            raise DefinitionError(f"{folder}: has backups of another state folder: choose another folder")
        _refuse_key_beside_records(folder, about)
        remove_unfinished(folder.glob(f".staging-{about.owner}-*"))
        staging = folder / f".staging-{about.owner}-{os.getpid()}"
        try:
            staging.mkdir()
            names = [*([KEY] if about.key else []), *ALWAYS, *(RECORDS if about.records else ())]
            files = _copied(workspace.state, names, staging, earlier[-1] if earlier else None)
            with (staging / LEDGER).open("wb") as file:
                file.writelines(ledger_lines(rows))
            files[LEDGER] = hash_of(staging / LEDGER)
            whole = about.model_copy(update={"files": files})
            (staging / ABOUT).write_bytes(whole.model_dump_json(indent=2).encode() + b"\n")
            sync_tree(staging)
            target = _free(folder, datetime.fromisoformat(about.made))
            staging.rename(target)
            sync(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return target


def _refuse_key_beside_records(folder: Path, about: BackupAbout) -> None:
    """Raise DefinitionError where an earlier backup in the folder has the records and this one the key, or the other
    way round."""
    apart = RECORDS if about.key else (KEY,) if about.records else ()
    found = [path for each in apart for path in folder.glob(f"[0-9]*/{STATE}/{each}")]
    if found:
        ours, theirs = ("private/key", "records") if about.key else ("records", "private/key")
        raise DefinitionError(
            f"{folder}: has a backup with {theirs}, and this one would have {ours}: with both, people can be found. "
            "Choose another folder"
        )


def _free(folder: Path, made: datetime) -> Path:
    """A name for a backup of that time, after those that are there."""
    name, number = f"{made:%Y-%m-%dT%H%M%SZ}", 1
    while (folder / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder / (name if number == 1 else f"{name}-{number}")


def _copied(state: Path, names: list[str], staging: Path, before: Path | None) -> dict[str, FileHash]:
    """Copy the files; those that the backup before has, as they are, become another name of its files."""
    known = read_about(before).files if before is not None else {}
    found = {}
    for name in files_below(state, names):
        there = f"{STATE}/{name}"
        target = staging / there
        target.parent.mkdir(parents=True, exist_ok=True)
        written = known.get(there)
        if before is None or written is None or not _linked(state / name, before / there, target, written):
            written = _copy(state / name, target)
        found[there] = written
    return found


def _linked(path: Path, before: Path, target: Path, written: FileHash) -> bool:
    """Whether the file is still what the backup before has, which then has another name too."""
    try:
        if path.stat().st_size != written.bytes or hash_of(path) != written or hash_of(before) != written:
            return False
        target.hardlink_to(before)
    except OSError:  # gone, or on a disk without links
        return False
    return True


def _copy(path: Path, target: Path) -> FileHash:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file, target.open("xb") as copy:
        while block := file.read(_CHUNK):
            digest.update(block)
            size += copy.write(block)
    return FileHash(sha256=digest.hexdigest(), bytes=size)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"{folder}: the backup cannot be written: {error.strerror or 'failed'}: nothing was kept"
        ) from None
