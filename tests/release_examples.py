"""Releases of the invented town, made by hand: every level's table without a record or a mechanism."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from publisher.definitions import period as civil
from publisher.grades import STATUSES, SUPPRESSED, grades, margin_percents
from publisher.pipeline.editions import unbiased
from publisher.release.manifest import MANIFEST, Charge, LedgerHead, Manifest, TableCharge, hash_of, read_release
from publisher.release.store import Contents
from publisher.release.structure import LATER
from publisher.release.table import measurements_table, published_table, rollup_table
from publisher.release.validation import Validation
from publisher.stages import FinishedMeasure, FinishedTable, Mechanism, NoisyTable
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from small_town import Town

    from publisher.definitions.dataset import Measure
    from publisher.definitions.levels import Level
    from publisher.pipeline.catalog import Catalog
    from publisher.release.manifest import Release
    from publisher.stages import Floats, Integers, Table
    from publisher.workspace import DatasetFile, Workspace

QUANTILE = {
    "name": "median_size", "title": "Median size", "kind": "quantile", "unit": "dollars", "histogram": "sizes",
    "probability": Decimal("0.5"),
}  # fmt: skip


FILES = {
    "publisher.toml": """
        organization = "City of Example"
        contact = "data@example.gov"
        license = "CC0 1.0"
        jurisdiction = "Example Open Records Act"
        """,
    "pipelines/requests.toml": """
        title = "Requests"
        description = "Requests."
        purpose = "Service"
        population = "residents"
        timezone = "America/Chicago"
        retention_months = 12
        record_id = ["ID"]
        [privacy]
        unit = "record"
        window = "week"
        budget = 0.5
        [feed]
        path = "requests.csv"
        [event]
        column = "OPENED"
        formats = ["%Y-%m-%d"]
        [columns]
        ID = { class = "public", statute = "s. 1" }
        OPENED = { class = "public", statute = "s. 1" }
        WARD = { class = "public", statute = "s. 1" }
        DAYS = { class = "public", statute = "s. 1" }
        """,
    "pipelines/requests.sql": "SELECT WARD AS ward, TRY_CAST(DAYS AS INTEGER) AS days FROM raw",
    "datasets/weekly.toml": """
        title = "Requests by ward"
        description = "How many requests were made."
        source = "requests"
        period = "week"
        first = "2018-W01"
        loss.rho = 0.1
        [[keys]]
        name = "ward"
        title = "Ward"
        keyset = "wards"
        other = "Unknown"
        [[coarser]]
        name = "district"
        title = "District"
        of = "ward"
        mapping = "districts-of-wards"
        keyset = "districts"
        other = "Unknown"
        [[rollups]]
        name = "city"
        title = "Requests in the city"
        [[rollups]]
        name = "districts"
        title = "Requests by district"
        keys = ["district"]
        [[measures]]
        name = "requests"
        title = "Requests"
        kind = "count"
        unit = "requests"
        [[measures]]
        name = "times"
        title = "Times"
        kind = "histogram"
        unit = "days"
        column = "days"
        bins = [0, 3, 10]
        [[measures]]
        name = "median_days"
        title = "Median days"
        kind = "quantile"
        unit = "days"
        histogram = "times"
        probability = 0.5
        [suppression]
        measure = "requests"
        threshold = 3
        [portal]
        category = "Services"
        """,
    "datasets/keysets/wards.csv": "key\n1\n2\n3\n4\n",
    "datasets/keysets/districts.csv": "key,label\nE,The East\nW,The West\n",
    "datasets/keysets/districts-of-wards.csv": "ward,district\n1,E\n2,E\n3,W\n4,W\n",
}


def workspace(root: Path) -> Workspace:
    """A workspace whose one dataset, weekly, has rollups to districts and the city, and a median."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(line.strip() for line in text.strip().splitlines()) + "\n")
    return find_workspace(root)


def ready(catalog: Catalog, dataset: DatasetFile, period: str, **says: Any) -> Release:
    """A release of that period which has passed, as a run leaves it."""
    last = catalog.ledger.entries()[-1]
    paid = {"ledger": LedgerHead(sequence=last.sequence, hash=last.hash)}
    release = catalog.store.write(*contents(dataset, drawn(dataset, period), period=period, **paid | says))
    catalog.enter(release)
    passed = Validation(passed=True, failures=(), suite_sha256="0", checked_at="2026-01-01T00:00:00+00:00")
    catalog.keep(release, passed)
    return release


def of_before(release: Release, *ends: str) -> Release:
    """The release as versions wrote it that did not have the columns with these ends."""
    written = json.loads((release.folder / MANIFEST).read_text())
    for says in (written, *written["rollups"]):
        del says["caution"]
        says["columns"] = [each for each in says["columns"] if not each["name"].endswith(ends)]
        for measure in says["shape"]["measures"]:
            for end in ends:
                del measure[LATER[end]]
    for table in release.tables.values():
        whole = pq.read_table(table.data)
        pq.write_table(whole.drop_columns([n for n in whole.column_names if n.endswith(ends)]), table.data)
        written["files"][table.data.name] = hash_of(table.data).model_dump()
    (release.folder / MANIFEST).write_text(json.dumps(written))
    return read_release(release.folder, release.kept)


