"""Ten bad inputs, each given to the real command: one clear message, the right exit code, nothing half-done."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from typing import TYPE_CHECKING

import pytest
from small_disk import mounted
from township import CANARY, Answer, Town, requests_csv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BAD = "requests/second.csv"


def _says(answer: Answer, code: int, *words: str) -> None:
    """One message on standard error that names these words, no traceback, no value of a record, that exit code."""
    assert answer.code == code, answer.err
    assert len(answer.err.splitlines()) == 1, answer.err
    assert answer.err.startswith("error: ")
    for word in words:
        assert word in answer.err
    assert CANARY not in answer.out + answer.err


def _kept(town: Town) -> dict[str, str]:
    """What a failure must leave as it was: landed records, private reports, releases and their validations."""
    parts = ("private/landed/", "private/reports/", "public/releases/", "public/validations/")
    return {name: digest for name, digest in town.tree().items() if name.startswith(parts)}


def _leftovers(town: Town) -> list[Path]:
    """Whatever a step that failed should have removed: half-made folders, spilled rows, hidden files in public."""
    patterns = ("**/.staging-*", "private/tmp/*", "public/**/.*")
    return [path for pattern in patterns for path in town.state.glob(pattern)]


# 1. A broken definition

BROKEN: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "not TOML": ("datasets/water.toml", "[loss]", "[loss", ("datasets/water.toml", "line 8")),
    "unknown key": (
        "datasets/water.toml",
        'period = "',
        'perod = "x"\nperiod = "',
        ("water.toml:4: perod: unknown key",),
    ),
    "wrong type": (
        "datasets/water.toml",
        "threshold = 5",
        'threshold = "5"',
        ("water.toml:41: suppression.threshold",),
    ),
    "a loss too small for a float": (
        "datasets/water.toml",
        "rho = 0.1",
        "rho = 1e-400",
        ("water.toml:9: loss.rho", "between 1e-40 and 1e40"),
    ),
    "a loss too large to be written out": (
        "datasets/water.toml",
        "rho = 0.1",
        "rho = 1e999999",
        ("water.toml:9: loss.rho", "between 1e-40 and 1e40"),
    ),
    "a loss that no Decimal holds": (
        "datasets/water.toml",
        "rho = 0.1",
        "rho = 1e99999999999999999999",
        ("water.toml:9: loss.rho", "finite"),
    ),
    "a loss without use": ("datasets/water.toml", "rho = 0.1", "rho = 1e-10", ("loss.rho", "at least 0.000000001")),
    "nested too deep": (
        "datasets/water.toml",
        "[loss]",
        f"limitations = {'[' * 5000}{']' * 5000}\n[loss]",
        ("datasets/water.toml", "nested too deep"),
    ),
    "a number without end": (
        "datasets/water.toml",
        "threshold = 5",
        f"threshold = {'5' * 5000}",
        ("datasets/water.toml", "too many digits"),
    ),
    "loss above the budget": ("datasets/water.toml", "rho = 0.1", "rho = 0.3", ("water.toml:8: loss", "0.25")),
    "unknown source": ("datasets/water.toml", '"meters"', '"meter"', ("water.toml:3: source", "has: meters")),
    "unknown column": ("datasets/water.toml", 'column = "liters"', 'column = "gallons"', ("water.toml:33", "gallons")),
    "bounds for records": (
        "datasets/requests.toml",
        "[loss]",
        "[bounds]\nmax_groups = 2\n[loss]",
        ("requests.toml:8: bounds",),
    ),
    "no bounds for people": ("datasets/water.toml", "[bounds]\nmax_groups = 1\nmax_per_group = 1\n", "", ("[bounds]",)),
    "no statute": (
        "pipelines/meters.toml",
        ', statute = "Town Code 3" }\nliters',
        " }\nliters",
        ("meters.toml:28: columns.zone", "statute: is missing"),
    ),
    "a SELECT that is no SQL": ("pipelines/meters.sql", "TRY_CAST(", "TRY_CAST('", ("meters.sql", "can be parsed")),
    "a SELECT that aggregates": (
        "pipelines/meters.sql",
        "TRY_CAST(raw.liters AS DOUBLE)",
        "sum(raw.liters)",
        ("meters.sql",),
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_definition(town: Town, fault: str) -> None:
    """File, line and key are named before anything is read or written, whether it is checked or run."""
    name, before, after, words = BROKEN[fault]
    town.edit(name, before, after)
    dataset = "requests" if "requests" in name else "water"
    _says(town.publisher("check"), 2, *words)
    _says(town.publisher("run", "--no-push", dataset), 2, *words)
    assert not town.charges()
    assert not list(town.state.glob("private/landed/*/*"))


# 2 to 5. A feed that is missing, empty, of another layout, or no text at all


def _without(town: Town) -> None:
    (town.data / "requests" / "first.csv").rename(town.data / "elsewhere.csv")


def _empty(town: Town) -> None:
    (town.data / BAD).write_bytes(b"")


def _header(town: Town) -> None:
    (town.data / BAD).write_text(requests_csv().replace("number,opened,kind", "number,opened_on,kind"))


def _no_header(town: Town) -> None:
    (town.data / BAD).write_text(requests_csv().split("\n", 1)[1])


def _junk(town: Town) -> None:
    (town.data / BAD).write_bytes(random.Random(3).randbytes(50_000))


def _cut_gzip(town: Town) -> None:
    (town.data / f"{BAD}.gz").write_bytes(gzip.compress(requests_csv().encode())[:2000])


FEEDS: dict[str, tuple[Callable[[Town], None], tuple[str, ...]]] = {
    "missing": (_without, ("pipelines/requests.toml", "feed.path", "PUBLISHER_DATA")),
    "empty": (_empty, ("second.csv: is empty",)),
    "changed header": (
        _header,
        ("second.csv", "missing: opened", "not declared: opened_on", "pipelines/requests.toml"),
    ),
    "no header": (_no_header, ("second.csv", "missing: number", "pipelines/requests.toml")),
    "binary junk": (_junk, ("second.csv",)),
    "cut off": (_cut_gzip, ("second.csv.gz",)),
}


@pytest.mark.parametrize("fault", FEEDS)
def test_a_bad_feed(due: Town, fault: str) -> None:
    """The file is named; nothing is landed, charged or released."""
    spoil, words = FEEDS[fault]
    spoil(due)
    before = _kept(due)
    answer = due.redraw("requests", "--period", "2024-02")
    _says(answer, 5, *words)
    assert [(row["period"], row["status"], row["release"]) for row in answer.rows] == [("2024-02", "failed", None)]
    assert _kept(due) == before
    assert len(due.charges()) == 6
    assert not _leftovers(due)


def test_a_mended_feed(due: Town) -> None:
    """After faults and their mending the run goes on where it was, and each period is charged once."""
    _header(due)
    assert due.redraw("requests", "--from", "2024-01", "--to", "2024-02").code == 5
    (due.data / BAD).unlink()
    mended = due.redraw("requests", "--from", "2024-01", "--to", "2024-02")
    assert [(row["period"], row["edition"], row["status"]) for row in mended.rows] == [
        ("2024-01", 2, "ready"),
        ("2024-02", 2, "ready"),
    ]
    assert mended.code == 0
    assert due.charges()[6:] == [("requests", "2024-01"), ("requests", "2024-02")]


# 6 to 8. Records that nobody could mean


def test_dates_in_1753_and_2106(town: Town) -> None:
    """The run succeeds and says nothing; such records are in no release, and the private report alone knows of them."""
    town.without_noise()
    more = [f"{CANARY}-{day},{day},bin,-89.5,40.5,x" for day in ("1753-01-01", "2106-02-07", "1753-02-30", "never")]
    with (town.data / "requests" / "first.csv").open("a") as file:
        file.write("\n".join(more) + "\n")
    answer = town.run("requests")
    assert (answer.code, answer.err) == (0, "")
    assert {row["period"] for row in answer.rows} == {"2024-01", "2024-02", "2024-03"}
    counted = sum(
        sum(town.measurements("requests", period)["requests"].values()) for period in ("2024-01", "2024-02", "2024-03")
    )
    assert counted == 900
    (report,) = (town.state / "private" / "reports" / "requests").glob("landing-*.json")
    (batch,) = json.loads(report.read_text())["batches"]
    assert (batch["landed"], batch["without_event_time"]) == (904, 3)
    public = [path for path in (town.state / "public").rglob("*") if path.is_file()]
    assert not [path for path in public if b"1753" in path.read_bytes() or b"2106-02" in path.read_bytes()]


def test_coordinates_in_the_sea(town: Town) -> None:
    """A point that lies in no polygon, or is no point, counts as Unknown and loses nobody."""
    town.without_noise()
    points = ("0,0", "-30.5,40.5", "inf,nan", ",", "90000,-1e300", "here,there")
    rows = [f"{n},2024-01-0{n},bin,{point},x" for n, point in enumerate(points, 1)]
    (town.data / "requests" / "first.csv").write_text("\n".join(["number,opened,kind,lon,lat,caller", *rows]) + "\n")
    assert town.run("requests", "--period", "2024-01").code == 0
    counts = town.measurements("requests", "2024-01")["requests"]
    assert counts.pop("2024-01.unknown.refuse") == len(points)
    assert set(counts.values()) == {0}


def test_negative_infinite_and_absurd_readings(town: Town) -> None:
    """An account's total is clamped to the declared range; what is no number counts as nothing, its account counts."""
    town.without_noise()
    readings = {
        "negative": ("-5", "-100"),
        "huge": ("1e15", "1"),
        "clamped": ("2", "2"),
        "infinite": ("inf", "1"),
        "minus infinite": ("-inf", "1"),
        "nan": ("nan", "1"),
        "too large": ("1e400", "1"),
        "words": ("five", "1"),
        "blank": ("", "1"),
        "sound": ("0.6", "0"),
    }
    rows = [
        f"{name},2024-01-{day},A,{value}" for name, values in readings.items() for day, value in enumerate(values, 10)
    ]
    (town.data / "meters.csv").write_text("\n".join(["account,day,zone,liters", *rows]) + "\n")
    answer = town.run("water", "--period", "2024-01")
    assert (answer.code, answer.err) == (0, "")
    found = town.measurements("water", "2024-01")
    assert found["accounts"]["2024-01.a"] == len(readings)
    assert found["used"]["2024-01.a"] == 0 + 2 + 2 + 6 * 1 + 1


