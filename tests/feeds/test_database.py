"""Tables of real databases: every row is landed once, whatever happens between two fetches or during one."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pyarrow.parquet
import pytest
from postgres import GUARDED, PASSWORD, serving
from stored_town import documented, example, holds, shown_by, town

from publisher import durable
from publisher.definitions.feed import SqlFeed
from publisher.errors import DefinitionError, SourceError
from publisher.feeds import database, fetch
from publisher.feeds.delivery import Deliveries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fetched_town import FetchedTown
    from postgres import Server

CANARY = "canary-pass-word"
TABLE = "CREATE TABLE {} (id bigint PRIMARY KEY, day date, what text, owner text, updated_at timestamptz)"
CHANGES = 'by = "updated_at"'


@pytest.fixture(scope="module")
def postgres(processes: None) -> Iterator[Server]:
    """One server for all tests of this module; each test has a table of its own."""
    with serving() as server:
        yield server


@pytest.fixture
def table(postgres: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty table of the test's own."""
    name = f"t_{abs(hash(request.node.nodeid))}"
    postgres.sql(TABLE.format(name))
    yield name
    postgres.sql(f"DROP TABLE {name}")


def url(server: Server, user: str = "postgres", name: str = "postgres") -> str:
    return f"postgresql+psycopg://{user}@127.0.0.1:{server.port}/{name}"


def made(root: Path, server: Server, table: str, more: str = CHANGES, **changes: str) -> FetchedTown:
    feed = f'kind = "sql"\nurl = "{url(server)}"\ntable = "{table}"\n{more}'
    return town(root / "town", feed, delivery="changes" if "by =" in more else "snapshot", **changes)


def put(server: Server, table: str, first: int, last: int, at: str = "now()", what: str = "w") -> None:
    server.sql(
        f"INSERT INTO {table} SELECT n, '2026-01-05', '{what}' || n, 'Ann Example', {at} "
        f"FROM generate_series({first}, {last}) AS n"
    )


def there(server: Server, table: str) -> list[tuple[str, str]]:
    return sorted((str(key), str(what)) for key, what in server.sql(f"SELECT id, what FROM {table}"))


def test_rows_with_equal_times_are_landed_once(postgres: Server, table: str, tmp_path: Path) -> None:
    """A row that comes at exactly the time of the newest fetched one is not missed, and no row counts twice."""
    place = made(tmp_path, postgres, table)
    put(postgres, table, 1, 3, at="'2026-01-05 12:00Z'")
    place.land()
    put(postgres, table, 4, 6, at="'2026-01-05 12:00Z'")
    place.land()
    holds(place, there(postgres, table), "rows come with exactly the time of the newest one")


def test_a_row_that_changes_replaces_its_earlier_version(postgres: Server, table: str, tmp_path: Path) -> None:
    """Only what changed is read again: rows older than the overlap are not in the second delivery."""
    place = made(tmp_path, postgres, table)
    put(postgres, table, 1, 3, at="now() - interval '1 day'")
    put(postgres, table, 4, 4)
    place.land()
    postgres.sql(f"UPDATE {table} SET what = 'changed', updated_at = now() WHERE id = 2")
    (file,) = files_of(place)
    assert pyarrow.parquet.read_table(file)["id"].to_pylist() == ["2", "4"]
    place.land()
    holds(place, there(postgres, table), "a row changes between two fetches")


def files_of(place: FetchedTown) -> list[Path]:
    """The files of a fetch that is not landed yet."""
    from publisher.records.batch import basis

    with durable.private_files():
        own = basis(place.source.definition)
        return list(fetch.fetch(place.source, place.private, basis=own, landed=True).paths)


def test_a_transaction_that_commits_late_is_not_missed(postgres: Server, table: str, tmp_path: Path) -> None:
    """Its rows have a time before the newest row that was fetched while it was open, and are in the next fetch."""
    place = made(tmp_path, postgres, table)
    with psycopg.connect(host="127.0.0.1", port=postgres.port, user="postgres") as slow:
        slow.execute(f"INSERT INTO {table} VALUES (1, '2026-01-05', 'late', '', now())")
        put(postgres, table, 2, 3)
        place.land()
        assert place.rows("id") == [("2",), ("3",)]
        slow.commit()
    put(postgres, table, 4, 4)
    place.land()
    holds(place, there(postgres, table), "a transaction that began before a fetch ends after it")


