"""A question that a reader builds from lists: columns, filters, groups and a sum, with its SoQL and its address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from starlette.routing import Route

from publisher.portal.answers.access import base_url, findable
from publisher.portal.base.kinds import GEOMETRIES, Kind
from publisher.portal.base.messages import message
from publisher.portal.base.problems import SodaError
from publisher.portal.contract import ADDITIVE, about
from publisher.portal.discovery.families import family_of
from publisher.portal.pages.aggregates import Total, totals
from publisher.portal.pages.dataset import shown_dataset
from publisher.portal.pages.filters import Filters, filters_of
from publisher.portal.pages.headline import asking
from publisher.portal.pages.once import once
from publisher.portal.pages.preview import preview
from publisher.portal.pages.rendering import in_every_language, missing, render
from publisher.portal.pages.trend import beside, table_with

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from publisher.portal.base.model import PortalColumn, PortalDataset
    from publisher.portal.contract import ShapeMeasure, TableShape
    from publisher.portal.pages.preview import Preview
    from publisher.portal.pages.trend import Ask, OtherTable

ROWS = 100
"""How many rows of an answer one page shows."""
NUMBERS = {
    "sum": message("Sum of %(column)s"),
    "avg": message("Average of %(column)s"),
    "min": message("Smallest %(column)s"),
    "max": message("Largest %(column)s"),
}
"""What can be asked of a number of a dataset that says nothing about noise."""
COUNT = message("Number of rows")


@dataclass(frozen=True, slots=True)
class Offered:
    """A value that a form offers; `form` is its text, with the place of the column's label, or empty for the label."""

    value: str
    label: str
    chosen: bool
    form: str = ""


@dataclass(frozen=True, slots=True)
class Grouped:
    """The answer to a question with a number: its columns' labels, and each row's texts with its number."""

    labels: list[str]
    number: Offered
    measure: ShapeMeasure | None
    """The measure that is added up; None where nothing is known about noise."""
    rows: list[tuple[list[str], Total]]
    later: bool
    by_number: bool
    """Whether the rows were chosen by their numbers, so that no sum has a range."""

    @property
    def ranged(self) -> bool:
        """Whether any sum has a range."""
        return any(total.low is not None for _, total in self.rows)

    @property
    def left_out(self) -> bool:
        """Whether any sum leaves suppressed cells out."""
        return any(total.left_out for _, total in self.rows)


@dataclass(frozen=True, slots=True)
class Question:
    """The form with what was chosen, the question in SoQL, and its answer."""

    columns: list[Offered]
    numbers: list[Offered]
    largest: bool
    """Whether the largest numbers come first."""
    filters: Filters
    soql: str
    listed: Preview | None
    grouped: Grouped | None
    overlapping: bool = False
    """Whether rows of several periods would have been added up that already add up periods."""
    held: OtherTable | None = None
    """A table that has these sums as it was measured."""

    def address(self, resource: str, form: str) -> str:
        """The address of the answer in this format."""
        return f"{resource}.{form}?{urlencode({'$query': self.soql}, quote_via=quote)}"


def page(request: Request) -> Response:
    """GET /d/{4x4}/ask: `by` the columns, `number` what to add up, `order`, `page`, and filters as for the rows."""
    dataset = shown_dataset(request)
    if dataset is None or dataset.blob:
        return missing(request)
    wanted = dict(request.query_params)
    try:
        found = _Asked(request, dataset, wanted).question()
    except SodaError:  # a filter's value does not fit its column
        found = _Asked(request, dataset, {}).question()
    resource = f"{base_url(request)}/resource/{dataset.id}"
    known = about(dataset)
    shown: dict[str, Any] = {
        "dataset": dataset,
        "about": known,
        "question": found,
        "resource": resource,
        "wanted": wanted,
    }
    return render(request, "ask.html", sureness=[], **shown)


