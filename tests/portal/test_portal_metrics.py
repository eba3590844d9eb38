"""/metrics: what is counted, over several workers, and who may see it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil
import pytest
import requests
from portal_process import publish, start, stop
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from portal_process import Running

TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def counted(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two workers whose metrics need a token."""
    folder = tmp_path_factory.mktemp("metrics")
    (folder / "token").write_text(TOKEN + "\n")
    running = start(folder / "state", "--workers", "2", "--metrics-token-file", str(folder / "token"))
    yield running
    assert stop(running) == 0


def samples(running: Running, token: str = TOKEN) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What a Prometheus server would read."""
    answer = requests.get(f"{running.address}/metrics", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def of(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0.0)


def test_requests_are_counted_over_all_workers(counted: Running, cells: list[dict[str, Any]]) -> None:
    """Requests by the route's pattern, method and status, their time and bytes: whichever worker answered."""
    with counted.client() as client:
        identifier = publish(client, "Counted", cells)
    before = samples(counted)
    sizes = [
        len(requests.get(f"{counted.address}/resource/{identifier}.csv", headers=PLAIN, timeout=30).content)
        for _ in range(20)
    ]
    requests.get(f"{counted.address}/resource/{identifier}.json?$select=nothing", timeout=30)
    requests.request("BREW", f"{counted.address}/no/such/place", timeout=30)
    after = samples(counted)
    route = {"route": "/resource/{name}"}

    def grew(name: str, **labels: str) -> float:
        return of(after, name, **labels) - of(before, name, **labels)

    assert grew("portal_requests_total", method="GET", status="200", **route) == 20
    assert grew("portal_requests_total", method="GET", status="400", **route) == 1
    assert grew("portal_request_seconds_count", method="GET", **route) == 21
    assert grew("portal_request_seconds_bucket", method="GET", le="+Inf", **route) == 21
    assert 0 < grew("portal_request_seconds_sum", method="GET", **route) < 60
    assert grew("portal_response_bytes_total", **route) >= sum(sizes)
    assert grew("portal_requests_total", method="other", status="404", route="none") == 1


PLAIN = {"Accept-Encoding": "identity"}


def test_written_rows_are_counted(counted: Running, cells: list[dict[str, Any]]) -> None:
    """Rows created, updated and deleted, as the counters of the answers say."""
    before = samples(counted)
    with counted.client() as client:
        identifier = publish(client, "Written", cells[:10])
        client.upsert(identifier, [*cells[8:10], {"id": cells[0]["id"], ":deleted": True}])
    after = samples(counted)
    grown = {
        change: of(after, "portal_rows_written_total", change=change)
        - of(before, "portal_rows_written_total", change=change)
        for change in ("created", "updated", "deleted")
    }
    assert grown == {"created": 10, "updated": 2, "deleted": 1}


def test_processes_and_sessions_are_gauged(counted: Running) -> None:
    """Two workers, what each process uses, the open query sessions, and nothing running but the scrape itself."""
    found = samples(counted)
    assert of(found, "portal_workers") == 2
    assert of(found, "portal_open_requests") == 1
    assert of(found, "portal_running_queries") == 0
    assert of(found, "portal_query_sessions") >= 1
    supervisor = psutil.Process(counted.process.pid)
    for process in (supervisor, *supervisor.children()):
        assert of(found, "process_resident_memory_bytes", pid=str(process.pid)) > 1e6


@pytest.mark.usefixtures("processes")
def test_a_dead_worker_is_no_longer_gauged(tmp_path: Path) -> None:
    """Its counts stay, its gauges go."""
    running = start(tmp_path / "state", "--workers", "2")
    try:
        for _ in range(10):
            requests.get(f"{running.address}/health", timeout=10)
        supervisor = psutil.Process(running.process.pid)
        killed = supervisor.children()[0]
        killed.kill()
        deadline = time.monotonic() + 10
        while killed.is_running() or of(found := samples(running), "portal_workers") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert of(found, "portal_requests_total", route="/health", method="GET", status="200") == 10
        assert of(found, "process_open_fds", pid=str(killed.pid)) == 0
        assert of(found, "portal_workers") == 2
    finally:
        assert stop(running) == 0


def test_without_the_token_there_are_no_metrics(counted: Running) -> None:
    """404 without it, with another, and with a login, though the visitor is on this machine."""
    for headers in ({}, {"Authorization": "Bearer another"}, {"Authorization": TOKEN}):
        answer = requests.get(f"{counted.address}/metrics", headers=headers, timeout=10)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert requests.get(f"{counted.address}/metrics", auth=counted.login, timeout=10).status_code == 404


def test_without_a_token_this_machine_alone_sees_them(portal: Running, tmp_path: Path) -> None:
    """From the loopback address yes; through a proxy on it, or where the portal is served behind one, no."""
    assert requests.get(f"{portal.address}/metrics", timeout=10).status_code == 200
    for header in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
        answer = requests.get(f"{portal.address}/metrics", headers={header: "127.0.0.1"}, timeout=10)
        assert answer.status_code == 404
    behind = start(tmp_path / "state", "--public-url", "https://data.example.gov")
    try:
        assert requests.get(f"{behind.address}/metrics", timeout=10).status_code == 404
    finally:
        assert stop(behind) == 0
