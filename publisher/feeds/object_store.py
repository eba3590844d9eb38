"""Raw files in an object store: each object that is new or was replaced becomes a private file, whole or absent.

The cursor says of every object what it was when it was read. An object that was replaced under its name is new again,
as a file in a folder would be.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from publisher.errors import SourceError
from publisher.feeds.delivery import Step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.definitions.feed import ObjectsFeed
    from publisher.feeds.delivery import Cursor
    from publisher.workspace import SourceFile

PIECE = 8 << 20
"""Bytes in memory at a time."""
FULL = 256 << 20
"""Bytes after which a delivery is complete."""
ATTEMPTS = 3
"""How often one request is sent, and an object is read that is replaced meanwhile."""
CONNECT = 10
"""Seconds that a store has to take a call."""
SILENCE = 30
"""Seconds that a store may send nothing."""
SKEW = timedelta(minutes=15)
"""By so much our clock and the store's may differ."""
_WILD = set("*?[")
_ERROR = re.compile(r"AWS Error ([A-Z_]+)(?: \(HTTP status (\d+)\))? during")
_REFUSED = {
    "ACCESS_DENIED",
    "EXPIRED_TOKEN",
    "INVALID_ACCESS_KEY_ID",
    "INVALID_CLIENT_TOKEN_ID",
    "INVALID_SIGNATURE",
    "MISSING_AUTHENTICATION_TOKEN",
    "SIGNATURE_DOES_NOT_MATCH",
    "UNRECOGNIZED_CLIENT",
}

_SILENT = "the store stopped answering: try again"
_UNTRUSTED = "its certificate is not trusted: set AWS_CA_BUNDLE to the file of the authority that signed it"
_LINES = dict.fromkeys(("18", "28", "52", "55", "56"), _SILENT) | dict.fromkeys(("60", "77"), _UNTRUSTED)
"""What a failed connection is, by the code of the library that made it."""


