"""Raw files in an object store: each object that is new or was replaced becomes a private file, whole or absent.

The cursor says of every object what it was when it was read. An object that was replaced under its name is new again,
as a file in a folder would be.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from publisher.buckets import Bucket, BucketAddress
from publisher.errors import SourceError
from publisher.feeds.delivery import Step

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.buckets import StoredObject
    from publisher.definitions.feed import ObjectsFeed
    from publisher.feeds.delivery import Cursor
    from publisher.workspace import SourceFile

PIECE = 8 << 20
"""Bytes in memory at a time."""
FULL = 256 << 20
"""Bytes after which a delivery is complete."""
ATTEMPTS = 3
"""How often an object is read that is replaced meanwhile."""
SKEW = timedelta(minutes=15)
"""By so much our clock and the store's may differ."""
_WILD = set("*?[")


def deliver(source: SourceFile, feed: ObjectsFeed, cursor: Cursor | None, files: Path) -> Step:
    """Copy objects that the cursor does not know into `files`, in the order of their names. Raises SourceError, but
    what was copied before the store failed is a delivery of its own first."""
    known: dict[str, dict[str, Any]] = dict((cursor or {}).get("objects", {}))
    store, copied = _Store.opened(feed), 0
    found = store.objects()
    if not found and not known:
        raise SourceError(store.nothing(source))
    for each in found:
        before = known.get(each.path)
        if before and _looks_like(each, before):
            continue
        if copied >= FULL:
            return Step({"objects": known}, more=True)
        try:
            if before and store.tag(each.path) == before["tag"]:
                known[each.path] = _as_read(each, before["tag"])
                continue
            tag = store.copy(each.path, _target(files, each.path))
        except SourceError:
            if not copied:
                raise
            return Step({"objects": known}, more=True)
        if tag is not None:
            known[each.path] = _as_read(each, tag)
            copied += max(each.size, 1)
    return Step({"objects": known}, more=False)


def sample(source: SourceFile, feed: ObjectsFeed, files: Path) -> None:
    """Copy the last object into `files`, for someone to look at. Raises SourceError."""
    store = _Store.opened(feed)
    found = store.objects()
    if not found:
        raise SourceError(store.nothing(source))
    store.copy(found[-1].path, _target(files, found[-1].path))


def check(source: SourceFile, feed: ObjectsFeed) -> tuple[str, ...]:
    """Ask the store for its list. Raises SourceError, also if it has no object that the feed takes."""
    store = _Store.opened(feed)
    if not store.objects():
        raise SourceError(store.nothing(source))
    return ()


@dataclass(frozen=True)
class _Store:
    """The bucket of a feed."""

    bucket: Bucket

    @classmethod
    def opened(cls, feed: ObjectsFeed) -> _Store:
        """The store; its keys are those of the environment or of its files, as for every tool of it."""
        return cls(Bucket(BucketAddress(feed.url, feed.endpoint, feed.region, feed.anonymous)))

    @property
    def parts(self) -> list[str]:
        """The bucket and the parts of the pattern."""
        return self.bucket.address.parts

    def objects(self) -> list[StoredObject]:
        """The objects that the feed takes, in the order of their paths."""
        parts = self.parts
        first = next((n for n, part in enumerate(parts) if set(part) & _WILD), len(parts))
        if first == len(parts):
            return self.bucket.found("/".join(parts))
        found = self.bucket.listed("/".join(parts[:first]), recursive=first < len(parts) - 1)
        return [each for each in found if _matches(each.path.split("/"), parts)]

    def nothing(self, source: SourceFile) -> str:
        """What to say if the bucket is there, but no object that the feed takes. Raises SourceError if it is not."""
        self.bucket.listed(self.parts[0], recursive=False)
        return f"{source.origin.name}: feed.url: {self.bucket.address.name} has no object {'/'.join(self.parts[1:])}"

    def tag(self, path: str) -> str | None:
        """What tells this content from any other under the same name; None if the object is gone."""
        try:
            with self.bucket.answers(f"reading {path}"), self.bucket.opened(path) as stream:
                return _tag(stream)
        except FileNotFoundError:
            return None

    def copy(self, path: str, target: Path) -> str | None:
        """Write the object to `target` and return its tag; None, and no file, if it is gone. Raises SourceError."""
        for _ in range(ATTEMPTS):
            whole = False
            try:
                tag, complete = self._read(path, target)
                after = self.tag(path)
                whole = complete and tag == after
            except FileNotFoundError:
                after = None
            finally:
                if not whole:
                    target.unlink(missing_ok=True)
            if whole or after is None:
                return after
        name = self.bucket.address.name
        raise SourceError(f"{name}: {path} was replaced each time that it was read: fetch it again later")

    def _read(self, path: str, target: Path) -> tuple[str, bool]:
        """The tag of what was written, and whether it is as long as the store says."""
        with self.bucket.answers(f"reading {path}"):
            stream = self.bucket.opened(path)
            tag, length = _tag(stream), int(stream.metadata()["Content-Length"])
        written = 0
        with stream, target.open("wb") as file:
            while True:
                with self.bucket.answers(f"reading {path}"):
                    piece = stream.read(PIECE)
                if not piece:
                    return tag, written == length
                file.write(piece)
                written += len(piece)


def _looks_like(each: StoredObject, known: dict[str, Any]) -> bool:
    """Whether it must be what was read, by the list alone."""
    same = (known["size"], known["modified"]) == (each.size, each.modified.isoformat())
    return bool(same and known["settled"])


def _as_read(each: StoredObject, tag: str) -> dict[str, Any]:
    """What the cursor says of it. Times of stores are whole seconds: one that was just written may be replaced by
    another that looks the same in the list, so its tag will be asked for again."""
    settled = datetime.now(UTC) - each.modified > SKEW
    return {"size": each.size, "modified": each.modified.isoformat(), "tag": tag, "settled": settled}


def _tag(stream: Any) -> str:
    told = stream.metadata()
    return bytes(told.get("ETag") or told["Last-Modified"]).decode()


def _matches(path: list[str], pattern: list[str]) -> bool:
    """As in a shell, where no wildcard takes the dot that a hidden name begins with: such names are of files that are
    not finished, and the private folder is tidied of those."""
    hidden = any(
        name.startswith(".") and name not in {".", ".."} and not wanted.startswith(".")
        for name, wanted in zip(path, pattern, strict=False)
    )
    return len(path) == len(pattern) and not hidden and all(map(fnmatchcase, path, pattern))


def _target(files: Path, path: str) -> Path:
    """Where the object becomes a file. Raises SourceError for a name that is none for a file."""
    parts = path.split("/")
    if any(part in {"", ".", ".."} or "\0" in part or len(part.encode()) > 255 for part in parts):
        raise SourceError(f"{path!r}: the name of this object cannot be that of a file: rename it")
    target = files.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target