class _Asked:
    """One request for the page."""

    def __init__(self, request: Request, dataset: PortalDataset, wanted: dict[str, str]) -> None:
        self.request = request
        self.dataset = dataset
        self.known = about(dataset)
        self.shape: TableShape | None = self.known.shape
        self.ask: Ask = asking(request, dataset)
        self.wanted = wanted
        self.by = request.query_params.getlist("by") if wanted else []
        self.page = int(wanted["page"]) if wanted.get("page", "").isdecimal() and len(wanted["page"]) < 6 else 0

    def question(self) -> Question:
        """Answer it."""
        filters = filters_of(self.dataset, self.shape, self.ask, self.wanted)
        columns, numbers, largest = self._columns(), self._numbers(), self.wanted.get("order") == "largest"
        number = next((each for each in numbers if each.chosen), None)
        if number is None:
            listed = self._listed([each.value for each in columns if each.chosen])
            names = ", ".join(f"`{column.field}`" for column in listed.columns)
            soql = _soql(names or "*", filters.where, "", listed.order)
            return Question(columns, numbers, largest, filters, soql, listed, None)
        measure = (
            next((each for each in self.shape.measures if each.name == number.value), None) if self.shape else None
        )
        groups = [c for c in columns if c.chosen and self._groups(c.value)]
        if self.known.over_time and not self._one_period(groups, filters):
            return Question(columns, numbers, largest, filters, "", None, None, overlapping=True)
        return self._with_number(Question(columns, numbers, largest, filters, "", None, None), number, measure, groups)

    def _with_number(
        self, form: Question, number: Offered, measure: ShapeMeasure | None, groups: Sequence[Offered]
    ) -> Question:
        fields = list(dict.fromkeys(field for each in groups for field in self._fields(each.value)))
        select, value = (_sums(measure), "total") if measure else (f"{_function(number.value)} AS value", "value")
        order = f"{value} DESC NULLS LAST" if form.largest else ", ".join(f"`{field}`" for field in fields)
        clauses = {name: text for name, text in (("$where", form.filters.where), ("$order", order)) if text}
        clauses |= {"$limit": str(ROWS + 1), "$offset": str(ROWS * self.page)}
        rows = self._totals(measure, select, fields, clauses, ranged=not form.filters.by_number)
        shown = [([self._text(row, each.value) for each in groups], total) for row, total in rows[:ROWS]]
        labels, later = [each.label for each in groups], len(rows) > ROWS
        grouped = Grouped(labels, number, measure, shown, later, form.filters.by_number)
        names = ", ".join(f"`{field}`" for field in fields)
        soql = _soql(", ".join(part for part in (names, select) if part), form.filters.where, names, order)
        held = self._held(measure, groups, form.filters) if measure else None
        return Question(form.columns, form.numbers, form.largest, form.filters, soql, None, grouped, held=held)

    def _totals(
        self, measure: ShapeMeasure | None, select: str, fields: list[str], clauses: dict[str, str], *, ranged: bool
    ) -> list[tuple[dict[str, Any], Total]]:
        if measure is None:
            group = ", ".join(f"`{field}`" for field in fields)
            clauses |= {"$select": ", ".join(part for part in (group, select) if part)}
            found = self.ask(clauses | ({"$group": group} if group else {}))
            return [(row, Total.of(row["value"])) for row in found]
        added = totals(measure, self.ask, fields, clauses)
        return added if ranged else [(row, total.unranged) for row, total in added]

    def _listed(self, chosen: list[str]) -> Preview:
        """The rows with the chosen columns; a measure comes with its margin and status."""
        fields = {field for name in chosen for field in self._fields(name)}
        columns = [column for column in self.dataset.columns if column.field in fields]
        wanted = self.wanted | {"size": str(ROWS), "rows": str(self.page)}
        return preview(self.dataset, self.shape, self.ask, wanted, columns)

    def _columns(self) -> list[Offered]:
        if self.shape is None:
            plain = [column for column in self.dataset.columns if column.kind not in (Kind.LOCATION, *GEOMETRIES)]
            return [Offered(each.field, each.name, each.field in self.by) for each in plain]
        period = self._column(self.shape.period)
        offered = [(period.field, period.name)] if period else []
        offered += [(each.name, each.label) for each in self.shape.keys]
        offered += [(each.name, each.label) for each in self.shape.measures]
        return [Offered(name, label, name in self.by) for name, label in offered]

    def _numbers(self) -> list[Offered]:
        wanted = self.wanted.get("number", "")
        if self.shape is not None:
            additive = [each for each in self.shape.measures if each.kind in ADDITIVE]
            return [Offered(each.name, each.label, each.name == wanted, NUMBERS["sum"]) for each in additive]
        offered = [Offered("count(*)", "", wanted == "count(*)", COUNT)]
        for column in self.dataset.columns:
            if column.kind is Kind.NUMBER:
                for function, form in NUMBERS.items():
                    value = f"{function}({column.field})"
                    offered.append(Offered(value, column.name, value == wanted, form))
        return offered

    def _column(self, field: str) -> PortalColumn | None:
        return self.dataset.column(field)

    def _groups(self, name: str) -> bool:
        """Whether rows can be grouped by this column: numbers with noise make no groups."""
        if self.shape is not None:
            return all(name != each.name for each in self.shape.measures)
        column = self._column(name)
        return column is not None and column.kind is not Kind.NUMBER

    def _fields(self, name: str) -> list[str]:
        """The columns that go together: a key with its names, a measure with its margin and status."""
        key = next((each for each in self.shape.keys if each.name == name), None) if self.shape else None
        if key is not None:
            return list(dict.fromkeys((key.names or key.name, key.name)))
        measure = next((each for each in self.shape.measures if each.name == name), None) if self.shape else None
        return measure.fields if measure is not None else [name]

    def _text(self, row: dict[str, Any], name: str) -> str:
        value = row[self._fields(name)[0]]
        return "" if value is None else str(value)

    def _one_period(self, groups: Sequence[Offered], filters: Filters) -> bool:
        """Whether each sum is of one period."""
        if self.shape is None or any(each.value == self.shape.period for each in groups):
            return True
        return any(each.where and each.options for each in filters.values if each.column.field == self.shape.period)

    def _held(self, measure: ShapeMeasure, groups: Sequence[Offered], filters: Filters) -> OtherTable | None:
        """The table that was measured by these groups, if the reader adds up whole keys of each period."""
        shape = self.shape
        if shape is None or filters.where:
            return None
        names = [each.value for each in groups]
        if shape.period not in names:
            return None
        family = family_of(self.dataset, findable(self.request))
        tables = beside(self.dataset, family, lambda other: asking(self.request, other))
        return table_with(measure, [name for name in names if name != shape.period], tables)


def _sums(measure: ShapeMeasure) -> str:
    return f"sum(`{measure.name}`) AS total, count(*) AS cells, count(`{measure.name}`) AS known"


def _function(value: str) -> str:
    function, _, column = value.partition("(")
    return value if column == "*)" else f"{function}(`{column.rstrip(')')}`)"


def _soql(select: str, where: str, group: str, order: str) -> str:
    parts = (("SELECT", select), ("WHERE", where), ("GROUP BY", group), ("ORDER BY", order), ("LIMIT", "50000"))
    return " ".join(f"{word} {text}" for word, text in parts if text)


ROUTES = in_every_language([Route("/d/{id}/ask", once(page))])
