"""Versions made of parts: after any writes the rows are those of a plain model, whatever a part holds."""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from portal_process import blank

from publisher.portal.base.kinds import Kind
from publisher.portal.base.model import PortalColumn
from publisher.portal.base.problems import SodaError
from publisher.portal.engine.engine import DatasetRows, _open_database
from publisher.portal.serving.logs import place
from publisher.portal.store import versions
from publisher.portal.store.store import PortalStore, Reshaped

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = (
    PortalColumn(0, "id", "Id", Kind.TEXT, 1),
    PortalColumn(0, "a", "A", Kind.NUMBER, 2),
    PortalColumn(0, "b", "B", Kind.TEXT, 3),
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PortalStore:
    """A store whose parts are small, with one keyed dataset."""
    monkeypatch.setattr(versions, "PART", 8)
    made = PortalStore(tmp_path / "state")
    made.create(replace(blank("aaaa-aaaa"), columns=COLUMNS, row_identifier="id"))
    return made


def send(store: PortalStore, rows: list[dict[str, Any]], *, whole: bool = False) -> dict[str, int]:
    """One write; its counters without zeros."""
    counts = store.write("aaaa-aaaa", json.dumps(rows).encode(), "application/json", replace=whole).soda()
    return {name: count for name, count in counts.items() if count}


def stored(store: PortalStore) -> list[dict[str, Any]]:
    """Every row as it stands, in order."""
    dataset = store.get("aaaa-aaaa")
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * FROM {versions.parts(store.rows(dataset))} ORDER BY {versions.PLACE}")
        names = [name for name, *_ in found.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    assert len(rows) == dataset.rows, "the catalog knows how many there are"
    return rows


def files(store: PortalStore) -> list[int]:
    """The parts of the current version, as the file system knows them."""
    return [file.stat().st_ino for file in store.rows(store.get("aaaa-aaaa"))]


Model = dict[str, dict[str, Any]]


def some_rows(chance: random.Random) -> list[dict[str, Any]]:
    """A body: rows whole, in part, or to be deleted; some come twice."""
    rows: list[dict[str, Any]] = []
    for _ in range(chance.choice((1, 3, 30))):
        row: dict[str, Any] = {"id": str(chance.randrange(60))}
        row |= {name: chance.choice((None, str(chance.randrange(10 ** chance.randrange(1, 9))))) for name in "ab"}
        if chance.random() < 0.3:
            row = {"id": row["id"], ":deleted": True}
        elif chance.random() < 0.3:
            del row[chance.choice("ab")]
        rows.append(row)
    return rows


def written(model: Model, rows: list[dict[str, Any]], *, whole: bool) -> Model:
    """What a plain dictionary holds after the write."""
    made: Model = {} if whole else {name: dict(row) for name, row in model.items()}
    for name, row in {row["id"]: row for row in rows}.items():
        if ":deleted" in row:
            made.pop(name, None)
        else:
            made[name] = made.get(name, {"a": None, "b": None}) | {each: row[each] for each in "ab" if each in row}
    return made


@pytest.mark.parametrize("seed", range(3))
def test_any_writes_leave_what_a_plain_model_has(store: PortalStore, seed: int) -> None:
    """Creates, updates, deletes and replaces at random: values, identities, times and counters are the model's."""
    chance = random.Random(seed)
    model: Model = {}
    for _ in range(10):
        rows, whole = some_rows(chance), chance.random() < 0.15
        before = {row["id"]: row for row in stored(store)}
        wanted = written(model, rows, whole=whole)
        counts = send(store, rows, whole=whole)
        created = len(wanted) if whole else len(wanted.keys() - model.keys())
        assert (counts.get("Rows Created", 0), counts.get("Rows Deleted", 0)) == (
            created, 0 if whole else len(model.keys() - wanted.keys()),
        )  # fmt: skip
        model = wanted
        after = stored(store)
        assert {row["id"]: {"a": row["a"], "b": row["b"]} for row in after} == {
            name: {"a": row["a"] and int(row["a"]), "b": row["b"]} for name, row in model.items()
        }
        assert [row[":id"] for row in after] == sorted({row[":id"] for row in after}), "in order, none twice"
        sent = {row["id"] for row in rows}
        for row in after:
            old = before.get(row["id"], row)
            assert (old[":id"], old[":created_at"]) == (row[":id"], row[":created_at"])
            assert old == row or row["id"] in sent, "what was not sent is as it was"


def test_a_write_leaves_the_parts_alone_that_it_does_not_touch(store: PortalStore) -> None:
    """New rows fill the last part; one changed row costs one part; a part without rows is gone."""
    for begin in range(0, 40, 4):
        send(store, [{"id": f"{number:02}", "a": 1} for number in range(begin, begin + 4)])
    before = files(store)
    assert len(before) == 5
    send(store, [{"id": "09", "a": 2}])
    after = files(store)
    assert [new == old for new, old in zip(after, before, strict=True)] == [True, False, True, True, True]
    send(store, [{"id": f"{number:02}", ":deleted": True} for number in range(16, 24)])
    assert len(files(store)) == 4
    send(store, [{"id": "x"}])
    assert files(store)[0] == before[0]
    assert len(files(store)) == 5
    send(store, [{"id": f"{number:02}", ":deleted": True} for number in range(40)] + [{"id": "x", ":deleted": True}])
    assert (stored(store), len(files(store))) == ([], 1)


def test_every_part_has_the_same_columns(store: PortalStore) -> None:
    """A wider number, an added and a deleted column reach all parts at once, and the deleted values are gone."""
    send(store, [{"id": f"{number:02}", "a": 1, "b": "secret"} for number in range(40)])
    send(store, [{"id": "00", "a": "12345678901234567890.125"}])
    assert str(stored(store)[0]["a"]) == "12345678901234567890.125"
    store.catalog.add_column("aaaa-aaaa", PortalColumn(0, "c", "C", Kind.CHECKBOX, 4))
    send(store, [{"id": "39", "c": True}])
    assert [row["c"] for row in stored(store)] == [None] * 39 + [True]
    columns = [column for column in store.get("aaaa-aaaa").columns if column.field != "b"]
    store.reshape("aaaa-aaaa", lambda old: Reshaped(replace(old, columns=tuple(columns))))
    for file in store.rows(store.get("aaaa-aaaa")):
        assert b"secret" not in file.read_bytes()
        with duckdb.connect() as connection:
            described = connection.execute(f"DESCRIBE SELECT * FROM '{file}'").fetchall()
        assert [(name, kind) for name, kind, *_ in described if not name.startswith(":")] == [
            ("id", "VARCHAR"), ("a", "DECIMAL(38,3)"), ("c", "BOOLEAN"),
        ]  # fmt: skip


def test_many_rows_are_several_parts(store: PortalStore) -> None:
    """A large replace and a large upsert are cut, in order."""
    send(store, [{"id": f"{number:03}", "a": number} for number in range(100)], whole=True)
    send(store, [{"id": f"{number:03}", "a": number} for number in range(100, 200)])
    assert [row["a"] for row in stored(store)] == list(range(200))
    assert len(files(store)) == 25


PSEUDO = ("rowid", "row_id", "oid", "filename", "file_path", "file_row_group_number", "empty", "rows", "place", "n")
"""Names that DuckDB gives, or might give, to columns of its own."""


def test_fields_named_like_columns_of_the_database_lose_nothing(store: PortalStore) -> None:
    """Every row and its order stays, over many parts and in memory, where the values of such columns say otherwise."""
    columns = tuple(
        PortalColumn(0, name, name, Kind.NUMBER, place) for place, name in enumerate(("a", *PSEUDO), start=1)
    )
    store.create(replace(blank("bbbb-bbbb"), columns=columns))
    for begin in (0, 50):
        rows = [{"a": number, **dict.fromkeys(PSEUDO, 7 - number % 3)} for number in range(begin, begin + 50)]
        store.write("bbbb-bbbb", json.dumps(rows).encode(), "application/json", replace=False)
    dataset = store.get("bbbb-bbbb")
    assert len(store.rows(dataset)) > 2
    for hot in (0, 1):
        with _open_database((DatasetRows(dataset, store.rows(dataset)),), hot=hot) as connection:
            found = connection.execute('SELECT a, rowid FROM rows ORDER BY ":place"').fetchall()
        assert found == [(number, 7 - number % 3) for number in range(100)]


def test_a_version_that_lacks_rows_is_not_kept(store: PortalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the parts hold other rows than were counted, the write is refused and the old version stays."""
    send(store, [{"id": "1", "a": 1}])
    monkeypatch.setattr(versions._Write, "_deleted", lambda _: "CASE WHEN a = 2 THEN NULL ELSE false END")
    with pytest.raises(SodaError) as refused:
        send(store, [{"id": "2", "a": 2}, {"id": "3", "a": 3}])
    assert refused.value.status == 503
    assert [row["id"] for row in stored(store)] == ["1"]


def test_a_fault_is_named_by_our_own_line(tmp_path: Path) -> None:
    """A log line says where the portal was when a library failed, not where the library was."""
    with pytest.raises(OSError, match="missing") as failed:
        versions.adopt(tmp_path / "next", [tmp_path / "missing"])
    assert place(failed.value).startswith("publisher.portal.store.versions:")


def test_a_version_stays_for_those_who_read_it_however_old_it_is(store: PortalStore) -> None:
    """The grace of a version that was the current one for months begins when newer rows stand in its place."""
    send(store, [{"id": "1", "a": 1}])
    read = store.rows(store.get("aaaa-aaaa"))
    months_ago = time.time() - 1e7
    os.utime(read[0].parent, (months_ago, months_ago))
    for number in range(2, 6):
        send(store, [{"id": "1", "a": number}])
    assert all(file.exists() for file in read), "four quick writes later its readers still have it"
    mark = read[0].with_name(".superseded")
    os.utime(mark, (months_ago, months_ago))
    send(store, [{"id": "1", "a": 6}])
    assert not read[0].parent.exists(), "its grace is over"
    assert [row["a"] for row in stored(store)] == [6]
