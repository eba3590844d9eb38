"""What one request may cost: shapes, words, filters, files."""

from __future__ import annotations

import json
import os
import random
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb
import pytest
from portal_described import publish_described, rows, said
from portal_process import blank

from publisher.portal.base.kinds import Kind
from publisher.portal.base.model import PortalColumn
from publisher.portal.base.problems import SodaError, execution
from publisher.portal.base.watch import Deadline, give_up, go_on
from publisher.portal.discovery.search import words_of
from publisher.portal.engine import engine as engines
from publisher.portal.engine.engine import HOT_AFTER, DatasetRows, QueryEngine
from publisher.portal.soql.compiler import SoqlQuestion, compile_question
from publisher.portal.store import file_cache
from publisher.portal.store.file_cache import FileCache
from publisher.portal.store.store import PortalStore

if TYPE_CHECKING:
    from pathlib import Path

    import requests
    from portal_process import Running


def tangle(points: int) -> str:
    """A ring through random points, which crosses itself nearly everywhere."""
    made = random.Random(2)
    pairs = [(round(made.random() * 10, 2), round(made.random() * 10, 2)) for _ in range(points - 1)]
    return "POLYGON((" + ",".join(f"{x} {y}" for x, y in [*pairs, pairs[0]]) + "))"


def zigzag(points: int) -> str:
    """A line that never crosses itself."""
    return "LINESTRING(" + ",".join(f"{number} {number % 2}" for number in range(points)) + ")"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (f"simplify('{tangle(90)}', 0.1) AS s", 200),
        (f"simplify('{tangle(101)}', 0.1) AS s", 400),
        (f"within_polygon(place, '{tangle(2100)}') AS s", 400),
        (f"num_points('{zigzag(2000)}') AS s", 200),
        (f"num_points('{zigzag(2001)}') AS s", 400),
        (f"spatial_union('{tangle(60)}') AS s", 200),
    ],
    ids=["tangle", "large tangle", "too many points", "many points", "one point more", "mended once"],
)
def test_shapes_in_a_query_are_bounded(
    web: requests.Session, portal: Running, sample: str, asked: str, status: int
) -> None:
    """So many points, and few of them where mending takes long; what is refused is refused at once, in plain words."""
    started = time.perf_counter()
    answer = web.get(
        f"{portal.address}/resource/{sample}.json", params={"$select": asked}, auth=portal.login, timeout=60
    )
    assert answer.status_code == status, answer.text[:300]
    assert status == 200 or "points" in answer.json()["message"]
    assert time.perf_counter() - started < 5


def test_a_function_of_ours_ends_with_its_query() -> None:
    """What DuckDB cannot interrupt asks whether it may go on; its own refusal is told in its words."""
    deadline = Deadline()
    with deadline.watched(lambda: None):
        go_on()
        deadline.end()
        with pytest.raises(SodaError, match="took too long"):
            go_on()
    go_on()  # nobody asks in this thread any more


def test_what_ends_a_query_is_told_in_its_own_words() -> None:
    """DuckDB wraps the error of a function of ours; the reader gets the one that was raised."""

    def ask() -> None:
        connection = duckdb.connect(":memory:", config={"threads": "1"})
        connection.create_function("ours", lambda _: give_up(execution("too-large", "too many")), ["BIGINT"], "BIGINT")
        with Deadline().watched(connection.interrupt):
            connection.execute("SELECT ours(range) FROM range(10)").fetchall()

    with pytest.raises(SodaError, match="too many"):
        ask()


def test_words_are_few_and_short(web: requests.Session, portal: Running, sample: str) -> None:
    """Twenty different words of fifty characters count, however many are sent."""
    many = " ".join(f"w{number} " * 2 for number in range(5000)) + " " + "x" * 500
    assert words_of(many) == [f"w{number}" for number in range(20)]
    assert words_of("X" * 500) == ["x" * 50]
    found = web.get(f"{portal.address}/api/catalog/v1", params={"q": "zone week zone", "ids": sample}).json()
    assert found["resultSetSize"] == 1
    assert web.get(portal.address, params={"q": "wek " * 2000}).status_code == 200


def test_long_lists_of_a_spreadsheet_are_one_level(web: requests.Session, portal: Running, sample: str) -> None:
    """200 terms with `or` between them, in any brackets, find their rows."""
    address = f"{portal.address}/api/odata/v4/{sample}"
    chain = " or ".join(f"id eq '0-{number:02}'" for number in range(200))
    for asked in (chain, f"open and ({chain})"):
        answer = web.get(address, params={"$filter": asked, "$select": "id"})
        assert answer.status_code == 200, answer.text
        assert {row["id"] for row in answer.json()["value"]} <= {f"0-{number:02}" for number in range(40)}
    assert web.get(f"{address}/$count", params={"$filter": chain}).text == "40"


def test_a_period_that_is_not_there_leaves_nothing(web: requests.Session, portal: Running) -> None:
    """404 at once and no file, however many such periods are asked for; one that is there has its file."""
    identifier = publish_described(portal, "Periods")
    address = f"{portal.address}/api/views/{identifier}/rows.geojson"
    assert {web.get(address, params={"period": f"no{number}"}).status_code for number in range(20)} == {404}
    assert not (portal.state / "downloads" / identifier).exists()
    assert web.get(address, params={"period": "2024-01"}).status_code == 200
    assert len(list((portal.state / "downloads" / identifier).rglob("rows-*.geojson"))) == 1


