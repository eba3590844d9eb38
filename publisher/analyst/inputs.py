"""What the analyst file was made from, so that it is written only when that has changed, and extended if it can be."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from pydantic import Field

from publisher import __version__
from publisher.definitions.model import Model
from publisher.durable import write_file
from publisher.push.boundaries import drawn_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from publisher.analyst.published import PublishedDataset
    from publisher.definitions.settings import Settings
    from publisher.release.manifest import Release

LAYOUT = 1
"""Grows when the same releases make another file."""


class ReleaseList(Model):
    """Releases in order: how many, and a digest that names them all."""

    count: int
    digest: str


class Made(Model):
    """From what a file was made, and what an extension of it must know."""

    definitions: str
    """A digest of all but releases: definitions, settings, boundaries, addresses, version."""
    shapes: dict[str, str]
    """By table: a digest of its title and of what the newest release says of its columns."""
    lists: dict[str, ReleaseList]
    """By dataset or total over time: the releases in the file."""
    blocks: dict[str, int] = Field(default_factory=dict)
    """The number of each shape of block, by its digest."""
    fits: dict[str, int] = Field(default_factory=dict)
    releases: int = 0
    """How many are numbered."""
    file: tuple[int, ...] = ()
    """Size, time and place of the file; of another one nothing is known."""


def asked(published: Iterable[PublishedDataset], settings: Settings, data: Path) -> Made:
    """What a file of these releases is made from."""
    datasets = list(published)
    definitions = [(repr(each.file), sorted(each.addresses.items()), drawn_from(each.file, data)) for each in datasets]
    return Made(
        definitions=_digest([LAYOUT, __version__, repr(settings), definitions]),
        shapes={f"{each.file.name} {level}": _shape(each, level) for each in datasets for level in each.tables},
        lists={name: listed(releases) for each in datasets for name, releases in lists_of(each).items()},
    )


def lists_of(published: PublishedDataset) -> dict[str, Sequence[Release]]:
    """The releases of the dataset, and of each of its totals."""
    own = {published.file.name: published.releases}
    return own | {published.file.named(name): tables for name, tables in published.totals.items()}


def listed(releases: Sequence[Release]) -> ReleaseList:
    """The releases by name and content."""
    digest = hashlib.sha256()
    for each in releases:
        digest.update(_mark(each))
    return ReleaseList(count=len(releases), digest=digest.hexdigest())


def new_in(before: Made, published: Iterable[PublishedDataset]) -> dict[str, Sequence[Release]] | None:
    """By dataset or total, the releases that follow those that are there; None if others were changed or removed."""
    found: dict[str, Sequence[Release]] = {}
    for each in published:
        for name, releases in lists_of(each).items():
            there = before.lists.get(name)
            if there is None or listed(releases[: there.count]) != there:
                return None
            found[name] = releases[there.count :]
    return found if before.lists.keys() == found.keys() else None


def remembered(notes: Path, file: Path) -> Made | None:
    """What the file was made from; None if nothing is known of it."""
    try:
        made = Made.model_validate_json(notes.read_bytes())
        return made if made.file == _place(file) else None
    except (OSError, ValueError):
        return None


def remember(notes: Path, file: Path, made: Made) -> None:
    """Keep it, once the file is there."""
    content = made.model_copy(update={"file": _place(file)}).model_dump_json()
    write_file(notes, content.encode() + b"\n", mode=0o600)


def _shape(published: PublishedDataset, level: str) -> str:
    says = published.tables[level][-1].manifest
    return _digest([published.title(level), says.shape.model_dump_json(), [each.model_dump() for each in says.columns]])


def _mark(release: Release) -> bytes:
    """An edition never changes, and the ledger refuses another one of the same name."""
    says = release.manifest
    return f"{says.name} {says.created} {says.ledger.hash}\n".encode()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _place(file: Path) -> tuple[int, ...]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino
