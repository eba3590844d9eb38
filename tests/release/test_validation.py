"""A release meets what is expected of it or is held, and says why in words and numbers."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from publisher.definitions import period as civil
from publisher.errors import DefinitionError, SourceError
from publisher.identifiers import IDENTIFIERS
from publisher.release import validation
from publisher.release.failure import Failure
from publisher.release.manifest import Charge, KeyShape, LedgerHead, Manifest, MeasureShape, Release, Shape
from publisher.release.structure import structure
from publisher.release.suite import expected_of, repeated, rules_of
from publisher.release.table import cell_ids
from publisher.release.validation import Expectations, Rule, TableCheck, Validation, validate
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
def suite(tmp_path: Path) -> Path:
    """Where people write what they expect; nothing yet."""
    path = tmp_path / "expectations" / "weekly.json"
    path.parent.mkdir()
    return path


def write(suite: Path, *expectations: Any) -> None:
    suite.write_text(json.dumps({"name": "weekly", "expectations": expectations}))


Columns = dict[str, list[Any]]


def columns(dataset: DatasetFile, value: float = 20.0) -> Columns:
    """A good release's columns: one row a cell, the first one suppressed."""
    grid = dataset.grid(WEEK)
    place, category = grid.axes
    assert place.labels is not None
    cells = [(p, label, c) for p, label in zip(place.keys, place.labels, strict=True) for c in category.keys]
    table: Columns = {
        "id": cell_ids(grid).to_pylist(),
        "period": [WEEK.label for _ in cells],
        "period_start": [WEEK.start for _ in cells],
        "place": [p for p, _, _ in cells],
        "place_name": [label for _, label, _ in cells],
        "category": [c for _, _, c in cells],
    }
    for name in ("requests", "days", "mean_days"):
        for end, shift in (("", 0.0), ("_low", -2.0), ("_high", 2.0)):
            table[f"{name}{end}"] = [None, *[value + shift for _ in cells[1:]]]
        table[f"{name}_margin_percent"] = [None, *[10 for _ in cells[1:]]]
        table[f"{name}_status"] = ["suppressed", *["ok" for _ in cells[1:]]]
        table[f"{name}_reason"] = ["threshold", *[None for _ in cells[1:]]]
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
    return Release(folder, folder / "kept", manifest)


def expected(dataset: DatasetFile, previous: Release | None = None) -> Expectations:
    return expected_of(dataset, dataset.levels(WEEK)[-1], previous)


def checked(dataset: DatasetFile, suite: Path, table: Columns, previous: Release | None = None) -> Validation:
    made = release(suite.parent / f"release-{len(list(suite.parent.iterdir()))}", table)
    return validate([TableCheck(made, rules_of(dataset, "", suite), expected(dataset, previous))])


