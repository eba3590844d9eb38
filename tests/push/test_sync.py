"""Every table of a release is a dataset of its own on the portal, and they come and go together."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from push_desk import TITLES, Desk
from push_examples import QUICK
from release_examples import of_before, ready, workspace

from publisher.analyst.file import write_analyst_file
from publisher.analyst.published import PublishedDataset
from publisher.approvals.approval import signed
from publisher.approvals.keys import SigningKey
from publisher.errors import BudgetError, PortalError, PublisherError, SourceError
from publisher.journal.journal import read_entries
from publisher.pipeline.reviews import release_subject
from publisher.pipeline.session import locked, opened
from publisher.pipeline.totals import refresh_totals
from publisher.push import metadata
from publisher.push.client import SocrataClient
from publisher.push.metadata import relation
from publisher.push.published import published_heads, published_if_answered
from publisher.push.sync import check_delivery, deliver, portal_addresses
from publisher.records.places import boundaries_fingerprint
from publisher.release.identity import statistical_hash
from publisher.release.manifest import MANIFEST, hash_of
from publisher.run import PeriodSelection, run
from publisher.workspace import SourceFile, find_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Broken, Running, Town

    from publisher.records.landing import Landing
    from publisher.release.manifest import Release
    from publisher.workspace import Workspace


@dataclass
class Observed:
    """Watches a run, and agrees to everything."""

    steps: list[str] = field(default_factory=list)

    def total(self, steps: int) -> None:
        """Nothing to note."""

    def step(self, words: str) -> None:
        self.steps.append(words)

    def doing(self, words: str) -> None:
        self.steps.append(words)

    def warn(self, error: PublisherError) -> None:
        """The report has it."""

    def note(self, words: str) -> None:
        """Nothing to note."""

    def landed(self, source: SourceFile, landing: Landing) -> None:
        """Nothing to note."""

    def agree(self, question: str) -> bool:  # noqa: ARG002
        return True


def test_companions_are_datasets_of_their_own(desk: Desk) -> None:
    """Title, description, columns, shape and rows of each level stand on the portal; the main address is given."""
    release = ready(desk.catalog, desk.dataset, "2018-W01")
    assert desk.push() == f"{desk.broken.url}/d/{desk.id('')}"
    assert len({desk.id(level) for level in TITLES}) == 3
    for level, title in TITLES.items():
        view, table = desk.view(level), release.tables[level]
        own = view["metadata"]["custom_fields"]["Publisher"]
        name = f"weekly-{level}" if level else "weekly"
        assert (view["name"], own["dataset"], own["guarantee"]) == (title, name, release.statement)
        assert [column["fieldName"] for column in view["columns"]] == pq.read_table(table.data).column_names
        assert len(desk.rows(level)) == table.manifest.rows
        said = json.loads(own["companions"])
        assert {each["title"] for each in said} == set(TITLES.values()) - {title}
    words = "How many requests were made. Totals of Requests by ward; adds up with it exactly."
    assert [desk.view(level)["description"] for level in ("city", "districts")] == [words, words]
    assert desk.view("")["description"] == "How many requests were made."
    west = desk.rows("districts")[2]
    assert (west["id"], west["district_name"], west["requests_status"]) == ("2018-W01.w", "The West", "caution")
    assert west["median_days_range"]
    assert desk.check() == f"{desk.broken.url}/d/{desk.id('')}"


def of_another_machine(desk: Desk, root: Path) -> Workspace:
    """The workspace with another state folder, which knows nothing of what was released, and the same portal."""
    place = workspace(root)
    portal = place.settings.portal.model_copy(update={"url": desk.broken.url})
    return replace(place, settings=place.settings.model_copy(update={"portal": portal}))


def test_a_ledger_that_is_older_than_the_portal_draws_nothing(desk: Desk, tmp_path: Path) -> None:
    """Before anything is drawn the portal is asked: what this ledger has not paid for would be drawn again."""
    release = ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    place = of_another_machine(desk, tmp_path / "another")
    paid = release.manifest.ledger
    assert {(head.sequence, head.hash) for head in published_heads(place)} == {(paid.sequence, paid.hash)}
    place.data.mkdir(exist_ok=True)
    (place.data / "requests.csv").write_text("ID,OPENED,WARD,DAYS\n1,2018-01-03,1,2\n")
    observer, weeks = Observed(), PeriodSelection(date(2018, 1, 1), date(2018, 1, 15))
    report = run(place, [place.dataset("weekly")], weeks, observer, push=True)
    assert {outcome.status for outcome in report.outcomes} == {"refused"}, report.errors
    assert f"the ledger is missing entry {paid.sequence}, which {desk.broken.url}/d/" in str(report.errors[0])
    with opened(place) as catalog:
        assert catalog.ledger.entries("charge") == []
    assert [each for each in observer.steps if "reading its records" in each] == []


def test_a_portal_that_does_not_answer_is_not_an_empty_one(desk: Desk, tmp_path: Path) -> None:
    """Whoever must know what was published is told that no one knows; a run goes on, and its push asks again. An
    embedded portal of this machine without a store has published nothing. Tables of others count only if named."""
    ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    place = of_another_machine(desk, tmp_path / "another")
    (place.root / "datasets" / "weekly.toml").rename(place.root / "datasets" / "others.toml")
    other = replace(find_workspace(place.root), settings=place.settings)
    assert published_heads(other) == []
    assert len(published_heads(other, ["weekly"])) == 1
    desk.broken.faults["/api/catalog/v1"] = [lambda handler: handler.lose() or True] * 9
    with pytest.raises(PortalError):
        published_heads(place)
    assert published_if_answered(place) == []
    alone = place.settings.portal.model_copy(update={"url": "http://127.0.0.1:9"})
    assert published_heads(replace(place, settings=place.settings.model_copy(update={"portal": alone}))) == []


def test_delivering_again_changes_nothing(desk: Desk) -> None:
    """What stands there is not written again, in any of the tables; the journal tells of each that was written, after
    the release itself."""
    release = ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    desk.push()
    assert desk.broken.writes == []
    facts = [entry.fact for entry in read_entries(desk.catalog.journal)]
    kinds = [each.kind for each in facts]
    assert kinds.index("release") < kinds.index("push")
    told = [each for each in facts if each.kind == "push"]
    tables = [f"weekly-{level}" if level else "weekly" for level in TITLES]
    assert {(each.dataset, each.period, each.edition) for each in told} == {(name, "2018-W01", 1) for name in tables}
    assert len(told) == len(TITLES)
    assert told[0].reference.endswith(f", manifest {hash_of(release.folder / MANIFEST).sha256}")
    ready(desk.catalog, desk.dataset, "2018-W02")
    desk.push()
    assert [len(desk.rows(level)) for level in TITLES] == [10, 2, 6]


def test_the_pages_of_companions_are_shown(desk: Desk) -> None:
    """The portal draws a table without key columns and a measure that is a quantile."""
    ready(desk.catalog, desk.dataset, "2018-W01")
    ready(desk.catalog, desk.dataset, "2018-W02")
    desk.push()
    for level, title in TITLES.items():
        for measure in ("requests", "median_days"):
            page = requests.get(f"{desk.portal.url}/d/{desk.id(level)}", params={"measure": measure}, timeout=20)
            assert page.status_code == 200
            assert title in page.text
            assert "<svg" in page.text


def test_a_dataset_of_before_its_later_columns_gets_them(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset that an earlier version pushed, without reasons and margins in percent, gets these columns with the
    next push, empty in its old rows; the analyst file has old and new releases in one table."""
    old = of_before(ready(desk.catalog, desk.dataset, "2018-W01"), "_reason", "_margin_percent")
    columns, shape = old.manifest.columns, old.manifest.shape
    with monkeypatch.context() as before:
        before.setattr(metadata, "column_specs", lambda _, level: old.tables[level].manifest.columns)
        before.setattr(metadata, "shape_of", lambda _, level, _laws: old.tables[level].manifest.shape)
        desk.push()
    assert "requests_reason" not in [column["fieldName"] for column in desk.view("")["columns"]]
    new = ready(desk.catalog, desk.dataset, "2018-W02")
    assert (columns, shape) != (new.manifest.columns, new.manifest.shape)
    desk.push()
    desk.check()
    for level in TITLES:
        fields = [column["fieldName"] for column in desk.view(level)["columns"]]
        assert {"requests_reason", "requests_margin_percent", "median_days_margin_percent"} <= set(fields)
    reasons = {
        (row["period"], row["requests_status"] == "suppressed", row.get("requests_reason")) for row in desk.rows("")
    }
    assert reasons == {
        ("2018-W01", True, None),
        ("2018-W01", False, None),
        ("2018-W02", True, "threshold"),
        ("2018-W02", False, None),
    }
    percents = {(row["period"], row.get("requests_margin_percent") is None) for row in desk.rows("")}
    assert percents >= {("2018-W01", True), ("2018-W02", False)}
    assert ("2018-W01", False) not in percents
    settings = desk.place.settings
    pushed_to = settings.portal.model_copy(update={"url": desk.broken.url})
    place = replace(desk.place, settings=settings.model_copy(update={"portal": pushed_to}))
    published = PublishedDataset(desk.dataset, desk.catalog.current("weekly"), portal_addresses(place, desk.dataset))
    path = write_analyst_file(place.public, [published], settings, place.data)
    with duckdb.connect(str(path), read_only=True) as connection:
        later = "count(requests_reason) > 0, count(requests_margin_percent) > 0"
        query = f"SELECT period, {later} FROM weekly GROUP BY ALL ORDER BY ALL"
        assert connection.execute(query).fetchall() == [("2018-W01", False, False), ("2018-W02", True, True)]
        query = "SELECT DISTINCT period, caution FROM _releases WHERE dataset = 'weekly' ORDER BY ALL"
        assert connection.execute(query).fetchall()[0] == ("2018-W01", 0)
        query = "SELECT level, portal_url FROM _tables ORDER BY level"
        assert connection.execute(query).fetchall() == [
            (level, f"{desk.broken.url}/d/{desk.id(level)}") for level in sorted(TITLES)
        ]


