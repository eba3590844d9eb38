"""The published table: a row for every cell, names that stay, and nothing where a cell is suppressed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher.definitions import period as civil
from publisher.definitions.keyset import Keyset
from publisher.privacy.finish import finish
from publisher.release.table import cell_ids, measurements_table, published_table
from publisher.stages import Mechanism, NoisyTable

if TYPE_CHECKING:
    from conftest import Town

    from publisher.release.table import PublishedTable

MONTH = civil.parse("2020-01")


def noisy(town: Town, scale: float = 2.0, **tables: Any) -> NoisyTable:
    dataset = town.dataset_file()
    grid = dataset.grid(MONTH)
    mechanisms = tuple(
        Mechanism(each.name, "discrete gaussian", scale, "", Fraction(1, 10), "")
        for each in dataset.definition.measured
    )
    full = {name: np.resize(np.asarray(values, dtype=np.int64), grid.size) for name, values in tables.items()}
    return NoisyTable(grid, full, mechanisms)


def publish(town: Town, made: NoisyTable, edition: int = 1) -> PublishedTable:
    dataset = town.dataset_file()
    return published_table(finish(made, dataset.definition), dataset, edition)


def test_every_public_key_has_a_row(town: Town) -> None:
    """Cell periods × keys with their catch-alls: one row each, in order, whatever the records were."""
    days = replace(town, dataset={"grain": "day"})
    table = publish(days, noisy(days, requests=[0, 50])).table
    rows = list(zip(*(table[name].to_pylist() for name in ("period", "place", "place_name", "category")), strict=True))
    wanted = [
        (f"2020-01-{day:02d}", key, name, category)
        for day in range(1, 32)
        for key, name in (("north", "The North"), ("south", "The South"), ("Unknown", "Unknown"))
        for category in ("water", "trash", "Other")
    ]
    assert rows == wanted
    assert table["period_start"].to_pylist()[-1].isoformat() == "2020-01-31"
    assert set(table["edition"].to_pylist()) == {1}


def test_the_columns_are_those_described(town: Town) -> None:
    """Columns come in the described order with the described types, and every measure has margin and status."""
    import pyarrow as pa

    built = replace(town, dataset={"measures": (town.COUNT, town.SUM, town.MEAN)})
    made = publish(built, noisy(built, requests=[40], paid=[90]), edition=3)
    assert made.table.column_names == [column.name for column in made.columns]
    kinds = {"text": pa.types.is_string, "calendar_date": pa.types.is_date}
    for column in made.columns:
        kind = made.table.schema.field(column.name).type
        assert kinds.get(column.type, lambda one: pa.types.is_integer(one) or pa.types.is_floating(one))(kind)
        assert column.description
    assert [key.names for key in made.shape.keys] == ["place_name", None]
    for measure in made.shape.measures:
        assert {measure.name, measure.low, measure.high, measure.status} <= set(made.table.column_names)
    assert pa.types.is_integer(made.table.schema.field("paid").type)


def test_suppressed_means_empty(town: Town) -> None:
    """A suppressed cell has its status and neither value nor margin, in every measure."""
    built = replace(town, dataset={"measures": (town.COUNT, town.SUM, town.MEAN)})
    table = publish(built, noisy(built, requests=[2, 3, 900, -5], paid=[50, 60, 700, 80])).table
    for name in ("requests", "paid", "mean_paid"):
        status = table[f"{name}_status"].to_pylist()
        assert [each == "suppressed" for each in status] == [n % 4 in (0, 3) for n in range(9)]
        assert set(status) <= {"ok", "unreliable", "suppressed"}
        for end in ("", "_low", "_high"):
            empty = [value is None for value in table[f"{name}{end}"].to_pylist()]
            assert empty == [each == "suppressed" for each in status]


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(-5, 400), min_size=9, max_size=9),
    sums=st.lists(st.integers(-9, 2500), min_size=9, max_size=9),
)
def test_rounded_margins_hold_the_rounded_value(town: Town, counts: list[int], sums: list[int]) -> None:
    """After rounding to two decimals a mean still lies in its margin."""
    built = replace(town, dataset={"measures": (town.COUNT, town.SUM, town.MEAN)})
    table = publish(built, noisy(built, requests=counts, paid=sums)).table
    for name in ("requests", "paid", "mean_paid"):
        columns = (table[f"{name}{end}"].to_pylist() for end in ("_low", "", "_high"))
        for low, value, high in zip(*columns, strict=True):
            assert (low is None) == (value is None) == (high is None)
            assert value is None or low <= value <= high


def test_measurements_are_whole_steps(town: Town) -> None:
    """The kept draw has the noisy values as they were drawn, negative ones too, under the rows' names."""
    built = replace(town, dataset={"measures": (town.COUNT, town.SUM | {"resolution": Decimal("0.5")})})
    made = noisy(built, requests=range(-4, 5), paid=range(9))
    table = measurements_table(made)
    assert table["requests"].to_pylist() == list(range(-4, 5))
    assert table["paid"].to_pylist() == list(range(9))
    assert table["id"].to_pylist() == cell_ids(made.grid) == publish(built, made).table["id"].to_pylist()


def ids(town: Town, *keys: str) -> list[str]:
    keysets = (Keyset("places", keys, None, ""), town.keysets[1])
    return cell_ids(replace(town, keysets=keysets).dataset_file().grid(MONTH))


def test_rows_have_readable_names(town: Town) -> None:
    """A row's name is its period and keys in lower case."""
    assert ids(town, "St. Louis Hills")[:4] == [
        "2020-01.st-louis-hills.water",
        "2020-01.st-louis-hills.trash",
        "2020-01.st-louis-hills.other",
        "2020-01.unknown.water",
    ]


@settings(max_examples=200, deadline=None)
@given(
    keys=st.lists(
        st.text(st.sampled_from("aAbB1 -./é"), min_size=1, max_size=5).filter(str.strip),
        min_size=1,
        max_size=7,
        unique=True,
    )
)
def test_names_are_unique_and_stay(town: Town, keys: list[str]) -> None:
    """No two rows share a name however alike their keys are, and the order of the keyset does not change a name."""
    made = ids(town, *keys)
    assert len(set(made)) == len(made)
    turned = ids(town, *reversed(keys))
    assert set(made) == set(turned)
    size = 3
    assert {key: made[n * size] for n, key in enumerate(keys)} == {
        key: turned[n * size] for n, key in enumerate(reversed(keys))
    }


@pytest.mark.parametrize("keys", [("a b", "a-b", "a b 1"), ("é", "è"), ("A", "a"), ("日本", "中国"), ("-", "--0")])
def test_keys_that_look_alike(town: Town, keys: tuple[str, ...]) -> None:
    """Keys that differ in case, punctuation or letters without a Latin form have rows of their own."""
    made = ids(town, *keys)
    assert len(set(made)) == len(made)
    assert all(part and not part.startswith("-") for each in made for part in each.split("."))
