"""What the catalog knows about a dataset."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from publisher.portal.base.kinds import GEOMETRIES, VIEW_NAMES, Kind


@dataclass(frozen=True, slots=True)
class PortalColumn:
    """One column of a dataset; `field` is its name in the API, `name` the one that people read."""

    id: int
    field: str
    name: str
    kind: Kind
    position: int
    description: str = ""

    @property
    def type_name(self) -> str:
        """The type's name in a view (`dataTypeName`)."""
        return VIEW_NAMES.get(self.kind, self.kind.value)


SITE = "Open data portal"
"""The publisher named in public if a dataset names none; account names are never shown."""
STAFF = "open-data"
"""The id shown in public for every account."""

SYSTEM = (
    PortalColumn(-1, ":id", ":id", Kind.TEXT, -3),
    PortalColumn(-2, ":created_at", ":created_at", Kind.FIXED, -2),
    PortalColumn(-3, ":updated_at", ":updated_at", Kind.FIXED, -1),
)
"""The system columns, which every row has without a client sending them."""


@dataclass(frozen=True, kw_only=True)
class PortalDataset:
    """A dataset at one moment: its metadata, and the version that has its rows. Times are epoch seconds."""

    id: str
    name: str
    description: str = ""
    category: str = ""
    tags: tuple[str, ...] = ()
    attribution: str = ""
    attribution_link: str = ""
    license_id: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    row_identifier: str | None = None
    blob: str | None = None
    """The id of the file, if the dataset is a file and not a table."""
    copy_of: str | None = None
    """The published dataset that this working copy will replace."""
    revision: int = 0
    """The id of the last applied revision."""
    owner: str
    """The account that created it."""
    rows_updated_by: str = ""
    """The account that last wrote its rows, if known."""
    public: bool = False
    published: bool = False
    created_at: int
    updated_at: int
    published_at: int | None = None
    rows_updated_at: int
    version: int
    rows: int
    next_row: int
    columns: tuple[PortalColumn, ...] = ()

    @cached_property
    def mark(self) -> str:
        """A digest of all of it, under which what is made of it is kept; made once, since metadata may be megabytes."""
        return hashlib.sha256(repr(self).encode(errors="surrogatepass")).hexdigest()

    @property
    def open(self) -> bool:
        """True if anyone may read it."""
        return self.public and self.published

    @property
    def publisher(self) -> str:
        """The publisher named in public."""
        return self.attribution or SITE

    @property
    def changed_at(self) -> int:
        """When rows or metadata last changed, in epoch seconds."""
        return max(self.updated_at, self.rows_updated_at)

    @property
    def geometry(self) -> PortalColumn | None:
        """The first column with geometry, or None."""
        return next((column for column in self.columns if column.kind in GEOMETRIES), None)

    @property
    def place(self) -> PortalColumn | None:
        """The column that puts rows on a map: the first with geometry, or else the first location; or None."""
        location = next((column for column in self.columns if column.kind is Kind.LOCATION), None)
        return self.geometry or location

    def column(self, name: str) -> PortalColumn | None:
        """The column with this field name, or None."""
        return next((column for column in self.columns if column.field == name), None)
