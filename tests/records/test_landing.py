"""Landed records: one row each, pseudonyms, event times, deliveries; complete or absent, and always private."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from datetime import date
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Literal
from uuid import UUID

import duckdb
import pytest
from invented import DEFINITION, ENGINE, HEADER, REPEATS, TODAY, City, definition

from publisher.definitions.settings import EngineSettings
from publisher.duck import connect
from publisher.errors import DefinitionError, SourceError
from publisher.records import pseudonyms, secrets
from publisher.records.batch import BatchStore

if TYPE_CHECKING:
    from collections.abc import Callable

CANARY = "canary-7391"
PERSON = {"privacy": {"unit": "who", "window": "month", "missing": "own-unit"}}


def _csv(*rows: str) -> str:
    return "\n".join([HEADER, *rows]) + "\n"


def test_landing_again_changes_nothing(city: City) -> None:
    """Not one byte, whatever the day; a new file makes a new batch beside the old."""
    city.put(_csv("1,a,2018-01-01,x,y"))
    first = city.land()
    before = city.tree()
    again = city.land(received=date(2027, 1, 1))
    assert (first.new, first.known, again.new, again.known, again.report) == (1, 0, 0, 1, None)
    assert city.tree() == before
    city.put(_csv("2,b,2018-02-01,x,y"), "raw/b.csv")
    assert city.land().new == 1
    assert before.items() <= city.tree().items()


def test_everything_private_is_private(city: City) -> None:
    """Folders 0700, files 0600, whatever the process's umask; nothing stays in the temporary folder."""
    city.put(_csv("1,a,2018-01-01,x,y"))
    before = os.umask(0)
    try:
        city.land()
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [city.private, *city.private.rglob("*")]}
    assert modes == {0o700, 0o600}
    assert not (city.private / "tmp").exists()


def test_texts_that_mean_missing_and_blanks_are_null(city: City) -> None:
    """Declared tokens, empty and blank cells; other texts lose the blanks around them."""
    city.source = definition(feed={"nulls": ("NULL", "NA")})
    city.put(
        _csv(*(f"{n},a,2018-01-01,{cell},y" for n, cell in enumerate(["NULL", " NA ", "", " \t", '""', " na", "0"])))
    )
    city.land()
    assert [row[1] for row in city.rows("id, what")] == [None, None, None, None, None, "na", "0"]


def test_rows_that_share_the_record_id_are_one_record(city: City) -> None:
    """Which row stays hangs on the record's own rows alone: not on their order, the others, or threads."""
    rows = [
        "1,a,2018-01-01,x,y",
        "1,a,2018-03-01,w,y",
        "1,a,2018-03-01,w,y",
        " 1 ,b,2018-02-01,v,y",
        "2,b,2018-01-01,x,y",
    ]
    kept = set()
    for number, order in enumerate([rows, rows[::-1], rows[:4], [*rows[2:], *rows[:2], "3,c,2018-01-01,a,y"]]):
        one = City(city.root / str(number))
        one.put(_csv(*order))
        report = one.report(one.land(engine=EngineSettings(memory="500MB", threads=1 + number % 3)))[0]
        assert (
            report["rows_read"] - report["duplicates"]
            == report["landed"]
            == len({row.split(",")[0].strip() for row in order})
        )
        kept.add(one.rows("trim(id), what, _event")[0])
    assert len(kept) == 1


def test_without_record_id_equal_rows_are_one_and_null_is_unlike_any_text(city: City) -> None:
    """Cells cannot be shifted between columns: each of these rows is another record, but the repeated one."""
    city.source = definition(record_id=())
    rows = ["a,b,2018-01-01,c,y", "ab,,2018-01-01,c,y", ",ab,2018-01-01,c,y", "a,b,2018-01-01,,y", "a,b,2018-01-01,-,y"]
    city.put(_csv(*rows, "1:a,b,2018-01-01,c,y", *rows[:1]))
    city.land()
    assert len(city.rows()) == 6


def test_records_without_id_are_not_merged(city: City) -> None:
    """A missing record id says nothing: such rows are told apart by all their columns."""
    city.put(_csv(",a,2018-01-01,x,y", ",b,2018-01-01,x,y", ",b,2018-01-01,x,y"))
    city.land()
    assert len(city.rows()) == 2


