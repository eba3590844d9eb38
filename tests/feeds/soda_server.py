"""A dataset as the SODA API (2.1) gives it out: system fields, `$select`, `$where` by position, `$order`, `$limit`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from feed_servers import Asked, FeedServer

ID = "abcd-1234"
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
_AFTER = re.compile(r":updated_at > '([^']+)'(?: OR \(:updated_at = '\1' AND :id > '([^']+)'\))?")


@dataclass
class SodaDataset:
    """Rows by id; each write gives the row the next second of a clock that only runs forward."""

    columns: tuple[str, ...]
    token: str | None = None
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: int = 0

    def put(self, key: str, later: int = 1, at: datetime | None = None, **values: Any) -> None:
        """Add or change a row; with `later` 0, at the same time as the last one."""
        self.seconds += later
        time = at or BEGINNING + timedelta(seconds=self.seconds)
        self.rows[key] = values | {":id": f"row-{key}", ":updated_at": time.strftime("%Y-%m-%dT%H:%M:%S.000Z")}

    def server(self) -> FeedServer:
        return FeedServer(self._answer)

    def _answer(self, asked: Asked) -> tuple[int, Any]:
        if self.token is not None and asked.headers.get("X-App-Token") != self.token:
            return 403, {"code": "permission_denied", "message": "Invalid app_token specified"}
        if asked.path == f"/api/views/{ID}.json":
            return 200, {"id": ID, "columns": [{"fieldName": name} for name in self.columns]}
        if asked.path != f"/resource/{ID}.json":
            return 404, {"code": "dataset.missing"}
        wanted = asked.query.get("$select", "*").split(",")
        if unknown := [name for name in wanted if name not in (*self.columns, ":id", ":updated_at")]:
            return 400, {"code": "query.soql.no-such-column", "message": f"No such column: {unknown[0]}"}
        rows = sorted(self.rows.values(), key=lambda row: (row[":updated_at"], row[":id"]))
        if where := asked.query.get("$where"):
            found = _AFTER.fullmatch(where)
            if found is None:
                return 400, {"code": "query.compiler.malformed"}
            time, key = found[1], found[2]
            if key is None:
                rows = [row for row in rows if row[":updated_at"] > time]
            else:
                rows = [row for row in rows if (row[":updated_at"], row[":id"]) > (time, key)]
        limit = int(asked.query.get("$limit", "1000"))
        # Null values are absent, as in SODA.
        return 200, [{name: row[name] for name in wanted if row.get(name) is not None} for row in rows[:limit]]
