"""Landed records in an object store: whole or absent whatever fails, and the same rows as in a folder."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import requests
from invented import HEADER, REPEATS, City, definition
from object_stores import AZURE_KEY, AZURITE, KEY, WITHOUT_AZURITE, WORD, Line, Store, azurite, between, serving

from publisher import buckets
from publisher.buckets import Bucket, BucketAddress
from publisher.copies import LandedCopies
from publisher.definitions import period as civil
from publisher.definitions.settings import LandedSettings
from publisher.definitions.toml import build, parse_toml
from publisher.definitions.vintage import vintages_of
from publisher.errors import DefinitionError, SourceError
from publisher.records import places, secrets
from publisher.records.batch import basis
from publisher.records.reader import in_parts, raw
from publisher.records.shelves import batches_of, receipts_of
from publisher.strict_http import StrictSession
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("processes")
MORE = pytest.mark.evidence("landings in an object store that are cut off at each write, with first receipts too")
EVERY = pytest.mark.evidence(
    "landed records in an object store and in a folder: the same rows, more policies and deliveries"
)
FEW = {("append", None), ("snapshot", "freeze"), ("changes", "charge"), ("append", "increment")}
"""The deliveries and policies of every test run."""
SETTINGS = "".join(f'{key} = "x"\n' for key in ("organization", "contact", "license", "jurisdiction"))
QUARTER = civil.parse("2018-Q1")


@pytest.fixture(scope="module")
def store(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One S3 server for the tests of this module; each has a bucket of its own."""
    with serving(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture(scope="module")
def azure(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """One server of Azure's blobs."""
    with azurite(tmp_path_factory.mktemp("azure")) as port:
        yield port


@pytest.fixture
def line(store: Store) -> Iterator[Line]:
    with between(store) as made:
        made.private = True
        yield made


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of the environment."""
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": WORD, "AWS_EC2_METADATA_DISABLED": "true"}
    for name, value in (keys | {"AZURE_STORAGE_KEY": AZURE_KEY}).items():
        monkeypatch.setenv(name, value)


@pytest.fixture(
    params=["s3", pytest.param("abfs", marks=pytest.mark.skipif(AZURITE not in os.environ, reason=WITHOUT_AZURITE))]
)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def copies(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> LandedCopies:
    """A bucket, or a container, of the test's own."""
    name = f"city-{abs(hash(request.node.nodeid)) % 10**12}"
    if kind == "s3":
        request.getfixturevalue("store").put(name)
        return at(f"s3://{name}/records", request.getfixturevalue("line").address, tmp_path)
    found = at(
        f"abfs://{name}@devstoreaccount1/records", f"http://127.0.0.1:{request.getfixturevalue('azure')}", tmp_path
    )
    found.bucket.system.create_dir(name)
    return found


def at(url: str, address: str, root: Path) -> LandedCopies:
    folder = root / "state" / "private" / "tmp" / "copies"
    return LandedCopies(BucketAddress(url, address), folder, folder)


def objects(copies: LandedCopies) -> dict[str, int]:
    """What is in the store, by name."""
    cut = len(copies.stored(""))
    return {each.path[cut:]: each.size for each in copies.bucket.listed(copies.address.root)}


def lines(*rows: str) -> str:
    return "\n".join([HEADER, *(f"{row},y" for row in rows)]) + "\n"


DAYS = {
    "2018-02-01": ("1,ann,2018-01-03,a", "2,bob,2018-01-20,b", "3,cyd,2018-02-01,c"),
    "2018-02-20": ("2,bob,2018-01-21,B", "4,ann,2018-01-30,d", "5,dan,none,e"),
    "2018-03-20": ("3,cyd,2018-01-05,C", "6,eve,2018-02-14,f", "4,ann,2018-01-30,d"),
}


def stepped(city: City, day: str) -> None:
    city.put(lines(*DAYS[day]), f"raw/{day}.csv")
    city.land(date.fromisoformat(day))


def seen(city: City) -> list[Any]:
    """All that can be read of a quarter, of every scheduled edition."""
    late = city.source.definition.late
    found: list[Any] = []
    for vintage in vintages_of(late, QUARTER) if late is not None else [None]:
        try:
            read = raw(city.source, city.private, QUARTER.start, QUARTER.end, vintage=vintage, copies=city.copies)
        except SourceError as error:
            found.append(str(error).replace(str(city.root), ""))
            continue
        read = city.brought(read)
        found.append(duckdb.connect().execute(f"FROM ({read.sql}) ORDER BY ALL", read.parameters).fetchall())
    return found


@pytest.mark.parametrize(
    ("delivery", "policy"),
    [
        pytest.param(delivery, policy, marks=[] if (delivery, policy) in FEW else EVERY)
        for delivery in ("append", "snapshot", "changes")
        for policy in (None, "freeze", "charge", "increment")
    ],
)
def test_the_same_rows_as_in_a_folder(delivery: str, policy: str | None, copies: LandedCopies, tmp_path: Path) -> None:
    """Three files with corrections and repeats, landed one after another in a folder and in the store with one key:
    every edition reads the same rows and batches have the same order, and nothing of a record stays on this disk."""
    late = {"policy": policy, "received": "%Y-%m-%d.csv", "after_days": (0,) if policy == "freeze" else (5, 35, 65)}
    source = definition(delivery=delivery, feed=REPEATS, **({"late": late} if policy else {}))
    here, there = City(tmp_path / "here", source), City(tmp_path, source, copies)
    secrets.create_key(here.private)
    there.private.mkdir(parents=True)
    shutil.copy(here.private / "key", there.private / "key")
    for day in DAYS:
        stepped(here, day)
        stepped(there, day)
        assert seen(here) == seen(there)
    assert any(seen(here))
    of_both = [batches_of(each.private, "requests", each.copies).batches() for each in (here, there)]
    assert [(each.batch, each.sequence, each.received) for each in of_both[0]] == [
        (each.batch, each.sequence, each.received) for each in of_both[1]
    ]
    copies.remove()
    assert not list(there.private.rglob("*.parquet"))
    assert "PAR1" not in "".join(path.read_text(errors="replace") for path in there.private.rglob("*.json"))


def test_what_was_landed_in_the_folder_moves(copies: LandedCopies, tmp_path: Path) -> None:
    """A workspace that gets the setting later: batches and first receipts go to the store, unchanged, and away here."""
    late = {"policy": "increment", "received": "%Y-%m-%d.csv", "after_days": (5, 35, 65)}
    city = City(tmp_path, definition(delivery="append", feed=REPEATS, late=late))
    for day in list(DAYS)[:2]:
        stepped(city, day)
    receipts_of(city.private, "requests", basis(city.source.definition)).close(date(2018, 2, 5))
    before, known = seen(city), [each.batch for each in batches_of(city.private, "requests").batches()]
    city.copies = copies
    city.land(date(2018, 2, 21))
    assert (seen(city), [each.batch for each in batches_of(city.private, "requests", copies).batches()]) == (
        before,
        known,
    )
    own = basis(city.source.definition)
    assert receipts_of(city.private, "requests", own, copies=copies).closed() == date(2018, 2, 5)
    assert not (city.private / "receipts" / "requests").exists()
    copies.remove()
    assert not list(city.private.rglob("*.parquet"))
    with pytest.raises(SourceError, match=rf"landed\.url: the landed records of requests lie in {copies.address.url}"):
        batches_of(city.private, "requests")
    with pytest.raises(SourceError, match=r"landed\.url"):
        batches_of(city.private, "requests", at(f"{copies.address.url}/other", copies.address.endpoint or "", tmp_path))


def test_placing_again_replaces_the_files(
    copies: LandedCopies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other boundaries: the same batch with new files, and none of the old ones in the store."""
    city = City(tmp_path, definition(), copies)
    stepped(city, "2018-02-01")
    before = {name for name in objects(copies) if name.endswith(".parquet")}
    monkeypatch.setattr(places, "fingerprint", lambda *_: "f" * 64)
    city.land()
    after = {name for name in objects(copies) if name.endswith(".parquet")}
    assert len(after) == len(before) > 0
    assert not before & after
    assert [row[0] for row in city.rows("id")] == ["1", "2", "3"]


def left_by(city: City) -> str:
    """The records that can be read; a batch whose first receipts are not there yet is not."""
    try:
        return "".join(row[0] for row in city.rows("DISTINCT id"))
    except SourceError as error:
        return "refused" if "run `publisher land`" in str(error) else str(error)


class Dead:
    """A line that is dead from some write on: nothing more reaches the store, as when the process is killed."""

    def __init__(self, line: Line, alive: int) -> None:
        self.left, self.line = alive, line
        line.fault = self

    def __call__(self, method: str, _path: str) -> str | None:
        if method in {"PUT", "POST", "DELETE"}:
            self.left -= 1
        if self.left < 0:
            return "500"
        return None

    def mend(self) -> None:
        self.line.fault = lambda _method, _path: None


@pytest.mark.parametrize(
    ("policy", "step"), [(None, 3), pytest.param(None, 1, marks=MORE), pytest.param("increment", 1, marks=MORE)]
)
def test_a_landing_that_is_cut_off_at_any_write_loses_nothing(
    policy: str | None, step: int, store: Store, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each third write, or at each, one after another: what can be read is what was there before
    or all that is there now, file by file; the next landing has every record once, and leaves no object that is part of
    nothing."""
    monkeypatch.setattr(buckets, "ATTEMPTS", 1)
    late = {"late": {"policy": policy, "received": "%Y-%m-%d.csv", "after_days": (5, 35, 65)}} if policy else {}
    source = definition(delivery="append", feed=REPEATS, **late)
    for alive in range(0, 100, step):
        store.put(f"cut-{policy}-{step}-{alive}".lower())
        city = City(tmp_path / str(alive), source)
        city.copies = at(f"s3://cut-{policy}-{step}-{alive}/r".lower(), line.address, city.root)
        for day, rows in DAYS.items():
            city.put(lines(*rows), f"raw/{day}.csv")
        dead = Dead(line, alive)
        try:
            city.land(date(2018, 3, 20))
        except SourceError:
            dead.mend()
            assert left_by(city) in ("123", "1234", "12346", "refused")
            city.land(date(2018, 3, 20))
            whole = False
        else:
            dead.mend()
            whole = True
        assert [row[0] for row in city.rows("id")] == ["1", "2", "3", "4", "6"]
        named = {
            f"landed/requests/{batch.batch}/{each.name}"
            for batch in batches_of(city.private, "requests", city.copies).batches()
            for each in batch.objects
        }
        there = {name for name in objects(city.copies) if name.startswith("landed/") and name.endswith(".parquet")}
        assert there == named
        if whole:
            break
    assert whole
    assert alive > 6


KILLED = """
import os, signal, sys
from datetime import date
from pathlib import Path
sys.path[:0] = [{here!r}, {above!r}]
from invented import City, REPEATS, definition
from test_stored import at
city = City(Path(sys.argv[1]), definition(delivery="append", feed=REPEATS))
city.copies = at(sys.argv[2], sys.argv[3], city.root)
city.land(date(2018, 3, 20))
print("done")
"""


def killed_at(moment: int, line: Line, store: Store, root: Path, *, before: bool) -> bool:
    """A landing that is killed at a write, before or after it reaches the store; whether it came that far."""
    bucket = f"killed-{moment}-{before}-{abs(hash(str(root)))}".lower()
    store.put(bucket)
    city = City(root / bucket, definition(delivery="append", feed=REPEATS))
    city.copies = at(f"s3://{bucket}/r", line.address, city.root)
    for day, rows in DAYS.items():
        city.put(lines(*rows), f"raw/{day}.csv")
    text = KILLED.format(here=str(Path(__file__).parent), above=str(Path(__file__).parents[1]))
    command = [sys.executable, "-c", text, str(city.root), city.copies.address.url, line.address]
    left, struck = [moment], []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:

        def kill(method: str, _path: str) -> str | None:
            if method not in {"PUT", "POST", "DELETE"}:
                return None
            left[0] -= 1
            if left[0] < 0 if before else left[0] < -1:
                struck.append(method)
                child.send_signal(signal.SIGKILL)
                return "500"
            return None

        line.fault = kill
        out, err = child.communicate(timeout=120)
    line.fault = lambda _method, _path: None
    assert struck or b"done" in out, err.decode()
    city.land(date(2018, 3, 20))
    assert [row[0] for row in city.rows("id")] == ["1", "2", "3", "4", "6"]
    copies = city.copies
    assert {name.rpartition("/")[2][:8] for name in objects(copies) if "batch." in name} == {"batch.1."}
    copies.remove()
    assert not list(city.private.rglob("*.parquet"))
    return bool(struck)


def test_a_landing_that_is_killed_is_made_good(store: Store, line: Line, tmp_path: Path) -> None:
    """SIGKILL when one of two files is in the store: the next landing has every record once."""
    assert killed_at(4, line, store, tmp_path, before=True)


@pytest.mark.evidence("a landing in an object store killed at each of its writes: nothing lost, nothing twice")
@pytest.mark.parametrize("before", [True, False])
def test_a_landing_that_is_killed_at_any_write_is_made_good(
    before: bool, store: Store, line: Line, tmp_path: Path
) -> None:
    """A line that is dead stands for a kill, but leaves the process its end: these have none."""
    moments = 0
    while killed_at(moments, line, store, tmp_path, before=before):
        moments += 1
    assert moments > 5


def test_what_is_still_on_its_way_is_part_of_nothing(copies: LandedCopies, tmp_path: Path) -> None:
    """Files of a killed landing that reach the store after the next one has tidied: they are not read, then removed."""
    city = City(tmp_path, definition(), copies)
    stepped(city, "2018-02-01")
    (name, *_) = (each for each in objects(copies) if each.endswith(".parquet"))
    late = f"{name.removesuffix('.parquet')}-late.parquet"
    copies.bucket.write(copies.stored(late), copies.bucket.read(copies.stored(name)))
    half = copies.stored(f"landed/requests/{'0' * 32}/batch.1.{'0' * 8}.json")
    copies.bucket.write(half, b"")
    assert [row[0] for row in city.rows("id")] == ["1", "2", "3"]
    city.land()
    assert late not in objects(copies)
    assert half.removeprefix(copies.stored("")) not in objects(copies)


def test_files_that_are_gone_or_damaged_are_named(copies: LandedCopies, tmp_path: Path) -> None:
    """Never silently fewer records: a lost object is one message with its name."""
    city = City(tmp_path, definition(), copies)
    stepped(city, "2018-02-01")
    (name, *_) = (each for each in sorted(objects(copies)) if each.endswith(".parquet"))
    content = copies.bucket.read(copies.stored(name))
    copies.bucket.remove([copies.stored(name)])
    with pytest.raises(SourceError, match=f"{name}: is missing from the store or damaged"):
        city.rows()
    copies.bucket.write(copies.stored(name), content[:-1])
    with pytest.raises(SourceError, match=f"{name}: is missing from the store or damaged"):
        city.rows()
    copies.bucket.remove([copies.stored(name)])
    copies.bucket.write(copies.stored(name), content)
    assert len(city.rows()) == 3
    (manifest,) = (each for each in objects(copies) if each.endswith(".json"))
    copies.bucket.write(copies.stored(manifest.replace(".1.", ".2.")), b"{")
    with pytest.raises(SourceError, match=r"batch\.2\.[0-9a-f]+\.json: is damaged"):
        city.rows()


def test_records_of_another_key_are_refused_untouched(copies: LandedCopies, tmp_path: Path) -> None:
    """Two workspaces with one address: the second is told, and nothing of the first is removed."""
    one, other = City(tmp_path / "one", definition(), copies), City(tmp_path / "other", definition(), copies)
    stepped(one, "2018-02-01")
    before = objects(copies)
    with pytest.raises(SourceError, match="landed with another key"):
        stepped(other, "2018-02-01")
    assert objects(copies) == before


def test_a_store_that_is_open_to_all_gets_no_record(store: Store, line: Line, tmp_path: Path) -> None:
    """A bucket that answers without keys is refused before anything is sent, and nothing is left there."""
    line.private = False
    store.put("open-to-all")
    copies = at("s3://open-to-all/records", line.address, tmp_path)
    city = City(tmp_path, definition(), copies)
    with pytest.raises(SourceError, match=r"the bucket open-to-all of .*: anyone can read it without keys"):
        stepped(city, "2018-02-01")
    assert objects(copies) == {}


def test_a_container_that_is_open_to_all_is_seen(copies: LandedCopies, kind: str) -> None:
    """A private one answers no one without keys."""
    copies.bucket.write(copies.stored("any"), b"any")
    assert not copies.bucket.open_to_all(copies.stored("any"))


def test_strangers_ask_in_the_buckets_own_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere Amazon answers with a redirect that names no place, which is no answer about who may read."""
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    asked: list[str] = []

    def get(_: object, url: str, **__: object) -> requests.Response:
        asked.append(url)
        answer = requests.Response()
        answer.status_code = 301
        answer.raw = io.BytesIO()
        return answer

    monkeypatch.setattr(StrictSession, "get", get)
    assert not Bucket(BucketAddress("s3://somewhere")).open_to_all("somewhere/any")
    assert {url.split("/")[2] for url in asked} == {"s3.us-west-2.amazonaws.com"}


def test_a_file_may_not_be_named_outside_its_batch(store: Store, line: Line, tmp_path: Path) -> None:
    """A copy lies under the name that the store gives it: whoever can write there cannot write anywhere else."""
    store.put("climbing")
    copies = at("s3://climbing/records", line.address, tmp_path)
    city = City(tmp_path, definition(), copies)
    stepped(city, "2018-02-01")
    (manifest,) = (name for name in objects(copies) if name.endswith(".json"))
    content = copies.bucket.read(copies.stored(manifest)).decode()
    name = json.loads(content)["objects"][0]["name"]
    changed = content.replace(name, "month=2018-01/../../../../../../key.parquet")
    copies.bucket.write(copies.stored(manifest.replace("batch.1.", "batch.2.")), changed.encode())
    with pytest.raises(SourceError, match="is damaged"):
        batches_of(city.private, "requests", copies).batches()


def test_what_is_interrupted_leaves_no_object(store: Store, line: Line, tmp_path: Path) -> None:
    """Whoever presses Ctrl-C while a file is sent: the part that was sent is no first receipts of a batch."""
    store.put("interrupted")
    copies = at("s3://interrupted/records", line.address, tmp_path)

    class Stopped(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise KeyboardInterrupt
            return super().read(size)

    class Source(type(tmp_path)):  # type: ignore[misc]
        def open(self, *_: object) -> io.BytesIO:
            return Stopped(bytes(buckets.PIECE + 1))

    with pytest.raises(KeyboardInterrupt):
        copies.bucket.upload(Source(tmp_path), copies.stored("receipts.parquet"))
    assert objects(copies) == {}


def test_keys_are_shown_nowhere(
    store: Store, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A refused landing says what to set; no key is in a message, an output or a file."""
    store.put("refusing")
    city = City(tmp_path, definition(), at("s3://refusing/records", line.address, tmp_path))
    store.ask_for_keys("0")
    try:
        with pytest.raises(SourceError, match=r"the store refused .*AWS_ACCESS_KEY_ID") as refused:
            stepped(city, "2018-02-01")
    finally:
        store.ask_for_keys("inf")
    stepped(city, "2018-02-01")
    said = "".join([str(refused.value), *capfd.readouterr()])
    held = b"".join(city.tree().values())
    for key in (KEY, WORD):
        assert key not in said
        assert key.encode() not in held


def test_a_bucket_that_is_not_there_is_one_message(line: Line, tmp_path: Path) -> None:
    """It is not taken for an empty one."""
    city = City(tmp_path, definition(), at("s3://nowhere-to-be/records", line.address, tmp_path))
    with pytest.raises(SourceError, match=r"the bucket nowhere-to-be of .*: there is no such bucket"):
        stepped(city, "2018-02-01")
    with pytest.raises(SourceError, match="there is no such bucket"):
        city.rows()


def test_a_disk_without_room_for_the_copies_is_told(
    copies: LandedCopies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is copied, in one message with the folder."""
    city = City(tmp_path, definition(), copies)
    stepped(city, "2018-02-01")
    monkeypatch.setattr("publisher.copies._MARGIN", 1 << 60)
    with pytest.raises(SourceError, match=r"tmp/copies: [\d,]+ MB are free, too few for the landed files"):
        city.rows()


def test_a_query_keeps_only_the_copies_that_it_names(copies: LandedCopies, tmp_path: Path) -> None:
    """What another query has read is removed; what this one has read before is not read again."""
    city = City(tmp_path, definition(delivery="append", feed=REPEATS), copies)
    stepped(city, "2018-02-01")
    city.rows(start=date(2018, 1, 1), end=date(2018, 2, 1))
    january = {path.parent.name for path in copies.folder.rglob("*.parquet")}
    city.rows(start=date(2018, 2, 1), end=date(2018, 3, 1))
    assert (january, {path.parent.name for path in copies.folder.rglob("*.parquet")}) == (
        {"month=2018-01"},
        {"month=2018-02"},
    )


def test_parts_know_their_rows_without_reading_them(copies: LandedCopies, tmp_path: Path) -> None:
    """Work is shared out by what batch.json says: no file is copied for it."""
    city = City(tmp_path, definition(), copies)
    stepped(city, "2018-02-01")
    parts = in_parts(city.source, city.private, QUARTER.start, QUARTER.end, copies=copies).parts
    assert sum(part.rows for part in parts) == 3
    assert not copies.folder.exists()


def test_what_is_known_of_batches_is_not_read_again(store: Store, line: Line, tmp_path: Path) -> None:
    """A landing asks for the list and for nothing of what was landed before; what is damaged here is read again."""
    store.put("read-once")
    city = City(tmp_path, definition(delivery="append", feed=REPEATS), at("s3://read-once/r", line.address, tmp_path))
    stepped(city, "2018-02-01")
    city.land()
    line.asked.clear()
    assert city.land().new == 0
    assert [path for method, path in line.asked if "batch." in path or method not in {"GET", "HEAD"}] == []
    (city.private / "known" / "requests" / "batches.json").write_text("{")
    assert [row[0] for row in city.rows("id")] == ["1", "2", "3"]


def test_any_name_of_a_source_and_a_folder_will_do(store: Store, line: Line, tmp_path: Path) -> None:
    """Names with all that SQL, wildcards and addresses give a meaning."""
    store.put("names")
    root = tmp_path / "o'neil [x] ?*%41"
    city = City(root, definition(name="d'été [1]? *%41"), at("s3://names/records", line.address, root))
    stepped(city, "2018-02-01")
    city.land()
    assert [row[0] for row in city.rows("id")] == ["1", "2", "3"]


def test_nothing_in_the_store_names_a_person(copies: LandedCopies, tmp_path: Path) -> None:
    """Pseudonyms alone, as in the private folder."""
    city = City(tmp_path, definition(), copies)
    stepped(city, "2018-02-01")
    content = b"".join(copies.bucket.read(copies.stored(name)) for name in objects(copies))
    assert b"ann" not in content
    (manifest,) = (json.loads(copies.bucket.read(copies.stored(name))) for name in objects(copies) if "batch." in name)
    assert manifest["file"] == "raw/2018-02-01.csv"


@pytest.mark.parametrize(
    ("landed", "says"),
    [
        ('url = "gs://city/records"', "gs:// is not a store that publisher was tried with: it knows s3://"),
        ('url = "s3://city"', "must be s3://bucket/prefix or abfs://container@account/prefix"),
        ('url = "s3://KEY:canary@city/records"', "must be s3://bucket/prefix"),
        ('url = "abfs://records@account.dfs.core.windows.net/x"', "must be s3://bucket/prefix"),
        ('url = "s3://city/records"\nendpoint = "http://objects.example.gov"', "must begin with https://"),
        ('url = "s3://city/records"\nkey = "canary"', "landed.key"),
    ],
)
def test_other_addresses_are_refused(landed: str, says: str) -> None:
    """Kinds of stores that were never tried, keys in an address, and lines that strangers could read."""
    with pytest.raises(DefinitionError) as refused:
        build(LandedSettings, *parse_toml(landed, "publisher.toml: landed"))
    assert says.removeprefix("landed.") in str(refused.value)
    assert "canary" not in str(refused.value)


def test_a_rehearsal_never_reaches_the_store(tmp_path: Path) -> None:
    """Its records are generated; they lie in its own folder."""
    (tmp_path / "publisher.toml").write_text(f'{SETTINGS}[landed]\nurl = "s3://city/records"\n', encoding="utf-8")
    workspace = find_workspace(tmp_path)
    assert workspace.copies is not None
    feed = definition().definition.feed
    assert replace(workspace, feeds={"requests": feed}).copies is None


def test_the_stores_words_are_ours(line: Line) -> None:
    """What is listed where nothing listens is one message."""
    with pytest.raises(SourceError, match="the store cannot be reached: check the address"):
        Bucket(BucketAddress("s3://city/records", "http://127.0.0.1:9")).listed("city/records")