def _pseudonym(city: City, domain: Literal["record", "unit"], text: str) -> UUID:
    key = pseudonyms.prefix(city.private, domain, "requests")
    return UUID(hashlib.sha256(key + text.encode()).hexdigest()[:32])


def test_pseudonyms_are_keyed_hashes_of_the_normalized_identifier(city: City) -> None:
    """Case, blanks and ways of composing letters do not matter. The hash is SHA-256 of a key of 16 bytes and the text,
    cut to 128 bits; it is landed as 16 bytes, and read as 32 letters."""
    city.put(_csv("1, Zoe\u0308   Smith ,2018-01-01,x,y", "2,zoë smith,2018-01-01,x,y", "3,,2018-01-01,x,y"))
    city.land()
    expected = _pseudonym(city, "unit", "ZOË SMITH")
    assert city.rows("id, who") == [("1", expected.hex), ("2", expected.hex), ("3", None)]
    assert [row[0] for row in city.landed("who")] == [expected, expected, None]
    assert _pseudonym(city, "record", "id 1:1") in {row[0] for row in city.rows("_record")}


def test_the_key_before_a_text_is_of_its_own_and_always_as_long(city: City) -> None:
    """With keys of two lengths, the end of one could be taken for the beginning of a text; and a key that HMAC uses too
    would tie the two ways to each other."""
    secrets.create_key(city.private)
    keys = {pseudonyms.prefix(city.private, domain, name) for domain in ("record", "unit") for name in ("a", "ab")}
    assert {len(key) for key in keys} == {pseudonyms.PREFIX} == {16}
    purposes = [f"{domain}/{name}" for domain in ("record", "unit") for name in ("a", "ab")]
    hmacs = {secrets.derive(city.private, purpose)[:16] for purpose in purposes}
    assert len(keys | hmacs) == 8