def test_companions_are_retracted_with_the_main_one(desk: Desk) -> None:
    """A rollback closes all tables, giving it back opens them again under their addresses."""
    release = ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    known = [desk.id(level) for level in TITLES]
    desk.catalog.retract(release, "A file was missing")
    assert desk.push() is None
    assert [desk.open(level) for level in TITLES] == [False] * 3
    assert desk.check() is None
    desk.catalog.retract(release, "It is there", undo=True)
    desk.push()
    assert [desk.open(level) for level in TITLES] == [True] * 3
    assert [desk.id(level) for level in TITLES] == known


@pytest.mark.parametrize("left", ["", '[[rollups]]\nname = "city"\ntitle = "Requests in the city"\npublish = false\n'])
def test_a_rollup_that_is_published_no_more_is_closed(desk: Desk, left: str) -> None:
    """Its dataset is closed at the next delivery, once, whether it is gone or only measured; when the rollup comes back
    so does the dataset."""
    ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    gone = '[[rollups]]\nname = "city"\ntitle = "Requests in the city"\n'
    desk.edit(gone, left)
    desk.push()
    assert {level: desk.open(level) for level in TITLES} == {"": True, "city": False, "districts": True}
    assert desk.check() is not None
    desk.push()
    assert desk.broken.writes == []
    desk.edit(f'{left}[[rollups]]\nname = "districts"', f'{gone}[[rollups]]\nname = "districts"')
    desk.push()
    assert desk.open("city")
    desk.check()


