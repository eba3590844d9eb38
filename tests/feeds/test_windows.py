"""Open311 and SeeClickFix: windows small enough for one answer, and nothing of people in what is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from fetched_cities import START, TODAY

from publisher.errors import DefinitionError, SourceError
from publisher.feeds import fetch

if TYPE_CHECKING:
    from collections.abc import Callable

    from feed_servers import Asked
    from fetched_cities import FetchedCity


def spans(city: FetchedCity) -> list[tuple[datetime, datetime]]:
    """The windows that were asked for."""
    names = ("start_date", "end_date") if city.kind == "Open311" else ("after", "before")
    return [tuple(datetime.fromisoformat(asked.query[name]) for name in names) for asked in city.server.asked]  # type: ignore[misc]


def _first(asked: Asked) -> bool:
    """Whether a request belongs to the first fetch, which wants issues whether or not they have changed."""
    return "updated_at_after" not in asked.query


@pytest.mark.parametrize("kind", ["Open311", "SeeClickFix"])
def test_many_records_of_one_second_are_read_page_by_page(kind: str, city_of: Callable[[str], FetchedCity]) -> None:
    """A second that has more than one answer holds is read in pages, and one that has exactly as many needs no more."""
    city = city_of(kind)
    busy = START + timedelta(days=9, seconds=1)
    for number in range(20, 27):
        city.records.put(str(number) if kind == "Open311" else number, busy, status="open")
    for number in (30, 31):
        city.records.put(str(number) if kind == "Open311" else number, busy + timedelta(days=2), status="open")
    city.town.land()
    assert city.lost_and_twice() == (0, 0)
    assert len(city.expected) == 15


def test_no_window_is_longer_than_the_standard_allows(city_of: Callable[[str], FetchedCity]) -> None:
    """An Open311 server is asked for at most 90 days and 1,000 requests at once, and for all
    time since the start."""
    city = city_of("Open311")
    city.town.edit(
        f"start = {START.isoformat()}", f"start = {(TODAY - timedelta(days=400)).isoformat()}\nwindow_days = 89"
    )
    city.town.edit("page_size = 2", "page_size = 1000")
    city.town.land()
    asked = spans(city)
    assert max(end - start for start, end in asked) <= timedelta(days=90)
    assert {each.query["page_size"] for each in city.server.asked} == {"1000"}
    leaves = sorted(asked)
    reached = leaves[0][0]
    for start, end in leaves:
        assert start <= reached
        reached = max(reached, end)
    assert reached > TODAY
    assert city.lost_and_twice() == (0, 0)


@pytest.mark.parametrize("paged", [True, False], ids=["paged", "unpaged"])
def test_a_server_with_a_lower_limit_of_its_own_is_noticed(paged: bool, city_of: Callable[[str], FetchedCity]) -> None:
    """An answer as large as the largest so far may have been cut, so its window is halved, whether or not the server
    knows pages."""
    city = city_of("Open311")
    city.town.edit("page_size = 2", "page_size = 1000")
    city.records.most, city.records.paged = 3, paged
    for number in range(6, 17):
        city.put(number, "open")
    city.town.land()
    assert len(city.expected) == 17
    assert city.lost_and_twice() == (0, 0)


def test_a_second_that_cannot_be_read_whole_is_refused(city_of: Callable[[str], FetchedCity]) -> None:
    """A server without pages, with more requests in one second than it gives: better no landing than a part."""
    city = city_of("Open311")
    city.records.most, city.records.paged = 2, False
    for number in range(20, 23):
        city.records.put(str(number), START + timedelta(days=9))
    with pytest.raises(SourceError, match="has more records in one second than it puts in one answer"):
        city.town.land()


@pytest.mark.parametrize("kind", ["Open311", "SeeClickFix"])
def test_a_server_that_ignores_windows_is_refused(kind: str, city_of: Callable[[str], FetchedCity]) -> None:
    """Otherwise halving would never end."""
    city = city_of(kind)
    city.town.edit(f"start = {START.isoformat()}", f"start = {(START - timedelta(days=20)).isoformat()}")
    answer = city.server.answer
    wide = {"start_date": "2000-01-01T00:00:00Z", "end_date": "2000-03-01T00:00:00Z"}
    wide |= {"after": "2000-01-01T00:00:00Z", "before": "2100-01-01T00:00:00Z"}
    if kind == "Open311":
        for number in range(3):
            city.records.put(str(number), datetime(2000, 2, 1, tzinfo=START.tzinfo))

    def ignoring(asked):  # type: ignore[no-untyped-def]
        return answer(type(asked)(asked.path, asked.query | wide, asked.headers, asked.target))

    city.server.answer = ignoring
    with pytest.raises(SourceError, match="is not what was asked for: this feed cannot be read"):
        city.town.land()
    assert len(city.server.asked) < 60


def test_open311_reads_the_last_days_again(city_of: Callable[[str], FetchedCity]) -> None:
    """Without a way to ask for changes, each fetch begins `revisit_days` before the one before it."""
    city = city_of("Open311")
    city.town.edit("page_size = 2", "page_size = 2\nrevisit_days = 5")
    city.town.land()
    before = len(city.server.asked)
    city.town.land()
    again = min(start for start, _ in spans(city)[before:])
    assert abs(again - (datetime.now(UTC) - timedelta(days=5, hours=1))) < timedelta(minutes=5)
    assert city.lost_and_twice() == (0, 0)


def test_seeclickfix_asks_for_what_has_changed(city_of: Callable[[str], FetchedCity]) -> None:
    """The second fetch asks for issues that changed since an hour before the first began, of whatever age."""
    city = city_of("SeeClickFix")
    for row in city.records.rows.values():
        row["updated_at"] = row["created_at"]
    city.town.land()
    before = len(city.server.asked)
    city.put(2, "closed")
    city.town.land()
    (asked,) = city.server.asked[before:]
    changed = datetime.fromisoformat(asked.query["updated_at_after"])
    assert abs(changed - (datetime.now(UTC) - timedelta(hours=1))) < timedelta(minutes=5)
    assert city.lost_and_twice() == (0, 0)


def test_seeclickfix_gives_archived_issues_too(city_of: Callable[[str], FetchedCity]) -> None:
    """The server leaves them out unless they are asked for, and old issues would be missing."""
    city = city_of("SeeClickFix")
    city.put(1, "Archived")
    city.town.land()
    assert city.lost_and_twice() == (0, 0)


def test_an_interrupted_fetch_goes_on(city_of: Callable[[str], FetchedCity], monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows that are read are not read again, and the first fetch is complete after the second try."""
    monkeypatch.setattr(fetch, "STEP", 2)
    city = city_of("SeeClickFix")
    city.server.faults = {8: "500", 9: "500"}
    with pytest.raises(SourceError):
        city.town.land()
    city.town.land()
    starts = [span[0] for span, asked in zip(spans(city), city.server.asked, strict=True) if _first(asked)]
    assert min(starts[9:]) > START
    assert city.lost_and_twice() == (0, 0)