def _land_as_before(city: City) -> None:
    """Land as publisher did until pseudonyms were made by SHA-256 of a key and the text."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("publisher.records.batch.PREFIXED", pseudonyms.HMAC)
        city.land()
    for path in city.private.glob("landed/*/*/batch.json"):
        batch = json.loads(path.read_text())
        del batch["pseudonyms"], batch["landing"]
        path.write_text(json.dumps(batch))


def test_a_source_that_was_landed_before_keeps_its_pseudonyms(city: City) -> None:
    """Nobody has two: a person of an old file and of a new one is one unit, and a record that comes again is not new. A
    new source has new ones."""
    city.source = definition(**PERSON, feed=REPEATS)
    city.put(_csv("1,Ann,2018-01-01,x,y", "2,Bob,2018-01-01,x,y"))
    _land_as_before(city)
    old = set(city.rows("who, _unit"))
    city.put(_csv("1,Ann,2018-01-01,x,y", "3, ann ,2018-02-01,x,y"), "raw/b.csv")
    city.land()
    assert len(city.rows()) == 3
    assert set(city.rows("who, _unit")) == old
    city.put(_csv("9,Cyd,2018-03-01,x,y"), "raw/c.csv")
    city.land()
    assert {kind for (kind,) in city.landed("typeof(who)")} == {"VARCHAR"}
    new = City(city.root, definition(name="permits", **PERSON))
    new.land()
    assert {batch.pseudonyms for batch in BatchStore(city.private, "permits").batches()} == {pseudonyms.PREFIXED}
    assert len(new.rows()) == 4


def test_records_with_two_kinds_of_pseudonyms_are_refused(city: City) -> None:
    """Such as from two backups: neither landed nor read, since a person would be two."""
    city.put(_csv("1,Ann,2018-01-01,x,y"))
    _land_as_before(city)
    (old,) = (city.private / "landed" / "requests").glob("*/")
    kept = city.root / old.name
    old.rename(kept)
    city.put(_csv("2,Ann,2018-01-01,x,y"), "raw/b.csv")
    city.land()
    kept.rename(old.with_name("copy"))
    for attempt in (city.land, city.rows):
        with pytest.raises(SourceError, match="two kinds of pseudonyms"):
            attempt()


def test_pseudonyms_of_two_sources_never_match(city: City) -> None:
    """The same file landed as two sources shares neither a pseudonym nor a record; landed twice, all of them."""
    city.put(_csv("1,a,2018-01-01,x,y", "2,b,2018-01-01,x,y"))
    found = {}
    for name in ("requests", "permits"):
        city.source = definition(name=name, **PERSON)
        city.land()
        found[name] = {value for row in city.rows("who, _record, _unit") for value in row}
    assert not found["requests"] & found["permits"]
    other = City(city.root / "other", city.source)
    other.put(_csv("3,a,2019-01-01,x,y", "2,b,2019-01-01,x,y"))
    secrets.create_key(other.private)
    (other.private / "key").write_bytes((city.private / "key").read_bytes())
    other.land()
    assert {row[0] for row in other.rows("who")} <= found["permits"]


@pytest.mark.parametrize("missing", ["own-unit", "drop"])
def test_a_row_without_identifier(city: City, missing: str) -> None:
    """Is a unit of its own by record id, or has no unit; identified rows share theirs."""
    city.source = definition(feed={"nulls": ("NULL",)}, privacy={**PERSON["privacy"], "missing": missing})
    city.put(_csv("1,Ann,2018-01-01,x,y", "2,ANN,2018-01-01,x,y", "3,NULL,2018-01-01,x,y", "4,,2018-01-01,x,y"))
    report = city.report(city.land())[0]
    rows = city.rows("id, _unit, _record, who")
    assert rows[0][1] == rows[1][1] == UUID(rows[0][3])
    assert [row[1] for row in rows[2:]] == ([row[2] for row in rows[2:]] if missing == "own-unit" else [None, None])
    assert report["without_unit"] == 2


EACH_ONCE = [("append", "own-unit", ("id",)), ("changes", "drop", ()), ("snapshot", "own-unit", ())]
"""Deliveries, missing identifiers and record ids (or none)."""
ALL_TOGETHER = [
    pytest.param(*case, marks=pytest.mark.evidence("landing by every delivery, with and without record ids"))
    for case in product(("append", "changes", "snapshot"), ("own-unit", "drop"), (("id",), ()))
    if case not in EACH_ONCE
]
PEOPLE = ("Ann", " ann", "ANN", "Bob", "Cyd", "Dee", "")


def _drawn_rows(seed: int) -> list[str]:
    """Rows of few people and fewer record ids, so that people share ids and ids repeat in one file and in the next."""
    draw = Random(seed)
    cells = (["1", "2", "3", "4", ""], PEOPLE, ["2018-01-01", "2018-01-02", "2018-02-01"], "pq", "s")
    return [",".join(map(draw.choice, cells)) for _ in range(40)]


def _person(row: str) -> str:
    return row.split(",")[1].strip().upper()


@pytest.mark.parametrize(("delivery", "missing", "record_id"), EACH_ONCE + ALL_TOGETHER)
def test_what_is_landed_of_a_unit_hangs_on_its_own_rows_alone(
    city: City, delivery: str, missing: str, record_id: tuple[str, ...]
) -> None:
    """Without one person's rows, those of all others are read as before, whoever shares their record ids. All
    combinations are evidence, since each part is shown once."""
    source = definition(
        delivery=delivery, record_id=record_id, privacy={**PERSON["privacy"], "missing": missing}, feed=REPEATS
    )
    files = {"a": _drawn_rows(1), "b": _drawn_rows(2)}

    def landed(name: str, gone: str | None) -> set[tuple[object, ...]]:
        one = City(city.root / name, source)
        secrets.create_key(one.private)
        (one.private / "key").write_bytes(key)
        for file, rows in files.items():
            one.put(_csv(*(row for row in rows if _person(row) != gone)), f"raw/{file}.csv")
            one.land()
        rows = one.rows('_unit, _record, id, who, "when", what, _event')
        assert len({row[:2] for row in rows}) == len({row[1] for row in rows}) == len(rows)
        return set(rows)

    secrets.create_key(city.private)
    key = (city.private / "key").read_bytes()
    whole = landed("whole", None)
    known = dict(zip(("ANN", "BOB", "CYD"), _pseudonyms(city, "Ann", "Bob", "Cyd"), strict=True))
    for person, pseudonym in known.items():
        others = {row for row in whole if row[3] != pseudonym}
        assert len(others) < len(whole)
        assert landed(person, person) == others
    assert landed("nameless", "") == {row for row in whole if row[3] is not None}


def _pseudonyms(city: City, *people: str) -> list[str]:
    return [_pseudonym(city, "unit", person.upper()).hex for person in people]


def test_a_record_is_one_within_its_unit(city: City) -> None:
    """Two people's rows of one record id are two records, one person's are one; a missing person is like no person."""
    city.source = definition(**PERSON)
    rows = ["1,Ann,2018-01-01,x,y", "1, ANN ,2018-01-02,x,y", "1,Bob,2018-01-01,x,y", "1,-,2018-01-01,x,y"]
    city.put(_csv(*rows, "1,,2018-01-01,x,y", "1,,2018-01-03,x,y"))
    city.land()
    made = ["unit 3:ANN id 1:1", "unit 3:BOB id 1:1", "unit 1:- id 1:1", "unit - id 1:1"]
    expected = {_pseudonym(city, "record", each) for each in made}
    assert {row[0] for row in city.rows("_record")} == expected
    assert len(city.rows()) == len({row[0] for row in city.rows("_unit")}) == 4


def test_identifiers_and_unread_columns_reach_no_landed_file(city: City) -> None:
    """Decoded, no landed cell holds what stood there; the report and batch.json hold none either."""
    city.put(
        _csv(f"1,{CANARY},2018-01-01,x,{CANARY}2", f"1,{CANARY},2018-01-02,x,{CANARY}2", f"x,{CANARY},,x,{CANARY}")
    )
    city.land()
    cells = [str(value) for row in city.landed() for value in row]
    assert len(city.landed()) == 2
    assert not any(CANARY in cell for cell in cells)
    assert not [name for name, content in city.tree().items() if CANARY.encode() in content]


def test_event_times(city: City) -> None:
    """Forms are tried in order; 1753 and nonsense are kept apart and never counted, 2106 is a month like any."""
    times = [
        "1753-01-01",
        "1899-12-31",
        "1900-01-01",
        "2106-02-07 06:28:15",
        "2199-12-31",
        "2200-01-01",
        "soon",
        "",
        "2018-02-30",
    ]
    city.put(_csv(*(f"{n},a,{when},x,y" for n, when in enumerate(times))))
    report = city.report(city.land())[0]
    assert [row[1] for row in city.rows("id, strftime(_event, '%Y-%m-%d %H:%M:%S')")] == [
        "1900-01-01 00:00:00",
        "2106-02-07 06:28:15",
        "2199-12-31 00:00:00",
    ]
    assert (report["landed"], report["without_event_time"]) == (9, 6)
    months = {path.name for path in city.private.glob("landed/*/*/month=*")}
    assert months == {"month=none", "month=1900-01", "month=2106-02", "month=2199-12"}


def test_event_times_of_another_clock_become_civil_time(city: City) -> None:
    """UTC clocks and times with offsets land as the source's civil time, summer time included."""
    city.put(_csv("1,a,2018-01-01 05:00:00,x,y", "2,a,2018-07-01 05:00:00,x,y"))
    city.source = definition(event={"zone": "UTC"})
    city.land()
    assert city.rows("_event::VARCHAR") == [("2017-12-31 23:00:00",), ("2018-07-01 00:00:00",)]
    city.put(_csv("1,a,2018-01-01T05:00:00+0100,x,y"), "raw/a.csv")
    city.source = definition(event={"formats": ("%Y-%m-%dT%H:%M:%S%z",)}, name="offset")
    city.land()
    assert city.rows("_event::VARCHAR") == [("2017-12-31 22:00:00",)]


