"""Rows are divided by unit and units get numbers: no row is lost, no unit is divided, and no two become one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher.engine import parts
from publisher.engine.parts import halves, in_parts, numbered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.engine.parts import Rows

WORDS = st.sampled_from((0, 1, 2, 1 << 63, (1 << 64) - 1)) | st.integers(0, (1 << 64) - 1)
UNITS = st.lists(st.tuples(WORDS, WORDS, st.integers(0, 2)), max_size=60)
"""High and low half, and window: units that differ in one bit are among them."""


def columns(units: list[tuple[int, int, int]], *, windows: bool = True) -> Rows:
    """The rows of these units, numbered in their order."""
    raw = b"".join((high << 64 | low).to_bytes(16) for high, low, _ in units)
    made: Rows = {"unit": np.frombuffer(raw, "V16"), "row": np.arange(len(units))}
    return made | ({"_window": np.array([window for *_, window in units], np.uint16)} if windows else {})


@settings(max_examples=300, deadline=None)
@given(units=UNITS, windows=st.booleans())
def test_a_number_is_one_unit_in_one_window(units: list[tuple[int, int, int]], windows: bool) -> None:
    """Rows have the same number just if all 128 bits and the window are the same, and each number knows its unit."""
    wanted = units if windows else [(high, low, 0) for high, low, _ in units]
    numbers, owners = numbered(columns(units, windows=windows))
    found = dict(zip(wanted, numbers.tolist(), strict=True))
    assert [found[unit] for unit in wanted] == numbers.tolist()
    assert len(set(found.values())) == len(found)
    assert [wanted[owners[number]] for number in numbers] == wanted
    assert set(np.flatnonzero(owners >= 0).tolist()) == set(found.values())


def test_units_whose_mix_is_the_same_get_numbers_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every unit claims the same place, the bits tell them apart, one after the other."""
    monkeypatch.setattr(parts, "_mixed", lambda rows, _=0: np.zeros(len(rows["unit"]), np.uint64))
    units = [(n % 7, n % 3, 0) for n in range(100)]
    numbers, _ = numbered(columns(units))
    assert len(set(zip(units, numbers.tolist(), strict=True))) == len(set(units)) == len(set(numbers.tolist()))


@pytest.mark.parametrize("most", [1, 4_000, 30_000, 10**9])
@pytest.mark.parametrize("size", [1, 50, 10**6])
def test_every_row_is_in_one_part_with_its_unit(most: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little memory there is, each row comes once, all rows of a unit together; with little, in passes."""
    monkeypatch.setattr(parts, "PART_ROWS", size)
    draw = np.random.default_rng(3)
    units = [(int(n) * 0x123456789ABCDEF & (1 << 64) - 1, int(n), int(n) % 3) for n in draw.integers(0, 90, 3000)]
    rows = columns(units)

    def read() -> Iterator[Rows]:
        yield from ({name: column[n : n + 700] for name, column in rows.items()} for n in range(0, 3000, 700))

    made = [[part.rows() for part in held] for held in in_parts(read, most)]
    parted = [part["row"].tolist() for held in made for part in held]
    assert sorted(row for part in parted for row in part) == list(range(3000))
    places = [{units[row] for row in part} for part in parted]
    assert sum(map(len, places)) == len(set(units))
    assert (len(made) == 1) == (most == 10**9)
    assert all(sum(part["unit"].nbytes for part in held) <= most for held in made if most == 30_000)


def test_halves_are_the_bytes_in_order() -> None:
    """The first eight bytes are the high half, whatever the machine's own order."""
    high, low = halves(np.frombuffer(bytes(range(16)), "V16"))
    assert (int(high[0]), int(low[0])) == (0x0001020304050607, 0x08090A0B0C0D0E0F)