@dataclass(frozen=True)
class _Object:
    """One object as the store lists it."""

    path: str
    """The bucket and the key."""
    size: int
    modified: datetime

    def read(self, tag: str) -> dict[str, Any]:
        """What the cursor says of it. Times of stores are whole seconds: one that was just written may be replaced by
        another that looks the same in the list, so its tag will be asked for again."""
        settled = datetime.now(UTC) - self.modified > SKEW
        return {"size": self.size, "modified": self.modified.isoformat(), "tag": tag, "settled": settled}

    def looks_like(self, known: dict[str, Any]) -> bool:
        """Whether it must be what was read, by the list alone."""
        same = (known["size"], known["modified"]) == (self.size, self.modified.isoformat())
        return bool(same and known["settled"])


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
        if before and each.looks_like(before):
            continue
        if copied >= FULL:
            return Step({"objects": known}, more=True)
        try:
            if before and store.tag(each.path) == before["tag"]:
                known[each.path] = each.read(before["tag"])
                continue
            tag = store.copy(each.path, _target(files, each.path))
        except SourceError:
            if not copied:
                raise
            return Step({"objects": known}, more=True)
        if tag is not None:
            known[each.path] = each.read(tag)
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

    feed: ObjectsFeed
    system: Any

    @classmethod
    def opened(cls, feed: ObjectsFeed) -> _Store:
        """The store; its keys are those of the environment or of its files, as for every tool of S3."""
        from pyarrow import fs

        place: dict[str, Any] = {"anonymous": feed.anonymous, "connect_timeout": CONNECT, "request_timeout": SILENCE}
        region = feed.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if feed.endpoint:
            parts = urlsplit(feed.endpoint)
            place |= {"endpoint_override": parts.netloc, "scheme": parts.scheme}
            region = region or "us-east-1"  # most other stores ignore it, and asking for it takes seconds
        if region:
            place["region"] = region
        if os.environ.get("AWS_CA_BUNDLE"):
            place["tls_ca_file_path"] = os.environ["AWS_CA_BUNDLE"]
        with _answers(feed, "opening the store"):
            tries = fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS)
            return cls(feed, fs.S3FileSystem(retry_strategy=tries, **place))

    @property
    def bucket(self) -> str:
        return _parts(self.feed)[0]

    @property
    def pattern(self) -> str:
        """The pattern of the names in the bucket."""
        return "/".join(_parts(self.feed)[1:])

    @property
    def name(self) -> str:
        return _name(self.feed)

    def objects(self) -> list[_Object]:
        """The objects that the feed takes, in the order of their paths."""
        from pyarrow import fs

        parts = _parts(self.feed)
        first = next((n for n, part in enumerate(parts) if set(part) & _WILD), len(parts))
        asked: Any = "/".join(parts)
        if first < len(parts):
            asked = fs.FileSelector("/".join(parts[:first]), recursive=first < len(parts) - 1)
        try:
            with _answers(self.feed, "listing the objects"):
                answer = self.system.get_file_info(asked)
        except FileNotFoundError:
            return []
        infos = answer if isinstance(answer, list) else [answer]
        found = [
            _Object(each.path, each.size, each.mtime.astimezone(UTC))
            for each in infos
            if each.type == fs.FileType.File and _matches(each.path.split("/"), parts)
        ]
        return sorted(found, key=lambda each: each.path.split("/"))

    def nothing(self, source: SourceFile) -> str:
        """What to say if the bucket is there, but no object that the feed takes. Raises SourceError if it is not."""
        from pyarrow import fs

        with suppress(FileNotFoundError), _answers(self.feed, "listing the objects"):
            self.system.get_file_info(fs.FileSelector(self.bucket))
        return f"{source.origin.name}: feed.url: {self.name} has no object {self.pattern}"

    def tag(self, path: str) -> str | None:
        """What tells this content from any other under the same name; None if the object is gone."""
        try:
            with _answers(self.feed, f"reading {path}"), self._open(path) as stream:
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
        raise SourceError(f"{self.name}: {path} was replaced each time that it was read: fetch it again later")

    def _read(self, path: str, target: Path) -> tuple[str, bool]:
        """The tag of what was written, and whether it is as long as the store says."""
        with _answers(self.feed, f"reading {path}"):
            stream = self._open(path)
            tag, length = _tag(stream), int(stream.metadata()["Content-Length"])
        written = 0
        with stream, target.open("wb") as file:
            while True:
                with _answers(self.feed, f"reading {path}"):
                    piece = stream.read(PIECE)
                if not piece:
                    return tag, written == length
                file.write(piece)
                written += len(piece)

    def _open(self, path: str) -> Any:
        return self.system.open_input_stream(path, buffer_size=0)


def _tag(stream: Any) -> str:
    told = stream.metadata()
    return bytes(told.get("ETag") or told["Last-Modified"]).decode()


def _parts(feed: ObjectsFeed) -> list[str]:
    """The bucket and the parts of the pattern."""
    return str(feed.url).removeprefix("s3://").split("/")


def _name(feed: ObjectsFeed) -> str:
    return f"the bucket {_parts(feed)[0]}{f' of {feed.endpoint}' if feed.endpoint else ''}"


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


@contextmanager
def _answers(feed: ObjectsFeed, what: str) -> Iterator[None]:
    """Turn what the store answers into a SourceError of our words: its own may name keys. FileNotFoundError passes."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{_name(feed)}: {what}: {_words(feed, str(error))}") from None


def _words(feed: ObjectsFeed, answer: str) -> str:
    found = _ERROR.search(answer)
    code, status = found.groups() if found else ("UNKNOWN", None)
    if code == "NO_SUCH_BUCKET":
        return "there is no such bucket"
    if code in _REFUSED or status in {"401", "403"}:
        keys = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        way = "anonymous = true reads public buckets alone" if feed.anonymous else keys
        return f"the store refused ({code}): {way}"
    if code == "NETWORK_CONNECTION":
        reason = re.search(r"curlCode: (\d+)", answer)
        return _LINES.get(reason[1] if reason else "", "the store cannot be reached: check the address")
    if status in {"301", "307"}:
        return "the bucket is in another region: set feed.region"
    return f"the store failed ({status or code}): try again"