def test_times_of_the_future_and_missing_ones_stop_nothing(postgres: Server, table: str, tmp_path: Path) -> None:
    """A row of the year 2999, one of infinity, one without a time: all are landed, and so is what changes later."""
    place = made(tmp_path, postgres, table)
    put(postgres, table, 1, 1, at="'2999-01-01Z'")
    put(postgres, table, 2, 2, at="'infinity'")
    put(postgres, table, 3, 3, at="NULL")
    put(postgres, table, 4, 4)
    place.land()
    put(postgres, table, 5, 5)
    postgres.sql(f"UPDATE {table} SET what = 'changed' WHERE id = 3")
    place.land()
    holds(place, there(postgres, table), "rows have times in the future, infinite ones or none")


def test_a_clock_that_is_a_day_wrong_ends_the_fetch(
    postgres: Server, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days decide what is released and charged, and no raw file tells when it arrived: a machine whose clock runs ahead
    would spend the budget of days to come."""
    place = made(tmp_path, postgres, table)
    put(postgres, table, 1, 3)
    monkeypatch.setattr(database, "_now", lambda: datetime.now(UTC) + timedelta(days=40))
    with pytest.raises(
        SourceError, match=r"the database postgres on 127.0.0.1: has .* and this machine .*: set the clock"
    ):
        place.land()
    monkeypatch.undo()
    place.land()
    assert len(place.rows("id")) == 3


@pytest.mark.parametrize("kind", ["timestamp", "date"])
def test_times_without_a_zone_and_dates_tell_changes_too(
    kind: str, postgres: Server, table: str, tmp_path: Path
) -> None:
    """What is written now, on whatever clock, is fetched next time."""
    postgres.sql(f"ALTER TABLE {table} ALTER updated_at TYPE {kind}")
    place = made(tmp_path, postgres, table)
    put(postgres, table, 1, 2, at="localtimestamp + interval '13 hours'")
    place.land()
    put(postgres, table, 3, 3, at="localtimestamp - interval '11 hours'")
    place.land()
    assert place.rows("id, what") == there(postgres, table)


def test_a_snapshot_has_everything_and_forgets_what_is_gone(postgres: Server, table: str, tmp_path: Path) -> None:
    """Without `by` every fetch reads all rows: deleted ones are gone. An unchanged table makes no new file."""
    place = made(tmp_path, postgres, table, more="")
    put(postgres, table, 1, 5)
    assert place.land().new == 1
    assert place.land().new == 0
    postgres.sql(f"DELETE FROM {table} WHERE id < 3")
    assert place.land().new == 1
    assert place.rows("id, what") == there(postgres, table)
    put(postgres, table, 1, 2)  # as it was at first: content that is known, and the latest again
    assert place.land().new == 0
    assert place.rows("id, what") == there(postgres, table)


def test_another_table_is_read_from_its_beginning(postgres: Server, table: str, tmp_path: Path) -> None:
    """A database that moved may have rows that are older than how far the fetch had come."""
    place = made(tmp_path, postgres, table)
    put(postgres, table, 1, 2)
    place.land()
    put(postgres, table, 3, 4, at="now() - interval '1 year'")
    place.edit("127.0.0.1", "localhost")
    place.land()
    holds(place, there(postgres, table), "the database moves to another address")


def test_columns_that_are_not_read_are_not_selected(postgres: Server, table: str, tmp_path: Path) -> None:
    """A user who may read only the declared columns can fetch; nothing of the others is in any file."""
    put(postgres, table, 1, 3)
    postgres.sql(f"GRANT SELECT (id, day, what, updated_at) ON {table} TO {GUARDED}")
    postgres.sql(f"ALTER ROLE {GUARDED} PASSWORD '{PASSWORD}'")
    place = made(tmp_path, postgres, table)
    place.edit(url(postgres), url(postgres, GUARDED))
    place.edit(CHANGES, f'{CHANGES}\npassword = {{ file = "{tmp_path}/word" }}')
    (tmp_path / "word").write_text(f"{PASSWORD}\n")
    place.land()
    assert place.rows("id, what") == there(postgres, table)
    assert b"Ann Example" not in place.held()


def test_values_are_exact_texts(postgres: Server, tmp_path: Path) -> None:
    """Numbers keep their digits, times their fractions and zone, and missing values stay missing, whatever the server's
    settings are."""
    postgres.sql(
        "DROP TABLE IF EXISTS kinds",
        "CREATE TABLE kinds (id int, day date, what numeric, r float8, b boolean, z timestamptz, p timestamp, j jsonb)",
        "INSERT INTO kinds VALUES (1, '2026-03-01', 1234567890123456789.10, 0.1, true, '2026-03-01 12:00:00.5-06', "
        """'infinity', '{"a": [1]}'), (2, NULL, 1e-20, NULL, false, NULL, NULL, NULL)""",
        "ALTER DATABASE postgres SET timezone TO 'America/Chicago'",
        "ALTER DATABASE postgres SET datestyle TO 'SQL, DMY'",
    )
    try:
        place = made(tmp_path, postgres, "public.kinds", more="", columns="id day what r b z p j")
        (file,) = files_of(place)
    finally:
        postgres.sql("ALTER DATABASE postgres RESET ALL")
    first, second = pyarrow.parquet.read_table(file).to_pylist()
    assert list(first.values()) == [
        "1", "2026-03-01", "1234567890123456789.10", "0.1", "true", "2026-03-01 18:00:00.5+00", "infinity",
        '{"a": [1]}',
    ]  # fmt: skip
    assert list(second.values()) == ["2", None, "0.00000000000000000001", None, "false", None, None, None]


def test_a_connection_that_is_ended_loses_nothing(
    postgres: Server, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended by the server while rows are on their way: one message, nothing kept of it; the next fetch has all."""
    monkeypatch.setattr(database, "ROWS", 500)
    place = made(tmp_path, postgres, table)
    put(postgres, table, 1, 20_000)
    during(monkeypatch, lambda: postgres.sql(ENDED))
    with pytest.raises(SourceError, match=r"the connection was lost while the rows were read.*Try again$"):
        place.land()
    assert place.raw_files() == []
    place.land()
    holds(place, there(postgres, table), "the connection is ended while rows are read")


