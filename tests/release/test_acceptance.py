"""A release passes when each of its tables meets what is expected of it and they add up."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from release_examples import contents, drawn, of_before, rich

from publisher.definitions import period as civil
from publisher.definitions.keyset import Keyset
from publisher.errors import SourceError
from publisher.release import validation
from publisher.release.acceptance import judge
from publisher.release.aggregates import additive, differences
from publisher.release.manifest import hash_of
from publisher.release.store import ReleaseStore
from publisher.release.structure import structure

if TYPE_CHECKING:
    from pathlib import Path

    from small_town import Town

    from publisher.release.manifest import Release
    from publisher.release.validation import Validation
    from publisher.workspace import DatasetFile


pytestmark = pytest.mark.xdist_group("expectations")  # one process imports Great Expectations


class Desk:
    """Releases in one folder, and suites if people write them."""

    def __init__(self, root: Path) -> None:
        self.root, self.store = root, ReleaseStore(root / "public", root / "private")

    def suite(self, name: str) -> Path:
        return self.root / "expectations" / f"{name}.json"

    def write(self, dataset: DatasetFile, **says: Any) -> Release:
        """A good release."""
        period = says.setdefault("period", "2020-01")
        return self.store.write(*contents(dataset, drawn(dataset, period, start=10), **says))

    def judge(self, release: Release, dataset: DatasetFile, previous: Release | None = None) -> Validation:
        return judge(release, dataset, self.suite, previous)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def change(table: Release, column: str, row: int, value: object) -> None:
    """Puts a value into the published table."""
    whole = pq.read_table(table.data)
    values = whole[column].to_pylist()
    values[row] = value
    place = whole.column_names.index(column)
    pq.write_table(whole.set_column(place, column, pa.array(values, whole[column].type)), table.data)
    table.manifest.files[table.data.name] = hash_of(table.data)


def test_every_table_of_a_good_release_passes(desk: Desk, town: Town) -> None:
    """Tables of every level, with every kind of measure, pass without any suite, on a first and a later release."""
    dataset = rich(town).dataset_file()
    first = desk.write(dataset)
    assert desk.judge(first, dataset).failures == ()
    assert desk.judge(desk.write(dataset, period="2020-02"), dataset, first).failures == ()


def test_one_context_checks_all_tables(desk: Desk, town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Great Expectations is set up once for a release, however many tables it has."""
    dataset, made, real = rich(town).dataset_file(), [], validation._source
    monkeypatch.setattr(validation, "_source", lambda: (made.append(real()), made[-1])[1])
    assert desk.judge(desk.write(dataset), dataset).passed
    assert len(made) == 1


def test_a_companion_fails_by_its_name(desk: Desk, town: Town) -> None:
    """A fault in a rollup's table holds the release, and its name stands before what failed."""
    dataset = rich(town).dataset_file()
    release = desk.write(dataset)
    change(release.companion("halves"), "half", 1, "Middle")
    change(release.companion("city"), "median_size_range", 0, "2 to 5")
    change(release.companion("city"), "median_size_status", 0, "suppressed")
    failures = desk.judge(release, dataset).words
    assert "town-halves: half: every value must be one of the public keys" in failures
    assert "town-city: median_size_range: must be empty where median_size_status is suppressed" in failures
    assert not [words for words in failures if not words.startswith(("town-halves: ", "town-city: "))]
    assert not [words for words in failures if "Middle" in words]


def test_totals_of_a_companion_are_compared_with_its_last(desk: Desk, town: Town) -> None:
    """A rollup's total is compared with the same rollup of the release before."""
    dataset = rich(town).dataset_file()
    before, release = desk.write(dataset), desk.write(dataset, period="2020-02")
    change(release.companion("city"), "requests", 0, 9000)
    words = "town-city: the total of requests is 9,000 (give or take "
    assert [said for said in desk.judge(release, dataset, before).words if said.startswith(words)]
    assert not [said for said in desk.judge(release, dataset).words if said.startswith(words)]


def test_tables_that_do_not_add_up_are_held(desk: Desk, town: Town) -> None:
    """One too many anywhere is found between the two levels that it sets apart; means and quantiles need not add up."""
    dataset = rich(town).dataset_file()
    release = desk.write(dataset)
    levels = dataset.levels(civil.parse("2020-01"))
    assert [measure.name for measure in additive(dataset.definition)] == ["requests", "paid"]
    assert differences(release, dataset, levels) == []
    for name in ("mean_paid", "median_size"):
        change(release, name, 0, 3.0)
    assert differences(release, dataset, levels) == []
    row = pq.read_table(release.companion("halves").data)["requests"].to_pylist()
    change(release.companion("halves"), "requests", 0, row[0] + 1)
    found = ["requests: town-city and town-halves do not add up", "requests: town-halves and town do not add up"]
    assert differences(release, dataset, levels) == found
    assert desk.judge(release, dataset).words[-2:] == tuple(found)
    change(release.companion("halves"), "requests", 1, row[1] - 1)
    assert differences(release, dataset, levels) == found[1:]


