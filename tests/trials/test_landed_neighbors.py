"""Neighbors as raw files: with and without all rows of one unit, landed and bounded, the exact tables differ by no more
than the declared sensitivity, whatever the file is like.

What is malformed goes with the unit that sent it. No message shows an exact value.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from apart import ROOT
from neighbors import LIMITS, PERIODS, bench_of, farthest_of

from publisher.definitions import period as civil
from publisher.definitions.feed import accept_all
from publisher.records import secrets
from publisher.records.landing import land
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from neighbors import Farthest

    from publisher.definitions.source import Source
    from publisher.workspace import DatasetFile

    Row = list[str]

UNITS = 100
ROWS = {"alicante-water": 20_000}
"""So many rows of the period are looked at, 5,000 unless said here: few accounts have many readings each."""


def _csv(header: Row, rows: Iterable[Row], end: str = "\n") -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerows([header, *rows])
    return text.getvalue()


def _windows(header: Row, rows: Iterable[Row]) -> str:
    """Carriage returns everywhere, but one unit's rows end without."""
    first, *others = [[value.replace("\n", "\r\n") for value in row] for row in rows]
    return _csv(header, others, "\r\n") + _csv(first, [])


def _badly_quoted(header: Row, rows: Iterable[Row]) -> str:
    """Every third row comes a second time with a quote that is not closed, as many again with one value too many."""
    lines = [_csv(header, [])]
    for n, row in enumerate(rows):
        plain = [value.replace("\n", " ").replace('"', "") for value in row]
        # Never a quote alone: two lines that end with one are, by the grammar of CSV, one record with all between them.
        torn = [*plain[:-1], f'"{plain[-1] or "torn"}']
        more = ["", _torn(torn), _csv([*row, "more"], [])][n % 3]
        lines += [_csv(row, []), more] if n % 2 else [more, _csv(row, [])]
    return "".join(lines)


def _torn(row: Row) -> str:
    return ",".join(row) + "\n"


def _json(header: Row, rows: Iterable[Row]) -> str:
    """An array whose every third object comes a second time, cut off inside a text."""
    texts = []
    for n, row in enumerate(rows):
        texts.append(json.dumps(dict(zip(header, row, strict=True))))
        if n % 3 == 1:
            texts.append(texts[-1][:-2])
    return "[" + ",\n".join(texts) + "]"


FORMS: dict[str, Callable[[Row, Iterable[Row]], str]] = {
    "csv": _csv,
    "windows": _windows,
    "badly quoted": _badly_quoted,
    "json": _json,
}


@dataclass
class Feed:
    """Raw rows of one dataset's source, and the tables that come of them."""

    dataset: DatasetFile
    period: civil.Period
    header: Row
    rows: list[Row]
    folder: Path
    form: str = "csv"
    landings: int = 0

    @property
    def definition(self) -> Source:
        return self.dataset.source.definition

    def unit(self, row: Row) -> tuple[str, ...]:
        """Whose row it is, by the declared column; without a name or where records are the units, its record."""
        privacy = self.definition.privacy
        if privacy.unit != "record" and (name := self._value(row, privacy.unit)):
            return (unicodedata.normalize("NFC", " ".join(name.split()).upper()),)
        return ("", *(self._value(row, column) for column in self.definition.record_id))

    def tables(self, but: tuple[str, ...] | None = None) -> dict[str, Any]:
        """The exact bounded tables of the file without one unit's rows."""
        feed = self.definition.feed.model_copy(
            update={
                "path": "feed",
                "format": "json" if self.form == "json" else "csv",
                "delimiter": ",",
                "encoding": "utf-8",
                "accept": accept_all(self.definition.landed),
            }
        )
        definition = self.definition.model_copy(update={"feed": feed})
        dataset = replace(self.dataset, source=replace(self.dataset.source, definition=definition))
        private, raw = self.folder / f"private-{self.landings}", self.folder / "data" / "feed"
        self.landings += 1
        secrets.create_key(private)
        (private / "key").write_bytes(bytes(range(32)))
        raw.mkdir(exist_ok=True)
        text = FORMS[self.form](self.header, (row for row in self.rows if but is None or self.unit(row) != but))
        (raw / ("a.json" if self.form == "json" else "a.csv")).write_bytes(text.encode())
        land(dataset.source, data=self.folder / "data", private=private, engine=LIMITS, received=date(2026, 1, 2))
        with bench_of(dataset, self.period, private) as bench:
            return bench.tables()

    def distances(self, units: Iterable[tuple[str, ...]]) -> list[Farthest]:
        """How far the farthest of these neighbors are."""
        found, whole = farthest_of(self.dataset), self.tables()
        for unit in units:
            fewer = self.tables(unit)
            for each in found:
                each.see(whole, fewer)
        return found

    def _value(self, row: Row, column: str) -> str:
        value = row[self.header.index(column)].strip()
        return "" if value in self.definition.feed.nulls else value


