"""Checkpoints: files outside the ledger's database that name its last entry, so that a cut tail is found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.durable import write_file
from publisher.privacy.chain import Head

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.privacy.chain import Entry


@dataclass(frozen=True)
class Checkpoints:
    """Files in different places, each with the same head."""

    paths: tuple[Path, ...]

    def write(self, entry: Entry) -> None:
        """Write the head after the commit: after a crash it may be behind the ledger, but never ahead of it."""
        text = json.dumps({"sequence": entry.sequence, "hash": entry.hash})
        for path in self.paths:
            write_file(path, text.encode(), mode=0o600)

    def heads(self) -> list[Head]:
        """What the existing checkpoints remember; a damaged one remembers an entry that no ledger has."""
        return [_head(path) for path in self.paths if path.is_file()]

    def missing(self) -> list[Head]:
        """The checkpoints that are missing: acceptable only after a crash at the very first entry."""
        return [Head(f"{_name(path)}, which is missing,", -1, "") for path in self.paths if not path.is_file()]


def _head(path: Path) -> Head:
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        return Head(_name(path), int(head["sequence"]), str(head["hash"]))
    except (ValueError, KeyError, TypeError):
        return Head(f"{_name(path)}, which is damaged,", -1, "")


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
