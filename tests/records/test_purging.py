"""Purging landed records: nothing of a purged month is read or lands again, and every other row stays."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import duckdb
import pytest
from invented import ENGINE, HEADER, REPEATS, City, definition

from publisher.duck import connect
from publisher.errors import PurgedError, SourceError
from publisher.records import places
from publisher.records.purging import PurgedMonths, Purging, old_reports, purged_of
from publisher.records.reader import in_parts

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = date(2024, 1, 1), date(2024, 3, 1)
FIRST = f"{HEADER}\n1,ann,2024-01-05,a,x\n2,bob,2024-02-05,b,x\n3,cid,,c,x\n"


@pytest.fixture
def city(tmp_path: Path) -> City:
    """A city with one landed file, of January and February, and a row without a date."""
    city = City(tmp_path)
    city.put(FIRST)
    city.land(date(2024, 3, 1))
    return city


def begun(city: City, before: str, *kept: str) -> Purging:
    """A purge of all months before that one that was decided and not done."""
    purging = Purging(city.source, city.private)
    purging.begin(PurgedMonths(before, kept), rule="a rule", not_released=(), reports=())
    return purging


def purge(city: City, before: str, *kept: str) -> None:
    """The same, done."""
    finish(begun(city, before, *kept))


def finish(purging: Purging) -> None:
    """What is left to do of a purge."""
    with connect(ENGINE, purging.private / "tmp") as connection:
        purging.delete(purging.resume(), connection)
    purging.end(purged_of(purging.private, "requests"))


def files(city: City) -> list[Path]:
    """What is left of all landed rows."""
    return list((city.private / "landed").rglob("*.parquet"))


def counted_in_parts(city: City) -> list[object]:
    """The rows of February as workers read them."""
    read = in_parts(city.source, city.private, date(2024, 2, 1), NEW)
    rows = " UNION ALL ".join(part.sql for part in read.parts)
    select = read.latest.replace("{rows}", f"({rows})")
    return list(duckdb.connect().execute(f"SELECT id FROM ({select})", read.parameters).fetchall())


def test_a_purged_month_is_gone_and_never_read(city: City) -> None:
    """Its rows are deleted, also where they lie; a period that touches it is refused, others are read as before; a row
    without a date goes with the month of its receipt."""
    purge(city, "2024-02")
    assert city.landed("id") == [("2",), ("3",)]
    assert city.rows("id", date(2024, 2, 1), NEW) == [("2",)]
    for start, end in ((OLD, date(2024, 2, 1)), (date(2024, 1, 29), date(2024, 2, 5)), (date(2023, 1, 1), NEW)):
        with pytest.raises(PurgedError, match="not released: its records were purged under the retention schedule"):
            city.raw(start, end)
    purge(city, "2024-04")
    assert files(city) == []


def test_a_kept_month_stays(city: City) -> None:
    """One that waits for a release is neither deleted nor refused."""
    purge(city, "2024-03", "2024-01")
    assert city.landed("id") == [("1",), ("3",)]
    assert city.rows("id", OLD, date(2024, 2, 1)) == [("1",)]


@pytest.mark.parametrize("rows", ["same file", "new file", "new definition"])
def test_what_is_purged_does_not_land_again(city: City, rows: str) -> None:
    """Raw files still have it: the same file, one that brings old rows, and a landing under another definition."""
    purge(city, "2024-02")
    if rows == "new file":
        city.put(f"{HEADER}\n4,dan,2024-01-07,d,x\n5,eve,2024-02-07,e,x\n", "raw/b.csv")
    if rows == "new definition":
        city.source = definition(timezone="America/New_York")
    city.land(date(2024, 3, 2))
    assert [row[0] for row in city.landed("id")] == (["2", "3", "5"] if rows == "new file" else ["2", "3"])


def test_a_source_can_change_after_its_old_files_are_gone(city: City) -> None:
    """A batch of which all is purged needs no raw file to be landed again."""
    purge(city, "2024-04")
    (city.data / "raw" / "a.csv").unlink()
    city.put(f"{HEADER}\n9,zoe,2024-05-05,z,x\n", "raw/b.csv")
    city.source = definition(timezone="America/New_York")
    city.land(date(2024, 6, 1))
    assert city.landed("id") == [("9",)]


def test_a_killed_purge_can_be_finished(city: City) -> None:
    """From its decision on, nothing is read; whatever was deleted by then, the next one ends the same."""
    purging = begun(city, "2024-02")
    pending = purged_of(city.private, "requests").pending
    assert pending is not None
    assert pending.months == ["2024-01"]
    with pytest.raises(PurgedError):
        city.raw(OLD, date(2024, 2, 1))
    (city.private / pending.files[0][0]).unlink()
    finish(purging)
    assert city.landed("id") == [("2",), ("3",)]
    assert purged_of(city.private, "requests").pending is None


def test_rows_that_are_being_deleted_are_passed_over(tmp_path: Path) -> None:
    """Under `increment` a snapshot's rows count on their first day, wherever they lie: of those that an interrupted
    purge deletes, none is read."""
    late = {"policy": "increment", "after_days": (5, 65)}
    city = City(tmp_path, definition(delivery="snapshot", late=late, feed=REPEATS))
    city.put(FIRST)
    city.land(date(2024, 3, 1))
    city.put(f"{HEADER}\n1,ann,2024-02-07,a,x\n2,bob,2024-01-20,b,x\n4,dan,2024-02-09,d,x\n")
    city.land(date(2024, 3, 2))
    period = date(2024, 2, 1), NEW
    assert city.rows("id", *period) == [("2",), ("4",)]
    purging = begun(city, "2024-02")
    assert city.rows("id", *period) == [("4",)]
    finish(purging)
    assert city.rows("id", *period) == [("4",)]


def test_a_corrected_record_does_not_come_back(tmp_path: Path) -> None:
    """Where later rows replace earlier ones, an old version does not count again when the newest is purged, also if the
    newest only comes after the purge; no value of it is kept, and the id goes when the old version does."""
    city = City(tmp_path, definition(delivery="changes", feed=REPEATS))
    city.put(FIRST)
    city.land(date(2024, 3, 1))
    city.put(f"{HEADER}\n2,bob,2024-01-20,corrected,x\n", "raw/b.csv")
    city.land(date(2024, 3, 2))
    assert city.rows("id", date(2024, 2, 1), NEW) == []
    purge(city, "2024-02")
    assert city.rows("id", date(2024, 2, 1), NEW) == counted_in_parts(city) == []
    assert ("corrected",) not in city.landed("what")
    assert city.landed("what").count((None,)) == 1
    city.put(f"{HEADER}\n6,fay,2024-02-20,f,x\n", "raw/c.csv")
    city.land(date(2024, 3, 3))
    city.put(f"{HEADER}\n6,fay,2023-12-20,f,x\n", "raw/d.csv")
    city.land(date(2024, 3, 4))
    assert city.rows("id", date(2024, 2, 1), NEW) == []
    purge(city, "2024-04")
    assert files(city) == []


def test_months_that_waited_are_purged_later() -> None:
    """What is purged stays purged, whatever the schedule says later; what waits is kept until it no longer does."""
    first = PurgedMonths().after("2024-03", {"2024-01", "2024-05"})
    assert (first.before, first.kept) == ("2024-03", ("2024-01",))
    second = first.after("2024-05", {"2024-04"})
    assert (second.before, second.kept) == ("2024-05", ("2024-04",))
    longer = first.after("2023-01", ())
    assert (longer.before, longer.kept) == ("2024-03", ("2024-01",))
    assert [month for month in ("2023-12", "2024-01", "2024-02", "2024-03") if first.holds(month)] == [
        "2023-12",
        "2024-02",
    ]


def test_a_damaged_memory_stops(city: City) -> None:
    """What is purged must be known before anything is read."""
    purge(city, "2024-02")
    (city.private / "purged" / "requests.json").write_text("{")
    with pytest.raises(SourceError, match="is damaged: restore it from a backup"):
        city.raw(OLD, NEW)


def test_under_freeze_the_day_of_receipt_decides(tmp_path: Path) -> None:
    """An old date that was received lately counts lately, and stays."""
    city = City(tmp_path, definition(late={"policy": "freeze"}))
    city.put(f"{HEADER}\n1,ann,2023-01-05,a,x\n")
    city.land(date(2024, 1, 10))
    city.put(f"{HEADER}\n2,bob,2023-01-06,b,x\n", "raw/b.csv")
    city.land(date(2024, 2, 10))
    purge(city, "2024-02")
    assert city.landed("id") == [("2",)]
    read = city.raw(date(2024, 2, 1), NEW)
    assert duckdb.connect().execute(f"SELECT id FROM ({read.sql})", read.parameters).fetchall() == [("2",)]


def test_reports_go_when_they_are_old_and_no_row_is_left(city: City) -> None:
    """The report of a landing is old by the day of its receipt; later landings are judged without it."""
    day = date(2024, 4, 1)
    assert old_reports(city.private, city.source, PurgedMonths("2024-02"), day) == []
    assert old_reports(city.private, city.source, PurgedMonths("2024-04"), date(2024, 3, 1)) == []
    (path,) = old_reports(city.private, city.source, PurgedMonths("2024-04"), day)
    purging = Purging(city.source, city.private)
    purging.begin(PurgedMonths("2024-04"), rule="a rule", not_released=(), reports=[path])
    finish(purging)
    assert not path.exists()
    city.put(f"{HEADER}\n9,zoe,2024-05-05,z,x\n", "raw/b.csv")
    city.land(date(2024, 6, 1))
    assert city.landed("id") == [("9",)]


def test_an_id_that_is_kept_never_counts(tmp_path: Path) -> None:
    """Under `increment` a record counts on its first day, but not once its newest version is being purged or is gone,
    also not after its batch was placed again; nor does it count twice in between."""
    late = {"policy": "increment", "after_days": (5, 65)}
    city = City(tmp_path, definition(delivery="changes", late=late, feed=REPEATS))
    city.put(FIRST)
    city.land(date(2024, 3, 1))
    city.put(f"{HEADER}\n2,bob,2024-01-20,corrected,x\n", "raw/b.csv")
    city.land(date(2024, 3, 2))
    period = date(2024, 2, 1), NEW
    assert city.rows("id", *period) == [("2",)]
    purging = begun(city, "2024-02")
    (newest,) = (city.private / name for name, _ in purging_files(city) if newest_version(city, name))
    kept = newest.read_bytes()
    with connect(ENGINE, purging.private / "tmp") as connection:
        purging.delete(purged_of(purging.private, "requests"), connection)
    newest.parent.mkdir(exist_ok=True)
    newest.write_bytes(kept)  # as if it had been killed before it deleted this file
    assert city.rows("id", *period) == counted_in_parts(city) == []
    finish(purging)
    assert city.rows("id", *period) == counted_in_parts(city) == []


def purging_files(city: City) -> list[tuple[str, str]]:
    """What is being purged."""
    pending = purged_of(city.private, "requests").pending
    assert pending is not None
    return list(pending.files)


def newest_version(city: City, name: str) -> bool:
    """Whether a file has the corrected row."""
    found = duckdb.connect().execute(f"SELECT what FROM '{city.private / name}'").fetchall()
    return ("corrected",) in found


@pytest.mark.parametrize("done", [False, True])
def test_placing_again_brings_nothing_purged_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, done: bool
) -> None:
    """Other boundaries after a purge, or while one is interrupted: the rows are gone when it ends, and ids that are
    kept stay ids alone."""
    city = City(tmp_path, definition(delivery="changes", feed=REPEATS))
    city.put(FIRST)
    city.land(date(2024, 3, 1))
    city.put(f"{HEADER}\n2,bob,2024-01-20,corrected,x\n", "raw/b.csv")
    city.land(date(2024, 3, 2))
    purging = begun(city, "2024-02")
    if done:
        finish(purging)
    monkeypatch.setattr(places, "fingerprint", lambda *_: "f" * 64)
    city.land(date(2024, 3, 3))
    finish(purging)
    assert city.landed("what") == [("b",), ("c",), (None,)]
    assert city.rows("id", date(2024, 2, 1), NEW) == counted_in_parts(city) == []
    assert len([path for path in files(city) if path.name.endswith("-purged.parquet")]) == 1


@pytest.mark.parametrize("delivery", ["append", "snapshot", "changes"])
@pytest.mark.parametrize("kept", [True, False])
def test_first_receipts_outlive_purged_rows(tmp_path: Path, delivery: str, *, kept: bool) -> None:
    """A record that was counted, whose rows are purged, and that comes again with a later date, is not counted again;
    without its first receipt it would be."""
    late = {"policy": "increment", "after_days": (5, 65)}
    city = City(tmp_path, definition(delivery=delivery, late=late, feed=REPEATS))
    city.put(FIRST)
    city.land(date(2024, 2, 20))
    purge(city, "2024-02")
    if not kept:
        for path in city.private.glob("receipts/requests/*/*.parquet"):
            path.unlink()
    city.put(f"{HEADER}\n1,ann,2024-02-07,moved,x\n2,bob,2024-02-05,b,x\n4,dan,2024-02-09,d,x\n", "raw/b.csv")
    city.land(date(2024, 3, 2))
    counted = city.rows("id", date(2024, 2, 1), NEW)
    assert ("4",) in counted
    assert (("1",) in counted) == (not kept)
