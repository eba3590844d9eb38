"""Servers for the tests of feeds; each ends with its test."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fetched_cities
import pytest

from publisher.push.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from feed_servers import FeedServer
    from fetched_cities import FetchedCity


@pytest.fixture
def server_of() -> Iterator[Callable[[Any], FeedServer]]:
    """Starts the server of records."""
    with ExitStack() as stack:
        yield lambda records: stack.enter_context(records.server().running())


@pytest.fixture
def city_of(
    tmp_path: Path, server_of: Callable[[Any], FeedServer], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], FetchedCity]:
    """Makes a city of one kind; its token is in the environment."""
    monkeypatch.setenv("TOWN_TOKEN", fetched_cities.TOKEN)
    return lambda kind: fetched_cities.city(kind, tmp_path / "town", server_of)


@dataclass(frozen=True)
class RunningPortal:
    """The embedded portal as its own process."""

    url: str
    writer: Path

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    @property
    def account(self) -> dict[str, str]:
        account: dict[str, str] = json.loads(self.writer.read_text())
        return account

    def target(self) -> Target:
        return Target(self.url, False, **self.account, timeout=30)


@pytest.fixture(scope="session")
def portal(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    folder = tmp_path_factory.mktemp("portal")
    ready, state = folder / "ready", folder / "state"
    command = [sys.executable, "-m", "publisher.portal", str(state), "--port", "0", "--ready-file", str(ready)]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            deadline = time.monotonic() + 60
            while not ready.exists():
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, "the portal did not start"
                time.sleep(0.02)
            yield RunningPortal(ready.read_text().strip(), state / "writer.json")
        finally:
            process.terminate()
            process.wait(15)
