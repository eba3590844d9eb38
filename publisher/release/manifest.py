"""What a release says of itself. The manifest is shared: the pusher reads it, the portal shows its shape."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from publisher.definitions.model import Model

if TYPE_CHECKING:
    from pathlib import Path

DATA = "data.parquet"
CSV = "data.csv"
MEASUREMENTS = "measurements.parquet"
MANIFEST = "manifest.json"
GUARANTEE = "guarantee.json"
STATEMENT = "guarantee.md"


class ColumnSpec(Model):
    """A published column; `type` is Socrata's."""

    name: str
    title: str
    type: Literal["text", "number", "calendar_date"]
    description: str


class KeyShape(Model):
    """A key column; `names` is the column of its labels, None where keys speak for themselves."""

    name: str
    label: str
    names: str | None


class MeasureShape(Model):
    """A measure's value column with its margin (95 %) and status columns."""

    name: str
    label: str
    kind: Literal["count", "count_units", "sum", "mean"]
    unit: str
    low: str
    high: str
    status: str


class Shape(Model):
    """Which column plays which part."""

    time: str
    period: str
    place: str | None
    keys: tuple[KeyShape, ...]
    measures: tuple[MeasureShape, ...]


class FileHash(Model):
    """A file of the release."""

    sha256: str
    bytes: int


class TableCharge(Model):
    """How one measured table was protected; numbers that must be exact are text."""

    measure: str
    mechanism: Literal["discrete gaussian", "discrete laplace"]
    scale: float
    sensitivity: str
    loss: str


class Charge(Model):
    """What the release cost each block; `loss` is an exact rational as text."""

    currency: Literal["zcdp", "pure"]
    loss: str
    blocks: tuple[str, ...]
    tables: tuple[TableCharge, ...]


class LedgerHead(Model):
    """The ledger's last entry when the release was charged."""

    sequence: int
    hash: str


class Manifest(Model):
    """`manifest.json`."""

    format: Literal[1] = 1
    dataset: str
    source: str
    period: str
    edition: int
    statistical_hash: str
    finishing_hash: str
    created: str
    stand_in: bool
    """True where any record was generated; such a release never goes to a public portal."""
    rows: int
    suppressed: int
    unreliable: int
    columns: tuple[ColumnSpec, ...]
    shape: Shape
    charge: Charge
    ledger: LedgerHead
    versions: dict[str, str]
    files: dict[str, FileHash]

    @property
    def name(self) -> str:
        """The release's name, such as stlouis-requests/2018-W01/1."""
        return f"{self.dataset}/{self.period}/{self.edition}"


@dataclass(frozen=True)
class Release:
    """An immutable folder. Only what has this type can be validated, pushed or shown."""

    folder: Path
    manifest: Manifest

    @property
    def data(self) -> Path:
        """The published table."""
        return self.folder / DATA

    @property
    def statement(self) -> str:
        """The guarantee in words, Markdown."""
        return (self.folder / STATEMENT).read_text(encoding="utf-8")


def read_release(folder: Path) -> Release:
    """The release in that folder."""
    return Release(folder, Manifest.model_validate_json((folder / MANIFEST).read_bytes()))


def hash_of(path: Path) -> FileHash:
    """The file's size and sha256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileHash(sha256=digest, bytes=path.stat().st_size)
