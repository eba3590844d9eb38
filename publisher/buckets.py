"""The one door to object stores: Amazon S3, stores with the same interface, and Azure.

An object is there once all of it is there, and is read whole. What replaces an object may be cut off on Azure when the
old content is already gone: so nothing is ever replaced, and what changes is written under the next number. An object
without content is one whose writing was cut off, so it counts as absent.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

PIECE = 8 << 20
"""Bytes in memory at a time."""
ATTEMPTS = 3
"""How often one request is sent."""
CONNECT = 10
"""Seconds that a store has to take a call."""
SILENCE = 30
"""Seconds that a store may send nothing."""
TOGETHER = 8
"""How many objects are read or written at once."""
_S3_ERROR = re.compile(r"AWS Error ([A-Z_]+)(?: \(HTTP status (\d+)\))? during")
_AZURE_ERROR = re.compile(r"Azure Error: \[(\w*)\] (\d*)")
_REFUSED = {
    "ACCESS_DENIED",
    "EXPIRED_TOKEN",
    "INVALID_ACCESS_KEY_ID",
    "INVALID_CLIENT_TOKEN_ID",
    "INVALID_SIGNATURE",
    "MISSING_AUTHENTICATION_TOKEN",
    "SIGNATURE_DOES_NOT_MATCH",
    "UNRECOGNIZED_CLIENT",
    "AuthenticationFailed",
    "AuthorizationFailure",
    "AuthorizationPermissionMismatch",
}
_KEYS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "abfs": "set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or give this machine a role",
}
_SILENT = "the store stopped answering: try again"
_UNTRUSTED = "its certificate is not trusted: set AWS_CA_BUNDLE to the file of the authority that signed it"
_LINES = dict.fromkeys(("18", "28", "52", "55", "56"), _SILENT) | dict.fromkeys(("60", "77"), _UNTRUSTED)
"""What a failed connection is, by the code of the library that made it."""
_Item = TypeVar("_Item")
_REACH = "the store cannot be reached: check the address"


@dataclass(frozen=True)
class BucketAddress:
    """A bucket, or a part of one: s3://bucket/prefix or abfs://container@account/prefix."""

    url: str
    endpoint: str | None = None
    region: str | None = None
    anonymous: bool = False

    @property
    def scheme(self) -> str:
        """s3 or abfs."""
        return self.url.partition("://")[0]

    @property
    def account(self) -> str:
        """The account of an abfs address."""
        return self.url.partition("://")[2].partition("/")[0].partition("@")[2]

    @property
    def parts(self) -> list[str]:
        """The bucket or container, and the parts of what follows it."""
        bucket, *names = self.url.partition("://")[2].split("/")
        return [bucket.partition("@")[0], *names]

    @property
    def root(self) -> str:
        """The bucket with what follows it, as one path."""
        return "/".join(part for part in self.parts if part)

    @property
    def name(self) -> str:
        """What messages call it."""
        kind = "bucket" if self.scheme == "s3" else "container"
        where = self.endpoint or (f"{self.account}.blob.core.windows.net" if self.scheme == "abfs" else "")
        return f"the {kind} {self.parts[0]}{f' of {where}' if where else ''}"