def test_a_good_release_passes(dataset: DatasetFile, suite: Path) -> None:
    """A release as the definition says passes without any suite, and the result survives JSON."""
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
        ("days_status", "unsure", 1, "days_status: every value must be one of ok, caution, unreliable, suppressed"),
    ],
    [
        ("id", "2018-W03.9.street-light", 0, "id: every expected row must be there, and no other"),
        ("place", None, 1, "place: must never be empty"),
        ("requests", None, 1, "requests: must have a value unless requests_status is suppressed"),
        ("days_high", 4.0, 0, "days_high: must be empty where days_status is suppressed"),
        ("edition", 0, 1, "edition: every value must be at least 1"),
        ("requests_margin_percent", 34, 1, "requests_margin_percent: must be from 0 to 33 where requests_status is ok"),
        ("days_margin_percent", -1, 1, "days_margin_percent: every value must be at least 0"),
        ("requests_reason", None, 0, "requests_reason: must have a value where requests_status is suppressed"),
        ("days_reason", "threshold", 2, "days_reason: must be empty unless days_status is suppressed"),
    ],
    [
        ("place_name", "jane.doe@example.com", 1, "place_name: nothing may look like an e-mail address"),
        ("requests", 4.0, 0, "requests: must be empty where requests_status is suppressed"),
        ("requests_margin_percent", 4, 0, "requests_margin_percent: must be empty where requests_status is suppressed"),
        ("requests_low", 21.0, 1, "requests_low: must never exceed requests"),
        ("requests_high", 19.0, 1, "requests: must never exceed requests_high"),
        ("days_reason", "no", 0, "days_reason: every value must be one of threshold, customer rule, complementary"),
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
    said = {words.split(": ")[0] + ": " + words.split(": ")[1] for words in result.words}
    assert {words for *_, words in faults} <= said
    others = {words for group in FAULTS if group is not faults for *_, words in group}
    assert not (others - {"id: every expected row must be there, and no other"}) & said
    assert "jane" not in result.model_dump_json()
    assert not result.acceptable


def test_a_large_table_is_checked_a_few_rules_at_a_time(
    dataset: DatasetFile, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, with the same results."""
    table = columns(dataset)
    for group in FAULTS:
        for column, value, row, _ in group:
            table[column][row] = value
    at_once = checked(dataset, suite, table)
    asked: list[int] = []
    monkeypatch.setattr(validation, "LARGE", 1)
    parts = validation._parts
    monkeypatch.setattr(validation, "_parts", lambda *given: (asked.append(len(x)) or x for x in parts(*given)))
    few = checked(dataset, suite, table)
    assert (few.failures, few.suite_sha256) == (at_once.failures, at_once.suite_sha256)
    assert len(few.failures) > 10
    assert max(asked) <= validation.FEW < sum(asked)


def test_missing_rows_and_columns_hold(dataset: DatasetFile, suite: Path) -> None:
    """A release that lacks a row or a column is held; checks of the absent column say they could not run."""
    rows = checked(dataset, suite, {name: values[:-1] for name, values in columns(dataset).items()})
    many = len(expected(dataset).ids)
    assert f"rows: there must be one per cell: the number of rows is {many - 1}; expected {many}" in rows.words
    table = columns(dataset)
    del table["days_status"]
    absent = checked(dataset, suite, table)
    assert "columns: must be exactly those of the definition, in order" in absent.words
    assert any(failure.startswith("days_status: ") and "could not be" in failure for failure in absent.words)
    assert absent.words[0].startswith("columns: ")


def test_a_damaged_table_is_said(dataset: DatasetFile, suite: Path) -> None:
    """A table that cannot be read is one message with its path."""
    made = release(suite.parent / "damaged", columns(dataset))
    made.data.write_bytes(b"PAR1 but no more")
    with pytest.raises(SourceError, match=r"/damaged/data\.parquet: is damaged"):
        validate([TableCheck(made, structure(dataset), expected(dataset))])


def test_nothing_of_a_value_is_said(
    dataset: DatasetFile, suite: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Checks that break down over a value of the wrong kind name the check; no log or stream shows the value."""
    table = columns(dataset)
    table["requests"] = ["jane-doe-canary"] * len(table["id"])
    result = checked(dataset, suite, table)
    assert "requests: every value must be at least 0 (could not be checked)" in result.words
    assert "canary" not in f"{result.failures}{caplog.text}{capfd.readouterr()}"


def test_totals_are_compared_with_the_last_release(dataset: DatasetFile, suite: Path) -> None:
    """Twice the last total passes; ten times as much, a tenth or nothing at all is held."""
    previous = release(suite.parent / "previous", columns(dataset))
    assert checked(dataset, suite, columns(dataset, 40.0), previous).passed
    span = expected(dataset, previous).totals["requests"]
    assert span is not None
    limits = f"expected {span[0]:,.0f} to {span[1]:,.0f}, judging by 2018-W03"
    cells = len(columns(dataset)["id"]) - 1
    margin = math.ceil(2 * math.sqrt(cells))
    for value in (200.0, 2.0):
        held = checked(dataset, suite, columns(dataset, value), previous)
        assert f"the total of requests is {value * cells:,.0f} (give or take {margin}); {limits}" in held.words
        assert held.acceptable
    empty = columns(dataset)
    for name in ("requests", "days", "mean_days"):
        for end in ("", "_low", "_high"):
            empty[f"{name}{end}"] = pa.array([None] * len(empty["id"]), "float64")  # type: ignore[assignment]
        empty[f"{name}_margin_percent"] = pa.array([None] * len(empty["id"]), "int64")  # type: ignore[assignment]
        empty[f"{name}_status"] = ["suppressed"] * len(empty["id"])
        empty[f"{name}_reason"] = ["threshold"] * len(empty["id"])
    assert f"the total of requests is 0; {limits}" in checked(dataset, suite, empty, previous).words
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
    """A suite that is broken, of unknown type, wrong arguments, columns or parameters is one message with its file."""
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
        json.dumps({"expectations": [{**entry, "kwargs": {"column": "ids"}}]}): "the table has no column ids; it has: ",
        json.dumps({"expectations": [count]}): "unknown $PARAMETER row; there are: columns, rows",
    }
    for text, words in bad.items():
        suite.write_text(text)
        with pytest.raises(DefinitionError, match=re.escape(words)) as caught:
            validate([TableCheck(made, rules_of(dataset, "", suite), expected(dataset))])
        assert str(caught.value).startswith(str(suite))


def sum_at_most(limit: float, **meta: str) -> dict[str, Any]:
    return {
        "type": "expect_column_sum_to_be_between",
        "kwargs": {"column": "requests", "max_value": limit},
        "meta": meta,
    }


def test_what_people_expect_speaks_in_numbers(dataset: DatasetFile, suite: Path) -> None:
    """A total and a cell that people do not expect: the released number, its margin, the limit and the file; such a
    judgment may be accepted. Formulas over the parameters are filled in."""
    rows = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": {"$PARAMETER": "rows * 2"}}}
    cell = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "days", "max_value": 25}}
    write(suite, sum_at_most(100, notes="they say so"), cell, rows)
    table = columns(dataset)
    table["days"][3], table["days_high"][3] = 30.0, 34.5
    table["days"][2], table["days_high"][2] = 26.0, 28.0
    result = checked(dataset, suite, table)
    cells, file, farthest = len(table["id"]) - 1, "expectations/weekly.json", table["id"][3]
    margin = math.ceil(2 * math.sqrt(cells))
    assert result.words == (
        f"the total of requests is {20 * cells} (give or take {margin}); expected at most 100 ({file}: they say so)",
        f"days of {farthest} is 30 (give or take 12); expected at most 25; 1 more cell is outside of that ({file})",
        f"the number of rows is {cells + 1}; expected at least {2 * cells + 2} ({file})",
    )
    assert result.acceptable
    total = result.failures[0]
    assert (total.origin, total.table, total.file, total.expectation) == (
        "people",
        "weekly",
        file,
        sum_at_most(0)["type"],
    )
    assert total.numbers is not None
    assert (total.numbers.observed, total.numbers.at_most, total.numbers.at_least) == (20.0 * cells, 100.0, None)


