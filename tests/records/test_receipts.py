"""Late and corrected records: days of receipt that never change, vintages, and what each policy reads."""

from __future__ import annotations

import json
import os
import shutil
from datetime import date, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from invented import HEADER, REPEATS, TODAY, City, definition

from publisher.definitions import period as civil
from publisher.definitions.vintage import Vintage, vintages_of
from publisher.errors import SourceError
from publisher.records import landing
from publisher.records.batch import basis
from publisher.records.reader import raw
from publisher.records.receipts import Receipts

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.workspace import SourceFile

NAMED = "%Y-%m-%d.csv"
JANUARY = civil.parse("2018-01")
FEBRUARY = civil.parse("2018-02")
MORE_SEEDS = pytest.mark.evidence("increments of late records over random files, more seeds")
PERSON = {"unit": "who", "window": "month", "missing": "own-unit"}


def _source(policy: str, delivery: str = "append", **changes: Any) -> SourceFile:
    late = {"policy": policy, "received": NAMED, "after_days": (0,) if policy == "freeze" else (5, 35, 65)}
    return definition(late=late, delivery=delivery, **changes)


def _put(city: City, day: str, *rows: str) -> Path:
    return city.put("\n".join([HEADER, *(f"{row},y" for row in rows)]) + "\n", f"raw/{day}.csv")


def _read(
    city: City, number: int, columns: str = "id, _vintage", period: civil.Period = JANUARY
) -> list[tuple[Any, ...]]:
    """What a draw of that vintage reads of the period."""
    late = city.source.definition.late
    assert late is not None
    read = raw(city.source, city.private, period.start, period.end, vintage=vintages_of(late, period)[number - 1])
    query = f"SELECT {columns} FROM ({read.sql}) ORDER BY ALL"
    return duckdb.connect().execute(query, read.parameters).fetchall()


def _receipts(city: City) -> list[tuple[Any, ...]]:
    files = str(city.private / "receipts" / "*" / "*" / "*.parquet")
    return duckdb.connect().execute(f"SELECT * FROM '{files}' ORDER BY ALL").fetchall()


def _days(city: City) -> set[str]:
    return set(json.loads((city.private / "receipts" / "requests" / "received.json").read_bytes()).values())


def test_the_day_of_receipt_stands_in_the_file_name(city: City) -> None:
    """A name of another form is one error that names file, form and setting, and nothing is landed."""
    city.source = _source("increment")
    _put(city, "2018-02-01", "1,a,2018-01-01,x")
    city.put(f"{HEADER}\n2,b,2018-01-01,x,y\n", "raw/january.csv")
    with pytest.raises(SourceError, match=r"january\.csv.*late\.received = '%Y-%m-%d\.csv'"):
        city.land()
    assert not list(city.private.glob("landed/*/[!.]*"))
    (city.data / "raw" / "january.csv").rename(city.data / "raw" / "2018-02-03.csv")
    city.land()
    assert _days(city) == {"2018-02-01", "2018-02-03"}


def test_without_a_form_it_is_the_day_of_landing(city: City) -> None:
    """As the clock had it when the content came first; the same content never gets another day."""
    city.source = definition(late={"policy": "increment"}, delivery="append")
    path = _put(city, "any", "1,a,2018-01-01,x")
    city.land(date(2018, 1, 20))
    path.rename(path.with_name("other.csv"))
    city.land(date(2018, 3, 1))
    assert _days(city) == {"2018-01-20"}


