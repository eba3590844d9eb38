"""docs/cities: each page goes from `publisher init` to a portal that runs, by the commands that it shows."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from real_records import real_records
from walks import Walk

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGES = Path(__file__).parents[2] / "docs" / "cities"
REAL = {
    "cincinnati": ("cincinnati-violations", "cincinnati-boundaries"),
    "los-angeles": ("losangeles-311", "losangeles-boundaries"),
    "seattle-energy": ("seattle-energy",),
    "st-louis": ("stlouis-311", "stlouis-boundaries"),
}
"""The pages that walk on real records, with their folders."""
GENERATED = ("minnetonka", "seattle-permits")
"""The pages that walk on generated records, and say so."""
FETCHED = ("minneapolis", "syracuse")
"""The pages that walk on a server: tests/feeds/test_walks_by_server.py."""
PERIODS = {
    "cincinnati": ("violations-by-quarter", 4),
    "los-angeles": ("requests-by-month", 1),
    "minnetonka": ("complaints-by-ward", 4),
    "seattle-energy": ("electricity-by-district", 1),
    "seattle-permits": ("permits-by-quarter", 4),
    "st-louis": ("requests-by-month", 1),
}
"""The first dataset of each page, with how many periods it has."""
USUAL = ("minnetonka", "los-angeles")
"""Definitions by hand with requests and letters, and definitions by `add` alone."""

pytestmark = pytest.mark.usefixtures("processes")


def settings(city: str) -> dict[str, str]:
    """Where the page's records are, on a machine whose clock says nothing about the city."""
    return {"TZ": "UTC"} | ({"PUBLISHER_DATA": str(real_records(*REAL[city]))} if city in REAL else {})


def test_every_page_is_walked() -> None:
    """No page stands in docs/cities that is not executed here."""
    assert {path.stem for path in PAGES.glob("*.md")} - {"README"} == {*PERIODS, *FETCHED}
    assert {*PERIODS} == {*REAL, *GENERATED}


@pytest.mark.parametrize(
    "city",
    [
        name if name in USUAL else pytest.param(name, marks=pytest.mark.evidence("the walk of every city's page"))
        for name in PERIODS
    ],
)
def test_a_city_reaches_the_portal(tmp_path: Path, city: str) -> None:
    """Every command succeeds, each period of the first dataset is on the portal, and what is promised can be shown. The
    other pages go the same way with other records: they are evidence."""
    dataset, periods = PERIODS[city]
    said = Walk(PAGES / f"{city}.md", tmp_path, settings(city)).go().said
    assert "everything is in order" in said or re.search(r"ok +definitions", said)
    assert len(re.findall(rf"^{dataset} +\d.* published", said, re.MULTILINE)) == periods
    assert len(re.findall(rf"^{dataset} +\d.* ready", said, re.MULTILINE)) == periods


@pytest.mark.parametrize("city", ["cincinnati", "los-angeles"])
def test_the_questions_are_those_of_the_page(tmp_path: Path, city: str) -> None:
    """On a terminal `add` asks what the page lists, in that order; Enter gives the same definitions as --yes."""
    page = (PAGES / f"{city}.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    (command,) = re.findall(r"^\$ publisher (add .*)$", page, re.MULTILINE)
    asked = terminal(tmp_path / "asked", command.removesuffix(" --yes"), settings(city))
    assert [line for line in told.splitlines() if line not in asked] == []
    order = [asked.index(line) for line in told.splitlines()]
    assert order == sorted(order)
    assert asked.count("\n> ") == len([line for line in told.splitlines() if not line.endswith("one answer:")])
    terminal(tmp_path / "taken", command, settings(city))
    assert drafted(tmp_path / "asked") == drafted(tmp_path / "taken")


def terminal(folder: Path, command: str, variables: Mapping[str, str]) -> str:
    """What a command shows on a terminal of a new workspace, where every question is answered with Enter."""
    publisher = Path(sys.executable).with_name("publisher")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PUBLISHER_")} | dict(variables)
    subprocess.run([publisher, "init", folder], env=kept, check=True, capture_output=True)
    master, slave = pty.openpty()
    with subprocess.Popen(
        [publisher, *command.split()], cwd=folder, env=kept, stdin=slave, stderr=slave, stdout=subprocess.PIPE
    ) as process:
        os.close(slave)
        shown = ""
        with suppress(OSError):  # the end of a terminal
            while piece := os.read(master, 4096):
                shown += piece.decode()
                if shown.endswith("]: "):
                    os.write(master, b"\n")
                    shown += "\n> "
        process.communicate()
    os.close(master)
    assert process.returncode == 0, shown
    return shown.replace("\r", "")


def drafted(folder: Path) -> dict[str, str]:
    """Every definition of a workspace."""
    return {path.name: path.read_text() for room in ("pipelines", "datasets") for path in (folder / room).rglob("*.*")}
