"""What is in a backup: a folder with a copy of the ledger's entries, the files of the state folder, and their hashes.

Heads are not copied: a head that was copied with its ledger would find nothing. The portal's store and all that a run
makes again are not copied either.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from publisher.definitions.model import Model
from publisher.errors import BudgetError, SourceError
from publisher.privacy.chain import Row, chain_faults
from publisher.release.manifest import FileHash, hash_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ABOUT = "backup.json"
LEDGER = "ledger.jsonl"
STATE = "state"
KEY, OWNER, JOURNAL = "private/key", "private/owner", "private/journal.jsonl"

ALWAYS = (
    OWNER,
    JOURNAL,
    "private/draws.json",
    "private/receipts",
    "private/purged",
    "private/approved definitions",
    "private/tuning",
    "private/measurements",
    "private/cases",
    "private/grants",
    "private/encryption.json",
    "public/releases",
    "public/validations",
    "public/approvals",
    "public/schedules",
)
"""Files and folders below the state folder that every backup has."""

RECORDS = ("private/landed", "private/fetched")
"""What only a backup with records has: each belongs to the other."""

IN_STEP = ("private/receipts", "private/purged", *RECORDS)
"""What every landing and purge changes: an older copy would count records again, or bring purged ones back."""


class BackupAbout(Model):
    """`backup.json`, written last."""

    format: Literal[1] = 1
    made: str
    """In UTC."""
    publisher: str
    owner: str
    """The id of the state folder."""
    entries: int
    """How many entries of the ledger there are."""
    head: str
    """The hash of the last one; empty if there is none."""
    records: bool
    """Whether landed records are in it."""
    key: bool
    """Whether the key for pseudonyms and ordering is in it."""
    files: dict[str, FileHash]
    """The ledger's entries, and each file below `state`."""


class Backup:
    """A backup that was read: its folder, what it says of itself, and the ledger's entries."""

    def __init__(self, folder: Path, about: BackupAbout, rows: Sequence[Row]) -> None:
        self.folder = folder
        self.about = about
        self.rows = rows

    def path(self, name: str) -> Path:
        """Where a file of the state folder is in it."""
        return self.folder / STATE / name

    @property
    def names(self) -> list[str]:
        """The files of the state folder that it has, as paths relative to that."""
        return [name.removeprefix(f"{STATE}/") for name in self.about.files if name != LEDGER]

    def hash_of(self, name: str) -> FileHash:
        """What one of them was when it was copied."""
        return self.about.files[f"{STATE}/{name}"]


def ledger_lines(rows: Iterable[Row]) -> Iterator[bytes]:
    """The ledger's entries as lines of JSON."""
    return (json.dumps(row._asdict(), ensure_ascii=False).encode() + b"\n" for row in rows)


def read_ledger(path: Path) -> list[Row]:
    """The same back. Raises BudgetError when an entry is not as it was written."""
    try:
        rows = [Row(**json.loads(line)) for line in path.read_bytes().splitlines()]
    except (OSError, ValueError, TypeError):
        rows, faults = [], ["it cannot be read"]
    else:
        faults = chain_faults(rows)
    if faults:
        raise BudgetError(f"{path}: {faults[0]}: use another backup. Nothing was restored.")
    return rows


def backups_in(folder: Path) -> list[Path]:
    """The whole backups in a folder, by time."""
    return sorted(path.parent for path in folder.glob(f"[0-9]*/{ABOUT}"))


def read_about(folder: Path) -> BackupAbout:
    """What a backup says of itself. Raises SourceError."""
    try:
        return BackupAbout.model_validate_json((folder / ABOUT).read_bytes())
    except (OSError, ValueError):
        raise SourceError(f"{folder / ABOUT}: is missing, damaged, or of a newer version: use another backup") from None


def read_backup(folder: Path) -> Backup:
    """The backup in a folder, or the newest of those in it; every file is as it was copied.

    Raises SourceError naming the files that are missing or changed, BudgetError when the ledger's entries are.
    """
    if not (folder / ABOUT).exists():
        found = backups_in(folder)
        if not found:
            raise SourceError(f"{folder}: has no backup: name the folder that `publisher backup` was given")
        folder = found[-1]
    about = read_about(folder)
    _refuse_elsewhere(folder, about)
    rows = read_ledger(folder / LEDGER)
    if (len(rows), rows[-1].hash if rows else "") != (about.entries, about.head):
        raise BudgetError(f"{folder / LEDGER}: is not the ledger that was copied: use another backup")
    wrong = sorted(name for name, written in about.files.items() if not _is(folder, name, written))
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise SourceError(
            f"{folder}: the backup is damaged: {', '.join(wrong[:5])}{more}: use another backup. Nothing was restored."
        )
    return Backup(folder, about, rows)


def _refuse_elsewhere(folder: Path, about: BackupAbout) -> None:
    """Raise SourceError when a name in it could lead out of the state folder, or is none of a backup's."""
    known = (KEY, *ALWAYS, *RECORDS)
    for name in about.files:
        inside = name.removeprefix(f"{STATE}/")
        ours = any(inside == each or inside.startswith(f"{each}/") for each in known)
        strange = not ours or ".." in Path(name).parts or not name.isprintable() or not name.startswith(f"{STATE}/")
        if name != LEDGER and strange:
            raise SourceError(f"{folder / ABOUT}: names {name!r}, which no backup has. Nothing was restored.")


def _is(folder: Path, name: str, written: FileHash) -> bool:
    """Whether a file is as it was copied, and in the backup: a link could lead to any file of this machine."""
    path = folder / name
    try:
        inside = path.is_file() and path.resolve() == folder.resolve() / name
        return inside and path.stat().st_size == written.bytes and hash_of(path) == written
    except OSError:
        return False


def files_below(state: Path, names: Iterable[str]) -> Iterator[str]:
    """The files under these names, relative to the state folder; what a killed command was still writing is none.
    Raises SourceError for a folder in them that is a link, in which no file would be found."""
    for name in names:
        path = state / name
        if path.is_file():
            yield name
        for each in sorted(path.rglob("*")) if path.is_dir() else ():
            inside = each.relative_to(state)
            if each.is_symlink() and each.is_dir():
                raise SourceError(
                    f"{each}: is a link to a folder, whose files would not be in the backup: move the folder here, or "
                    f"make {path} the link"
                )
            if each.is_file() and not any(part.startswith(".") for part in inside.parts):
                yield str(inside)
