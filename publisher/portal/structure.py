"""What the publisher says of a dataset: its shape, guarantee, licence and limits, and whether it is a stand-in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from publisher.portal.licences import address_of, name_of

if TYPE_CHECKING:
    from publisher.portal.model import Dataset

ADDITIVE = frozenset({"count", "sum"})
"""The kinds of measures whose cells add up to something; distinct units and means do not."""


class Key(BaseModel):
    """A column that tells cells apart; `names` is the column with its values' names for people."""

    name: str
    label: str
    names: str | None = None


class Measure(BaseModel):
    """A number that each cell has, with the columns of its margin and status."""

    name: str
    label: str
    kind: str = "count"
    unit: str = ""
    low: str | None = None
    high: str | None = None
    status: str | None = None

    @property
    def fields(self) -> list[str]:
        """Its columns."""
        return [name for name in (self.name, self.low, self.high, self.status) if name]


class Shape(BaseModel):
    """How the columns of a dataset belong together."""

    time: str
    period: str
    place: str | None = None
    keys: list[Key] = []
    measures: list[Measure] = []

    @property
    def fields(self) -> set[str]:
        """Every column it speaks of."""
        keys = {name for key in self.keys for name in (key.name, key.names) if name}
        return {self.time, self.period} | keys | {name for measure in self.measures for name in measure.fields}


@dataclass(frozen=True, slots=True)
class About:
    """What stands in the metadata under `custom_fields.Publisher`."""

    shape: Shape | None = None
    guarantee: str = ""
    stand_in: bool = False
    contact: str = ""
    limitations: tuple[str, ...] = ()
    licence: str = ""
    licence_address: str = ""


def about(dataset: Dataset) -> About:
    """Read it; a dataset without it, or whose shape does not fit its columns, has no chart."""
    fields = dataset.metadata.get("custom_fields")
    own = fields.get("Publisher") if isinstance(fields, dict) else None
    said = {name: str(value) for name, value in own.items()} if isinstance(own, dict) else {}
    address = said.get("licence_url", "")
    return About(
        _shape(dataset, said.get("shape", "")),
        said.get("guarantee", ""),
        said.get("stand_in", "").lower() == "true",
        said.get("contact", ""),
        tuple(line for line in said.get("limitations", "").splitlines() if line.strip()),
        said.get("licence") or name_of(dataset.license_id),
        address if address.startswith("https://") else address_of(dataset.license_id),
    )


def _shape(dataset: Dataset, text: str) -> Shape | None:
    try:
        shape = Shape.model_validate_json(text)
    except ValidationError:
        return None
    there = {column.field for column in dataset.columns}
    return shape if shape.measures and shape.fields <= there else None
