"""`publisher add --from`: a first definition of what a server gives out, with nothing of what is in it."""

from __future__ import annotations

import json
import sqlite3
import tomllib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from fetched_cities import TOKEN
from open311_server import Open311Requests
from postgres import GUARDED, PASSWORD, serving
from seeclickfix_server import SeeClickFixIssues
from soda_server import ID, SodaDataset

from publisher.cli import main
from publisher.feeds import web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from feed_servers import FeedServer
    from postgres import Server

CANARY = "Zzyzx"
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace, on a machine in Illinois, with a token in the environment."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "heads"))
    monkeypatch.setenv("TZ", "America/Chicago")
    monkeypatch.setenv("TOWN_TOKEN", TOKEN)
    monkeypatch.setattr(web, "_FIRST_PAUSE", 0.0)
    folder = tmp_path / "desk"
    assert CliRunner().invoke(main, ["init", str(folder)]).exit_code == 0
    return folder


def said(desk: Path, *arguments: str) -> tuple[int, str]:
    answer = CliRunner().invoke(main, ["-C", str(desk), *arguments])
    return answer.exit_code, " ".join(answer.output.split())


def added(desk: Path, *arguments: str) -> dict[str, Any]:
    """The definition that is drafted; what it says holds nothing of the records and no credential."""
    code, words = said(desk, "add", "requests", *arguments, "--yes")
    assert code == 0, words
    texts = [path.read_text() for path in written(desk)]
    for text in (*texts, words):
        assert CANARY not in text
        assert TOKEN not in text
        assert "Ann" not in text
    assert not list((desk / "state" / "private").glob(".preview*"))
    return tomllib.loads((desk / "pipelines/requests.toml").read_text())


def written(desk: Path) -> list[Path]:
    return [path for room in ("pipelines", "datasets") for path in (desk / room).rglob("*") if path.is_file()]


def issues(count: int = 40) -> SeeClickFixIssues:
    records = SeeClickFixIssues(token=TOKEN)
    for n in range(count):
        kind = {"id": n % 3, "title": f"{CANARY} {n % 3}", "organization": "Town"}
        records.put(n, NOW - timedelta(days=n % 300, minutes=n), request_type=kind, address=f"{n} {CANARY} Street")
    return records


def requests(count: int = 40) -> Open311Requests:
    records = Open311Requests(token=TOKEN)
    for n in range(count):
        values = {"service_name": f"{CANARY} {n % 3}", "lat": str(39.5 + n / 1000), "long": "-89.5"}
        records.put(f"{CANARY}-{n}", NOW - timedelta(days=40 + n % 20, minutes=n), **values)
    return records


def rows(count: int = 40) -> SodaDataset:
    columns = ("case_number", "opened", "category", "applicant_name", "location", "never_filled", ":@computed_region")
    records = SodaDataset(columns, token=TOKEN)
    for n in range(count):
        records.put(
            str(n),
            case_number=f"{CANARY}-{n}",
            opened=f"2024-01-{n % 28 + 1:02d}T00:00:00.000",
            category=f"{CANARY} {n % 3}",
            applicant_name=f"Ann {CANARY} {n}",
            location={"type": "Point", "coordinates": [-89.5, 39.5]},
        )
    return records


def test_a_place_in_seeclickfix(desk: Path, server_of: Callable[[Any], FeedServer]) -> None:
    """Kind, place, id and date are those of the service; who reported, pictures and free text are not even columns."""
    server = server_of(issues())
    found = added(desk, "--from", f"{server.url}/api/v2/issues?place_url=town", "--token", "TOWN_TOKEN")
    assert found["feed"] == {
        "kind": "seeclickfix",
        "url": f"{server.url}/api/v2",
        "place_url": "town",
        "token": {"env": "TOWN_TOKEN"},
        "start": "TODO",
    }
    assert (found["record_id"], found["event"]["column"], found["delivery"]) == (["id"], "created_at", "changes")
    assert (found["event"]["formats"], found["event"]["zone"]) == (["%Y-%m-%dT%H:%M:%SZ"], "UTC")
    read = {name for name, column in found["columns"].items() if column.get("read", True)}
    assert read == {"id", "created_at", "request_type.title"}
    assert not {"summary", "description", "media.image_full", "reporter.id", "html_url"} & set(found["columns"])
    assert found["columns"]["address"] == {"class": "private", "statute": "TODO", "read": False}


