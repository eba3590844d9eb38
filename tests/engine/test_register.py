"""Differences of readings are those that DuckDB's window functions give, bit by bit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher.definitions import period as civil
from publisher.definitions.dataset import Measure
from publisher.engine import register
from publisher.engine.guard import guarded
from publisher.engine.input import BoundedInput, RecordSource, _bin, _whole_steps

if TYPE_CHECKING:
    from small_town import Town

READINGS = st.sampled_from((None, "nan", "inf", "-inf", "oops", "0", "-0.0", "1e308", "-1e308", "9007199254740993"))
ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 5), READINGS | st.floats(-1e6, 1e6).map(str)),
    max_size=40,
)
"""Unit, window, day and text of readings: several of a unit at the same time are among them."""


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 5), apart=st.sampled_from((1, 10**6)))
def test_differences_are_those_of_the_window_function(
    town: Town, rows: list[tuple[int, int, int, str | None]], seed: int, apart: int
) -> None:
    """By unit and window, in the order of event time and record, without what is no number; far apart in time too,
    where order does not fit into one integer."""
    records = [UUID(bytes=np.random.default_rng([seed, n]).bytes(16)) for n in range(len(rows))]
    numbers = np.array([2 * unit + window for unit, window, *_ in rows], np.int64)
    town.connection.execute("CREATE OR REPLACE TEMP TABLE readings(n INT, u BIGINT, e BIGINT, r UUID, t VARCHAR)")
    events = [int(timedelta(days=day * apart) / timedelta(microseconds=1)) for _, _, day, _ in rows]
    for n, (row, number, event, record) in enumerate(zip(rows, numbers.tolist(), events, records, strict=True)):
        town.connection.execute("INSERT INTO readings VALUES (?, ?, ?, ?, ?)", [n, number, event, record, row[3]])
    reading = "TRY_CAST(t AS DOUBLE)"
    lag = f"lag({reading} IGNORE NULLS) OVER (PARTITION BY u ORDER BY e, r)"
    found = town.connection.execute(f"SELECT {reading}, {reading} - {lag} FROM readings ORDER BY n").fetchall()
    columns = {
        "reading": np.array([np.nan if value is None else value for value, *_ in found], float),
        "read": np.array([value is not None for value, *_ in found], bool),
        "_event": np.array(events, np.int64),
        "_record": np.frombuffer(b"".join(record.bytes for record in records), "V16"),
    }
    order = register.order_of(columns, numbers)
    made = np.empty(len(rows))
    made[order] = register.differences({name: column[order] for name, column in columns.items()}, numbers[order])
    wanted = np.array([np.nan if value is None else value for *_, value in found], float)
    assert np.array_equal(made, wanted, equal_nan=True)


VALUES = (
    st.floats()
    | st.integers(-20, 20).map(lambda n: n / 2)
    | st.sampled_from((2.0**63, -(2.0**63), 0.49999999999999994))
)


@pytest.mark.parametrize("resolution", ["1", "0.01", "0.5", "10"])
@settings(max_examples=60, deadline=None)
@given(values=st.lists(VALUES, max_size=20))
def test_steps_and_bins_are_those_of_the_sql(town: Town, resolution: str, values: list[float]) -> None:
    """A value's whole steps and its bin are the same in numpy as in DuckDB: halves, edges, NaN and infinities."""
    sums = Measure(**town.SUM | {"resolution": Decimal(resolution), "upper": Decimal(70), "lower": Decimal(-30)})
    bins = Measure(**town.HISTOGRAM)
    town.connection.execute("CREATE OR REPLACE TEMP TABLE records(n INT, amount DOUBLE)")
    for n, value in enumerate(values):
        town.connection.execute("INSERT INTO records VALUES (?, ?)", [n, value])
    found = town.connection.execute(
        f"SELECT coalesce({_whole_steps(sums)}, 0), coalesce({_bin(bins)}, -1) FROM records ORDER BY n"
    ).fetchall()
    array = np.array(values, float)
    assert [tuple(map(int, row)) for row in found] == list(
        zip(register.whole_steps(array, sums).tolist(), register.bins_of(array, bins).tolist(), strict=True)
    )


@pytest.mark.parametrize("apart", [1, 0])
def test_ids_of_records_are_read_where_they_decide(town: Town, apart: int) -> None:
    """Readings of a unit at the same time are in the order of their records' ids, as in DuckDB; where no two are, the
    ids are not even read."""
    meters = replace(
        town.people("month", 9, 40, measures=(town.COUNT, town.SUM | {"column": "used", "upper": Decimal(900)})),
        source={"register": {"reading": "amount", "consumption": "used"}} | town.people("month").source,
    )
    rows = [(n, n // 8, n % 8 * apart, "north", "water", str(n * n % 97)) for n in range(80)]
    meters.load(rows)
    dataset, period = meters.dataset_file(), civil.parse("2020-01")
    records = RecordSource("SELECT * FROM landed", (), guarded(dataset.source))
    source = BoundedInput(town.connection, dataset, dataset.grid(period), period, records)
    source.load()
    totals = "SELECT sum(sum_0) AS total FROM bounded_input GROUP BY _unit"
    wanted = source.run(f"SELECT sum(least(greatest(total, -3), 900)) FROM ({totals})").fetchall()
    assert meters.tables(rows)["paid"].sum() == int(wanted[0][0])
    numbers = np.array([n // 8 for n in range(80)], np.int64)
    read = list(replace(source, reads_records=False).people_rows())
    assert ["_record" in batch for batch in read] == [False] * len(read)
    if not apart:
        with pytest.raises(register.RecordsNeededError):
            register.order_of(read[0], numbers)
