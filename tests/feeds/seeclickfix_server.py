"""Issues as SeeClickFix gives them out (API v2): windows, pages with `metadata.pagination`, archived ones if asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from feed_servers import Asked, FeedServer

LIMIT = 100
_BY_DEFAULT = "open,acknowledged,closed"


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class SeeClickFixIssues:
    """Issues of the place `town`, by id."""

    token: str | None = None
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)

    def put(self, key: int, at: datetime, changed: datetime | None = None, **values: Any) -> None:
        """Add or change an issue that was created at that time."""
        self.rows[key] = {
            "id": key,
            "status": "Open",
            "summary": "Free text by Ann Example",
            "description": "Free text by Ann Example",
            "created_at": _stamp(at),
            "updated_at": _stamp(changed or datetime.now(UTC)),
            "lat": 43.0481,
            "lng": -76.1474,
            "point": {"type": "Point", "coordinates": [-76.1474, 43.0481]},
            "request_type": {"id": 7, "title": "Pothole", "organization": "Town"},
            "reporter": {"id": 1, "name": "Ann Example", "role": "Registered User"},
            "media": {"image_full": "https://town.example/ann-example.jpg"},
            "html_url": "https://town.example/issues/1-ann-example",
        } | values

    def server(self) -> FeedServer:
        return FeedServer(self._answer)

    def _answer(self, asked: Asked) -> tuple[int, Any]:
        query = asked.query
        if self.token is not None and asked.headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {"errors": {"authentication": ["is wrong"]}}
        if asked.path != "/api/v2/issues" or query.get("place_url") != "town":
            return 404, {"errors": {"place_url": ["is unknown"]}}
        statuses = query.get("status", _BY_DEFAULT).split(",")
        found = [row for row in self.rows.values() if row["status"].lower() in statuses]
        found = [row for row in found if query.get("after", "") <= row["created_at"] < query.get("before", "9")]
        found = [row for row in found if row["updated_at"] >= query.get("updated_at_after", "")]
        found.sort(
            key=lambda row: (row["created_at"], row["id"]), reverse=query.get("sort_direction", "DESC") == "DESC"
        )
        size, page = min(LIMIT, int(query.get("per_page", "20"))), int(query.get("page", "1"))
        pages = {"entries": len(found), "page": page, "per_page": size, "pages": -(-len(found) // size)}
        shown = found[(page - 1) * size : page * size]
        return 200, {"metadata": {"pagination": pages}, "issues": shown, "errors": {}}
