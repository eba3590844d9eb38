"""Killed at any moment, the portal holds the old rows or the new, whole."""

from __future__ import annotations

import random
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from portal_process import blank, publish, start, stop

if TYPE_CHECKING:
    from portal_process import Running


def edition(number: int, rows: int = 3000) -> list[dict[str, Any]]:
    """Rows that all say which edition they belong to."""
    return [{"id": f"r{row}", "zone": f"edition {number}", "requests": number * 1000 + row} for row in range(rows)]


def whole(rows: list[dict[str, Any]]) -> str:
    """The one edition that all rows are of."""
    (found,) = {row["zone"] for row in rows}
    number = int(found.split()[1])
    assert sorted(int(row["requests"]) for row in rows) == [number * 1000 + row for row in range(3000)]
    return str(found)


@pytest.mark.usefixtures("processes")
def test_kill_during_writes_leaves_old_or_new(tmp_path: Path) -> None:
    """SIGKILL at random moments of a replace: after a restart the dataset is one whole edition."""
    chance = random.Random(7)
    running = start(tmp_path / "state")
    with running.client() as client:
        name = publish(client, "Killed", edition(0))
    seen = ["edition 0"]
    for number in range(1, 4):
        body = edition(number)
        address, login = f"{running.address}/resource/{name}.json", running.login
        sender = threading.Thread(target=_send, args=(address, body, login))
        sender.start()
        time.sleep(chance.uniform(0.0, 0.22))
        running.process.kill()
        running.process.wait()
        sender.join()
        running = start(tmp_path / "state")
        answer = requests.get(f"{running.address}/resource/{name}.json?$limit=9999", timeout=30)
        seen.append(whole(answer.json()))
        assert seen[-1] in (seen[-2], f"edition {number}")
    with running.client() as client:
        assert client.replace(name, edition(9))["Rows Created"] == 3000
    left = [file.name for file in (tmp_path / "state" / "data" / name).iterdir()]
    assert all(file.isdigit() for file in left), left
    stop(running)


def _send(address: str, body: list[dict[str, Any]], login: tuple[str, str]) -> None:
    try:
        requests.put(address, json=body, auth=login, timeout=30)
    except requests.RequestException:
        return


