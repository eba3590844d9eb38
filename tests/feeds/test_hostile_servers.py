"""A server may send what it likes: a fetch ends in time, in little memory, and with one message."""

from __future__ import annotations

import gzip
import time
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from raw_server import raw_server

from publisher.errors import PortalError, SourceError
from publisher.reference import open_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from feed_servers import Asked
    from fetched_cities import FetchedCity
    from raw_server import RawConnection

LATE = "does not answer in time: try again later"
OK = b"HTTP/1.1 200 OK\r\n"


def _headers(line: RawConnection) -> None:
    line.send(OK + b"X: ")
    line.drip(b"a")


def _interim(line: RawConnection) -> None:
    line.drip(b"HTTP/1.1 100 Continue\r\n\r\n")


def _trailers(line: RawConnection) -> None:
    line.send(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n")
    line.drip(b"A: b\r\n")


def _body(line: RawConnection) -> None:
    """It ends with the connection, so that one that was cut looks whole: [] and blanks."""
    line.send(OK + b"\r\n[]")
    line.drip(b" ")


def _handshake(line: RawConnection) -> None:
    line.send(b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb")
    line.drip(b"\x03")


DRIPS = {
    "headers": _headers,
    "interim answers": _interim,
    "trailers": _trailers,
    "body": _body,
    "handshake": _handshake,
}


@pytest.mark.parametrize("what", DRIPS)
def test_no_part_of_an_answer_is_waited_for_without_end(what: str, city_of: Callable[[str], FetchedCity]) -> None:
    """`timeout` is for one whole answer, from the first byte of TLS to the last trailer, however it drips in."""
    city = city_of("Open311")
    secure = what == "handshake"
    with raw_server(DRIPS[what], reading=not secure) as (host, lines):
        city.town.edit(city.server.url, f"{'https' if secure else 'http'}://{host}")
        start = time.monotonic()
        with pytest.raises(SourceError, match=LATE):
            city.town.land()
        assert time.monotonic() - start < 10  # two tries of one second
        assert len(lines) == 2
    assert city.town.raw_files() == []


@pytest.mark.parametrize("place", [b"http://127.0.0.1:9/", b"file:///etc/passwd", b"http://[::1"])
def test_where_a_redirect_leads_is_not_looked_at(place: bytes, city_of: Callable[[str], FetchedCity]) -> None:
    """Neither is its endless body read."""

    def send(line: RawConnection) -> None:
        line.send(b"HTTP/1.1 302 Found\r\nLocation: " + place + b"\r\n\r\n")
        line.drip(b"a" * 1000, 10**8)

    city = city_of("Open311")
    with raw_server(send) as (host, lines):
        city.town.edit(city.server.host, host)
        with pytest.raises(SourceError, match=r"has moved \(HTTP 302\): open it in a browser"):
            city.town.land()
        assert lines[0].sent < 10**6


@pytest.mark.parametrize("layers", [1, 2])
def test_an_answer_that_unpacks_to_gigabytes_is_stopped(layers: int, city_of: Callable[[str], FetchedCity]) -> None:
    """What counts is what comes out, however often it was packed."""
    body = gzip.compress(b" " * 100_000_000, 1)
    body = gzip.compress(body) if layers > 1 else body
    told = b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (b", ".join([b"gzip"] * layers), len(body))
    city = city_of("Open311")
    city.town.edit("timeout = 1", "timeout = 20")
    with raw_server(lambda line: line.send(OK + told + body)) as (host, _):
        city.town.edit(city.server.host, host)
        with pytest.raises(SourceError, match="sends more than 64 MB at once"):
            city.town.land()


@pytest.mark.parametrize("asked", [b"\xb2", b"-1", b"1e9", b"nan", b"Mon, 01 Jan 2024 00:00:00 +99999999999"])
def test_a_pause_that_is_none_is_not_obeyed(asked: bytes, city_of: Callable[[str], FetchedCity]) -> None:
    """A header that is neither seconds nor a date is one message, no traceback."""
    told = b"HTTP/1.1 429 Wait\r\nRetry-After: " + asked + b"\r\nContent-Length: 0\r\n\r\n"
    city = city_of("Open311")
    with raw_server(lambda line: line.send(told)) as (host, _):
        city.town.edit(city.server.host, host)
        with pytest.raises(SourceError, match=r"asks to wait \(HTTP 429\): try again later"):
            city.town.land()


def test_a_public_list_is_asked_for_in_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The portal of a keyset's list is not waited for without end, and leads nowhere."""
    monkeypatch.setattr(open_data, "SECONDS", 1.5)

    def moved(line: RawConnection) -> None:
        line.send(b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n")
        line.drip(b"a" * 1000, 10**8)

    for sending, words in ((_headers, "does not answer in time"), (moved, "has moved")):
        with raw_server(sending) as (host, _), pytest.raises(PortalError, match=words):
            open_data.column_list(f"http://{host}/resource/abcd-1234", "kind", None, {})


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S", "%m/%d/%Y"])
@pytest.mark.parametrize("kind", ["Open311", "SeeClickFix"])
def test_windows_that_change_nothing_end_the_fetch(kind: str, form: str, city_of: Callable[[str], FetchedCity]) -> None:
    """A server that gives the same records whatever the window is noticed also by times without a zone, and by times
    that cannot be read, after some seconds with nothing new."""
    city = city_of(kind)
    long_ago = f"{datetime(2000, 2, 1, tzinfo=UTC):{form}}"
    records = [row | {"created_at": long_ago, "requested_datetime": long_ago} for row in city.records.rows.values()]

    def answer(asked: Asked) -> tuple[int, Any]:
        page = int(asked.query["page"])
        shown = records[2 * page - 2 : 2 * page]
        pages = {"pagination": {"page": page, "pages": 3}}
        return 200, shown if kind == "Open311" else {"issues": shown, "metadata": pages}

    city.server.answer = answer
    with pytest.raises(SourceError, match="is not what was asked for: this feed cannot be read"):
        city.town.land()
    assert len(city.server.asked) < 100


def test_a_second_without_end_ends_the_fetch(
    city_of: Callable[[str], FetchedCity], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages that always have something new would fill the memory."""
    monkeypatch.setattr("publisher.feeds.windows.CROWDED", 50)
    city = city_of("SeeClickFix")
    numbers = count()

    def answer(asked: Asked) -> tuple[int, Any]:
        row = {"created_at": asked.query["after"], "status": "open"}
        pages = {"page": asked.query["page"], "pages": 10**30}
        return 200, {"issues": [row | {"id": next(numbers)} for _ in range(10)], "metadata": {"pagination": pages}}

    city.server.answer = answer
    with pytest.raises(SourceError, match="has more than 50 records in one second"):
        city.town.land()
    assert city.town.raw_files() == []


def test_rows_that_go_around_end_the_fetch(city_of: Callable[[str], FetchedCity]) -> None:
    """A Socrata server, or a cache before it, that answers with earlier pages: they would be asked for forever."""
    city = city_of("Socrata")
    answer = city.server.answer
    pages = count()

    def around(asked: Asked) -> tuple[int, Any]:
        where = {"$where": ""} if next(pages) % 3 == 2 else {}
        return answer(type(asked)(asked.path, asked.query | where, asked.headers, asked.target))

    city.server.answer = around
    with pytest.raises(SourceError, match="gives rows in another order than that of :updated_at"):
        city.town.land()
