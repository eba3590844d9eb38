"""A small invented city: raw files of any kind in, landed records out, all on real files."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb

from publisher.definitions.settings import EngineSettings
from publisher.definitions.source import Source
from publisher.definitions.toml import Origin, build
from publisher.records.landing import Landing, land
from publisher.records.reader import LandedSelect, raw
from publisher.workspace import SourceFile

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.copies import LandedCopies

ENGINE = EngineSettings(memory="500MB", threads=2)
TODAY = date(2026, 1, 2)

DEFINITION = """
title = "Requests"
description = "Requests of an invented city."
purpose = "Tests."
population = "town"
timezone = "America/Chicago"
retention_months = 12
record_id = ["id"]

[privacy]
unit = "record"
window = "day"
budget = 1

[feed]
path = "raw"

[event]
column = "when"
formats = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d"]

[columns]
id = { class = "public", statute = "none" }
who = { class = "private", statute = "none", identifier = true }
when = { class = "public", statute = "none" }
what = { class = "public", statute = "none" }
secret = { class = "private", statute = "none", read = false }
"""
REPEATS: dict[str, Any] = {"accept": {"repeated": 1, "reason": "files of few people repeat their records"}}
"""A feed in which files may repeat earlier records."""
HEADER = "id,who,when,what,secret"


def definition(text: str = DEFINITION, **changes: Any) -> SourceFile:
    """The source of a TOML text with `changes`: feed, event and privacy are completed, all else is replaced.

    Its name is `requests` unless said.
    """
    name = changes.pop("name", "requests")
    values: dict[str, Any] = tomllib.loads(text, parse_float=Decimal)
    for key, change in changes.items():
        values[key] = {**values[key], **change} if key in ("feed", "event", "privacy") else change
    return SourceFile(
        name, build(Source, _frozen(values), Origin(f"{name}.toml", {})), "", {}, Origin(f"{name}.toml", {})
    )


def _frozen(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, float):
        return Decimal(str(value))
    return {key: _frozen(item) for key, item in value.items()} if isinstance(value, dict) else value


@dataclass
class City:
    """Folders of one test; `source` may be changed between landings."""

    root: Path
    source: SourceFile = field(default_factory=definition)
    copies: LandedCopies | None = None
    """The store that its records are landed in."""

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def private(self) -> Path:
        return self.root / "state" / "private"

    def put(self, content: str | bytes, name: str = "raw/a.csv") -> Path:
        path = self.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def land(self, received: date = TODAY, engine: EngineSettings = ENGINE) -> Landing:
        return land(
            self.source, data=self.data, private=self.private, engine=engine, received=received, copies=self.copies
        )

    def raw(self, start: date = date(1, 1, 1), end: date = date(9999, 12, 31)) -> LandedSelect:
        return self.brought(raw(self.source, self.private, start, end, copies=self.copies))

    def brought(self, read: LandedSelect) -> LandedSelect:
        """What can be read here."""
        return read if self.copies is None else replace(read, sql=self.copies.brought(read.sql))

    def rows(self, columns: str = "*", start: date = date(1, 1, 1), end: date = date(9999, 12, 31)) -> list[Any]:
        """The landed rows of a period, sorted."""
        read = self.raw(start, end)
        query = f"SELECT {columns} FROM ({read.sql}) ORDER BY ALL"
        return duckdb.connect().execute(query, read.parameters).fetchall()

    def landed(self, columns: str = "*") -> list[Any]:
        """Every row of every landed file, also those without an event time, sorted."""
        files = str(self.private / "landed" / "*" / "*" / "*" / "*.parquet")
        return duckdb.connect().execute(f"SELECT {columns} FROM '{files}' ORDER BY ALL").fetchall()

    def report(self, landing: Landing) -> list[dict[str, Any]]:
        assert landing.report is not None
        batches: list[dict[str, Any]] = json.loads(landing.report.read_text())["batches"]
        return batches

    def tree(self) -> dict[str, bytes]:
        """Every file of the state folder with its content."""
        files = (path for path in sorted((self.root / "state").rglob("*")) if path.is_file())
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}
