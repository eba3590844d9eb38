"""Rows are compared exactly, however the portal writes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from push_examples import COLUMNS, release

from publisher.push.client import RetryPolicy
from publisher.push.rows import Difference, batches, checksum_of, compare, wanted_rows

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [column.name for column in COLUMNS]


def test_spellings_of_one_value_are_equal(tmp_path: Path) -> None:
    """Zeros, exponents, JSON numbers and shorter times are the same value; an absent key is an empty one."""
    wanted = wanted_rows([release(tmp_path, "x", 10, places=4)], COLUMNS)
    held = [{k: v for k, v in zip(NAMES, row, strict=True) if v is not None} for row in wanted.values()]
    assert held[3]["requests"] == "4"
    for spelled in ("4.000", "4E0", "0.4e1", 4, 4.0):
        for time in ("2018-03-05T00:00:00", "2018-03-05T00:00:00.000Z", "2018-03-05"):
            rows = [*held[:3], {**held[3], "requests": spelled, "period_start": time}]
            assert compare(wanted, rows, COLUMNS) == Difference({}, (), 4)
    for other in ("4.0000000000000001", "-4", "40", "four"):
        assert compare(wanted, [*held[:3], {**held[3], "requests": other}], COLUMNS).ids == ["2018-W10.3"]
    assert compare(wanted, [*held[:3], {**held[3], "requests": None}], COLUMNS).ids == ["2018-W10.3"]


def test_differences_are_new_changed_and_gone_rows(tmp_path: Path) -> None:
    """What the portal lacks or holds otherwise is sent, what it should not have is deleted."""
    wanted = wanted_rows([release(tmp_path, "x", 3, places=3)], COLUMNS)
    held = [dict(zip(NAMES, row, strict=True)) for row in wanted.values()]
    found = compare(wanted, [held[0], {**held[1], "place": "9"}, {**held[2], "id": "stray"}], COLUMNS)
    assert (list(found.changed), found.gone, found.rows) == (["2018-W03.1", "2018-W03.2"], ("stray",), 3)


def test_batches_keep_their_size_and_name_every_cell(tmp_path: Path) -> None:
    """No request exceeds the limit, nothing is lost, empty cells are null, and what fits goes in one request."""
    wanted = wanted_rows([release(tmp_path, "x", 3, places=50)], COLUMNS)
    difference = Difference(wanted, ("a", "b"), 0)
    parts = list(batches(difference, COLUMNS, 3_000))
    assert max(len(json.dumps(part)) for part in parts) <= 3_000
    assert [row["id"] for part in parts for row in part] == [*wanted, "a", "b"]
    assert parts[0][0]["requests"] is None
    assert parts[-1][-1] == {"id": "b", ":deleted": True}
    assert len(list(batches(difference, COLUMNS, 10**6))) == 1


def test_the_checksum_depends_on_values_alone(tmp_path: Path) -> None:
    """Order does not matter to the checksum; every value does."""
    wanted = wanted_rows([release(tmp_path, "x", 3)], COLUMNS)
    turned = dict(reversed(wanted.items()))
    assert checksum_of(turned) == checksum_of(wanted)
    row = wanted["2018-W03.4"]
    assert checksum_of({**wanted, "2018-W03.4": (*row[:-1], "2")}) != checksum_of(wanted)


@pytest.mark.parametrize("attempt", range(12))
def test_pauses_grow_and_are_spread(attempt: int) -> None:
    """A pause doubles with each attempt up to a limit, varies by half, and honors what the portal asks within it."""
    patience = RetryPolicy(first=0.5, longest=20)
    full = min(20.0, 0.5 * 2**attempt)
    pauses = {patience.pause(attempt) for _ in range(30)}
    assert full / 2 <= min(pauses) < max(pauses) <= full
    assert patience.pause(attempt, asked=20) == 20
    assert patience.pause(attempt, asked=3600) <= 20
