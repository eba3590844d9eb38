"""What a release says about itself. The push and the portal both read the manifest."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from publisher.definitions.model import Model
from publisher.errors import SourceError
from publisher.portal.contract import BoundFacts, CountedShare, NoiseLaw
from publisher.release import packs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

DATA = "data.parquet"
CSV = "data.csv"
MEASUREMENTS = "measurements.parquet"
WHOLE = "measurements_whole.parquet"
"""The private whole numbers of finest cells, withheld ones too, where tables are no chain."""
MANIFEST = "manifest.json"
GUARANTEE = "guarantee.json"
STATEMENT = "guarantee.md"
PAGE = "guarantee.html"


def data_file(level: str) -> str:
    """The file of one level's published table; the finest level has no name."""
    return f"rollup-{level}.parquet" if level else DATA


def csv_file(level: str) -> str:
    """The same table as CSV."""
    return f"rollup-{level}.csv" if level else CSV


def measurements_file(level: str) -> str:
    """The private file of one level's unbiased noisy values, those of withheld cells too."""
    return f"measurements-{level}.parquet" if level else MEASUREMENTS


def published_measurements_file(level: str) -> str:
    """The public copy of that file, where a dataset asks for one."""
    return f"noisy-{measurements_file(level)}"


def is_private(name: str) -> bool:
    """Whether a file of a release is among its measurements, which are never published."""
    return name.startswith("measurements")


class ColumnSpec(Model):
    """A published column; `type` is Socrata's."""

    name: str
    title: str
    type: Literal["text", "number", "calendar_date"]
    description: str


class KeyShape(Model):
    """A key column; `names` is the column with its labels, None if the keys need none."""

    name: str
    label: str
    names: str | None
    standard: str | None = None
    """The public standard that its keys follow."""
    other: str | None = None
    """The key for everything that is in no list."""


class MeasureShape(Model):
    """A measure's value column with its margin (95%) and status columns."""

    name: str
    label: str
    kind: Literal["count", "count_units", "sum", "mean", "quantile"]
    unit: str
    low: str
    high: str
    status: str
    range: str | None = None
    """quantile: the column that has its bins in words."""
    reason: str | None = None
    """The column that says why a cell is suppressed; tables of earlier versions have none."""
    margin_percent: str | None = None
    """The column with half the margin in percent of the value; tables of earlier versions have none."""
    bounds: BoundFacts | None = None
    """What bounds leave out of it; None if nothing, and in tables of earlier versions."""
    noise: NoiseLaw | None = None
    """count, sum: tells which numbers of the table differ; tables of earlier versions have none."""


class Shape(Model):
    """The role of each column."""

    time: str
    period: str
    place: str | None
    keys: tuple[KeyShape, ...]
    measures: tuple[MeasureShape, ...]

    @property
    def bounds(self) -> tuple[str, ...]:
        """What bounds leave out of each measure, one sentence each, with its name where there are several."""
        bounded = [each for each in self.measures if each.bounds is not None]
        said = [(each.label, each.bounds.words()) for each in bounded if each.bounds is not None]
        return tuple(words if len(self.measures) == 1 else f"{label}: {words}" for label, words in said)

    def counted_words(self, shares: Iterable[CountedShare]) -> tuple[str, ...]:
        """How much the bounds let count, one sentence for each measure of which that was measured."""
        labels = {each.name: each.label for each in self.measures}
        return tuple(
            each.words() if len(labels) == 1 else f"{labels[each.measure]}: {each.words()}"
            for each in shares
            if each.measure in labels
        )

    def known_shares(self, shares: Iterable[CountedShare], *, rollup: bool) -> tuple[CountedShare, ...]:
        """Those of this table's bounded measures. Shares are measured of finest cells: of units that are counted in
        coarser ones nothing is known."""
        bounded = {
            each.name
            for each in self.measures
            if each.bounds is not None and not (rollup and each.kind == "count_units")
        }
        return tuple(each for each in shares if each.measure in bounded)


class FileHash(Model):
    """A file of the release."""

    sha256: str
    bytes: int


class RollupTable(Model):
    """A companion table: coarser cells of the same records, published as <dataset>-<name>."""

    name: str
    title: str
    rows: int
    suppressed: int
    unreliable: int
    caution: int = 0
    """Manifests of earlier versions have none."""
    columns: tuple[ColumnSpec, ...]
    shape: Shape


class TableCharge(Model):
    """How one measured table was protected; exact numbers are text."""

    measure: str
    mechanism: Literal["discrete gaussian", "discrete laplace"]
    scale: float
    sensitivity: str
    loss: str
    level: str = ""
    """The rollup that was measured; empty for the dataset's own table."""
    sampler: Literal["opendp", "numpy"] = "opendp"


class Charge(Model):
    """What the release cost each block; `loss`, `delta` and `selection` are exact rationals as text."""

    currency: Literal["zcdp", "pure"]
    loss: str
    blocks: tuple[str, ...]
    tables: tuple[TableCharge, ...]
    delta: str = "0"
    """The δ spent on finding keys."""
    selection: str = "0"
    """The part of `loss` spent on finding keys."""


class LedgerHead(Model):
    """The ledger's last entry when the release was charged."""

    sequence: int
    hash: str


class LedgerProof(Model):
    """The entry that `ledger` names, and its audit path (RFC 9162) in the Merkle tree of the entries up to it: whoever
    knows the root of a ledger can check that the charge is in it. No later entry changes it."""

    kind: str
    at: str
    payload: str
    """What the entry says, byte for byte."""
    previous: str
    """The hash of the entry before it."""
    path: tuple[str, ...]
    root: str


