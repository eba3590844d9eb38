"""What only a ledger on a server can suffer: crashes, other people's settings, refused passwords, no driver."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from ledger_examples import REQUEST, fill, request, says
from postgres import GUARDED, PASSWORD, serving

from publisher.definitions.settings import Settings
from publisher.definitions.toml import Origin, build
from publisher.errors import BudgetError, DefinitionError, PublisherError, SourceError
from publisher.privacy.ledger import open_ledger

if TYPE_CHECKING:
    from pathlib import Path

    from postgres import Server

SETTINGS = {"organization": "o", "contact": "c", "license": "l", "jurisdiction": "j"}


@pytest.mark.usefixtures("processes")
def test_a_charge_survives_a_crash_of_the_server(tmp_path: Path) -> None:
    """Everything charged before the server was ended without a checkpoint is there afterwards, and nothing else."""
    with serving() as server:
        ledger = open_ledger(tmp_path, server=server.address("crash"))
        fill(ledger)
        before = says(ledger)
        server.stop(signal.SIGQUIT)
        with pytest.raises(SourceError, match=r"^the ledger in the PostgreSQL database postgres on .* cannot be read"):
            ledger.charge(request(9))
        with pytest.raises(SourceError):
            ledger.verify([])  # a server out of reach is no damage
        server.start()
        assert says(ledger) == before
        assert ledger.verify([]) == []
        assert ledger.charge(request(9, source="village")).sequence == 6
        ledger.close()


@pytest.mark.usefixtures("processes")
def test_a_server_that_forgets_is_refused() -> None:
    """With fsync = off a power cut would take charges back: no ledger is kept there."""
    with serving("fsync=off") as server:
        address = server.address("forgetful")
        with pytest.raises(SourceError, match="fsync = off"):
            open_ledger(server.folder, server=address)


def test_commits_wait_for_the_disk_whatever_the_server_prefers(postgres: Server, tmp_path: Path) -> None:
    """A role whose commits are asynchronous and whose transactions are serializable by default changes nothing."""
    try:
        postgres.sql(
            "ALTER ROLE postgres SET synchronous_commit TO off",
            "ALTER ROLE postgres SET default_transaction_isolation TO serializable",
        )
        ledger = open_ledger(tmp_path, server=postgres.address("preferences"))
        with ledger._database.writing() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
            assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"
        with ledger._database.reading() as connection:
            assert connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"
            assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "repeatable read"
        ledger.close()
    finally:
        postgres.sql("ALTER ROLE postgres RESET ALL")


def test_an_ended_connection_is_made_anew(postgres: Server, tmp_path: Path) -> None:
    """A server that cut the line between two charges is asked again, without anybody's help."""
    ledger = open_ledger(tmp_path, server=postgres.address("cut"))
    ledger.charge(REQUEST)
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    assert ledger.charge(request(1)).sequence == 2
    ledger.close()


def test_another_ledger_in_its_place_is_found(postgres: Server, tmp_path: Path) -> None:
    """A folder that has charged elsewhere, in a file or on a server, does not begin anew: its checkpoints remember."""
    for first, then in ((None, postgres.address("other")), (postgres.address("one"), None)):
        folder = tmp_path / ("file" if first is None else "server")
        folder.mkdir()
        ledger = open_ledger(folder, server=first)
        ledger.charge(REQUEST)
        ledger.close()
        ledger = open_ledger(folder, server=then)
        with pytest.raises(BudgetError, match="is missing entry 1"):
            ledger.charge(request(1))
        assert ledger.entries() == []
        ledger.close()


