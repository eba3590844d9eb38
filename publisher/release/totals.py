"""The store of totals over time: one immutable folder each, `totals/<dataset>-<total>/<period>/<edition>`.

A folder has the table, the guarantee of the newest release in it, and a manifest that names every release in it. All of
it follows from those releases and the versions of the programs that the manifest names: a total that is gone and was
computed again by the same ones has the same bytes, and is the same edition.
"""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from publisher import __version__
from publisher.durable import make_folder, new_folder, writing
from publisher.errors import SourceError
from publisher.grades import CAUTION, UNRELIABLE
from publisher.release.manifest import (
    GUARANTEE,
    MANIFEST,
    PAGE,
    STATEMENT,
    Charge,
    Manifest,
    Release,
    hash_of,
    read_release,
)
from publisher.release.store import seal, write_table
from publisher.release.table import column_specs, published_table, shape_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from publisher.stages import FinishedTable
    from publisher.workspace import DatasetFile


ADVICE = ": delete that folder, and the next run writes the total again"
"""What to do about a total that is not as it was written."""


@dataclass(frozen=True)
class TotalStore:
    """The totals under a workspace's public folder; `table` is <dataset>-<total>, and `level` the total's own name."""

    public: Path

    @property
    def root(self) -> Path:
        """The folder of the totals."""
        return self.public / "totals"

    def folders(self, table: str) -> list[Path]:
        """The folder of every edition of every total of a table, by period and edition."""
        found = (self.root / table).glob("[0-9]*/[0-9]*")
        return sorted(found, key=lambda folder: (folder.parent.name, int(folder.name)))

    def read(self, folder: Path, level: str) -> Release:
        """The total in a folder. Raises SourceError when its manifest is missing or damaged."""
        try:
            found = read_release(folder, folder)
        except (OSError, ValueError):
            raise SourceError(f"{folder / MANIFEST}: is missing or damaged{ADVICE}") from None
        return Release(folder, folder, found.manifest, level)

    def write(
        self, manifest: Manifest, finished: FinishedTable, dataset: DatasetFile, newest: Release, wanted: str = ""
    ) -> Release | None:
        """Write the whole folder and make it visible with one rename; what a killed run left there is replaced.

        None, and nothing is written, if its manifest would not have the `wanted` SHA-256. Raises SourceError when it
        cannot be written.
        """
        folder = self.root / manifest.dataset / manifest.period / str(manifest.edition)
        published = published_table(finished, dataset, manifest.edition)
        with writing(manifest.name):
            shutil.rmtree(folder, ignore_errors=True)
            make_folder(folder.parent, self.public)
        try:
            with new_folder(folder) as staging:
                write_table(staging, finished.level, published)
                for name in (GUARANTEE, STATEMENT, PAGE):
                    (staging / name).write_bytes(newest.content(name))
                complete = seal(staging, manifest, {})
                if wanted and hash_of(staging / MANIFEST).sha256 != wanted:
                    raise _OtherBytesError
        except _OtherBytesError:
            return None
        return Release(folder, folder, complete, finished.level)


class _OtherBytesError(Exception):
    """What was computed again is not what there was."""


def manifest_of(
    finished: FinishedTable, dataset: DatasetFile, releases: Sequence[Release], added: dict[str, str], edition: int,
    finishing_hash: str,
) -> Manifest:  # fmt: skip
    """What a total says about itself: it is charged nothing, and everything else is of the releases in it."""
    newest, all_ = releases[-1].manifest, [each.manifest for each in releases]
    return Manifest(
        dataset=dataset.named(finished.level),
        source=newest.source,
        period=finished.grid.periods[0].label,
        edition=edition,
        statistical_hash=newest.statistical_hash,
        finishing_hash=finishing_hash,
        created=max(each.created for each in all_),
        stand_in=any(each.stand_in for each in all_),
        rows=finished.grid.size,
        suppressed=int(finished.suppressed.sum()),
        caution=int(finished.measures[0].has(CAUTION).sum()),
        unreliable=int(finished.measures[0].has(UNRELIABLE).sum()),
        columns=column_specs(dataset, finished.level),
        shape=shape_of(dataset, finished.level, {each.name: each.noise for each in finished.measures}),
        charge=Charge(currency=newest.charge.currency, loss="0", blocks=(), tables=()),
        ledger=max((each.ledger for each in all_), key=lambda head: head.sequence),
        versions={"publisher": __version__, "python": platform.python_version()}
        | {package: version(package) for package in ("numpy", "pyarrow")},
        files={},
        vintage=1 + sum(each.vintage - 1 for each in all_),
        added=added,
        final=all(each.final for each in all_),
    )