CRASHES = """
import hashlib, io, json, os, sys
from dataclasses import replace
from pathlib import Path
from publisher.portal.revisions import applying, revisions, schemas, sources
from publisher.portal.store.drafts import Sort
from publisher.portal.engine.engine import QueryEngine, DatasetRows
from publisher.portal.base.model import PortalColumn
from publisher.portal.base.kinds import Kind
from publisher.portal.soql.compiler import SoqlQuestion, compile_question
from publisher.portal.store.store import PortalStore
sys.path.insert(0, sys.argv[2])
from portal_process import blank

state, name, what = Path(sys.argv[1]), "aaaa-aaaa", sys.argv[3]
step = 0


def counted(function, end):
    def wrapped(*arguments, **more):
        global step
        step += 1
        if step == end:  # after a step is before the next
            os._exit(9)
        return function(*arguments, **more)
    return wrapped


def apart(work):
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def body(number):
    return json.dumps([{"id": str(row), "edition": number} for row in range(500)]).encode()


def create():
    columns = (PortalColumn(0, "id", "Id", Kind.TEXT, 1), PortalColumn(0, "edition", "Edition", Kind.NUMBER, 2))
    PortalStore(state).create(replace(blank(name), columns=columns, row_identifier="id", name="0"))
    PortalStore(state).write(name, body(0), "application/json", replace=True)


def prepared(store, number):
    draft = store.drafts.add(Sort.REVISION, {
        "action": {"type": "replace"}, "metadata": {"name": str(number)}, "state": "open", "owner": "me",
    }, dataset=name)
    source = store.drafts.add(Sort.SOURCE, {
        "source_type": {"type": "upload"}, "parse_options": {}, "content_type": "text/csv",
    }, parent=draft.id, dataset=name)
    rows = "".join(f"{row},{number}\\n" for row in range(500))
    (store.drafts.folder(source.id) / "upload").write_text("id,edition\\n" + rows)
    sources.read_upload(store, source)
    return draft, revisions.last_output(store, draft)


def crash_at(number):
    store = PortalStore(state)
    made = prepared(store, number) if what == "revision" else None
    os.fsync, os.replace = counted(os.fsync, number), counted(os.replace, number)
    os.rename, os.link, os.unlink = counted(os.rename, number), counted(os.link, number), counted(os.unlink, number)
    store.catalog.change = counted(store.catalog.change, number)
    store._prune = counted(store._prune, number)
    store.drafts.update = counted(store.drafts.update, number)
    if what == "rows":
        store.write(name, body(number), "application/json", replace=True)
    elif what == "file":
        asset = store.assets.add(io.BytesIO(b"%d" % number * 1000), "a", "", "me")
        old = store.get(name)
        store.change(name, lambda _: {"metadata": {"attachments": [{"filename": "a", "assetId": asset.id}]}})
        store.assets.sweep(store.catalog.all(), older_than=0)
    else:
        job, held = applying.begin(store, *made)
        applying.carry_out(store, *made, job, held)


def check(number):
    store = PortalStore(state)
    dataset = store.get(name)
    if what == "file":
        found = store.assets.attached(dataset, "a")
        content = store.assets.path(found).read_bytes() if found else b"0" * 1000
        assert found is None or hashlib.sha256(content).hexdigest() == found.sha256
        edition = int(content[: len(content) // 1000])
    else:
        asked = SoqlQuestion({"$select": "min(edition) as a, max(edition) as b, count(*) as n"})
        (row,) = QueryEngine().fetch((DatasetRows(dataset, store.rows(dataset)),), compile_question(dataset, asked))
        assert row["a"] == row["b"] and row["n"] == dataset.rows == 500, row
        edition = int(row["a"])
    if what == "revision":
        assert dataset.name == str(edition), "description and rows change together"
        draft = store.drafts.revisions(name)[-1]
        jobs = [applying.settled(store, draft, job) for job in store.drafts.children(Sort.JOB, draft.id)]
        assert [job.body["status"] for job in jobs] in ([], ["successful" if edition == number else "failure"])
    assert edition in (0, *range(1, number + 1)), edition
    print(edition, flush=True)


assert apart(create) == 0
crashed, number = 9, 0
while crashed == 9:
    number += 1
    crashed = apart(lambda: crash_at(number))
    assert crashed in (0, 9)
    assert apart(lambda: check(number)) == 0
"""


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("what", ["rows", "file", "revision"])
def test_a_crash_at_every_step_of_a_write_leaves_old_or_new(tmp_path: Path, what: str) -> None:
    """Ended before each fsync, rename and transaction, the store is whole, and the next write goes on.

    Rows are one edition; a listed file is there, whole; a revision's rows and description are of one edition, and its
    job says which.
    """
    command = [sys.executable, "-c", CRASHES, str(tmp_path / "state"), str(Path(__file__).parent), what]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    editions = [int(line) for line in ended.stdout.split()]
    steps = len(editions)
    assert steps > 6
    assert editions[0] == 0, "the first crash comes before anything is there to see"
    assert editions[-1] == steps, "the last write is not ended early"
    assert all(seen in (before, number) for number, (before, seen) in enumerate(pairwise([0, *editions]), start=1))


def test_a_reader_never_sees_half_a_write(portal: Running) -> None:
    """While editions replace each other, every answer is one whole edition."""
    with portal.client() as client:
        name = publish(client, "Replaced", edition(0))
        ended = threading.Event()

        def replace_over_and_over() -> None:
            for number in range(1, 6):
                client.replace(name, edition(number))
            ended.set()

        sender = threading.Thread(target=replace_over_and_over)
        sender.start()
        editions = set()
        while not ended.is_set():
            rows = requests.get(f"{portal.address}/resource/{name}.json?$limit=9999", timeout=30).json()
            editions.add(whole(rows))
        sender.join()
        client.delete(name)
    assert len(editions) > 1


