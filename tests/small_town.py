"""A small invented town whose definitions are made in memory, and its records in DuckDB."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from publisher.definitions import period as civil
from publisher.definitions.dataset import CoarserKey, Dataset
from publisher.definitions.keyset import Keyset, Lookup
from publisher.definitions.source import Source
from publisher.definitions.toml import Origin, build
from publisher.engine.aggregate import bound_and_aggregate
from publisher.engine.guard import guarded
from publisher.engine.input import RecordSource
from publisher.workspace import CoarserFile, DatasetFile, SourceFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection

    from publisher.stages import BoundedAggregate, Integers

SOURCE: dict[str, Any] = {
    "title": "Town",
    "description": "Records of an invented town.",
    "purpose": "Tests.",
    "population": "town",
    "timezone": "America/Chicago",
    "retention_months": 12,
    "record_id": ("id",),
    "feed": {"path": "raw"},
    "event": {"column": "opened", "formats": ("%Y-%m-%d",)},
    "columns": {
        name: {"class": "public", "statute": "s. 1", "identifier": name == "who", "read": name != "secret"}
        for name in ("id", "who", "opened", "place", "category", "amount", "secret")
    },
}
DATASET: dict[str, Any] = {
    "title": "Town",
    "description": "Records of an invented town.",
    "source": "town",
    "period": "month",
    "first": "2020-01",
    "loss": {"rho": Decimal("0.1")},
    "keys": (
        {"name": "place", "title": "Place", "keyset": "places", "other": "Unknown"},
        {"name": "category", "title": "Category", "keyset": "categories", "other": "Other"},
    ),
    "measures": ({"name": "requests", "title": "Requests", "kind": "count", "unit": "requests"},),
    "suppression": {"measure": "requests", "threshold": 3},
    "portal": {"category": "Tests"},
}
PLACES = Keyset("places", ("north", "south"), ("The North", "The South"), "0" * 64)
CATEGORIES = Keyset("categories", ("water", "trash"), None, "1" * 64)
SQL = "SELECT place, category, amount FROM raw"


Row = tuple[int, int | None, int, str | None, str | None, str | None]
"""One raw row: record, unit, day from 2020-01-01, place, category, amount."""

LANDED = pa.schema(
    [("record", pa.int64()), ("unit", pa.int64()), ("day", pa.int32())]
    + [(name, pa.string()) for name in ("place", "category", "amount")]
)


@dataclass
class Town:
    """Definitions of the town, changed by what a test names, and what the engine makes of its rows."""

    COUNT: ClassVar[dict[str, Any]] = DATASET["measures"][0]
    UNITS: ClassVar[dict[str, Any]] = {"name": "people", "title": "People", "kind": "count_units", "unit": "people"}
    SUM: ClassVar[dict[str, Any]] = {
        "name": "paid", "title": "Paid", "kind": "sum", "unit": "dollars", "column": "amount",
        "lower": Decimal(-3), "upper": Decimal(7), "resolution": Decimal(1),
    }  # fmt: skip
    HISTOGRAM: ClassVar[dict[str, Any]] = {
        "name": "sizes", "title": "Sizes", "kind": "histogram", "unit": "dollars", "column": "amount",
        "bins": (Decimal(0), Decimal(2), Decimal(5)),
    }  # fmt: skip
    MEAN: ClassVar[dict[str, Any]] = {
        "name": "mean_paid", "title": "Mean", "kind": "mean", "unit": "dollars", "sum": "paid", "count": "requests",
    }  # fmt: skip

    connection: DuckDBPyConnection
    source: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    sql: str = SQL
    lookups: dict[str, Lookup] = field(default_factory=dict)
    keysets: tuple[Keyset, ...] = (PLACES, CATEGORIES)
    coarser: tuple[CoarserFile, ...] = ()

    def source_file(self) -> SourceFile:
        """The source; unit record in day blocks unless the test says otherwise."""
        privacy = {"unit": "record", "window": "day", "budget": Decimal(1)}
        values = SOURCE | {"privacy": privacy, "lookups": tuple(self.lookups)} | self.source
        origin = Origin("pipelines/town.toml", {})
        return SourceFile("town", build(Source, values, origin), self.sql, self.lookups, origin)

    def dataset_file(self) -> DatasetFile:
        """The dataset; counts by place and category in January 2020 unless the test says otherwise."""
        origin = Origin("datasets/town.toml", {})
        definition = build(Dataset, DATASET | self.dataset, origin)
        return DatasetFile("town", definition, self.source_file(), self.keysets, origin, self.coarser)

    def people(self, window: str = "month", k: int = 1, c: int = 1, **dataset: Any) -> Town:
        """The same town with people as units."""
        privacy = {"unit": "who", "window": window, "budget": Decimal(1), "missing": "own-unit"}
        bounds = {"max_groups": k, "max_per_group": c}
        changed = self.dataset | {"bounds": bounds} | dataset
        return replace(self, source=self.source | {"privacy": privacy}, dataset=changed)

    def rolled_up(self) -> Town:
        """The same town with rollups: all of it by month, then by half of the town."""
        half = {
            "name": "half",
            "title": "Half",
            "of": "place",
            "mapping": "halves",
            "keyset": "halves",
            "other": "Rest",
        }
        rollups = (
            {"name": "city", "title": "All of the town", "keys": (), "share": Decimal("0.2")},
            {"name": "halves", "title": "Halves", "keys": ("half",), "share": Decimal("0.3")},
        )
        mapping = Lookup("halves", ("place", "half"), (("north", "Up"), ("south", "Up")), "3" * 64)
        coarser = CoarserFile(CoarserKey(**half), Keyset("halves", ("Up", "Down"), None, "4" * 64), mapping)
        return replace(self, dataset=self.dataset | {"coarser": (half,), "rollups": rollups}, coarser=(coarser,))

    def load(self, rows: Sequence[Row]) -> None:
        """The rows as they would have been landed; an own unit where the row has none."""
        columns = zip(*rows, strict=True) if rows else [[] for _ in LANDED]
        arrays = [pa.array(column, kind) for column, kind in zip(columns, LANDED.types, strict=True)]
        self.connection.register("rows", pa.table(arrays, LANDED))
        self.connection.execute(
            "CREATE OR REPLACE TABLE landed AS SELECT CAST(record AS VARCHAR) AS id, CAST(unit AS VARCHAR) AS who, "
            "CAST(NULL AS VARCHAR) AS opened, place, category, amount, CAST(md5('r' || record) AS UUID) AS _record, "
            "CAST(coalesce(md5('u' || unit), md5('r' || record)) AS UUID) AS _unit, "
            "TIMESTAMP '2020-01-01' + to_days(day) AS _event FROM rows"
        )
        self.connection.unregister("rows")

    def aggregate(self, rows: Sequence[Row] | None = None, period: str = "2020-01", key: int = 7) -> BoundedAggregate:
        """The exact bounded tables of the rows, or of those loaded before."""
        if rows is not None:
            self.load(rows)
        dataset, release = self.dataset_file(), civil.parse(period)
        records = RecordSource(
            "SELECT * FROM landed WHERE _event >= ? AND _event < ?",
            (release.start, release.end),
            guarded(dataset.source),
        )
        return bound_and_aggregate(self.connection, records, dataset, release, key)

    def tables(self, rows: Sequence[Row] | None = None, period: str = "2020-01", key: int = 7) -> dict[str, Integers]:
        """The finest exact tables by measure."""
        made = self.aggregate(rows, period, key).tables
        return {measure: table for (level, measure), table in made.items() if not level}