def test_a_period_reads_its_days_and_no_other(city: City) -> None:
    """From midnight to midnight; a period without records gives no rows but the same columns and types."""
    city.put(
        _csv("1,a,2017-12-31 23:59:59,x,y", "2,a,2018-01-01,x,y", "3,a,2018-01-31 23:59:59,x,y", "4,a,2018-02-01,x,y")
    )
    city.land()
    assert [row[0] for row in city.rows("id", date(2018, 1, 1), date(2018, 2, 1))] == ["2", "3"]
    assert [row[0] for row in city.rows("id", date(2017, 12, 31), date(2018, 1, 2))] == ["1", "2"]
    shapes = []
    for start in (date(2018, 1, 1), date(1990, 1, 1)):
        read = city.raw(start, date(start.year, 2, 1))
        described = duckdb.connect().execute(f"DESCRIBE {read.sql}", read.parameters).fetchall()
        shapes.append([row[:2] for row in described])
    assert shapes[0] == shapes[1]
    assert ("_event", "TIMESTAMP") in shapes[0]
    assert ("_record", "UUID") in shapes[0]
    assert city.rows("id", date(1990, 1, 1), date(1990, 2, 1)) == []


def test_append_keeps_the_first_version(city: City) -> None:
    """A record that an earlier batch holds is not landed again."""
    city.put(_csv("1,a,2018-01-01,old,y"), "raw/a.csv")
    city.land()
    city.put(_csv("1,a,2018-02-01,new,y", "2,b,2018-02-01,new,y"), "raw/b.csv")
    report = city.report(city.land())[0]
    assert city.rows("id, what") == [("1", "old"), ("2", "new")]
    assert (report["rows_read"], report["landed"], report["duplicates"]) == (2, 1, 1)


