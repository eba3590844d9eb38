"""Publishing: the portal's dataset becomes exactly the rows of the given releases, and is read back.

Every step first checks what the portal has. So the next push completes one that was interrupted anywhere, and a push of
what is already there writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.definitions import period as civil
from publisher.errors import PortalError, SourceError
from publisher.push.client import DeletedError
from publisher.push.listing import PortalDifference, described
from publisher.push.memory import changed_part, left_on, marks
from publisher.push.provenance import editions_on
from publisher.push.rows import batches, checksum_of, compare, wanted_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from publisher.push.client import Fields, Receipt, SocrataClient, View
    from publisher.push.listing import Listing
    from publisher.push.memory import ChangedPart, Pushed
    from publisher.push.rows import Difference, Row
    from publisher.release.manifest import Release

SHOWN = 10
"""How many row ids a message names."""


@dataclass(frozen=True)
class Publication:
    """What is on the portal."""

    dataset_id: str
    url: str
    rows: int
    checksum: str
    """The hash of the rows, ours and the portal's: they are equal value by value. Empty if only those that have changed
    since the last push were compared."""
    changed: bool
    """Whether anything was written."""
    left: Pushed | None = None
    """What the next push may start from."""
    before: str = ""
    """Where the dataset was before it was deleted there and made again."""
    set_back: tuple[str, ...] = ()
    """What someone else had changed there, and is as it was."""


def publish(
    client: SocrataClient,
    listing: Listing,
    releases: Sequence[Release],
    *,
    known_id: str | None,
    remember: Callable[[str], None],
    pushed: Pushed | None = None,
    met: Callable[[View], None] = lambda _: None,
    told: Callable[[Sequence[PortalDifference]], None] = lambda _: None,
    progress: Callable[[int, int], None] | None = None,
    left: Sequence[Release] = (),
    rebuild: bool = False,
) -> Publication:
    """Make the dataset have exactly these releases, read it back and make it public.

    If the portal is as the last push left it (`pushed`), only rows of periods that have changed since are compared and
    sent, and the others are counted.

    `remember` gets the dataset's id at once if it was not `known_id`; `met` gets what the portal has before anything is
    written, and may raise; `told` gets what someone else has changed there since the last push, before it is set back;
    `progress` gets the rows sent and the rows to send. The rows of releases that are `left` stay as they are, which the
    portal must show already. Without any release the dataset is retracted. Raises PortalError, DeletedError for a
    dataset that was deleted there, unless it is to be made again (`rebuild`); the next call completes what is left.
    """
    refuse_stand_ins(client, listing, releases)
    if not releases:
        return retract(client, listing, known_id=known_id)
    wanted = wanted_rows(releases, listing.columns) if pushed is None else {}
    view = find(client, listing, known_id)
    part = None
    if view is not None:
        met(view)
        part = changed_part(pushed, view, releases) if not (left or listing.missing(view)) else None
    gone = _gone(client, view, known_id, rebuild=rebuild)
    _refuse_unseen(view, left)
    if pushed is not None:
        wanted = wanted_rows(releases if part is None else part.releases, listing.columns)
    changed = view is None
    if view is None:
        view = client.create(listing.name, listing.creation(), known_id)
    if view.id != known_id:
        remember(view.id)
    view, added = _fit(client, listing, view)
    before = _held(client, view, listing, wanted, part, left)
    theirs = [*listing.others(view), *_rows_of_others(before, listing, releases, pushed, view)]
    if theirs:
        told(theirs)
    view = _begun(client, listing, view, before)
    sent = _send(client, view, listing, wanted, before, part, left, progress)
    if not view.published:
        client.publish(view.id)
    again = sent or not view.published
    _prove(client, view, wanted, _held(client, view, listing, wanted, part, left) if again else before, part)
    since = _describe(client, listing, view)
    if not view.public:
        client.open(view.id, public=True)
    rows = len(wanted) if part is None else part.rows
    written = changed or added or again or since is not None or not view.public
    now = since or (client.view(view.id) if written or part is None else None)
    known = left_on(now, releases) if now is not None else pushed
    return Publication(
        dataset_id=view.id,
        url=client.link(view.id),
        rows=rows,
        checksum=checksum_of(wanted) if part is None else "",
        changed=written,
        left=known if not left else None,  # it would not know that rows of these releases are there
        before=client.link(gone) if gone is not None else "",
        set_back=tuple(each.what for each in theirs),
    )


def _gone(client: SocrataClient, view: View | None, known_id: str | None, *, rebuild: bool) -> str | None:
    """The id of a dataset that was deleted there, None if there is none. Raises DeletedError unless it is to be made
    again."""
    if view is not None or known_id is None:
        return None
    if not rebuild:
        again = "`publisher push --rebuild` with the dataset's name makes it again"
        raise DeletedError(f"{client.link(known_id)} was deleted there: {again}")
    return known_id


def _begun(client: SocrataClient, listing: Listing, view: View, before: Difference) -> View:
    """Say in the metadata that rows are being changed, where readers can see some."""
    if not (before.ids and view.public and "releases" in view.custom):
        return view
    return client.update(view.id, listing.begun(view))


def describe(
    client: SocrataClient,
    listing: Listing,
    releases: Sequence[Release],
    *,
    known_id: str | None,
    met: Callable[[View], None] = lambda _: None,
    told: Callable[[Sequence[PortalDifference]], None] = lambda _: None,
) -> Publication:
    """Bring metadata and files of a dataset up to date, and neither rows nor who may read it.

    Raises PortalError if the portal does not have exactly these releases and columns: metadata would say what its rows
    are not.
    """
    refuse_stand_ins(client, listing, releases)
    view = find(client, listing, known_id)
    if view is None:
        raise PortalError(f"{client.target.url}: has no dataset {listing.name}: run `publisher push {listing.name}`")
    met(view)
    current = {(each.manifest.period, each.manifest.edition) for each in releases}
    if editions_on(view) != current or listing.missing(view) or listing.misfits(view):
        raise PortalError(
            f"{client.link(view.id)}: its releases or columns are not those that are current, so its metadata cannot be"
            " sent alone: push without --metadata-only"
        )
    theirs = listing.others(view)
    if theirs:
        told(theirs)
    changed = _describe(client, listing, view) is not None
    set_back = tuple(each.what for each in theirs)
    return Publication(view.id, client.link(view.id), 0, "", changed=changed, set_back=set_back)


def retract(client: SocrataClient, listing: Listing, *, known_id: str | None) -> Publication:
    """Make the dataset private; its rows stay for its owner. Raises PortalError if there is no dataset."""
    view = find(client, listing, known_id)
    if view is None:
        raise PortalError(f"{client.target.url}: has no dataset {listing.name} to retract")
    if view.public:
        client.open(view.id, public=False)
    return Publication(view.id, client.link(view.id), 0, checksum_of({}), changed=view.public)


def close(client: SocrataClient, name: str, known_id: str) -> None:
    """Make a dataset that is no longer defined private, if the portal still has it. Raises PortalError."""
    view = client.view(known_id)
    if view is not None and view.ours == name and view.public:
        client.open(view.id, public=False)


def find(client: SocrataClient, listing: Listing, known_id: str | None) -> View | None:
    """Our dataset on the portal. Raises PortalError if the known id belongs to another dataset."""
    view = client.view(known_id) if known_id is not None else None
    if view is None:
        return client.find(listing.name, listing.shown_title)
    if view.ours != listing.name:
        raise PortalError(f"{client.link(view.id)} is not the dataset {listing.name}; nothing was changed")
    return view


def refuse_stand_ins(client: SocrataClient, listing: Listing, releases: Sequence[Release]) -> None:
    """Raise PortalError if generated data would go to a public portal."""
    if client.target.public and (listing.stand_in or any(release.manifest.stand_in for release in releases)):
        raise PortalError(f"{listing.name} has stand-in data, which never goes to {client.target.url}")


def named(ids: Sequence[str]) -> str:
    """The first ids, and how many more."""
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return ", ".join(ids[:SHOWN]) + more


def _fit(client: SocrataClient, listing: Listing, view: View) -> tuple[View, bool]:
    """Add the columns that the portal does not have. Raises PortalError for those that it should not have."""
    if misfits := listing.misfits(view):
        raise PortalError(
            f"{client.link(view.id)}: the columns {', '.join(misfits)} are not those of {listing.name}: "
            "change them there, or delete that dataset and push again"
        )
    missing = listing.missing(view)
    for column in missing:
        client.add_column(view.id, described(column))
    return (client.view(view.id) or view, True) if missing else (view, False)


def _send(
    client: SocrataClient,
    view: View,
    listing: Listing,
    wanted: dict[str, Row],
    difference: Difference,
    part: ChangedPart | None,
    left: Sequence[Release],
    progress: Callable[[int, int], None] | None,
) -> bool:
    """Send what differs, batch by batch, and check the portal's counters; returns whether anything was sent."""
    total, done = len(difference.changed) + len(difference.gone), 0
    for batch in batches(difference, listing.columns, client.chunk):
        receipt = client.upsert(view.id, batch)
        if not _taken(receipt, batch):
            unlike = {str(row["id"]) for row in batch} & set(_held(client, view, listing, wanted, part, left).ids)
            raise PortalError(
                f"{client.link(view.id)}: of {len(batch)} rows sent, the portal accepted {receipt.done} and refused "
                f"{receipt.errors}; rows that differ: {named(sorted(unlike)) or 'none'}"
            )
        done += len(batch)
        if progress is not None:
            progress(done, total)
    return total > 0


