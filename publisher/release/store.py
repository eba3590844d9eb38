"""The store of releases: one immutable folder each, `releases/<dataset>/<period>/<edition>`.

The measurements, which have the noisy numbers of withheld cells too, are in a folder of the same name below
`private/measurements`. It is written first: a release that can be seen has all its files. Old releases are packed by
year, and are read under the same names.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from publisher.durable import make_folder, new_folder, private_files, sync, write_file, writing
from publisher.errors import SourceError
from publisher.release import pack_index, packs
from publisher.release.manifest import (
    GUARANTEE,
    MANIFEST,
    MEASUREMENTS,
    PAGE,
    STATEMENT,
    WHOLE,
    Manifest,
    Release,
    csv_file,
    data_file,
    hash_of,
    is_private,
    measurements_file,
    published_measurements_file,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from publisher.release.manifest import FileHash
    from publisher.release.table import PublishedTable

_A_MANIFEST = re.compile(rf"[0-9][^/]*/[0-9]+/{re.escape(MANIFEST)}")
_PARQUET: dict[str, Any] = {"compression": "zstd", "version": "2.6"}


@dataclass(frozen=True)
class Contents:
    """The files of a release before they are written; tables by level, the finest is ""."""

    published: dict[str, PublishedTable]
    measurements: dict[str, pa.Table]
    guarantee: dict[str, Any]
    statement: str
    """Markdown."""
    page: str
    """HTML."""
    whole: pa.Table | None = None
    """The whole numbers of finest cells, if tables are no chain."""
    unbiased: dict[str, pa.Table] = field(default_factory=dict)
    """What is published of the measurements, in units and with their variance; empty unless the dataset asks."""


@dataclass
class _Seen:
    """What a store was read to have: releases never change, and only the owner of the lock adds some."""

    numbers: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    """By dataset and period, the editions."""
    releases: dict[str, tuple[Release, str]] = field(default_factory=dict)
    """By name, with the SHA-256 of the manifest."""
    damaged: dict[str, list[Path]] = field(default_factory=dict)
    """By dataset, the packs that cannot be read: nobody knows which releases are in them."""
    indexed: dict[Path, packs.Identity | None] = field(default_factory=dict)
    """The packs whose index was looked for, and which file it was of; None if there was none."""


@dataclass(frozen=True)
class ReleaseStore:
    """The releases under a workspace's public folder, and their measurements under its private one.

    Folders are listed once and each manifest is read once, however often someone asks.
    """

    public: Path
    private: Path
    indexed: bool = True
    """Whether the indexes of packs are believed; whoever verifies reads the packs."""
    _seen: _Seen = field(default_factory=_Seen, init=False, repr=False, compare=False)

    @cached_property
    def root(self) -> Path:
        """The folder of the releases."""
        return self.public / "releases"

    @cached_property
    def _measured(self) -> Path:
        return self.private / "measurements"

    def datasets(self) -> list[str]:
        """The datasets that were ever released, defined or not, in order."""
        return sorted(each.name for each in self.root.glob("[!.]*") if each.is_dir())

    def kept(self, folder: Path) -> Path:
        """The private folder with the measurements of the release in that folder."""
        return self._measured / folder.relative_to(self.root)

    def periods(self, dataset: str) -> list[str]:
        """The periods of a dataset that were ever released, in order."""
        return sorted(self._numbers(dataset))

    def numbers(self, dataset: str, period: str) -> list[int]:
        """The editions of a period, oldest first."""
        return list(self._numbers(dataset).get(period, ()))

    def editions(self, dataset: str, period: str) -> list[Release]:
        """The releases of a dataset's period, oldest edition first."""
        return [self.named(f"{dataset}/{period}/{number}") for number in self.numbers(dataset, period)]

    def releases(self, dataset: str) -> list[Release]:
        """Every release of a dataset, by period and edition."""
        return [release for period in self.periods(dataset) for release in self.editions(dataset, period)]

    def names(self) -> Iterator[str]:
        """The name of every release of every dataset, such as town/2020-01/1, by period and edition."""
        for dataset in self.datasets():
            for period in self.periods(dataset):
                for number in self.numbers(dataset, period):
                    yield f"{dataset}/{period}/{number}"

    def named(self, name: str) -> Release:
        """The release of that name. Raises SourceError when its manifest is missing or damaged."""
        return self._read(name)[0]

    def read(self, folder: Path) -> Release:
        """The release in a folder. Raises SourceError when its manifest is missing or damaged."""
        return self.named(str(folder.relative_to(self.root)))

    def sha256(self, name: str) -> str:
        """The SHA-256 of a release's manifest, as it was read. Raises SourceError as `read` does."""
        return self._read(name)[1]

    def _read(self, name: str) -> tuple[Release, str]:
        dataset, _, within = name.partition("/")
        if name not in self._seen.releases and self.indexed:
            self._recall(dataset, packs.pack_of(self.root / dataset, within))
        if name not in self._seen.releases:
            folder = self.root / name
            try:
                content = packs.read(f"{self.root}/{dataset}", f"{within}/{MANIFEST}")
                release = Release(folder, self._measured / name, Manifest.model_validate_json(content))
            except (OSError, ValueError):
                raise SourceError(f"{folder / MANIFEST} is missing or damaged: restore it from a backup") from None
            self._seen.releases[name] = release, hashlib.sha256(content).hexdigest()
        return self._seen.releases[name]

    def _recall(self, dataset: str, pack: Path) -> None:
        """Take what the index has, if it is of this pack."""
        if pack in self._seen.indexed:
            return
        identity = packs.identity_of(pack)
        found = pack_index.read_manifests(self.index_of(pack), identity) if identity is not None else None
        self._seen.indexed[pack] = identity if found is not None else None
        for within, (manifest, digest) in (found or {}).items():
            name = f"{dataset}/{within}"
            self._seen.releases[name] = Release(self.root / name, self._measured / name, manifest), digest

    def index(self, dataset: str) -> None:
        """Keep the manifests of packs whose index is missing, or of another file, as the packs have them. Raises
        SourceError when one cannot be read or written."""
        for pack in packs.packs_in(self.root / dataset):
            self._recall(dataset, pack)
            identity = packs.identity_of(pack)
            if identity is None or self._seen.indexed[pack] == identity:
                continue
            names = [each.rpartition("/")[0] for each in packs.entries_of(pack) if _A_MANIFEST.fullmatch(each)]
            fresh = replace(self, indexed=False)
            found = {name: fresh._read(f"{dataset}/{name}") for name in sorted(names)}
            kept = {name: (release.manifest, digest) for name, (release, digest) in found.items()}
            pack_index.write_manifests(self.index_of(pack), identity, kept)
            self._seen.indexed[pack] = identity

    def index_of(self, pack: Path) -> Path:
        """Where the index of a pack is."""
        return (self.private / pack_index.FOLDER / pack.relative_to(self.public)).with_suffix(".json")

    def damaged(self, dataset: str) -> list[Path]:
        """The packs of a dataset that cannot be read: the releases in them are missing until they are restored."""
        self._numbers(dataset)
        return self._seen.damaged[dataset]

    def folders(self, dataset: str, year: str = "") -> dict[str, list[int]]:
        """By period, the editions that lie in folders of their own, or of which a killed run left something there."""
        folder = f"{self.root}/{dataset}"
        found = [name for name in packs.numbered(folder) if name.startswith(year)]
        return {name: sorted(map(int, packs.numbered(f"{folder}/{name}"))) for name in found}

    def _numbers(self, dataset: str) -> dict[str, list[int]]:
        if dataset not in self._seen.numbers:
            numbers = self.folders(dataset)  # before the packs: what is packed meanwhile is seen in one of them
            names, self._seen.damaged[dataset] = _packed(self.root / dataset)
            for period, number in names:
                numbers[period] = sorted({*numbers.get(period, ()), number})
            self._seen.numbers[dataset] = numbers
        return self._seen.numbers[dataset]

    def pack(self, dataset: str, year: str, releases: Sequence[Release]) -> None:
        """Move releases of a year, which must be intact, into its packs. Raises SourceError when these are damaged or
        cannot be written; whatever moment it is interrupted at, every release is read as before."""
        public, private = set(), set()
        for release in releases:
            within = release.manifest.name.removeprefix(f"{dataset}/")
            kept = set(filter(is_private, release.manifest.files))
            private |= {f"{within}/{name}" for name in kept}
            public |= {f"{within}/{name}" for name in {*release.manifest.files, MANIFEST} - kept}
        packs.pack(self.kept(self.root / dataset), year, private, 0o600)
        packs.pack(self.root / dataset, year, public, 0o644)

    def write(self, manifest: Manifest, contents: Contents) -> Release:
        """Write the whole folder and make it visible with one rename. Raises SourceError when it cannot be written."""
        folder = self.root / manifest.dataset / manifest.period / str(manifest.edition)
        kept = self.kept(folder)
        if packs.is_packed(self.root / manifest.dataset, f"{manifest.period}/{manifest.edition}/{MANIFEST}"):
            raise SourceError(f"{manifest.name}: is there already, and packed")
        with writing(manifest.name):
            if not folder.exists():
                shutil.rmtree(kept, ignore_errors=True)  # left by a killed run, whose release nobody has seen
            make_folder(folder.parent, self.public)
            with private_files():
                make_folder(kept.parent, self.private)
        try:
            with private_files(), new_folder(kept) as staging:
                # The manifest is public: without a salt, withheld numbers could be guessed from their file's hash.
                salt = secrets.token_hex(32)
                _write_measurements(staging, contents, salt)
                _write_whole(staging, contents, salt)
                files = _hashes(staging)
            with new_folder(folder) as staging:
                _write(staging, contents)
                complete = seal(staging, manifest, files)
        finally:
            if not folder.exists():
                shutil.rmtree(kept, ignore_errors=True)
        numbers = self._numbers(manifest.dataset)
        numbers[manifest.period] = sorted({*numbers.get(manifest.period, ()), manifest.edition})
        return Release(folder, kept, complete)

    def hide_measurements(self) -> None:
        """Move measurements that an older version wrote among the public files to the private ones.

        Whatever moment it is interrupted at, each file is whole in at least one place, and the next call goes on. A
        file that differs from one that is already there stays: `publisher verify` names it. Raises SourceError.
        """
        hidden = [name for name in self.names() if os.path.exists(f"{self.root}/{name}/{MEASUREMENTS}")]  # noqa: PTH110
        for name in hidden:
            folder = self.root / name
            finest, kept = folder / MEASUREMENTS, self.kept(folder)
            with writing(folder), private_files():
                make_folder(kept, self.private)
                for path in (
                    *sorted(folder.glob("measurements-*.parquet")),
                    finest,
                ):  # the finest one tells of the rest
                    _move(path, kept / path.name)