ENDED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'publisher'"


def during(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen once, after the first batch of rows was read."""
    batches, done = database._Database.batches, []

    def slowly(self: database._Database, select: object) -> Iterator[object]:
        for batch in batches(self, select):  # type: ignore[arg-type]
            yield batch
            if not done:
                done.append(happens())

    monkeypatch.setattr(database._Database, "batches", slowly)


def test_a_server_that_falls_silent_is_left(
    postgres: Server, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stops in the middle, with its line open, is waited for no longer than the limit."""
    monkeypatch.setattr(database, "ROWS", 500)
    monkeypatch.setattr(database, "SILENCE", 2)
    place = made(tmp_path, postgres, table)
    put(postgres, table, 1, 20_000)
    pids = "SELECT pid FROM pg_stat_activity WHERE application_name = 'publisher'"
    stopped: list[int] = []

    def stop() -> None:
        stopped.extend(int(str(pid)) for (pid,) in postgres.sql(pids))
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)

    during(monkeypatch, stop)
    try:
        with pytest.raises(SourceError, match="the connection was lost"):
            place.land()
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    place.land()
    holds(place, there(postgres, table), "the server stops in the middle and says nothing more")


def test_a_kill_while_rows_are_read_loses_nothing(postgres: Server, table: str, tmp_path: Path) -> None:
    """A process that is killed in the middle leaves nothing that counts, and the next fetch has every row once."""
    place = made(tmp_path, postgres, table)
    put(postgres, table, 1, 200_000)
    command = [Path(sys.executable).with_name("publisher"), "land"]
    with subprocess.Popen(command, cwd=place.root, stderr=subprocess.DEVNULL) as process:
        while not list(place.fetched.glob(".staging-*/*/files/*")):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert Deliveries(place.private, "requests").pending() == ()
    place.land()
    holds(place, there(postgres, table), "the fetch is killed while rows are read")
    assert list(place.fetched.glob(".*")) == []


