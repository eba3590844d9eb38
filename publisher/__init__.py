"""Record-level city data in, differentially private open data out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from os import PathLike

    from publisher.analyst.reading import OpenData

__version__ = "0.1.0"


def open_data(path: str | PathLike[str]) -> OpenData:
    """An analyst file, read into pandas: `with open_data("open_data.duckdb") as city: city["requests_weekly"]`."""
    from publisher.analyst.reading import OpenData

    return OpenData(path)


def run_due(folder: str | PathLike[str]) -> list[dict[str, Any]]:
    """Land, release, validate and push what is due in the workspace of that folder; for schedulers in Python.

    Returns the outcomes with the fields of `publisher run --json`. Raises the most serious PublisherError when all else
    is done.
    """
    from publisher.commands.unattended import run_due

    return run_due(folder)
