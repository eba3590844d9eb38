"""What the portal is told of schedules: that of a dataset with its own table, and those of datasets without a page with
the first that has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from publisher.pipeline.schedules import told_schedule
from publisher.portal.contract import ScheduleFacts

if TYPE_CHECKING:
    from publisher.pipeline.catalog import Catalog
    from publisher.workspace import DatasetFile, Workspace

_SCHEDULES = TypeAdapter(tuple[ScheduleFacts, ...])


def schedule_facts(workspace: Workspace, catalog: Catalog, dataset: DatasetFile) -> dict[str, str]:
    """The schedules that go with a dataset's own table, as the public files have them."""
    own = told_schedule(workspace.public, dataset.name)
    shown = [name for name in workspace.datasets if name == dataset.name or catalog.current(name)]
    others = [name for name in workspace.datasets if name not in shown and _may_be_named(workspace, catalog, name)]
    told = [told_schedule(workspace.public, name) for name in (others if shown[0] == dataset.name else ())]
    unpublished = tuple(each for each in told if each is not None)
    return {
        "schedule": own.model_dump_json(exclude_defaults=True) if own is not None else "",
        "unpublished": _SCHEDULES.dump_json(unpublished, exclude_defaults=True).decode() if unpublished else "",
    }


def _may_be_named(workspace: Workspace, catalog: Catalog, dataset: str) -> bool:
    """Whether reviewers, where the workspace has some, ever approved the dataset: before that, no one is told of it."""
    if workspace.review is None or catalog.store.periods(dataset):
        return True
    return catalog.reviews(dataset).last_definition() is not None
