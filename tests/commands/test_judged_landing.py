"""A file that is not as its source says is refused before anything is charged, and only its owner is told why."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from township import COMMAND, Answer, Town

from publisher.sample import write_sample

if TYPE_CHECKING:
    from collections.abc import Callable

TOP = Path(__file__).parent.parent.parent
SOURCE = "pipelines/stlouis-311.toml"
FEED = Path("data/stlouis-311/requests_2018-01-01.csv")
STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""Colors, and steps of the cursor."""
RUN = ("run", "stlouis-requests", "--no-push", "--period", "2018-W01")


@pytest.fixture(scope="session")
def new_city(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """The shipped definitions over a generated city, in which nothing has happened yet; no one changes it."""
    root = tmp_path_factory.mktemp("city") / "city"
    for folder in ("pipelines", "datasets", "expectations"):
        shutil.copytree(TOP / folder, root / folder)
    shutil.copyfile(TOP / "publisher.toml", root / "publisher.toml")
    write_sample(root / "data", rows=1000)
    return Town(root)


@pytest.fixture
def city(new_city: Town, tmp_path: Path) -> Town:
    """A generated city, to be changed at will."""
    return new_city.copy(tmp_path / "city")


def on_terminal(town: Town, *arguments: str) -> Answer:
    """The command where standard error is a terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [str(COMMAND), *arguments], cwd=town.root, env=town.environment(), stdout=subprocess.PIPE, stderr=slave
    ) as process:
        os.close(slave)
        shown = bytearray()
        with suppress(OSError):  # the end of a terminal
            while piece := os.read(master, 4096):
                shown += piece
        assert process.stdout is not None
        out = process.stdout.read().decode()
    os.close(master)
    return Answer(process.returncode, out, " ".join(STYLE.sub("", shown.decode()).split()))


def refused(town: Town) -> None:
    """Off a terminal a run says the one wording and nothing else, in every place, and charges nothing."""
    charges = town.charges()
    answer = town.publisher(*RUN, "--json")
    folder = town.root / "state/private/reports/stlouis-311"
    assert answer.code == 5
    assert answer.err == (
        f"error: stlouis-311: refused at landing. Nothing was charged. The reasons are private, in {folder}\n"
    )
    assert [(row["status"], row["period"], row["release"]) for row in answer.rows] == [
        ("refused at landing", "2018-W01", None)
    ]
    assert town.charges() == charges


def dates(town: Town) -> Callable[[], None]:
    """The date format of another city."""
    town.edit(SOURCE, '"%Y-%m-%dT%H:%M:%SZ"', '"%m/%d/%Y"')
    return lambda: town.edit(SOURCE, '"%m/%d/%Y"', '"%Y-%m-%dT%H:%M:%SZ"')


def swapped(town: Town) -> Callable[[], None]:
    """Northing for easting."""
    town.edit(SOURCE, 'x = "SRX", y = "SRY"', 'x = "SRY", y = "SRX"')
    return lambda: town.edit(SOURCE, 'x = "SRY", y = "SRX"', 'x = "SRX", y = "SRY"')


def elsewhere(town: Town) -> Callable[[], None]:
    """No word of the coordinate system, so degrees."""
    town.edit(SOURCE, ', crs = "ESRI:102696"', "")
    return lambda: town.edit(SOURCE, 'y = "SRY"', 'y = "SRY", crs = "ESRI:102696"')


def emptied(town: Town) -> Callable[[], None]:
    """A column that the city no longer fills."""
    path = town.root / FEED
    before = path.read_text()
    header, *rows = before.splitlines()
    cells = (row.split(",", 2) for row in rows)
    path.write_text("\n".join([header, *(f"{number},NA,{rest}" for number, _, rest in cells)]) + "\n")
    return lambda: path.write_text(before) and None


MISTAKES = {
    dates: (
        "no date 745 100.0% limit 20% <- stops here",
        f"{SOURCE}:22: event.formats:",
        'most of those read as "%Y-%m-%dT%H:%M:%SZ"',
    ),
    swapped: ("<- stops here", f"{SOURCE}:26: places.neighborhood.point: with x and y swapped", 'swap them: x = "SRX"'),
    elsewhere: ("<- stops here", "instead of EPSG:4326", 'set crs = "ESRI:102696"'),
    emptied: (
        "no value at all: PROBLEMCODE",
        "columns.PROBLEMCODE: has no value in any row",
        'empty = ["PROBLEMCODE"]',
    ),
}


@pytest.mark.parametrize(
    "mistake",
    [
        dates,
        elsewhere,
        *(
            pytest.param(each, marks=pytest.mark.evidence("more mistakes that are refused at landing, told, corrected"))
            for each in (swapped, emptied)
        ),
    ],
)
def test_a_mistake_stops_before_anything_is_charged(city: Town, mistake: Callable[[Town], Callable[[], None]]) -> None:
    """Exit code 5 at every run, the likely cause on the terminal and in the private report alone; once it is fixed, the
    same run releases, although no state was deleted."""
    fix = mistake(city)
    refused(city)
    answer = on_terminal(city, *RUN)
    assert answer.code == 5
    for words in MISTAKES[mistake]:
        assert words in answer.err
    assert "refused at landing" in answer.out
    assert city.charges() == []
    (report,) = (city.root / "state/private/reports/stlouis-311").iterdir()
    assert report.stat().st_mode & 0o077 == 0
    assert MISTAKES[mistake][-1] in report.read_text().replace('\\"', '"')
    fix()
    assert city.publisher(*RUN).code == 0
    assert city.charges() == [("stlouis-requests", "2018-W01")]


def test_a_corrected_file_of_a_feed_that_only_appends(city: Town) -> None:
    """The corrections would not be read, so a source that was good stops at that file, with the way on."""
    assert city.publisher(*RUN).code == 0
    charged = city.charges()
    text = (city.root / FEED).read_text().replace(",CLOSED,", ",CANCELED,")
    (city.root / FEED.with_name("requests_2018-01-01_corrected.csv")).write_text(text)
    again = ("run", "stlouis-requests", "--no-push", "--period", "2018-W02")
    answer = city.publisher(*again, "--json")
    assert (answer.code, [row["status"] for row in answer.rows]) == (5, ["refused at landing"])
    assert city.charges() == charged
    terminal = on_terminal(city, *again)
    assert terminal.code == 5
    assert "repeated: the record came before 753 100.0% limit 50% <- stops here" in terminal.err
    assert f"{SOURCE}:1: delivery: records of earlier files come again" in terminal.err
    assert 'if later rows replace earlier ones, "changes"' in terminal.err
    city.edit(SOURCE, "retention_months = 36", 'retention_months = 36\ndelivery = "changes"')
    assert city.publisher(*again).code == 0
    assert city.charges() == [*charged, ("stlouis-requests", "2018-W02")]


def test_a_source_may_differ_for_a_reason(city: Town) -> None:
    """What a source accepts, with its reason, goes through; it makes no release a new one. Without a reason it is a
    definition error."""
    emptied(city)
    refused(city)
    city.edit(SOURCE, 'nulls = ["NULL", "NA"]', 'nulls = ["NULL", "NA"]\naccept = { empty = ["PROBLEMCODE"] }')
    answer = city.publisher(*RUN)
    assert (answer.code, answer.err) == (2, f"error: {SOURCE}:18: feed.accept.reason: is missing\n")
    city.edit(SOURCE, '["PROBLEMCODE"]', '["PROBLEMCODE"], undated = 0.4, reason = "A test."')
    assert city.publisher(*RUN).code == 0
    city.edit(SOURCE, "undated = 0.4", "undated = 0.5")
    answer = city.publisher(*RUN, "--json")
    assert (answer.code, answer.rows[0]["edition"], len(city.charges())) == (0, 1, 1)
    city.edit(SOURCE, "0.5, reason", "2, reason")
    assert city.publisher(*RUN).code == 2


def test_what_was_landed_before_it_was_judged(city: Town) -> None:
    """Batches of an older workspace are judged by their private report, or counted again where it is gone."""
    fix = dates(city)
    city.edit(SOURCE, 'nulls = ["NULL", "NA"]', 'nulls = ["NULL", "NA"]\naccept = { undated = 1, reason = "A test." }')
    assert city.publisher("land", "stlouis-311").code == 0
    city.edit(SOURCE, '\naccept = { undated = 1, reason = "A test." }', "")
    refused(city)
    shutil.rmtree(city.root / "state/private/reports")
    refused(city)
    assert "no date 745 100.0% limit 20% <- stops here" in on_terminal(city, *RUN).err
    fix()
    assert city.publisher(*RUN).code == 0


def test_exact_counts_are_for_a_terminal_alone(city: Town) -> None:
    """Off a terminal, landing says only where the private report is; no name there comes from the records."""
    folder = city.root / "state/private/reports/stlouis-311"
    quiet = city.publisher("land", "stlouis-311")
    assert (quiet.code, quiet.out) == (0, "stlouis-311: 2 new files, 0 known\n")
    assert quiet.err == f"stlouis-311: the private report is in {folder}\n"
    shutil.rmtree(city.state)
    log = city.publisher(*RUN)
    assert (log.code, log.err) == (0, quiet.err)
    for folder in (city.state, Path(os.environ["XDG_STATE_HOME"])):  # a state folder that spent and is gone is missed
        shutil.rmtree(folder)
    loud = on_terminal(city, *RUN)
    assert loud.code == 0
    assert "stlouis-311: stlouis-311/requests_2018-01-01.csv 753 rows read" in loud.err
    for words in ("no date 0 0.0% limit 20%", "no place (neighborhood)", "neighborhood not in the keyset", "repeated"):
        assert words in loud.err


def test_a_measurement_is_stopped_too(city: Town) -> None:
    """`publisher tune` charges, so it meets the same refusal first."""
    city.edit("pipelines/stlouis-311-closed.toml", '"%Y-%m-%d %H:%M:%S.%f"', '"%m/%d/%Y"')
    question = ("--period", "2018-01", "--rho", "0.01", "--column", "days_to_close", "--bins", "0,1,7,30,90")
    answer = city.publisher("tune", "stlouis-311-closed", "--dataset", "stlouis-days-to-close", *question, "--yes")
    assert answer.code == 5
    assert "error: stlouis-311-closed: refused at landing." in answer.err
    assert city.charges() == []
