"""Packs: files of old releases, one archive for each dataset and year, in the folder in which they lay one by one.

A pack is an ordinary ZIP whose entries are stored as they are: `unzip 2016.zip` in its folder puts every file back
where it lay. It is replaced in one step, once the new one is durable, and only then what it took in is removed. Until
then a file is there twice, with the same bytes, so a killed run leaves each file readable.
"""

from __future__ import annotations

import errno
import os
import struct
import zipfile
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from publisher.durable import sync, writing
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

YEAR = 4
"""Every period's name begins with its year, in so many digits."""

_HEADER = 30
"""Bytes before the name of an entry; the lengths of what follows are the last four."""

_BEGINS = b"PK\x03\x04"

_LISTED = struct.Struct("<4s4x2H4xLLL3H2x2xLL")
"""An entry in the list at the end of a pack: signature, flags, method, checksum, sizes, lengths of name, more and
comment, attributes, and where the entry begins."""
_ENDS = struct.Struct("<4s4H2LH")
"""What follows that list: signature, numbers of disks and entries, the list's size and place, length of a comment."""
_HUGE = 0xFFFFFFFF
"""Instead of a size or place that needs more digits."""


class _Entry(NamedTuple):
    """Where an entry begins, how long its file is, and the file's checksum."""

    offset: int
    size: int
    checksum: int


Identity = tuple[int, int, int, int]
"""Which file a pack is: its inode, its size, and when it was written and changed."""

_known: dict[str, tuple[Identity, Mapping[str, _Entry]]] = {}
"""The entries of each pack that was read, as long as it is the same file."""


def pack_of(folder: Path, period: str) -> Path:
    """The pack that may have files of a period; the folder is a dataset's."""
    return folder / f"{period[:YEAR]}.zip"


def packs_in(folder: Path) -> list[Path]:
    """The packs of a dataset's folder, by year."""
    return sorted(folder.glob("[0-9]" * YEAR + ".zip"))


def identity_of(pack: Path) -> Identity | None:
    """Which file the pack is; None if there is none."""
    try:
        return _identity(pack.stat())
    except OSError:
        return None


def numbered(folder: Path | str) -> list[str]:
    """The names of the folders of periods, or of editions, that lie in a folder."""
    try:
        with os.scandir(folder) as found:
            return [each.name for each in found if each.name[0].isdigit() and each.is_dir()]
    except FileNotFoundError:
        return []


def entries_of(pack: Path) -> Collection[str]:
    """The names of a pack's files, none if there is no such pack. Raises SourceError when it is damaged."""
    try:
        with _opened(str(pack)) as file:
            return _entries(str(pack), file)
    except FileNotFoundError:
        return ()


def is_packed(folder: Path, name: str) -> bool:
    """Whether a pack has the file. Raises SourceError when the pack is damaged."""
    return name in entries_of(pack_of(folder, name))


def read(folder: Path | str, name: str) -> bytes:
    """The bytes of a file such as `2016-01-05/1/data.csv`, from its pack, or from where it lies on its own.

    Raises OSError when it cannot be read, SourceError when the pack is damaged.
    """
    found = read_packed(folder, name)
    if found is not None:
        return found
    try:
        with open(f"{folder}/{name}", "rb") as file:  # noqa: PTH123 -- thousands a run
            return file.read()
    except FileNotFoundError:
        found = read_packed(folder, name)  # a run may have packed it in between
        if found is None:
            raise
        return found


def read_packed(folder: Path | str, name: str) -> bytes | None:
    """The same from its pack alone; None if that does not have it."""
    pack = f"{folder}/{name[:YEAR]}.zip"
    try:
        with _opened(pack) as file:
            entry = _entries(pack, file).get(name)
            return None if entry is None else _content(pack, file, name, entry)
    except FileNotFoundError:
        return None


def pack(folder: Path, year: str, names: Collection[str], mode: int, *, newer: bool = False) -> None:
    """Move these files of a dataset's folder into the pack of the year, beside what that has already.

    A file that the pack has too was left by a killed run, or is `newer` and replaces it. Raises SourceError when the
    pack is damaged or cannot be written; then all is as before.
    """
    path = folder / f"{year}.zip"
    old = set(entries_of(path))
    new = {name for name in names if newer or name not in old}
    with writing(path):
        if new:
            beside = path.with_name(f".{path.name}.{os.getpid()}")
            try:
                _write(beside, folder, {name: name not in new for name in sorted(old | new)}, mode)
                beside.replace(path)
            except BaseException:
                beside.unlink(missing_ok=True)
                raise
            sync(folder)
        _remove(folder, names)


