"""`publisher run --rehearse`: the newest period that is due, or those that are asked for, on generated records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from township import MONTHS

if TYPE_CHECKING:
    from township import Town


def rehearsed(town: Town) -> dict[str, list[str]]:
    """The periods that the last rehearsal released, by dataset."""
    releases = town.state / "private" / "rehearsal" / "public" / "releases"
    return {
        folder.name: sorted(path.name for path in folder.iterdir() if path.is_dir()) for folder in releases.iterdir()
    }


def test_the_newest_period_is_rehearsed(town: Town) -> None:
    """Of each dataset, also if it has no last period; a period that is asked for instead is. Records are there."""
    for name in ("requests", "water"):
        path = town.root / "datasets" / f"{name}.toml"
        path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("last = ")))
    answer = town.publisher("run", "--rehearse", "--from", MONTHS[0], "--to", MONTHS[-1])
    assert answer.code == 0, answer.err
    assert rehearsed(town) == {"requests": list(MONTHS), "water": list(MONTHS)}
    answer = town.publisher("run", "--rehearse", "--json", "water")
    assert answer.code == 0, answer.err
    (newest,) = rehearsed(town)["water"]
    assert newest > MONTHS[-1]
    (row,) = answer.rows
    assert row["period"] == newest
    assert row["suppressed"] < row["cells"]
    answer = town.publisher("run", "water", "--rehearse", "--period", MONTHS[1])
    assert (answer.code, rehearsed(town)) == (0, {"water": [MONTHS[1]]})
