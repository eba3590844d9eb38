"""Raw files landed by worker processes: the same rows and the same counts as in one process, whatever is lost."""

from __future__ import annotations

import json
import pickle
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from invented import DEFINITION, ENGINE, HEADER, REPEATS, TODAY, City, definition
from lost_shares import FailsWhenWritten, KilledWhenWritten
from test_places import POINT, _points, _source, _square, _zones

from publisher.definitions.settings import EngineSettings, SparkSettings
from publisher.errors import RefusedAtLandingError, SourceError
from publisher.executors.local import LocalExecutor
from publisher.executors.processes import ProcessesExecutor
from publisher.executors.spark import SparkExecutor
from publisher.pipeline.landed import land_source
from publisher.pipeline.session import locked
from publisher.records import intake, pieces, pseudonyms, rows, secrets, workers
from publisher.records.landing import land
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.executors.protocol import Executor
    from publisher.workspace import SourceFile

PERSON = {"unit": "who", "window": "month", "missing": "own-unit"}
SETTINGS = """
organization = "x"
contact = "x"
license = "x"
jurisdiction = "x"
[engine]
executor = "{executor}"
memory = "500MB"
threads = 2
"""
CARD = "4111111111111111"


@pytest.fixture(scope="module")
def pool(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessesExecutor]:
    """Two worker processes."""
    executor = ProcessesExecutor(ENGINE, tmp_path_factory.mktemp("pool"))
    yield executor
    executor.close()


@pytest.fixture(autouse=True)
def _little_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers land two files, or a file of a few kilobytes in pieces."""
    monkeypatch.setattr(workers, "LEAST_FILES", 2)
    monkeypatch.setattr(workers, "LEAST_BYTES", 2_000)
    monkeypatch.setattr(intake, "MOST", 3)
    monkeypatch.setattr(pieces, "SIZE", 1_000)


def _land(city: City, executor: Executor | None) -> None:
    land(city.source, data=city.data, private=city.private, engine=ENGINE, received=TODAY, executor=executor)


def _row(random: Random) -> list[str]:
    """A row that often repeats a record of its file or of another, has a fault, or a number of a card."""
    who = random.choice(("Ann", " ann", "ANN", "Bob", "Zoë  Smith", ""))
    when = random.choice(("2018-01-01", "2018-02-01 10:30:00", "2018-03-09", "no day", CARD))
    row = [str(random.randrange(120)), who, when, random.choice(("x", '"y, ""z"""', "", CARD)), "s", "n"]
    return row[: random.choice((6, 6, 6, 6, 6, 6, 6, 5))]


def _put(city: City, form: str, name: str, many: int) -> None:
    random = Random(name)
    rows_ = [_row(random) for _ in range(many)]
    if form == "json":
        names = f"{HEADER},new".split(",")
        content = json.dumps([dict(zip(names, row, strict=False)) for row in rows_])
    else:
        content = "\n".join([f"{HEADER},new", *(",".join(row) for row in rows_)]) + "\n"
    city.put(content, f"raw/{name}.{form}")


def _everything(city: City) -> dict[str, Any]:
    """All that landing leaves: rows, what is read of them, receipts, private counts, and what batches say."""
    receipts = str(city.private / "receipts" / "*" / "*" / "*.parquet")
    there = any(city.private.glob("receipts/*/*/*.parquet"))
    batches = [json.loads(path.read_bytes()) for path in city.private.glob("landed/*/*/batch.json")]
    reports = [json.loads(path.read_bytes()) for path in sorted(city.private.glob("reports/*/*.json"))]
    return {
        "landed": city.landed(),
        "rows": city.rows(),
        "receipts": duckdb.sql(f"SELECT * FROM '{receipts}' ORDER BY ALL").fetchall() if there else [],
        "batches": sorted((each["batch"], each["sequence"], each["unlisted"]) for each in batches),
        "reports": reports,
    }