def test_a_rollup_that_is_new_has_the_releases_since(desk: Desk) -> None:
    """Releases of before a rollup was defined are in the main dataset alone."""
    gone = '[[rollups]]\nname = "city"\ntitle = "Requests in the city"\n'
    desk.edit(gone, "")
    ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    assert desk.check() is not None
    desk.edit('[[rollups]]\nname = "districts"', f'{gone}[[rollups]]\nname = "districts"')
    desk.push()
    assert "city" not in (desk.place.state / "portal_ids.json").read_text()
    ready(desk.catalog, desk.dataset, "2018-W02")
    desk.push()
    assert [row["period"] for row in desk.rows("city")] == ["2018-W02"]
    assert [len(desk.rows(level)) for level in ("", "districts")] == [10, 6]
    desk.check()


def test_a_companion_that_differs_is_named(desk: Desk) -> None:
    """Whoever changes a companion's row on the portal is found out, also in the second of a push; the next delivery
    mends it."""
    ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    target = desk.portal.target()
    address = f"{desk.portal.url}/resource/{desk.id('districts')}.json"
    changed = {"id": "2018-W01.w", "requests": "99"}
    requests.post(address, json=[changed], auth=(target.username, target.password), timeout=20)
    with pytest.raises(PortalError, match=rf"/d/{desk.id('districts')}: it has 3 rows .*2018-W01\.w$"):
        desk.check()
    desk.push()
    desk.check()


