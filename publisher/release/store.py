"""The store of releases: one immutable folder each, `releases/<dataset>/<period>/<edition>`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from publisher.durable import new_folder, sync, writing
from publisher.errors import SourceError
from publisher.release.manifest import (
    GUARANTEE,
    MANIFEST,
    PAGE,
    STATEMENT,
    Manifest,
    Release,
    csv_file,
    data_file,
    hash_of,
    measurements_file,
    read_release,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from publisher.release.table import PublishedTable


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


@dataclass(frozen=True)
class ReleaseStore:
    """The releases under a workspace's public folder."""

    public: Path

    @property
    def root(self) -> Path:
        """The folder of the releases."""
        return self.public / "releases"

    def datasets(self) -> list[str]:
        """The datasets that were ever released, defined or not, in order."""
        return sorted(each.name for each in self.root.glob("[!.]*") if each.is_dir())

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
            return read_release(folder)
        except (OSError, ValueError):
            raise SourceError(f"{folder / MANIFEST} is missing or damaged: restore it from a backup") from None

    def write(self, manifest: Manifest, contents: Contents) -> Release:
        """Write the whole folder and make it visible with one rename. Raises SourceError when it cannot be written."""
        folder = self.root / manifest.dataset / manifest.period / str(manifest.edition)
        with writing(manifest.name):
            folder.parent.mkdir(parents=True, exist_ok=True)
            for level in (self.root, folder.parent.parent):
                sync(level)
        with new_folder(folder) as staging:
            _write(staging, contents)
            files = {path.name: hash_of(path) for path in sorted(staging.iterdir())}
            complete = manifest.model_copy(update={"files": files})
            (staging / MANIFEST).write_text(_json(complete.model_dump(mode="json")), encoding="utf-8")
        return Release(folder, complete)


def _write(folder: Path, contents: Contents) -> None:
    """Write everything but the manifest."""
    import pyarrow.csv
    import pyarrow.parquet

    options = {"compression": "zstd", "version": "2.6"}
    for level, published in contents.published.items():
        pyarrow.parquet.write_table(published.table, folder / data_file(level), **options)
        pyarrow.csv.write_csv(published.table, folder / csv_file(level))
    for level, table in contents.measurements.items():
        pyarrow.parquet.write_table(table, folder / measurements_file(level), **options)
    (folder / GUARANTEE).write_text(_json(contents.guarantee), encoding="utf-8")
    (folder / STATEMENT).write_text(contents.statement, encoding="utf-8")
    (folder / PAGE).write_text(contents.page, encoding="utf-8")


def changed_files(release: Release) -> list[str]:
    """The files of a release that no longer match its manifest."""
    faults = []
    for name, written in release.manifest.files.items():
        path = release.folder / name
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
