"""From current releases to the portal: what is listed, under which id, and the embedded portal if none is running.

Every table is a separate dataset on the portal: the dataset's own, those of its rollups, and totals over time.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from publisher.durable import write_file
from publisher.errors import PublisherError, SourceError
from publisher.pipeline.accounts import SourceAccounts
from publisher.pipeline.journaling import tell_push
from publisher.pipeline.totals import refuse_damaged_totals, total_standings, totals_of, withheld
from publisher.pipeline.tuning import newest
from publisher.push.boundaries import missing
from publisher.push.client import SocrataClient, UnreachableError
from publisher.push.drift import compared, left_open, plain
from publisher.push.embedded import answers, running
from publisher.push.evidence import evidence_of
from publisher.push.memory import keep, marks, recalled
from publisher.push.metadata import listing_of, tables_of
from publisher.push.provenance import heads_on
from publisher.push.publication import close, describe, publish
from publisher.push.schedules import schedule_facts
from publisher.push.target import target_of
from publisher.push.verification import verify
from publisher.release.store import refuse_if_changed
from publisher.release.table import table_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from publisher.pipeline.catalog import Catalog, Standing
    from publisher.push.client import View
    from publisher.push.listing import Listing, PortalDifference
    from publisher.push.memory import Pushed
    from publisher.push.publication import Publication
    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile, Workspace

_PUSHED = "portal_rows.json"
"""The file, in the state folder, that remembers what the last push left of each table."""


class LeftError(SourceError):
    """An old release is damaged; all else is on the portal, with the page at `url`."""

    def __init__(self, words: str, url: str | None) -> None:
        super().__init__(words)
        self.url = url


@contextmanager
def portal_of(workspace: Workspace) -> Iterator[SocrataClient]:
    """The portal, logged in. The embedded portal is started for the time of the push if it is not running."""
    settings = workspace.settings.portal
    with (
        running(settings, workspace.portal),
        SocrataClient(target_of(settings, workspace.portal, os.environ)) as client,
    ):
        yield client


@contextmanager
def telling(datasets: Sequence[DatasetFile]) -> Iterator[None]:
    """If the portal is unreachable, name in the error what was not delivered, and do not wait for it again."""
    try:
        yield
    except UnreachableError as error:
        names = ", ".join(dataset.name for dataset in datasets)
        raise UnreachableError(
            f"{error}; not delivered: {names}: run `publisher push` when the portal answers"
        ) from None


def deliver(
    workspace: Workspace,
    catalog: Catalog,
    client: SocrataClient,
    dataset: DatasetFile,
    note: Callable[[str], None],
    *,
    rebuild: bool = False,
) -> str | None:
    """Make the portal have exactly the current releases; returns the page's address, or None if there is nothing.

    `note` gets in words what someone else has changed there, before it is set back, and, with `rebuild`, what was made
    again after it was deleted there. Raises PortalError, SourceError for damaged files (once all else is there, unless
    the page needs them), and BudgetError when the portal has a release that the ledger has not paid for: another copy
    of this state made it. Delivering again changes nothing.
    """
    catalog.reconcile(dataset.name)
    standings = [*catalog.standings(dataset.name), *total_standings(catalog, dataset)]
    levels = table_names(dataset.definition)
    if rebuild:  # nothing is known of what is made again: every file is checked
        for level in levels:
            _leave(workspace, _key(client, dataset, level), None)
    there = {level: _pushed(workspace).get(_key(client, dataset, level)) for level in levels}
    damaged = _damaged(standings, levels, there)
    urls = [
        _deliver(workspace, catalog, client, dataset, level, standings, damaged, note, rebuild=rebuild)
        for level in levels
    ]
    for level, identifier in _dropped(workspace, client, dataset).items():
        close(client, dataset.named(level), identifier)
    for error in damaged.values():
        raise LeftError(
            f"{error}. All else is on the portal, where the rows of this release stay as they were", urls[0]
        )
    refuse_damaged_totals(catalog, dataset)
    return urls[0]


def _damaged(
    standings: Sequence[Standing], levels: Sequence[str], there: Mapping[str, Pushed | None]
) -> dict[Path, SourceError]:
    """The folders of current releases whose files were changed; the portal already has those of the others that the
    last push left there. Raises SourceError if the latest of a table is among them: its words and odds are those of the
    page."""
    found: dict[Path, SourceError] = {}
    for each in standings:
        try:
            if each.status == "ready" and not _sent(each.release, there):
                refuse_if_changed(each.release)
        except SourceError as error:
            found[each.release.folder] = error
    for level in levels:
        for latest in tables_of(standings, level)[-1:]:
            if latest.folder in found:
                raise found[latest.folder]
    return found


def redescribe(
    workspace: Workspace,
    catalog: Catalog,
    client: SocrataClient,
    dataset: DatasetFile,
    note: Callable[[str], None],
) -> str | None:
    """Bring the metadata and files of the dataset's tables up to date, and no row; returns the page's address, or None
    if there is nothing. Raises as `deliver` does, and PortalError where rows have to be sent first."""
    standings = [*catalog.standings(dataset.name), *total_standings(catalog, dataset)]
    urls = {}
    for level in table_names(dataset.definition):
        tables, key, name = tables_of(standings, level), _key(client, dataset, level), dataset.named(level)
        if not tables:
            continue
        publication = describe(
            client,
            _listing(workspace, catalog, dataset, level, standings),
            tables,
            known_id=_known(workspace).get(key),
            met=_comparing(catalog, client),
            told=lambda theirs, name=name: _tell(note, name, theirs),  # type: ignore[misc]
        )
        if publication.changed:
            why = ". ".join(filter(None, ("metadata only", _why(publication))))
            tell_push(catalog.journal, catalog.ledger, name, publication.url, tables, why)
        urls[level] = publication.url
    return urls.get("")


def drifted(
    workspace: Workspace, catalog: Catalog, client: SocrataClient, dataset: DatasetFile
) -> list[tuple[str, str, PortalDifference]]:
    """(Table, page, difference) for all in which the portal differs from what it should say, without writing. Reads
    releases, definitions and the ledger, never a record. Raises as `check_delivery` does, but not for differences."""
    standings = [*catalog.standings(dataset.name), *total_standings(catalog, dataset)]
    found = []
    for level in table_names(dataset.definition):
        tables, key = tables_of(standings, level), _key(client, dataset, level)
        known = _known(workspace).get(key)
        if tables or known is not None:
            listing = _listing(workspace, catalog, dataset, level, standings)
            pushed = _pushed(workspace).get(key)
            page, differences = compared(client, listing, tables, known, pushed, _comparing(catalog, client))
            found += [(listing.name, page, each) for each in differences]
    for level, identifier in _dropped(workspace, client, dataset).items():
        found += [
            (dataset.named(level), client.link(identifier), each)
            for each in left_open(client, dataset.named(level), identifier)
        ]
    return found


def _tell(note: Callable[[str], None], table: str, theirs: Sequence[PortalDifference]) -> None:
    """Show what someone else has changed, before it is set back."""
    for each in theirs:
        note(
            f"{table}: someone changed this on the portal since the last push, and it is set back: {each.what}. "
            f"There: {plain(each.there)}. Here: {plain(each.here)}"
        )


def _made_again(table: str, publication: Publication) -> str:
    """What a rebuilt dataset means for those who have its address."""
    if publication.before == publication.url:
        return f"{table}: was deleted there, and is made again at the same address"
    return (
        f"{table}: was deleted there, and is made again with a new id: {publication.url}. Its old address "
        f"{publication.before} does not work any more: tell those who use it. `publisher run` writes the new one into "
        "the analyst file"
    )


def _why(publication: Publication) -> str:
    """What the journal says of a push, in addition to what was sent."""
    moved = f" at another address; before: {publication.before}" if publication.before != publication.url else ""
    again = f"made again after it was deleted there{moved}" if publication.before else ""
    back = f"set back: {', '.join(publication.set_back)}" if publication.set_back else ""
    return ". ".join(filter(None, (again, back)))


def check_delivery(workspace: Workspace, catalog: Catalog, client: SocrataClient, dataset: DatasetFile) -> str | None:
    """Compare the portal with the current releases, without writing. Raises PortalError naming what differs, and
    BudgetError when the portal has a release that the ledger has not paid for."""
    standings = [*catalog.standings(dataset.name), *total_standings(catalog, dataset)]
    if not tables_of(standings, ""):
        return None
    levels = table_names(dataset.definition)
    urls = [_check(workspace, catalog, client, dataset, level, standings) for level in levels]
    return urls[0]


def _sent(release: Release, there: Mapping[str, Pushed | None]) -> bool:
    """Whether the last push left all its tables on the portal; what is sent again is checked as it is read."""
    left = {level: pushed.tables for level, pushed in there.items() if pushed is not None}
    return all(marks([table]).items() <= left.get(level, {}).items() for level, table in release.tables.items())


def _deliver(
    workspace: Workspace,
    catalog: Catalog,
    client: SocrataClient,
    dataset: DatasetFile,
    level: str,
    standings: Sequence[Standing],
    damaged: Mapping[Path, SourceError],
    note: Callable[[str], None],
    *,
    rebuild: bool,
) -> str | None:
    """Push one table; returns its page's address, or None if there is nothing to show. Rows of damaged releases stay as
    they are."""
    name = dataset.named(level)
    tables = tables_of(standings, level)
    key = _key(client, dataset, level)
    known = _known(workspace).get(key)
    if not tables and known is None:
        return None
    try:
        publication = publish(
            client,
            _listing(workspace, catalog, dataset, level, standings),
            [each for each in tables if each.folder not in damaged],
            known_id=known,
            remember=lambda identifier: _remember(workspace, key, identifier),
            pushed=_pushed(workspace).get(key),
            met=_comparing(catalog, client),
            told=lambda theirs: _tell(note, name, theirs),
            rebuild=rebuild,
            left=[each for each in tables if each.folder in damaged],
        )
    except PublisherError:
        _leave(workspace, key, None)  # the next push compares all rows, and checks all files before
        raise
    if publication.before:
        note(_made_again(name, publication))
    if publication.changed:
        tell_push(catalog.journal, catalog.ledger, name, publication.url, tables, _why(publication))
    _leave(workspace, key, publication.left)
    return publication.url if tables else None


def _check(
    workspace: Workspace,
    catalog: Catalog,
    client: SocrataClient,
    dataset: DatasetFile,
    level: str,
    standings: Sequence[Standing],
) -> str | None:
    tables = tables_of(standings, level)
    known = _known(workspace).get(_key(client, dataset, level))
    if not tables and known is None:
        return None
    met = _comparing(catalog, client)
    listing = _listing(workspace, catalog, dataset, level, standings)
    return verify(client, listing, tables, known, met).url


def _listing(
    workspace: Workspace, catalog: Catalog, dataset: DatasetFile, level: str, standings: Sequence[Standing]
) -> Listing:
    """How the table is listed, with the files by which it is verified; the dataset's own has the schedule too."""
    listing = listing_of(
        workspace,
        dataset,
        level,
        standings,
        _withheld(workspace, catalog, dataset, level),
        newest(workspace, catalog.ledger, dataset),
        SourceAccounts(workspace, catalog.ledger).tunings(dataset),
        schedule_facts(workspace, catalog, dataset) if not level else {},
    )
    return replace(listing, files=(*listing.files, *evidence_of(catalog, tables_of(standings, level))))


