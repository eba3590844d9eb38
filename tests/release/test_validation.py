"""A release meets its suite or is held, and says why in words."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from publisher.definitions import period as civil
from publisher.errors import DefinitionError, SourceError
from publisher.release.manifest import Charge, KeyShape, LedgerHead, Manifest, MeasureShape, Release, Shape
from publisher.release.suite import IDENTIFIERS, expected_of, suite_for, write_suite
from publisher.release.table import cell_ids
from publisher.release.validation import Expectations, TableCheck, Validation, validate
from publisher.workspace import DatasetFile, find_workspace

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("expectations")  # one process imports Great Expectations

WEEK = civil.parse("2018-W03")

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
        PLACE = { class = "public", statute = "s. 1" }
        """,
    "pipelines/requests.sql": "SELECT PLACE AS place FROM raw",
    "datasets/weekly.toml": """
        title = "Requests by week"
        description = "How many requests."
        source = "requests"
        period = "week"
        first = "2018-W01"
        loss.rho = 0.1
        [[keys]]
        name = "place"
        title = "Place"
        keyset = "places"
        other = "Unknown"
        [[keys]]
        name = "category"
        title = "Category"
        keyset = "categories"
        other = "Other"
        [[measures]]
        name = "requests"
        title = "Requests"
        kind = "count"
        unit = "requests"
        [[measures]]
        name = "days"
        title = "Days"
        kind = "sum"
        unit = "days"
        column = "days"
        lower = 0
        upper = 30
        resolution = 1
        [[measures]]
        name = "mean_days"
        title = "Mean days"
        kind = "mean"
        unit = "days"
        sum = "days"
        count = "requests"
        [suppression]
        measure = "requests"
        threshold = 3
        [portal]
        category = "Services"
        """,
    "datasets/keysets/places.csv": "key,label\n1,The Hill\n2,Ward 12 North Park Place\n3,St. Louis Hills\n",
    "datasets/keysets/categories.csv": "key\nBulk pick-up\nStreet light\n",
}


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetFile:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(line.strip() for line in text.strip().splitlines()) + "\n")
    return find_workspace(tmp_path).dataset("weekly")


@pytest.fixture
def suite(dataset: DatasetFile, tmp_path: Path) -> Path:
    path = tmp_path / "expectations" / "weekly.json"
    write_suite(dataset, path)
    return path


Columns = dict[str, list[Any]]


def columns(dataset: DatasetFile, value: float = 20.0) -> Columns:
    """A good release's columns: one row a cell, the first one suppressed."""
    grid = dataset.grid(WEEK)
    place, category = grid.axes
    assert place.labels is not None
    cells = [(p, label, c) for p, label in zip(place.keys, place.labels, strict=True) for c in category.keys]
    table: Columns = {
        "id": cell_ids(grid),
        "period": [WEEK.label for _ in cells],
        "period_start": [WEEK.start for _ in cells],
        "place": [p for p, _, _ in cells],
        "place_name": [label for _, label, _ in cells],
        "category": [c for _, _, c in cells],
    }
    for name in ("requests", "days", "mean_days"):
        for end, shift in (("", 0.0), ("_low", -2.0), ("_high", 2.0)):
            table[f"{name}{end}"] = [None, *[value + shift for _ in cells[1:]]]
        table[f"{name}_status"] = ["suppressed", *["ok" for _ in cells[1:]]]
    table["edition"] = [1 for _ in cells]
    return table


def release(folder: Path, table: Columns) -> Release:
    folder.mkdir()
    pq.write_table(pa.table(table), folder / "data.parquet")
    measures = [
        MeasureShape(name=n, label=n, kind="count", unit="x", low=f"{n}_low", high=f"{n}_high", status=f"{n}_status")
        for n in ("requests", "days", "mean_days")
    ]
    key = KeyShape(name="place", label="Place", names="place_name")
    manifest = Manifest(
        dataset="weekly",
        source="requests",
        period=WEEK.label,
        edition=1,
        statistical_hash="0",
        finishing_hash="0",
        created="2026-01-01T00:00:00Z",
        stand_in=True,
        rows=len(table["id"]),
        suppressed=1,
        unreliable=0,
        columns=(),
        shape=Shape(time="period_start", period="period", place="place", keys=(key,), measures=tuple(measures)),
        charge=Charge(currency="zcdp", loss="1/10", blocks=(WEEK.label,), tables=()),
        ledger=LedgerHead(sequence=1, hash="0"),
        versions={},
        files={},
    )
    return Release(folder, manifest)