def _write(path: Path, folder: Path, names: Mapping[str, bool], mode: int) -> None:
    """A durable pack of these files, each from the pack that is there or from its own place."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode), "w+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, packed in names.items():
                about = zipfile.ZipInfo(name)  # no time of its own: the same files are the same bytes
                about.external_attr = mode << 16
                archive.writestr(about, _kept(folder, name) if packed else (folder / name).read_bytes())
        file.flush()
        os.fsync(file.fileno())


def _kept(folder: Path, name: str) -> bytes:
    """A file of the pack that is there. Raises SourceError when it is damaged."""
    try:
        return read(folder, name)
    except OSError as error:
        raise SourceError(f"{folder / name}: {error.strerror}: restore it from a backup") from None


def _remove(folder: Path, names: Collection[str]) -> None:
    """Remove files that are packed, and the folders that are empty then."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
    above = {each for name in names for each in Path(name).parents if each != Path()}
    for each in sorted(above, key=lambda path: len(path.parts), reverse=True):
        with suppress(OSError):  # gone, or someone put another file there
            (folder / each).rmdir()


@contextmanager
def _opened(pack: str) -> Iterator[int]:
    """The pack's descriptor: a run reads thousands of files."""
    file = os.open(pack, os.O_RDONLY)
    try:
        yield file
    finally:
        os.close(file)


def _entries(pack: str, file: int) -> Mapping[str, _Entry]:
    status = os.fstat(file)
    same = _identity(status)
    known, entries = _known.get(pack, (None, {}))
    if known != same:
        try:
            entries = _listed(file, status.st_size) or _as_any_zip(file)
        except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
            raise SourceError(f"{pack}: is damaged: restore it from a backup") from None
        _known[pack] = same, entries
    return entries


def _identity(status: os.stat_result) -> Identity:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _listed(file: int, size: int) -> dict[str, _Entry] | None:
    """The entries of a pack as it is written here, in a tenth of the time; None if it is another ZIP."""
    ends = os.pread(file, _ENDS.size, max(size - _ENDS.size, 0))
    if len(ends) < _ENDS.size:
        return None
    signature, *_, many, length, begins, comment = _ENDS.unpack(ends)
    if signature != b"PK\x05\x06" or comment or begins + length + _ENDS.size != size:
        return None
    found, data, at = {}, os.pread(file, length, begins), 0
    while at + _LISTED.size <= length:
        signature, flags, method, checksum, *sizes, name, more, remark, _, offset = _LISTED.unpack_from(data, at)
        if (signature, flags, method, more, remark) != (b"PK\x01\x02", 0, 0, 0, 0) or _HUGE in (*sizes, offset):
            return None
        at += _LISTED.size
        found[data[at : at + name].decode()] = _Entry(offset, sizes[1], checksum)
        at += name
    return found if (at, len(found)) == (length, many) else None


def _as_any_zip(file: int) -> dict[str, _Entry]:
    with os.fdopen(os.dup(file), "rb") as beside, zipfile.ZipFile(beside) as archive:
        return {each.filename: _Entry(each.header_offset, each.file_size, each.CRC) for each in archive.infolist()}


def _content(pack: str, file: int, name: str, entry: _Entry) -> bytes:
    """Raises OSError where it is not what was written."""
    wanted = name.encode()
    before = _HEADER + len(wanted)
    found = os.pread(file, before + entry.size, entry.offset)
    named, more = (int.from_bytes(found[at : at + 2], "little") for at in (26, 28))
    same = found[:4] == _BEGINS and named == len(wanted) and found[_HEADER:before] == wanted
    content = found[before:] if not more else os.pread(file, entry.size, entry.offset + before + more)
    if not same or len(content) != entry.size or zlib.crc32(content) != entry.checksum:
        raise OSError(errno.EIO, f"damaged in {Path(pack).name}")
    return content
