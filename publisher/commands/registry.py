"""`publisher registry`: an entry for the Differential Privacy Deployments Registry, about one release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from publisher.errors import DefinitionError
from publisher.push.provenance import guarantee_of

if TYPE_CHECKING:
    from publisher.pipeline.catalog import Catalog


def registry_entry(catalog: Catalog, dataset: str, period: str | None) -> dict[str, Any]:
    """The entry in the release's guarantee, under the registry's own names. Raises DefinitionError when there is no
    such release, or none that is current."""
    found = [each for each in catalog.current(dataset) if period in (None, each.manifest.period)]
    if not found:
        words = f"{dataset} {period}" if period is not None else dataset
        raise DefinitionError(f"{words}: has no current release: `publisher releases {dataset}` lists what there is")
    entry: dict[str, Any] = guarantee_of(found[-1])["registry"]
    return entry
