"""What the SELECTs of one query share: the values it binds, the datasets it reads, and the aliases in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.portal.base.model import SYSTEM
from publisher.portal.base.sql import quoted
from publisher.portal.soql.relations import Field, Relation
from publisher.portal.soql.terms import MOST_PARTS, Values

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.portal.base.model import PortalDataset


class Shared:
    """The context of a query on `dataset` with the text `text`; `limit` is its number of rows if it has no limit."""

    def __init__(
        self, dataset: PortalDataset, text: str, limit: int | None, others: Callable[[str], PortalDataset]
    ) -> None:
        self.dataset = dataset
        self.text = text
        self.limit = limit
        self.values = Values(parts=MOST_PARTS + len(text), text=text)
        self.joined: dict[str, PortalDataset] = {}
        """The other datasets by 4x4."""
        self._others = others
        self._aliases = 0

    def rows(self) -> Relation:
        """The rows of the query's own dataset."""
        return Relation("rows", _fields(self.dataset), placed=True)

    def dataset_of(self, identifier: str) -> Relation:
        """The rows of a dataset by its 4x4. Raises SodaError."""
        if identifier == self.dataset.id:
            return self.rows()
        if identifier not in self.joined:
            self.joined[identifier] = self._others(identifier)
        return Relation(quoted(identifier), _fields(self.joined[identifier]), placed=True)

    def alias(self) -> str:
        """A new alias for a relation."""
        self._aliases += 1
        return f"r{self._aliases}"


def _fields(dataset: PortalDataset) -> dict[str, Field]:
    return {column.field: Field(column.kind) for column in (*SYSTEM, *dataset.columns)}
