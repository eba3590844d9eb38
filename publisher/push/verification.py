"""Verification: compares what the public reads on the portal with the releases, without writing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.errors import PortalError
from publisher.push.publication import Publication, find, named
from publisher.push.rows import checksum_of, compare, wanted_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from publisher.push.client import SocrataClient, View
    from publisher.push.listing import Listing
    from publisher.push.rows import Row
    from publisher.release.manifest import Release


def verify(
    client: SocrataClient,
    listing: Listing,
    releases: Sequence[Release],
    known_id: str | None,
    met: Callable[[View], None] = lambda _: None,
) -> Publication:
    """The publication as the public sees it, read without an account. Raises PortalError naming all that differs.

    `met` gets what the portal has before it is compared, and may raise.
    """
    view = find(client, listing, known_id)
    if view is None:
        raise PortalError(f"{client.target.url}: has no dataset {listing.name}: run `publisher push {listing.name}`")
    met(view)
    wanted = wanted_rows(releases, listing.columns)
    if faults := list(_faults(client, listing, view, wanted)):
        raise PortalError(f"{client.link(view.id)}: {'; '.join(faults)}")
    return Publication(view.id, client.link(view.id), len(wanted), checksum_of(wanted), changed=False)


def _faults(client: SocrataClient, listing: Listing, view: View, wanted: dict[str, Row]) -> Iterator[str]:
    if not wanted:
        if view.public:
            yield "it should be retracted, but everyone can read it"
        return
    misfits = [*listing.misfits(view), *(column.name for column in listing.missing(view))]
    if misfits:
        yield f"the columns differ: {', '.join(misfits)}"
        return
    if changes := listing.changes(view):
        yield f"the metadata differs: {', '.join(changes)}"
    if not (view.published and view.public):
        yield "it is not public"
        return
    for file in listing.files:
        if (
            file.name in view.assets
            and client.attached(view.id, view.assets[file.name], anonymous=True) != file.content
        ):
            yield f"the file {file.name} is different"
    held = client.rows(view.id, [column.name for column in listing.columns], anonymous=True)
    difference = compare(wanted, held, listing.columns)
    if difference.ids or difference.rows != len(wanted):
        yield f"it has {difference.rows} rows and should have {len(wanted)}; rows that differ: {named(difference.ids)}"