def test_snapshot_reads_the_latest_batch_alone(city: City) -> None:
    """The last landed, whatever the clock said on the day of an earlier one, also when all are landed anew."""
    city.source = definition(delivery="snapshot")
    for number, received in enumerate([TODAY, date(2030, 1, 1), date(2025, 1, 1)]):
        city.put(_csv(f"{number},a,2018-01-01,x,y"), f"raw/{9 - number}.csv")
        city.land(received)
        assert city.rows("id") == [(str(number),)]
    city.source = definition(delivery="snapshot", feed={"nulls": ("NA",)})
    assert city.land().new == 3
    assert city.rows("id") == [("2",)]


@pytest.mark.parametrize("delivery", ["snapshot", "changes"])
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("more", ["", "2,a,2018-01-01,third,y"])
def test_content_that_comes_again_is_the_latest(city: City, delivery: str, together: bool, more: str) -> None:
    """A third file with the content of the first counts like one that has a record more: no record decides which file
    is the latest. Landing again changes nothing."""
    city.source = definition(delivery=delivery)
    first = "1,a,2018-01-01,first,y"
    rows = {"1": [first], "2": ["1,a,2018-01-01,second,y"], "3": [first, *filter(None, [more])]}
    for name, lines in rows.items():
        city.put(_csv(*lines), f"raw/{name}.csv")
        if not together:
            city.land()
    for _ in range(2):
        city.land()
        assert city.rows("what") == [(line.split(",")[3],) for line in rows["3"]]


def test_a_copy_that_lay_there_before_is_no_news(city: City) -> None:
    """Batches of an older version do not say where their content was; what is there now was there then."""
    city.source = definition(delivery="snapshot")
    for name, what in (("1", "old"), ("2", "new")):
        city.put(_csv(f"1,a,2018-01-01,{what},y"), f"raw/{name}.csv")
        city.land()
    city.put(_csv("1,a,2018-01-01,old,y"), "raw/0.csv")
    for path in city.private.glob("landed/*/*/batch.json"):
        says = json.loads(path.read_text())
        del says["paths"]
        path.write_text(json.dumps(says))
    city.land()
    assert city.rows("what") == [("new",)]


def test_changes_come_in_the_order_of_landing_whatever_the_clock(city: City) -> None:
    """A version landed under a clock that ran ahead is replaced by the next."""
    city.source = definition(delivery="changes")
    for what, received in (("old", date(2030, 1, 1)), ("new", TODAY)):
        city.put(_csv(f"1,a,2018-01-01,{what},y"), f"raw/{what}.csv")
        city.land(received)
    assert city.rows("what") == [("new",)]


