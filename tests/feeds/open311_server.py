"""Service requests as an Open311 GeoReport v2 server gives them out, with the usual `page` and `page_size`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from feed_servers import Asked, FeedServer

REPORTER = {
    "first_name": "Ann",
    "last_name": "Example",
    "email": "ann@example.org",
    "phone": "555-0100",
    "description": "Free text by Ann Example",
    "media_url": "https://town.example/ann-example.jpg",
}
"""What no specification wants in an answer, and some servers send."""
MOST_DAYS = timedelta(days=90)


@dataclass
class Open311Requests:
    """Requests by id, the newest first in an answer."""

    token: str | None = None
    jurisdiction: str | None = None
    most: int = 1000
    """The server's own limit for one answer."""
    paged: bool = True
    """Whether it knows `page`."""
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def put(self, key: str, at: datetime, **values: Any) -> None:
        """Add or change a request that was made at that time."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        times = {"requested_datetime": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "updated_datetime": now}
        self.rows[key] = {"service_request_id": key, "status": "open", **times, **REPORTER, **values}

    def server(self) -> FeedServer:
        return FeedServer(self._answer)

    def _answer(self, asked: Asked) -> tuple[int, Any]:
        query = asked.query
        if self.token is not None and asked.headers.get("X-Api-Key") != self.token:
            return 403, [{"code": 403, "description": "api_key is wrong"}]
        if asked.path != "/open311/v2/requests.json":
            return 404, [{"code": 404, "description": "not found"}]
        if self.jurisdiction is not None and query.get("jurisdiction_id") != self.jurisdiction:
            return 400, [{"code": 400, "description": "jurisdiction_id was not provided"}]
        start, end = (datetime.fromisoformat(query[name]) for name in ("start_date", "end_date"))
        if end - start > MOST_DAYS:
            return 400, [{"code": 400, "description": "the span is more than 90 days"}]
        found = [row for row in self.rows.values() if start <= datetime.fromisoformat(row["requested_datetime"]) <= end]
        found.sort(key=lambda row: row["requested_datetime"], reverse=True)
        size = min(self.most, int(query.get("page_size", "1000")))
        first = (int(query.get("page", "1")) - 1) * size if self.paged else 0
        return 200, found[first : first + size]
