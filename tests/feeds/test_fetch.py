"""What is fetched is durable with how far the fetch has come, is landed once, and does not stay."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet
import pytest
from fetched_town import FetchedTown
from soda_server import ID, SodaDataset

from publisher import durable
from publisher.errors import DefinitionError, RefusedAtLandingError, SourceError
from publisher.feeds import delivery, fetch
from publisher.records.batch import BatchStore
from publisher.release.identity import statistical_hash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feed_servers import FeedServer

COLUMNS = {"id": True, "day": True, "what": True, "caller": False}


@pytest.fixture
def dataset() -> SodaDataset:
    made = SodaDataset(tuple(COLUMNS))
    for number in range(5):
        made.put(str(number), id=str(number), day="2026-01-05", what=f"w{number}", caller="Ann Example")
    return made


@pytest.fixture
def server(dataset: SodaDataset) -> Iterator[FeedServer]:
    with dataset.server().running() as running:
        yield running


@pytest.fixture
def town(server: FeedServer, tmp_path: Path) -> FetchedTown:
    return made(tmp_path / "town", server)


def made(root: Path, server: FeedServer, page: int = 2, more: str = "") -> FetchedTown:
    feed = f'kind = "socrata"\ndomain = "{server.host}"\ndataset = "{ID}"\npage_size = {page}\n{more}'
    return FetchedTown.made(root, feed, COLUMNS, key="id", time="day")


def everything(dataset: SodaDataset) -> list[tuple[str, str]]:
    return sorted((row["id"], row["what"]) for row in dataset.rows.values())


def test_fetched_records_are_landed_and_their_files_deleted(town: FetchedTown, dataset: SodaDataset) -> None:
    """Every row is landed; of the fetch only the cursor stays, 0600 in folders of 0700."""
    said: list[str] = []
    landing = town.land(said)
    assert (landing.new, town.rows("id, what")) == (1, everything(dataset))
    assert town.raw_files() == []
    paths = [town.fetched.parent, *town.fetched.parent.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o700, 0o600}
    assert said[0] == "requests: fetched a delivery"


def test_only_what_changed_is_fetched_again(town: FetchedTown, server: FeedServer, dataset: SodaDataset) -> None:
    """The next landing asks for what came after the last row, and a changed row replaces its earlier version."""
    town.land()
    before = len(server.asked)
    dataset.put("3", id="3", day="2026-01-05", what="changed", caller="Ann Example")
    dataset.put("9", id="9", day="2026-01-06", what="new", caller="Ann Example")
    assert town.land().new == 1
    assert town.rows("id, what") == everything(dataset)
    assert len(server.asked) - before == 2
    assert town.land().new == 0
    assert town.rows("id, what") == everything(dataset)


def test_columns_that_are_not_read_are_not_requested(town: FetchedTown, server: FeedServer) -> None:
    """A column that is `read = false` is in no request, and its values are in no file, not even before the landing."""
    with durable.private_files():
        fetched = fetch.fetch(town.source, town.private, basis="b", landed=False)
    table = pyarrow.parquet.read_table(fetched.paths[0])
    assert table.column_names == ["id", "day", "what"]
    assert {asked.query["$select"] for asked in server.asked} == {":id,:updated_at,id,day,what"}
    assert b"Ann Example" not in town.held()
    assert str(fetched.paths[0].relative_to(fetched.folder)).startswith("000001/files/20")


def test_requests_hold_no_value_of_a_record(town: FetchedTown, server: FeedServer) -> None:
    """Addresses name columns, times and the server's own row numbers alone."""
    town.land()
    town.land()
    for asked in server.asked:
        assert "w0" not in asked.target
        assert "2026-01-05" not in asked.target