def test_the_first_page_shows_a_change_within_the_same_second(web: requests.Session, portal: Running) -> None:
    """The number beside a dataset is drawn anew with every write."""
    identifier = publish_described(portal, "Headlined")
    alone = json.loads(said()["shape"]) | {"keys": [], "place": None}
    told = said() | {"shape": json.dumps(alone), "boundaries": ""}
    with portal.client() as client:
        client.update_metadata(identifier, {"metadata": {"custom_fields": {"Publisher": told}}})
        for number in (111, 222, 333):
            sent = [row for row in rows() if row["ward"] == "1"]
            client.replace(identifier, [row | {"requests": str(number)} for row in sent])
            page = web.get(portal.address, params={"q": "Headlined"})
            assert re.search(rf"(?<![0-9,]){number}(?![0-9,])", page.text), number


def _made(cache: FileCache, identifier: str, name: str, age: float, size: int = 10) -> Path:
    kept = cache.make(blank(identifier), name, lambda path: path.write_bytes(b"x" * size) and None)
    os.utime(kept.path, (time.time() - age,) * 2)
    return kept.path


def test_the_cache_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of single periods, and all of them, make place for new ones; what was just asked for stays."""
    monkeypatch.setattr(file_cache, "SIDE_ROOM", 25)
    monkeypatch.setattr(file_cache, "ROOM", 45)
    cache = FileCache(tmp_path)
    old, newer = (_made(cache, "aaaa-aaaa", f"rows-{age}.kml", age) for age in (900, 800))
    whole = _made(cache, "aaaa-aaaa", "rows.kml", 1000)
    asked = _made(cache, "aaaa-aaaa", "rows-3.kml", 700)
    assert [path.exists() for path in (old, newer, whole, asked)] == [False, True, True, True]
    assert cache.find(blank("aaaa-aaaa"), "rows.kml") is not None  # which counts as asking
    _made(cache, "bbbb-bbbb", "rows.csv", 0, 20)
    assert [path.exists() for path in (newer, whole, asked)] == [False, True, True]
    assert not list(tmp_path.rglob("rows-800*"))


def test_what_nobody_can_ask_for_is_swept(tmp_path: Path) -> None:
    """Files of datasets that are no more and half-made ones go at the start; the others stay."""
    cache = FileCache(tmp_path)
    gone, here = (_made(cache, identifier, "rows.csv", 0) for identifier in ("gone-gone", "here-here"))
    left = here.with_name(".abc.tmp")
    left.touch()
    for path, age in ((gone.parent.parent, 3600), (here.parent.parent, 3600), (left, 48 * 3600)):
        os.utime(path, (time.time() - age,) * 2)
    cache.sweep({"here-here"})
    assert [path.exists() for path in (gone.parent.parent, left, here)] == [False, False, True]


def test_a_superseded_file_stays_for_its_readers(tmp_path: Path) -> None:
    """However old it is, its grace begins when newer files stand in its place."""
    from dataclasses import replace

    cache, first = FileCache(tmp_path), blank("next-next")
    old = _made(cache, "next-next", "rows.csv", 9000)
    os.utime(old.parent, (time.time() - 9000,) * 2)
    second = replace(first, version=2)
    cache.make(second, "rows.csv", lambda path: path.write_bytes(b"y") and None)
    assert old.exists()
    os.utime(old.parent / ".superseded", (time.time() - 9000,) * 2)
    cache.make(second, "rows.kml", lambda path: path.write_bytes(b"y") and None)
    assert not old.parent.exists()


def test_a_stray_folder_is_left_alone(tmp_path: Path) -> None:
    """A file system's own folder among those of the processes keeps nothing from starting."""
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "999999999").mkdir()
    QueryEngine(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([str(os.getpid()), "lost+found"])


def test_rows_that_could_not_be_taken_into_memory_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file could not be read once, its rows stay on disk for a while, and are then taken into memory."""
    monkeypatch.setattr(engines, "COLD_AFTER", 0.5)
    store = PortalStore(tmp_path / "state")
    store.create(replace(blank("aaaa-aaaa"), columns=(PortalColumn(0, "id", "Id", Kind.TEXT, 1),)))
    store.write("aaaa-aaaa", b'[{"id": "a"}]', "application/json", replace=False)
    dataset = store.get("aaaa-aaaa")
    read, engine = (DatasetRows(dataset, store.rows(dataset)),), QueryEngine()
    compiled, (file,) = compile_question(dataset, SoqlQuestion({})), read[0].files

    def asked() -> bool:
        return engine.fetch(read, compiled) == [{"id": "a"}]

    assert all(asked() for _ in range(HOT_AFTER - 1))
    away = file.rename(tmp_path / "away")
    with pytest.raises(SodaError, match="changed while"):
        asked()
    time.sleep(0.2)
    away.rename(file)
    assert all(asked() for _ in range(HOT_AFTER)), "questions go to the file meanwhile"
    time.sleep(0.5)
    assert all(asked() for _ in range(HOT_AFTER))
    time.sleep(0.5)
    file.unlink()
    assert asked(), "the rows are in memory"
