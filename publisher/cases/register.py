"""The register of cases: a folder for each in the private state, with its steps and its letters.

A step is whole or not there: its letter is written before the file of the case, which is replaced in one step.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from publisher.cases.case import Case
from publisher.durable import private_files, write_file, writing
from publisher.errors import DefinitionError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date
    from pathlib import Path

FILE = "case.json"
DELETED = ": deleted"
"""Ends what the journal says of a case that was deleted."""


@dataclass(frozen=True)
class CaseRegister:
    """All cases of a workspace."""

    folder: Path

    @contextmanager
    def changing(self) -> Iterator[None]:
        """For one writer at a time. Raises SourceError when the folder cannot be written."""
        with writing(self.folder), private_files():
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def cases(self) -> list[Case]:
        """Every case, in the order of their numbers. Raises SourceError for one that cannot be read."""
        return [self._read(path) for path in sorted(self.folder.glob(f"*/{FILE}"))]

    def case(self, number: str) -> Case:
        """One case. Raises DefinitionError naming those that are open."""
        path = self.folder / number / FILE
        if not number.replace("-", "").isdigit() or not path.is_file():
            known = ", ".join(each.number for each in self.cases() if each.state != "closed") or "none"
            raise DefinitionError(
                f"there is no case {number!r}; open: {known}. `publisher cases --all` lists every one"
            )
        return self._read(path)

    def next_number(self, day: date, told: Iterable[str]) -> str:
        """The number of the next case that came in that year; none is given twice, whatever was deleted since: `told`
        are those that the journal knows, also of folders that are gone."""
        there = [*told, *(path.name for path in self.folder.glob("*-*"))]
        taken = [number for year, _, number in (each.partition("-") for each in there) if year == str(day.year)]
        last = max((int(each) for each in taken if each.isdigit()), default=0)
        return f"{day.year}-{last + 1:03}"

    def path(self, case: Case, name: str) -> Path:
        """The path of a file beside a case."""
        return self.folder / case.number / name

    def write(self, case: Case, files: dict[str, bytes]) -> None:
        """Write the case, after the files that come with its newest step."""
        with private_files():
            for name, content in files.items():
                write_file(self.path(case, name), content, mode=0o600)
            write_file(self.path(case, FILE), case.model_dump_json(exclude_defaults=True).encode() + b"\n", mode=0o600)

    def delete(self, case: Case) -> None:
        """Delete the case with its letters; its file goes first, so that no half of it is listed. Its empty folder
        keeps the number."""
        with writing(self.folder):
            self.path(case, FILE).unlink()
            for path in (self.folder / case.number).iterdir():
                path.unlink()

    def _read(self, path: Path) -> Case:
        try:
            return Case.model_validate_json(path.read_bytes())
        except OSError as error:
            raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
        except ValidationError:
            raise SourceError(f"{path}: is damaged: restore it from a backup, or delete its folder") from None
