"""Statistics of each column's published values: how many there are, how many differ, and from where to where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from publisher.portal.base.kinds import GEOMETRIES, TIMES, Kind
from publisher.portal.contract import about
from publisher.portal.pages.dataset import shown_dataset
from publisher.portal.pages.headline import asking
from publisher.portal.pages.once import once
from publisher.portal.pages.preview import TableCell, table_cell
from publisher.portal.pages.rendering import in_every_language, missing, render

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from publisher.portal.base.model import PortalColumn, PortalDataset
    from publisher.portal.contract import TableShape
    from publisher.portal.pages.trend import Ask


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column: its rows with a value, its different values, and the ends of numbers and dates."""

    column: PortalColumn
    filled: int
    empty: int
    different: int
    least: TableCell | None
    """With its margin, if it is a measure."""
    most: TableCell | None


def page(request: Request) -> Response:
    """GET /d/{4x4}/columns."""
    dataset = shown_dataset(request)
    if dataset is None or dataset.blob or not dataset.rows:
        return missing(request)
    known = about(dataset)
    profiles = _profiles(dataset, known.shape, asking(request, dataset))
    measured = {each.name for each in known.shape.measures} if known.shape else set()
    return render(
        request, "profile.html", sureness=[], dataset=dataset, about=known, profiles=profiles, measured=measured
    )


def _profiles(dataset: PortalDataset, shape: TableShape | None, ask: Ask) -> list[ColumnProfile]:
    columns = [column for column in dataset.columns if column.kind not in (Kind.LOCATION, *GEOMETRIES)]
    counts = ", ".join(
        f"count(`{each.field}`) AS filled_{n}, count(DISTINCT `{each.field}`) AS different_{n}"
        for n, each in enumerate(columns)
    )
    (row,) = ask({"$select": counts})
    return [_profile(row, n, column, dataset, shape, ask) for n, column in enumerate(columns)]


def _profile(
    row: dict[str, Any], number: int, column: PortalColumn, dataset: PortalDataset, shape: TableShape | None, ask: Ask
) -> ColumnProfile:
    filled, different = int(row[f"filled_{number}"]), int(row[f"different_{number}"])
    ordered = filled and (column.kind is Kind.NUMBER or column.kind in TIMES)
    least, most = (_end(column, shape, ask, way) if ordered else None for way in ("ASC", "DESC"))
    return ColumnProfile(column, filled, dataset.rows - filled, different, least, most)


def _end(column: PortalColumn, shape: TableShape | None, ask: Ask, way: str) -> TableCell:
    """The smallest or the largest value, with its margin if it has one."""
    measure = next((each for each in shape.measures if each.name == column.field), None) if shape else None
    fields = ", ".join(f"`{field}`" for field in (measure.fields if measure else [column.field]))
    where = f"`{column.field}` IS NOT NULL"
    order = f"`{column.field}` {way}"
    (row,) = ask({"$select": fields, "$where": where, "$order": order, "$limit": "1"})
    return table_cell(row, column, shape)


ROUTES = in_every_language([Route("/d/{id}/columns", once(page))])
