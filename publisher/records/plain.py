"""Text files of any encoding as plain UTF-8 with line feeds alone, in pieces of bounded size."""

from __future__ import annotations

import codecs
import gzip
import zlib
from typing import IO, TYPE_CHECKING

from publisher.errors import SourceError
from publisher.records.raw_bytes import look

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIECE = 4 << 20
DAMAGED = zlib.error
"""What a damaged packed file raises, beside OSError and EOFError."""


def text(path: Path, encoding: str, copy: Path) -> Path:
    """The file itself if it is plain UTF-8, otherwise `copy`, which becomes a plain copy of it.

    Every carriage return, alone or in a pair, becomes a line feed, also inside values: if only mixed files were
    changed, one record's line ends would decide what the values of the others are.
    Bytes that are not valid in the encoding become U+FFFD; in UTF-8 they stay, and their records are rejected later.
    Raises SourceError when the file cannot be read, is empty, or the encoding is unknown.
    """
    codec, made = _codec(encoding, path.name), path
    if codec != "utf-8" or _zipped(path) or not look(path).plain:
        made = copy
        with copy.open("wb") as target:
            for piece in _even(_pieces(path, codec)):
                target.write(piece)
    if made.stat().st_size == 0:
        raise SourceError(f"{path.name}: is empty: fetch the file again")
    return made


def _codec(encoding: str, shown: str) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise SourceError(f"{shown}: the encoding {encoding!r} is unknown: correct feed.encoding") from None
    return "utf-8" if name in ("ascii", "utf-8", "utf-8-sig") else name


def _zipped(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _pieces(path: Path, codec: str) -> Iterator[bytes]:
    """The file's content as UTF-8; UTF-8 itself is passed on byte by byte."""
    decoder = None if codec == "utf-8" else codecs.getincrementaldecoder(codec)(errors="replace")
    try:
        with opened(path) as file:
            while piece := file.read(_PIECE):
                yield decoder.decode(piece).encode("utf-8", errors="replace") if decoder else piece
    except (OSError, EOFError, DAMAGED) as error:
        why = (
            error.strerror
            if isinstance(error, OSError) and error.strerror
            else "it is damaged or incomplete: fetch the file again"
        )
        raise SourceError(f"{path.name}: cannot be read: {why}") from None
    yield decoder.decode(b"", final=True).encode("utf-8", errors="replace") if decoder else b""


def _even(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """No byte order mark, no blank first line, only line feeds, even for a pair split by the end of a piece."""
    held = b""
    for number, piece in enumerate(pieces):
        whole = held + (piece if number else piece.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n"))
        held = b"\r" if whole.endswith(b"\r") else b""
        whole = whole.removesuffix(b"\r")
        yield whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    yield b"\n" if held else b""


def opened(path: Path) -> IO[bytes]:
    """The file for reading, unpacked."""
    return gzip.open(path, "rb") if _zipped(path) else path.open("rb")  # type: ignore[return-value]