def test_families_with_a_suppressed_member_are_left_out(desk: Desk, town: Town) -> None:
    """Where a child or its parent is withheld nothing is compared; the other families still are."""
    dataset = rich(town).dataset_file()
    release = desk.write(dataset)
    levels = dataset.levels(civil.parse("2020-01"))[1:]
    table = pq.read_table(release.data)
    assert table["place"].to_pylist()[0] == "north"
    change(release, "requests", 0, None)
    change(release, "requests", 1, 5000)
    assert differences(release, dataset, levels) == []
    change(release, "requests", table.num_rows - 1, 5000)
    assert differences(release, dataset, levels) == ["requests: town-halves and town do not add up"]
    change(release.companion("halves"), "requests", 1, None)
    assert differences(release, dataset, levels) == []


def test_decimal_sums_add_up_in_their_steps(desk: Desk, town: Town) -> None:
    """Sums in tenths are compared exactly, without the dust of binary fractions; a tenth too many is found."""
    paid = town.SUM | {"resolution": Decimal("0.1")}
    built = replace(town.rolled_up(), dataset=town.rolled_up().dataset | {"measures": (town.COUNT, paid)})
    dataset = built.dataset_file()
    noisy = drawn(dataset, start=10)
    manifest, files = contents(dataset, noisy)
    release = desk.store.write(manifest, files)
    for level in noisy.levels:
        table = release.tables[level.name]
        for n, steps in enumerate(noisy.tables[level.name, "paid"].tolist()):
            change(table, "paid", n, steps / 10)
    assert differences(release, dataset, noisy.levels) == []
    change(release, "paid", 0, noisy.tables["", "paid"].tolist()[0] / 10 + 0.1)
    assert differences(release, dataset, noisy.levels) == ["paid: town-halves and town do not add up"]


def test_units_in_many_cells_do_not_add_up(town: Town) -> None:
    """People counted in several cells are no sum of those cells; people who lie in one are."""
    for k, names in ((1, ["requests", "people"]), (2, ["requests"])):
        definition = town.people(k=k, measures=(town.COUNT, town.UNITS)).dataset_file().definition
        assert [measure.name for measure in additive(definition)] == names


def test_a_table_that_is_not_there_is_said(desk: Desk, town: Town) -> None:
    """A release of before the rollup is held for it; a damaged table is one message."""
    dataset = rich(town).dataset_file()
    old = desk.write(replace(town, dataset={"measures": rich(town).dataset["measures"]}).dataset_file())
    failures = desk.judge(old, dataset).words
    assert failures == ("town-city: the release has no such table", "town-halves: the release has no such table")
    release = desk.write(dataset, edition=2)
    release.companion("halves").data.write_bytes(b"PAR1 but no more")
    with pytest.raises(SourceError, match=r"town/2020-01/2/rollup-halves\.parquet: "):
        desk.judge(release, dataset)


def test_rows_that_are_missing_are_said_once(desk: Desk, town: Town) -> None:
    """A table with too few rows fails; whether it adds up is not asked."""
    dataset = rich(town).dataset_file()
    release = desk.write(dataset)
    path = release.companion("halves").data
    pq.write_table(pq.read_table(path).slice(1), path)
    release.manifest.files[path.name] = hash_of(path)
    failures = desk.judge(release, dataset).words
    assert "town-halves: rows: there must be one per cell: the number of rows is 1; expected 2" in failures
    assert not [words for words in failures if "add up" in words]


def test_keys_that_were_found_are_those_of_the_release(desk: Desk, town: Town) -> None:
    """What a selection found is expected of its release, and nothing else; the rules stay the same."""
    discover = {"share": Decimal("0.1"), "delta": Decimal("0.000001")}
    keys = (town.dataset_file().definition.keys[0].model_dump(exclude_none=True),
            {"name": "category", "title": "Category", "discover": discover, "other": "Other"})  # fmt: skip
    built = replace(town, dataset={"keys": keys}, keysets=(town.keysets[0], Keyset("discovered", (), None, "")))
    dataset = built.dataset_file()
    found = dataset.discovering(("lamps", "trees"))
    release = desk.write(found, discovered={"category": ("lamps", "trees", "Other")})
    assert desk.judge(release, dataset).failures == ()
    assert structure(found) == structure(dataset)
    change(release, "category", 0, "benches")
    assert desk.judge(release, dataset).words == ("category: every value must be one of the public keys",)


def test_a_table_of_one_row_a_period_has_no_keys(town: Town) -> None:
    """The rules of a rollup without keys ask for one row a period and for no key column."""
    dataset = rich(town).dataset_file()
    columns = {rule.entry["kwargs"].get("column") for rule in structure(dataset, "city")}
    assert {"id", "period", "requests", "median_size_range"} <= columns
    assert not columns & {"place", "half", "category"}


@pytest.mark.parametrize("ends", [("_margin_percent",), ("_margin_percent", "_reason")])
def test_a_table_of_before_its_later_columns_passes(desk: Desk, town: Town, ends: tuple[str, ...]) -> None:
    """A release without the margins in percent, or without the reasons too, is checked without those columns."""
    dataset = rich(town).dataset_file()
    old = of_before(desk.write(dataset), *ends)
    assert not [name for name in pq.read_table(old.companion("city").data).column_names if name.endswith(ends)]
    assert desk.judge(old, dataset).words == ()
