"""A grant to people outside of the office, and the files that the grants are kept in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError

from publisher.definitions.model import Model, Slug, Text
from publisher.durable import private_files, write_file
from publisher.errors import DefinitionError, SourceError

if TYPE_CHECKING:
    from pathlib import Path

ENDED = "ended: "
"""Begins what the journal says of a grant that was ended before its last day."""

GrantState = Literal["in force", "expired", "ended"]


class Grant(Model):
    """Who may see the releases and noisy reports of which datasets, for what, and until when."""

    name: Slug
    people: tuple[Text, ...] = Field(min_length=1)
    purpose: Text
    agreement: Text
    """The agreement not to disclose that they signed, such as its number and day."""
    datasets: tuple[Slug, ...] = Field(min_length=1)
    since: date
    until: date
    """The last day."""
    ended: date | None = None
    """The day on which it was ended before that."""
    reason: str = ""
    """Why it was ended."""

    def state(self, today: date) -> GrantState:
        """Whether it opens anything on that day."""
        if self.ended is not None:
            return "ended"
        return "in force" if today <= self.until else "expired"


def is_ended(path: Path) -> bool:
    """Whether the file has a grant that was ended."""
    try:
        return Grant.model_validate_json(path.read_bytes()).ended is not None
    except (OSError, ValidationError):
        return False


@dataclass(frozen=True)
class GrantRegister:
    """All grants of a workspace, a private file each."""

    folder: Path

    def grants(self) -> list[Grant]:
        """Every grant by name, ended ones too. Raises SourceError for one that cannot be read."""
        return [self._read(path) for path in sorted(self.folder.glob("*.json"))]

    def grant(self, name: str) -> Grant:
        """One grant. Raises DefinitionError naming those that there are."""
        found = {each.name: each for each in self.grants()}
        if name not in found:
            raise DefinitionError(f"there is no grant {name!r}; there are: {', '.join(found) or 'none'}")
        return found[name]

    def write(self, grant: Grant) -> None:
        """Write a grant, or what it is now."""
        content = grant.model_dump_json(exclude_defaults=True).encode() + b"\n"
        with private_files():
            write_file(self.folder / f"{grant.name}.json", content, mode=0o600)

    def _read(self, path: Path) -> Grant:
        try:
            return Grant.model_validate_json(path.read_bytes())
        except OSError as error:
            raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
        except ValidationError:
            raise SourceError(f"{path}: is damaged: restore it from a backup, or delete it") from None
