"""The published table: a row for every cell, names that stay, and nothing where a cell is suppressed."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from release_examples import contents, drawn, finished, rich

from publisher.definitions import period as civil
from publisher.definitions.keyset import Keyset
from publisher.errors import SourceError
from publisher.privacy.finish import finish
from publisher.release.manifest import hash_of
from publisher.release.store import ReleaseStore
from publisher.release.table import as_released, cell_ids, measured_of, measurements_table, published_table
from publisher.stages import Mechanism, NoisyTable

if TYPE_CHECKING:
    from small_town import Town

    from publisher.release.table import PublishedTable

MONTH = civil.parse("2020-01")


def noisy(town: Town, scale: float = 2.0, **tables: Any) -> NoisyTable:
    dataset = town.dataset_file()
    levels = dataset.levels(MONTH)
    mechanisms = tuple(
        Mechanism(each.name, "discrete gaussian", scale, "", Fraction(1, 10), "")
        for each in dataset.definition.measured
    )
    full = {
        ("", name): np.resize(np.asarray(values, dtype=np.int64), levels[-1].grid.size)
        for name, values in tables.items()
    }
    return NoisyTable(levels, full, mechanisms)


def publish(town: Town, made: NoisyTable, edition: int = 1) -> PublishedTable:
    dataset = town.dataset_file()
    return published_table(finish(made, dataset.definition)[-1], dataset, edition)


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
        assert set(status) <= {"ok", "caution", "unreliable", "suppressed"}
        for end in ("", "_low", "_high"):
            empty = [value is None for value in table[f"{name}{end}"].to_pylist()]
            assert empty == [each == "suppressed" for each in status]


def test_each_number_has_its_margin_in_percent(town: Town) -> None:
    """Half the published margin in whole percent of the published value, rounded up, and the status by it."""
    import pyarrow as pa

    built = replace(town, dataset={"measures": (town.COUNT, town.SUM, town.MEAN)})
    table = publish(built, noisy(built, requests=[2, 13, 900, 5], paid=[50, 60, 700, 80])).table
    assert pa.types.is_integer(table.schema.field("requests_margin_percent").type)
    seen = set()
    for name in ("requests", "paid", "mean_paid"):
        ends = ("", "_low", "_high", "_margin_percent", "_status")
        for value, low, high, percent, status in zip(*(table[f"{name}{end}"].to_pylist() for end in ends), strict=True):
            seen.add(status)
            if status == "suppressed" or not value:
                assert percent is None
                continue
            half = Fraction(str(high)) - Fraction(str(low))
            assert percent == math.ceil(50 * half / Fraction(str(value)))
            cut = low == high  # a mean at its clamp: nothing of its margin is left
            assert status == (
                "ok" if percent <= 33 and not cut else "caution" if percent <= 65 and not cut else "unreliable"
            )
    assert seen == {"ok", "caution", "unreliable", "suppressed"}


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
    table = measurements_table(made, made.levels[-1])
    assert table["requests"].to_pylist() == list(range(-4, 5))
    assert table["paid"].to_pylist() == list(range(9))
    assert (
        table["id"].to_pylist()
        == cell_ids(made.levels[-1].grid).to_pylist()
        == publish(built, made).table["id"].to_pylist()
    )


def ids(town: Town, *keys: str) -> list[str]:
    keysets = (Keyset("places", keys, None, ""), town.keysets[1])
    return cell_ids(replace(town, keysets=keysets).dataset_file().grid(MONTH)).to_pylist()


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


def test_a_rollup_has_its_own_columns(town: Town) -> None:
    """A companion's keys, period, labels and shape are those of its level; its cells come in its grid's order."""
    labeled = replace(rich(town).coarser[0], keyset=Keyset("halves", ("Up", "Down"), ("The Up", "The Down"), ""))
    dataset = replace(rich(town), coarser=(labeled,)).dataset_file()
    city, halves, finest = (published_table(each, dataset, 2) for each in finished(drawn(dataset), dataset))
    assert [key.name for key in city.shape.keys] == []
    assert [(key.name, key.label, key.names) for key in halves.shape.keys] == [("half", "Half", "half_name")]
    assert halves.table.column_names[:5] == ["id", "period", "period_start", "half", "half_name"]
    assert halves.table["half"].to_pylist() == ["Up", "Rest"]
    assert halves.table["half_name"].to_pylist() == ["The Up", "Rest"]
    assert halves.table["id"].to_pylist() == ["2020-01.up", "2020-01.rest"]
    assert city.table["id"].to_pylist() == ["2020-01"]
    assert set(city.table["edition"].to_pylist()) == {2}
    for made in (city, halves, finest):
        assert made.table.column_names == [column.name for column in made.columns]
        assert all(column.description for column in made.columns)
    description = next(column.description for column in halves.columns if column.name == "half")
    assert description == "Each place belongs to exactly one."


def test_a_rollup_has_its_own_time_step(town: Town) -> None:
    """Days may be rolled up to the month: the period column says the month."""
    rollups = ({"name": "monthly", "title": "By month", "keys": ("place",), "grain": "month"},)
    dataset = replace(town, dataset={"grain": "day", "rollups": rollups}).dataset_file()
    monthly, daily = (published_table(each, dataset, 1) for each in finished(drawn(dataset), dataset))
    assert monthly.table["id"].to_pylist() == ["2020-01.north", "2020-01.south", "2020-01.unknown"]
    assert [made.columns[1].title for made in (monthly, daily)] == ["Month", "Day"]
    assert daily.table.num_rows == 31 * monthly.table.num_rows * 3


def test_a_quantile_has_its_bins_in_words(town: Town) -> None:
    """A quantile has value, margin and status as all have, and a text column with its range; histograms have none."""
    dataset = rich(town).dataset_file()
    made = published_table(finished(drawn(dataset), dataset)[-1], dataset, 1)
    words = dict(zip(made.table["id"].to_pylist(), made.table["median_size_range"].to_pylist(), strict=True))
    assert words["2020-01.unknown.water"] == "0 to 1"
    assert words["2020-01.north.water"] is None
    assert made.table["median_size_status"].to_pylist()[0] == "suppressed"
    (shape,) = [each for each in made.shape.measures if each.kind == "quantile"]
    assert (shape.name, shape.range, shape.status) == ("median_size", "median_size_range", "median_size_status")
    assert not [name for name in made.table.column_names if name.startswith("sizes")]
    assert [each.range for each in made.shape.measures if each.kind != "quantile"] == [None] * 3
    described = {spec.name: spec.description for spec in made.columns}
    assert "spread evenly" in described["median_size"]
    assert "spread evenly" not in described["requests"]
    assert described["median_size_range"].startswith("The bin that it is in, in dollars,")


def test_measurements_are_read_back_exactly(town: Town, tmp_path: Path) -> None:
    """Every level's draw comes back as it was, histograms cell by cell, whatever is published."""
    dataset = rich(town).dataset_file()
    made = drawn(dataset, start=-4)
    release = ReleaseStore(tmp_path / "public", tmp_path / "private").write(*contents(dataset, made))
    found = measured_of(release)
    assert found.keys() == made.tables.keys()
    for table, values in made.tables.items():
        assert found[table].dtype == np.int64
        assert found[table].tolist() == values.tolist()
    assert len(found["", "sizes"]) == 3 * len(found["", "requests"])