def _withheld(workspace: Workspace, catalog: Catalog, dataset: DatasetFile, level: str) -> tuple[str, ...]:
    """Why totals over time are not there; nothing for the tables of releases."""
    named = [each for each in totals_of(catalog, dataset) if each.total.name == level]
    return tuple(line for each in named for line in withheld(workspace, each))


def _comparing(catalog: Catalog, client: SocrataClient) -> Callable[[View], None]:
    """Raises BudgetError when a dataset on the portal has a release that the ledger has not paid for."""
    return lambda view: catalog.ledger.refuse_if_cut(heads_on(view, client.link(view.id)))


def report_notes(workspace: Workspace, datasets: Sequence[DatasetFile], *, rehearsal: bool, pushed: bool) -> list[str]:
    """What people should know after a run, in addition to its table."""
    settings = workspace.settings.portal
    if rehearsal:
        return [
            (
                "This was a rehearsal on generated records: nothing was charged or pushed. Its files are in "
                f"{workspace.state}."
            )
        ]
    notes = map_notes(workspace, datasets) if pushed else []
    if pushed and settings.kind == "embedded" and not answers(settings.url):
        notes.append("The embedded portal ran only for this push. To open it, run `publisher serve`.")
    return notes


def map_notes(workspace: Workspace, datasets: Sequence[DatasetFile]) -> list[str]:
    """The datasets that have no map because their polygons are not in the data folder."""
    absent = {path: dataset.name for dataset in datasets for path in missing(dataset, workspace.data)}
    return [f"{name} is shown without a map: {path} is not in {workspace.data}." for path, name in absent.items()]


