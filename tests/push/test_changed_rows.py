"""A push sends and reads back only what has changed since the last one, while nobody else wrote to the table."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import requests
from push_examples import listing, release
from test_publication import Pusher, public_rows, refused

from publisher.errors import PortalError
from publisher.push.client import View
from publisher.push.memory import changed_part, keep, left_on, recalled

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Broken, Running

    from publisher.push.listing import Listing
    from publisher.push.publication import Publication
    from publisher.release.manifest import Release


class Remembering(Pusher):
    """Keeps what each push left, as a run does."""

    last: Publication | None = None

    def push(self, what: Listing, *releases: Release, **options: Any) -> Publication:
        """Also what the one before left."""
        left = self.last.left if self.last is not None else None
        what = replace(what, facts={"releases": str([each.manifest.name for each in releases])})
        self.last = super().push(what, *releases, pushed=left, chunk=10**6, **options)
        return self.last

    @property
    def read(self) -> int:
        """How many pages of rows were read."""
        return sum(request.startswith("GET /resource") for request in self.broken.requests)


@pytest.fixture
def pusher(portal: Running, broken: Broken) -> Remembering:
    """Pushes as a run does."""
    return Remembering(portal, broken)


def weeks(folder: Path, *numbers: int, **changes: Any) -> list[Release]:
    """One release for each."""
    return [release(folder, "weeks", number, **changes) for number in numbers]


def test_only_the_rows_of_changed_periods_are_read_and_sent(
    portal: Running, pusher: Remembering, tmp_path: Path
) -> None:
    """A new week, a new edition and a retraction leave the table as a push of everything would."""
    what = listing("weeks")
    first = weeks(tmp_path, 1, 2, 3)
    pusher.push(what, *first)
    for wanted in (
        [*first, *weeks(tmp_path, 4)],
        [*weeks(tmp_path, 1, edition=2, places=9, shift=1.0), *weeks(tmp_path, 2, 3, 4)],
        weeks(tmp_path, 2, 3, 4),
    ):
        changed = _asked(pusher, portal, what, wanted)
        assert all("2018-01-0" in where or "2018-01-2" in where for where in changed)
        assert "2018-01-15" not in "".join(changed)  # the third week did not change
        assert pusher.verify(replace(what, facts=_facts(wanted)), *wanted).rows == len(
            public_rows(portal, str(pusher.id))
        )
    pusher.push(what, *weeks(tmp_path, 2, 3, 4))
    assert (pusher.read, pusher.broken.writes) == (1, [])  # the rows are counted, and nothing else


def _facts(releases: list[Release]) -> dict[str, str]:
    return {"releases": str([each.manifest.name for each in releases])}


def _asked(pusher: Remembering, portal: Running, what: Listing, wanted: list[Release]) -> list[str]:
    """The conditions under which the push reads rows."""
    seen: list[str] = []

    def watch(handler: Any) -> bool:
        seen.append(handler.path)
        return False

    pusher.broken.faults["GET /resource"] = [watch] * 20
    assert pusher.push(what, *wanted).changed
    pusher.broken.faults.clear()
    read = [path for path in seen if "count%28" not in path and "count(" not in path]
    assert read
    assert all("where" in path for path in read)
    return read


def test_rows_that_someone_else_wrote_are_found(portal: Running, pusher: Remembering, tmp_path: Path) -> None:
    """Rows that were written since the last push, in a period that did not change: everything is compared."""
    what, first = listing("meddled"), weeks(tmp_path, 1, 2)
    pusher.push(what, *first)
    time.sleep(1.1)  # a portal says when rows were written to the second
    target = portal.target()
    row = public_rows(portal, str(pusher.id))[3] | {"requests": "77"}
    auth = (target.username, target.password)
    address = f"{portal.url}/resource/{pusher.id}.json"
    assert requests.post(address, json=[row], auth=auth, timeout=20).ok
    assert pusher.push(what, *first).changed
    assert public_rows(portal, str(pusher.id))[3]["requests"] != "77"


def test_a_push_that_was_cut_off_is_compared_whole(pusher: Remembering, tmp_path: Path) -> None:
    """The metadata say that it is unfinished, so what the push before left is not believed."""
    what, first = listing("cut-off"), weeks(tmp_path, 1, 2)
    pusher.push(what, *first)
    pusher.broken.faults["POST /resource"] = [refused(400)]
    wanted = [*first, *weeks(tmp_path, 3)]
    with pytest.raises(PortalError):
        pusher.push(what, *wanted)
    whole = pusher.push(what, *wanted)
    assert (whole.rows, whole.checksum == "") == (36, False)


def test_what_was_left_is_kept_in_a_file(pusher: Remembering, tmp_path: Path) -> None:
    """One that is missing or damaged says nothing, and all is compared."""
    left = pusher.push(listing("kept"), *weeks(tmp_path, 1)).left
    assert left is not None
    path = tmp_path / "portal_rows.json"
    assert recalled(path) == {}
    keep(path, {"town": left})
    assert recalled(path) == {"town": left}
    path.write_text('{"town": 3}')
    assert recalled(path) == {}


@pytest.mark.parametrize("numbered", [True, False])
def test_another_write_of_the_same_second_is_seen(tmp_path: Path, numbered: bool) -> None:
    """By its number, as publisher's own portal gives it; where a portal has none, only what is a minute old counts."""
    releases, now = weeks(tmp_path, 1), int(time.time())

    def view(updated: int, version: int) -> View:
        fields = {"rowsUpdatedAt": updated, "publicationStage": "published"}
        return View("abcd-efgh", fields | ({"rowsVersion": version} if numbered else {}))

    left = left_on(view(now, 7), releases)
    assert (left is not None) == numbered
    settled = left_on(view(now - 61, 7), releases)
    assert settled is not None
    assert changed_part(settled, view(now - 61, 7), releases) is not None
    assert (changed_part(settled, view(now - 61, 8), releases) is None) == numbered
    assert changed_part(settled, view(now, 7), releases) is None
