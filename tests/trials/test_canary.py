"""Nothing of a record leaves the private folder: not its values, and not how many records there are."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from canaries import KINDS, Aviary, texts_below, texts_of
from host import hosted
from kills import hatched, output_of
from town import borrow, calls, settle, span

from publisher.sample import write_sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from host import Host
    from kills import Zygote

pytestmark = pytest.mark.xdist_group("canary")  # they share one city

ROOT = Path(__file__).parents[2]
SPANS = {
    "stlouis-requests": ("2018-W02", "2018-W02"),
    "stlouis-closed-within-a-week": ("2018-01", "2018-01"),
    "stlouis-days-to-close": ("2018-01", "2018-01"),
    "syracuse-permits": ("2015-Q2", "2015-Q2"),
    "alicante-water": ("2016-03", "2016-03"),
}
COMMANDS = (
    ["land"],
    ["check"],
    ["check", "--data"],
    ["plan"],
    ["plan", "--json"],
    ["run", "--json"],
    ["run"],
    ["push"],
    ["releases"],
    ["releases", "--json"],
    *(["show", name, *more] for name in SPANS for more in ([], ["--json"])),
    ["sql", "SELECT * FROM _releases"],
    ["sql", "SELECT * FROM alicante_water"],
    ["sql", "SELECT nothing FROM stlouis_requests"],
    ["ledger"],
    ["ledger", "--json"],
    ["verify", "--offline"],
    ["verify"],
    ["revalidate"],
    ["doctor"],
    ["rollback", "alicante-water", "--reason", "A file was missing"],
    ["rollback", "alicante-water", "--reason", "A file was missing", "--undo"],
)
FEEDS = (
    ("stlouis-311/requests_2018-01-01.csv", ",", "REQUESTID", r"2018-01-1[0-3]T.*"),
    ("syracuse-permits/Permits_processed.csv", ",", None, r"0[456]/../2015"),
    ("alicante-water/swm_trialA.csv.gz", ";", None, r"../03/2016 .*"),
)
"""Each feed's file, its delimiter, the column that must differ, and how a day of a released period looks in it."""


class City:
    """A sample city whose feeds hold canaries, what was done with it, and where everything lies."""

    def __init__(self, folder: Path, host: Host, zygote: Zygote) -> None:
        self.folder, self.host, self.zygote = folder, host, zygote
        self.aviary = Aviary()
        write_sample(folder / "town" / "data", rows=1000)
        self.town = borrow(folder / "town", ROOT, host.url, SPANS)
        for name, *feed in FEEDS:
            plant(self.aviary, self.town.folder / "data" / name, *feed)
        zygote.warm(self.town, "run", "--json")

    def run(self, *arguments: str) -> int:
        """The exit code of a command of publisher."""
        return self.zygote.run(self.town, *arguments)

    def public_texts(self) -> Iterator[tuple[str, str]]:
        """Everything outside the private folder by name: files, output, logs, temporary files, the portal's answers."""
        for folder in (self.town.state, self.folder / "tmp", self.host.state):
            for path, text in texts_below(folder, but=self.town.private):
                yield str(path), text
        for path in (output_of(self.town), self.host.log):
            yield str(path), path.read_text()
        yield from answers(self.host)


def plant(aviary: Aviary, path: Path, delimiter: str, key: str | None, day: str) -> None:
    """Adds rows to a feed: each with a canary in one column of a sound record, each with canaries in all columns, and
    rows that are too short and too long."""
    packed = path.suffix == ".gz"
    content = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    rows = list(csv.reader(io.StringIO(content.decode(), newline=""), delimiter=delimiter))
    header, sound = rows[0], next(row for row in rows[1:] if any(re.fullmatch(day, value) for value in row))
    for kind in KINDS:
        for place, column in enumerate(header):
            row = list(sound)
            if key is not None:
                row[header.index(key)] = f"{9_000_000 + len(rows)}"
            row[place] = aviary.make(kind, f"{path.name}, {column}")
            rows.append(row)
        rows += [
            [aviary.make(kind, f"{path.name}, row of {length}") for _ in range(length)]
            for length in (len(header), 2, len(header) + 2)
        ]
    planted = io.StringIO(newline="")
    csv.writer(planted, delimiter=delimiter).writerows(rows)
    path.write_bytes(gzip.compress(planted.getvalue().encode()) if packed else planted.getvalue().encode())


