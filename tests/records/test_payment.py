"""Numbers of cards and bank accounts do not land."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest
from invented import HEADER, City, definition

from publisher.errors import RefusedAtLandingError
from publisher.records.payment import payment_looks, payment_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

CARD = "4111111111111111"
"""The number that every maker of payment forms tests with."""


IBANS = ("DE89 3704 0044 0532 0130 00", "FR1420041010050500013M02606")
"""Examples of the standard."""


def digit(start: str) -> str:
    """The number with its check digit by Luhn's rule, worked out the long way."""
    return next(f"{start}{last}" for last in range(10) if checked(f"{start}{last}"))


def checked(number: str) -> bool:
    doubled = [int(each) * (2 if place % 2 else 1) for place, each in enumerate(reversed(number))]
    return sum(each - 9 if each > 9 else each for each in doubled) % 10 == 0


def cards(count: int) -> list[str]:
    return [digit(f"4{number:014}") for number in range(7_000, 7_000 + 31 * count, 31)]


def put(city: City, numbers: Sequence[str], column: str = "what", name: str = "raw/a.csv", rows: int = 100) -> None:
    """A file of so many rows of which the first have the numbers in that column."""
    lines = [HEADER]
    for row in range(rows):
        cells = {"id": f"{name}{row}", "who": "a", "when": "2018-01-01", "what": f"w{row}", "secret": "y"}
        cells |= {column: numbers[row]} if row < len(numbers) else {}
        lines.append(",".join(cells.values()))
    city.put("\n".join(lines) + "\n", name)


def refused(city: City) -> str:
    """What the person who lands sees; nobody else learns more than that there is a refusal."""
    with pytest.raises(RefusedAtLandingError) as error:
        city.land()
    assert str(error.value).startswith("requests: refused at landing. Nothing was charged. The reasons are private")
    assert not list((city.private / "landed").rglob("*.parquet"))
    return " ".join(error.value.private.split())


@pytest.mark.parametrize("form", ["{}", "paid with {} by phone", "ref:{}"])
def test_cards_in_a_column_that_is_read_stop_the_landing(city: City, form: str) -> None:
    """Before anything is landed; the words on the terminal name column and file, and no number."""
    numbers = cards(10)
    put(city, [form.format(number) for number in numbers])
    words = refused(city)
    assert "requests: raw/a.csv 100 rows read" in words
    assert "card or bank numbers: what 10 10.0% <- stops here" in words
    assert "columns.what: has numbers of cards or bank accounts, by their check digits: set read = false" in words
    assert not [number for number in numbers if number in words]


def test_a_column_that_is_not_read_stops_nothing(city: City) -> None:
    """It never lands."""
    put(city, cards(50), "secret")
    assert city.land().new == 1


def test_a_person_may_accept_with_a_reason(city: City) -> None:
    """The column is named; another one stops all the same."""
    put(city, cards(50))
    city.source = definition(feed={"accept": {"payment": ("who",), "reason": "not this one"}})
    assert 'accept = { payment = ["what"], reason = "…" }' in refused(city)
    city.source = definition(feed={"accept": {"payment": ("what",), "reason": "numbers of test terminals"}})
    assert city.land().new == 1


def test_fewer_than_ten_never_decide_alone(city: City) -> None:
    """The rule is fixed, as for every other limit: nine rows are shown to the person who lands, and ten stop. Small
    files count together."""
    put(city, cards(9))
    (batch,) = city.land().batches
    assert batch.payment == {"what": 9}
    put(city, cards(1), name="raw/b.csv")
    with pytest.raises(RefusedAtLandingError):
        city.land()


def test_other_long_numbers_are_no_cards(city: City) -> None:
    """Of numbers given one after the other one in ten has the check digit by chance: that is no proof."""
    numbers = [f"{4_000_000_000_000_000 + number}" for number in range(400)]
    assert sum(map(checked, numbers)) == 40
    put(city, numbers, rows=400)
    (batch,) = city.land().batches
    assert batch.payment == {}


def test_each_kind_of_number() -> None:
    """Cards with and without blanks, IBANs, and routing numbers by their check digits; what lacks them is none."""
    rows = [
        (CARD, "4111 1111 1111 1111", "3782-822463-10005", "GB82 WEST 1234 5698 7654 32", "ES9121000418450200051332"),
        ("5555555555554444", "5555-5555-5555-4444", "378282246310005", *IBANS),
    ]
    others = [("021000021", "4111111111111112", "GB83WEST12345698765432", "612-555-0100", "123456789")] * 2
    connection = duckdb.connect()
    for name, values in (("good", rows), ("other", others)):
        connection.execute(f"CREATE TABLE {name} (a VARCHAR, b VARCHAR, c VARCHAR, d VARCHAR, e VARCHAR)")
        connection.executemany(f"INSERT INTO {name} VALUES (?, ?, ?, ?, ?)", values)
    found = {
        name: payment_numbers(payment_looks(list("abcde"), f"(SELECT *, 0 AS _file FROM {name})", connection)[0])
        for name in ("good", "other")
    }
    assert found == {"good": dict.fromkeys("abcde", 2), "other": {"a": 2}}
