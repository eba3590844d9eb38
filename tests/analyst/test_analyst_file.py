"""The analyst file holds every current table, companions too, and describes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq
import pytest
from analyst_examples import SETTINGS
from release_examples import contents, drawn, rich

from publisher.analyst.file import write_analyst_file
from publisher.analyst.published import PublishedDataset
from publisher.analyst.weights import TABLES as WEIGHTS
from publisher.errors import SourceError
from publisher.release.store import ReleaseStore

if TYPE_CHECKING:
    from pathlib import Path

    from small_town import Town

    from publisher.release.manifest import Release


@pytest.fixture
def releases(town: Town, tmp_path: Path) -> list[Release]:
    """A month without rollups, then two with them; the last one is provisional."""
    store, dataset = ReleaseStore(tmp_path, tmp_path / "private"), rich(town).dataset_file()
    months = ((town.dataset_file(), "2019-12"), (dataset, "2020-01"), (dataset, "2020-02"))
    return [
        store.write(*contents(each, drawn(each, period), period=period, final=period != "2020-02"))
        for each, period in months
    ]


def file_of(town: Town, releases: list[Release], root: Path) -> Path:
    """The analyst file of the town, which is on the portal, and of a dataset without a release."""
    town_file, portal = rich(town).dataset_file(), {"city": ("abcd-1234", "http://127.0.0.1:1/d/abcd-1234")}
    empty = replace(town_file, name="empty")
    published = (PublishedDataset(town_file, releases, portal), PublishedDataset(empty, ()))
    return write_analyst_file(root, published, SETTINGS, root)


def ask(path: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_every_companion_is_a_table(town: Town, releases: list[Release], tmp_path: Path) -> None:
    """A rollup's releases are one table, named like its dataset with a low line, with their rows and descriptions."""
    path = file_of(town, releases, tmp_path)
    names = ask(path, "SELECT table_name FROM duckdb_tables() WHERE NOT starts_with(table_name, '_') ORDER BY 1")
    assert names == [("town",), ("town_city",), ("town_halves",)]
    assert ask(path, "SELECT id FROM town_city") == [("2020-01",), ("2020-02",)]
    assert ask(path, "SELECT count(*) FROM town") == [(27,)]
    halves = pq.read_table(releases[-1].companion("halves").data)
    found = ask(path, "SELECT id, requests, median_size_range FROM town_halves WHERE period = '2020-02' ORDER BY id")
    wanted = zip(*(halves[name].to_pylist() for name in ("id", "requests", "median_size_range")), strict=True)
    assert found == sorted(wanted)
    described = ask(path, "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'town_halves'")
    assert [name for name, _ in described] == halves.column_names
    assert all(comment for _, comment in described)


def test_companions_are_described_like_datasets(town: Town, releases: list[Release], tmp_path: Path) -> None:
    """_releases and _columns have each table's rows, and say which release is provisional; a guarantee stands once."""
    path = file_of(town, releases, tmp_path)
    rows = ask(path, "SELECT dataset, title, period, rows, final FROM _releases ORDER BY dataset, period")
    assert rows == [
        ("town", "Town", "2019-12", 9, True),
        ("town", "Town", "2020-01", 9, True),
        ("town", "Town", "2020-02", 9, False),
        ("town-city", "All of the town", "2020-01", 1, True),
        ("town-city", "All of the town", "2020-02", 1, False),
        ("town-halves", "Halves", "2020-01", 2, True),
        ("town-halves", "Halves", "2020-02", 2, False),
    ]
    for name in ("town", "town-city", "town-halves"):
        columns = ask(path, f"SELECT name FROM _columns WHERE dataset = '{name}' ORDER BY position")
        table = ask(path, f"SELECT column_name FROM duckdb_columns() WHERE table_name = '{name.replace('-', '_')}'")
        assert sorted(columns) == sorted(table)
    assert ask(path, "SELECT dataset, count(*) FROM _guarantees GROUP BY ALL") == [("town", 3)]


@pytest.mark.parametrize("name", ["data.parquet", "rollup-city.parquet", "guarantee.json", "guarantee.md"])
def test_a_damaged_release_is_named(town: Town, releases: list[Release], tmp_path: Path, name: str) -> None:
    """The file of the release, not the analyst file, is what is wrong; the analyst file stays as it was."""
    made = file_of(town, releases, tmp_path)
    before = made.read_bytes()
    path = releases[-1].folder / name
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(SourceError, match=rf"^{path}: changed since it was written: restore it from a backup$"):
        file_of(town, releases, tmp_path)
    assert made.read_bytes() == before


def test_everything_has_a_comment(town: Town, releases: list[Release], tmp_path: Path) -> None:
    """Every table, view, macro and column of what people read says what it is."""
    path = file_of(town, releases, tmp_path)
    for kind in ("tables", "views", "columns"):
        inner = " AND table_name NOT IN ({})".format(", ".join(f"'{name}'" for name in WEIGHTS))
        bare = f"FROM duckdb_{kind}() WHERE NOT internal AND comment IS NULL"
        assert ask(path, bare + (inner if kind == "columns" else "")) == []
    macros = ask(path, "SELECT function_name, comment FROM duckdb_functions() WHERE NOT internal ORDER BY 1")
    assert [name for name, _ in macros] == ["differ", "margin_of_difference", "margin_of_sum"]
    assert all(comment for _, comment in macros)


