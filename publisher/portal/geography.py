"""Geography in a room: functions over GeoJSON texts that shapely carries out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def register(room: duckdb.DuckDBPyConnection) -> None:
    """Make the functions known to a room, before it is closed to everything outside."""