# 9. A keyset with a duplicate


@pytest.mark.parametrize("name", ["zones", "kinds"])
def test_a_keyset_with_a_duplicate(town: Town, name: str) -> None:
    """Keyset or lookup: both lines are named."""
    path = town.root / "datasets" / "keysets" / f"{name}.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1]]) + "\n")
    for command in ("check", "plan", "run"):
        _says(town.publisher(command), 2, f"datasets/keysets/{name}.csv:{len(lines) + 1}", "already on line 2")
    assert not town.state.exists()


# 10. A state folder that takes no more, or nothing at all


@pytest.mark.parametrize("size", ["4k", "144k"])
def test_a_full_disk(town: Town, size: str) -> None:
    """Whether the room ends at the ledger or at the release: one message. With more room the run ends well
    and has charged once."""
    with mounted(town.state, f"size={size}") as remount:
        answer = town.run("water", "--period", "2024-01")
        _says(answer, 5)
        assert any(words in answer.err for words in ("full", "No space left")), answer.err
        assert not list(town.state.glob("public/releases/*/*/[0-9]*"))
        remount("size=50m")
        again = town.run("water", "--period", "2024-01")
        assert (again.code, again.rows[0]["status"]) == (0, "ready"), again.err
        assert town.charges() == [("water", "2024-01")]
        assert town.publisher("verify", "--offline").code == 0
        assert not _leftovers(town)