@pytest.mark.parametrize("delivery", ["append", "snapshot", "changes"])
def test_a_receipt_never_changes(city: City, delivery: str) -> None:
    """Not when files are landed anew under another definition, placed anew, removed and landed again, or re-dated."""
    city.source = _source("charge", delivery)
    _put(city, "2018-02-01", "1,a,2018-01-01,x")
    city.land()
    second = _put(city, "2018-02-20", "1,a,2018-01-01,NA", "2,b,2018-01-02,x")
    city.land()
    receipts, days = _receipts(city), _days(city)
    assert {row[1:] for row in receipts} == {
        (date(2018, 2, 1), _noon(2018, 1, 1)), (date(2018, 2, 20), _noon(2018, 1, 2))
    }  # fmt: skip
    city.land(date(2030, 1, 1))
    second.rename(second.with_name("2019-01-01.csv"))
    shutil.rmtree(
        next(folder for folder in city.private.glob("landed/requests/*") if _file(folder) == "2018-02-20.csv")
    )
    city.land(date(2030, 1, 1))
    assert (_receipts(city), _days(city)) == (receipts, days)
    city.source = _source("charge", delivery, feed={"nulls": ("NA",)})
    city.land(date(2030, 1, 1))
    assert (set(_receipts(city)), _days(city)) == (set(receipts), days)
    assert _read(city, 3) == [("1", 1), ("2", 2)]


def _noon(*day: int) -> Any:
    from datetime import datetime

    return datetime(*day)  # type: ignore[arg-type]  # noqa: DTZ001 - civil time


def _file(folder: Path) -> str:
    return str(json.loads((folder / "batch.json").read_bytes())["file"]).removeprefix("raw/")


@pytest.mark.parametrize("delivery", ["append", "snapshot", "changes"])
@pytest.mark.parametrize("policy", ["increment", "charge"])
def test_a_vintage_reads_what_came_before_its_cutoff(city: City, policy: str, delivery: str) -> None:
    """However late it is drawn; a receipt on the cutoff day itself is of the next; after the last cutoff: of none."""
    city.source = _source(policy, delivery)
    rows: list[str] = []
    for day, row in (
        ("2018-02-05", "1,a,2018-01-01,x"),
        ("2018-02-06", "2,a,2018-01-31 23:59:59,x"),
        ("2018-03-07", "3,a,2018-01-15,x"),
        ("2018-04-06", "4,a,2018-01-15,x"),
        ("2018-04-07", "5,a,2018-01-15,x"),
    ):
        rows = [*rows, row] if delivery == "snapshot" else [row]
        _put(city, day, *rows)
    city.land(date(2030, 1, 1))
    assert _read(city, 1) == [("1", 1)]
    assert _read(city, 2) == [("1", 1), ("2", 2), ("3", 2)]
    assert _read(city, 3) == [("1", 1), ("2", 2), ("3", 2), ("4", 3)]


def test_a_vintage_without_records_has_the_same_columns(city: City) -> None:
    """Nothing in the period: no rows, the same types."""
    shapes = []
    for policy in ("increment", "charge", "freeze"):
        for delivery in ("append", "snapshot", "changes"):
            one = City(city.root / f"{policy}-{delivery}", _source(policy, delivery))
            _put(one, "2018-01-31", "1,a,2017-01-01,x")
            one.land()
            for period in (JANUARY, FEBRUARY, civil.parse("2030-05")):
                vintage = Vintage(1, (period.end + timedelta(days=5),))
                read = raw(one.source, one.private, period.start, period.end, vintage=vintage)
                described = duckdb.connect().execute(f"DESCRIBE {read.sql}", read.parameters).fetchall()
                shapes.append([row[:2] for row in described])
    assert all(shape == shapes[0] for shape in shapes)
    assert shapes[0][-1] == ("_vintage", "SMALLINT")


