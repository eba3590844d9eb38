"""What the packs hold, read once: neither a manifest nor the result of a check in a pack changes, so that those of a
year are kept together in one private file, and a run reads thousands of them in one step.

An index is believed as long as it is whole and its pack is the same file. It may be deleted at any time: the next run
writes it again, from the pack. Whoever verifies what was written reads the packs themselves.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import NonNegativeInt  # noqa: TC002 - pydantic reads it

from publisher import __version__
from publisher.definitions.model import Model
from publisher.durable import private_files, write_file
from publisher.release.manifest import ColumnSpec, Manifest, RollupTable, Shape
from publisher.release.validation import Validation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from publisher.release.packs import Identity

FOLDER = "indexes"
"""In the private folder; below it as the packs lie in the public one."""

VERSION = f"{__version__} 1"
"""Of the program and, between two releases of it, of what an index has: another one is not read."""


class _Rollup(RollupTable):
    """A companion, with the places of its columns and shape among all that there are."""

    columns: NonNegativeInt  # type: ignore[assignment]
    shape: NonNegativeInt  # type: ignore[assignment]


class _Row(Manifest):
    """A manifest in the same way: what releases of one definition have in common is there once."""

    columns: NonNegativeInt  # type: ignore[assignment]
    shape: NonNegativeInt  # type: ignore[assignment]
    rollups: tuple[_Rollup, ...] = ()


class _Index(Model):
    """Which version wrote it, of which pack."""

    version: str
    pack: tuple[int, ...]


class _Manifests(_Index):
    columns: tuple[tuple[ColumnSpec, ...], ...]
    shapes: tuple[Shape, ...]
    manifests: dict[str, tuple[str, _Row]]


class _Results(_Index):
    results: dict[str, tuple[str, Validation]]


Kind = TypeVar("Kind", bound=_Index)
Part = TypeVar("Part", tuple[ColumnSpec, ...], Shape)


def read_manifests(path: Path, pack: Identity) -> Mapping[str, tuple[Manifest, str]] | None:
    """By name in the pack, the manifests with the SHA-256 of their files; None if there is no index of this pack."""
    found = _read(_Manifests, path, pack)
    if found is None:
        return None
    made = {}
    for name, (digest, row) in found.manifests.items():
        rollups = tuple(RollupTable.model_construct(**_whole(each, found)) for each in row.rollups)
        made[name] = Manifest.model_construct(**_whole(row, found) | {"rollups": rollups}), digest
    return made


def write_manifests(path: Path, pack: Identity, manifests: Mapping[str, tuple[Manifest, str]]) -> None:
    """Keep them. Raises SourceError when it cannot be written."""
    whole = [says for says, _ in manifests.values()]
    tables: list[Manifest | RollupTable] = [*whole, *(each for says in whole for each in says.rollups)]
    columns, shapes = _numbered(each.columns for each in tables), _numbered(each.shape for each in tables)

    def places(table: Manifest | RollupTable) -> dict[str, Any]:
        return {"columns": columns[table.columns], "shape": shapes[table.shape]}

    rows = {}
    for name, (says, digest) in manifests.items():
        rollups = tuple(_Rollup.model_construct(**each.__dict__ | places(each)) for each in says.rollups)
        rows[name] = digest, _Row.model_construct(**says.__dict__ | places(says) | {"rollups": rollups})
    _write(
        path,
        _Manifests.model_construct(
            version=VERSION, pack=pack, columns=tuple(columns), shapes=tuple(shapes), manifests=rows
        ),
    )


def read_results(path: Path, pack: Identity) -> Mapping[str, tuple[str, Validation]] | None:
    """By name in the pack, the results of checks after the SHA-256 of their files; None if there is no index of it."""
    found = _read(_Results, path, pack)
    return found.results if found is not None else None


def write_results(path: Path, pack: Identity, results: Mapping[str, tuple[str, Validation]]) -> None:
    """Keep them. Raises SourceError when it cannot be written."""
    _write(path, _Results(version=VERSION, pack=pack, results=dict(results)))


def _read(kind: type[Kind], path: Path, pack: Identity) -> Kind | None:
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
        if hashlib.sha256(content).hexdigest().encode() != digest:
            return None  # a disk may lose a bit
        found = kind.model_validate_json(content)
    except (OSError, ValueError):  # none, or of another version
        return None
    return found if (found.version, found.pack) == (VERSION, pack) else None


def _write(path: Path, index: Model) -> None:
    content = index.model_dump_json().encode()
    with private_files():
        write_file(path, hashlib.sha256(content).hexdigest().encode() + b"\n" + content, mode=0o600)


def _whole(row: _Row | _Rollup, index: _Manifests) -> dict[str, Any]:
    return row.__dict__ | {"columns": index.columns[row.columns], "shape": index.shapes[row.shape]}


def _numbered(found: Iterable[Part]) -> dict[Part, int]:
    """The different ones among them, each with its place."""
    return {each: number for number, each in enumerate(dict.fromkeys(found))}
