"""Excel workbooks as CSV; runs in a child with limits, so it imports little."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any


def write_sheet(upload: str, target: str) -> bool:
    """Write the first sheet of a workbook as CSV; False if it is none."""
    import python_calamine as calamine

    try:
        sheet = calamine.CalamineWorkbook.from_path(upload).get_sheet_by_index(0)
    except (calamine.CalamineError, OSError, IndexError):
        return False
    with Path(target).open("w", encoding="utf-8", errors="replace", newline="") as file:
        csv.writer(file).writerows([_cell(cell) for cell in row] for row in sheet.iter_rows())
    return True


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
