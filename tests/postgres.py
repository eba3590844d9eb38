"""A real PostgreSQL server of the tests' own: made in a temporary folder, stopped by its own process id."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

GUARDED, PASSWORD = "guarded", "s3cret-word"
"""A user whom the server lets in by password alone."""


@dataclass
class Server:
    """A server over one data folder; it listens on a socket in that folder and on one port of this machine."""

    binaries: Path
    folder: Path
    port: int
    settings: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def address(self, name: str, more: str = "") -> str:
        """The address of a schema of its own, made when it is not there: one ledger."""
        schema = "s" + hashlib.sha256(name.encode()).hexdigest()[:16]
        self.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        return f"postgresql+psycopg://postgres@/postgres?host={self.folder}&port={self.port}&options=-csearch_path%3D{schema}{more}"

    def sql(self, *statements: str) -> list[tuple[object, ...]]:
        """What the last statement answers."""
        import psycopg

        with psycopg.connect(host=str(self.folder), port=self.port, user="postgres", autocommit=True) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Starts it and waits until it answers."""
        command = [self.binaries / "postgres", "-D", self.folder / "data", "-k", self.folder, "-p", str(self.port)]
        for setting in ("listen_addresses=127.0.0.1", "max_connections=60", *self.settings):
            command += ["-c", setting]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **unprivileged())
        ready = [self.binaries / "pg_isready", "-h", self.folder, "-p", str(self.port), "-q"]
        for _ in range(600):
            if subprocess.run(ready, check=False).returncode == 0:
                return
            assert self._process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops it: SIGINT in order, SIGQUIT as a crash would, without writing anything more."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=60)
            self._process = None


def unprivileged() -> dict[str, object]:
    """Whom a server runs as: it refuses root."""
    if os.getuid():
        return {}
    known = {each.pw_name for each in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in known else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def find_binaries() -> Path | None:
    """Where initdb and postgres lie: Debian keeps them out of the path."""
    on_path = shutil.which("initdb")
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    found = [*newest, *([Path(on_path)] if on_path else [])]
    return next((each.parent for each in found if (each.parent / "postgres").exists()), None)


@contextmanager
def serving(*settings: str) -> Iterator[Server]:
    """A running server, empty; the test is skipped where there is none to be had."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is missing: sh tests/system-packages.sh")
    folder = Path(tempfile.mkdtemp(prefix="ledger-"))  # a short path: a socket's may not be long
    server = Server(binaries, folder, _free_port(), settings)
    try:
        whose = unprivileged()
        if "user" in whose:
            os.chown(folder, whose["user"], whose["group"])  # type: ignore[arg-type]
        make = [binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(make, check=True, capture_output=True, cwd=folder, **whose)  # type: ignore[call-overload]
        rules = folder / "data" / "pg_hba.conf"
        rules.write_text(f"host all {GUARDED} 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
        server.start()
        server.sql(f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{PASSWORD}'", f"CREATE DATABASE guarded OWNER {GUARDED}")
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
