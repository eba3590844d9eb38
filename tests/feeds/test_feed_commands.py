"""The commands with a source that is fetched: check, preview, classify, land and run."""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from fetched_cities import START
from fetched_town import FetchedTown

from publisher.cli import main
from publisher.commands import terminal
from publisher.definitions.source import Source
from publisher.definitions.toml import read_toml
from publisher.errors import DefinitionError
from publisher.pipeline.consent import newest_arrival

if TYPE_CHECKING:
    from collections.abc import Callable

    from fetched_cities import FetchedCity

pytestmark = pytest.mark.usefixtures("processes")
"""A run begins the process that judges its release."""


KINDS = ("Socrata", "Open311", "SeeClickFix")
DOCS = Path(__file__).parents[2] / "docs"


def said(city: FetchedCity, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the command in the town's workspace."""
    monkeypatch.chdir(city.town.root)
    answer = CliRunner().invoke(main, list(arguments))
    return answer.exit_code, answer.stdout, answer.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_check_asks_the_server(
    kind: str, city_of: Callable[[str], FetchedCity], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check --data` says that the server has the columns, or in one line what is wrong (5); nothing is kept."""
    city = city_of(kind)
    city.town.count("2026-01-01")
    code, out, _ = said(city, monkeypatch, "check", "--data", "--json")
    found = [each for each in json.loads(out) if each["what"] == "requests: feed"]
    assert (code, found[0]["finding"]) == (0, f"{kind.lower()}: answers, with the 3 columns that are read")
    assert not (city.town.root / "state").exists()
    city.records.token = "another"
    code, out, _ = said(city, monkeypatch, "check", "--data", "--json")
    assert code == 5
    assert "refuses access" in out
    assert "open" not in out


@pytest.mark.parametrize("kind", ["Open311", "SeeClickFix"])
def test_check_names_columns_that_no_record_has(
    kind: str, city_of: Callable[[str], FetchedCity], monkeypatch: pytest.MonkeyPatch
) -> None:
    """These servers have no list of columns, so it is a warning, by what the latest records have."""
    city = city_of(kind)
    city.town.edit("[columns]", '[columns]\nward_number = { class = "public", statute = "s. 1" }')
    _, out, _ = said(city, monkeypatch, "check", "--data", "--json")
    warned = [each["finding"] for each in json.loads(out) if each["status"] == "warning"]
    assert [words for words in warned if words.endswith("of the last 30 days has ward_number")]


@pytest.mark.parametrize("kind", KINDS)
def test_preview_and_classify_look_at_the_beginning(
    kind: str, city_of: Callable[[str], FetchedCity], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both fetch the first records into a folder that is gone afterward; nothing is landed or remembered."""
    city = city_of(kind)
    code, out, err = said(city, monkeypatch, "preview", "requests")
    assert (code, err) == (0, "")
    assert re.search(r"\.parquet +6 rows read", out)
    code, out, err = said(city, monkeypatch, "classify", "requests")
    assert (code, err) == (0, "")
    assert not city.town.fetched.exists()
    assert b"open" not in (city.town.held() if (city.town.root / "state").exists() else b"")


@pytest.mark.parametrize("kind", KINDS)
def test_land_says_what_it_fetches(
    kind: str, city_of: Callable[[str], FetchedCity], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress goes to the error stream, without a count; a server that fails is one line with exit code 5."""
    city = city_of(kind)
    code, out, err = said(city, monkeypatch, "land")
    assert (code, out) == (0, "requests: 1 new files, 0 known\n")
    assert err.startswith("requests: fetched a delivery\nrequests: landing 20")
    city.records.token = "another"
    code, out, err = said(city, monkeypatch, "land")
    assert (code, out) == (5, "")
    assert err.startswith("error: pipelines/requests.toml: feed: http://127.0.0.1")
    assert len(err.splitlines()) == 1


def test_a_run_fetches_lands_and_releases(
    city_of: Callable[[str], FetchedCity], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run` fetches what it needs before it charges, and releases; a server that fails stops it before that."""
    city = city_of("SeeClickFix")
    day = (START + timedelta(days=1)).date().isoformat()
    city.town.count(day)
    arguments = ("run", "requests", "--period", day, "--no-push", "--json")
    city.records.token = "another"
    code, out, _ = said(city, monkeypatch, *arguments)
    assert code == 5, out
    assert not list((city.town.root / "state").rglob("manifest.json"))
    city.records.token = "t0k3n-of-the-town"
    code, out, err = said(city, monkeypatch, *arguments)
    assert code == 0, out + err
    assert len(list((city.town.root / "state").rglob("manifest.json"))) == 1
    assert city.lost_and_twice() == (0, 0)


def test_a_run_tells_that_it_fetches(city_of: Callable[[str], FetchedCity], monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pipe, a line now and then while a server takes long; none with --json, whose log is for errors."""
    monkeypatch.setattr(terminal, "EVERY", 0.05)
    city = city_of("SeeClickFix")
    day = (START + timedelta(days=1)).date().isoformat()
    city.town.count(day)
    city.server.before = {number: partial(time.sleep, 0.3) for number in (1, 2)}
    code, _, err = said(city, monkeypatch, "run", "requests", "--period", day, "--no-push")
    assert code == 0, err
    assert "requests: fetching its records: 0 of 1 steps done, after " in err
    city.server.before = {number: partial(time.sleep, 0.3) for number in range(1, 50)}
    day = (START + timedelta(days=2)).date().isoformat()
    code, _, err = said(city, monkeypatch, "run", "requests", "--period", day, "--no-push", "--json")
    assert (code, "fetching" in err) == (0, False), err


@pytest.mark.parametrize("kind", ["Socrata", "Open311", "SeeClickFix"])
def test_no_single_record_decides_whether_there_is_a_release(
    kind: str, city_of: Callable[[str], FetchedCity], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neighbors: with one record and with none at all, a run releases the day."""
    city = city_of(kind)
    city.records.rows.clear()
    city.town.count((START + timedelta(days=1)).date().isoformat())
    arguments = ("run", "requests", "--period", (START + timedelta(days=1)).date().isoformat(), "--no-push", "--json")
    code, out, err = said(city, monkeypatch, *arguments)
    assert code == 0, out + err
    assert len(list((city.town.root / "state").rglob("manifest.json"))) == 1


def test_a_fetched_source_has_no_newest_file(city_of: Callable[[str], FetchedCity]) -> None:
    """What is fetched is as new as the run, so no run asks whether its file has arrived."""
    city = city_of("Socrata")
    assert newest_arrival(city.town.source, city.town.workspace) is None


def test_sources_of_one_dataset_protect_the_same_people(city_of: Callable[[str], FetchedCity]) -> None:
    """Two sources that fetch the same records count together; another dataset is another matter."""
    city = city_of("Socrata")
    text = city.town.path.read_text().replace('population = "town"', 'population = "other"')
    for name, dataset in (("again", "abcd-1234"), ("else", "zzzz-9999")):
        (city.town.path.parent / f"{name}.toml").write_text(text.replace("abcd-1234", dataset))
        (city.town.path.parent / f"{name}.sql").write_text("SELECT 1 AS one FROM raw\n")
    workspace = city.town.workspace
    same = workspace.same_people(workspace.source("requests"))
    assert [source.name for source in same] == ["again", "requests"]


SINCE = "\nstart = 2026-01-01T00:00:00Z"
TOWN = "https://311.example.gov/v2"
PLACES = [
    ('kind = "socrata"\ndomain = "{}"\ndataset = "abcd-1234"', "data.example.gov", "DATA.example.gov:443"),
    (f'kind = "open311"\nurl = "{{}}"{SINCE}', TOWN, "https://311.Example.gov:443/v2/"),
    (f'kind = "open311"\nurl = "{TOWN}"\n{{}}{SINCE}', "", 'jurisdiction_id = "town"'),
    (f'kind = "seeclickfix"\nurl = "{{}}"\nplace_url = "t"{SINCE}', TOWN, TOWN.upper().replace("/V2", "/v2")),
]


@pytest.mark.parametrize(("feed", "one", "other"), PLACES)
def test_one_server_is_one_place_however_it_is_written(feed: str, one: str, other: str, tmp_path: Path) -> None:
    """Two sources of the same records count together in a guarantee, also if one writes the address in another way."""
    made = [
        FetchedTown.made(tmp_path / str(n), feed.format(words), {"id": True, "d": True}, key="id", time="d").source
        for n, words in enumerate((one, other))
    ]
    assert made[0].shares_files(made[1])


def test_a_port_that_is_none_is_refused(tmp_path: Path) -> None:
    """One message with the line, no traceback."""
    feed = 'kind = "socrata"\ndomain = "data.example.gov:99999"\ndataset = "abcd-1234"'
    with pytest.raises(DefinitionError, match=r"feed\.domain: is not a domain"):
        _ = FetchedTown.made(tmp_path / "town", feed, {"id": True, "d": True}, key="id", time="d").source


def test_a_fetched_dataset_gives_no_keys(
    city_of: Callable[[str], FetchedCity], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keyset is not made from the dataset that a source fetches: it has records."""
    city = city_of("Socrata")
    address = f"{city.server.url}/resource/abcd-1234"
    code, out, err = said(city, monkeypatch, "keyset", "statuses", "--from", address, "--key", "status")
    assert code == 2, out
    assert "is the dataset that the source requests fetches" in err


BLOCKS = re.findall(r"```toml\n(title = .*?)```", (DOCS / "feeds.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.findall(r'kind = "(\w+)"', block)[0])
def test_every_example_is_complete(block: str, tmp_path: Path) -> None:
    """The page's definitions are read as they stand."""
    (tmp_path / "example.toml").write_text(block, encoding="utf-8")
    values, _ = read_toml(tmp_path / "example.toml", "example.toml")
    made = Source.model_validate(values)
    assert made.feed.kind in block
    assert made.fetched


def test_every_kind_has_an_example() -> None:
    """A section for each kind of server."""
    kinds = [re.findall(r'kind = "(\w+)"', block)[0] for block in BLOCKS]
    assert {"socrata", "open311", "seeclickfix"} <= set(kinds)