def _twins(root: Path, source: SourceFile) -> tuple[City, City]:
    """Two cities with one key and one data folder."""
    (root / "data").mkdir(parents=True, exist_ok=True)
    twins = City(root / "one", source), City(root / "many", source)
    for each in twins:
        each.root.mkdir()
        each.data.symlink_to(root / "data")
    secrets.create_key(twins[0].private)
    secrets.create_key(twins[1].private)
    (twins[1].private / "key").write_bytes((twins[0].private / "key").read_bytes())
    return twins


ACCEPT = {
    "rejected": 1,
    "repeated": 1,
    "undated": 1,
    "unplaced": 1,
    "payment": ["what", "when"],
    "empty": ["what"],
    "reason": "drawn",
}
CASES = [
    ("append", "csv", {"record_id": ("id",), "privacy": PERSON}),
    ("append", "csv", {"record_id": (), "late": {"policy": "freeze", "after_days": (0,)}}),
    ("changes", "json", {"record_id": ("id",), "privacy": PERSON | {"missing": "drop"}, "late": {"policy": "charge"}}),
    ("changes", "csv", {"record_id": ()}),
    ("snapshot", "csv", {"record_id": ("id",), "places": {"zone": {"code": "what"}}}),
]


@pytest.mark.parametrize(("delivery", "form", "changes"), CASES)
def test_workers_land_the_same(
    delivery: str, form: str, changes: dict[str, Any], pool: ProcessesExecutor, tmp_path: Path
) -> None:
    """Row by row, and each private count: several small files, then one that comes in pieces and repeats their records,
    with faulty rows, people without a name and numbers of cards, in every delivery, with and without record ids."""
    one, many = _twins(tmp_path, definition(delivery=delivery, feed={"format": form, "accept": ACCEPT}, **changes))
    for files in ({"a": 30, "b": 9, "c": 20, "d": 1}, {"e": 700}, {"f": 300, "g": 2}):
        for name, rows_ in files.items():
            _put(one, form, name, rows_)
        _land(one, None)
        _land(many, pool)
        assert _everything(many) == _everything(one)
    found = _everything(one)
    assert len(found["landed"]) > 100
    assert not list(many.private.glob("landed/*/.*"))
    assert not (many.private / "tmp").exists()


def test_workers_find_the_same_places(pool: ProcessesExecutor, tmp_path: Path) -> None:
    """By points in polygons, which each worker looks up for its own rows."""
    one, many = _twins(tmp_path, _source(POINT, feed={"accept": {"unplaced": 1, "reason": "drawn"}}))
    _zones(one, _square("a", 0, 0), _square("b", 10, 0))
    random = Random(4)
    _points(one, *((random.choice((1, 5, 9, 10, 15, 99, "")), random.choice((5, "nan", "9"))) for _ in range(900)))
    _land(one, None)
    _land(many, pool)
    assert _everything(many) == _everything(one)
    assert {place for (place,) in one.rows("_place_zone")} == {"a", "b", None}


