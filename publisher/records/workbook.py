"""Excel workbooks as plain CSV; the only way to python-calamine."""

from __future__ import annotations

import csv
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Cell = int | float | str | bool | time | date | datetime | timedelta


def text(path: Path, sheet: str | None, copy: Path) -> Path:
    """Make `copy` the plain CSV of one sheet (default: the first) and return it. Raises SourceError if unreadable."""
    rows = _rows(path, sheet)
    with copy.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([_text(cell) for cell in row] for row in rows)
    if copy.stat().st_size == 0:
        raise SourceError(f"{path.name}: the sheet is empty: choose another with feed.sheet, or fetch the file again")
    return copy


def _rows(path: Path, sheet: str | None) -> Iterator[list[Cell]]:
    import python_calamine as calamine

    try:
        book = calamine.CalamineWorkbook.from_path(path)
        name = sheet or book.sheet_names[0]
        rows: Iterator[list[Cell]] = book.get_sheet_by_name(name).iter_rows()
    except calamine.WorksheetNotFound:
        raise SourceError(f"{path.name}: has no sheet {sheet!r}: correct feed.sheet") from None
    except (calamine.CalamineError, OSError, IndexError):
        raise SourceError(
            f"{path.name}: cannot be read as a workbook: fetch the file again, or correct feed.format"
        ) from None
    return rows


def _text(cell: Cell) -> str:
    """The cell as people would write it: whole numbers without decimals, times as in ISO 8601 with a blank."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    return str(cell).replace("\r\n", "\n").replace("\r", "\n")
