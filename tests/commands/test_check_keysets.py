"""What `publisher check` finds in keysets, from public files alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from township import Town


def _warnings(town: Town) -> list[str]:
    answer = town.publisher("check")
    assert answer.code == 0, answer.err
    return [line.removeprefix("warning: ") for line in answer.out.splitlines() if line.startswith("warning: ")]


def _write(name: str, text: str) -> Callable[[Town], None]:
    return lambda town: (town.root / "datasets" / "keysets" / f"{name}.csv").write_text(text) and None


def _select(sql: str, keys: str) -> Callable[[Town], None]:
    def change(town: Town) -> None:
        (town.root / "pipelines" / "requests.sql").write_text(sql)
        _write("sorts", keys)(town)

    return change


ZONES, SORTS, DISTRICTS, KINDS = (f"datasets/keysets/{name}.csv" for name in ("zones", "sorts", "districts", "kinds"))
A_POLYGON = "a polygon of districts.geojson"
NOT_HAD = "no row of requests can have"
CASES: dict[str, tuple[Callable[[Town], None], list[str]]] = {
    "nothing": (lambda _: None, []),
    "blanks": (
        _write("zones", "key,label\nA ,Upper\nB,Lower\n"),
        [f"{ZONES}: 'A ': blanks at the ends, so records may not match: remove them"],
    ),
    "twins": (
        _write("zones", "key,label\nPeña 1,Upper\nPENA1,Lower\n"),
        [f"{ZONES}: 'Peña 1' and 'PENA1' look alike, but each gets rows of its own: keep one of them"],
    ),
    "like other": (
        _write("zones", "key,label\nunknown,Upper\nB,Lower\n"),
        [f"{ZONES}: 'unknown' looks like 'Unknown', which is `other`: write both in the same way"],
    ),
    "other itself": (_write("zones", "key,label\nUnknown,Not known\nB,Lower\n"), []),
    "no polygon": (
        _write("districts", "key\nNorth\nsouth\nWest\n"),
        [f"{DISTRICTS}: 'south', 'West': {NOT_HAD} these keys, because they are not {A_POLYGON}. Do you mean 'South'?"],
    ),
    "no lookup": (
        _write("sorts", "key\nStreets\nRefuse\nParks\n"),
        [
            f"{SORTS}: 'Parks': {NOT_HAD} this key, because it is not a value of {KINDS} or pipelines/requests.sql",
        ],
    ),
    "a text in the SELECT": (
        _select(
            "SELECT coalesce(CASE WHEN raw.kind = 'tree' THEN 'Parks' ELSE k.sort END, ('None')) AS sort "
            "FROM raw LEFT JOIN kinds k ON k.kind = raw.kind\n",
            "key\nStreets\nRefuse\nParks\nNone\n",
        ),
        [],
    ),
    "a raw column": (_select("SELECT raw.kind AS sort FROM raw\n", "key\nanything\n"), []),
    "perhaps a raw column": (
        _select(
            "SELECT coalesce(kinds.sort, raw.kind) AS sort FROM raw LEFT JOIN kinds ON kinds.kind = raw.kind\n",
            "key\nanything\n",
        ),
        [],
    ),
    "no boundaries there": (lambda town: (town.data / "districts.geojson").unlink(), []),
}


@pytest.mark.parametrize("case", CASES)
def test_check_finds_keys_that_no_row_can_have(town: Town, case: str) -> None:
    """Blanks, keys that look alike and keys that no polygon, lookup or text can give are named, and nothing else is:
    where records may decide, there is nothing to say."""
    change, found = CASES[case]
    change(town)
    assert _warnings(town) == found


def test_check_finds_coarser_keys_without_a_finer_one(town: Town) -> None:
    """A coarser key that no finer key belongs to, and a line of the mapping for what is no key, are named."""
    _write("sides", "key\nCold\nWarm\n")(town)
    _write("parts", "district,side\nNorth,Cold\nSOUTH,Warm\n")(town)
    with (town.root / "datasets" / "requests.toml").open("a") as file:
        file.write(
            '\n[[coarser]]\nname = "side"\ntitle = "Side"\nof = "district"\nmapping = "parts"\nkeyset = "sides"\n'
            'other = "Unknown"\n\n[[rollups]]\nname = "sides"\ntitle = "Sides"\nkeys = ["side"]\n'
        )
    assert _warnings(town) == [
        "datasets/keysets/parts.csv: 'SOUTH': is no key of district, so the line has no effect. Do you mean 'South'?",
        "datasets/keysets/sides.csv: 'Warm': no key of district belongs to this key, so it is not in the table",
    ]


def test_nothing_is_learned_from_records(town: Town) -> None:
    """What check says is the same whatever the records are, and without any."""
    _write("sorts", "key\nStreets\nParks\n")(town)
    said = _warnings(town)
    (town.data / "requests" / "first.csv").write_text("number,opened,kind,lon,lat,caller\n1,2024-01-01,Parks,1,1,x\n")
    assert _warnings(town) == said
    (town.data / "requests" / "first.csv").unlink()
    assert _warnings(town) == said