def test_a_wrong_password_is_shown_nowhere(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One message that names the database; the password is in no message, output or file, as itself or in a URL."""
    place = made(tmp_path, postgres, "anything")
    place.edit(f'url = "{url(postgres)}"', 'secret_url = { env = "TOWN_DATABASE" }')
    monkeypatch.setenv("TOWN_DATABASE", f"postgresql+psycopg://{GUARDED}:{CANARY}@127.0.0.1:{postgres.port}/guarded")
    with pytest.raises(SourceError, match=r"guarded on 127.0.0.1 cannot be reached: the user or the password") as whole:
        place.land()
    place.edit('secret_url = { env = "TOWN_DATABASE" }', f'url = "{url(postgres, GUARDED, "guarded")}"')
    place.edit(CHANGES, f'{CHANGES}\npassword = {{ env = "TOWN_PASSWORD" }}')
    monkeypatch.setenv("TOWN_PASSWORD", CANARY)
    with pytest.raises(SourceError, match="cannot be reached") as apart:
        place.land()
    said = "".join([str(whole.value), str(apart.value), *capfd.readouterr()])
    assert CANARY not in said
    assert CANARY.encode() not in place.held()


def test_the_command_line_says_it_once(postgres: Server, tmp_path: Path) -> None:
    """`publisher land` ends with exit code 5 and one line, without the password."""
    place = made(tmp_path, postgres, "anything")
    place.edit(url(postgres), url(postgres, GUARDED, "guarded"))
    place.edit(CHANGES, f'{CHANGES}\npassword = {{ env = "TOWN_PASSWORD" }}')
    command = [Path(sys.executable).with_name("publisher"), "land"]
    done = subprocess.run(
        command,
        cwd=place.root,
        env={**os.environ, "TOWN_PASSWORD": CANARY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5
    assert len(done.stderr.strip().splitlines()) == 1
    assert "the user or the password is wrong" in done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert CANARY.encode() not in place.held()


def test_a_secret_that_is_no_url_is_not_quoted(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password with an @ would be taken for a part of the host, and shown: the URL is refused first."""
    place = made(tmp_path, postgres, "anything")
    place.edit(f'url = "{url(postgres)}"', 'secret_url = { env = "TOWN_DATABASE" }')
    for wrong in (f"postgresql+psycopg://reader:x@{CANARY}@127.0.0.1/a", CANARY, f"postgresql://reader:x/{CANARY}@h/a"):
        monkeypatch.setenv("TOWN_DATABASE", wrong)
        with pytest.raises(SourceError, match="is not a database URL") as refused:
            place.land()
        assert CANARY not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://reader:canary@db.example.gov/permits",
        "postgresql+psycopg://reader:can/ary@db.example.gov/permits",
        "postgresql+psycopg://reader@db.example.gov/permits?password=canary",
        "postgresql+psycopg://reader@db.example.gov/permits?sslpassword=canary",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3DODBC%3BPWD%3Dcanary",
    ],
)
def test_a_password_in_a_definition_is_refused(address: str, postgres: Server, tmp_path: Path) -> None:
    """The refusal does not show the URL."""
    place = made(tmp_path, postgres, "anything")
    place.edit(url(postgres), address)
    with pytest.raises(DefinitionError, match="must be a database URL without a password") as refused:
        place.land()
    assert "canary" not in str(refused.value)