@dataclass(frozen=True)
class StoredObject:
    """One object as the store lists it; its path begins with the bucket."""

    path: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Bucket:
    """A bucket; paths begin with its name. Every failure is a SourceError in words of ours: the store's own may name
    keys. FileNotFoundError says that an object is not there."""

    address: BucketAddress

    @cached_property
    def system(self) -> Any:
        """The file system; its keys are those of the environment or of its files, as for every tool of the store."""
        with self.answers("opening the store"):
            return _s3(self.address) if self.address.scheme == "s3" else _azure(self.address)

    def listed(self, path: str, *, recursive: bool = True) -> list[StoredObject]:
        """The objects below a path, in the order of their paths, or the object at it: none if there is none. Raises
        SourceError if there is no such bucket."""
        from pyarrow import fs

        with self.answers("listing the objects"):
            try:
                infos = self.system.get_file_info(fs.FileSelector(path, recursive=recursive))
            except FileNotFoundError:
                infos = []
            if not infos and self.system.get_file_info(self.address.parts[0]).type == fs.FileType.NotFound:
                raise SourceError(f"{self.address.name}: listing the objects: {_no_such(self.address)}")
        return _objects(infos)

    def found(self, path: str) -> list[StoredObject]:
        """The object at this path, if it is there."""
        with self.answers("listing the objects"):
            return _objects([self.system.get_file_info(path)])

    def opened(self, path: str) -> Any:
        """A stream of the object."""
        return self.system.open_input_stream(path, buffer_size=0)

    def read(self, path: str) -> bytes:
        """The content of a small object."""
        with self.answers(f"reading {path}"), self.opened(path) as stream:
            content: bytes = stream.read()
            return content

    def download(self, path: str, target: Path, room: Callable[[int], object] = lambda _: None) -> None:
        """Write the object to a file that appears whole; `room` is asked first whether so many bytes have room."""
        with self.answers(f"reading {path}"):
            stream = self.opened(path)
            length = int(stream.metadata()["Content-Length"])
        room(length)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside, written = target.with_name(f".{target.name}.{os.getpid()}"), 0
        try:
            with stream, beside.open("wb") as file:
                while True:
                    with self.answers(f"reading {path}"):
                        piece = stream.read(PIECE)
                    if not piece:
                        break
                    file.write(piece)
                    written += len(piece)
            if written != length:
                raise SourceError(f"{self.address.name}: reading {path}: {_SILENT}")
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)

    def write(self, path: str, content: bytes) -> None:
        """Write a small object that was not there."""
        with self.answers(f"writing {path}"), self.system.open_output_stream(path, buffer_size=0) as stream:
            stream.write(content)

    def upload(self, source: Path, path: str) -> None:
        """Write a file as an object that was not there, whole or not at all."""
        try:
            with (
                source.open("rb") as file,
                self.answers(f"writing {path}"),
                self.system.open_output_stream(path, buffer_size=0) as stream,
            ):
                while piece := file.read(PIECE):
                    stream.write(piece)
        except BaseException:  # a stream that is left is closed, which makes an object of what was sent
            with suppress(SourceError):
                self.remove([path])
            raise

    def remove(self, paths: Iterable[str]) -> None:
        """Remove objects, those that are gone already too."""

        def one(path: str) -> None:
            with suppress(FileNotFoundError), self.answers(f"removing {path}"):
                self.system.delete_file(path)

        each_of(one, list(paths))

    def open_to_all(self, path: str) -> bool:
        """Whether anyone may list the bucket or read this object of it, without keys."""
        import requests

        from publisher.strict_http import StrictSession

        verify = os.environ.get("AWS_CA_BUNDLE") or True
        with StrictSession() as session:
            for url in _unsigned(self.address, path, getattr(self.system, "region", None)):
                with suppress(requests.RequestException):
                    answer = session.get(url, timeout=SILENCE, verify=verify, allow_redirects=False, stream=True)
                    answer.close()
                    if answer.status_code < requests.codes.multiple_choices:
                        return True
        return False

    @contextmanager
    def answers(self, what: str) -> Iterator[None]:
        """Turn what the store answers into a SourceError of our words. FileNotFoundError passes."""
        import pyarrow as pa

        try:
            yield
        except FileNotFoundError as error:
            if _code(str(error))[0] in {"NO_SUCH_BUCKET", "ContainerNotFound"}:
                raise SourceError(f"{self.address.name}: {what}: {_no_such(self.address)}") from None
            raise
        except (OSError, pa.ArrowException) as error:
            raise SourceError(f"{self.address.name}: {what}: {_words(self.address, str(error))}") from None


