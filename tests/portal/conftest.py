"""A real portal in its own process, spoken to by real clients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests
from certificates import write_certificate
from portal_process import Running, publish, start, stop
from portal_shipped import publish_shipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def portal(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One portal for all tests that do not end it."""
    running = start(tmp_path_factory.mktemp("portal") / "state")
    yield running
    stop(running)


@dataclass(frozen=True)
class Secure:
    """A portal that speaks HTTPS, and the certificate that its clients must trust."""

    running: Running
    certificate: Path

    @property
    def host(self) -> str:
        """Address and port, as clients that know no other scheme want it."""
        return self.running.address.removeprefix("https://")


@pytest.fixture(scope="session")
def secure(portal: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    """The same datasets over HTTPS, answered by two processes."""
    folder = tmp_path_factory.mktemp("tls")
    chain, key = write_certificate(folder)
    options = ("--tls-certificate", str(chain), "--tls-key", str(key), "--workers", "2")
    running = start(portal.state, *options, name="secure")
    yield Secure(running, chain)
    stop(running)


@pytest.fixture(scope="session")
def shipped(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A portal with every table of the datasets that the repository ships."""
    running = start(tmp_path_factory.mktemp("shipped") / "state", "--public-url", "https://data.example.org")
    publish_shipped(running)
    yield running
    stop(running)


@pytest.fixture(scope="session")
def web(portal: Running) -> Iterator[requests.Session]:
    """A visitor without an account."""
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="session")
def cells() -> list[dict[str, Any]]:
    """The rows of the sample dataset: 3 zones, 40 weeks; every seventh cell is suppressed."""
    rows = []
    for zone, name in enumerate(("Nord", "Süd", 'O"st, West')):
        for week in range(40):
            number = None if (zone * 40 + week) % 7 == 0 else f"{week * 3 + zone}.{zone}5"
            rows.append(
                {
                    "id": f"{zone}-{week:02}",
                    "period": f"2024-W{week + 1:02}",
                    "period_start": f"2024-{week // 4 + 1:02}-{week % 4 * 7 + 1:02}T00:00:00.000",
                    "zone": name,
                    "requests": number,
                    "requests_status": "suppressed" if number is None else "ok",
                    "open": week % 2 == 0,
                    "place": {"type": "Point", "coordinates": [-90.0 + zone / 10, 38.0 + week / 100]},
                }
            )
    return rows


@pytest.fixture(scope="session")
def sample(portal: Running, cells: list[dict[str, Any]]) -> str:
    """The 4x4 of a public dataset that holds the cells; no test changes it."""
    with portal.client() as client:
        return publish(client, "Requests by zone and week", cells)
