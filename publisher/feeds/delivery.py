"""Deliveries: what was fetched of one source, and how far the fetch has come, in one step.

`state/private/fetched/<source>/<number>/` has `cursor.json` and, in `files`, the raw files of one delivery. The folder
appears whole, so that a cursor is durable with the files that it belongs to and never without them. Once the files are
landed they are deleted; the newest folder stays, with its cursor alone.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from publisher import durable
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Cursor = dict[str, Any]
"""How far a fetch has come, as JSON: times and technical row ids, never a value of a column or a credential."""

_CURSOR = "cursor.json"
_FILES = "files"
STEP = 50_000
"""Rows after which a delivery is complete and durable, where the delivery need not have everything."""


@dataclass(frozen=True)
class Step:
    """One delivery is written: the cursor after it, and whether there is more to fetch now."""

    cursor: Cursor
    more: bool


@dataclass(frozen=True)
class Remembered:
    """The content of cursor.json."""

    basis: str
    """The digest of what decides what is fetched and landed: under another one everything is fetched again."""
    cursor: Cursor = field(repr=False)
    more: bool
    """True after an interrupted fetch, which goes on here."""
    delivered: bool
    """Whether a raw file has come since the fetch began at the beginning."""


class Deliveries:
    """The deliveries of one source. To be used inside `durable.private_files`."""

    def __init__(self, private: Path, source: str) -> None:
        self.private = private
        self.folder = private / "fetched" / source

    def tidy(self) -> None:
        """Make the folder, and remove what an interrupted fetch has left."""
        with durable.writing(self.folder):
            durable.make_folder(self.folder, self.private)
            durable.remove_unfinished(self.folder.iterdir())

    def last(self) -> Remembered | None:
        """What the newest delivery remembers; None before the first. Raises SourceError if it is damaged."""
        folders = self._folders()
        if not folders:
            return None
        path = folders[-1] / _CURSOR
        try:
            return Remembered(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError, RecursionError):
            words = "is damaged: remove the folder in which it lies, and everything is fetched again"
            raise SourceError(f"{path}: {words}") from None

    def pending(self) -> tuple[Path, ...]:
        """The raw files that are not deleted yet, in the order in which they came."""
        found = (path for folder in self._folders() for path in (folder / _FILES).rglob("*") if path.is_file())
        return tuple(sorted(found))

    @contextmanager
    def new(self) -> Iterator[_NewDelivery]:
        """A delivery to fill; it appears whole, with its cursor, or not at all."""
        folders = self._folders()
        number = 1 + int(folders[-1].name) if folders else 1
        with durable.new_folder(self.folder / f"{number:06}") as folder:
            files = folder / _FILES
            files.mkdir()
            yield _NewDelivery(folder, files)

    def landed(self, paths: Sequence[Path]) -> None:
        """Delete raw files that are durably landed, and the folders before the newest."""
        with durable.writing(self.folder):
            for path in paths:
                path.unlink()
                durable.sync(path.parent)
            for folder in self._folders()[:-1]:
                if not any(path.is_file() for path in (folder / _FILES).rglob("*")):
                    self._drop(folder)

    def drop_replaced(self) -> None:
        """Delete raw files that came again, under the same name, before they were landed."""
        waiting = self.pending()
        newest = {path.relative_to(self.folder).parts[1:]: path for path in waiting}
        self.landed([path for path in waiting if path not in newest.values()])

    def restart(self) -> None:
        """Forget everything, the newest first, so that an older cursor never stands for what came after it."""
        with durable.writing(self.folder):
            for folder in reversed(self._folders()):
                self._drop(folder)

    def _folders(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("[0-9]*") if path.is_dir())

    def _drop(self, folder: Path) -> None:
        hidden = folder.with_name(f".{folder.name}.{os.getpid()}")
        folder.rename(hidden)
        durable.sync(self.folder)
        shutil.rmtree(hidden)


@dataclass(frozen=True)
class _NewDelivery:
    folder: Path
    files: Path
    """Where a connector writes the raw files."""

    def write_no_rows(self, columns: Sequence[str]) -> None:
        """Write a raw file without a record."""
        import pyarrow as pa
        import pyarrow.parquet

        table = pa.table({column: pa.array([], pa.string()) for column in columns})
        pyarrow.parquet.write_table(table, self.files / "empty.parquet")

    def remember(self, remembered: Remembered) -> None:
        (self.folder / _CURSOR).write_text(json.dumps(asdict(remembered), indent=2) + "\n", encoding="utf-8")