@pytest.mark.usefixtures("processes")
def test_two_processes_serve_one_store(tmp_path: Path) -> None:
    """What one writes the other shows at once; writes to one dataset queue, and none is lost."""
    first, second = start(tmp_path / "state"), start(tmp_path / "state")
    with first.client() as one, second.client() as other:
        name = publish(one, "Shared", [])
        writers = [
            threading.Thread(target=client.upsert, args=(name, [{"id": f"{side}-{part}"} for part in range(50)]))
            for side, client in enumerate((one, other))
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert len(one.get(name)) == len(other.get(name)) == 100
        assert len({row[":id"] for row in one.get(name, exclude_system_fields="false")}) == 100
    assert (stop(first), stop(second)) == (0, 0)


def test_the_state_is_for_its_owner_alone(portal: Running, sample: str) -> None:
    """Folders are 0700 and files 0600, the password's above all."""
    assert (portal.state / "data" / sample).is_dir()
    for path in [portal.state, *portal.state.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), (path, oct(mode))


def test_old_versions_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the last few stay once no reader can still look for an older one."""
    from publisher.portal.store import store as module

    monkeypatch.setattr(module, "GRACE", 0.0)
    store = module.PortalStore(tmp_path / "state")
    name = store.catalog.free_identifier()
    store.create(blank(name))
    for _ in range(6):
        store.write(name, b"[]", "application/json", replace=False)
    left = sorted(folder.name for folder in (tmp_path / "state" / "data" / name).iterdir())
    assert left == ["000000005", "000000006", "000000007"]
    store.delete(name)
    assert not (tmp_path / "state" / "data" / name).exists()


@pytest.mark.usefixtures("processes")
def test_columns_and_metadata_change_together(tmp_path: Path) -> None:
    """Where the second half of a change cannot be written, the first is not either."""
    running = start(tmp_path / "state")
    with running.client() as client:
        name = publish(client, "Old", edition(0, 3))
    address = f"{running.address}/api/views/{name}"
    before = requests.get(f"{address}.json", timeout=30).json()
    zone = next(column for column in before["columns"] if column["fieldName"] == "zone")
    refuse = "CREATE TRIGGER refused BEFORE UPDATE ON datasets BEGIN SELECT RAISE(ABORT, 'no'); END"
    sent = {"name": "New", "columns": [{"fieldName": "zone", "name": "District"}]}
    for order, status in ((refuse, 500), ("DROP TRIGGER refused", 200)):
        with closing(sqlite3.connect(tmp_path / "state" / "catalogue.sqlite", isolation_level=None)) as catalog:
            catalog.execute(order)
        one = {"name": "Quarter", "description": "of the town"}
        for path, body in ((f"/columns/{zone['id']}", one), (".json", sent)):
            answer = requests.put(address + path, json=body, auth=running.login, timeout=30)
            assert answer.status_code == status
        if status == 500:
            assert requests.get(f"{address}.json", timeout=30).json() == before
    after = requests.get(f"{address}.json", timeout=30).json()
    changed = next(column for column in after["columns"] if column["fieldName"] == "zone")
    assert (after["name"], changed) == ("New", zone | {"name": "District", "description": "of the town"})
    assert [column["id"] for column in after["columns"]] == [column["id"] for column in before["columns"]]
    assert requests.get(f"{running.address}/resource/{name}.json", timeout=30).json()[0]["zone"] == "edition 0"
    stop(running)


@pytest.mark.usefixtures("processes")
def test_metadata_of_years_needs_no_temporary_file(tmp_path: Path, cells: list[dict[str, Any]]) -> None:
    """Datasets whose metadata is larger than what SQLite sorts in its own memory are listed, written and served again
    by a process that may write nowhere but in its folder, where the kernel has Landlock."""
    running = start(tmp_path / "state")
    try:
        with running.client() as client:
            made = [publish(client, f"Years {number}", cells[:1]) for number in range(3)]
            for identifier in made:
                fields = {"Years": {"releases": "of 4,000 releases " * 80_000}}
                client.update_metadata(identifier, {"metadata": {"custom_fields": fields}})
    finally:
        stop(running)
    again = start(tmp_path / "state")
    try:
        found = requests.get(f"{again.address}/api/catalog/v1?q=years", timeout=60)
        assert found.status_code == 200
        assert {each["resource"]["id"] for each in found.json()["results"]} == set(made)
        sent = {"file": ("a.txt", b"a", "text/plain")}
        put = requests.post(f"{again.address}/api/assets", files=sent, auth=again.login, timeout=60)
        assert put.status_code == 200
    finally:
        assert stop(again) == 0
