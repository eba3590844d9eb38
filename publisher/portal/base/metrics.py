"""The portal's metrics, and `/metrics`, which shows them in Prometheus text format to those who may see them.

Each worker counts in its own files in the folder PROMETHEUS_MULTIPROC_DIR, which must be set before this module is
imported. The worker that answers `/metrics` adds them all up.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.responses import Response
from starlette.routing import Route

from publisher.portal.base.problems import problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric
    from starlette.requests import Request

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REQUESTS = Counter("portal_requests", "Requests answered, by route, method, and status.", ("route", "method", "status"))
SECONDS = Histogram(
    "portal_request_seconds",
    "Seconds from a request to the last byte of its answer.",
    ("route", "method"),
    buckets=_BUCKETS,
)
BYTES = Counter("portal_response_bytes", "Bytes of response bodies sent, by route.", ("route",))
OPEN = Gauge("portal_open_requests", "Requests that are being answered now.", multiprocess_mode="livesum")
QUERIES = Gauge("portal_running_queries", "Queries that are running now.", multiprocess_mode="livesum")
SESSIONS = Gauge("portal_query_sessions", "Open sessions of the query engine.", multiprocess_mode="livesum")
ROWS = Counter("portal_rows_written", "Rows that clients created, updated, or deleted, by change.", ("change",))
WORKERS = Gauge("portal_workers", "Worker processes.", multiprocess_mode="livesum")


@dataclass(frozen=True, slots=True)
class Gate:
    """Who may see the metrics: anyone with the token; without a token and a proxy, only clients on this machine."""

    token: str | None = None
    local: bool = False

    def opens(self, request: Request) -> bool:
        """Whether this request may see the metrics."""
        if self.token is not None:
            sent = request.headers.get("authorization", "")
            return hmac.compare_digest(sent.encode(), f"Bearer {self.token}".encode())
        forwarded = {"forwarded", "via", "x-forwarded-for", "x-real-ip"} & set(request.headers)
        return self.local and not forwarded and request.client is not None and _is_loopback(request.client.host)


def _is_loopback(host: str) -> bool:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


class _Processes(Collector):
    """CPU, memory, start time, and open files of each process, by process id."""

    def collect(self) -> Iterator[Metric]:
        """One metric family for each fact."""
        families: dict[str, Metric] = {}
        for pid in _living():
            for found in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                family = families.setdefault(found.name, found)
                samples = [sample._replace(labels={"pid": str(pid)}) for sample in found.samples]
                family.samples = samples if family is found else [*family.samples, *samples]
        yield from families.values()


def _living() -> list[int]:
    files = Path(os.environ[FOLDER]).glob("gauge_livesum_*.db")
    return sorted(int(file.stem.rpartition("_")[2]) for file in files)


def wrote(**rows: int) -> None:
    """Count how many rows a write created, updated and deleted."""
    for change, count in rows.items():
        ROWS.labels(change).inc(count)


def show(request: Request) -> Response:
    """GET /metrics. Raises SodaError 404 if the client may not see them, as if they did not exist."""
    gate: Gate = request.app.state.metrics
    if not gate.opens(request):
        raise problem(404, "not_found", "Not found")
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(_Processes())
    headers = {"Cache-Control": "no-store"}
    return Response(generate_latest(registry), headers=headers, media_type="text/plain; version=0.0.4; charset=utf-8")


ROUTES = [Route("/metrics", show)]