NEVER = ("email", "first_name", "description", "media_url", "status_notes", "reporter.name", "assignee.name")


@pytest.mark.parametrize("column", NEVER)
@pytest.mark.parametrize("kind", ["Open311", "SeeClickFix"])
def test_reporters_free_text_and_pictures_are_never_read(
    kind: str, column: str, city_of: Callable[[str], FetchedCity]
) -> None:
    """A definition that would read them is refused, with the column's name."""
    city = city_of(kind)
    city.town.edit('"description" = ', '"old" = ') if kind == "Open311" else None
    city.town.edit("[columns]", f'[columns]\n"{column}" = {{ class = "private", statute = "s. 1" }}')
    with pytest.raises(DefinitionError, match=rf"columns\.{column}: is about a person, a picture or free text"):
        _ = city.town.source


def test_what_is_inside_is_named(city_of: Callable[[str], FetchedCity]) -> None:
    """A dotted name leads into an object; the object itself is refused, since it holds more than its name says."""
    city = city_of("SeeClickFix")
    read = '{ class = "private", statute = "s. 1" }'
    city.town.edit("[columns]", f'[columns]\n"request_type.title" = {read}\n"point.coordinates.0" = {read}')
    city.town.land()
    assert set(city.town.rows('"request_type.title", "point.coordinates.0"')) == {("Pothole", "-76.1474")}
    city.town.edit('"point.coordinates.0"', '"point"')
    with pytest.raises(
        SourceError, match=r'columns.point: holds objects or lists: name what is wanted inside, such as "point.key"'
    ):
        city.town.land()


def test_a_request_without_an_id_waits(city_of: Callable[[str], FetchedCity]) -> None:
    """Some servers number a request only later; it is landed when it has its id."""
    city = city_of("Open311")
    city.records.rows["0"]["service_request_id"] = None
    city.town.land()
    assert len(city.town.rows("1")) == 5
    city.put(0, "open")
    city.town.land()
    assert city.lost_and_twice() == (0, 0)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('url = "http://town.example/v2"', "feed.url: must begin with https://"),
        ('url = "https://ann:secret@town.example/v2"', "feed.url: is not an address such as"),
        ('url = "https://town.example/v2?key=1"', "feed.url: is not an address such as"),
        ("start = 2024-01-01T00:00:00", "feed.start: has no time zone"),
        ("window_days = 120", "feed.window_days: must be 89 or less"),
    ],
)
def test_what_is_wrong_in_a_feed_is_said(line: str, words: str, city_of: Callable[[str], FetchedCity]) -> None:
    """A password has no place in an address, strangers may not read along, and a time needs its zone."""
    city = city_of("Open311")
    text = city.town.path.read_text().splitlines()
    name = line.split(" ", maxsplit=1)[0]
    kept = [each for each in text if not each.startswith(f"{name} = ")]
    kept.insert(kept.index("[feed]") + 1, line)
    city.town.path.write_text("\n".join(kept))
    with pytest.raises(DefinitionError, match=words) as error:
        _ = city.town.source
    assert "secret" not in str(error.value)
