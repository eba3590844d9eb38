"""Whatever goes wrong in DuckDB, it is one plain error, and no value stands in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from publisher.definitions.settings import EngineSettings
from publisher.duck import connect, open_file, scratch
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from duckdb import DuckDBPyConnection

CANARY = "canary-5512"
BAD = f"SELECT CAST(CASE WHEN i = 5000 THEN '{CANARY}' ELSE '1' END AS INTEGER) AS v FROM range(10000) t(i)"

WAYS: dict[str, Callable[[DuckDBPyConnection], object]] = {
    "execute": lambda connection: connection.execute(BAD).fetchall(),
    "numpy": lambda connection: connection.execute(BAD).fetchnumpy(),
    "cursor": lambda connection: connection.cursor().execute(BAD).fetchmany(6000),
    "relation": lambda connection: connection.sql(BAD).fetchall(),
    "stream": lambda connection: [batch.num_rows for batch in connection.sql(BAD).to_arrow_reader(1000)],
    "many": lambda connection: connection.executemany(f"SELECT CAST('{CANARY}' AS INTEGER) + ?", [[1]]),
    "syntax": lambda connection: connection.execute(f"SELECT {CANARY} FROM"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("door", ["records", "file", "scratch"])
def test_no_way_of_asking_shows_a_value(tmp_path: Path, way: str, door: str) -> None:
    """Also where nobody has thought of an error: the connection itself says so in words of ours."""
    doors: dict[str, AbstractContextManager[DuckDBPyConnection]] = {
        "records": connect(EngineSettings(memory="100MB", threads=1), tmp_path),
        "file": open_file(tmp_path / "a.duckdb", "the file"),
        "scratch": scratch(),
    }
    with pytest.raises(SourceError) as caught, doors[door] as connection:
        WAYS[way](connection)
    assert CANARY not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_scratch_leaves_nothing_to_the_next() -> None:
    """They share what takes long to open; tables are gone with the one that made them, and no file can be reached."""
    with scratch() as connection:
        connection.execute("CREATE TEMP TABLE there AS SELECT 1")
    with pytest.raises(SourceError), scratch() as connection:
        connection.execute("FROM there")
    with pytest.raises(SourceError), scratch() as connection:
        connection.execute(f"FROM read_text('{__file__}')")


def test_limits_that_duckdb_refuses_are_one_error(tmp_path: Path) -> None:
    """A memory limit that no machine has."""
    with pytest.raises(SourceError), connect(EngineSettings(memory="9" * 30 + "GB"), tmp_path):
        pass


def test_a_damaged_file_is_one_error(tmp_path: Path) -> None:
    """It is named."""
    (tmp_path / "a.duckdb").write_bytes(b"junk" * 1000)
    with (
        pytest.raises(SourceError, match=r"^the file: a file cannot be read"),
        open_file(tmp_path / "a.duckdb", "the file"),
    ):
        pass


def test_errors_of_the_file_system_stay_what_they_are(tmp_path: Path) -> None:
    """They hold no value, and others give them their words."""
    with pytest.raises(FileNotFoundError), connect(EngineSettings(), tmp_path):
        (tmp_path / "gone").read_bytes()


REACHES = (
    "SELECT * FROM read_csv('{other}')",
    "SELECT * FROM '{other}'",
    "SELECT * FROM read_text('{other}')",
    "SELECT * FROM glob('{folder}/*')",
    "COPY t TO '{folder}/stolen.csv'",
    "ATTACH '{folder}/b.duckdb'",
    "EXPORT DATABASE '{folder}/all'",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET memory_limit = '1GB'",
    "CREATE TABLE mine AS SELECT 1",
)


@pytest.mark.parametrize("query", REACHES)
def test_queries_of_people_reach_the_one_file_alone(query: str, tmp_path: Path) -> None:
    """A query over what was released reads no other file, writes none, loads no extension and changes no setting."""
    path, other = tmp_path / "a.duckdb", tmp_path / "other.csv"
    other.write_text("secret\n1\n")
    with open_file(path, "the file") as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SourceError), open_file(path, "the file", read_only=True) as connection:
        connection.execute(query.format(other=other, folder=tmp_path))
    with open_file(path, "the file", read_only=True) as connection:
        assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]
    assert sorted(tmp_path.iterdir()) == before