@pytest.mark.parametrize("share", [KilledWhenWritten, FailsWhenWritten])
def test_a_share_that_is_lost_changes_nothing(
    share: type[workers.WritesShare], pool: ProcessesExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is killed, or fails, after it has written all its rows: they are written again, and count once."""
    one, many = _twins(tmp_path, definition(feed=REPEATS | {"accept": ACCEPT}, delivery="append"))
    _put(one, "csv", "a", 800)
    _land(one, None)
    monkeypatch.setattr(workers, "WritesShare", share)
    _land(many, pool)
    assert (many.private / "lost").exists()
    assert _everything(many) == _everything(one)
    assert not list(many.private.glob("landed/*/.*"))


LANDING = """
import sys
from datetime import date
from pathlib import Path
sys.path.insert(0, {tests!r})
from invented import City
from publisher.definitions.settings import EngineSettings
from publisher.executors.processes import ProcessesExecutor
from publisher.records import pieces, workers
from publisher.records.landing import land
if __name__ == "__main__":
    workers.LEAST_BYTES, pieces.SIZE = 2_000, 200_000
    city, engine = City(Path({root!r})), EngineSettings(memory="500MB", threads=2)
    executor = ProcessesExecutor(engine, city.private / "tmp")
    say = lambda words: print(words, flush=True)
    land(city.source, data=city.data, private=city.private, engine=engine, received=date(2026, 1, 2), executor=executor,
         progress=say)
"""


def _killed(city: City, script: Path, seconds: float) -> None:
    """Kill a landing by worker processes so many seconds after it has begun, and wait until its workers have ended."""
    script.write_text(LANDING.format(tests=str(Path(__file__).parent), root=str(city.root)))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert b"landing" in child.stdout.readline()
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        child.stdout.read()  # workers have it, too: it ends with the last of them


def _kill_and_land_again(city: City, moments: tuple[float, ...]) -> None:
    lines = [f"{n},a,2018-0{1 + n % 9}-01,{n % 77},y" for n in range(150_000)]
    city.put("\n".join([HEADER, *lines]) + "\n")
    for seconds in moments:
        _killed(city, city.root / "landing.py", seconds)
        batches = list(city.private.glob("landed/requests/[!.]*"))
        assert all((batch / "batch.json").exists() for batch in batches)
        if batches:  # it was done before it was killed: there is nothing left to land
            break
    city.land()
    assert [int(id_) for (id_,) in city.rows("CAST(id AS INTEGER) AS id")] == list(range(150_000))
    assert not list(city.private.glob("landed/*/.*"))
    assert not (city.private / "tmp").exists()


@pytest.mark.usefixtures("processes")
def test_a_landing_that_is_killed_with_its_workers_at_work_is_made_good(city: City) -> None:
    """Its workers end, nothing half done is read, and the next landing has every row once."""
    _kill_and_land_again(city, (1.5,))


@pytest.mark.evidence("a landing by worker processes killed at many moments: nothing lost, nothing twice")
@pytest.mark.usefixtures("processes")
def test_a_landing_that_is_killed_at_any_moment_is_made_good(city: City) -> None:
    """One moment meets workers that read, these meet them as they begin, write, and have ended."""
    _kill_and_land_again(city, tuple(0.4 * number for number in range(12)))


def test_a_file_that_cannot_be_read_is_named_and_those_before_it_are_landed(
    pool: ProcessesExecutor, city: City
) -> None:
    """As if this process had read them all; the next landing by the same workers is whole."""
    for number in range(6):
        city.put(f"{HEADER}\n{number},Ann,2018-01-01,x,s\n", f"raw/{number}.csv")
    city.put("id,who,when\n", "raw/4.csv")
    with pytest.raises(SourceError, match=r"^4\.csv: the columns are not those.*missing: what"):
        _land(city, pool)
    assert city.rows("id") == [("0",), ("1",), ("2",), ("3",)]
    city.put(f"{HEADER}\n4,Ann,2018-01-01,x,s\n", "raw/4.csv")
    _land(city, pool)
    assert len(city.rows("id")) == 6


@pytest.mark.parametrize("files", [1, 3])
def test_a_refusal_says_the_same_causes(files: int, pool: ProcessesExecutor, tmp_path: Path) -> None:
    """They are looked for in this process, which reads the files for that alone."""
    one, many = _twins(tmp_path, definition())
    for number in range(files):
        lines = [f"{number} {n},Ann,{1 + n % 9}/13/2018,x,s" for n in range(200)]
        one.put("\n".join([HEADER, *lines]) + "\n", f"raw/{number}.csv")
    said = []
    for each, executor in ((one, None), (many, pool)):
        with pytest.raises(RefusedAtLandingError) as refused:
            _land(each, executor)
        said.append(refused.value.private)
        assert not each.landed() if list(each.private.glob("landed/*/*/*/*.parquet")) else True
    assert said[0] == said[1]
    assert "%m/%d/%Y" in said[0]


def test_what_workers_write_is_private(pool: ProcessesExecutor, city: City) -> None:
    """Folders 0700, files 0600, whatever the umask was when they began."""
    _put(city, "csv", "a", 400)
    city.source = definition(feed={"accept": ACCEPT})
    _land(city, pool)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [city.private, *city.private.rglob("*")]}
    assert modes == {0o700, 0o600}


def test_what_workers_are_told_has_no_key_and_no_record(city: City) -> None:
    """They get names, places and columns; the key they read themselves."""
    city.source = definition(privacy=PERSON)
    secrets.create_key(city.private)
    target = rows.PartitionTarget(city.root, "name")
    told = pickle.dumps(
        workers.WritesShare(city.source, city.data, city.private, city.root, target, pseudonyms.PREFIXED, None)
    )
    keys = [(city.private / "key").read_bytes()]
    keys += [pseudonyms.prefix(city.private, domain, "requests") for domain in ("record", "unit")]
    keys += [secrets.derive(city.private, f"{domain}/requests") for domain in ("record", "unit")]
    assert not [key for key in keys if key in told or key.hex().encode() in told]


def test_raw_files_leave_this_machine_with_no_executor(tmp_path: Path, city: City) -> None:
    """On Spark the driver lands: workers elsewhere get neither raw records nor the key that makes pseudonyms. One
    worker alone lands nothing either, since it would be slower."""
    spark = SparkExecutor(ENGINE, SparkSettings(master="local"))
    alone = ProcessesExecutor(EngineSettings(memory="500MB", threads=1), tmp_path)
    assert [each.landers for each in (spark, alone, LocalExecutor(ENGINE, tmp_path))] == [0, 0, 0]
    city.source = definition(feed={"accept": ACCEPT})
    _put(city, "csv", "a", 400)
    _land(city, spark)  # no session is opened: PySpark is not even installed here
    assert len(city.rows()) > 20


@pytest.mark.parametrize(
    ("pieces_", "many", "shares"),
    [
        (2, 2, [[0, 1], [1, 2]]),
        (3, 2, [[0, 1, 2], [2, 3]]),
        (1, 4, [[0, 1]]),
        (7, 2, [[0, 1, 2, 3, 4], [4, 5, 6, 7]]),
    ],
)
def test_pieces_are_shared_out(pieces_: int, many: int, shares: list[list[int]]) -> None:
    """Each piece is in one share, and each worker has one share."""
    assert workers._shares(range(pieces_ + 1), many) == shares


def test_a_very_large_file_has_more_shares_than_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what a lost worker had done is little of it."""
    monkeypatch.setattr(workers, "MOST_PIECES", 3)
    shares = workers._shares(range(21), 2)
    assert [len(share) - 1 for share in shares] == [3, 3, 3, 3, 3, 3, 2]
    assert [cut for share in shares for cut in share[:-1]] == list(range(20))


@pytest.mark.parametrize("executor", ["processes", "local"])
def test_the_setting_decides_who_lands(
    executor: str, processes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`publisher land` opens workers of its own where `[engine] executor` says so, and ends them."""
    for room in ("pipelines", "datasets", "expectations"):
        (tmp_path / room).mkdir()
    (tmp_path / "publisher.toml").write_text(SETTINGS.format(executor=executor))
    (tmp_path / "pipelines" / "requests.toml").write_text(DEFINITION)
    (tmp_path / "pipelines" / "requests.sql").write_text("SELECT raw.what AS what FROM raw\n")
    for name in ("a", "b"):
        City(tmp_path).put(f"{HEADER}\n{name},Ann,2018-01-01,x,s\n", f"raw/{name}.csv")
    workspace = find_workspace(tmp_path)
    asked: list[int] = []
    run = ProcessesExecutor.map_shuffle_reduce

    def counted(self: ProcessesExecutor, tasks: Any, *rest: Any, **named: Any) -> Any:
        asked.append(len(tasks))
        return run(self, tasks, *rest, **named)

    monkeypatch.setattr(ProcessesExecutor, "map_shuffle_reduce", counted)
    with locked(workspace):
        assert land_source(workspace, workspace.sources["requests"]).new == 2
    assert asked == ([2] if executor == "processes" else [])
    assert not (workspace.private / "tmp").exists()


def test_few_small_files_are_landed_here(monkeypatch: pytest.MonkeyPatch, city: City) -> None:
    """Workers would take longer to begin; the day's file of a small source never waits for them."""
    monkeypatch.undo()
    paths = [city.put("x" * 1_000, f"raw/{number}.csv") for number in range(400)]
    assert not workers.worth(paths[:399])
    assert workers.worth(paths)
    assert workers.worth([city.put(b"x" * (32 << 20), "raw/large.csv")])