def test_a_password_opens_and_never_shows(postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may come from the environment or the address; a wrong one is one message without it."""
    monkeypatch.delenv("PGPASSWORD", raising=False)
    at = f"127.0.0.1:{postgres.port}/guarded"
    open_ledger(tmp_path, server=f"postgresql+psycopg://{GUARDED}:{PASSWORD}@{at}").close()
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    open_ledger(tmp_path, server=f"postgresql+psycopg://{GUARDED}@{at}").close()
    for wrong in (f"{GUARDED}:wr0ng-w%40rd@{at}", f"{GUARDED}@{at}?password=wr0ng-w%40rd"):
        with pytest.raises(SourceError, match='password authentication failed for user "guarded"') as caught:
            open_ledger(tmp_path, server=f"postgresql+psycopg://{wrong}")
        _is_quiet(caught.value, "wr0ng")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://user:s3@cret@127.0.0.1/ledger",
        "postgresql+psycopg://user:s3/cret@127.0.0.1/ledger",
        "postgresql+psycopg://user:s3:cret@127.0.0.1/ledger",
        "postgresql+psycopg://user:s3#cret@127.0.0.1/ledger",
        "postgresql+psycopg://127.0.0.1",
        "postgresql://user:s3cret@127.0.0.1/ledger",
        "mysql://user:s3cret@127.0.0.1/ledger",
        "s3cret",
    ],
)
def test_an_address_that_is_none_is_one_message(tmp_path: Path, address: str) -> None:
    """It says what an address looks like and shows no part of what was given: there may be a password in it."""
    with pytest.raises(DefinitionError, match=r"postgresql\+psycopg://user@host:5432/database") as caught:
        open_ledger(tmp_path, server=address)
    _is_quiet(caught.value, "s3")


def test_a_server_that_is_down_is_one_message(tmp_path: Path, postgres: Server) -> None:
    """Which server, and that it does not answer; exit code 5."""
    nobody = f"postgresql+psycopg://user:s3cret@127.0.0.1:{_closed_port(postgres)}/ledger"
    with pytest.raises(
        SourceError, match=r"the PostgreSQL database ledger on 127\.0\.0\.1 .*[Cc]onnection refused"
    ) as e:
        open_ledger(tmp_path, server=nobody)
    _is_quiet(e.value, "s3cret")
    assert e.value.exit_code == 5


@pytest.mark.usefixtures("processes")
def test_without_its_driver_the_extra_is_named(tmp_path: Path) -> None:
    """Who has not installed psycopg is told how, in one message."""
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from pathlib import Path; from publisher.errors import DefinitionError\n"
        "from publisher.privacy.ledger import open_ledger\n"
        "try: open_ledger(Path(sys.argv[1]), server='postgresql+psycopg://u@127.0.0.1/x')\n"
        "except DefinitionError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert "pip install 'publisher[postgres]'" in ran.stdout
    assert len(ran.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql+psycopg://clerk:s3cret@host/ledger", "must not contain a password"),
        ("postgresql+psycopg://clerk@host/ledger?password=s3cret", "must not contain a password"),
        ("postgresql+psycopg://clerk:s3@cret@host/ledger", "is not of the form"),
        ("sqlite:///s3cret", "is not of the form"),
    ],
)
def test_the_settings_hold_no_password(address: str, words: str) -> None:
    """publisher.toml is shared: an address with a password is refused, by file and key, without showing it."""
    with pytest.raises(DefinitionError, match=rf"^publisher\.toml:\d+: ledger: {words}") as caught:
        build(Settings, SETTINGS | {"ledger": address}, Origin("publisher.toml", {}))
    _is_quiet(caught.value, "s3")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://clerk@db.example.gov/ledger",
        "postgresql+psycopg://clerk@db.example.gov:5433/ledger?sslmode=verify-full",
        "postgresql+psycopg://clerk@[::1]:5432/ledger",
        "postgresql+psycopg:///ledger?host=/var/run/postgresql",
    ],
)
def test_the_settings_name_a_server(address: str) -> None:
    """A host with or without port, a socket, and what the driver wants to know."""
    assert build(Settings, SETTINGS | {"ledger": address}, Origin("publisher.toml", {})).ledger == address


def _is_quiet(error: PublisherError, secret: str) -> None:
    """One line, and no password in it or in what led to it."""
    shown: BaseException | None = error
    while shown is not None:
        assert secret not in str(shown)
        shown = None if shown.__suppress_context__ else shown.__context__
    assert len(str(error).splitlines()) == 1


def _closed_port(postgres: Server) -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    assert port != postgres.port
    return port
