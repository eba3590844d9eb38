"""A stand-in feed for any source, made from its definition alone: a rehearsal runs on it.

Values are drawn from the public keys, lookups and boundaries, so that every step has something to do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from publisher.definitions import period as civil
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from publisher.definitions.source import Place, Point
    from publisher.workspace import DatasetFile, SourceFile

    Column = NDArray[Any]

ROWS = 20_000
SEED = 1
_DISCOVERED = tuple(f"Stand-in {n}" for n in range(1, 41))
"""Keys of a column that has no public ones."""


def write_stand_in(
    source: SourceFile,
    datasets: Sequence[DatasetFile],
    data: Path,
    target: Path,
    span: tuple[date, date] | None = None,
) -> None:
    """Write a CSV file with the declared columns in order; boundaries and address lists must already be in `data`.

    Events are in [start, end) of the span; by default in all periods of the datasets, or in the first if none is last.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv

    draft = _Draft(source, tuple(datasets), data, np.random.default_rng(SEED), span or _span(datasets))
    columns = draft.columns()
    table = pa.table({name: pa.array([str(value) for value in columns[name]]) for name in source.definition.columns})
    pyarrow.csv.write_csv(table, target)


def _span(datasets: Sequence[DatasetFile]) -> tuple[date, date]:
    start = min(civil.parse(each.definition.first).start for each in datasets)
    return start, max(civil.parse(each.definition.last or each.definition.first).end for each in datasets)


@dataclass(frozen=True)
class _Draft:
    source: SourceFile
    datasets: tuple[DatasetFile, ...]
    data: Path
    chance: np.random.Generator
    span: tuple[date, date]

    def columns(self) -> dict[str, Column]:
        """One array of texts or numbers per raw column; more specific rules override less specific ones."""
        import numpy as np

        definition = self.source.definition
        columns = {name: self._filler(name) for name in definition.columns}
        columns |= self._joined()
        columns |= self._published()
        for level, place in definition.places.items():
            columns |= self._placed(level, place)
        columns[definition.event.column] = self._times()
        if definition.register_ is not None:
            # Events are in order of time, so running numbers make registers that rise.
            columns |= dict.fromkeys(self._behind(definition.register_.reading), np.arange(ROWS))
        return columns

    def _filler(self, name: str) -> Column:
        """Identifiers of a few thousand people; anything else is a running number."""
        import numpy as np

        if self.source.definition.columns[name].identifier and name not in self.source.definition.record_id:
            return np.char.add("stand-in ", self.chance.integers(0, ROWS // 8, ROWS).astype(str))
        return np.arange(ROWS).astype(str)

    def _joined(self) -> dict[str, Column]:
        """Raw columns that a lookup is joined by get the lookup's keys."""
        from sqlglot import exp, parse_one

        columns = {}
        for join in parse_one(self.source.sql, dialect="duckdb").args.get("joins") or []:
            lookup = self.source.lookups[join.this.name]
            for column in join.args["on"].find_all(exp.Column):
                if column.name in self.source.definition.columns:
                    columns[column.name] = self._drawn([row[0] for row in lookup.rows])
        return columns

    def _published(self) -> dict[str, Column]:
        """Raw columns behind a key get its keys, those behind a sum get plausible amounts."""
        columns: dict[str, Column] = {}
        for dataset in self.datasets:
            for key, keyset in zip(dataset.definition.keys, dataset.keysets, strict=True):
                columns |= dict.fromkeys(self._behind(key.name), self._drawn(keyset.keys or _DISCOVERED))
            for measure in dataset.definition.measures:
                if measure.column is not None and measure.lower is not None and measure.upper is not None:
                    amounts = self.chance.uniform(float(measure.lower), float(measure.upper), ROWS).round(2)
                    columns |= dict.fromkeys(self._behind(measure.column), amounts)
        joined = self._joined()
        return {name: column for name, column in columns.items() if name not in joined}

    def _behind(self, output: str) -> list[str]:
        """The raw columns that by themselves decide an output column of the SELECT."""
        from sqlglot import exp, parse_one

        for projection in parse_one(self.source.sql, dialect="duckdb").expressions:
            if projection.alias_or_name == output:
                names = [column.name for column in projection.find_all(exp.Column)]
                return names if len(names) == 1 and names[0] in self.source.definition.columns else []
        return []

    def _placed(self, level: str, place: Place) -> dict[str, Column]:
        if place.point is not None and place.boundaries is not None:
            return self._points(place.point, self.data / place.boundaries.path, place.boundaries.crs)
        if place.address is not None:
            return {place.address.column: self._addresses(place)}
        keys = [
            keyset.keys for dataset in self.datasets for keyset in dataset.keysets if level in self._levels(dataset)
        ]
        return {place.code: self._drawn(keys[0])} if place.code is not None and keys else {}

    def _levels(self, dataset: DatasetFile) -> set[str]:
        return {key.name for key in dataset.definition.keys}

    def _points(self, point: Point, boundaries: Path, crs: str) -> dict[str, Column]:
        """Points spread over the places' bounding boxes, so that each place gets some."""
        import numpy as np
        import shapely
        from pyproj import Transformer

        features = json.loads(boundaries.read_text(encoding="utf-8"))["features"]
        boxes = shapely.bounds(np.array([shapely.geometry.shape(each["geometry"]) for each in features]))
        chosen = boxes[self.chance.integers(0, len(boxes), ROWS)]
        x, y = (self.chance.uniform(chosen[:, n], chosen[:, n + 2]) for n in (0, 1))
        x, y = Transformer.from_crs(crs, point.crs, always_xy=True).transform(x, y)
        return {point.x: np.round(x, 6), point.y: np.round(y, 6)}

    def _addresses(self, place: Place) -> Column:
        import pyarrow as pa
        import pyarrow.csv

        if place.address is None:
            raise ValueError("not a place by address")
        listed = place.address.list_
        convert = pyarrow.csv.ConvertOptions(
            include_columns=[listed.address], column_types={listed.address: pa.string()}
        )
        parse = pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda _: "skip")
        try:
            found = pyarrow.csv.read_csv(self.data / listed.path, parse_options=parse, convert_options=convert)
        except (pa.ArrowException, KeyError):
            # Arrow quotes what it read; none of that may be shown.
            raise SourceError(f"{listed.path}: cannot be read as the address list that its source declares") from None
        return self._drawn(sorted({text for text in found[0].to_pylist() if text}))

    def _times(self) -> Column:
        """Event times, in order, in the feed's first form."""
        import numpy as np

        start, end = self.span
        seconds = np.sort(self.chance.integers(0, int((end - start).total_seconds()), ROWS))
        times = (np.datetime64(start, "s") + seconds).astype(datetime)
        form = self.source.definition.event.formats[0]
        return np.array([each.strftime(form) for each in times])

    def _drawn(self, values: Sequence[str]) -> Column:
        """Draw with a few values much more frequent than the rest, as in real data."""
        import numpy as np

        weights = 1 / np.arange(1, len(values) + 1)
        return self.chance.choice(np.array(values, dtype=object), ROWS, p=weights / weights.sum())