def test_an_open311_endpoint(desk: Path, server_of: Callable[[Any], FeedServer]) -> None:
    """The latest requests decide the layout, further back if the last days have none."""
    server = server_of(requests())
    found = added(desk, "--from", f"{server.url}/open311/v2/requests.json", "--token", "TOWN_TOKEN")
    assert found["feed"] == {
        "kind": "open311",
        "url": f"{server.url}/open311/v2",
        "token": {"env": "TOWN_TOKEN"},
        "start": "TODO",
    }
    assert (found["record_id"], found["event"]["column"]) == (["service_request_id"], "requested_datetime")
    assert not {"first_name", "email", "phone", "description", "media_url"} & set(found["columns"])


def test_a_socrata_dataset(desk: Path, server_of: Callable[[Any], FeedServer]) -> None:
    """All columns that the dataset lists in its order, objects by what is inside; the portal's own are left out."""
    server = server_of(rows())
    found = added(desk, "--from", f"{server.url}/City/Requests/{ID}", "--token", "TOWN_TOKEN")
    assert found["feed"] == {"kind": "socrata", "domain": server.host, "dataset": ID, "token": {"env": "TOWN_TOKEN"}}
    assert list(found["columns"]) == [
        "case_number",
        "opened",
        "category",
        "applicant_name",
        "location.type",
        "location.coordinates.0",
        "location.coordinates.1",
        "never_filled",
    ]
    assert (found["record_id"], found["delivery"]) == (["case_number"], "changes")
    assert (found["event"]["column"], found["privacy"]["unit"]) == ("opened", "applicant_name")


@pytest.mark.parametrize("kind", ["seeclickfix", "open311", "socrata"])
def test_a_draft_of_a_server_can_be_looked_at_and_landed(
    kind: str, desk: Path, server_of: Callable[[Any], FeedServer]
) -> None:
    """Preview and classify work while something is marked; filled in, the draft lands what the server has."""
    server = server_of({"seeclickfix": issues, "open311": requests, "socrata": rows}[kind]())
    place = {"seeclickfix": "/api/v2/issues?place_url=town", "open311": "/open311/v2", "socrata": f"/resource/{ID}"}
    added(desk, "--from", server.url + place[kind], "--token", "TOWN_TOKEN")
    for command in ("preview", "classify"):
        if (kind, command) != ("open311", "preview"):  # its last days have no request
            code, words = said(desk, command, "requests")
            assert code == (5 if kind == "open311" else 0), words
    path = desk / "pipelines/requests.toml"
    text = path.read_text().replace('start = "TODO"', "start = 2020-01-01T00:00:00Z")
    text = text.replace('"TODO"', '"Law 1"').replace('budget = "Law 1"', "budget = 0.5")
    path.write_text(text.replace("[event]", "requests_per_second = 50\n\n[event]"))
    settings = desk / "publisher.toml"
    settings.write_text(settings.read_text().replace('"TODO"', '"Town"'))
    for each in (desk / "datasets").glob("*.toml"):
        each.unlink()
    code, words = said(desk, "land")
    assert code == 0, words
    assert "requests: 1 new files, 0 known" in words


