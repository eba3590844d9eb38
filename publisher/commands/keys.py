"""`publisher keys`: what is encrypted, with which key; a new key; and private reports as text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from publisher import encryption
from publisher.errors import DefinitionError, SourceError
from publisher.pipeline.journaling import tell_reading
from publisher.pipeline.session import locked
from publisher.records.renewal import EncryptedFiles, encrypted_files, renew_all

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.workspace import Workspace

NO_KEY = "Nothing is encrypted: publisher.toml has no [encryption]. docs/keys.md says how to begin."


@dataclass(frozen=True)
class KeysStanding:
    """Which key a workspace has, and how many private files have it."""

    key: str
    previous: str | None
    files: EncryptedFiles
    spill: str

    @property
    def fields(self) -> dict[str, Any]:
        """For --json."""
        return {"key": self.key, "previous": self.previous, "files": asdict(self.files), "spill": self.spill}

    @property
    def rows(self) -> list[tuple[str, str]]:
        """For people."""
        memory = "off; temporary files are in memory" if self.spill == "off" else "to the encrypted volume of the state"
        return [
            ("key", self.key),
            ("key before it", self.previous or "none"),
            ("files with this key", f"{self.files.current:,}"),
            ("files with the key before it", f"{self.files.previous:,}"),
            ("files that are not encrypted", f"{self.files.plain:,}"),
            ("spilling", memory),
        ]


def keys_standing(workspace: Workspace) -> KeysStanding | None:
    """What is encrypted; None without a key. Raises SourceError where the key cannot be read or is another."""
    encryption.refuse_other_key(workspace.private)
    settings, found = workspace.settings.encryption, encryption.of(workspace.private)
    if settings is None or found is None:
        return None
    previous = found.keys[1].name if len(found.keys) > 1 else None
    return KeysStanding(found.key.name, previous, encrypted_files(workspace.private), settings.spill)


def rotate(workspace: Workspace) -> str:
    """Write every file that does not have the workspace's key again, under the lock; what was done, in words."""
    if workspace.settings.encryption is None:
        raise DefinitionError(NO_KEY)
    with locked(workspace):
        count = renew_all(workspace.private)
    settings = workspace.settings.encryption
    after = " Remove `previous` from [encryption]: no file needs that key any more." if settings.previous else ""
    return f"{count:,} files were written again; all have the workspace's key.{after}"


def report_text(workspace: Workspace, file: Path) -> str:
    """The text of a private report, whose reading the journal tells."""
    reports = workspace.private / "reports"
    path = file.resolve() if file.exists() else (reports / file).resolve()
    if not path.is_relative_to(reports) or path.suffix != ".json" or not path.is_file():
        raise DefinitionError(f"{file}: is not a private report: name a file in {reports}")
    encryption.refuse_other_key(workspace.private)
    tell_reading(workspace, "report", source=path.relative_to(reports).parts[0])
    try:
        return encryption.read_file(path).decode()
    except (OSError, UnicodeDecodeError):
        raise SourceError(f"{path}: is damaged: restore it from a backup") from None
