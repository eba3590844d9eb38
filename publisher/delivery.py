"""From current releases to the portal: what is listed, under which id, and the embedded portal where none runs.

Every table of a release is a dataset of its own on the portal: the dataset's own and those of its rollups.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from publisher.durable import write_file
from publisher.errors import PortalError
from publisher.push.embedded import answers, running
from publisher.push.listing import Listing
from publisher.push.portal import Portal
from publisher.push.publication import close, publish
from publisher.push.target import target_of
from publisher.push.verification import verify
from publisher.release.store import refuse_if_changed
from publisher.release.sums import additive
from publisher.release.table import column_specs, level_names, rollup_of, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.catalogue import Catalogue
    from publisher.definitions.dataset import Dataset
    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile, Workspace


@contextmanager
def portal_of(workspace: Workspace) -> Iterator[Portal]:
    """The portal, logged in. The embedded one is started for the time being where it does not run."""
    settings = workspace.settings.portal
    with running(settings, workspace.portal), Portal(target_of(settings, workspace.portal, os.environ)) as client:
        yield client


def deliver(workspace: Workspace, catalogue: Catalogue, client: Portal, dataset: DatasetFile) -> str | None:
    """Makes the portal hold exactly the current releases; the page's address, or None where there is nothing.

    Raises PortalError. Delivering again changes nothing.
    """
    catalogue.reconcile(dataset.name)
    releases = catalogue.current(dataset.name)
    for release in releases:
        refuse_if_changed(release)
    urls = [_deliver(workspace, client, dataset, level, releases) for level in level_names(dataset.definition)]
    for level, identifier in _dropped(workspace, client, dataset).items():
        close(client, dataset.named(level), identifier)
    return urls[0]


def check_delivery(workspace: Workspace, catalogue: Catalogue, client: Portal, dataset: DatasetFile) -> str | None:
    """Compares the portal with the current releases, reading only. Raises PortalError naming what differs."""
    releases = catalogue.current(dataset.name)
    if not releases:
        return None
    urls = [_check(workspace, client, dataset, level, releases) for level in level_names(dataset.definition)]
    return urls[0]


def _deliver(
    workspace: Workspace, client: Portal, dataset: DatasetFile, level: str, releases: list[Release]
) -> str | None:
    """One table; its page's address, or None where there is nothing of it."""
    tables = _tables(releases, level)
    key = _key(client, dataset, level)
    known = _known(workspace).get(key)
    if not tables and known is None:
        return None
    publication = publish(
        client,
        _listing(workspace, dataset, level, tables),
        tables,
        known_id=known,
        remember=lambda identifier: _remember(workspace, key, identifier),
    )
    return publication.url if tables else None


def _check(
    workspace: Workspace, client: Portal, dataset: DatasetFile, level: str, releases: list[Release]
) -> str | None:
    tables = _tables(releases, level)
    known = _known(workspace).get(_key(client, dataset, level))
    if not tables and known is None:
        return None
    return verify(client, _listing(workspace, dataset, level, tables), tables, known).url


def _tables(releases: list[Release], level: str) -> list[Release]:
    """That table of every release which has it."""
    views = [release.tables for release in releases]
    return [view[level] for view in views if level in view]


def report_notes(workspace: Workspace, *, rehearsal: bool, pushed: bool) -> list[str]:
    """What a person should know after a run, beside its table."""
    settings = workspace.settings.portal
    if rehearsal:
        return [f"A rehearsal on generated records: nothing was charged or pushed. It lies in {workspace.state}."]
    if pushed and settings.kind == "embedded" and not answers(settings.url):
        return ["The embedded portal was open for this push alone: `publisher serve` opens it."]
    return []


def _listing(workspace: Workspace, dataset: DatasetFile, level: str, tables: list[Release]) -> Listing:
    settings, definition = workspace.settings, dataset.definition
    rollup = rollup_of(definition, level)
    return Listing(
        name=dataset.named(level),
        title=rollup.title if rollup is not None else definition.title,
        description=definition.description if rollup is None else f"{definition.description} {_relation(definition)}",
        attribution=settings.organisation,
        licence=settings.licence,
        licence_url=settings.licence_url,
        contact=settings.contact,
        category=definition.portal.category,
        tags=definition.portal.tags,
        columns=column_specs(dataset, level),
        shape=shape_of(dataset, level),
        guarantee=tables[-1].statement if tables else "",
        stand_in=any(table.manifest.stand_in for table in tables),
        limitations=(*_provisional(tables), *definition.limitations),
        companions=_companions(dataset, level),
    )


def _provisional(tables: list[Release]) -> tuple[str, ...]:
    """A line that names the periods of which another edition is to come."""
    periods = [each.manifest.period for each in tables if not each.manifest.final]
    return (f"Provisional, to be counted again: {', '.join(periods)}.",) if periods else ()


def _companions(dataset: DatasetFile, level: str) -> tuple[tuple[str, str], ...]:
    """The other tables of the dataset: name and title."""
    titles = {"": dataset.definition.title} | {each.name: each.title for each in dataset.definition.rollups}
    return tuple((dataset.named(name), title) for name, title in titles.items() if name != level)


def _relation(definition: Dataset) -> str:
    """How a companion relates to the dataset's own table. Means and quantiles never add up, and nobody expects it."""
    added = [measure.title for measure in additive(definition)]
    counted = [measure.title for measure in definition.measures if measure.shown and measure.measured]
    if not added:
        return f"Totals of {definition.title}."
    which = "" if added == counted else f" in {', '.join(added)}"
    return f"Totals of {definition.title}; adds up with it exactly{which}."


def _ids(workspace: Workspace) -> Path:
    return workspace.state / "portal_ids.json"


def _known(workspace: Workspace) -> dict[str, str]:
    path = _ids(workspace)
    if not path.is_file():
        return {}
    try:
        known: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise PortalError(f"{path} is damaged: delete it, the portal is searched for the datasets then") from None
    return known


def _key(client: Portal, dataset: DatasetFile, level: str) -> str:
    """The table's name in the file of ids; no part of it has a blank."""
    return f"{client.target.url} {dataset.name} {level}".rstrip()


def _dropped(workspace: Workspace, client: Portal, dataset: DatasetFile) -> dict[str, str]:
    """The ids of tables whose rollups are defined no more, by their level."""
    prefix = f"{client.target.url} {dataset.name} "
    known = {key.removeprefix(prefix): value for key, value in _known(workspace).items() if key.startswith(prefix)}
    return {level: value for level, value in known.items() if rollup_of(dataset.definition, level) is None}


def _remember(workspace: Workspace, key: str, identifier: str) -> None:
    known = _known(workspace) | {key: identifier}
    write_file(_ids(workspace), json.dumps(known, indent=2, sort_keys=True).encode() + b"\n")