def expected(dataset: DatasetFile, previous: Release | None = None) -> Expectations:
    return expected_of(dataset, dataset.levels(WEEK)[-1], previous)


def checked(dataset: DatasetFile, suite: Path, table: Columns, previous: Release | None = None) -> Validation:
    made = release(suite.parent / f"release-{len(list(suite.parent.iterdir()))}", table)
    return validate([TableCheck(made, suite, expected(dataset, previous))])


def test_a_good_release_passes(dataset: DatasetFile, suite: Path) -> None:
    """A release as the definition says meets the starting suite, and the result survives JSON."""
    table = columns(dataset)
    assert tuple(table) == expected(dataset).columns
    result = checked(dataset, suite, table)
    assert result.failures == ()
    assert result.passed
    assert Validation.model_validate_json(result.model_dump_json()) == result


Fault = tuple[str, Any, int, str]
"""A column, the value put there, its row, and the words that must come of it."""

FAULTS: list[list[Fault]] = [
    [
        ("id", "2018-W03.1.street-light", 0, "id: every value must be unique"),
        ("place", "4", 1, "place: every value must be one of the public keys"),
        ("period", "2018-W04", 2, "period: every value must be one of the public keys"),
        ("mean_days_low", -1.0, 1, "mean_days_low: every value must be at least 0"),
        ("days_status", "unsure", 1, "days_status: every value must be one of ok, suppressed, unreliable"),
    ],
    [
        ("id", "2018-W03.9.street-light", 0, "id: every expected row must be there, and no other"),
        ("place", None, 1, "place: must never be empty"),
        ("requests", None, 1, "requests: must have a value unless requests_status is suppressed"),
        ("days_high", 4.0, 0, "days_high: must be empty where days_status is suppressed"),
        ("edition", 0, 1, "edition: every value must be at least 1"),
    ],
    [
        ("place_name", "jane.doe@example.com", 1, "place_name: nothing may look like an e-mail address"),
        ("requests", 4.0, 0, "requests: must be empty where requests_status is suppressed"),
        ("requests_low", 21.0, 1, "requests_low: must never exceed requests"),
        ("requests_high", 19.0, 1, "requests: must never exceed requests_high"),
    ],
]


@pytest.mark.parametrize("faults", FAULTS)
def test_every_fault_is_named(dataset: DatasetFile, suite: Path, faults: list[Fault]) -> None:
    """Each fault holds the release with the words of the expectation that it breaks, and without the value."""
    table = columns(dataset)
    for column, value, row, _ in faults:
        table[column][row] = value
    result = checked(dataset, suite, table)
    assert not result.passed
    assert {words for *_, words in faults} <= set(result.failures)
    others = {words for group in FAULTS if group is not faults for *_, words in group}
    assert not (others - {"id: every expected row must be there, and no other"}) & set(result.failures)
    assert not any("jane" in failure for failure in result.failures)


def test_missing_rows_and_columns_hold(dataset: DatasetFile, suite: Path) -> None:
    """A release that lacks a row or a column is held; checks of the absent column say they could not run."""
    rows = checked(dataset, suite, {name: values[:-1] for name, values in columns(dataset).items()})
    assert "rows: there must be one per cell" in rows.failures
    table = columns(dataset)
    del table["days_status"]
    absent = checked(dataset, suite, table)
    assert "columns: must be exactly those of the definition, in order" in absent.failures
    assert any(failure.startswith("days_status: ") and "could not be" in failure for failure in absent.failures)
    assert absent.failures[0].startswith("columns: ")


def test_a_damaged_table_is_said(dataset: DatasetFile, suite: Path) -> None:
    """A table that cannot be read is one message with its path."""
    made = release(suite.parent / "damaged", columns(dataset))
    made.data.write_bytes(b"PAR1 but no more")
    with pytest.raises(SourceError, match=r"/damaged/data\.parquet: is damaged"):
        validate([TableCheck(made, suite, expected(dataset))])