def _taken(receipt: Receipt, batch: list[Fields]) -> bool:
    """Whether the portal's counters say that it accepted every row."""
    # After a lost answer, rows may already be deleted, which the portal counts as errors; reading back decides.
    tolerated = sum(":deleted" in row for row in batch) if receipt.repeated else 0
    return receipt.errors <= tolerated and receipt.done + receipt.errors == len(batch)


def _prove(
    client: SocrataClient, view: View, wanted: dict[str, Row], held: Difference, part: ChangedPart | None
) -> None:
    """Raise PortalError unless the portal has exactly the wanted rows."""
    if held.ids or held.rows != len(wanted):
        raise PortalError(
            f"{client.link(view.id)}: the rows read back are not those sent: {held.rows} of {len(wanted)} rows; "
            f"rows that differ: {named(held.ids)}"
        )
    if part is not None and (there := client.count(view.id)) != part.rows:
        raise PortalError(
            f"{client.link(view.id)}: has {there} rows and should have {part.rows}: someone else wrote to it; push "
            "again, and all rows are compared"
        )


def _refuse_unseen(view: View | None, left: Sequence[Release]) -> None:
    """Raise SourceError if the portal does not show a release whose rows are to stay as they are there."""
    seen = editions_on(view) if view is not None else set()
    for each in left:
        if (each.manifest.period, each.manifest.edition) not in seen:
            raise SourceError(f"{each.manifest.name}: is damaged, and the portal does not have it: restore it first")