@pytest.mark.parametrize("delivery", ["snapshot", "changes"])
def test_increment_counts_a_corrected_record_where_it_was_first(city: City, delivery: str) -> None:
    """A new event time moves it neither to another period nor to another vintage; a first version without one is never
    counted. What else was corrected counts as it stood at the cutoff."""
    city.source = _source("increment", delivery)
    _put(city, "2018-02-01", "1,a,2018-01-10,old", "2,a,2018-01-11,old", "3,a,,old")
    _put(city, "2018-02-02", "1,a,2018-02-10,new", "2,a,2018-01-11,new", "3,a,2018-01-12,new")
    _put(city, "2018-03-01", "1,a,2018-03-10,newest", "2,a,,newest", "3,a,2018-01-12,newest")
    city.land()
    columns = "id, what, _event::DATE::VARCHAR, _vintage"
    assert _read(city, 1, columns) == [("1", "new", "2018-01-10", 1), ("2", "new", "2018-01-11", 1)]
    assert _read(city, 2, columns) == [("1", "newest", "2018-01-10", 1), ("2", "newest", "2018-01-11", 1)]
    assert _read(city, 3, columns, FEBRUARY) == []


def test_charge_counts_a_corrected_record_where_it_stands(city: City) -> None:
    """Each vintage reads the version of its day."""
    city.source = _source("charge", "changes")
    _put(city, "2018-02-01", "1,a,2018-01-10,old")
    _put(city, "2018-03-01", "1,a,2018-02-10,new")
    city.land()
    assert _read(city, 1, "id, what") == [("1", "old")]
    assert _read(city, 2, "id, what") == []
    assert _read(city, 1, "id, what", FEBRUARY) == [("1", "new")]


@pytest.mark.parametrize("delivery", ["append", "snapshot", "changes"])
def test_freeze_cuts_by_the_day_of_receipt(city: City, delivery: str) -> None:
    """A record counts once, in the period in which it came, whatever its own event time says, and stays there when it
    is corrected; also without a vintage nobody reads it by another time."""
    city.source = _source("freeze", delivery)
    _put(city, "2018-01-31", "1,a,2015-07-01,x", "2,a,,x")
    _put(city, "2018-02-01", "1,a,2018-02-01,x", "2,a,,x", "3,a,2018-01-01,x")
    city.land()
    columns = "id, _event::VARCHAR, _vintage"
    assert _read(city, 1, columns, FEBRUARY) == [("3", "2018-02-01 00:00:00", 1)]
    if delivery == "append":  # under the other deliveries January's edition reads the January file
        assert city.rows("id", JANUARY.start, JANUARY.end) == [("1",), ("2",)]
    assert _read(city, 1, columns) == [("1", "2018-01-31 00:00:00", 1), ("2", "2018-01-31 00:00:00", 1)]
    assert city.rows("id, _event::VARCHAR", FEBRUARY.start, FEBRUARY.end) == [("3", "2018-02-01 00:00:00")]


def test_a_record_that_comes_again_after_its_rows_are_gone_is_not_new(city: City) -> None:
    """Retention removes partitions; first receipts stay, so no later vintage counts the record a second time."""
    for delivery in ("append", "changes", "snapshot"):
        one = City(city.root / delivery, _source("increment", delivery))
        _put(one, "2018-02-01", "1,a,2018-01-10,x", "2,a,2018-02-01,x")
        one.land()
        shutil.rmtree(next(one.private.glob("landed/requests/*/month=2018-01")))
        _put(one, "2018-02-20", "1,a,2018-01-20,corrected", "3,a,2018-01-21,x")
        one.land()
        assert [row for row in _read(one, 2) if row[1] == 2] == [("3", 2)]
        assert ("1", 1) in _read(one, 2) or delivery == "append"


def test_a_crash_before_the_receipts_is_made_good(city: City) -> None:
    """The batch stands without them: until the next landing reading is refused; then all is as if nothing happened."""
    city.source = _source("increment", "changes")
    _put(city, "2018-02-01", "1,a,2018-01-10,x")
    _put(city, "2018-02-20", "1,a,2018-01-20,x", "2,a,2018-01-20,x")
    city.land()
    whole = city.tree()
    for path in city.private.glob("receipts/requests/*/*.parquet"):
        content = path.read_bytes()
        path.rename(path.with_name(f".{path.name}.1"))
        with pytest.raises(SourceError, match="run `publisher land`"):
            _read(city, 1)
        city.land()
        assert path.read_bytes() == content
        path.with_name(f".{path.name}.1").unlink()
    assert city.tree() == whole