def test_nothing_that_is_never_fetched_is_on_disk(
    desk: Path, server_of: Callable[[Any], FeedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reported and free text are dropped before the private file of the look is written."""
    from publisher.commands import add as module

    seen: list[str] = []
    read = module.read_sample

    def watched(paths: Any, *rest: Any) -> Any:
        seen.extend(path.read_text() for path in paths)
        return read(paths, *rest)

    monkeypatch.setattr(module, "read_sample", watched)
    server = server_of(issues())
    added(desk, "--from", f"{server.url}/api/v2/issues?place_url=town", "--token", "TOWN_TOKEN")
    assert CANARY in seen[0]
    assert "Ann" not in seen[0]


def test_what_a_server_gets_wrong(desk: Path, server_of: Callable[[Any], FeedServer]) -> None:
    """A wrong token, no such dataset, no JSON, no server: one message, exit code 5, nothing written."""
    empty = server_of(rows(0))
    code, found = said(desk, "add", "requests", "--from", f"{empty.url}/d/{ID}", "--token", "TOWN_TOKEN", "--yes")
    assert (code, written(desk)) == (5, []), found
    assert f"{ID} on {empty.host}: there is no record to look at. Nothing was written" in found
    server = server_of(rows())
    url = f"{server.url}/resource/{ID}"
    for more, fault, words in (
        ((url,), None, "refuses access (HTTP 403): check the account or token of this feed. Nothing was written"),
        ((url, "--token", "TOWN_TOKEN"), "half", "sends an answer that is torn or not JSON"),
        ((url, "--token", "TOWN_TOKEN"), "other", "does not name the columns of a dataset"),
        ((url, "--token", "TOWN_TOKEN"), "500", "cannot answer (HTTP 500): try again later. Nothing was written"),
        ((f"{server.url}/resource/zzzz-9999", "--token", "TOWN_TOKEN"), None, "(HTTP 404)"),
        (("http://127.0.0.1:9/resource/abcd-1234",), None, "cannot be reached"),
    ):
        server.faults = {len(server.asked) + n: fault for n in (1, 2)} if fault else {}
        code, found = said(desk, "add", "requests", "--from", *more, "--yes")
        assert (code, written(desk)) == (5, []), found
        assert found.startswith("error: --from: feed: http://127.0.0.1")
        assert words in found
        assert found.count("error:") == 1
        assert TOKEN not in found


def test_a_server_that_never_answers(
    desk: Path, server_of: Callable[[Any], FeedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person waits for two tries, is told, and nothing is written."""
    from publisher.drafting import first_records

    monkeypatch.setitem(first_records._PATIENCE, "timeout", 1)
    server = server_of(issues())
    server.faults = {1: "silent", 2: "silent"}
    code, words = said(desk, "add", "requests", "--from", f"{server.url}/api/v2/issues?place_url=town", "--yes")
    assert (code, written(desk)) == (5, []), words
    assert "does not answer in time: try again later. Nothing was written" in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "data.example.gov"], "https://data.example.gov/resource/abcd-1234"),
        (["--from", "http://data.example.gov/resource/abcd-1234"], "must begin with https://"),
        (["--from", "http://311.example.gov/v2"], "must begin with https://"),
        (["--from", "s3://city/permits/*.csv"], "add it as a file"),
        (["--from", "postgresql://reader@db.example.gov/city"], "--table: is missing"),
        (["--from", "postgresql://reader:pass-word@db.example.gov/city", "--table", "t"], "without a password"),
        (["--from", "https://reader:pass-word@data.example.gov/resource/abcd-1234"], "has an account in it"),
        (["--from", "https://reader:pass-word@311.example.gov/v2"], "has an account in it"),
        (["--from", "postgresql://reader@db/city?password=pass-word", "--table", "t"], "without a password"),
        (["--from", "https://seeclickfix.com/", "--token", "TOWN_TOKEN"], "place_url"),
        (["--from", "https://[bad/resource/abcd-1234"], "is not an address"),
        (["--from", "https://data.example.gov/resource/abcd-1234", "--table", "t"], "belongs to the address of a"),
        (
            ["--from", "https://data.example.gov/resource/abcd-1234", "--token", "s3cret-itself"],
            "Never give the secret",
        ),
        (["--from", "https://data.example.gov/resource/abcd-1234", "a.csv"], "and not both"),
        (["a.csv", "--token", "TOWN_TOKEN"], "add --from URL"),
        ([], "give raw files, or --from"),
    ],
)
def test_what_the_command_line_may_get_wrong(desk: Path, arguments: list[str], words: str) -> None:
    """Exit code 2, no server is asked, nothing written, and neither a password nor a token is repeated."""
    code, found = said(desk, "add", "requests", *arguments, "--yes")
    assert (code, written(desk)) == (2, []), found
    assert words in found
    assert "pass-word" not in found
    assert "s3cret" not in found


