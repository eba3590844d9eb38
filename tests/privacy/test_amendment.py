"""Corrected readings of dates: where they could have been counted before, and what that costs a block now."""

from __future__ import annotations

from fractions import Fraction

import pytest

from publisher.privacy.account import ChargeLine, blocks_of
from publisher.privacy.amendment import ChargeMade, DateReading, carried, origins

IN_UTC = "opened in UTC"


def reading(clock: str, event: str = IN_UTC) -> DateReading:
    """A reading of the texts `opened`, in UTC if nothing else is said."""
    return DateReading(event, clock if "; " in clock else f"{clock}; UTC")


@pytest.mark.parametrize(
    ("new", "old", "block", "found"),
    [
        ("%d/%m/%Y", "%m/%d/%Y", "2024-03", {f"2024-{month:02d}" for month in range(1, 13)}),
        ("%d/%m/%Y", "%m/%d/%Y", "2024-03-05", {"2024-03-05", "2024-05-03"}),
        ("%d/%m/%Y", "%m/%d/%Y", "2024-03-25", {"2024-03-25"}),
        ("%Y-%m-%d", "%Y/%m/%d", "2024-03", {"2024-03"}),
        ("%d/%m/%y", "%y/%m/%d", "2024-03-05", {"2024-03-05", "2005-03-24"}),
        ("%Y%-m%-d", "%Y%m%d", "2024-03", {"2024-03"}),
        ("%d/%m/%y", "%d/%m/%Y", "2000-05", {"2000-05"}),
        ("%b %d, %Y", "%b %d, %Y, %Y-%m-%d", "2024-03", {"2024-01", "2024-03"}),
        ("%Y-%m-%d", "%Y-%m-%d", "2024-W10", {"2024-W10"}),
    ],
)
def test_dates_are_found_where_the_old_reading_put_them(new: str, old: str, block: str, found: set[str]) -> None:
    """Day and month swapped, two-digit years, weeks; and a format with a comma, of which `%Y` may have been a format of
    its own. The window of the same name is always one: an export that changed its format was read rightly before."""
    assert origins(reading(new), reading(old), [block]) == {block: found}


def test_a_zone_moves_dates_across_the_edge_of_a_window() -> None:
    """Times that were taken for UTC lie up to six hours earlier in Chicago; a window cut in UTC ends later."""
    chicago = "opened in America/Chicago"
    right = DateReading(chicago, "%Y-%m-%d %H:%M; America/Chicago")
    assert origins(right, DateReading(chicago, "%Y-%m-%d %H:%M; UTC"), ["2024-03-05"]) == {
        "2024-03-05": {"2024-03-04", "2024-03-05"}
    }
    assert origins(right, DateReading(IN_UTC, right.clock), ["2024-03"]) == {"2024-03": {"2024-03", "2024-04"}}


@pytest.mark.parametrize(
    ("decimals", "before"),
    [("", ""), (".%f", ".%g"), (".%f", ".%f"), (".%g", ".%g"), (".%g", ".%f"), (".%n", ".%g"), (".%n", ".%f")],
)
def test_a_quarter_of_an_hour_is_seen_at_the_edge_of_every_day(decimals: str, before: str) -> None:
    """Kathmandu is 15 minutes before Kolkata: each day was read into two, whatever decimals its seconds have."""
    here = "opened in Asia/Kathmandu"
    days = [f"2024-05-{day:02d}" for day in range(2, 30)]
    new = DateReading(here, f"%Y-%m-%d %H:%M:%S{decimals}; Asia/Kathmandu")
    old = DateReading(here, f"%Y-%m-%d %H:%M:%S{before}; Asia/Kolkata")
    found = origins(new, old, days)
    assert found is not None
    assert {len(each) for each in found.values()} == {2}


def test_the_day_of_receipt_is_read_by_no_format() -> None:
    """Where late records are frozen, other formats move nothing; another zone may move anything."""
    frozen = [DateReading("day of receipt in UTC", f"{form}; UTC") for form in ("%m/%d/%Y", "%d/%m/%Y")]
    assert origins(*frozen, ["2020-01-25"]) == {"2020-01-25": {"2020-01-25"}}
    assert origins(frozen[0], DateReading("day of receipt in Asia/Tokyo", frozen[0].clock), ["2020-01-25"]) is None


def test_formats_that_are_known_one_by_one_are_not_taken_together() -> None:
    """Newer charges name them; then the year of a format with a comma is no format of its own."""
    new, old = (DateReading(IN_UTC, "%b %d, %Y; UTC", ("%b %d, %Y",)) for _ in range(2))
    assert origins(new, old, ["2024-03"]) == {"2024-03": {"2024-03"}}


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (reading("%Y-%m-%d"), reading("%Y-%m-%d", "closed in UTC")),
        (reading("%Y-%m-%d"), DateReading(IN_UTC, "")),
        (reading("%Y-%m-%d %z"), reading("%Y-%m-%d")),
        (reading("%Y-%m-%d %H:%M"), reading("%Y-%M-%d %H:%m")),
    ],
)
def test_where_the_readings_do_not_tell_any_window_is_possible(new: DateReading, old: DateReading) -> None:
    """Another column, an old charge without its formats, zones in the texts, minutes that were read as months."""
    assert origins(new, old, ["2024-03"]) is None


def made(number: int, *blocks: str, loss: str = "1/10", records: bool = False, squared: bool = True) -> ChargeMade:
    """A charge under the reading that swaps day and month."""
    line = ChargeLine(number, "town", "", loss, f"town {number} hash", 0, "1/1000000")
    return ChargeMade(line, blocks, reading("%m/%d/%Y"), records, squared)


def spent(block: str, *charges: ChargeMade) -> tuple[Fraction, Fraction]:
    """What counts on one block once day and month are told apart."""
    lines = list(carried(reading("%d/%m/%Y"), charges, [block]))
    found = blocks_of(lines).get(("town", block))
    return found.spent if found is not None else (Fraction(0), Fraction(0))


def test_windows_that_met_in_one_release_cost_their_number_squared() -> None:
    """Three months in one release cost 9ρ, or 3ε; in three releases 3ρ; a release of other days costs nothing. A key
    that was counted three times for one unit may have been shown with certainty."""
    quarter = ("2024-01", "2024-02", "2024-03")
    assert spent("2024-03", made(1, *quarter)) == (Fraction(9, 10), 1)
    assert spent("2024-03", made(1, "2024-02")) == (Fraction(1, 10), Fraction(1, 1_000_000))
    assert spent("2024-03", made(1, *quarter, squared=False))[0] == Fraction(3, 10)
    assert spent("2024-03", *(made(n, month) for n, month in enumerate(quarter)))[0] == Fraction(3, 10)
    assert spent("2024-03-25", made(1, "2024-03-26")) == (0, 0)


def test_a_record_was_in_one_window() -> None:
    """It bears what the window that spent most has spent, not the sum, and the larger δ of any."""
    months = [made(n, f"2024-{n:02d}", records=True) for n in (1, 2)]
    assert spent("2024-03", *months, made(3, "2024-02", loss="1/5", records=True))[0] == Fraction(3, 10)
    assert spent("2024-03", made(1, "2024-01", "2024-02", records=True))[0] == Fraction(1, 10)