def test_a_companions_file_that_was_changed_is_not_pushed(desk: Desk) -> None:
    """A changed byte in a rollup's table stops the delivery before anything is sent."""
    release = ready(desk.catalog, desk.dataset, "2018-W01")
    pq.write_table(pa.table({"id": ["x"]}), release.companion("city").data)
    with pytest.raises(SourceError, match=r"changed since it was written: rollup-city\.parquet"):
        desk.push()
    assert desk.broken.requests == []


def test_a_damaged_old_release_does_not_stop_a_new_one(desk: Desk) -> None:
    """Where all is compared, it is named once the new one is there; its rows on the portal are left as they were, and
    stay when it is restored."""
    old = ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    before = {level: desk.rows(level) for level in TITLES}
    names, many = ("data.parquet", "rollup-city.parquet", "data.csv", "guarantee.json"), dict.fromkeys(TITLES, 0)
    for week, name in enumerate(names, 2):
        new = ready(desk.catalog, desk.dataset, f"2018-W{week:02}")
        content = (old.folder / name).read_bytes()
        (old.folder / name).write_bytes(content[:-9])
        desk.push()  # the portal has the old one, so nothing of it is read
        (desk.place.state / "portal_rows.json").unlink()
        for _ in range(2):
            with pytest.raises(
                SourceError, match=rf"^{old.folder}: changed .*{name}.* All else is on the portal"
            ) as caught:
                desk.push()
            assert caught.value.exit_code == 5
        for level in TITLES:
            rows = desk.rows(level)
            assert [row for row in rows if row["period"] == "2018-W01"] == before[level]
            many[level] += new.tables[level].manifest.rows
            assert len(rows) == len(before[level]) + many[level]
        (old.folder / name).write_bytes(content)
        desk.push()
    desk.check()


def test_a_damaged_old_release_can_be_retracted(desk: Desk) -> None:
    """Its rows, which a push left as they were, are gone with the next one."""
    old = ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    new = ready(desk.catalog, desk.dataset, "2018-W02")
    (desk.place.state / "portal_rows.json").unlink()  # as after an update from before it was kept
    old.data.write_bytes(old.data.read_bytes()[:-9])
    with pytest.raises(SourceError, match="All else is on the portal"):
        desk.push()
    desk.catalog.retract(old, "The file is damaged")
    desk.push()
    assert [len(desk.rows(level)) for level in TITLES] == [new.tables[level].manifest.rows for level in TITLES]
    desk.check()


def test_a_damaged_old_release_keeps_no_retracted_one(desk: Desk) -> None:
    """Someone wrote to the portal, so that all rows are compared: the push that first reads the damaged file is
    refused, and the next one leaves it out."""
    old, new = (ready(desk.catalog, desk.dataset, f"2018-W0{week}") for week in (1, 2))
    last = ready(desk.catalog, desk.dataset, "2018-W03")
    desk.push()
    desk.catalog.retract(new, "A file was missing")
    old.data.write_bytes(old.data.read_bytes()[:-9])
    known = desk.place.state / "portal_rows.json"
    known.write_text(re.sub(r'"updated": \d+', '"updated": 7', known.read_text()))
    with pytest.raises(SourceError, match=r"changed since it was written|is damaged"):
        desk.push()
    with pytest.raises(SourceError, match="All else is on the portal"):
        desk.push()
    assert {row["period"] for row in desk.rows("")} == {old.manifest.period, last.manifest.period}


