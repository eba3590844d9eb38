"""From current releases to the portal: what is listed, under which id, and the embedded portal where none runs."""

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
from publisher.push.publication import publish
from publisher.push.target import target_of
from publisher.push.verification import verify
from publisher.release.store import refuse_if_changed
from publisher.release.table import column_specs, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.catalogue import Catalogue
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
    known = _known(workspace).get(_key(client, dataset))
    if not releases and known is None:
        return None
    listing = _listing(workspace, dataset, releases)
    publication = publish(
        client,
        listing,
        releases,
        known_id=known,
        remember=lambda identifier: _remember(workspace, client, dataset, identifier),
    )
    return publication.url if releases else None


def check_delivery(workspace: Workspace, catalogue: Catalogue, client: Portal, dataset: DatasetFile) -> str | None:
    """Compares the portal with the current releases, reading only. Raises PortalError naming what differs."""
    releases = catalogue.current(dataset.name)
    if not releases:
        return None
    known = _known(workspace).get(_key(client, dataset))
    return verify(client, _listing(workspace, dataset, releases), releases, known).url


def report_notes(workspace: Workspace, *, rehearsal: bool, pushed: bool) -> list[str]:
    """What a person should know after a run, beside its table."""
    settings = workspace.settings.portal
    if rehearsal:
        return [f"A rehearsal on generated records: nothing was charged or pushed. It lies in {workspace.state}."]
    if pushed and settings.kind == "embedded" and not answers(settings.url):
        return ["The embedded portal was open for this push alone: `publisher serve` opens it."]
    return []


def _listing(workspace: Workspace, dataset: DatasetFile, releases: list[Release]) -> Listing:
    settings, definition = workspace.settings, dataset.definition
    return Listing(
        name=dataset.name,
        title=definition.title,
        description=definition.description,
        attribution=settings.organisation,
        licence=settings.licence,
        licence_url=settings.licence_url,
        contact=settings.contact,
        category=definition.portal.category,
        tags=definition.portal.tags,
        columns=column_specs(dataset),
        shape=shape_of(dataset),
        guarantee=releases[-1].statement if releases else "",
        stand_in=any(release.manifest.stand_in for release in releases),
        limitations=definition.limitations,
    )


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


def _key(client: Portal, dataset: DatasetFile) -> str:
    return f"{client.target.url} {dataset.name}"


def _remember(workspace: Workspace, client: Portal, dataset: DatasetFile, identifier: str) -> None:
    known = _known(workspace) | {_key(client, dataset): identifier}
    write_file(_ids(workspace), json.dumps(known, indent=2, sort_keys=True).encode() + b"\n")