def rich(town: Town) -> Town:
    """The town with two rollups and every kind of measure."""
    measures = (town.COUNT, town.SUM, town.MEAN, town.HISTOGRAM, QUANTILE)
    return replace(town.rolled_up(), dataset=town.rolled_up().dataset | {"measures": measures})


def drawn(dataset: DatasetFile, period: str = "2020-01", start: int = 0) -> NoisyTable:
    """Measured tables of every level that add up: the finest counts from `start` on, cell by cell."""
    levels = dataset.levels(civil.parse(period))
    tables: dict[Table, Integers] = {}
    for n, measure in enumerate(dataset.definition.measured):
        finest = np.arange(levels[-1].grid.size * measure.width, dtype=np.int64) + start + 100 * n
        tables |= {(level.name, measure.name): _summed(level, finest, measure.width) for level in levels}
    mechanisms = tuple(
        Mechanism(measure.name, "discrete gaussian", 2.0, "Δ₂ = 1", Fraction(1, 30), "", level.name)
        for level in levels
        for measure in dataset.definition.measured
    )
    return NoisyTable(levels, tables, mechanisms)


def finished(noisy: NoisyTable, dataset: DatasetFile) -> tuple[FinishedTable, ...]:
    """The tables as they could be published: values as measured, ±2, suppressed below the threshold."""
    definition = dataset.definition
    tables = []
    for level in noisy.levels:
        suppressed = noisy.tables[level.name, definition.suppression.measure] < definition.suppression.threshold
        measures = []
        for measure in definition.measures:
            if measure.shown:
                value = np.where(suppressed, np.nan, _value(noisy, level.name, measure))
                words = [None if np.isnan(each) else f"{each:g} to {each + 1:g}" for each in value]
                texts = tuple(words) if measure.kind == "quantile" else None
                low, high = np.maximum(value - 2, 0), value + 2
                graded = np.where(suppressed, STATUSES.index(SUPPRESSED), grades(value, low, high, low >= high))
                percent = margin_percents(value, low, high)
                measures.append(FinishedMeasure(measure.name, value, low, high, percent, graded, texts))
        tables.append(FinishedTable(level.name, level.grid, tuple(measures), suppressed.astype(np.int64)))
    return tuple(tables)


def contents(dataset: DatasetFile, noisy: NoisyTable, **says: Any) -> tuple[Manifest, Contents]:
    """What the store is given for one release."""
    tables = finished(noisy, dataset)
    hashes = {"statistical_hash": "a", "finishing_hash": "b"}
    paid = {"ledger": LedgerHead(sequence=1, hash="c")}
    values: dict[str, Any] = {"edition": 1, "period": "2020-01"} | hashes | paid | says
    published = {each.level: published_table(each, dataset, values["edition"]) for each in tables}
    charges = tuple(
        TableCharge(measure=each.measure, mechanism=each.kind, scale=each.scale, sensitivity=each.sensitivity,
                    loss=str(each.loss), level=each.level)
        for each in noisy.mechanisms
    )  # fmt: skip
    manifest = Manifest(
        dataset=dataset.name, source=dataset.source.name,
        created="2026-01-01T00:00:00+00:00", stand_in=False, rows=tables[-1].grid.size,
        suppressed=int(tables[-1].suppressed.sum()), unreliable=0, columns=published[""].columns,
        shape=published[""].shape,
        rollups=tuple(rollup_table(each, published[each.level], dataset) for each in tables[:-1]),
        charge=Charge(currency="zcdp", loss="1/10", blocks=(values["period"],), tables=charges),
        versions={}, files={}, **values,
    )  # fmt: skip
    measured = {level.name: measurements_table(noisy, level) for level in noisy.levels}
    return manifest, Contents(
        published,
        measured,
        {"format": 1},
        "# Words — ρ\n",
        "<h1>Words — ρ</h1>\n",
        unbiased=unbiased(dataset, noisy, manifest.edition),
    )


def _summed(level: Level, finest: Integers, width: int) -> Integers:
    total = np.zeros((level.grid.size, width), dtype=np.int64)
    np.add.at(total, level.cells, finest.reshape(-1, width))
    return total.ravel()


def _value(noisy: NoisyTable, level: str, measure: Measure) -> Floats:
    if measure.kind == "mean":
        counts = np.maximum(noisy.tables[level, str(measure.count)], 1)
        return np.asarray(noisy.tables[level, str(measure.sum_)] / counts, dtype=np.float64)
    if measure.kind == "quantile":
        size = next(each.grid.size for each in noisy.levels if each.name == level)
        return np.resize(np.array([0.0, 2.0, 5.0]), size)
    return np.maximum(noisy.tables[level, measure.name], 0).astype(np.float64)