def test_a_push_after_one_that_failed_compares_all_rows(desk: Desk) -> None:
    """Whatever is wrong with what is known of the last push, rows of a retracted release do not stay."""
    first, second = (ready(desk.catalog, desk.dataset, f"2018-W0{week}") for week in (1, 2))
    desk.push()
    desk.catalog.retract(first, "A file was missing")
    known = desk.place.state / "portal_rows.json"
    tables = json.loads(known.read_text())
    for each in tables.values():
        del each["tables"]["2018-W01"]
    known.write_text(json.dumps(tables))
    for _ in TITLES:
        with pytest.raises(PortalError, match="push again, and all rows are compared"):
            desk.push()
    desk.push()
    assert [len(desk.rows(level)) for level in TITLES] == [second.tables[level].manifest.rows for level in TITLES]


def test_a_damaged_release_that_nobody_has_seen_is_refused(desk: Desk) -> None:
    """The page would say that it has numbers which are not there."""
    old = ready(desk.catalog, desk.dataset, "2018-W01")
    ready(desk.catalog, desk.dataset, "2018-W02")
    old.data.write_bytes(old.data.read_bytes()[:-9])
    with pytest.raises(SourceError, match=r"^weekly/2018-W01/1: is damaged, and the portal does not have it"):
        desk.push()
    assert not (desk.place.state / "portal_ids.json").exists()


def test_damaged_ids_are_one_error(desk: Desk) -> None:
    """The file is named and may be deleted: then the dataset is found again on the portal, and stays one."""
    ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    known, path = desk.id(""), desk.place.state / "portal_ids.json"
    path.unlink()
    for content in (b"", b"[]", b"null", b'{"a": [1]}', b"[" * 200_000, b"\xff", None):
        path.mkdir() if content is None else path.write_bytes(content)
        for act in (desk.push, desk.check):
            with pytest.raises(SourceError, match=rf"^{path}: is damaged: delete it") as caught:
                act()
            assert caught.value.exit_code == 5
        assert portal_addresses(desk.place, desk.dataset) == {}  # the analyst file is written all the same
        path.rmdir() if content is None else path.unlink()
    desk.push()
    assert desk.id("") == known


def test_a_damaged_release_file_is_named_by_whoever_reads_it(desk: Desk) -> None:
    """Comparing with the portal reads files too: a damaged one is an error of the state, not of the portal."""
    release = ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    for name in ("data.parquet", "rollup-city.parquet", "guarantee.json", "guarantee.md"):
        path = release.folder / name
        content = path.read_bytes()
        for damaged in (content[:-9], None):
            path.write_bytes(damaged) if damaged is not None else path.unlink()
            with pytest.raises(SourceError, match=rf"^{path}: (changed since it was written|cannot be read)"):
                desk.check()
        path.write_bytes(content)
    desk.check()


def test_the_listing_of_a_dataset_without_companions_stays(desk: Desk) -> None:
    """Portals that were filled before keep their metadata as it is: new fields stand only where they say something."""
    text = (desk.place.root / "datasets" / "weekly.toml").read_text()
    plain = text[: text.index("[[coarser]]")] + text[text.index("[[measures]]") :]
    plain = plain[: plain.index('[[measures]]\nname = "times"')] + plain[plain.index("[suppression]") :]
    desk.edit(text, plain)
    ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    own = desk.view("")["metadata"]["custom_fields"]["Publisher"]
    assert "companions" not in own
    assert json.loads(own["shape"])["measures"] == [
        {"name": "requests", "label": "Requests", "kind": "count", "unit": "requests", "low": "requests_low",
         "high": "requests_high", "status": "requests_status", "reason": "requests_reason",
         "margin_percent": "requests_margin_percent"}
    ]  # fmt: skip


