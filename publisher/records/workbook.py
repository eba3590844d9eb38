"""Excel workbooks as plain CSV. They are read in a child with limits: a small file may unpack to any size."""

from __future__ import annotations

import csv
import math
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from publisher import confined
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

Cell = int | float | str | bool | time | date | datetime | timedelta
Fault = Literal["", "sheet", "workbook", "large"]

CELLS = 50_000_000
"""The most cells of a sheet, empty ones between others included."""
SECONDS = 900
_LOOKED_AT = 20
"""So many rows tell whether a sheet is a table."""


def text(path: Path, sheet: str | None, copy: Path, memory: int) -> Path:
    """Make `copy` the plain CSV of one sheet (default: the first) and return it. Raises SourceError if unreadable.

    The sheet must fit into `memory` bytes.
    """
    try:
        fault = confined.run(write, str(path), sheet, str(copy), memory=memory, seconds=SECONDS)
    except confined.StoppedError as error:
        fault = "workbook" if error.reason == "fault" else "large"
    if fault == "sheet":
        raise SourceError(f"{path.name}: has no sheet {sheet!r}: correct feed.sheet")
    if fault == "large":
        raise SourceError(
            f"{path.name}: is too large to be read as a workbook: delete what is outside its table, save the sheet as "
            "CSV, or increase [engine] memory in publisher.toml"
        )
    if fault:
        raise SourceError(f"{path.name}: cannot be read as a workbook: fetch the file again, or correct feed.format")
    if copy.stat().st_size == 0:
        raise SourceError(f"{path.name}: the sheet is empty: choose another with feed.sheet, or fetch the file again")
    return copy


def sheets(path: Path, memory: int) -> tuple[str, ...]:
    """The names of the sheets; none if the file cannot be read as a workbook within `memory` bytes."""
    try:
        return tuple(confined.run(named, str(path), memory=memory, seconds=SECONDS))
    except confined.StoppedError:
        return ()


def first_table(path: Path, memory: int) -> str | None:
    """The first sheet that is a table, if the first one of all is none; None where there is no better one."""
    try:
        found: str | None = confined.run(better, str(path), memory=memory, seconds=SECONDS)
    except confined.StoppedError:
        return None
    return found


def better(path: str) -> str | None:
    """The same, in the child. A workbook with one sheet is not looked at."""
    import python_calamine as calamine

    try:
        book = calamine.CalamineWorkbook.from_path(path)
        names = book.sheet_names if len(book.sheet_names) > 1 else []
        found = next((name for name in names if _is_table(book.get_sheet_by_name(name).iter_rows())), None)
    except (calamine.CalamineError, OSError):
        return None
    return found if names and found != names[0] else None


def _is_table(rows: Iterator[list[Cell]]) -> bool:
    """Whether the first row that is not empty has several names, all texts, and the next ones several cells too."""
    some = list(islice((cells for row in rows if any(cells := [_text(cell) for cell in row])), _LOOKED_AT))
    header = [cell for cell in some[0] if cell] if some else []
    several = [row for row in some[1:] if sum(map(bool, row)) > 1]
    return len(header) > 1 and not any(map(_number, header)) and len(several) > len(some[1:]) / 2


def _number(text: str) -> bool:
    with suppress(ValueError):
        float(text)
        return True
    return False


def named(path: str) -> list[str]:
    """The names of a workbook's sheets."""
    import python_calamine as calamine

    try:
        return list(calamine.CalamineWorkbook.from_path(path).sheet_names)
    except (calamine.CalamineError, OSError):
        return []


def write(path: str, name: str | None, copy: str) -> Fault:
    """Write one sheet as CSV; the only use of python-calamine for records."""
    import python_calamine as calamine

    try:
        book = calamine.CalamineWorkbook.from_path(path)
        sheet = book.get_sheet_by_name(name or book.sheet_names[0])
    except calamine.WorksheetNotFound:
        return "sheet"
    except (calamine.CalamineError, OSError, IndexError):
        return "workbook"
    if sheet.end and math.prod(last + 1 for last in sheet.end) > CELLS:
        return "large"
    with Path(copy).open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer, width = csv.writer(file, lineterminator="\n"), 0
        for row in sheet.iter_rows():
            cells = [_text(cell) for cell in row]
            used = _used(cells)
            width = width or used
            # As wide as the header, so that no row decides how wide the others are. A blank row is no record: one cell
            # far below the table would make a million of them.
            if used:
                writer.writerow(cells[: max(width, used)])
    return ""


def _used(cells: list[str]) -> int:
    """The number of cells up to the last that is not empty."""
    return max((n for n, cell in enumerate(cells, 1) if cell), default=0)


def _text(cell: Cell) -> str:
    """The cell as people would write it: whole numbers without decimals, times as in ISO 8601 with a blank."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    return str(cell).replace("\r\n", "\n").replace("\r", "\n")
