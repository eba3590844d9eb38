"""Drift: each thing in which a dataset on the portal differs from what it should say, found without writing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.push.listing import IDENTIFIER, PortalDifference
from publisher.push.memory import written_since
from publisher.push.provenance import editions_on
from publisher.push.publication import find
from publisher.push.rows import compare, wanted_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from publisher.push.client import SocrataClient, View
    from publisher.push.listing import Listing
    from publisher.push.memory import Pushed
    from publisher.release.manifest import Release

NAMED = 100
"""How many ids of rows that differ are kept."""


def compared(
    client: SocrataClient,
    listing: Listing,
    releases: Sequence[Release],
    known_id: str | None,
    pushed: Pushed | None,
    met: Callable[[View], None],
) -> tuple[str, list[PortalDifference]]:
    """(The page, all that differs). `met` gets what the portal has before it is compared, and may raise."""
    view = find(client, listing, known_id)
    if view is None:
        page = client.link(known_id) if known_id is not None else client.target.url
        return page, list(_absent(releases, known_id))
    met(view)
    return client.link(view.id), list(_differences(client, listing, releases, view, pushed))


def left_open(client: SocrataClient, name: str, known_id: str) -> Iterator[PortalDifference]:
    """That everyone can read a dataset which is no longer defined, if so."""
    view = client.view(known_id)
    if view is not None and view.ours == name and view.public:
        yield PortalDifference("access", "public", "closed: it is no longer defined")


def plain(text: str) -> str:
    """A value from the portal on one line, without what a terminal would obey."""
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "?" for letter in line) or "nothing"


def _absent(releases: Sequence[Release], known_id: str | None) -> Iterator[PortalDifference]:
    """A dataset that is not there, though it should be."""
    if releases:
        there = "deleted" if known_id is not None else "never pushed"
        yield PortalDifference("dataset", there, _editions(releases), "there" if known_id is not None else "here")


def _differences(
    client: SocrataClient, listing: Listing, releases: Sequence[Release], view: View, pushed: Pushed | None
) -> Iterator[PortalDifference]:
    if not releases:
        if view.public:
            yield PortalDifference("access", "public", "closed: every release is retracted")
        return
    if not (view.published and view.public):
        yield PortalDifference("access", "private" if view.published else "a working copy", "public")
    yield from _releases(releases, view)
    yield from _columns(listing, view)
    yield from listing.differences(view)
    yield from _files(client, listing, view)
    yield from _rows(client, listing, releases, view, pushed)


def _releases(releases: Sequence[Release], view: View) -> Iterator[PortalDifference]:
    """Releases that the portal does not show, or shows and should not."""
    current = {(each.manifest.period, each.manifest.edition) for each in releases}
    there = editions_on(view)
    if "unfinished" in view.custom:
        yield PortalDifference("releases", "a push that did not come to its end", _editions(releases))
    elif there != current and "releases" in view.custom:
        missing = [f"without {period}/{edition}" for period, edition in sorted(current - there)]
        more = [f"with {period}/{edition}" for period, edition in sorted(there - current)]
        yield PortalDifference("releases", ", ".join([*missing, *more]), _editions(releases))


def _columns(listing: Listing, view: View) -> Iterator[PortalDifference]:
    """Columns that are missing, of another type, or not ours."""
    wanted = {column.name: column.type for column in listing.columns}
    for column in listing.missing(view):
        yield PortalDifference(f"column {column.name}", "", column.type)
    for name in listing.misfits(view):
        yield PortalDifference(f"column {name}", str(view.columns[name]["dataTypeName"]), wanted.get(name, ""))


def _files(client: SocrataClient, listing: Listing, view: View) -> Iterator[PortalDifference]:
    """Our attached files that are missing, different, or no longer attached."""
    for file in listing.files:
        name = f"file {file.name}"
        if file.name not in view.assets:
            yield PortalDifference(name, "", f"{len(file.content):,} bytes")
        elif (content := client.attached(view.id, view.assets[file.name])) != file.content:
            changed = "here" if view.held.get(file.name) != file.sha256 else "there"
            there, here = f"{len(content):,} bytes", f"{len(file.content):,} other bytes"
            yield PortalDifference(name, there, here, changed)
    for name in sorted(view.held.keys() - {file.name for file in listing.files}):
        yield PortalDifference(f"file {name}", "attached", "", "here")


def _rows(
    client: SocrataClient, listing: Listing, releases: Sequence[Release], view: View, pushed: Pushed | None
) -> Iterator[PortalDifference]:
    """How many rows are missing, too many, or different, in the columns that the portal has too."""
    unfit = {*listing.misfits(view), *(column.name for column in listing.missing(view))}
    columns = [column for column in listing.columns if column.name not in unfit]
    if IDENTIFIER in unfit:
        return
    wanted = wanted_rows(releases, columns)
    found = compare(wanted, client.rows(view.id, [column.name for column in columns]), columns)
    missing = len(wanted) - (found.rows - len(found.gone))
    counts = {"missing": missing, "too many": len(found.gone), "different": len(found.changed) - missing}
    if any(counts.values()):
        words = ", ".join(f"{many:,} {what}" for what, many in counts.items() if many)
        changed = written_since(pushed, view)
        yield PortalDifference(
            "rows", f"{found.rows:,}: {words}", f"{len(wanted):,}", changed, tuple(found.ids[:NAMED])
        )


def _editions(releases: Sequence[Release]) -> str:
    return ", ".join(f"{each.manifest.period}/{each.manifest.edition}" for each in releases)