def test_nothing_of_a_value_is_said(
    dataset: DatasetFile, suite: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Checks that break down over a value of the wrong kind name the check; no log or stream shows the value."""
    table = columns(dataset)
    table["requests"] = ["jane-doe-canary"] * len(table["id"])
    result = checked(dataset, suite, table)
    assert "requests: every value must be at least 0 (could not be checked)" in result.failures
    assert "canary" not in f"{result.failures}{caplog.text}{capfd.readouterr()}"


def test_totals_are_compared_with_the_last_release(dataset: DatasetFile, suite: Path) -> None:
    """Twice the last total passes; ten times as much, a tenth or nothing at all is held."""
    previous = release(suite.parent / "previous", columns(dataset))
    words = "requests: the total must be plausible compared with the last release"
    assert checked(dataset, suite, columns(dataset, 40.0), previous).passed
    for value in (200.0, 2.0):
        assert words in checked(dataset, suite, columns(dataset, value), previous).failures
    empty = columns(dataset)
    for name in ("requests", "days", "mean_days"):
        for end in ("", "_low", "_high"):
            empty[f"{name}{end}"] = pa.array([None] * len(empty["id"]), "float64")  # type: ignore[assignment]
        empty[f"{name}_status"] = ["suppressed"] * len(empty["id"])
    assert words in checked(dataset, suite, empty, previous).failures
    assert checked(dataset, suite, empty).passed


@pytest.mark.parametrize(
    ("text", "thing"),
    [
        ("write to jane.doe@mail.example.org now", "e-mail address"),
        ("(314) 555-0142", "phone number"),
        ("call 314-555-0142", "phone number"),
        ("+1 314.555.0142", "phone number"),
        ("3145550142", "phone number"),
        ("078-05-1120", "social security number"),
        ("4111 1111 1111 1111", "payment card number"),
        ("5500000000000004", "payment card number"),
        ("at 1234 North Oak Street", "street address"),
        ("12b Elm Ave.", "street address"),
    ],
)
def test_identifiers_are_recognized(text: str, thing: str) -> None:
    """Each kind of identifier is found inside a text."""
    assert re.search(IDENTIFIERS[thing], text)


@pytest.mark.parametrize(
    "text",
    [
        "2018-W03",
        "2018-01-05",
        "2018-W03/51/Central West End",
        "2018-01/29510106500/Street light",
        "360670056021001",
        "Ward 12 North Park Place",
        "District 5 St. Louis Hills",
        "Street light",
        "Tower Grove East",
        "63104-1234",
        "DeBaliviere Place",
        "Trees - 30 days",
    ],
)
def test_public_keys_are_not_mistaken(text: str) -> None:
    """Periods, codes of places and names of neighborhoods are no identifiers."""
    assert not [thing for thing, regex in IDENTIFIERS.items() if re.search(regex, text)]


def test_a_bad_suite_is_a_definition_error(dataset: DatasetFile, suite: Path) -> None:
    """A suite that is missing, broken, of unknown type, wrong arguments or parameters is one message with its file."""
    made = release(suite.parent / "good", columns(dataset))
    entry = {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}}
    count = {"type": "expect_table_row_count_to_equal", "kwargs": {"value": {"$PARAMETER": "row"}}}
    bad = {
        "{": "is not valid JSON",
        "[]": "`expectations`",
        '{"expectations": [{}]}': "expectation 1 needs a `type`",
        json.dumps({"expectations": [entry, {**entry, "type": "expect_magic"}]}): "expectation 2",
        json.dumps({"expectations": [{**entry, "kwargs": {"colunm": "id"}}]}): "expectation 1",
        json.dumps({"expectations": [{**entry, "kwargs": []}]}): "`kwargs`",
        json.dumps({"expectations": [count]}): "unknown $PARAMETER row; there are: columns, rows",
    }
    for text, words in bad.items():
        suite.write_text(text)
        with pytest.raises(DefinitionError, match=re.escape(words)) as caught:
            validate([TableCheck(made, suite, expected(dataset))])
        assert str(caught.value).startswith(str(suite))
    suite.unlink()
    with pytest.raises(DefinitionError, match="is missing"):
        validate([TableCheck(made, suite, expected(dataset))])


def test_the_suite_is_edited_by_people(dataset: DatasetFile, suite: Path) -> None:
    """A suite may use formulas over the parameters and needs no notes; writing it twice gives the same bytes."""
    before = suite.read_bytes()
    write_suite(dataset, suite)
    assert suite.read_bytes() == before
    assert json.loads(before) == suite_for(dataset)
    kwargs = {"min_value": {"$PARAMETER": "rows * 2"}}
    suite.write_text(json.dumps({"expectations": [{"type": "expect_table_row_count_to_be_between", "kwargs": kwargs}]}))
    result = checked(dataset, suite, columns(dataset))
    assert result.failures == ("expect_table_row_count_to_be_between is not met",)


def test_expectations_come_from_public_facts(dataset: DatasetFile) -> None:
    """Without a release before, nothing is expected of the totals; keys are those of the keysets and the catch-all."""
    found = expected(dataset)
    assert found.totals == {"requests": None, "days": None}
    assert found.keys["place"] == ("1", "2", "3", "Unknown")
    assert found.keys["period"] == ("2018-W03",)
    assert "2018-W03.3.street-light" in found.ids