def test_changes_read_the_latest_version_of_each_record(city: City) -> None:
    """Also when it moved the record to another month, or took its event time away."""
    city.source = definition(delivery="changes")
    city.put(_csv(*(f"{n},a,2018-01-0{n},old,y" for n in range(1, 5))), "raw/a.csv")
    city.land()
    city.put(_csv("2,a,2018-01-05,new,y", "3,a,2018-02-05,new,y", "4,a,,new,y"), "raw/b.csv")
    city.land()
    assert city.rows("id, what", date(2018, 1, 1), date(2018, 2, 1)) == [("1", "old"), ("2", "new")]
    assert city.rows("id, what", date(2018, 2, 1), date(2018, 3, 1)) == [("3", "new")]
    city.put(_csv("9,a,2019-01-05,new,y"), "raw/c.csv")
    city.land()
    assert city.rows("id", date(2018, 1, 1), date(2018, 2, 1)) == [("1",), ("2",)]


def test_nothing_landed_says_what_to_run(city: City) -> None:
    """One error instead of an empty table."""
    with pytest.raises(SourceError, match="run `publisher land`"):
        city.raw()


def test_a_changed_definition_lands_the_files_anew(city: City) -> None:
    """Until then reading is refused; when a file is gone, landing says which, and changes nothing."""
    path = city.put(_csv("1,a,2018-01-01,x,y", "2,b,2018-01-01,NA,y"))
    city.land()
    city.source = definition(feed={"nulls": ("NA",)})
    with pytest.raises(SourceError, match="earlier definition"):
        city.raw()
    city.land()
    assert city.rows("id, what") == [("1", "x"), ("2", None)]
    assert len(list(city.private.glob("landed/requests/*"))) == 1
    city.source = definition()
    path.rename(path.with_name("b.csv"))
    city.put(_csv("3,a,2018-01-01,x,y"), "raw/b.csv")
    before = city.tree()
    with pytest.raises(SourceError, match=r"raw/a\.csv"):
        city.land()
    assert city.tree() == before


def test_landing_anew_keeps_the_order_and_the_days_of_receipt(city: City) -> None:
    """Under a changed definition the first version of a record is still the first, received when it was."""
    city.source = definition(feed=REPEATS)
    for name, received in (("b", date(2025, 1, 1)), ("a", date(2025, 2, 1))):
        city.put(_csv(f"1,a,2018-01-01,{name},y"), f"raw/{name}.csv")
        city.land(received)
    city.source = definition(feed={"nulls": ("NA",)} | REPEATS)
    assert city.land().new == 2
    assert city.rows("id, what") == [("1", "b")]
    received = {json.loads(path.read_bytes())["received"] for path in city.private.glob("landed/*/*/batch.json")}
    assert received == {"2025-01-01", "2025-02-01"}


def test_equal_files_are_one_batch(city: City) -> None:
    """A copy under another name is known."""
    for name in ("a", "b"):
        city.put(_csv("1,a,2018-01-01,x,y"), f"raw/{name}.csv")
    assert (city.land().new, city.land().known) == (1, 2)


def test_stand_in_records_are_known_as_such(city: City) -> None:
    """A data folder with SAMPLE.json holds generated records, and every reading says so."""
    city.put(_csv("1,a,2018-01-01,x,y"))
    city.land()
    assert not city.raw().generated
    city.put("{}", "SAMPLE.json")
    city.put(_csv("2,a,2018-01-01,x,y"), "raw/b.csv")
    city.land()
    assert city.raw().generated


def test_columns_of_any_name(city: City) -> None:
    """Quotes, blanks, a column called month: quoted everywhere. Publisher's own names are refused, and twins."""
    names = ['a "b"', "month", "it's; --", "_id", "when"]
    columns = {name: {"class": "public", "statute": "none"} for name in names}
    text = DEFINITION.split("[columns]")[0]
    city.source = definition(text, columns=columns, record_id=("_id",))
    city.put('"a ""b""",month,it\'s; --,_id,when\n1,2,3,4,2018-01-01\n')
    city.land()
    assert city.rows()[0][:5] == ("1", "2", "3", "4", "2018-01-01")
    for name in ("_event", "_PLACE_x", "WHEN"):
        city.source = definition(text, columns={**columns, name: columns["_id"]}, record_id=("_id",))
        with pytest.raises(DefinitionError, match=re.escape(name)):
            city.land()