def _packed(folder: Path) -> tuple[list[tuple[str, int]], list[Path]]:
    """Period and edition of the releases in a dataset's packs, and the packs that are damaged."""
    found, damaged = [], []
    for pack in packs.packs_in(folder):
        try:
            names = [name.split("/") for name in packs.entries_of(pack) if _A_MANIFEST.fullmatch(name)]
        except SourceError:
            damaged.append(pack)
            continue
        found += [(period, int(edition)) for period, edition, _ in names]
    return found, damaged


def write_table(folder: Path, level: str, published: PublishedTable) -> None:
    """Write a published table as Parquet and as CSV."""
    import pyarrow.csv
    import pyarrow.parquet

    pyarrow.parquet.write_table(published.table, folder / data_file(level), **_PARQUET)
    pyarrow.csv.write_csv(published.table, folder / csv_file(level))


def seal(folder: Path, manifest: Manifest, files: dict[str, FileHash]) -> Manifest:
    """Write the manifest, with the hashes of the folder's files and of these."""
    complete = manifest.model_copy(update={"files": files | _hashes(folder)})
    (folder / MANIFEST).write_text(_json(complete.model_dump(mode="json")), encoding="utf-8")
    return complete


def _write(folder: Path, contents: Contents) -> None:
    """Write everything public but the manifest."""
    import pyarrow.parquet

    for level, published in contents.published.items():
        write_table(folder, level, published)
    for level, table in contents.unbiased.items():
        pyarrow.parquet.write_table(table, folder / published_measurements_file(level), **_PARQUET)
    (folder / GUARANTEE).write_text(_json(contents.guarantee), encoding="utf-8")
    (folder / STATEMENT).write_text(contents.statement, encoding="utf-8")
    (folder / PAGE).write_text(contents.page, encoding="utf-8")


