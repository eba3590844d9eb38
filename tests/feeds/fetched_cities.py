"""The same city behind each kind of server: six records, which a test may add to and change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fetched_town import FetchedTown
from open311_server import Open311Requests
from seeclickfix_server import SeeClickFixIssues
from soda_server import ID, SodaDataset

if TYPE_CHECKING:
    from pathlib import Path

    from feed_servers import FeedServer

TOKEN = "t0k3n-of-the-town"
SECRET = 'token = { env = "TOWN_TOKEN" }'
TODAY = datetime.now(UTC).replace(microsecond=0)
START = TODAY - timedelta(days=20)
COUNT = 6


def _day(number: int) -> datetime:
    return START + timedelta(days=1 + number, minutes=number)


@dataclass
class FetchedCity:
    """A city's records, their server and the workspace that fetches them."""

    kind: str
    records: Any
    server: FeedServer
    town: FetchedTown
    key: str

    def put(self, number: int, status: str) -> None:
        """Add or change a record."""
        if self.kind == "Socrata":
            values = {
                "id": str(number),
                "day": _day(number).date().isoformat(),
                "status": status,
                "caller": "Ann Example",
            }
            self.records.put(str(number), **values)
        elif self.kind == "Open311":
            self.records.put(str(number), _day(number), status=status)
        else:
            self.records.put(number, _day(number), status=status)

    @property
    def expected(self) -> list[tuple[str, str]]:
        """Key and status of every record, sorted."""
        return sorted((str(row[self.key]), row["status"]) for row in self.records.rows.values())

    def lost_and_twice(self) -> tuple[int, int]:
        """How many records are not landed as they are now, and how many are landed more than once."""
        landed = self.town.rows(f'"{self.key}", "status"')
        return len(set(self.expected) - set(landed)), len(landed) - len({key for key, _ in landed})


def city(kind: str, root: Path, server_of: Any) -> FetchedCity:
    """A city of that kind; `server_of` starts a server."""
    records: Any
    if kind == "Socrata":
        columns = {"id": True, "day": True, "status": True, "caller": False}
        records = SodaDataset(tuple(columns), token=TOKEN)
        server = server_of(records)
        feed = f'kind = "socrata"\ndomain = "{server.host}"\ndataset = "{ID}"\npage_size = 2\n{SECRET}'
        town = FetchedTown.made(root, feed, columns, key="id", time="day")
    elif kind == "Open311":
        columns = {"service_request_id": True, "status": True, "requested_datetime": True, "description": False}
        records = Open311Requests(token=TOKEN)
        server = server_of(records)
        feed = (
            f'kind = "open311"\nurl = "{server.url}/open311/v2"\nstart = {START.isoformat()}\npage_size = 2\n{SECRET}'
        )
        town = FetchedTown.made(root, feed, columns, key="service_request_id", time="requested_datetime")
    else:
        columns = {"id": True, "status": True, "created_at": True, "summary": False, "reporter": False}
        records = SeeClickFixIssues(token=TOKEN)
        server = server_of(records)
        feed = f'kind = "seeclickfix"\nurl = "{server.url}/api/v2"\nplace_url = "town"\nstart = {START.isoformat()}\n'
        town = FetchedTown.made(root, f"{feed}page_size = 2\n{SECRET}", columns, key="id", time="created_at")
    made = FetchedCity(kind, records, server, town, next(iter(columns)))
    for number in range(COUNT):
        made.put(number, "open")
    return made