LANDING = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from invented import REPEATS,  City
City(Path({root!r})).land()
"""


def _child(city: City, before: str = "") -> subprocess.Popen[bytes]:
    code = before + LANDING.format(tests=os.path.dirname(__file__), root=str(city.root))  # noqa: PTH120
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.usefixtures("processes")
def test_a_killed_landing_leaves_nothing_half_done(city: City) -> None:
    """Killed at any moment, there is no batch or the whole one; the next landing is as if nothing had happened."""
    city.put(_csv(*(f"{n},a,2018-0{1 + n % 9}-01,{n % 77},y" for n in range(150_000))))
    whole = City(city.root / "whole")
    (whole.root).mkdir()
    (whole.data).symlink_to(city.data)
    start = time.monotonic()
    _child(whole).communicate()
    assert len(whole.rows("id")) == 150_000
    duration = time.monotonic() - start
    for share in (0.5, 0.6, 0.7, 0.8, 0.9):
        child = _child(city)
        time.sleep(duration * share)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        batches = list((city.private / "landed" / "requests").glob("[!.]*"))
        assert all((batch / "batch.json").exists() for batch in batches)
    city.land()
    assert len(city.rows("id")) == 150_000
    assert not list(city.private.glob("landed/*/.*"))
    assert not (city.private / "tmp").exists()
    assert {name.split("/")[2] for name in city.tree()} == {"key", "landed", "reports"}


@pytest.mark.usefixtures("processes")
def test_a_disk_that_takes_no_more_is_one_error(city: City) -> None:
    """Writing fails in the middle: one message, and nothing is landed."""
    city.put(_csv(*(f"{n},{n},2018-01-01,{n * 7919},{CANARY}" for n in range(150_000))))
    limit = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
    child = _child(city, limit)
    errors = child.communicate()[0].decode()
    assert child.returncode != 0
    assert "SourceError" in errors.splitlines()[-1]
    assert CANARY not in errors
    assert not list((city.private / "landed").glob("*/*"))


def test_a_state_folder_in_the_way_is_one_error(city: City) -> None:
    """A file where the folder should be."""
    city.put(_csv("1,a,2018-01-01,x,y"))
    (city.root / "state").write_text("")
    with pytest.raises(SourceError, match="cannot be written"):
        city.land()


@pytest.mark.parametrize(
    "damage",
    [("{", "["), ("}", ""), ('"sequence": 1', '"sequence": "1"'), ('"batch"', '"bunch"'), ("{", "[" * 200_000)],
)
def test_a_damaged_batch_is_named(city: City, damage: tuple[str, str]) -> None:
    """batch.json that cannot be read, or holds something else, stops reading and landing, with its path."""
    city.put(_csv("1,a,2018-01-01,x,y"))
    city.land()
    path = next(city.private.glob("landed/*/*/batch.json"))
    assert damage[0] in path.read_text()
    path.write_text(path.read_text().replace(*damage))
    for act in (city.raw, city.land):
        with pytest.raises(SourceError, match=rf"^{path}: is damaged: remove its folder and land the file again$"):
            act()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "junk": lambda _: b"junk" * 1000,
    "cut": lambda content: content[: len(content) // 2],
    "another end": lambda content: content[:-40] + b"\xff" * 32 + content[-8:],
    "another middle": lambda content: content[:8] + b"\x55" * 60 + content[68:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_landed_file_is_named(city: City, damage: str) -> None:
    """Parquet files that cannot be read stop whatever reads them, in one line with the path and what to do."""
    city.source = definition(delivery="append")
    city.put(_csv(*(f"{n},a,2018-01-01,x{n * 7919},y" for n in range(500))))
    city.land()
    path = next(city.private.glob("landed/*/*/month=2018-01/*.parquet"))
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    city.put(_csv("900,b,2018-01-02,z,y"), "raw/b.csv")

    def read() -> object:
        with connect(ENGINE, city.root) as connection:
            found = city.raw()
            return connection.execute(f"SELECT sum(hash(t)) FROM ({found.sql}) t", found.parameters).fetchall()

    for act in (read, city.land)[: 1 if damage == "another middle" else 2]:  # landing reads the records' ids alone
        with pytest.raises(SourceError) as caught:
            act()
        named = rf"{path}:? is (missing or )?damaged" if damage != "another middle" else "a Parquet file is damaged"
        assert re.search(rf"{named}: restore it from a backup", str(caught.value))
        assert len(str(caught.value).splitlines()) == 1
