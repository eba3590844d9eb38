"""From raw files to what the public reads: one run, then sodapy, pandas and DuckDB at the portal's addresses."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import duckdb
import pandas as pd
import pytest
import requests
from fsspec import AbstractFileSystem
from host import hosted
from kills import hatched, output_of
from sessions import free_port
from town import borrow, settle

from publisher.sample import write_sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from host import Host
    from kills import Zygote
    from town import Town

pytestmark = pytest.mark.xdist_group("portal-path")  # they share one city

ROOT = Path(__file__).parents[2]
SPANS = {
    "stlouis-requests": ("2018-W01", "2018-W02"),
    "stlouis-closed-within-a-week": ("2018-01", "2018-01"),
    "stlouis-days-to-close": ("2018-01", "2018-01"),
    "syracuse-permits": ("2015-Q2", "2015-Q2"),
    "alicante-water": ("2016-03", "2016-04"),
}
READER = """
import json, sys
from requests.adapters import HTTPAdapter
from sodapy import Socrata
with Socrata(sys.argv[1], None, session_adapter={"prefix": "http://", "adapter": HTTPAdapter()}) as client:
    print(json.dumps([list(client.get_all(name, limit=100)) for name in sys.argv[2:]]))
"""
"""A program that knows nothing of publisher: it prints every row of the datasets, read as anybody."""


class Published:
    """A sample city that has been published, its portal and its datasets' ids."""

    def __init__(self, folder: Path, host: Host, zygote: Zygote) -> None:
        self.host, self.zygote = host, zygote
        write_sample(folder / "town" / "data", rows=3000)
        self.town = borrow(folder / "town", ROOT, host.url, SPANS)
        zygote.warm(self.town, "run", "--json")
        self.report: list[dict[str, Any]] = json.loads(output_of(self.town).read_text())
        self.ids = {each["dataset"]: each["portal_url"].rsplit("/", 1)[1] for each in self.report}

    def run(self, *arguments: str) -> int:
        """The exit code of a command of publisher."""
        return self.zygote.run(self.town, *arguments)

    def released(self, dataset: str) -> pd.DataFrame:
        """The rows of every data.csv of a dataset, as texts, in the order of their ids."""
        paths = sorted((self.town.state / "public/releases" / dataset).glob("*/1/data.csv"))
        return plain(pd.concat([pd.read_csv(path, dtype=str) for path in paths]))

    def marks(self) -> dict[str, tuple[str, int]]:
        """By which a reader sees that a dataset has changed: its ETag and when its rows were updated."""
        marks = {}
        for dataset, name in self.ids.items():
            etag = requests.get(f"{self.host.url}/resource/{name}.json", timeout=60).headers["ETag"]
            view = requests.get(f"{self.host.url}/api/views/{name}.json", timeout=60).json()
            marks[dataset] = (etag, view["rowsUpdatedAt"])
        return marks


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """The table as texts without what forms differ in: order, the time of a day, needless decimals."""
    table = table.sort_values("id").reset_index(drop=True).astype(object)
    table = table.where(table.notna(), "").astype(str)
    numbers = {"edition", *(name.removesuffix("_status") for name in table if name.endswith("_status"))}
    for name in table:
        if name.removesuffix("_low").removesuffix("_high") in numbers:
            table[name] = [str(float(value)) if value else "" for value in table[name]]
    table["period_start"] = [value[:10] for value in table["period_start"]]
    return table


