"""The guarantee says what the ledger says, and never more."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher.privacy.mechanism import epsilon_of
from publisher.release.guarantee import TINY, guarantee, statement
from publisher.release.manifest import Charge, TableCharge

if TYPE_CHECKING:
    from conftest import Town

LOSSES = st.fractions(Fraction(1, 10_000), 3)


def charge(loss: Fraction, currency: str) -> Charge:
    table = TableCharge(
        measure="requests", mechanism="discrete gaussian", scale=2.2360679, sensitivity="Δ₁ = 1, Δ₂ = 1", loss=str(loss)
    )
    return Charge(currency=currency, loss=str(loss), blocks=("2020-01-01", "2020-01-02"), tables=(table,))  # type: ignore[arg-type]


def percents(text: str) -> list[float]:
    return [float(each) for each in re.findall(r"([0-9.]+) %", text)]


def odds(loss: float, currency: str) -> tuple[float, ...]:
    """By the formulas: presence, belief and (zCDP) which of two records."""
    if currency == "pure":
        return (math.exp(loss) / (1 + math.exp(loss)),) * 2
    epsilon = loss + 2 * math.sqrt(loss * math.log(1e6))
    belief = 1 / (1 + math.exp(-epsilon))
    return min(1, 0.5 + 0.5 * math.sqrt(loss / 2)), belief, min(1, 0.5 + 0.5 * math.sqrt(2 * loss))


@settings(max_examples=150, deadline=None)
@given(loss=LOSSES, currency=st.sampled_from(["zcdp", "pure"]))
def test_no_number_is_rounded_in_its_favour(town: Town, loss: Fraction, currency: str) -> None:
    """Odds and ε are the formulas' values or a little more, in the file and in the words."""
    epsilon = epsilon_of(loss, TINY) if currency == "zcdp" else float(loss)
    words = (town.dataset_file(), "2020-01", charge(loss, currency), epsilon)
    file, text = guarantee(*words, stand_in=False), statement(*words, stand_in=False)
    exact = odds(float(loss), currency)
    assert exact[0] <= file["odds"]["presence_at_most"] <= exact[0] + 1e-5
    assert epsilon <= file["approximate"]["epsilon"] <= epsilon * 1.0001
    said = percents(text.split("## In odds")[1].split("## In numbers")[0])[1:]
    assert len(said) == len(exact)
    for shown, true in zip(said, exact, strict=True):
        assert 100 * true - 1e-9 <= shown <= 100 * true + 0.11
    if currency == "zcdp":
        shown = float(re.search(r"ε = ([0-9.e+-]+),", text)[1])  # type: ignore[index]
        assert epsilon <= shown <= epsilon * 1.01


@settings(max_examples=50, deadline=None)
@given(loss=LOSSES)
def test_a_household_bears_the_square(town: Town, loss: Fraction) -> None:
    """m records of one household bear m²ρ under zCDP and mε under pure differential privacy, exactly."""
    for currency, power in (("zcdp", 2), ("pure", 1)):
        file = guarantee(town.dataset_file(), "2020-01", charge(loss, currency), 1.0, stand_in=False)
        found = {int(m): Fraction(text) for m, text in file["records_of_one_household"].items()}
        assert found == {m: loss * m**power for m in (1, 5, 20)}


def test_known_odds(town: Town) -> None:
    """At ρ = 0.1 presence is guessed at most 61.2 % of the time, and a household of five bears 2.5."""
    text = statement(town.dataset_file(), "2020-01", charge(Fraction(1, 10), "zcdp"), 2.1367, stand_in=False)
    assert "at most 61.2 % of the time" in text
    assert "stays below 92.1 %" in text
    assert "at most 72.4 % of the time" in text
    assert "1: ρ ≤ 0.1, 5: ρ ≤ 2.5, 20: ρ ≤ 40" in text
    assert "(ε = 2.14, δ = 10⁻⁶)" in text
    assert "ρ = 0.1 on each day that it covers (2 in all)" in text


def test_it_says_who_is_protected(town: Town) -> None:
    """Unit, window, bounds, clamps, blocks and mechanisms are those of the definition and the charge."""
    built = town.people("year", 4, 3, measures=(town.COUNT, town.SUM))
    made = charge(Fraction(1, 3), "zcdp")
    file = guarantee(built.dataset_file(), "2020-01", made, 1.5, stand_in=False)
    text = statement(built.dataset_file(), "2020-01", made, 1.5, stand_in=False)
    assert file["privacy_unit"] == "identifier"
    assert (file["unit_column"], file["window"], file["missing_identifier"]) == ("who", "year", "own-unit")
    assert file["bounds"] == {"max_groups": 4, "max_per_group": 3}
    assert file["clamps"] == {"paid": {"lower": "-3", "upper": "7", "unit": "dollars"}}
    assert file["loss"] == {"currency": "rho", "amount": "1/3"}
    assert file["blocks"] == ["2020-01-01", "2020-01-02"]
    assert file["mechanisms"][0]["loss"] == "1/3"
    assert "in at most 4 cells a year" in text
    assert "at most 3 records in each" in text
    assert "(1 + a)² ρ" in text
    assert "ρ = 1/3 on each year" in text
    assert "a total is cut to -3 to 7 dollars" in text


def test_records_are_called_records(town: Town) -> None:
    """For the unit record the words speak of one record, and nothing is said of missing names."""
    words = (town.dataset_file(), "2020-01", charge(Fraction(1, 10), "zcdp"), 2.2)
    file, text = guarantee(*words, stand_in=False), statement(*words, stand_in=False)
    assert (file["privacy_unit"], file["unit_column"], file["missing_identifier"]) == ("record", None, None)
    assert "A record counts in exactly one cell" in text
    assert "(1 + a)²" not in text


@pytest.mark.parametrize("stand_in", [True, False])
def test_stand_ins_are_labelled(town: Town, stand_in: bool) -> None:
    """Numbers made from generated records say so in the file and at the top of the words."""
    words = (town.dataset_file(), "2020-01", charge(Fraction(1, 10), "zcdp"), 2.2)
    assert guarantee(*words, stand_in=stand_in)["stand_in"] is stand_in
    assert ("generated sample records" in statement(*words, stand_in=stand_in)) is stand_in


def test_what_is_not_protected_is_said(town: Town) -> None:
    """The limits stand in the file and in the words, the threshold and the budget too."""
    built = replace(town, dataset={"suppression": {"measure": "requests", "threshold": 17}})
    words = (built.dataset_file(), "2020-01", charge(Fraction(1, 10), "zcdp"), 2.2)
    file, text = guarantee(*words, stand_in=False), statement(*words, stand_in=False)
    assert all(f"- {sentence}" in text for sentence in file["not_protected"])
    assert len(file["not_protected"]) >= 5
    assert "Cells below 17" in text
    assert f"at most ρ = {Decimal(1)} on one" in text