def _held(
    client: SocrataClient,
    view: View,
    listing: Listing,
    wanted: dict[str, Row],
    part: ChangedPart | None,
    left: Sequence[Release],
) -> Difference:
    """How the portal's rows differ, of all or of the periods that have changed, but for those of releases that are
    left."""
    if part is not None and not part.where:
        return compare(wanted, (), listing.columns)
    rows = client.rows(view.id, [column.name for column in listing.columns], where=part.where if part else None)
    return compare(wanted, _without(rows, left), listing.columns)


def _without(rows: Iterable[Fields], left: Sequence[Release]) -> Iterator[Fields]:
    """The rows that are not of these releases' periods."""
    periods = [civil.parse(each.manifest.period) for each in left]
    for row in rows:
        start = civil.parse(str(row["period"])).start if periods else None
        if start is None or not any(each.start <= start < each.end for each in periods):
            yield row


def _rows_of_others(
    before: Difference, listing: Listing, releases: Sequence[Release], pushed: Pushed | None, view: View
) -> list[PortalDifference]:
    """The rows that differ although their release is the one that the last push left there."""
    if pushed is None or pushed.id != view.id or not before.ids:
        return []
    current = marks(releases)
    place = [column.name for column in listing.columns].index("period")
    same = [civil.parse(period) for period, mark in current.items() if pushed.tables.get(period) == mark]
    starts = {name: civil.parse(str(row[place])).start for name, row in before.changed.items()}
    ids = [name for name, start in starts.items() if any(each.start <= start < each.end for each in same)]
    if pushed.tables.items() <= current.items():
        ids += before.gone
    if not ids:
        return []
    return [PortalDifference("rows", named(sorted(ids)), "as released", "there", tuple(sorted(ids)))]


def _describe(client: SocrataClient, listing: Listing, view: View) -> View | None:
    """Bring files and metadata up to date; returns what the portal says since, or None if nothing was written."""
    attached = {file.name: client.attach(file.name, file.content, file.media_type) for file in listing.stale(view)}
    changes = listing.changes(view, attached)
    now = client.update(view.id, changes) if changes else None
    for file in listing.files:
        if file.name in attached and client.attached(view.id, attached[file.name]) != file.content:
            raise PortalError(f"{client.link(view.id)}: the file {file.name} read back is not the one sent")
    return now