@pytest.mark.parametrize("content", [None, b"PAR1 but no more", "requests"])
def test_damaged_measurements_are_said(town: Town, tmp_path: Path, content: Any) -> None:
    """A file that is gone, broken or lacks a table is one message with release and file."""
    dataset = rich(town).dataset_file()
    release = ReleaseStore(tmp_path / "public", tmp_path / "private").write(*contents(dataset, drawn(dataset)))
    path = release.path("measurements-halves.parquet")
    if content == "requests":
        pq.write_table(pq.read_table(path).drop_columns([content]), path)
        release.manifest.files[path.name] = hash_of(path)
    elif content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(
        SourceError, match=r"town/2020-01/1(/measurements-halves\.parquet: |: the measurements have no requests)"
    ):
        measured_of(release)


def test_keys_that_were_found_come_from_the_release(town: Town, tmp_path: Path) -> None:
    """The grid of a release whose keys were discovered has the keys of its manifest, and Other."""
    discover = {"share": Decimal("0.1"), "delta": Decimal("0.000001")}
    keys = (town.dataset_file().definition.keys[0].model_dump(exclude_none=True),
            {"name": "category", "title": "Category", "discover": discover, "other": "Other"})  # fmt: skip
    open_town = replace(town, dataset={"keys": keys}, keysets=(town.keysets[0], Keyset("discovered", (), None, "")))
    dataset = open_town.dataset_file()
    found = dataset.discovering(("lamps", "trees"))
    said = {"discovered": {"category": ("lamps", "trees", "Other")}}
    release = ReleaseStore(tmp_path / "public", tmp_path / "private").write(*contents(found, drawn(found), **said))
    assert as_released(dataset, release).grid(MONTH) == found.grid(MONTH)
    assert found.grid(MONTH).axes[1].keys == ("lamps", "trees", "Other")
    assert pq.read_table(release.data)["category"].unique().to_pylist() == ["lamps", "trees", "Other"]
    assert as_released(town.dataset_file(), release).grid(MONTH) == town.dataset_file().grid(MONTH)


READS = """
import os, sys
from types import SimpleNamespace
import pyarrow.parquet
from publisher.release.table import read_file
content = sys.stdin.buffer.read()
before = len(os.listdir("/proc/self/task"))
table = read_file(SimpleNamespace(content=lambda name: content), "data.parquet")
print(table.num_rows, len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
@pytest.mark.usefixtures("processes")
def test_reading_a_table_leaves_no_thread() -> None:
    """A thread that begins while a short command ends would abort it."""
    file = io.BytesIO()
    pq.write_table(pa.table({"id": [str(n) for n in range(1000)]}), file)
    read = subprocess.run([sys.executable, "-c", READS], input=file.getvalue(), capture_output=True, check=True)
    assert read.stdout.split() == [b"1000", b"0"]