def portal_addresses(workspace: Workspace, dataset: DatasetFile) -> dict[str, tuple[str, str]]:
    """Level -> the id and the page of each table that was pushed to the portal in the settings.

    Empty if the file of ids is damaged: the next push says so.
    """
    settings = workspace.settings.portal
    url = settings.url if settings.domain is None else f"https://{settings.domain}"
    try:
        known = _known(workspace)
    except SourceError:
        return {}
    ids = {level: known.get(f"{url} {dataset.name} {level}".rstrip()) for level in table_names(dataset.definition)}
    return {level: (each, f"{url}/d/{each}") for level, each in ids.items() if each is not None}


def _ids(workspace: Workspace) -> Path:
    return workspace.state / "portal_ids.json"


def _pushed(workspace: Workspace) -> Mapping[str, Pushed]:
    """What the last push left of each table."""
    return recalled(workspace.state / _PUSHED)


def _leave(workspace: Workspace, key: str, left: Pushed | None) -> None:
    """Remember what was left of a table."""
    before = _pushed(workspace)
    after = {name: each for name, each in before.items() if name != key} | ({key: left} if left is not None else {})
    if after != before:
        keep(workspace.state / _PUSHED, after)


def _known(workspace: Workspace) -> dict[str, str]:
    path = _ids(workspace)
    if not path.exists():
        return {}
    try:
        known = json.loads(path.read_bytes())
        return {_text(key): _text(value) for key, value in known.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        raise SourceError(
            f"{path}: is damaged: delete it, and the next push finds the datasets on the portal"
        ) from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _key(client: SocrataClient, dataset: DatasetFile, level: str) -> str:
    """The table's name in the file of ids; its parts have no blanks."""
    return f"{client.target.url} {dataset.name} {level}".rstrip()


def _dropped(workspace: Workspace, client: SocrataClient, dataset: DatasetFile) -> dict[str, str]:
    """The ids of tables whose rollups and totals are no longer published, by level."""
    prefix = f"{client.target.url} {dataset.name} "
    known = {key.removeprefix(prefix): value for key, value in _known(workspace).items() if key.startswith(prefix)}
    return {level: value for level, value in known.items() if level not in table_names(dataset.definition)}


def _remember(workspace: Workspace, key: str, identifier: str) -> None:
    known = _known(workspace) | {key: identifier}
    write_file(_ids(workspace), json.dumps(known, indent=2, sort_keys=True).encode() + b"\n")
