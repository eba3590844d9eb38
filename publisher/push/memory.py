"""What the last push left on the portal, so that the next one sends and reads back only what has changed since.

It is believed as long as the portal says that nobody wrote rows since, and that it has the releases that it had then.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.definitions import period as civil
from publisher.definitions.model import Model
from publisher.durable import write_file
from publisher.release.manifest import data_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from publisher.push.client import View
    from publisher.release.manifest import Release

SETTLED = 60
"""Seconds after which another write has another time, also by a clock that differs a little."""

MOST = 60
"""How many periods are asked for one by one; beyond that, all rows are compared."""


class Pushed(Model):
    """One table on the portal after a push."""

    id: str
    updated: int
    """When its rows were last written, as the portal says it."""
    version: int | None = None
    """Which writing of rows that was; None if the portal does not number them."""
    told: str
    """A digest of the releases that the portal says it has."""
    tables: dict[str, str]
    """By period: a digest of the release whose rows are there."""


@dataclass(frozen=True)
class ChangedPart:
    """The part of a table that a push looks at: releases, and the portal's rows of their periods."""

    releases: Sequence[Release]
    where: str
    """A SoQL condition; empty if no row has to be looked at."""
    rows: int
    """How many rows the whole table should have."""


def changed_part(pushed: Pushed | None, view: View, releases: Sequence[Release]) -> ChangedPart | None:
    """What has changed since that push; None if the portal may have changed too, or nearly everything did."""
    if pushed is None or not _as_left(pushed, view):
        return None
    wanted = marks(releases)
    changed = {period for period in {*wanted, *pushed.tables} if wanted.get(period) != pushed.tables.get(period)}
    if len(changed) > MOST:
        return None
    totals = any(each.manifest.added for each in releases)
    where = " OR ".join(_condition(period, total=totals) for period in sorted(changed))
    chosen = [each for each in releases if each.manifest.period in changed]
    return ChangedPart(chosen, where, sum(each.manifest.rows for each in releases))


def written_since(pushed: Pushed | None, view: View) -> str:
    """Where rows were changed since that push: there (by someone else) or here; empty if nobody can tell."""
    if pushed is None or pushed.id != view.id:
        return ""
    return "here" if (pushed.updated, pushed.version) == _rows_of(view) else "there"


def left_on(view: View, releases: Sequence[Release]) -> Pushed | None:
    """What a push that has just ended left there; None if the portal does not say when rows were written.

    Also if it says that it was just now and does not number its writes, as publisher's own portal does: it tells whole
    seconds, so another write of the same second would not be seen.
    """
    updated, version = _rows_of(view)
    if updated is None or (version is None and time.time() - updated < SETTLED):
        return None
    return Pushed(id=view.id, updated=updated, version=version, told=_told(view), tables=marks(releases))


def marks(releases: Sequence[Release]) -> dict[str, str]:
    """By period, a digest of the table that is current."""
    return {each.manifest.period: _mark(each) for each in releases}


def recalled(path: Path) -> Mapping[str, Pushed]:
    """What is known of each table; nothing if the file is missing or damaged: all is compared again."""
    try:
        return {name: Pushed.model_validate(each) for name, each in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def keep(path: Path, known: Mapping[str, Pushed]) -> None:
    """Write what is known of each table."""
    write_file(path, json.dumps({name: each.model_dump() for name, each in sorted(known.items())}).encode() + b"\n")


def _mark(release: Release) -> str:
    says = release.manifest
    written = says.files.get(data_file(release.level))
    return written.sha256 if written is not None else f"{says.name} {says.created}"


def _as_left(pushed: Pushed, view: View) -> bool:
    """Whether the portal's rows are still those that were proven."""
    whole = view.published and "unfinished" not in view.custom
    return whole and (view.id, *_rows_of(view), _told(view)) == (
        pushed.id,
        pushed.updated,
        pushed.version,
        pushed.told,
    )


def _rows_of(view: View) -> tuple[int | None, int | None]:
    """When rows were last written, and which writing that was."""
    updated, version = view.fields.get("rowsUpdatedAt"), view.fields.get("rowsVersion")
    return updated if isinstance(updated, int) else None, version if isinstance(version, int) else None


def _told(view: View) -> str:
    return hashlib.sha256(str(view.custom.get("releases")).encode()).hexdigest()


def _condition(period: str, *, total: bool) -> str:
    """The rows of one release: its cells lie within its period; a total is named after it."""
    if total:
        return f"period = '{period}'"
    days = civil.parse(period)
    return f"(period_start >= '{days.start.isoformat()}T00:00:00' AND period_start < '{days.end.isoformat()}T00:00:00')"
