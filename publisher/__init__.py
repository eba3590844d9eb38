"""Record-level city data in, differentially private open data out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from publisher.analyst.reading import OpenData

__version__ = "0.1.0"


def open_data(path: str | PathLike[str]) -> OpenData:
    """An analyst file, read into pandas: `with open_data("open_data.duckdb") as city: city["requests_weekly"]`."""
    from publisher.analyst.reading import OpenData

    return OpenData(path)
