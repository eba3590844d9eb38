"""Titles as they stand among those of other cities: with the place that the dataset covers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.portal.contract import about
from publisher.portal.discovery.vocabulary import folded

if TYPE_CHECKING:
    from publisher.portal.base.model import PortalDataset


def place_of(dataset: PortalDataset) -> str:
    """The place that the dataset covers; empty if there is none, or if the title names its city."""
    coverage = about(dataset).coverage
    if coverage is None or folded(coverage.name.partition(",")[0]) in folded(dataset.name):
        return ""
    return coverage.name


def placed(dataset: PortalDataset) -> str:
    """The title with its place."""
    place = place_of(dataset)
    return f"{dataset.name} ({place})" if place else dataset.name