def each_of(work: Callable[[_Item], object], items: Sequence[_Item]) -> None:
    """Do the work for all items, several at a time. The first failure is raised, after what was begun has ended."""
    if len(items) <= 1:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(TOGETHER) as pool:
        for future in [pool.submit(work, item) for item in items]:
            try:
                future.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise


def _objects(infos: Iterable[Any]) -> list[StoredObject]:
    from pyarrow import fs

    found = [
        StoredObject(each.path, each.size, each.mtime.astimezone(UTC))
        for each in infos
        if each.type == fs.FileType.File
    ]
    return sorted(found, key=lambda each: each.path.split("/"))


def _s3(address: BucketAddress) -> Any:
    from pyarrow import fs

    # A small object is written by one request, so that nothing of it is there before all is.
    place: dict[str, Any] = {"anonymous": address.anonymous, "connect_timeout": CONNECT, "allow_delayed_open": True}
    region = address.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if address.endpoint:
        parts = urlsplit(address.endpoint)
        place |= {"endpoint_override": parts.netloc, "scheme": parts.scheme}
        region = region or "us-east-1"  # most other stores ignore it, and asking for it takes seconds
    if region:
        place["region"] = region
    if os.environ.get("AWS_CA_BUNDLE"):
        place["tls_ca_file_path"] = os.environ["AWS_CA_BUNDLE"]
    tries = fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS)
    return fs.S3FileSystem(retry_strategy=tries, request_timeout=SILENCE, **place)


def _azure(address: BucketAddress) -> Any:
    from pyarrow import fs

    place: dict[str, Any] = {}
    if key := os.environ.get("AZURE_STORAGE_KEY"):
        place["account_key"] = key
    elif token := os.environ.get("AZURE_STORAGE_SAS_TOKEN"):
        place["sas_token"] = token
    if address.endpoint:
        parts = urlsplit(address.endpoint)
        for service in ("blob", "dfs"):
            place |= {f"{service}_storage_authority": parts.netloc, f"{service}_storage_scheme": parts.scheme}
    return fs.AzureFileSystem(address.account, **place)


def _unsigned(address: BucketAddress, path: str, region: str | None) -> tuple[str, str]:
    """What anyone may ask who has no keys: for a list, and for an object."""
    bucket = address.parts[0]
    if address.scheme == "s3":
        # In the bucket's own region: any other answers with a redirect, whoever may read it.
        base = address.endpoint or f"https://s3.{region or 'us-east-1'}.amazonaws.com"
        return f"{base}/{bucket}?list-type=2&max-keys=1", f"{base}/{quote(path)}"
    base = f"{address.endpoint}/{address.account}" if address.endpoint else ""
    base = base or f"https://{address.account}.blob.core.windows.net"
    return f"{base}/{bucket}?restype=container&comp=list&maxresults=1", f"{base}/{quote(path)}"


def _no_such(address: BucketAddress) -> str:
    return f"there is no such {'bucket' if address.scheme == 's3' else 'container'}"


def _code(answer: str) -> tuple[str, str | None]:
    """The store's code of an error, and the status of its answer."""
    if found := _S3_ERROR.search(answer):
        return found[1], found[2]
    if found := _AZURE_ERROR.search(answer):
        return found[1], found[2] or None
    return "UNKNOWN", None


def _words(address: BucketAddress, answer: str) -> str:
    code, status = _code(answer)
    if code in {"NO_SUCH_BUCKET", "ContainerNotFound"}:
        return _no_such(address)
    if code in _REFUSED or status in {"401", "403"}:
        way = "anonymous = true reads public buckets alone" if address.anonymous else _KEYS[address.scheme]
        return f"the store refused ({code}): {way}"
    if not code:
        return _REACH
    if code == "NETWORK_CONNECTION":
        reason = re.search(r"curlCode: (\d+)", answer)
        return _LINES.get(reason[1] if reason else "", _REACH)
    if status in {"301", "307"}:
        return "the bucket is in another region: set `region`"
    return f"the store failed ({status or code}): try again"
