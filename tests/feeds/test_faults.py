"""Each kind of server with each fault: after the landing no record is lost, and none is there twice."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fetched_cities import FetchedCity

KINDS = ("Socrata", "Open311", "SeeClickFix")
PAGE = Path(__file__).parents[2] / "docs" / "feeds.md"


def _waits(city: FetchedCity) -> None:
    city.server.faults = {2: "429"}
    city.town.land()


def _fails_once(city: FetchedCity) -> None:
    city.server.faults = {1: "500", 3: "500"}
    city.town.land()


def _cut(city: FetchedCity) -> None:
    city.server.faults = {2: "cut"}
    city.town.land()


def _half(city: FetchedCity) -> None:
    city.server.faults = {2: "half"}
    city.town.land()


def _other(city: FetchedCity) -> None:
    city.server.faults = {2: "other"}
    city.town.land()


def _added(city: FetchedCity) -> None:
    city.server.before = {2: lambda: city.put(7, "open"), 3: lambda: city.put(8, "open")}
    city.town.land()
    city.town.land()


def _changed_meanwhile(city: FetchedCity) -> None:
    city.server.before = {2: lambda: city.put(0, "closed"), 3: lambda: city.put(5, "closed")}
    city.town.land()
    city.town.land()


def _changed_later(city: FetchedCity) -> None:
    city.town.land()
    city.put(3, "closed")
    city.put(9, "open")
    city.town.land()


def _silent(city: FetchedCity) -> None:
    city.server.faults = {2: "silent", 3: "silent"}
    with pytest.raises(SourceError, match="does not answer in time: try again later"):
        city.town.land()
    city.town.land()


def _drips(city: FetchedCity) -> None:
    city.server.faults = {2: "slow"}
    city.town.land()


def _gone(city: FetchedCity) -> None:
    city.server.faults = {3: "500", 4: "500"}
    with pytest.raises(SourceError, match=r"cannot answer \(HTTP 500\)"):
        city.town.land()
    city.put(7, "open")
    city.put(0, "closed")
    city.town.land()


def _wrong_token(city: FetchedCity) -> None:
    city.town.land()
    right, city.records.token = city.records.token, "another"
    city.put(1, "closed")
    with pytest.raises(SourceError, match=r"refuses access \(HTTP 40[13]\): check the account or token of this feed"):
        city.town.land()
    city.records.token = right
    city.town.land()


FAULTS: dict[str, Callable[[FetchedCity], None]] = {
    "asks to wait (429 with `Retry-After`)": _waits,
    "fails (500), then answers": _fails_once,
    "fails until the next run": _gone,
    "closes the connection in an answer": _cut,
    "sends half of the JSON": _half,
    "sends JSON of another kind": _other,
    "never answers, until the next run": _silent,
    "answers byte by byte": _drips,
    "gets records while it is read": _added,
    "changes records while it is read": _changed_meanwhile,
    "changes records between fetches": _changed_later,
    "does not know the token, until it is corrected": _wrong_token,
}


def _documented() -> dict[str, list[str]]:
    """The table of the page, by its first column."""
    lines = re.findall(r"^\| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    cells = [line.split(" | ") for line in lines]
    start = next(n for n, line in enumerate(cells) if line[1:] == list(KINDS))
    return {line[0]: line[1:] for line in cells[start + 1 :] if line[0] in FAULTS}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_fault_loses_or_doubles_a_record(kind: str, fault: str, city_of: Callable[[str], FetchedCity]) -> None:
    """Lost and twice after the landing, as the page says: whatever the server does, 0 and 0."""
    city = city_of(kind)
    FAULTS[fault](city)
    assert len(city.server.asked) >= max(city.server.faults, default=0)
    assert not city.server.before
    assert len(city.town.rows("1")) >= 6
    assert city.lost_and_twice() == (0, 0)
    assert _documented()[fault][KINDS.index(kind)] == "0, 0"
    assert city.town.raw_files() == []


def test_the_page_has_every_fault() -> None:
    """The table is complete."""
    assert list(_documented()) == list(FAULTS)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_person_reaches_the_disk(kind: str, city_of: Callable[[str], FetchedCity]) -> None:
    """What is not read, of reporters, free text, pictures, is nowhere in the state folder, and neither is the token."""
    city = city_of(kind)
    city.town.land()
    held = city.town.held().lower()
    for trace in (b"ann example", b"ann-example", b"ann@", b"555-0100", b"free text", b".jpg", b"t0k3n"):
        assert trace not in held


@pytest.mark.parametrize("kind", KINDS)
def test_no_request_and_no_error_holds_the_token(kind: str, city_of: Callable[[str], FetchedCity]) -> None:
    """It goes in a header alone; a refusal does not repeat it, nor what the server says."""
    city = city_of(kind)
    city.town.land()
    city.records.token = "another"
    with pytest.raises(SourceError) as error:
        city.town.land()
    assert "t0k3n" not in str(error.value)
    assert "wrong" not in str(error.value)
    assert not [asked for asked in city.server.asked if "t0k3n" in asked.target]