@pytest.mark.parametrize("delivery", ["append", "snapshot", "changes"])
def test_a_policy_declared_later_takes_the_days_from_names(city: City, delivery: str) -> None:
    """Files landed before it had one keep the day of landing where their name gives none."""
    city.source = definition(delivery=delivery)
    _put(city, "2018-02-01", "1,a,2018-01-10,x")
    city.land(TODAY)
    _put(city, "any", "1,a,2018-01-10,x", "2,a,2018-01-20,x")
    city.land(date(2018, 3, 7))
    city.source = _source("increment", delivery)
    with pytest.raises(SourceError, match="before it had a policy"):
        _read(city, 1)
    city.land(TODAY)
    assert _read(city, 2) == [("1", 1), ("2", 2)]


def test_people_are_not_counted_on_while_a_batch_is_gone(city: City) -> None:
    """What it held of a person bounds what later editions may count of them; landed again, all is as before."""
    city.source = _source("increment", privacy=PERSON)
    _put(city, "2018-02-01", "1,a,2018-01-10,x")
    _put(city, "2018-02-20", "2,a,2018-01-20,x", "1,a,2018-01-10,y")
    city.land()
    whole = _read(city, 2, "id, what, _vintage")
    gone = next(each for each in city.private.glob("landed/requests/*") if _file(each) == "2018-02-01.csv")
    shutil.rmtree(gone)
    with pytest.raises(SourceError, match=f"are gone: {gone.name}"):
        _read(city, 2)
    city.land(TODAY)
    assert _read(city, 2, "id, what, _vintage") == whole == [("1", "x", 1), ("2", "x", 2)]


def test_a_damaged_register_is_named(city: City) -> None:
    """Days of receipt that cannot be read stop landing and reading; they are never guessed anew."""
    city.source = _source("increment")
    _put(city, "2018-02-01", "1,a,2018-01-10,x")
    city.land()
    for content in ("[]", "[" * 200_000, '{"a": 5}', "\xff"):
        (city.private / "receipts" / "requests" / "received.json").write_text(content, encoding="latin-1")
        for act in (city.land, lambda: _read(city, 1)):
            with pytest.raises(SourceError, match=r"received\.json: is damaged"):
                act()
    (city.private / "receipts" / "requests" / "received.json").unlink()
    (city.private / "receipts" / "requests" / "closed.json").write_text("[]")
    with pytest.raises(SourceError, match=r"closed\.json: is damaged"):
        city.land()


def test_no_receipts_without_a_policy(city: City) -> None:
    """Nothing is remembered of records longer than their rows where nothing needs it."""
    _put(city, "any", "1,a,2018-01-10,x")
    city.land()
    assert not (city.private / "receipts").exists()


@pytest.mark.parametrize("delivery", ["append", "snapshot", "changes"])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=MORE_SEEDS) for seed in range(1, 20))])
def test_increments_never_overlap(city: City, delivery: str, seed: int) -> None:
    """Random files in random order, each vintage drawn when it is due: what a vintage counts, no other vintage and no
    other period counts, and drawn at the very end it reads the same. More seeds are evidence, since
    they show no other mechanism."""
    draw = Random(seed)
    city.source = _source("increment", delivery, feed=REPEATS)
    days = sorted(date(2018, 1, 1) + timedelta(days=draw.randrange(150)) for _ in range(12))
    drawn: dict[tuple[str, int], list[Any]] = {}
    for day in days:
        rows = [
            f"{draw.randrange(60)},{draw.choice('abc')},2018-0{draw.randint(1, 2)}-{draw.randint(1, 28):02},{n}"
            for n in range(draw.randrange(25))
        ]
        _put(city, day.isoformat(), *dict.fromkeys(rows))
        city.land(day)
    for period in (JANUARY, FEBRUARY):
        for number in (1, 2, 3):
            drawn[period.label, number] = [
                row for row in _read(city, number, "_record, id, _vintage", period) if row[2] == number
            ]
    records = [row[0] for rows in drawn.values() for row in rows]
    assert len(records) == len(set(records)) > 5
    read_again = City(city.root / "again", city.source)
    read_again.private.parent.mkdir(parents=True)
    shutil.copytree(city.data, read_again.data)
    shutil.copytree(city.private, read_again.private)
    (read_again.data / "raw" / "2030-01-01.csv").write_text(f"{HEADER}\n999,a,2018-01-01,x,y\n")
    read_again.land()
    for (label, number), rows in drawn.items():
        again = _read(read_again, number, "_record, id, _vintage", civil.parse(label))
        assert [row for row in again if row[2] == number] == rows


