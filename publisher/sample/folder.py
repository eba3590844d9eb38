"""The folder of a sample: what is in it, what marks it as generated, what it may replace."""

from __future__ import annotations

import json
import shutil
from datetime import date
from typing import TYPE_CHECKING

from publisher import __version__
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MARK = "SAMPLE.json"
FOLDERS = (
    *("alicante-water", "seattle-boundaries", "seattle-permits", "stlouis-311", "stlouis-boundaries"),
    *("syracuse-boundaries", "syracuse-permits"),
)
START = date(2018, 1, 1)
DAYS = 42
"""Six weeks: January 2018 and the following days in which its requests are closed."""


def write_sample(
    folder: Path,
    *,
    rows: int = 200_000,
    seed: int = 20180101,
    start: date = START,
    months: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Write generated raw feeds into `folder`: `rows` requests over six weeks from `start`, or over calendar months.

    The same arguments give the same bytes. An older sample in the folder is replaced. Raises DefinitionError
    when the folder has anything else in it.
    """
    if rows < 1000:
        raise DefinitionError(f"a sample needs at least 1,000 requests, not {rows}")
    say = progress or (lambda _: None)
    try:
        _clear(folder)
        _mark(folder, rows, seed)
        _write(folder, rows, seed, start, _days(start, months), say)
    except OSError as error:
        raise DefinitionError(f"{folder}: cannot be written: {error.strerror}") from None


def _write(folder: Path, rows: int, seed: int, start: date, days: int, say: Callable[[str], None]) -> None:
    from publisher.sample.meters import write_meters
    from publisher.sample.permits import write_permits
    from publisher.sample.requests import write_requests
    from publisher.sample.seattle import write_seattle_permits

    say("writing permits")
    write_permits(folder, rows, seed)
    write_seattle_permits(folder, rows, seed)
    say("writing meter readings")
    write_meters(folder, rows, seed)
    write_requests(folder, rows, start, days, seed, say)


def _mark(folder: Path, rows: int, seed: int) -> None:
    mark = {"generated_by": "publisher", "version": __version__, "rows": rows, "seed": seed}
    (folder / MARK).write_text(json.dumps(mark, indent=2) + "\n", encoding="utf-8")


def _clear(folder: Path) -> None:
    """Make the folder, without an older sample. The mark comes first, so that an unfinished sample can be replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) and not (folder / MARK).is_file():
        raise DefinitionError(f"{folder} has files that are not a sample: choose an empty folder")
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)


def _days(start: date, months: int | None) -> int:
    if months is None:
        return DAYS
    after = start.month - 1 + months
    return (date(start.year + after // 12, after % 12 + 1, 1) - start).days