def _write_measurements(folder: Path, contents: Contents, salt: str) -> None:
    import pyarrow.parquet

    for level, table in contents.measurements.items():
        pyarrow.parquet.write_table(_salted(table, salt), folder / measurements_file(level), **_PARQUET)


def _write_whole(folder: Path, contents: Contents, salt: str) -> None:
    import pyarrow.parquet

    if contents.whole is not None:
        pyarrow.parquet.write_table(_salted(contents.whole, salt), folder / WHOLE, **_PARQUET)


def _salted(table: pa.Table, salt: str) -> pa.Table:
    """The table with a secret in its file."""
    return table.replace_schema_metadata((table.schema.metadata or {}) | {"salt": salt})


def _hashes(folder: Path) -> dict[str, FileHash]:
    return {path.name: hash_of(path) for path in sorted(folder.iterdir())}


def _move(path: Path, target: Path) -> None:
    content = path.read_bytes()
    if not target.exists():
        write_file(target, content, mode=0o600)
    if target.read_bytes() == content:
        path.unlink()
        sync(path.parent)


def changed_files(release: Release) -> list[str]:
    """The files of a release that no longer match its manifest."""
    faults = []
    for name, written in release.manifest.files.items():
        try:
            same = release.hash_of(name) == written
        except (OSError, SourceError):
            same = False
        if not same:
            faults.append(name)
    return faults


def refuse_if_changed(release: Release) -> None:
    """Raise SourceError naming the files that changed since they were written."""
    changed = changed_files(release)
    if changed:
        raise SourceError(
            f"{release.folder}: changed since it was written: {', '.join(changed)}; restore from a backup"
        )


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