def test_a_snapshot_that_comes_again_is_the_latest(city: City) -> None:
    """A file that holds an earlier content once more, or a new file that does: that content counts again."""
    city.source = definition(delivery="snapshot")
    for what in "abab":
        _put(city, "latest", f"1,a,2018-01-01,{what}")
        city.land()
        assert city.rows("what") == [(what,)]
        _put(city, "copy", "1,a,2018-01-01,a")
        if what == "b":
            for _ in range(2):
                city.land()
                assert city.rows("what") == [("a",)]
        (city.data / "raw" / "copy.csv").unlink()


@pytest.mark.parametrize("policy", ["freeze", "increment", "charge"])
@pytest.mark.parametrize("delivery", ["append", "snapshot", "changes"])
def test_no_edition_of_a_time_before_all_files(city: City, policy: str, delivery: str) -> None:
    """Where no file was received before the cutoff, the records are not read; source, count and period are named."""
    city.source = _source(policy, delivery)
    _put(city, "2018-02-06", "1,a,2018-01-01,x")
    city.land()
    closed = "2018-02-01" if policy == "freeze" else "2018-02-06"
    with pytest.raises(SourceError, match=f"requests: no file was received before {closed}.*2018-01-01 to 2018-01-31"):
        _read(city, 1)
    _put(city, "2018-01-31", "2,a,2018-01-02,x")
    city.land()
    assert _read(city, 1) == [("2", 1)]


def _drawn(city: City, cutoff: date) -> Receipts:
    """As a draw leaves them."""
    receipts = Receipts(city.private, "requests", basis(city.source.definition))
    receipts.close(cutoff)
    return receipts


@pytest.mark.parametrize("policy", ["freeze", "increment", "charge"])
@pytest.mark.parametrize("delivery", ["append", "snapshot", "changes"])
def test_a_file_of_a_day_that_was_counted_is_left_to_the_next_count(city: City, policy: str, delivery: str) -> None:
    """Its name dates it before a cutoff, it came after the draw: the draw would read the same again, and the next has
    its records. The day it gets is kept, whatever is drawn or landed later."""
    city.source = _source(policy, delivery)
    _put(city, "2018-01-31", "1,a,2018-01-01,x")
    city.land()
    before = _read(city, 1)
    cutoff = date(2018, 2, 1) if policy == "freeze" else date(2018, 2, 6)
    receipts = _drawn(city, cutoff)
    _put(city, "2018-01-30", "1,a,2018-01-01,x", "2,a,2018-01-02,x")
    city.land()
    assert _read(city, 1) == before == [("1", 1)]
    later = _read(city, 1, period=FEBRUARY) if policy == "freeze" else _read(city, 2)
    assert ("2", 1 if policy == "freeze" else 2) in later
    assert _days(city) == {"2018-01-31", cutoff.isoformat()}
    receipts.close(date(2018, 4, 7))
    receipts.close(date(2018, 3, 8))
    assert receipts.closed() == date(2018, 4, 7)
    city.source = _source(policy, delivery, feed={"nulls": ("NA",)})
    city.land()
    assert _days(city) == {"2018-01-31", cutoff.isoformat()}


