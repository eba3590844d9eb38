"""A file as it would be counted: shown to one person, charged to no one, and kept nowhere."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from township import MONTHS, Town

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "pipelines/requests.toml"


def test_a_file_is_shown_and_nothing_is_kept(new_town: Town) -> None:
    """Counts, readings, rows and map in 80 columns, between words that say it is private; no state comes of it."""
    before = new_town.tree("")
    answer = new_town.publisher("preview", "requests")
    assert (answer.code, answer.err) == (0, "")
    assert new_town.tree("") == before
    lines = answer.out.splitlines()
    assert lines[0].startswith("PRIVATE: ")
    assert lines[-1].endswith("What is above is private.")
    assert max(map(len, lines)) <= 80
    words = " ".join(answer.out.split())
    assert "requests: requests/first.csv 900 rows read" in words
    for part in ("no date 0 0.0% limit 20%", "no place (district) 0 0.0%", "sort not in the keyset"):
        assert part in words
    assert "2024-01-01 -> Mon 2024-01-01 00:00:00 900 rows" in words
    assert "date sort district" in words
    assert f"{MONTHS[0]}-01 00:00" in words
    assert "900 of 900 places tried are inside" in words
    assert ". boundaries o places @ 5 or more x outside the boundaries" in words
    assert " o" in answer.out


def test_a_landing_leaves_a_preview_at_work_alone(town: Town) -> None:
    """Its folder is named after its process; that of one that was killed goes with the next lock."""
    assert town.publisher("land").code == 0
    private = town.state / "private"
    with subprocess.Popen(["sleep", "60"]) as ended:
        ended.kill()
    folders = [private / f".preview.{number}" for number in (os.getpid(), ended.pid)]
    for folder in folders:
        folder.mkdir()
    assert town.publisher("land").code == 0
    assert [folder.exists() for folder in folders] == [True, False]


def test_nothing_has_to_be_landed(town: Town) -> None:
    """Without a state folder it makes none; with one, it leaves it as it was, but for the journal, which says it."""
    assert not town.state.exists()
    assert town.publisher("preview", "requests").code == 0
    assert not town.state.exists()
    assert town.publisher("land", "requests").code == 0
    before = town.tree()
    assert town.publisher("preview", "requests").code == 0
    after = town.tree()
    assert after.pop("private/journal.jsonl") != before.pop("private/journal.jsonl")
    assert after == before


def test_a_mistake_is_seen_before_it_is_run(town: Town) -> None:
    """Another format, with the raw text and what to do; records that say something to a terminal are made harmless."""
    town.edit(SOURCE, '"%Y-%m-%d"', '"%m/%d/%Y"')
    path = town.data / "requests" / "first.csv"
    path.write_text(path.read_text() + "x,\x1b[31mred,pothole,-89.5,39.5,y\n")
    answer = town.publisher("preview", "requests")
    words = " ".join(answer.out.split())
    assert answer.code == 0
    assert "no date 901 100.0% limit 20% <- stops here" in words
    assert 'most of those read as "%Y-%m-%d"' in words
    assert "2024-01-01 -> NOT READ 900 rows" in words
    assert "\x1b" not in answer.out
    assert "no row has a date" in words


def test_the_map_is_a_private_picture(town: Town, tmp_path: Path) -> None:
    """SVG that only its owner can read, with a shape for each place and a point for each record."""
    picture = tmp_path / "places.svg"
    picture.write_text("an older one")
    answer = town.publisher("preview", "requests", "--map", str(picture))
    assert answer.code == 0
    assert picture.stat().st_mode & 0o777 == 0o600
    drawn = ElementTree.fromstring(picture.read_text())  # noqa: S314 - our own
    assert len(drawn.findall(".//{*}path")) == 2
    assert len(drawn.findall(".//{*}circle")) == 900
    assert "PRIVATE" in (drawn.findtext("{*}title") or "")


def test_another_file_can_be_named(town: Town, tmp_path: Path) -> None:
    """By its path, or by its name in the feed."""
    elsewhere = tmp_path / "download.csv"
    elsewhere.write_text("number,opened,kind,lon,lat,caller\n1,2024-01-05,bin,-89.5,39.5,x\n")
    assert "requests: download.csv" in town.publisher("preview", "requests", str(elsewhere)).out
    assert town.publisher("preview", "requests", "first.csv").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nowhere",), 2, "there is no source 'nowhere'"),
        (("requests", "missing.csv"), 5, "missing.csv: there is no such file here or in "),
        (("meters", "--map", "map.svg"), 2, "--map: pipelines/meters.toml has no coordinates or addresses to draw"),
        (("requests", "--map", "map.png"), 2, "--map: map.png must be a name that ends in .svg"),
        (("requests", "--map", "no/folder/map.svg"), 5, "no/folder/map.svg: cannot be written: No such file"),
        (("requests", "meters.csv"), 5, "meters.csv: the columns are not those that pipelines/requests.toml declares"),
    ],
)
def test_what_cannot_be_shown_is_one_error(town: Town, arguments: tuple[str, ...], code: int, words: str) -> None:
    """With the code of the command line or of the source, and nothing left behind."""
    before = town.tree("")
    answer = town.publisher("preview", *arguments)
    assert (answer.code, answer.err.count("error: ")) == (code, 1)
    assert words in answer.err
    assert town.tree("") == before


def test_sources_without_coordinates_have_no_map(town: Town) -> None:
    """Rows and dates alone."""
    answer = town.publisher("preview", "meters")
    assert answer.code == 0
    assert "Places:" not in answer.out
    assert "zone not in the keyset" in answer.out