def test_tables_describes_each(town: Town, releases: list[Release], tmp_path: Path) -> None:
    """_tables joins with duckdb_tables(), has dates as dates, the loss as a number, and the page if it was pushed."""
    path = file_of(town, releases, tmp_path)
    joined = "SELECT count(*) FROM _tables JOIN duckdb_tables() USING (table_name)"
    assert ask(path, joined) == [(3,)]
    query = (
        "SELECT dataset, level, title, portal_id, portal_url, publisher, license, privacy_unit, period, grain, place, "
        "currency, loss, rows, first_day, last_day, updated, limitations FROM _tables WHERE table_name = 'town_city'"
    )
    assert ask(path, query) == [
        (
            "town-city", "city", "All of the town", "abcd-1234", "http://127.0.0.1:1/d/abcd-1234", "City of Example",
            "CC0 1.0", "record", "month", "month", None, "zcdp", 0.1, 2, date(2020, 1, 1), date(2020, 2, 29),
            datetime(2026, 1, 1), [],  # noqa: DTZ001 - a TIMESTAMP has no zone
        )
    ]  # fmt: skip
    assert ask(path, "SELECT portal_id FROM _tables WHERE table_name = 'town'") == [(None,)]
    created = ask(path, "SELECT DISTINCT created, first_day FROM _releases WHERE period = '2020-02'")
    assert created == [(datetime(2026, 1, 1), date(2020, 2, 1))]  # noqa: DTZ001


def test_values_has_every_value(town: Town, releases: list[Release], tmp_path: Path) -> None:
    """_values has each measure of each row of each table: names beside keys, numbers of one type; the margin reaches
    the farther end."""
    path = file_of(town, releases, tmp_path)
    for table in ("town", "town_city", "town_halves"):
        rows = ask(path, f"SELECT count(*) FROM {table}")[0][0]
        counted = ask(
            path, f"SELECT measure, count(*) FROM _values WHERE table_name = '{table}' GROUP BY ALL ORDER BY 1"
        )
        assert {many for _, many in counted} == {rows}
        assert {"requests", "paid", "mean_paid", "median_size"} == {measure for measure, _ in counted}
    query = (
        "SELECT value, low, high, margin, status, reason, kind, kind_name, period_start FROM _values "
        "WHERE table_name = 'town' AND id = '2020-01.south.other' AND measure = 'requests'"
    )
    own = "SELECT requests, requests_low, requests_high, requests_status FROM town WHERE id = '2020-01.south.other'"
    ((value, low, high, graded),) = ask(path, own)
    ((*ends, margin, status, reason, kind, kind_name, start),) = ask(path, query)
    assert (ends, margin) == ([value, low, high], max(value - low, high - value))
    assert (status, reason) == (graded, None)
    assert (kind, kind_name, start) == ("south / Other", "The South / Other", date(2020, 1, 1))  # it declares no places


def test_keys_have_labels_and_coarser_keys(town: Town, releases: list[Release], tmp_path: Path) -> None:
    """_keys has every key of every key column, with its name and the coarser key that it belongs to."""
    path = file_of(town, releases, tmp_path)
    rows = ask(path, "SELECT key_column, key, label, coarser_column, coarser FROM _keys ORDER BY ALL")
    assert rows == [
        ("category", "Other", "Other", None, None),
        ("category", "trash", "trash", None, None),
        ("category", "water", "water", None, None),
        ("half", "Rest", "Rest", None, None),
        ("half", "Up", "Up", None, None),
        ("place", "Unknown", "Unknown", "half", "Rest"),
        ("place", "north", "The North", "half", "Up"),
        ("place", "south", "The South", "half", "Up"),
    ]


def test_a_file_without_releases_opens(town: Town, tmp_path: Path) -> None:
    """Nothing was released yet: the tables that describe others are empty."""
    path = file_of(town, [], tmp_path)
    assert ask(path, "FROM _tables") == ask(path, "FROM _values") == []


def test_bounds_are_said_at_the_column(town: Town, tmp_path: Path) -> None:
    """What bounds leave out stands in the column's comment and in _columns, for whoever opens the file elsewhere."""
    dataset = town.people("month", 2, 3).dataset_file()
    release = ReleaseStore(tmp_path, tmp_path / "private").write(*contents(dataset, drawn(dataset, "2020-01")))
    path = write_analyst_file(tmp_path, (PublishedDataset(dataset, [release]),), SETTINGS, tmp_path)
    counts = f"% Counts at most 3 of the {dataset.definition.measures[0].unit} of one %"
    said = f"{counts} in each of 2 cells a month (a cell: %"
    comments = ask(
        path, f"SELECT column_name FROM duckdb_columns() WHERE table_name = 'town' AND comment LIKE '{said}'"
    )
    assert comments == ask(path, f"SELECT name FROM _columns WHERE description LIKE '{said}'") == [("requests",)]
