"""A workspace whose one source is fetched from a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from publisher.pipeline.landed import land_source
from publisher.records.reader import raw
from publisher.workspace import SourceFile, Workspace, find_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.records.landing import Landing

SETTINGS = """organization = "Town"
contact = "data@town.example"
license = "CC0 1.0"
jurisdiction = "None"

[engine]
memory = "500MB"
threads = 2
"""
SOURCE = """title = "Requests"
description = "Requests of an invented town."
purpose = "Tests."
population = "town"
timezone = "UTC"
retention_months = 12
delivery = "changes"
record_id = ["{key}"]

[privacy]
unit = "record"
window = "day"
budget = 1

[feed]
{feed}
requests_per_second = 50
attempts = 2
timeout = 1

[event]
column = "{time}"
formats = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%z"]
zone = "UTC"

[columns]
"""
DATASET = """title = "Requests"
description = "How many requests the town got."
source = "requests"
period = "day"
first = "{first}"
loss = {{ rho = 0.1 }}
measures = [{{ name = "requests", title = "Requests", kind = "count", unit = "requests" }}]
suppression = {{ measure = "requests", threshold = 1 }}
portal = {{ category = "Tests" }}
"""


@dataclass(frozen=True)
class FetchedTown:
    """A workspace in a folder."""

    root: Path

    @staticmethod
    def made(root: Path, feed: str, columns: dict[str, bool], *, key: str, time: str, more: str = "") -> FetchedTown:
        """Write the definitions; `columns` says of each whether it is read."""
        (root / "pipelines").mkdir(parents=True)
        (root / "publisher.toml").write_text(SETTINGS)
        lines = [
            f'"{name}" = {{ class = "public", statute = "s. 1"{"" if read else ", read = false"} }}'
            for name, read in columns.items()
        ]
        text = SOURCE.format(feed=feed, key=key, time=time) + "\n".join(lines) + f"\n{more}"
        (root / "pipelines" / "requests.toml").write_text(text)
        (root / "pipelines" / "requests.sql").write_text("SELECT 1 AS one FROM raw\n")
        return FetchedTown(root)

    def count(self, first: str) -> None:
        """Define a dataset: how many requests there were each day, from this day on."""
        (self.root / "datasets").mkdir()
        (self.root / "datasets" / "requests.toml").write_text(DATASET.format(first=first))

    @property
    def path(self) -> Path:
        return self.root / "pipelines" / "requests.toml"

    @property
    def workspace(self) -> Workspace:
        return find_workspace(self.root)

    @property
    def source(self) -> SourceFile:
        return self.workspace.source("requests")

    @property
    def private(self) -> Path:
        return self.root / "state" / "private"

    @property
    def fetched(self) -> Path:
        return self.private / "fetched" / "requests"

    def edit(self, old: str, new: str) -> None:
        text = self.path.read_text()
        assert old in text
        self.path.write_text(text.replace(old, new))

    def land(self, said: list[str] | None = None) -> Landing:
        workspace = self.workspace
        return land_source(workspace, workspace.source("requests"), None if said is None else said.append)

    def rows(self, columns: str) -> list[Any]:
        """What a release would read, sorted."""
        from datetime import date

        read = raw(self.source, self.private, date(1, 1, 1), date(9999, 12, 31))
        return duckdb.connect().execute(f"SELECT {columns} FROM ({read.sql}) ORDER BY ALL", read.parameters).fetchall()

    def raw_files(self) -> list[Path]:
        """The fetched files that are still there."""
        return sorted(path for path in self.fetched.rglob("files/**/*") if path.is_file())

    def held(self) -> bytes:
        """Every byte of every file of the state folder, and every name."""
        paths = sorted((self.root / "state").rglob("*"))
        return b"\n".join(
            [str(path).encode() + b"\n" + (path.read_bytes() if path.is_file() else b"") for path in paths]
        )
