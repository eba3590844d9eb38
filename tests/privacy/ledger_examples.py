"""Charges of an invented source, for the tests of the ledger."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.privacy.ledger import ChargeRequest

if TYPE_CHECKING:
    from publisher.privacy.ledger import Ledger

TENTH = Fraction(1, 10)
DAYS = ("2020-01-01", "2020-01-02", "2020-01-03")
REQUEST = ChargeRequest(
    source="town",
    dataset="visits",
    period="2020-01",
    statistical_hash="a" * 64,
    currency="zcdp",
    unit="record",
    window="day",
    loss=TENTH,
    budget=Fraction(3, 10),
    blocks=("2020-01-01", "2020-01-02"),
    measurements=('{"scale": 2.5}',),
    event="opened in UTC",
    records="id; missing None",
)


def request(number: int, loss: Fraction = TENTH, **fields: object) -> ChargeRequest:
    """Another draw for each number."""
    return replace(REQUEST, statistical_hash=f"{number:064x}", loss=loss, **fields)  # type: ignore[arg-type]


def says(ledger: Ledger) -> tuple[object, ...]:
    """Everything that the ledger is asked for."""
    return tuple(ledger.entries()), tuple(ledger.spending())


def fill(ledger: Ledger) -> None:
    """Three charges and two facts."""
    for number in range(2):
        ledger.charge(request(number))
        ledger.record("release", {"dataset": "visits", "period": "2020-01", "edition": number})
    ledger.charge(request(7, source="village"))
