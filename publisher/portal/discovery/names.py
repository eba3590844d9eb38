"""The names in the key columns of a dataset's published rows, such as those of neighborhoods and kinds of service."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from publisher.portal.contract import about

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.store.store import PortalStore

MOST = 2_000
"""A key column with more values has codes, such as census blocks, and no names: it is left out."""
KEPT = 2_000
_seen: OrderedDict[tuple[str, int], tuple[str, ...]] = OrderedDict()


def names_of(store: PortalStore, dataset: PortalDataset) -> tuple[str, ...] | None:
    """The names, read once for each version of the rows; None if a write has just replaced them."""
    shape = about(dataset).shape
    if shape is None or not dataset.rows:
        return ()
    key = (dataset.id, dataset.version)
    if key not in _seen:
        parts = store.rows(dataset)
        try:
            found = [_distinct(parts, each.names or each.name) for each in shape.keys]
        except FileNotFoundError:
            return None
        _seen[key] = tuple(name for names in found if len(names) <= MOST for name in names)
        while len(_seen) > KEPT:
            _seen.popitem(last=False)
    return _seen[key]


def _distinct(parts: tuple[Path, ...], column: str) -> set[str]:
    """The column's texts, from the dictionaries of the files; a column that was added later is not in older ones."""
    import pyarrow.parquet as pq

    found: set[str] = set()
    for part in parts:
        with pq.ParquetFile(part, read_dictionary=[column]) as file:
            if column in file.schema_arrow.names:
                found |= {str(name) for name in file.read(columns=[column])[column].unique().to_pylist() if name}
    return found
