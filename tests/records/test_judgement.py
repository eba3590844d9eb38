"""What is beyond what a source accepts is not landed; what is few, old or placed again is judged with care."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from invented import HEADER, TODAY, City, definition

from publisher.errors import RefusedAtLandingError
from publisher.records.judgement import WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterable

GOOD, BAD = "2018-01-01", "01/31/2018"


def _rows(numbers: Iterable[int], when: str = GOOD, who: str = "a") -> str:
    return "\n".join([HEADER, *(f"{number},{who},{when},w{number},y" for number in numbers)]) + "\n"


def _refusal(city: City, received: date = TODAY) -> str:
    """What only the person who lands sees; the message itself is the same for everyone and every reason."""
    with pytest.raises(RefusedAtLandingError) as refused:
        city.land(received)
    folder = city.private / "reports" / "requests"
    assert (
        str(refused.value) == f"requests: refused at landing. Nothing was charged. The reasons are private, in {folder}"
    )
    assert max(map(len, refused.value.private.splitlines())) <= WIDTH
    return " ".join(refused.value.private.split())


def test_a_refused_file_can_be_replaced(city: City) -> None:
    """Its records are not known yet, also where files only append: the corrected file lands as if it were the first."""
    city.put(_rows(range(20), BAD))
    assert 'most of those read as "%m/%d/%Y"' in _refusal(city)
    assert _refusal(city)
    city.put(_rows(range(20)))
    assert city.land().new == 1
    assert len(city.rows()) == 20


def test_a_good_source_stops_at_the_bad_file(city: City) -> None:
    """What came before stays landed; what comes after waits, so that files land in their order."""
    city.put(_rows(range(20)), "raw/a.csv")
    city.put(_rows(range(20, 40), BAD), "raw/b.csv")
    city.put(_rows(range(40, 60)), "raw/c.csv")
    words = _refusal(city)
    assert "raw/a.csv" in words
    assert "raw/c.csv" not in words
    assert len(city.rows()) == 20
    city.source = definition(event={"formats": ("%Y-%m-%d", "%m/%d/%Y")})
    city.land()
    assert len(city.rows()) == 60


def test_an_unknown_shape_of_dates_is_shown(city: City) -> None:
    """No common format reads them: the shape is shown, without a value."""
    city.put(_rows(range(20), "week 7 of 2018"))
    words = _refusal(city)
    assert "Most of those look like aaaa 9 aa 9999 (the shape is shown, never a value)" in words
    assert "week 7" not in words


def test_few_rows_say_nothing_alone(city: City) -> None:
    """A small file may be odd altogether; many small ones together may not."""
    for number in range(3):
        city.put(_rows(range(3 * number, 3 * number + 3), BAD), f"raw/{number}.csv")
    assert city.land().new == 3
    city.put(_rows(range(9, 12), BAD), "raw/3.csv")
    assert "4 files together 12 rows read" in _refusal(city)
    city.source = definition(event={"formats": ("%m/%d/%Y",)})
    assert city.land().new == 4


def test_repeats_in_one_file_are_laid_to_the_record_id(city: City) -> None:
    """Where most rows repeat a record of their own file, the record id is named, not the delivery."""
    city.put("\n".join([HEADER, *(f"1,a,2018-01-01,w{number},y" for number in range(20))]) + "\n")
    words = _refusal(city)
    assert "record_id: 19 rows repeat a record of the same file: id may not tell its records apart" in words
    assert "delivery" not in words


def test_rows_that_cannot_be_read(city: City) -> None:
    """Too many rows of another length stop too."""
    city.put(_rows(range(20)) + "1,2\n" * 12)
    words = _refusal(city)
    assert "rejected: not readable as a row 12 37.5% limit 20% <- stops here" in words
    assert 'check the file and delimiter = ",", encoding = "utf-8"' in words


def test_a_refused_file_was_not_received(city: City) -> None:
    """With a policy for late records, its day is the day on which it lands at last."""
    city.source = definition(late={"policy": "freeze"})
    city.put(_rows(range(20), BAD))
    assert _refusal(city, date(2018, 3, 1))
    days = city.private / "receipts" / "requests" / "received.json"
    assert not days.exists() or json.loads(days.read_bytes()) == {}
    city.put(_rows(range(20)))
    city.land(date(2018, 3, 2))
    assert set(json.loads(days.read_bytes()).values()) == {"2018-03-02"}


def test_only_the_latest_of_snapshots_is_judged(city: City) -> None:
    """Older ones are never counted; a bad latest one stops, and the one before is not taken in its place. If the feed
    was first declared as one that appends, the content that a file has replaced is not asked for."""
    city.put(_rows(range(20)))
    city.land()
    city.source = definition(delivery="snapshot")
    city.put(_rows(range(30), who="b"))
    city.land()
    assert len(city.rows()) == 30
    city.put(_rows(range(20), BAD), "raw/b.csv")
    city.put(_rows(range(25)), "raw/c.csv")
    city.land()
    assert len(city.rows()) == 25
    city.put(_rows(range(20), BAD, "b"), "raw/d.csv")
    assert _refusal(city)
    assert _refusal(city)


def _square(x: float) -> dict[str, Any]:
    ring = [[x, 0], [x + 1, 0], [x + 1, 1], [x, 1], [x, 0]]
    return {"type": "Feature", "properties": {"name": "here"}, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def test_records_that_are_placed_again_are_judged_again(city: City) -> None:
    """New boundaries that hold no record stop the source; the old ones put it right, without landing again."""
    names = ("id", "who", "when", "what", "secret")
    columns = {name: {"class": "public", "statute": "none"} for name in names}
    place = {
        "point": {"x": "what", "y": "secret"},
        "boundaries": {"path": "places.geojson", "key": "name", "source": "The town"},
    }
    city.source = definition(columns=columns, places={"area": place})
    city.put("\n".join([HEADER, *(f"{n},a,2018-01-01,0.{n},0.5" for n in range(10, 40))]) + "\n")

    def bound(x: float) -> None:
        city.put(json.dumps({"type": "FeatureCollection", "features": [_square(x)]}), "places.geojson")

    bound(0)
    city.land()
    bound(50)
    assert "no place (area) 30 100.0% limit 50% <- stops here" in _refusal(city)
    assert _refusal(city)
    bound(0)
    assert city.land().new == 0