def test_files_that_may_not_grow(town: Town) -> None:
    """Where no file may grow beyond a few blocks, which is what a quota does, it is one message as well."""
    answer = town.publisher("run", "--no-push", "requests", before="ulimit -f 4")
    _says(answer, 5)
    assert not town.charges()
    assert not list(town.state.glob("public/releases/*/*/[0-9]*"))


def test_a_read_only_state_folder(first_town: Town, town: Town) -> None:
    """Nothing is begun; what was released before can still be queried."""
    with mounted(town.state, "size=50m") as remount:
        shutil.copytree(first_town.state, town.state, dirs_exist_ok=True)
        remount("ro")
        before = town.tree()
        for command in (
            ("run", "--no-push"),
            ("land",),
            ("rollback", "requests", "--reason", "A file was missing", "--no-push"),
        ):
            _says(town.publisher(*command), 5, "cannot be written", "Read-only file system")
        assert town.publisher("sql", "SELECT count(*) FROM _releases").code == 0
        assert town.tree() == before


def test_a_file_where_the_state_folder_should_be(town: Town) -> None:
    """It is left as it is."""
    town.state.write_text("in the way")
    for command in ("run", "land"):
        _says(town.publisher(command), 5, str(town.state), "cannot be written")
    assert town.state.read_text() == "in the way"
