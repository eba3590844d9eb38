"""A large CSV file whose every line is a record, as pieces that DuckDB reads at the same time.

DuckDB can read one file with several threads, but they guess where records begin, and where rejects are stored it loses
rows at the edges of some buffers. So the file is cut at line ends here, and each piece is read as a file of its own, by
one thread and from one buffer. Nothing is copied to the disk.
"""

from __future__ import annotations

import codecs
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

SIZE = 8_000_000
"""The bytes of a piece, up to the end of the line."""
BUFFER = 12_000_000
"""The bytes that are read at once, at least a piece."""
LONGEST = 2_000_000
"""DuckDB's own bound of a line, which it would raise to the size of the buffer."""
_LINE = 1 << 16


def cut(path: Path, start: int) -> list[int] | None:
    """Where the pieces of a file begin whose first record is at `start`, and where the last one ends. None if DuckDB
    would not read the first line as a record, or if a piece does not fit into a buffer."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(start)
        if _differs(file):
            return None
        cuts = [start]
        while cuts[-1] < size:
            file.seek(min(cuts[-1] + SIZE, size))
            _to_line_end(file)
            while _differs(file):
                _to_line_end(file)
            cuts.append(file.tell())
            if cuts[-1] - cuts[-2] > BUFFER:
                return None
    return cuts


def _to_line_end(file: BinaryIO) -> None:
    while (line := file.readline(_LINE)) and not line.endswith(b"\n"):
        pass


def _differs(file: BinaryIO) -> bool:
    """Whether what comes next means something else at the beginning of a file: a blank line, a byte order mark."""
    at = file.tell()
    begin = file.read(3)
    file.seek(at)
    return begin.startswith((b"\n", codecs.BOM_UTF8))


def offer(path: Path, cuts: Sequence[int], connection: DuckDBPyConnection) -> list[str]:
    """Let the connection read the pieces, and say under which names."""
    from fsspec import AbstractFileSystem

    name = f"pieces{len(connection.list_filesystems())}"
    ends = {f"{name}://{begin}": (begin, end) for begin, end in pairwise(cuts)}

    class Pieces(AbstractFileSystem):  # type: ignore[misc]
        """The pieces as files."""

        protocol = name
        cachable = False

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return path

        def _open(self, piece: str, *_: object, **__: object) -> _Piece:
            return _Piece(path, *ends[piece])

        def glob(self, piece: str, **_: object) -> list[str]:
            return [piece]

        def info(self, piece: str, **_: object) -> dict[str, Any]:
            begin, end = ends[piece]
            return {"name": piece, "size": end - begin, "type": "file"}

        def modified(self, _: str) -> datetime:
            return datetime.fromtimestamp(path.stat().st_mtime, UTC)

    connection.register_filesystem(Pieces())
    return list(ends)


class _Piece:
    """The bytes of a file from `begin` to `end`, as a file. It is open only while it is read: DuckDB closes none."""

    def __init__(self, path: Path, begin: int, end: int) -> None:
        self._path, self._begin, self._end, self._at = path, begin, end, begin

    def read(self, size: int = -1) -> bytes:
        left = self._end - self._at
        with self._path.open("rb", buffering=0) as file:
            file.seek(self._at)
            found = file.read(left if size < 0 else min(size, left))
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = (self._begin, self._at, self._end)[whence] + offset
        return self.tell()

    def tell(self) -> int:
        return self._at - self._begin

    def close(self) -> None:
        pass
