"""Restoring from a backup: what is missing comes back, and nothing is put over something newer.

An older ledger would spend again what was spent since, so every head is asked before one is written. What is there
stays, unless the ledger says that it was changed and that the backup has it as it was.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from publisher.backup.contents import IN_STEP, JOURNAL, KEY, OWNER, read_backup
from publisher.backup.expected import damaged_pack, expected_hashes, is_packed
from publisher.cases.register import DELETED
from publisher.durable import private_files, sync, write_file, writing
from publisher.errors import BudgetError, SourceError
from publisher.grants.grant import ENDED, is_ended
from publisher.journal.entry import Fact, read_entry
from publisher.journal.journal import NOWHERE, Journal, read_entries
from publisher.pipeline.catalog import Catalog
from publisher.pipeline.journaling import journal_of
from publisher.pipeline.public_ledger import FILE, last_line, public_entry
from publisher.pipeline.session import held_lock, ledger_of
from publisher.privacy.chain import entry_of
from publisher.privacy.ledger import OTHER_LEDGER
from publisher.privacy.outside import refuse_if_replaced
from publisher.records.batch import is_said_together
from publisher.records.secrets import fingerprint
from publisher.release.manifest import hash_of
from publisher.release.store import ReleaseStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from publisher.backup.contents import Backup
    from publisher.privacy.chain import Head, Row
    from publisher.privacy.ledger import Ledger
    from publisher.workspace import Workspace

_TOLD = ("land", "purge")
"""What the journal tells of that changes records and first receipts."""


@dataclass
class Restored:
    """What came back, and what did not, in words."""

    backup: Path
    entries: int = 0
    """Of the ledger."""
    files: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    key_missing: bool = False


def restore(workspace: Workspace, folder: Path, published: Callable[[Collection[str]], Sequence[Head]]) -> Restored:
    """Bring back what is missing and can be; everything is checked before anything is written.

    `published` asks the portal which entries it names, of these datasets too: only where no head on this machine
    remembers the ledger. Raises BudgetError where an older ledger would replace a newer one, or nothing is missing;
    SourceError when the backup is damaged or of another state folder; PortalError when the portal has to be asked and
    does not answer; LockedError when a run is at work.
    """
    backup = read_backup(folder)
    with writing(workspace.private), private_files():
        workspace.private.mkdir(parents=True, exist_ok=True)
        workspace.private.chmod(0o700)
    with writing(workspace.public):
        workspace.public.mkdir(exist_ok=True)
    with held_lock(workspace):
        ledger = ledger_of(workspace, backup.about.owner)
        try:
            return _Restoring(workspace, backup, ledger, published).run()
        finally:
            ledger.close()


class _Restoring:
    """One restore, under the lock."""

    def __init__(
        self,
        workspace: Workspace,
        backup: Backup,
        ledger: Ledger,
        published: Callable[[Collection[str]], Sequence[Head]],
    ) -> None:
        self._workspace = workspace
        self._published = published
        self._state = workspace.state
        self._backup = backup
        self._ledger = ledger
        self._done = Restored(backup.folder)

    def run(self) -> Restored:
        there = self._ledger.rows()
        self._refuse_other_owner(there)
        self._refuse_other_key()
        older = len(there) > len(self._backup.rows)
        if not older:
            self._refuse_released_since()
        elif there[: len(self._backup.rows)] != list(self._backup.rows):
            raise BudgetError(OTHER_LEDGER)
        self._bring_identity()
        if self._backup.rows and not older:
            self._done.entries = self._ledger.extend(self._backup.rows)
        in_step = self._bring_journal() and not older
        self._bring_files(in_step)
        self._finish(older, len(there))
        return self._done

    def _refuse_other_owner(self, there: Sequence[Row]) -> None:
        """A folder that has spent nothing yet takes the id of the one that was backed up."""
        path = self._state / OWNER
        own = path.read_text().strip() if path.is_file() else self._backup.about.owner
        spent = any(row.kind in ("key", "charge") and f'"{own}"' in row.payload for row in there)
        if own != self._backup.about.owner and spent:
            raise SourceError(
                f"{self._state}: has spent budget under another id than {self._backup.folder}: they are two state "
                "folders. Restore into a folder of its own. Nothing was restored."
            )
        if self._workspace.heads.is_dir():
            refuse_if_replaced(self._workspace.heads, self._state, self._backup.about.owner)

    def _refuse_other_key(self) -> None:
        """The backup's key is the one that its ledger names."""
        if not self._backup.about.key:
            return
        own = f'"owner":"{self._backup.about.owner}"'
        known = [row.payload for row in self._backup.rows if row.kind == "key" and own in row.payload]
        if known and fingerprint(self._backup.path("private")) not in known[0]:
            raise SourceError(f"{self._backup.path(KEY)}: is not the key that its ledger names. Nothing was restored.")

    def _refuse_released_since(self) -> None:
        """Raise BudgetError if the backup lacks an entry that something public names: the ledger as people outside read
        it, a release that is here, or the portal where nothing on this machine remembers the ledger."""
        rows = self._backup.rows
        told = last_line(self._workspace.public)
        if told is not None and (told.sequence > len(rows) or public_entry(rows[told.sequence - 1]) != told):
            raise _older(rows, f"{self._workspace.public / FILE} has entry {told.sequence}")
        for who, sequence, digest in self._on_the_portal():
            if not 0 < sequence <= len(rows) or rows[sequence - 1].hash != digest:
                raise _older(rows, f"{who} was paid for by entry {sequence}")
        store = ReleaseStore(self._workspace.public, self._workspace.private, indexed=False)
        for name in store.names():
            try:
                head = store.named(name).manifest.ledger
            except SourceError:
                continue  # damaged: perhaps it comes back
            if head.sequence > len(rows) or rows[head.sequence - 1].hash != head.hash:
                raise _older(rows, f"the release {name} was paid for by entry {head.sequence}")

    def _on_the_portal(self) -> Sequence[Head]:
        """The entries that the portal names, where nothing on this machine remembers any."""
        if self._ledger.heads():
            return ()
        return self._published({each for each in map(_dataset_of, self._backup.rows) if each})

    def _bring_identity(self) -> None:
        for name in (OWNER, KEY):
            if name in self._backup.names:
                self._bring(name)

    def _bring_journal(self) -> bool:
        """Bring back the journal if it is missing or older; whether nothing was landed or purged since the backup."""
        path, copy = self._state / JOURNAL, self._backup.path(JOURNAL)
        here = path.read_bytes() if path.is_file() else b""
        theirs = copy.read_bytes() if copy.is_file() else b""
        theirs = theirs[: theirs.rfind(b"\n") + 1]
        if here.startswith(theirs):
            since = [read_entry(line) for line in here[len(theirs) :].splitlines()]
            return not any(entry is None or entry.fact.kind in _TOLD for entry in since)
        if not theirs.startswith(here):
            self._done.left_out.append(f"{JOURNAL}: the one here and the backup's have parted: it stays as it is")
            return False
        head = journal_of(self._workspace).head
        newest = Journal(copy, head).remembered().newest
        lines = {
            (entry.sequence, entry.hash) for line in theirs.splitlines() if (entry := read_entry(line)) is not None
        }
        if newest not in (*lines, NOWHERE):
            words = (
                f"{JOURNAL}: the backup's is older than entry {newest[0]}, which {head} remembers: use a newer backup"
            )
            self._done.left_out.append(words)
            return False
        write_file(path, theirs, mode=0o600)
        self._done.files.append(JOURNAL)
        return True

    def _bring_files(self, in_step: bool) -> None:
        names = [name for name in self._backup.names if name not in (OWNER, KEY, JOURNAL)]
        over = tuple(self._deleted_or_ended())
        wanted = [name for name in names if not (name.startswith(over) or self._is_here(name))]
        if not wanted:
            return
        store = ReleaseStore(self._workspace.public, self._workspace.private, indexed=False)
        catalog = Catalog(store, self._ledger, journal_of(self._workspace))
        expected = expected_hashes(catalog, self._backup, wanted)
        for name in wanted:
            self._bring_or_leave(name, expected, in_step)

    def _deleted_or_ended(self) -> Iterator[str]:
        """Where the cases are that were deleted with what people wrote, and the grants that were ended, as the journal
        tells: they never come back, but for a grant that the backup too has as ended."""
        for fact in (entry.fact for entry in read_entries(journal_of(self._workspace))):
            if fact.kind == "case" and fact.reason.endswith(DELETED):
                yield f"private/cases/{fact.reference.removeprefix('case ')}/"
            elif fact.kind == "grant" and fact.reason.startswith(ENDED):
                name = f"private/grants/{fact.reference.partition(',')[0].removeprefix('grant ')}.json"
                if not is_ended(self._backup.path(name)):
                    yield name

    def _is_here(self, name: str) -> bool:
        path, written = self._state / name, self._backup.hash_of(name)
        same = path.is_file() and path.stat().st_size == written.bytes and hash_of(path) == written
        return same or is_packed(self._state, name) or is_said_together(path)

    def _bring_or_leave(self, name: str, expected: dict[str, str], in_step: bool) -> None:
        path, ours = self._state / name, self._backup.hash_of(name).sha256
        known = expected.get(name)
        if path.exists() and known is None and not damaged_pack(path, self._backup.path(name)):
            return  # it has gone on since
        if known not in (None, ours):
            if not path.exists() or hash_of(path).sha256 != known:
                self._done.left_out.append(
                    f"{name}: the backup's is not the one that the ledger has: use another backup"
                )
        elif not in_step and any(name.startswith(f"{each}/") for each in IN_STEP):
            self._done.left_out.append(f"{name}: the backup's is older than what was landed or released since")
        else:
            self._bring(name)

    def _bring(self, name: str) -> None:
        """Copy a file of the backup to its place, whole or not at all."""
        path, source = self._state / name, self._backup.path(name)
        if path.exists() and hash_of(path) == self._backup.hash_of(name):
            return
        private = PurePosixPath(name).parts[0] == "private"
        with writing(path):
            _make_folders(path.parent, self._state, 0o700 if private else 0o755)
            beside = path.with_name(f".{path.name}.{os.getpid()}")
            try:
                shutil.copyfile(source, beside)
                if hash_of(beside) != self._backup.hash_of(name):
                    raise SourceError(
                        f"{source}: was changed while it was restored: make sure that no one writes there"
                    )
                beside.chmod(0o600 if private else 0o644)
                sync(beside)
                beside.replace(path)
            finally:
                beside.unlink(missing_ok=True)
            sync(path.parent)
        self._done.files.append(name)

    def _finish(self, older: bool, entries: int) -> None:
        self._done.key_missing = not (self._state / KEY).exists()
        if self._done.files or self._done.entries:
            made = f"backup of {self._backup.about.made}, ledger entry {len(self._backup.rows)}"
            journal_of(self._workspace).tell(Fact("restore", reference=made))
        elif older:
            raise BudgetError(
                f"{self._backup.folder}: its ledger ends with entry {len(self._backup.rows)}, the one here with entry "
                f"{entries}: an older ledger is never put over a newer one, since it would spend again what was spent "
                "since. Nothing else that this backup has is missing here; nothing was restored."
            )


def _older(rows: Sequence[Row], newer: str) -> BudgetError:
    return BudgetError(
        f"the ledger in the backup ends with entry {len(rows)}, and {newer}: an older ledger would spend again what "
        "was spent since. Use the newest backup. Nothing was restored."
    )


def _dataset_of(row: Row) -> str:
    """The dataset that an entry is about, if any."""
    return str(entry_of(row).payload.get("dataset", ""))


def _make_folders(folder: Path, state: Path, mode: int) -> None:
    """The folder and those above it, below the state folder, with this mode where they are new."""
    for each in (*reversed(folder.parents), folder):
        if each.is_relative_to(state) and not each.exists():
            each.mkdir(mode=mode)
            sync(each.parent)
