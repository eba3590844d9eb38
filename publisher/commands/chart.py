"""The plan as a picture: margins of error by the value of a cell, on two logarithmic axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from publisher.errors import DefinitionError, SourceError
from publisher.grades import CAUTION, LIMITS, OK, UNRELIABLE

if TYPE_CHECKING:
    from publisher.definitions.dataset import Measure
    from publisher.planning.expected import Cells
    from publisher.planning.forecast import Forecast, Plan

TEMPLATES = Path(__file__).parent / "templates"
WIDTH, LEFT, TOP = 1040, 84, 78
PLOT_WIDTH, PLOT_HEIGHT = 620, 300
STRIP, FOOT = 26, 104
BINS = 124
DASHES = ("", "9 4", "3 3", "12 4 3 4", "1 4")
"""Lines differ by more than their color."""


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class MarginLine:
    """One table: its margin as a path, and its published cells as bars if there are any."""

    name: str
    words: str
    dash: str
    path: str
    bars: str | None
    cells: str


@dataclass(frozen=True)
class Panel:
    """One measure."""

    top: float
    title: str
    lines: tuple[MarginLine, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    limits: tuple[Tick, ...]
    """Where a margin becomes too wide for a grade, from the narrowest."""
    threshold: float | None
    threshold_label: str
    strips: int
    axis: str


@dataclass(frozen=True)
class Scale:
    """A logarithmic axis from 10 ** low to 10 ** high over `length` pixels."""

    low: int
    high: int
    length: int

    def at(self, value: float) -> float:
        """The distance of a value from the low end, in pixels; values beyond an end are put on it."""
        if value <= 0:
            return 0.0
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return round(self.length * min(max(part, 0.0), 1.0), 1)

    @property
    def decades(self) -> range:
        """The exponents that get a rule."""
        return range(self.low, self.high + 1, 1 + (self.high - self.low) // 9)


def picture(plan: Plan) -> str:
    """The plan as SVG: a panel for each measure that is shown, for light and dark pages. Raises DefinitionError."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    panels: list[Panel] = []
    top = TOP
    for measure in plan.dataset.definition.measured:
        if measure.shown:
            panels.append(_panel(plan, measure, top))
            top += PLOT_HEIGHT + panels[-1].strips + FOOT
    if not panels:
        raise DefinitionError(f"{plan.dataset.name} shows no count or sum: there is nothing to draw")
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("margins.svg").render(
        title=f"{plan.dataset.name}: margin of error by the value of a cell",
        description=_description(plan),
        panels=panels,
        width=WIDTH,
        height=top + 6,
        left=LEFT,
        plot_width=PLOT_WIDTH,
        plot_height=PLOT_HEIGHT,
        note=_note(plan),
    )


def write_picture(plan: Plan, path: Path) -> None:
    """Write the picture. Raises SourceError when the file cannot be written."""
    svg = picture(plan)
    try:
        path.write_text(svg + "\n", encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{path}: cannot be written: {error.strerror}") from None


def _panel(plan: Plan, measure: Measure, top: int) -> Panel:
    definition = plan.dataset.definition
    tables = [table for table in plan.tables if table.measure == measure.name]
    cells = {level: each for (level, name), each in plan.known.cells.items() if name == measure.name}
    threshold = definition.suppression.threshold if measure.name == definition.suppression.measure else 0
    across, up = _axes(tables, cells, threshold)
    return Panel(
        top=top,
        title=measure.title,
        lines=tuple(_line(table, number, cells, across, up) for number, table in enumerate(tables)),
        across=tuple(Tick(across.at(10.0**n), _number(n)) for n in across.decades),
        up=tuple(Tick(PLOT_HEIGHT - up.at(10.0**n), f"{100 * 10.0**n:,.10g}%") for n in up.decades),
        limits=tuple(
            Tick(round(PLOT_HEIGHT - up.at(limit / 100), 1), f"above {limit}%: {status}")
            for limit, status in zip(LIMITS, (CAUTION, UNRELIABLE), strict=True)
        ),
        threshold=across.at(threshold) if threshold else None,
        threshold_label=f"below {threshold:,}: suppressed",
        strips=STRIP * len(tables) + 4 if cells else 0,
        axis=f"value of a cell, {measure.unit}",
    )


def _axes(tables: list[Forecast], cells: dict[str, Cells], threshold: int) -> tuple[Scale, Scale]:
    """Whole decades that hold the threshold, every published cell and where each margin becomes small."""
    widths = [max(table.half_width, 1e-9) for table in tables]
    largest = max([100 * max(widths), *(float(each.values.max()) for each in cells.values() if each.values.size)])
    low = math.floor(math.log10(min([min(widths), *([threshold] if threshold else [])])))
    across = Scale(low, max(math.ceil(math.log10(largest)), low + 1), PLOT_WIDTH)
    least = max(min(widths) / 10.0**across.high, 1e-4)
    return across, Scale(min(math.floor(math.log10(least)), -1), 1, PLOT_HEIGHT)


def _line(table: Forecast, number: int, cells: dict[str, Cells], across: Scale, up: Scale) -> MarginLine:
    known = cells.get(table.level)
    return MarginLine(
        name=table.level or table.dataset,
        words=f"{table.margin}, ok from {math.ceil(table.ok_from):,}",
        dash=DASHES[number % len(DASHES)],
        path=_path(max(table.half_width, 1e-9), across, up),
        bars=_bars(known, across) if known is not None else None,
        cells=_counted(known) if known is not None else "",
    )


def _path(width: float, across: Scale, up: Scale) -> str:
    """Margin by value: a straight line on these axes, cut where it leaves them."""
    first = max(10.0**across.low, width / 10.0**up.high)
    last = min(10.0**across.high, width / 10.0**up.low)
    ends = [(across.at(value), round(PLOT_HEIGHT - up.at(width / value), 1)) for value in (first, last)]
    return "M" + "L".join(f"{x} {y}" for x, y in ends)


def _bars(cells: Cells, across: Scale) -> str:
    """Published cells by their value, as bars up from zero; withheld values have no bar."""
    import numpy as np

    values = np.maximum(cells.values[~cells.withheld], 10.0**across.low)
    counts, _ = np.histogram(np.log10(values), bins=BINS, range=(across.low, across.high))
    step, most = PLOT_WIDTH / BINS, max(int(counts.max()), 1)
    return "".join(
        f"M{n * step:g} 0v{-max(2.0, (STRIP - 6) * count / most):.1f}h{step:g}V0Z"
        for n, count in enumerate(counts.tolist())
        if count
    )


def _counted(cells: Cells) -> str:
    withheld = int(cells.withheld.sum())
    shown = cells.values.size - withheld
    words = f"{shown:,} cell{'' if shown == 1 else 's'}"
    return f"{words}, {withheld:,} suppressed" if withheld else words


def _number(power: int) -> str:
    if power < 6:
        return f"{10.0**power:,.10g}"
    names = {6: "million", 9: "billion", 12: "trillion"}
    base = power - power % 3
    return f"{10 ** (power - base)} {names.get(base, f'× 10^{base}')}"


def _description(plan: Plan) -> str:
    titles = {measure.name: measure for measure in plan.dataset.definition.measured}
    return " ".join(
        f"{table.table}, {titles[table.measure].title}: {table.margin}; "
        f"values from {math.ceil(table.ok_from):,} on are {OK}."
        for table in plan.tables
        if titles[table.measure].shown
    )


def _note(plan: Plan) -> str:
    bars = f" Bars: cells {plan.known.origin}." if plan.known.cells else ""
    return f"Each line is one table. The margin is of the noise alone, before suppression.{bars}"
