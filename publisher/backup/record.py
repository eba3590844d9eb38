"""When the last backup was made, as the state folder remembers it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from publisher.definitions.model import Model
from publisher.durable import write_file

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.workspace import Workspace

RECORD = "backup.json"


class BackupRecord(Model):
    """`private/backup.json`."""

    made: str
    """In UTC."""
    entries: int
    """How many entries the ledger had."""
    folder: str

    @property
    def days(self) -> int:
        """How many whole days ago it was."""
        return max(0, (datetime.now(UTC) - datetime.fromisoformat(self.made)).days)

    @property
    def words(self) -> str:
        """The same for people."""
        ago = {0: "less than a day ago", 1: "yesterday"}.get(self.days, f"{self.days:,} days ago")
        return f"last backup: {ago}, in {self.folder}"


def remember(private: Path, record: BackupRecord) -> None:
    """Write it down. Raises SourceError."""
    write_file(private / RECORD, record.model_dump_json().encode() + b"\n", mode=0o600)


def newest_backup(workspace: Workspace) -> BackupRecord | None:
    """The last backup that was made of this state folder; None if there is none that it remembers."""
    try:
        return BackupRecord.model_validate_json((workspace.private / RECORD).read_bytes())
    except (OSError, ValueError):
        return None