@pytest.fixture(scope="module")
def published(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    folder = tmp_path_factory.mktemp("path")
    with hosted(folder / "host") as host, hatched(host.environment) as zygote:
        yield Published(folder, host, zygote)


def test_a_run_publishes_every_dataset(published: Published) -> None:
    """Every release of the run is published, and says where."""
    assert {each["status"] for each in published.report} == {"published"}
    assert published.ids.keys() == SPANS.keys()
    assert all(each["portal_url"].startswith(published.host.url + "/d/") for each in published.report)
    assert published.run("verify") == 0


def test_what_is_damaged_of_one_dataset_does_not_stop_the_others(published: Published) -> None:
    """An old release is named with the documented exit code, by push and by run where they do not know that the portal
    has it; all other datasets are delivered. `verify` names it always."""
    path = published.town.state / "public/releases/stlouis-requests/2018-W01/1/data.csv"
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    assert published.run("push") == 0
    assert published.run("verify") == 5
    published.town.state.joinpath("portal_rows.json").unlink()
    for command in (("push",), ("run",)):
        assert published.run(*command) == 5
        said = output_of(published.town).read_text()
        assert f"{path.parent}: changed since it was written: data.csv" in said
        assert published.ids["syracuse-permits"] in said
    path.write_bytes(content)
    assert published.run("verify") == 0


def test_sodapy_reads_what_was_released(published: Published) -> None:
    """In a process of its own, without an account, `get_all` gives every row of every release, and no other."""
    command = [sys.executable, "-c", READER, urlsplit(published.host.url).netloc, *published.ids.values()]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for dataset, rows in zip(published.ids, json.loads(printed), strict=True):
        released = published.released(dataset)
        pd.testing.assert_frame_equal(plain(pd.DataFrame(rows, columns=list(released))), released)


def test_pandas_reads_the_csv(published: Published) -> None:
    """`read_csv` with the address of a dataset gives the released table, column by column."""
    for dataset, name in published.ids.items():
        read = pd.read_csv(f"{published.host.url}/resource/{name}.csv?$limit=50000", dtype=str)
        pd.testing.assert_frame_equal(plain(read), published.released(dataset))


def test_duckdb_reads_the_csv(published: Published) -> None:
    """DuckDB gives the same sums over a dataset's address and over the released files."""
    address = f"{published.host.url}/resource/{published.ids['stlouis-requests']}.csv?$limit=50000"
    files = str(published.town.state / "public/releases/stlouis-requests/*/1/data.csv")
    query = "SELECT count(*), count(requests), sum(requests), min(id), max(part_name) FROM read_csv(?)"
    with duckdb.connect() as connection:
        try:
            connection.execute("INSTALL httpfs; LOAD httpfs")
        except duckdb.Error:  # without the network it cannot be installed: fsspec carries the address instead
            connection.register_filesystem(Web())
            address = f"web://{address}"
        assert connection.execute(query, [address]).fetchall() == connection.execute(query, [files]).fetchall()


class Web(AbstractFileSystem):  # type: ignore[misc]
    """Addresses as files for DuckDB."""

    protocol = "web"

    def info(self, path: str, **_more: Any) -> dict[str, Any]:
        """Size and kind."""
        return {"name": path, "size": len(self._content(path)), "type": "file"}

    def glob(self, path: str, **_more: Any) -> list[str]:
        """An address stands for itself."""
        return [path]

    def modified(self, _path: str) -> datetime:
        """Nobody asks twice."""
        return datetime.now(UTC)

    def _open(self, path: str, **_more: Any) -> io.BytesIO:
        return io.BytesIO(self._content(path))

    def _content(self, path: str) -> bytes:
        answer = requests.get(path.removeprefix("web://"), timeout=60)
        answer.raise_for_status()
        return answer.content


def test_the_page_says_that_the_data_is_invented(published: Published) -> None:
    """Every page of generated data says so, in the title and beside the data."""
    for name in published.ids.values():
        page = requests.get(f"{published.host.url}/d/{name}", timeout=60)
        assert page.status_code == 200
        assert "[Sample]" in page.text
        view = requests.get(f"{published.host.url}/api/views/{name}.json", timeout=60).json()
        assert view["name"].startswith("[Sample] ")


def test_pushing_again_changes_nothing(published: Published) -> None:
    """After another run and another push every ETag and every time of change is as it was."""
    before = published.marks()
    assert published.run("run") == 0
    assert published.run("push") == 0
    assert published.marks() == before


def test_rollback_reaches_the_portal(published: Published) -> None:
    """A release that is taken back is gone from the portal, the others stay; restored, the same rows return."""
    address = f"{published.host.url}/resource/{published.ids['alicante-water']}.csv?$limit=50000"
    whole = published.released("alicante-water")
    assert published.run("rollback", "alicante-water", "--reason", "A file was missing") == 0
    rest = plain(pd.read_csv(address, dtype=str))
    pd.testing.assert_frame_equal(rest, whole[whole["period"] == "2016-03"].reset_index(drop=True))
    assert published.run("rollback", "alicante-water", "--reason", "A file was missing", "--undo") == 0
    pd.testing.assert_frame_equal(plain(pd.read_csv(address, dtype=str)), whole)


def test_a_portal_that_goes_away_is_completed_later(tmp_path: Path, published: Published) -> None:
    """Where the portal is killed in the middle of a push the run says 6; the next run makes the portal whole."""
    port = free_port()
    with hosted(tmp_path / "host", port) as host, hatched(host.environment) as zygote:
        town = settle(tmp_path / "town", host.url, first="2018-W02", last="2018-W03")
        assert zygote.run(town, "run", "--no-push") == 0, output_of(town).read_text()
        with killed_when_it_holds_something(host):
            assert zygote.run(town, "run") == 6, output_of(town).read_text()
        assert "cannot" in output_of(town).read_text()
        assert "Traceback" not in output_of(town).read_text()
    with hosted(tmp_path / "host", port) as host, hatched(host.environment) as zygote:
        assert requests.get(f"{host.url}/api/views.json", timeout=60).json() == []  # nothing half-done is public
        assert zygote.run(town, "run") == 0, output_of(town).read_text()
        check_whole(host, town)


def check_whole(host: Host, town: Town) -> None:
    """The portal holds one dataset, with every row of the releases."""
    (view,) = requests.get(f"{host.url}/api/views.json", timeout=60).json()
    read = pd.read_csv(f"{host.url}/resource/{view['id']}.csv?$limit=50000", dtype=str)
    released = pd.concat([pd.read_csv(path, dtype=str) for path in sorted(town.releases.glob("*/1/data.csv"))])
    pd.testing.assert_frame_equal(plain(read), plain(released))
    assert len(read) == 24


class killed_when_it_holds_something:  # noqa: N801 - reads as a sentence
    """Kills the portal as soon as a dataset has been begun on it."""

    def __init__(self, host: Host) -> None:
        self._host, self._over = host, Event()
        self._thread = Thread(target=self._watch)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.001):
            if any((self._host.state / "data").glob("*")):
                self._host.process.kill()
                return