def test_files_left_to_the_next_count_keep_their_order(city: City) -> None:
    """They come in the order of the days in their names, though all get one day."""
    form = "%d-%m-%Y.csv"
    late = {"policy": "charge", "received": form, "after_days": (5, 35)}
    city.source = definition(late=late, delivery="snapshot")
    _put(city, "01-02-2018", "1,a,2018-01-01,first")
    city.land()
    _drawn(city, date(2018, 2, 6))
    _put(city, "04-02-2018", "1,a,2018-01-01,latest")
    _put(city, "31-01-2018", "1,a,2018-01-01,oldest")
    city.land()
    assert _read(city, 1, "what") == [("first",)]
    assert _read(city, 2, "what") == [("latest",)]


@pytest.mark.parametrize("delivery", ["snapshot", "changes"])
def test_the_latest_is_what_was_received_last(city: City, delivery: str) -> None:
    """An old file that is landed later does not stand for the newer one, also where the policy came after both."""
    city.source = _source("charge", delivery)
    _put(city, "2018-02-05", "1,a,2018-01-01,new")
    city.land()
    _put(city, "2018-02-01", "1,a,2018-01-01,old")
    city.land()
    assert _read(city, 1, "what") == [("new",)]
    other = City(city.root / "other", definition(delivery=delivery))
    for day, what in (("2018-02-05", "new"), ("2018-02-01", "old")):
        _put(other, day, f"1,a,2018-01-01,{what}")
        other.land()
    assert other.rows("what") == [("old",)]
    other.source = city.source
    other.land()
    assert _read(other, 1, "what") == [("new",)]


@pytest.mark.parametrize("delivery", ["snapshot", "changes"])
def test_a_content_that_comes_again_under_a_policy_is_the_latest(city: City, delivery: str) -> None:
    """A bad file that is replaced by the one before it counts no more, though that one keeps its first day."""
    city.source = definition(late={"policy": "charge", "after_days": (5, 35)}, delivery=delivery)
    for day, what in ((1, "good"), (3, "bad"), (5, "good")):
        _put(city, "latest", f"1,a,2018-01-01,{what}")
        city.land(date(2018, 2, day))
        assert _read(city, 1, "what") == [(what,)]
    assert _days(city) == {"2018-02-01", "2018-02-03"}


def test_damaged_first_receipts_are_named(city: City) -> None:
    """They cannot be made again: whoever needs them is told which file to restore, and nothing is landed."""
    city.source = _source("increment")
    _put(city, "2018-02-01", "1,a,2018-01-10,x")
    city.land()
    path = next(city.private.glob("receipts/*/*/*.parquet"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    _put(city, "2018-02-02", "2,a,2018-01-10,x")
    with pytest.raises(SourceError, match=rf"{path}: is missing or damaged: restore it from a backup"):
        city.land()
    assert len(list(city.private.glob("landed/*/*/batch.json"))) == 1
    path.write_bytes(whole)
    city.land()
    assert len(_read(city, 1)) == 2


def test_files_before_one_that_changes_while_it_is_read_are_remembered(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is landed after them in the same run knows their records: none lands twice; first receipts are theirs."""
    city.source = _source("increment", feed=REPEATS)
    for day in ("2018-01-03", "2018-01-04", "2018-01-05"):
        _put(city, day, f"1,a,2018-01-01,{day}")
    check = landing._check_unchanged
    changed: list[Path] = []

    def changes_once(path: Path, before: os.stat_result) -> None:
        if path.name == "2018-01-04.csv" and not changed:
            changed.append(path)
            os.utime(path, ns=(1, before.st_mtime_ns + 1))
        check(path, before)

    monkeypatch.setattr(landing, "_check_unchanged", changes_once)
    city.land()
    assert changed
    assert city.landed("id") == [("1",)]
    assert [day for _, day, _ in _receipts(city)] == [date(2018, 1, 3)]
