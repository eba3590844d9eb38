"""A server is asked politely and with patience that ends, and its answers are trusted in nothing."""

from __future__ import annotations

import stat
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from certificates import write_certificate

import publisher
from publisher.errors import DefinitionError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fetched_cities import FetchedCity


@pytest.fixture
def city(city_of: Callable[[str], FetchedCity]) -> FetchedCity:
    return city_of("Socrata")


def refused(city: FetchedCity) -> str:
    """The one message of a landing that fails; nothing half is there."""
    with pytest.raises(SourceError) as error:
        city.town.land()
    assert city.town.raw_files() == []
    assert "\n" not in str(error.value)
    return str(error.value).replace(city.server.host, "HOST")


def test_publisher_says_who_it_is(city: FetchedCity) -> None:
    """Every request names publisher and its version, or what the definition says."""
    city.town.land()
    assert {asked.headers["User-Agent"] for asked in city.server.asked} == {f"publisher/{publisher.__version__}"}
    city.town.edit("attempts = 2", 'attempts = 2\nuser_agent = "Town (data@town.example)"')
    city.town.land()
    assert city.server.asked[-1].headers["User-Agent"] == "Town (data@town.example)"


def test_requests_are_spread(city: FetchedCity) -> None:
    """At most as many requests are sent in a second as the definition allows."""
    city.town.edit("requests_per_second = 50", "requests_per_second = 5")
    start = time.monotonic()
    city.town.land()
    assert time.monotonic() - start >= (len(city.server.asked) - 1) / 5


@pytest.mark.parametrize("date", [False, True], ids=["seconds", "date"])
def test_retry_after_is_obeyed(city: FetchedCity, date: bool) -> None:
    """The next try comes no sooner than the server asks, in seconds or by a date."""
    soon = datetime.now(UTC) + timedelta(seconds=3)
    city.server.retry_after = soon.strftime("%a, %d %b %Y %H:%M:%S GMT") if date else "2"
    city.server.faults = {1: "429"}
    start = time.monotonic()
    city.town.land()
    assert time.monotonic() - start >= (1 if date else 2)


def test_a_wait_that_is_too_long_ends_the_fetch(city: FetchedCity) -> None:
    """A server that asks for an hour is asked again by the next run."""
    city.server.retry_after = "3600"
    city.server.faults = {1: "429"}
    assert refused(city) == (
        "pipelines/requests.toml: feed: http://HOST asks to wait 3,600 seconds, more than longest_wait = 300: try "
        "again later. What came before is kept"
    )


def test_no_server_is_one_error(city: FetchedCity) -> None:
    """Nothing listens there: the host is named, and nothing else of the address."""
    city.town.edit(city.server.host, "127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached, or closed the connection: try again later" in refused(city)


def test_a_dataset_that_is_not_there_is_one_error(city: FetchedCity) -> None:
    """404 is not tried again."""
    city.town.edit("abcd-1234", "zzzz-9999")
    assert "does not have what the feed names (HTTP 404)" in refused(city)
    assert len(city.server.asked) == 1


def test_a_redirect_is_not_followed(city: FetchedCity) -> None:
    """Neither records nor a token go where a server points."""
    answer = city.server.answer
    city.server.answer = lambda asked: (302, answer(asked)[1])
    assert "has moved (HTTP 302): open it in a browser" in refused(city)


def test_a_clock_that_is_a_day_wrong_ends_the_fetch(city: FetchedCity) -> None:
    """Days decide what is released and charged, so this machine and the server must agree about them."""
    city.server.clock = timedelta(days=3)
    assert "set the clock that is wrong" in refused(city)


def test_an_answer_may_not_be_endless(city: FetchedCity, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sends more than any page has is stopped."""
    monkeypatch.setattr("publisher.feeds.web.LARGEST", 100)
    assert "sends more than 0 MB at once: set a smaller feed.page_size" in refused(city)


SECRETS = {
    "not set": ('token = { env = "NO_TOKEN" }', "feed.token: NO_TOKEN is not set: set it in the environment"),
    "no file": ('token = { file = "/nowhere/token" }', "feed.token: /nowhere/token cannot be read: No such file"),
    "empty": ('token = { file = "FOLDER/empty" }', "feed.token: FOLDER/empty is empty"),
    "odd": ('token = { file = "FOLDER/odd" }', "feed.token: FOLDER/odd has characters that no password or token has"),
    "binary": ('token = { file = "FOLDER/binary" }', "feed.token: FOLDER/binary is not text"),
}


@pytest.mark.parametrize("case", SECRETS)
def test_a_token_that_cannot_be_read_is_one_error(case: str, city: FetchedCity, tmp_path: Path) -> None:
    """The message names the variable or the file, before any request, and shows nothing that is in it."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "odd").write_text("two\nlines")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    setting, words = SECRETS[case]
    city.town.edit('token = { env = "TOWN_TOKEN" }', setting.replace("FOLDER", str(tmp_path)))
    assert f"pipelines/requests.toml: {words.replace('FOLDER', str(tmp_path))}" in refused(city)
    assert city.server.asked == []


def test_a_token_may_come_from_a_file(city: FetchedCity, tmp_path: Path) -> None:
    """With the line break that editors leave at its end."""
    (tmp_path / "token").write_text("t0k3n-of-the-town\n")
    city.town.edit('token = { env = "TOWN_TOKEN" }', f'token = {{ file = "{tmp_path / "token"}" }}')
    city.town.land()
    assert city.lost_and_twice() == (0, 0)


def test_an_account_of_the_machine_is_not_sent(
    city: FetchedCity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password in ~/.netrc is for other programs."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password secret\n")
    netrc.chmod(stat.S_IRUSR)
    monkeypatch.setenv("NETRC", str(netrc))
    city.town.land()
    assert not [asked for asked in city.server.asked if "Authorization" in asked.headers]


def test_a_certificate_that_is_not_trusted_ends_the_fetch(
    tmp_path: Path, city_of: Callable[[str], FetchedCity], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No record is asked for from a server that may be another; with its certificate trusted, the same one is read."""
    city = city_of("Open311")
    chain, key = write_certificate(tmp_path)
    server = city.records.server()
    server.certificate = (chain, key)
    with server.running():
        city.town.edit(city.server.url, server.url)
        assert "has a certificate that this machine does not trust" in refused(city)
        assert server.asked == []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(chain))
        city.town.edit("timeout = 1", 'timeout = 1\nuser_agent = "Town"')
        city.town.land()
    assert city.lost_and_twice() == (0, 0)


def test_a_proxy_is_for_servers_elsewhere(city: FetchedCity, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on this machine is asked directly, whatever proxy the environment names."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    city.town.land()
    assert city.lost_and_twice() == (0, 0)


def test_a_password_in_a_domain_is_not_shown(city: FetchedCity) -> None:
    """Whoever puts an account there finds the line, and a log does not find the password."""
    city.town.edit(f'domain = "{city.server.host}"', 'domain = "ann:hunter2@town.example"')
    with pytest.raises(DefinitionError, match=r"feed\.domain: is not a domain such as data") as error:
        _ = city.town.source
    assert "hunter2" not in str(error.value)
