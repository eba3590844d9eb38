"""Notices: people are told, once, that something needs them. A notice has a reason of a fixed list and no more: no
count, share, column or value, since it passes through the hands of others."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from publisher.commands.status import overview
from publisher.definitions import period as civil
from publisher.durable import private_files, write_file
from publisher.errors import (
    DefinitionError,
    LockedError,
    NoticeError,
    PortalError,
    PublisherError,
    RefusedAtLandingError,
    SourceError,
)
from publisher.feeds.credentials import content_of
from publisher.pipeline.session import locked
from publisher.push.shown import PATIENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from publisher.commands.status import Overview
    from publisher.definitions.settings import NoticeSettings
    from publisher.pipeline.report import RunReport
    from publisher.workspace import DatasetFile, Workspace

FILE = "notices.json"
"""What was told and still holds, in the private folder."""

ROOM = 4096
"""Bytes that its file has at least: one block of a disk, which needs no room any more once the disk is full."""

REASONS = {
    "feed missing": "a release is due, and no file has come for it",
    "feed refused": "a file was refused at landing",
    "late": "a release was due and is not made",
    "under review": "a release waits for a person's decision",
    "approval wanted": "a release or a definition waits for approval",
    "budget refuses": "a release is due, and the budget does not pay for it",
    "budget ends soon": "the budget will soon refuse",
    "portal": "the portal does not answer, or does not show what was released",
    "definition": "a definition was edited, and a run stops until a person decides",
    "answer due": "an answer to a person is due soon",
    "answer overdue": "an answer to a person was due and is not given",
    "failed": "a run failed",
    "does not end": "a run has been at work for more than a day",
}
"""Everything that a notice may say."""

LONGEST_RUN = 24 * 3600
"""Seconds after which a run is taken to hang."""

OF_RUNS = frozenset({"feed refused", "failed", "does not end"})
"""What a run alone finds out; a look neither finds it nor learns that it is over."""


@dataclass(frozen=True, order=True)
class Notice:
    """Something that needs a person."""

    subject: str
    """A dataset with its period, a source, the portal, the run, or a case."""
    reason: str
    """One of REASONS."""
    edition: int = 0
    """Of the release that waits, so that the next one is told as well; 0 for all else."""

    @property
    def words(self) -> str:
        """One line for people."""
        return f"{self.subject}: {REASONS[self.reason]}"


def tell(
    workspace: Workspace, datasets: Sequence[DatasetFile], report: RunReport | None = None, *, offline: bool
) -> tuple[Notice, ...]:
    """Send what was not told yet, and forget what is over; returns what was sent, which is nothing without addresses.

    With `report`, a run of these datasets has just ended. Raises NoticeError where an address cannot be used, and
    what stops a look at the workspace.
    """
    settings = workspace.settings.notices
    if settings is None:
        return ()
    try:
        with locked(workspace):
            found = overview(workspace, datasets, offline=offline, seconds=PATIENT)
            now = {*_of_look(found, datasets, settings), *(_of_run(report, found) if report is not None else ())}
            names = {
                *(each.name for each in datasets),
                *(each.source.name for each in datasets),
                "portal",
                "run",
                "case",
            }
            told = _told(workspace)
            over = {each for each in told - now if _visible(each, names, of_run=report is not None, offline=offline)}
            return _tell(workspace, now - told, (told - over) | now)
    except LockedError:
        return _of_lock(workspace)  # the run that is at work tells the rest when it ends


def _of_lock(workspace: Workspace) -> tuple[Notice, ...]:
    """Tell, once, that a run has been at work for too long: it may hang, and would never tell anything."""
    began = (workspace.private / "lock").stat().st_mtime
    told, hangs = _told(workspace), Notice("run", "does not end")
    if time.time() - began < LONGEST_RUN or hangs in told:
        return ()
    return _tell(workspace, {hangs}, told | {hangs})


def after_run(
    workspace: Workspace, datasets: Sequence[DatasetFile], report: RunReport, *, offline: bool
) -> PublisherError | None:
    """Tell what a run leaves to people; returns why that did not work."""
    try:
        tell(workspace, datasets, report, offline=offline)
    except PublisherError as error:
        return error
    return None


@contextmanager
def told_if_stopped(workspace: Workspace) -> Iterator[None]:
    """Tell that the run failed if something stops it altogether."""
    try:
        yield
    except LockedError:
        raise
    except Exception:
        if workspace.settings.notices is not None:
            failed, told = Notice("run", "failed"), _told(workspace)
            with suppress(PublisherError):  # what stopped the run is more important than how it is told
                _tell(workspace, {failed} - told, told | {failed})
        raise


def _tell(workspace: Workspace, new: set[Notice], remembered: set[Notice]) -> tuple[Notice, ...]:
    """Send what is new in one message, then remember it; nothing that reached no one."""
    failed = send(workspace, sorted(new)) if new else None
    _remember(workspace, remembered)
    if failed is not None:
        raise failed
    return tuple(sorted(new))


def send(workspace: Workspace, notices: Iterable[Notice]) -> NoticeError | None:
    """Send one message with these notices, or a trial without any, to every address. Returns the error of addresses
    that did not work if others did; raises it if none did."""
    settings = workspace.settings.notices
    if settings is None:
        raise DefinitionError(
            'publisher.toml: no addresses for notices: add [notices] with addresses = { env = "PUBLISHER_NOTICES" }'
        )
    lines = [each.words for each in notices]
    addresses = _addresses(settings)
    number = f"{len(lines):,} thing{' needs' if len(lines) == 1 else 's need'} you"
    title = f"{workspace.settings.organization}: {number if lines else 'a trial of notices'}"
    text = "\n".join([*lines, "", "`publisher status` says more, and what to do."]) if lines else "Notices arrive."
    failed = [place for place, address in enumerate(addresses, 1) if not _sent(address, title, text)]
    if not failed:
        return None
    which = ", ".join(map(str, failed))
    error = NoticeError(f"no notice could be sent to address {which} of {len(addresses)}: check it, and its server")
    if len(failed) == len(addresses):
        raise error
    return error


def _addresses(settings: NoticeSettings) -> list[str]:
    text, place = content_of(settings.addresses, "publisher.toml: notices.addresses:")
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise SourceError(f"publisher.toml: notices.addresses: {place} has no address: write one on each line")
    return found


def _sent(address: str, title: str, text: str) -> bool:
    """Whether the address took the message. Nothing is logged: Apprise would log addresses, which have passwords."""
    import logging

    from apprise import Apprise, NotifyFormat

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    service = Apprise()
    return service.add(address) and bool(service.notify(body=text, title=title, body_format=NotifyFormat.TEXT))


def _of_look(found: Overview, datasets: Sequence[DatasetFile], settings: NoticeSettings) -> Iterable[Notice]:
    for matter in found.needs:
        yield Notice(matter.subject, matter.reason, matter.edition or 0)
    by_name = {each.name: each for each in datasets}
    for morning in found.datasets:
        if morning.budget_until is None:
            continue
        today = by_name[morning.dataset].source.today()
        refused = civil.parse(morning.budget_until)
        left = len(civil.Period(min(today, refused.start), refused.start, refused.grain).cut(refused.grain))
        if left <= settings.budget_periods:
            yield Notice(morning.dataset, "budget ends soon")


def _of_run(report: RunReport, found: Overview) -> Iterable[Notice]:
    """What only the run knows: refused files, and failures that a look does not explain."""
    explained = {each.exit_code for each in found.needs}
    for error in report.errors:
        if isinstance(error, RefusedAtLandingError):
            yield Notice(error.source, "feed refused")
        elif isinstance(error, PortalError):
            yield Notice("portal", "portal")
        elif error.exit_code not in explained and not any(each.reason == "feed missing" for each in found.needs):
            yield Notice("run", "failed")


def _visible(notice: Notice, seen: set[str], *, of_run: bool, offline: bool) -> bool:
    """Whether who looked now would have found it."""
    if notice.subject.split(" ")[0] not in seen or (offline and notice.reason == "portal"):
        return False
    return of_run or notice.reason not in OF_RUNS


def _told(workspace: Workspace) -> set[Notice]:
    try:
        rows = json.loads((workspace.private / FILE).read_bytes())
        return {Notice(*row) for row in rows}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, TypeError):
        return set()  # damaged: everything is told again


def _remember(workspace: Workspace, notices: Iterable[Notice]) -> None:
    """A full disk takes no new file, but the one that lies there can be written over: it is told once, too."""
    rows = [astuple(each) for each in sorted(notices)]
    content, path = json.dumps(rows).encode().ljust(ROOM), workspace.private / FILE
    try:
        with private_files():
            write_file(path, content, mode=0o600)
    except SourceError:
        if not _written_over(path, content):
            raise


def _written_over(path: Path, content: bytes) -> bool:
    """Whether the file could take the content without growing."""
    with suppress(OSError), path.open("r+b") as file:
        if os.fstat(file.fileno()).st_size >= len(content):
            file.write(content)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
            return True
    return False