def test_a_condition_chooses_the_rows_of_a_number(dataset: DatasetFile, suite: Path) -> None:
    """An expectation about one place reports the total of that place."""
    where = {"type": "comparison", "column": {"name": "place"}, "operator": "==", "parameter": "2"}
    limited = sum_at_most(1)
    limited["kwargs"]["row_condition"] = where
    write(suite, limited)
    table = columns(dataset)
    (words,) = checked(dataset, suite, table).words
    assert words.startswith(f"the total of requests is {20 * table['place'].count('2')} (give or take ")


def test_a_range_of_people_replaces_the_comparison(dataset: DatasetFile, suite: Path) -> None:
    """A measure whose total has a range in the suite is not compared with the last release; the others are."""
    previous = release(suite.parent / "previous", columns(dataset))
    write(suite, sum_at_most(5000))
    (words,) = checked(dataset, suite, columns(dataset, 200.0), previous).words
    assert words.startswith("the total of days is ")


def test_a_scan_that_people_wrote_is_not_a_judgment(dataset: DatasetFile, suite: Path) -> None:
    """What a scan for texts finds cannot be accepted, whoever wrote it; the text is not said."""
    scan = {"type": "expect_column_values_to_not_match_regex", "kwargs": {"column": "category", "regex": "(?i)light"}}
    write(suite, scan)
    result = checked(dataset, suite, columns(dataset))
    assert not result.passed
    assert not result.acceptable
    assert "Street" not in result.model_dump_json()


def test_a_long_suite_of_before_does_no_harm(dataset: DatasetFile, suite: Path) -> None:
    """What a suite repeats of the definition counts once; the rest is still expected."""
    generated = [rule.entry for rule in structure(dataset)]
    write(suite, *generated, sum_at_most(100))
    origins = [rule.origin for rule in rules_of(dataset, "", suite)]
    assert (origins.count("people"), origins.count("definition")) == (1, len(generated) - 2)
    assert repeated(dataset, "", suite) == len(generated)
    assert len(checked(dataset, suite, columns(dataset)).words) == 1
    write(suite)
    assert checked(dataset, suite, columns(dataset)).passed


def test_a_key_that_looks_like_an_identifier_costs_nothing(dataset: DatasetFile, suite: Path) -> None:
    """It is refused with its file and place, before a release is drawn that could never pass."""
    keyset = replace(dataset.keysets[1], keys=("Bulk pick-up", "1234 North Oak Street"))
    strange = replace(dataset, keysets=(dataset.keysets[0], keyset))
    words = r"datasets/keysets/categories\.csv: key 2 looks like a street address, .*: write it in another way$"
    with pytest.raises(DefinitionError, match=words):
        rules_of(strange, "", suite)


def test_results_of_before_are_read(dataset: DatasetFile) -> None:
    """Older results have only words; nothing in them can be accepted."""
    old = {"passed": False, "failures": ["edition: too low"], "suite_sha256": "0", "checked_at": "2026-01-01"}
    read = Validation.model_validate_json(json.dumps(old))
    assert read.failures == (Failure(words="edition: too low"),)
    assert not read.acceptable


def test_expectations_come_from_public_facts(dataset: DatasetFile) -> None:
    """Without a release before, nothing is expected of the totals; keys are those of the keysets and the catch-all."""
    found = expected(dataset)
    assert found.totals == {"requests": None, "days": None}
    assert found.keys["place"] == ("1", "2", "3", "Unknown")
    assert found.keys["period"] == ("2018-W03",)
    assert "2018-W03.3.street-light" in found.ids.to_pylist()


def test_a_scan_looks_at_each_text_once() -> None:
    """Scans of all texts of a column see every text of it once; with other arguments they see every row, in which how
    often a text stands may matter."""
    kind, column = "expect_column_values_to_not_match_regex", {"column": "a", "regex": "x"}
    rules = [Rule({"type": kind, "kwargs": column | more}, "people") for more in ({}, {"mostly": 0.9})]
    assert [rule.scans_texts for rule in rules] == [True, False]
    frame = pd.DataFrame({"a": ["x", None, "y", "x"], "b": ["1", "2", "3", "4"]})
    texts = validation._distinct(frame, rules)
    assert {name: texts[name].tolist() for name in texts} == {"a": ["x", "y"]}