@pytest.mark.parametrize("where", ["write_table", "remember", "new_folder", "land", "forget"])
def test_a_kill_anywhere_loses_and_repeats_nothing(
    where: str, town: FetchedTown, dataset: SodaDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while a delivery is written, before its cursor is, before it appears, before it is landed or deleted: the
    next landing has every record, once."""

    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    places = {
        "write_table": ("publisher.feeds.socrata.write_table", kill),
        "remember": ("publisher.feeds.delivery._NewDelivery.remember", kill),
        "new_folder": ("publisher.durable.sync_tree", kill),
        "land": ("publisher.pipeline.landed.land", kill),
        "forget": ("publisher.pipeline.landed.forget_landed", kill),
    }
    monkeypatch.setattr(fetch, "STEP", 2)
    with monkeypatch.context() as patch:
        patch.setattr(*places[where])
        with pytest.raises(Killed):
            town.land()
    town.land()
    assert town.rows("id, what") == everything(dataset)
    assert town.raw_files() == []


def test_a_fetch_that_fails_goes_on_after_its_last_delivery(
    town: FetchedTown, server: FeedServer, dataset: SodaDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deliveries that were complete stay; the next fetch asks for what comes after them alone, and lands all."""
    monkeypatch.setattr(fetch, "STEP", 2)
    server.faults = {2: "500", 3: "500"}
    with pytest.raises(SourceError, match=r"cannot answer \(HTTP 500\).*What came before is kept"):
        town.land()
    assert len(town.raw_files()) == 1
    assert town.land().new == 3
    assert "row-1" in server.asked[3].query["$where"]
    assert town.rows("id, what") == everything(dataset)


def test_a_changed_definition_fetches_everything_again(
    town: FetchedTown, server: FeedServer, dataset: SodaDataset
) -> None:
    """A column that is read now is fetched for the records that were landed without it; what was landed before goes."""
    town.land()
    town.edit(
        '"caller" = { class = "public", statute = "s. 1", read = false }',
        '"caller" = { class = "public", statute = "s. 1" }',
    )
    town.land()
    assert town.rows("id, caller") == [(str(number), "Ann Example") for number in range(5)]
    assert len(BatchStore(town.private, "requests").batches()) == 1


def test_a_changed_definition_of_late_records_is_refused(town: FetchedTown) -> None:
    """The days on which records were received cannot be fetched again, so the change is refused before anything is."""
    town.path.write_text(town.path.read_text() + '\n[late]\npolicy = "charge"\n')
    town.land()
    before = town.held()
    town.edit(
        '"what" = { class = "public", statute = "s. 1" }',
        '"what" = { class = "public", statute = "s. 1", read = false }',
    )
    with pytest.raises(SourceError, match="undo the change, or define a new source"):
        town.land()
    assert town.held() == before


def test_landed_records_that_were_removed_are_fetched_again(town: FetchedTown, dataset: SodaDataset) -> None:
    """A cursor does not stand for records that are no longer landed."""
    town.land()
    store = BatchStore(town.private, "requests")
    for batch in store.batches():
        store.drop(batch)
    town.land()
    assert town.rows("id, what") == everything(dataset)


def test_refused_records_wait_for_the_definition(town: FetchedTown, dataset: SodaDataset) -> None:
    """What is refused at landing stays fetched, and is landed once the source accepts it."""
    for number in range(10, 40):
        dataset.put(str(number), id=str(number), day="soon", what="undated")
    with pytest.raises(RefusedAtLandingError):
        town.land()
    assert len(town.raw_files()) == 1
    town.edit("attempts = 2", 'attempts = 2\naccept = { undated = 1, reason = "dates come later" }')
    town.land()
    assert len(town.rows("id")) == 5
    assert town.raw_files() == []


def test_a_column_may_be_empty_for_an_hour(town: FetchedTown, dataset: SodaDataset) -> None:
    """A delivery without any value in a column is landed if earlier ones have some."""
    town.land()
    for number in range(10, 30):
        dataset.put(str(number), id=str(number), day="2026-01-07")
    town.land()
    assert len(town.rows("id")) == 25


def test_a_column_may_not_be_empty_forever(town: FetchedTown, dataset: SodaDataset) -> None:
    """A column without a value in any delivery stops the landing, as in files."""
    dataset.rows.clear()
    for number in range(10, 30):
        dataset.put(str(number), id=str(number), day="2026-01-07")
    with pytest.raises(RefusedAtLandingError):
        town.land()


def test_a_source_without_a_record_lands_an_empty_file(town: FetchedTown, dataset: SodaDataset) -> None:
    """An empty dataset is no error, and is landed once as what it is; its first record is landed when it comes."""
    dataset.rows.clear()
    assert (town.land().new, town.rows("id")) == (1, [])
    assert town.land().new == 0
    dataset.put("1", id="1", day="2026-01-05", what="first")
    town.land()
    assert town.rows("id") == [("1",)]


def test_a_damaged_cursor_is_one_error(town: FetchedTown) -> None:
    """The message says what to remove, and that everything is fetched again."""
    town.land()
    (path,) = town.fetched.rglob("cursor.json")
    path.write_text("{")
    with pytest.raises(SourceError, match=r"cursor.json: is damaged: remove the folder in which it lies"):
        town.land()


BAD = {
    'kind = "socrata"': ('kind = "ftp"', r"feed: kind must be one of files, socrata, open311, seeclickfix"),
    f'dataset = "{ID}"': (
        'dataset = "abc"',
        r"feed.dataset: must be the id of a dataset on the portal, such as abcd-1234",
    ),
    "page_size = 2": ("page_size = 2\ntoken = {}", r"feed.token: give exactly one of env"),
    "attempts = 2": ('attempts = 2\npath = "raw"', r"feed.path: unknown key"),
    'delivery = "changes"': ('delivery = "append"', r'delivery: a feed of kind socrata needs delivery = "changes"'),
    'record_id = ["id"]': ("", r"record_id: is missing: what a socrata feed sends again is known by it"),
    '"what" =': ('"What now" =', r"columns.What now: is not a field name of socrata"),
    "[columns]": (
        '[late]\npolicy = "charge"\nreceived = "%Y.csv"\n\n[columns]',
        r"late.received: is for the names of files",
    ),
}


@pytest.mark.parametrize("old", BAD)
def test_what_is_wrong_in_a_feed_is_said_with_its_key(old: str, town: FetchedTown) -> None:
    """File, line and key, as for every setting; the kind is no part of the key."""
    new, words = BAD[old]
    town.edit(old, new)
    with pytest.raises(DefinitionError, match=rf"^pipelines/requests.toml:\d+: {words}"):
        _ = town.source


def test_a_feed_without_a_kind_has_files(tmp_path: Path) -> None:
    """What was written before there were kinds goes on as it was, with the same batches."""
    town = FetchedTown.made(tmp_path / "town", 'path = "raw"', COLUMNS, key="id", time="day")
    text = town.path.read_text()
    for line in ("requests_per_second = 50\n", "attempts = 2\n", "timeout = 1\n"):
        text = text.replace(line, "")
    town.path.write_text(text)
    basis = town.source.definition.feed.basis()
    assert town.source.definition.feed.kind == "files"
    assert basis == {"format": "csv", "delimiter": ",", "encoding": "utf-8", "nulls": (), "sheet": None}


def test_the_last_folder_alone_is_kept(town: FetchedTown, dataset: SodaDataset) -> None:
    """Many landings leave one cursor, whatever was fetched."""
    for number in range(3):
        dataset.put("0", id="0", day="2026-01-05", what=f"v{number}")
        town.land()
    assert [path.name for path in town.fetched.iterdir()] == ["000003"]
    assert not list((town.fetched / "000003" / "files").iterdir())
    assert delivery.Deliveries(town.private, "requests").last() is not None


def test_a_change_that_shows_late_is_fetched(town: FetchedTown, dataset: SodaDataset) -> None:
    """A row whose change becomes visible only after later ones were read is not lost: each fetch reaches back."""
    now = datetime.now(UTC)
    dataset.put("6", at=now - timedelta(minutes=10), id="6", day="2026-01-06", what="early")
    town.land()
    dataset.put("7", at=now - timedelta(minutes=40), id="7", day="2026-01-06", what="late")
    town.land()
    assert town.rows("id, what") == everything(dataset)


@pytest.mark.parametrize("request_number", [1, 3, 4])
def test_a_killed_command_loses_and_repeats_nothing(
    request_number: int, town: FetchedTown, server: FeedServer, dataset: SodaDataset, processes: None
) -> None:
    """`publisher land` killed while it waits for an answer: nothing half is there, and the next one lands all,
    once."""
    command = [str(Path(sys.executable).with_name("publisher")), "land"]
    with subprocess.Popen(command, cwd=town.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        server.before = {request_number: process.kill}
        assert process.wait(60) == -signal.SIGKILL
    assert not list(town.private.glob("landed/*/*"))
    subprocess.run(command, cwd=town.root, check=True, capture_output=True, timeout=60)
    assert town.rows("id, what") == everything(dataset)
    assert [path.name for path in town.fetched.iterdir()] == ["000001"]


def test_how_a_server_is_asked_changes_no_record(town: FetchedTown, server: FeedServer) -> None:
    """Another pace, page or token fetches nothing again, and is no reason to draw a release again."""
    town.count("2026-01-01")
    town.land()
    before, identity = len(server.asked), statistical_hash(town.workspace.dataset("requests"), "")
    town.edit(
        "attempts = 2", 'attempts = 3\nuser_agent = "Town"\naccept = { rejected = 0, reason = "all can be read" }'
    )
    town.edit("page_size = 2", "page_size = 3")
    assert town.land().new == 0
    assert len(server.asked) == before + 1
    assert statistical_hash(town.workspace.dataset("requests"), "") == identity
    town.edit(f'dataset = "{ID}"', 'dataset = "zzzz-9999"')
    assert statistical_hash(town.workspace.dataset("requests"), "") != identity
