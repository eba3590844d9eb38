"""How much each unit has: exact histograms over public bins, in memory only, for a charged measurement of the bounds.

Each unit has exactly one entry in each histogram for every window, so adding or removing one unit in one window changes
one bin by one: Δ₁ = Δ₂ = 1. The entry depends only on that unit's own rows in that window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from publisher.duck import safely
from publisher.engine.input import BoundedInput, check_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection

    from publisher.definitions.period import Period
    from publisher.engine.input import RecordSource
    from publisher.stages import Integers
    from publisher.workspace import DatasetFile

Quantity = Literal["cells", "records", "total"]

_LARGEST = 1 << 62


@dataclass(frozen=True)
class ContributionQuestion:
    """What is asked about every unit in every window, and the public bins for the answers.

    cells: how many cells of one release it is in; records: how many it has in its fullest cell; total: its largest
    total in one cell by magnitude, of the sum called `measure`. Units have what they have in the release with the most.
    """

    quantity: Quantity
    tops: tuple[int, ...]
    """Where bins end, rising from zero; one more bin has everything above. Totals are in steps of the resolution."""
    measure: str = ""

    @property
    def size(self) -> int:
        """How many bins there are; totals have them twice, for non-negative and for negative ones."""
        return (len(self.tops) + 1) * (2 if self.quantity == "total" else 1)


def contributions(
    connection: DuckDBPyConnection,
    releases: Sequence[tuple[Period, RecordSource]],
    dataset: DatasetFile,
    period: Period,
    questions: Sequence[ContributionQuestion],
) -> tuple[Integers, ...]:
    """The histogram of each question, one entry for each unit and window (each record, if records are the units).

    `releases` are the dataset's periods inside `period` with all their landed rows as one vintage. Raises SourceError
    and DefinitionError.
    """
    import numpy as np

    histograms = tuple(np.zeros(question.size, dtype=np.int64) for question in questions)
    for number, (release, records) in enumerate(releases):
        check_columns(dataset, records.query)
        rows = BoundedInput(connection, dataset, dataset.grid(release), release, records)
        with safely(f"{dataset.name} {release.label}: counting what units have"):
            rows.load()
            if rows.people:
                _collect(rows, _first_window(rows, period), begin=number == 0)
            else:
                _count_records(rows, questions, histograms)
    if dataset.source.definition.privacy.unit != "record":
        with safely(f"{dataset.name} {period.label}: counting what units have"):
            _count_units(connection, dataset, questions, histograms)
    return histograms


def _first_window(rows: BoundedInput, period: Period) -> int:
    """The number, within the whole period, of the first window that this release touches."""
    window = rows.dataset.source.definition.privacy.window
    return period.cut(window).index(rows.period.cut(window)[0])


def _collect(rows: BoundedInput, first_window: int, *, begin: bool) -> None:
    """Add one release's row for each (unit, window) to the table `unit_contributions`."""
    sums = range(len(rows.sums))
    value = "greatest(coalesce(sum_{n}, 0), 0)" if rows.increment else "coalesce(sum_{n}, 0)"  # as the engine counts it
    totals = "".join(f", sum({value.format(n=n)}) AS sum_{n}" for n in sums)
    extremes = "".join(f", max(sum_{n}) AS high_{n}, min(sum_{n}) AS low_{n}" for n in sums)
    cell, joined = "cell", ""
    if (key := rows.dataset.definition.discovered) is not None:  # its keys are not known yet: each text is a key
        cell = "cell, key"
        joined = (
            f' JOIN (SELECT _unit, _window, _record, CAST("{key.name}" AS VARCHAR) AS key FROM records) '
            f"USING (_unit, _window, _record)"
        )
    rows.run(
        f"SELECT _unit, _window + {first_window} AS number, count(*) AS cells, max(records) AS records{extremes} "
        f"FROM (SELECT _unit, _window, {cell}, count(*) AS records{totals} FROM bounded_input{joined} "
        f"GROUP BY _unit, _window, {cell}) GROUP BY _unit, _window",
        into="CREATE OR REPLACE TEMP TABLE unit_contributions AS " if begin else "INSERT INTO unit_contributions ",
    )


def _count_units(
    connection: DuckDBPyConnection,
    dataset: DatasetFile,
    questions: Sequence[ContributionQuestion],
    histograms: tuple[Integers, ...],
) -> None:
    numbers = _sum_numbers(dataset)
    for question, histogram in zip(questions, histograms, strict=True):
        value = f"max({question.quantity})"
        if question.quantity == "total":
            high, low = f"max(high_{numbers[question.measure]})", f"min(low_{numbers[question.measure]})"
            value = f"CASE WHEN {high} >= -{low} THEN {high} ELSE {low} END"
        entries = f"SELECT {value} AS value FROM unit_contributions GROUP BY _unit, number"
        _sort(connection.execute(_counted(entries)), question, histogram)
    connection.execute("DROP TABLE unit_contributions")


def _count_records(
    rows: BoundedInput, questions: Sequence[ContributionQuestion], histograms: tuple[Integers, ...]
) -> None:
    numbers = _sum_numbers(rows.dataset)
    for question, histogram in zip(questions, histograms, strict=True):
        value = f"coalesce(sum_{numbers[question.measure]}, 0)" if question.quantity == "total" else "1"
        _sort(rows.run(_counted(f"SELECT {value} AS value FROM bounded_input")), question, histogram)


def _sum_numbers(dataset: DatasetFile) -> dict[str, int]:
    sums = [each.name for each in dataset.definition.measured if each.kind == "sum"]
    return {name: number for number, name in enumerate(sums)}


def _counted(entries: str) -> str:
    """How many entries have each value; values too large for 64 bits are above every bin's top anyway."""
    held = f"CAST(least(greatest(value, -{_LARGEST}), {_LARGEST}) AS BIGINT)"
    return f"SELECT {held} AS value, count(*) AS entries FROM ({entries}) GROUP BY ALL"


def _sort(counted: DuckDBPyConnection, question: ContributionQuestion, histogram: Integers) -> None:
    """Add counted values to the bins."""
    import numpy as np

    columns = counted.fetchnumpy()
    values, entries = (np.asarray(columns[name], dtype=np.int64) for name in ("value", "entries"))
    bins = np.searchsorted(question.tops, np.abs(values), side="left")
    np.add.at(histogram, np.where(values < 0, bins + len(question.tops) + 1, bins), entries)
