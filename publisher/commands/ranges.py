"""Rows of released tables for people: each measure in one column, as a number with its range, such as 17 (13–22)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from publisher.commands.terminal import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

FOR_MACHINES = {"id", "period_start", "edition"}
"""The columns of every table that say nothing to people."""
MERGED = ("low", "high", "margin_percent", "reason")
"""The columns of a measure that its range, or its status, says too."""


def with_ranges(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The columns and rows for people. Where no column has a range, they are as they were."""
    measures = [name for name in columns if {f"{name}_low", f"{name}_high"} <= set(columns)]
    if not measures or len(set(columns)) < len(columns):
        return list(columns), [tuple(row) for row in rows]
    left_out = FOR_MACHINES | {f"{name}_{part}" for name in measures for part in MERGED}
    names = [name for name in columns if name not in left_out]
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    return names, [tuple(_ranged(row, name) if name in measures else row[name] for name in names) for row in found]


def _ranged(row: dict[str, Any], name: str) -> str:
    low, high = (row[f"{name}_{end}"] for end in ("low", "high"))
    return "-" if row[name] is None else f"{shown(row[name])} ({shown(low)}–{shown(high)})"