def test_a_server_that_never_answers_is_left(postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the call and says nothing: one message after the limit."""
    monkeypatch.setattr(database, "CONNECT", 2)
    place = made(tmp_path, postgres, "anything")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        place.edit(str(postgres.port), str(silent.getsockname()[1]))
        began = time.monotonic()
        with pytest.raises(SourceError, match=r"requests\.toml: feed\.url: the database postgres .* cannot be reached"):
            place.land()
    assert time.monotonic() - began < 30


def test_names_that_are_not_there_are_answered_with_those_that_are(
    postgres: Server, table: str, tmp_path: Path
) -> None:
    """A missing table lists the tables, a missing column the columns, and a column that is no time says so."""
    place = made(tmp_path, postgres, table)
    place.edit(f'table = "{table}"', 'table = "permit"')
    with pytest.raises(SourceError, match=rf"feed\.table: there is no table permit; .* has: .*{table}"):
        place.land()
    place.edit('table = "permit"', 'table = "elsewhere.permit"')
    with pytest.raises(SourceError, match="the schema elsewhere has: none"):
        place.land()
    place.edit('table = "elsewhere.permit"', f'table = "{table}"')
    place.edit(CHANGES, 'by = "changed"')
    with pytest.raises(SourceError, match="has no column changed; it has: id, day, what, owner, updated_at"):
        place.land()
    place.edit('by = "changed"', 'by = "what"')
    with pytest.raises(SourceError, match=r"feed\.by: what is TEXT, not a date or time"):
        place.land()
    assert not place.fetched.exists() or place.raw_files() == []


def test_check_asks_the_database(postgres: Server, table: str, tmp_path: Path) -> None:
    """What a landing would find wrong with the names is found without reading a row."""
    place = made(tmp_path, postgres, table)
    assert fetch.check(place.source) == ()
    postgres.sql(f"ALTER TABLE {table} RENAME what TO why")
    with pytest.raises(SourceError, match="has no column what"):
        fetch.check(place.source)


def test_a_view_is_read_as_a_table_is(postgres: Server, table: str, tmp_path: Path) -> None:
    """A view can show fewer rows and columns than its table, and be all that the user may read."""
    put(postgres, table, 1, 4)
    postgres.sql(f"CREATE VIEW v{table} AS SELECT id, day, what, updated_at FROM {table} WHERE id > 2")
    try:
        place = made(tmp_path, postgres, f"public.v{table}")
        place.land()
        assert place.rows("id, what") == [("3", "w3"), ("4", "w4")]
    finally:
        postgres.sql(f"DROP VIEW v{table}")


def test_a_look_at_a_source_reads_a_few_rows(postgres: Server, table: str, tmp_path: Path) -> None:
    """A preview of a large table reads no more than it shows, and remembers nothing."""
    place = made(tmp_path, postgres, table)
    put(postgres, table, 1, 100)
    (tmp_path / "look").mkdir()
    (file,) = fetch.sample(place.source, tmp_path / "look", 10)
    assert pyarrow.parquet.read_table(file).num_rows == 10
    assert not place.fetched.exists()


def test_what_the_user_may_not_read_is_said(postgres: Server, table: str, tmp_path: Path) -> None:
    """A table that is not granted to the user has a message of its own."""
    place = made(tmp_path, postgres, table)
    place.edit(url(postgres), url(postgres, GUARDED))
    place.edit(CHANGES, f'{CHANGES}\npassword = {{ file = "{tmp_path}/word" }}')
    (tmp_path / "word").write_text(PASSWORD)
    with pytest.raises(SourceError, match="grant SELECT"):
        place.land()


def test_an_empty_table_is_no_snapshot(postgres: Server, table: str, tmp_path: Path) -> None:
    """A table that is empty for a moment, while it is filled again, does not replace what was landed."""
    place = made(tmp_path, postgres, table, more="")
    put(postgres, table, 1, 3)
    place.land()
    postgres.sql(f"DELETE FROM {table}")
    with pytest.raises(SourceError, match="has no rows"):
        place.land()
    assert len(place.rows("id")) == 3


def test_the_deliveries_of_a_table_follow_from_by(postgres: Server, table: str, tmp_path: Path) -> None:
    """Changes need the column that tells them; without it each fetch has everything."""
    place = made(tmp_path, postgres, table)
    place.edit(CHANGES, "")
    with pytest.raises(DefinitionError, match=r'sql needs delivery = "snapshot"'):
        place.land()


def sqlite(root: Path) -> Path:
    path = root / "town.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE permits (id INTEGER, day DATE, what NUMERIC(10,2), owner TEXT)")
        connection.execute("INSERT INTO permits VALUES (1, '2026-01-05', 10.5, 'Ann Example'), (2, NULL, NULL, '')")
    return path


def test_a_sqlite_file_is_read_and_never_written(tmp_path: Path) -> None:
    """Its rows are landed as texts; a file that is not there is not made."""
    path = sqlite(tmp_path)
    place = town(tmp_path / "town", f'kind = "sql"\nurl = "sqlite:///{path}"\ntable = "permits"', delivery="snapshot")
    before = path.read_bytes()
    place.land()
    assert place.rows("id, what, day") == [("1", "10.5", "2026-01-05")]
    assert path.read_bytes() == before
    place.edit("town.db", "other.db")
    with pytest.raises(SourceError, match=r"feed\.url: there is no SQLite file"):
        place.land()
    assert not (tmp_path / "other.db").exists()


def test_values_that_do_not_fit_are_not_quoted(tmp_path: Path) -> None:
    """Another text in a column of dates is landed as it is; bytes that are no text are refused, and not shown."""
    path = sqlite(tmp_path)
    place = town(tmp_path / "town", f'kind = "sql"\nurl = "sqlite:///{path}"\ntable = "permits"', delivery="snapshot")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE permits SET day = 'canary', what = '1e400' WHERE id = 2")
    (file,) = files_of(place)
    assert pyarrow.parquet.read_table(file)["day"].to_pylist() == ["2026-01-05", "canary"]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE permits SET what = CAST(x'63616e617279ff' AS TEXT) WHERE id = 2")
    with pytest.raises(SourceError, match="the rows could not be read") as refused:
        place.land()
    assert "canary" not in str(refused.value)


def test_values_of_other_drivers_are_exact_texts() -> None:
    """Whatever a driver makes of a value, its text is exact and does not depend on the machine."""
    from datetime import UTC, date, datetime, timedelta, timezone
    from decimal import Decimal

    west = datetime(2026, 3, 1, 12, 0, 0, 500_000, timezone(timedelta(hours=-6)))
    values = [
        None,
        "a",
        True,
        7,
        0.1,
        Decimal("1E-7"),
        Decimal("10.50"),
        date(2026, 3, 1),
        west,
        b"\x01\xff",
        {"b": [1]},
    ]
    assert [database.text(value) for value in values] == [
        None, "a", "true", "7", "0.1", "0.0000001", "10.50", "2026-03-01", "2026-03-01 18:00:00.500000+00:00",
        r"\x01ff", '{"b": [1]}',
    ]  # fmt: skip
    assert database.text(datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None)) == "2026-03-01 00:00:00"


def test_a_missing_driver_is_named(tmp_path: Path) -> None:
    """A database whose driver is not installed, or that no one knows, is one message."""
    place = town(tmp_path / "town", 'kind = "sql"\nurl = "mysql+pymysql://a@b/c"\ntable = "t"', delivery="snapshot")
    with pytest.raises(DefinitionError, match=r"the driver for mysql\+pymysql is missing"):
        place.land()


def test_one_table_is_one_place() -> None:
    """Sources of the same table share people, however the database is called in each."""
    one = SqlFeed(kind="sql", url="postgresql+psycopg://a@db/x", table="public.Permits")
    other = SqlFeed(kind="sql", url="postgresql+psycopg://b@10.0.0.1/x", table="permits")
    assert one.place == other.place


def test_the_page_has_every_fault() -> None:
    """The table of databases has the faults that these tests show, and no others."""
    assert sorted(documented("the database")) == sorted(shown_by("test_database.py"))


def test_the_example_of_the_page_works(postgres: Server, tmp_path: Path) -> None:
    """The complete source of docs/feeds.md lands a table, without its private column."""
    postgres.sql(
        "DROP TABLE IF EXISTS permits",
        "CREATE TABLE permits (permit_number text, issued_on date, type text, owner text, updated_at timestamptz)",
        "INSERT INTO permits VALUES ('B-1', '2026-03-01', 'garage', 'Ann Example', now())",
    )
    (tmp_path / "word").write_text(PASSWORD)
    place = example("sql", tmp_path / "town", url=f'"{url(postgres)}"', password=f'{{ file = "{tmp_path}/word" }}')
    place.land()
    assert place.rows("permit_number, issued_on, type") == [("B-1", "2026-03-01", "garage")]
    assert b"Ann Example" not in place.held()