def test_init_takes_files_alone(tmp_path: Path) -> None:
    """An address is no file: it says what to type instead, and makes nothing."""
    answer = CliRunner().invoke(
        main, ["init", str(tmp_path / "new"), "--from", "https://seeclickfix.com/town", "--yes"]
    )
    assert (answer.exit_code, (tmp_path / "new").exists()) == (2, False)
    assert "publisher add SOURCE --from URL" in answer.output


@pytest.fixture(scope="module")
def postgres(processes: None) -> Iterator[Server]:
    with serving() as server:
        yield server


def test_a_table_of_postgresql(desk: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns, primary key and the time of the last change are the table's own; what they hold is not written."""
    monkeypatch.setenv("TOWN_PASSWORD", PASSWORD)
    postgres.sql(
        "CREATE TABLE permits (permit bigint PRIMARY KEY, issued_on date, type text, owner text, "
        "updated_at timestamptz)"
    )
    postgres.sql(
        f"INSERT INTO permits SELECT n, '2024-01-01'::date + n % 60, '{CANARY}' || n % 3, 'Ann {CANARY}' || n, now() "
        "FROM generate_series(1, 60) AS n"
    )
    postgres.sql("GRANT SELECT ON permits TO " + GUARDED)
    url = f"postgresql://{GUARDED}@127.0.0.1:{postgres.port}/postgres"
    found = added(desk, "--from", url, "--table", "permits", "--password", "TOWN_PASSWORD")
    assert found["feed"] == {
        "kind": "sql",
        "url": url,
        "password": {"env": "TOWN_PASSWORD"},
        "table": "permits",
        "by": "updated_at",
    }
    assert (found["record_id"], found["delivery"], found["event"]["column"]) == (["permit"], "changes", "issued_on")
    assert list(found["columns"]) == ["permit", "issued_on", "type", "owner", "updated_at"]
    code, words = said(desk, "preview", "requests")
    assert code == 0, words
    for path in written(desk):
        path.unlink()
    for more, told in (
        (["--table", "nothing"], "there is no table nothing; the database postgres on 127.0.0.1 has: permits"),
        (["--table", "permits"], "the user or the password is wrong"),
    ):
        password = ["--password", "TOWN_PASSWORD"] if told.startswith("there") else ["--password", "TOWN_TOKEN"]
        code, words = said(desk, "add", "requests", "--from", url, *more, *password, "--yes")
        assert (code, written(desk)) == (5, []), words
        assert told in words
        assert words.endswith("Nothing was written")


def test_a_table_of_sqlite(desk: Path, tmp_path: Path) -> None:
    """It has no type for times, so every fetch reads all rows; an empty table gives no draft."""
    with closing(sqlite3.connect(tmp_path / "town.db")) as database:
        database.execute("CREATE TABLE permits (permit integer PRIMARY KEY, issued_on text, type text)")
        database.execute("CREATE TABLE empty (a text)")
        database.executemany(
            "INSERT INTO permits VALUES (?, ?, ?)",
            [(n, f"2024-01-{n % 28 + 1:02d}", f"{CANARY} {n % 3}") for n in range(60)],
        )
        database.commit()
    url = f"sqlite:///{tmp_path}/town.db"
    found = added(desk, "--from", url, "--table", "permits")
    assert found["feed"] == {"kind": "sql", "url": url, "table": "permits"}
    assert (found["delivery"], found["record_id"]) == ("snapshot", ["permit"])
    code, words = said(desk, "add", "other", "--from", url, "--table", "empty", "--yes")
    assert (code, "the table empty: there is no record to look at. Nothing was written" in words) == (5, True), words


def test_machines_are_told_which_rows_were_looked_at(desk: Path, server_of: Callable[[Any], FeedServer]) -> None:
    """`classify` of a fetched source has seen its first records alone, and says so."""
    server = server_of(rows())
    added(desk, "--from", f"{server.url}/resource/{ID}", "--token", "TOWN_TOKEN")
    _, words = said(desk, "classify", "requests")
    assert "From the first records that the feed gave: later ones may hold other things." in words
    code, words = said(desk, "classify", "requests", "--json")
    assert (code, json.loads(words)["whole_file"]) == (0, False)
