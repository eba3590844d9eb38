"""The store of releases: one immutable folder each, `releases/<dataset>/<period>/<edition>`.

The measurements, which have the noisy numbers of withheld cells too, are in a folder of the same name below
`private/measurements`. It is written first: a release that can be seen has all its files.
"""

from __future__ import annotations

import json
import secrets
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from publisher.durable import make_folder, new_folder, private_files, sync, write_file, writing
from publisher.errors import SourceError
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
    measurements_file,
    published_measurements_file,
    read_release,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from publisher.release.manifest import FileHash
    from publisher.release.table import PublishedTable

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


@dataclass(frozen=True)
class ReleaseStore:
    """The releases under a workspace's public folder, and their measurements under its private one."""

    public: Path
    private: Path

    @property
    def root(self) -> Path:
        """The folder of the releases."""
        return self.public / "releases"

    def datasets(self) -> list[str]:
        """The datasets that were ever released, defined or not, in order."""
        return sorted(each.name for each in self.root.glob("[!.]*") if each.is_dir())

    def kept(self, folder: Path) -> Path:
        """The private folder with the measurements of the release in that folder."""
        return self.private / "measurements" / folder.relative_to(self.root)

    def periods(self, dataset: str) -> list[str]:
        """The periods of a dataset that were ever released, in order."""
        return sorted(each.name for each in (self.root / dataset).glob("[0-9]*") if each.is_dir())

    def numbers(self, dataset: str, period: str) -> list[int]:
        """The editions of a period, oldest first."""
        return sorted(int(each.name) for each in (self.root / dataset / period).glob("[0-9]*") if each.is_dir())

    def editions(self, dataset: str, period: str) -> list[Release]:
        """The releases of a dataset's period, oldest edition first."""
        folder = self.root / dataset / period
        return [self.read(folder / str(number)) for number in self.numbers(dataset, period)]

    def releases(self, dataset: str) -> list[Release]:
        """Every release of a dataset, by period and edition."""
        return [release for period in self.periods(dataset) for release in self.editions(dataset, period)]

    def read(self, folder: Path) -> Release:
        """The release in a folder. Raises SourceError when its manifest is missing or damaged."""
        try:
            return read_release(folder, self.kept(folder))
        except (OSError, ValueError):
            raise SourceError(f"{folder / MANIFEST} is missing or damaged: restore it from a backup") from None

    def write(self, manifest: Manifest, contents: Contents) -> Release:
        """Write the whole folder and make it visible with one rename. Raises SourceError when it cannot be written."""
        folder = self.root / manifest.dataset / manifest.period / str(manifest.edition)
        kept = self.kept(folder)
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
        return Release(folder, kept, complete)

    def hide_measurements(self) -> None:
        """Move measurements that an older version wrote among the public files to the private ones.

        Whatever moment it is interrupted at, each file is whole in at least one place, and the next call goes on. A
        file that differs from one that is already there stays: `publisher verify` names it. Raises SourceError.
        """
        for finest in sorted(self.root.glob(f"*/*/*/{MEASUREMENTS}")):
            folder = finest.parent
            kept = self.kept(folder)
            with writing(folder), private_files():
                make_folder(kept, self.private)
                for path in (
                    *sorted(folder.glob("measurements-*.parquet")),
                    finest,
                ):  # the finest one tells of the rest
                    _move(path, kept / path.name)


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
        path = release.path(name)
        if not path.is_file() or hash_of(path) != written:
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