def _in(period: civil.Period, text: str, formats: Iterable[str]) -> bool:
    for form in formats:
        with suppress(ValueError):
            return period.start <= datetime.strptime(text, form).date() < period.end  # noqa: DTZ007 - civil time
    return False


def _invented(folder: Path, dataset: DatasetFile) -> Feed:
    """Permits of few applicants, some without a name, in two neighborhoods; values have quotes and line breaks."""
    draw = Random(11)
    boxes = {"Brighton": 0, "Downtown": 2}
    features = [
        {
            "type": "Feature",
            "properties": {"NAME": name},
            "geometry": {"type": "Polygon", "coordinates": [[[x, 0], [x + 2, 0], [x + 2, 2], [x, 2], [x, 0]]]},
        }
        for name, x in boxes.items()
    ]
    (folder / "data" / "syracuse-boundaries").mkdir(parents=True)
    content = json.dumps({"type": "FeatureCollection", "features": features})
    (folder / "data" / "syracuse-boundaries" / "syr_neighborhoods.geojson").write_text(content)
    applicants = ("Ann", " ANN", "Bob & Sons", 'The "Pipe"\nCo', "Di, Ed", "NA", "")
    kinds = sorted(row[0] for row in dataset.source.lookups["syracuse-permit-types"].rows)
    rows = []
    for _ in range(90):
        place = [f"{draw.uniform(0, 4):.1f}", "1", "1"]
        issued = f"0{draw.choice('789')}/0{draw.choice('123')}/2013"
        cost = str(draw.choice([0, 500, 20_000]))
        person, address = draw.choice(applicants), f'{draw.randrange(9)} "A" St'
        rows.append([draw.choice(kinds), person, address, issued, "2013", cost, "5", "a", *place])
    return Feed(dataset, civil.parse("2013-Q3"), list(dataset.source.definition.columns), rows, folder)


def test_no_neighboring_file_is_farther_than_declared(tmp_path: Path) -> None:
    """Units of a small feed, as plain and Windows CSV, badly quoted, and as JSON: within the sensitivity, and not far
    below it. Every form has the same tables, so what is malformed changes nothing."""
    feed = _invented(tmp_path, find_workspace(ROOT).dataset("syracuse-permits"))
    units = sorted({feed.unit(row) for row in feed.rows})
    named = [unit for unit in units if unit[0]]
    assert len(named) == 4
    whole = {table: values.tolist() for table, values in feed.tables().items()}
    for form in FORMS:
        feed.form = form
        assert {table: values.tolist() for table, values in feed.tables().items()} == whole, form
        for each in feed.distances([*named, *units[:4]]):
            assert each.l1 <= 1, (form, each.measure.name)
            assert each.l2_squared <= 1, (form, each.measure.name)
            assert each.l1 > 0.4, (form, each.measure.name)


@pytest.mark.evidence("real raw files with and without one unit, landed and bounded")
@pytest.mark.parametrize(
    ("name", "form"),
    [
        *((name, "csv") for name in PERIODS),
        *((name, form) for name in ("syracuse-permits", "alicante-water") for form in FORMS if form != "csv"),
    ],
)
def test_no_neighboring_file_of_real_records_is_farther_than_declared(
    real: Path, tmp_path: Path, name: str, form: str
) -> None:
    """100 units of every shipped dataset, the heaviest and others by chance. Two sources are tried in each form: how a
    file is read does not depend on what is counted from it."""
    dataset, period = find_workspace(ROOT).dataset(name), civil.parse(PERIODS[name])
    definition = dataset.source.definition
    (tmp_path / "data").mkdir()
    for folder in real.glob("*-boundaries"):
        (tmp_path / "data" / folder.name).symlink_to(folder)
    path = sorted(real.glob(definition.feed.path))[0]
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        text = io.TextIOWrapper(file, definition.feed.encoding, errors="replace", newline="")
        lines = csv.reader(text, delimiter=definition.feed.delimiter)
        header = [column.removeprefix("\ufeff") for column in next(lines)]
        when = header.index(definition.event.column)
        rows = [row for row in lines if len(row) == len(header) and _in(period, row[when], definition.event.formats)]
    rows = rows[: ROWS.get(name, 5000)]
    feed = Feed(dataset, period, header, rows, tmp_path, form)
    weights: dict[tuple[str, ...], int] = {}
    for row in rows:
        weights[feed.unit(row)] = weights.get(feed.unit(row), 0) + 1
    units = sorted(weights, key=lambda unit: (-weights[unit], unit))
    chosen = units[:50] + Random(5).sample(units[50:], min(UNITS - 50, len(units) - 50) if len(units) > 50 else 0)
    for each in feed.distances(chosen):
        assert each.l1 <= 1, each.measure.name
        assert each.l2_squared <= 1, each.measure.name