class Manifest(Model):
    """`manifest.json`."""

    format: Literal[1] = 1
    dataset: str
    source: str
    period: str
    edition: int
    statistical_hash: str
    finishing_hash: str
    parts: dict[str, str] = Field(default_factory=dict)
    """A short hash of each part of the definition that decides the draw; older manifests have none."""
    order: str = ""
    """The keyed order that decided what was kept of each unit; empty if records are the units, or if it was the order
    of the first version, DuckDB's hash."""
    created: str
    stand_in: bool
    """True if any record was generated; such a release never goes to a public portal."""
    rows: int
    suppressed: int
    unreliable: int
    caution: int = 0
    """Manifests of earlier versions have none."""
    columns: tuple[ColumnSpec, ...]
    shape: Shape
    charge: Charge
    ledger: LedgerHead
    proof: LedgerProof | None = None
    """That the charge is in the ledger; manifests of earlier versions have none."""
    versions: dict[str, str]
    files: dict[str, FileHash]
    rollups: tuple[RollupTable, ...] = ()
    """The companion tables, in the order of their definition; the fields above describe the dataset's own table."""
    discovered: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """The keys that a selection found, by key column."""
    vintage: int = 1
    """Which of the period's scheduled editions this is."""
    added: dict[str, str] = Field(default_factory=dict)
    """A total over time: the releases that it adds up, by name, with the SHA-256 of their manifests."""
    counted: tuple[CountedShare, ...] = ()
    """How much of each total its bounds let count, where the release measured it."""
    final: bool = True
    """False while a later scheduled edition of the same period is still to come."""

    @property
    def name(self) -> str:
        """The release's name, such as stlouis-requests/2018-W01/1."""
        return f"{self.dataset}/{self.period}/{self.edition}"


@dataclass(frozen=True)
class Release:
    """An immutable folder. Only a Release can be validated, pushed or shown.

    Its measurements are in a folder of their own, `kept`, among the private files. Old ones are packed: then their
    files are in the packs of their year, under the names that they had as folders.
    A companion is a view of the same folder: `level`, `data` and the manifest's name, rows, columns and shape are those
    of one rollup; everything else is the release's. A total over time has a folder of its own; its level is its name.
    """

    folder: Path
    kept: Path
    manifest: Manifest
    level: str = ""

    @property
    def data(self) -> Path:
        """The published table."""
        return self.folder / data_file(self.level)

    @property
    def statement(self) -> str:
        """The guarantee in words, as Markdown. Raises SourceError when its file is missing or changed."""
        return self.content(STATEMENT).decode()

    def path(self, name: str) -> Path:
        """Where one of its files is; measurements of an older version are public until the next run moves them."""
        kept, public = self.kept / name, self.folder / name
        return kept if is_private(name) and (kept.exists() or not public.exists()) else public

    def content(self, name: str) -> bytes:
        """The bytes of one of its files. Raises SourceError if they are not the ones that were written."""
        path, written = self.path(name), self.manifest.files.get(name)
        try:
            found = _read(path)
        except OSError as error:
            raise SourceError(f"{path}: cannot be read: {error.strerror}: restore it from a backup") from None
        if written not in (None, FileHash(sha256=hashlib.sha256(found).hexdigest(), bytes=len(found))):
            raise SourceError(f"{path}: changed since it was written: restore it from a backup")
        return found

    def hash_of(self, name: str) -> FileHash:
        """What one of its files is now. Raises OSError when it cannot be read, SourceError when its pack is damaged."""
        path = self.path(name)
        if self.packed is None:
            with suppress(FileNotFoundError):  # packed in between, or gone
                return hash_of(path)  # without all of it in memory
        found = _read(path)
        return FileHash(sha256=hashlib.sha256(found).hexdigest(), bytes=len(found))

    @property
    def packed(self) -> Path | None:
        """The pack with its public files; None if it is a folder."""
        dataset, name = _placed(self.folder / MANIFEST)
        return packs.pack_of(dataset, name) if packs.is_packed(dataset, name) else None

    @cached_property
    def companions(self) -> tuple[Release, ...]:
        """A view of each published rollup's table."""
        return tuple(self.companion(rollup.name) for rollup in self.manifest.rollups)

    @cached_property
    def tables(self) -> Mapping[str, Release]:
        """The release itself under its level's name (empty for the finest), and its companions by level name."""
        return {self.level: self} | {each.level: each for each in self.companions}

    def companion(self, name: str) -> Release:
        """The view of one rollup's table. Raises KeyError when the release has none of that name."""
        rollup = {each.name: each for each in self.manifest.rollups}[name]
        fields = ("rows", "suppressed", "caution", "unreliable", "columns", "shape")
        facts = {field: getattr(rollup, field) for field in fields}
        said = facts | {"dataset": f"{self.manifest.dataset}-{name}", "rollups": ()}
        return Release(self.folder, self.kept, self.manifest.model_copy(update=said), name)


def read_release(folder: Path, kept: Path) -> Release:
    """The release in that folder, with its measurements in the folder `kept`."""
    return Release(folder, kept, Manifest.model_validate_json((folder / MANIFEST).read_bytes()))


def _placed(path: Path) -> tuple[Path, str]:
    """The folder of a file's dataset, and the file's name in it: <period>/<edition>/<file>."""
    edition, period, dataset = path.parents[:3]
    return dataset, f"{period.name}/{edition.name}/{path.name}"


def _read(path: Path) -> bytes:
    return packs.read(*_placed(path))


def hash_of(path: Path) -> FileHash:
    """The file's size and sha256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileHash(sha256=digest, bytes=path.stat().st_size)