QUARTERS = """[[totals]]
name = "quarter"
title = "Requests by district and quarter"
grain = "quarter"
of = "districts"
[portal]
"""


def by_quarter(desk: Desk, months: tuple[str, ...]) -> list[Release]:
    """The example by month, with a total of its districts by quarter; each month has a release that has passed."""
    desk.edit('period = "week"\nfirst = "2018-W01"', 'period = "month"\nfirst = "2018-01"')
    desk.edit("[portal]\n", QUARTERS)
    drawn = statistical_hash(desk.dataset, boundaries_fingerprint(desk.dataset.source, desk.place.data))
    found = [ready(desk.catalog, desk.dataset, month, statistical_hash=drawn) for month in months]
    refresh_totals(desk.place, desk.catalog, desk.dataset)
    return found


def test_a_total_over_time_is_a_dataset_of_its_own(desk: Desk) -> None:
    """It comes with its last month: description, columns, guarantee and history are told, the other tables name it, and
    what is read back is what was sent. A month is still missing from the next quarter, which no one has to be told."""
    months = by_quarter(desk, ("2018-01", "2018-02"))
    desk.push()
    assert not [key for key in json.loads((desk.place.state / "portal_ids.json").read_text()) if "quarter" in key]
    drawn = months[0].manifest.statistical_hash
    months += [ready(desk.catalog, desk.dataset, month, statistical_hash=drawn) for month in ("2018-03", "2018-04")]
    refresh_totals(desk.place, desk.catalog, desk.dataset)
    desk.push()
    assert desk.check() is not None
    view = desk.view("quarter")
    own = view["metadata"]["custom_fields"]["Publisher"]
    assert (view["name"], own["dataset"], own["over_time"]) == (
        "Requests by district and quarter", "weekly-quarter", "quarter"
    )  # fmt: skip
    assert view["description"] == (
        "How many requests were made. Each row adds up the months of one quarter. Totals are computed from the noisy "
        "numbers of Requests by district, as they were before anything below zero was cut off, and rounded once. So "
        "they are closer to the truth than a sum of the published months, and do not add up with them to the digit."
    )
    assert own["guarantee"] == months[2].statement
    assert own["limitations"] == ""
    (edition,) = json.loads(own["releases"])
    assert (edition["period"], edition["edition"], edition["rows"]) == ("2018-Q1", 1, 3)
    assert {"name": "weekly-quarter", "title": view["name"]} in json.loads(
        desk.view("")["metadata"]["custom_fields"]["Publisher"]["companions"]
    )
    rows = desk.rows("quarter")
    assert [row["id"] for row in rows] == ["2018-Q1.e", "2018-Q1.unknown", "2018-Q1.w"]
    parts = [int(row["requests"]) for row in desk.rows("districts") if row["id"] in {f"2018-0{n}.w" for n in (1, 2, 3)}]
    assert int(rows[2]["requests"]) == sum(parts)  # none of them was cut
    assert rows[2]["median_days_range"]
    page = requests.get(f"{desk.portal.url}/d/{desk.id('quarter')}", timeout=20).text
    assert "Totals over time are the exception" in page
    desk.push()
    assert desk.broken.writes == []


def test_a_total_of_a_retracted_month_is_closed(desk: Desk) -> None:
    """With the month: the portal no longer shows it. Where another quarter is left, the page says what is missing."""
    months = by_quarter(desk, tuple(f"2018-0{n}" for n in range(1, 7)))
    desk.push()
    assert [row["period"] for row in desk.rows("quarter")] == ["2018-Q1"] * 3 + ["2018-Q2"] * 3
    desk.catalog.retract(months[1], "A file was missing")
    desk.push()
    assert {row["period"] for row in desk.rows("quarter")} == {"2018-Q2"}
    own = desk.view("quarter")["metadata"]["custom_fields"]["Publisher"]
    assert own["limitations"] == "Withheld: 2018-Q1, because 2018-02 is not published."
    told = {each["period"]: each.get("retracted", False) for each in json.loads(own["releases"])}
    assert told == {"2018-Q1": True, "2018-Q2": False}
    desk.catalog.retract(months[4], "A file was missing")
    desk.push()
    assert not desk.open("quarter")
    for month in (months[1], months[4]):
        desk.catalog.retract(month, "It is there", undo=True)
    desk.push()
    assert desk.open("quarter")
    assert desk.check() is not None