def answers(host: Host) -> Iterator[tuple[str, str]]:
    """What the portal says, to its owner and to anybody, in every form; also where it refuses."""
    account = (host.environment["SOCRATA_USERNAME"], host.environment["SOCRATA_PASSWORD"])
    views = requests.get(f"{host.url}/api/views.json", auth=account, timeout=60).json()
    assert views
    pages = ["/", "/data.json", "/api/catalog/v1", "/api/views.json", "/api/views/metadata/v1", "/nothing"]
    for view in views:
        name = view["id"]
        pages += [f"/d/{name}", f"/api/views/{name}.json", f"/api/views/{name}/columns.json"]
        pages += [f"/api/views/{name}/rows.csv", f"/api/views/metadata/v1/{name}"]
        pages += [f"/resource/{name}.{form}?$limit=50000" for form in ("json", "csv", "geojson")]
        pages += [f"/resource/{name}.json?$select=:*,*", f"/resource/{name}.json?$where=nothing=1"]
    for page in pages:
        for who in (None, account):
            answer = requests.get(host.url + page, auth=who, timeout=60)
            yield page, answer.text + str(answer.headers)


@pytest.fixture(scope="module")
def city(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    folder = tmp_path_factory.mktemp("canary")
    (folder / "tmp").mkdir()
    with hosted(folder / "host") as host:
        environment = host.environment | {"TMPDIR": str(folder / "tmp")}
        with hatched(environment) as zygote:
            yield City(folder, host, zygote)


def test_the_search_finds_canaries(tmp_path: Path) -> None:
    """A canary in a file of any of the formats is found, however it is packed."""
    aviary = Aviary()
    values = [aviary.make(kind, "a test") for kind in KINDS]
    (tmp_path / "rows.csv").write_text("\n".join(values))
    (tmp_path / "rows.json").write_text(json.dumps(values))
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress("\n".join(values).encode()))
    pq.write_table(pa.table({"value": values}), tmp_path / "rows.parquet", compression="zstd")
    with closing(sqlite3.connect(tmp_path / "rows.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE rows (value)")
        connection.executemany("INSERT INTO rows VALUES (?)", [(value,) for value in values])
    with duckdb.connect(str(tmp_path / "rows.duckdb")) as database:
        database.execute("CREATE TABLE rows AS SELECT unnest(?) AS value", [values])
    for path in tmp_path.iterdir():
        found = aviary.found_in(texts_of(path))
        assert len({text[:15] for text in found}) >= 2, path.name  # both marks
        assert len(found) >= len(KINDS), path.name
    assert aviary.found_in(["Nothing to see, 123-456"]) == []


def test_no_value_of_a_record_is_found_outside_the_private_folder(city: City) -> None:
    """After every command, and after runs that fail in every way, no canary stands anywhere that is not private."""
    raw = [text for path in sorted((city.town.folder / "data").rglob("*.csv*")) for text in texts_of(path)]
    assert len(city.aviary.found_in(raw)) >= len(city.aviary.made)
    codes = {" ".join(command): city.run(*command) for command in COMMANDS}
    wrong = {command: code for command, code in codes.items() if code != (2 if "nothing" in command else 0)}
    assert not wrong, output_of(city.town).read_text()[-5000:]
    fail(city)
    leaks = {name: found for name, text in city.public_texts() if (found := city.aviary.found_in([text]))}
    assert leaks == {}


def test_identifiers_are_pseudonyms_in_the_private_folder(city: City) -> None:
    """A value of an identifying column is not in the landed records, and other values are: the rows were landed."""
    if not city.town.private.is_dir():
        assert city.run("land") == 0
    made = {re.sub(r"[\W_]+", "", value).lower(): where for value, where in city.aviary.made.items()}
    landed = [path for path in city.town.private.rglob("*.parquet") if "landed" in path.parts]
    texts = [re.sub(r"[\W_]+", "", text).lower() for path in landed for text in texts_of(path)]
    seen = {where for value, where in made.items() if any(value in text for text in texts)}
    columns = {where.split(", ")[1] for where in seen}
    assert {"SRX", "PROBLEMCODE", "lon", "meter reading"} <= columns
    assert columns.isdisjoint({"REQUESTID", "Applicant", "Location", "user key", "PROBADDRESS", "Location2"})


def test_a_rehearsal_keeps_to_itself_too(city: City) -> None:
    """A rehearsal reads nothing but places, and no other value of the lists in which they stand is shown or kept."""
    assert city.run("run", "--rehearse") == 0, output_of(city.town).read_text()[-3000:]
    leaks = {name: found for name, text in city.public_texts() if (found := city.aviary.found_in([text]))}
    assert leaks == {}


def fail(city: City) -> None:
    """Runs that are refused, held, or stopped by what they read."""
    town = city.town
    requests_file, water = town.folder / "datasets/stlouis-requests.toml", town.folder / "datasets/alicante-water.toml"
    query, suite = town.folder / "pipelines/stlouis-311.sql", town.folder / "expectations/stlouis-requests.json"
    sound_query = query.read_text()
    suite.parent.mkdir()

    water.write_text(water.read_text().replace("rho = 0.1", "rho = 0.45"))
    assert city.run("run", "alicante-water", "--redraw", "2016-03", "--yes") == 4

    for week, content in enumerate(bad_files(city.aviary), 3):
        span(requests_file, "2018-W02", f"2018-W0{min(week, 4)}")
        bad = town.folder / "data/stlouis-311/bad.csv"
        bad.write_bytes(content)
        for arguments in (["run", "stlouis-requests"], ["run", "stlouis-requests", "--json"], ["land", "stlouis-311"]):
            assert city.run(*arguments) == 5, output_of(town).read_text()[-3000:]
        bad.unlink()

    for text in ("strptime(raw.DATETIMEINIT, '%Y')", "CAST(raw.SRX AS INTEGER)", "error(raw.SRX)", "raw.PROBADDRESS"):
        query.write_text(f"SELECT {text} AS category FROM raw\n")
        assert city.run("run", "stlouis-requests") != 0, text
    query.write_text(sound_query)

    suite.write_text("{")
    assert city.run("run", "stlouis-requests") == 2
    limit = {"type": "expect_column_max_to_be_between", "kwargs": {"column": "requests", "max_value": -1}}
    suite.write_text(json.dumps({"name": "stlouis-requests", "expectations": [limit | {"meta": {"notes": "never"}}]}))
    assert city.run("run", "stlouis-requests") == 3
    assert city.run("show", "stlouis-requests") == 0
    assert city.run("revalidate", "stlouis-requests") == 3
    suite.unlink()
    assert city.run("revalidate", "stlouis-requests") == 0


def bad_files(aviary: Aviary) -> Iterator[bytes]:
    """Files that cannot be landed: without header, with another header, with broken quotes, binary, and cut gzip."""

    def values(where: str, many: int = 19) -> list[str]:
        return [aviary.make(KINDS[n % len(KINDS)], where) for n in range(many)]

    yield "\n".join(",".join(values("a file without header")) for _ in range(3)).encode()
    yield ("\n".join([",".join(f"COLUMN{n}" for n in range(19)), ",".join(values("another header"))])).encode()
    yield ('REQUESTID,"PROBLEMCODE\n' + "\n".join('"' + '","'.join(values("broken quotes")) for _ in range(3))).encode()
    yield b"\x00\xff\xfe\x01" + "\x00".join(values("binary junk")).encode("utf-16") * 3
    yield gzip.compress("\n".join(values("a cut gzip")).encode())[:-9]


def test_no_exact_count_is_found_outside_the_private_folder(tmp_path: Path, city: City) -> None:
    """Of 123,457 records in one cell the number stands nowhere but in the private report.

    The noise has a standard deviation of 22,000, so the value or an end of its margin meets the number by chance once
    in 18,000 towns: what is found must be found in a second town, too. Chance does that once in 300 million runs; a
    count that leaks stands in both.
    """
    if found_outside(tmp_path / "first", city, 123_457):
        assert found_outside(tmp_path / "second", city, 123_459) == []


def found_outside(folder: Path, city: City, count: int) -> list[str]:
    """Where that count of a new town's records stands after every command, but for its private folder."""
    dataset = f"{folder.name}-cell"
    town = settle(folder, city.host.url, dataset=dataset, first="2018-W02", last="2018-W02", rho="0.000000001")
    lines = [f"{number},2018-01-10 12:00,1,Lamp,Somebody" for number in range(count)]
    (town.folder / "data/calls/january.csv").write_text("\n".join([calls(0).strip(), *lines]) + "\n")
    for command in (
        ["land"],
        ["plan"],
        ["run"],
        ["run", "--json"],
        ["show", dataset],
        ["ledger"],
        ["verify"],
        ["doctor"],
    ):
        assert city.zygote.run(town, *command) == 0, output_of(town).read_text()
    exact = re.compile(rf"(?<![\w.])123[,._ ’]?{count - 123_000}(?:\.0+)?(?![\w.])")
    reports = [text for path in (town.private / "reports").rglob("*.json") for text in texts_of(path)]
    assert any(exact.search(text) for text in reports)
    texts = [(str(path), text) for path, text in texts_below(town.state, but=town.private)]
    texts += [(str(output_of(town)), output_of(town).read_text()), ("log", city.host.log.read_text())]
    texts += [*answers(city.host)]
    texts += [(str(path), text) for path, text in texts_below(city.folder / "tmp")]
    return [name for name, text in texts if exact.search(text)]