def test_a_total_that_is_declared_no_more_is_closed(desk: Desk) -> None:
    """Like a rollup; when it comes back, so does the dataset, with the same edition."""
    by_quarter(desk, ("2018-01", "2018-02", "2018-03"))
    desk.push()
    known = desk.id("quarter")
    desk.edit(QUARTERS, "[portal]\n")
    desk.push()
    assert not desk.open("quarter")
    desk.edit("[portal]\n", QUARTERS)
    desk.push()
    assert (desk.open("quarter"), desk.id("quarter")) == (True, known)


def test_what_adds_up_is_said_exactly(town: Town) -> None:
    """The sentence of a companion names the measures that add up where others do not."""
    both = (town.COUNT, town.UNITS)
    sentences = {
        "Totals of Town; adds up with it exactly.": town.people(k=1, measures=both),
        "Totals of Town; adds up with it exactly in Requests.": town.people(k=2, measures=both),
        "Totals of Town.": town.people(k=2, measures=(town.UNITS,), suppression={"measure": "people", "threshold": 3}),
    }
    for sentence, built in sentences.items():
        assert relation(built.dataset_file().definition, "") == sentence


def test_a_portal_that_knows_more_than_the_ledger_is_not_written(desk: Desk, tmp_path: Path) -> None:
    """What the portal publishes was paid for by another copy's ledger: the push is refused, and nothing changes."""
    ready(desk.catalog, desk.dataset, "2018-W01")
    desk.push()
    before = desk.view("")
    place = workspace(tmp_path / "other")
    with locked(place) as catalog, SocrataClient(desk.portal.target(desk.broken.url), QUICK) as client:
        ready(catalog, place.dataset("weekly"), "2018-W02")
        desk.broken.requests.clear()
        words = r"is missing entry \d+, which http.*, release 2018-W01/1, remembers"
        with pytest.raises(BudgetError, match=words):
            deliver(place, catalog, client, place.dataset("weekly"), print)
        with pytest.raises(BudgetError, match=words):
            check_delivery(place, catalog, client, place.dataset("weekly"))
    assert desk.broken.writes == []
    assert desk.view("") == before


def test_nothing_reaches_the_portal_before_it_is_approved(tmp_path: Path, portal: Running, broken: Broken) -> None:
    """Where the workspace asks for review, a release that passed makes no table and no request that writes; once it is
    approved its rows are there, and a later edition changes nothing before it is approved itself."""
    ana, place = SigningKey(Ed25519PrivateKey.generate()), workspace(tmp_path)
    settings = tmp_path / "publisher.toml"
    settings.write_text(settings.read_text() + f'\n[review]\nreviewers.ana = "{ana.public}"\n')
    place = find_workspace(tmp_path)
    with locked(place) as catalog:
        desk = Desk(place, catalog, portal, broken)
        try:
            for edition in (1, 2):
                release = ready(catalog, desk.dataset, "2018-W01", edition=edition)
                described, shown = desk.describe(), desk.push()
                if edition == 1:
                    assert (described, shown, broken.writes) == (None, None, [])
                else:
                    assert {row["edition"] for row in desk.rows("")} == {"1"}
                subject = release_subject(release, catalog.store.sha256(release.manifest.name))
                follows = catalog.reviews("town").follows(subject.place, "ana")
                catalog.review(signed(ana, subject, "approved", "Right", "ana", "2026-01-01T00:00:00+00:00", follows))
                assert desk.push() is not None
                assert {row["edition"] for row in desk.rows("")} == {str(edition)}
        finally:
            desk.delete()
