"""A portal verifies by its address alone: whatever someone changed of a table's newest release is named."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from reviewed import Reviewers

from publisher.push.client import SocrataClient
from publisher.push.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from township import Answer, Town


@contextmanager
def serving(town: Town) -> Iterator[str]:
    """The town's own portal, until the test ends."""
    ready = town.root / "ready"
    command = [sys.executable, "-m", "publisher.portal", str(town.state / "portal"), "--port", "0"]
    with (
        (town.root / "log").open("w") as log,
        subprocess.Popen([*command, "--ready-file", str(ready)], stderr=log) as it,
    ):
        try:
            deadline = time.monotonic() + 60
            while not ready.exists():
                assert it.poll() is None, (town.root / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield ready.read_text().strip()
        finally:
            it.terminate()
            it.wait(15)


class Shown:
    """A table on the portal, to be changed by someone with the portal's own account."""

    def __init__(self, client: SocrataClient, identifier: str) -> None:
        self.client, self.id = client, identifier

    def swap(self, name: str, before: bytes, after: bytes) -> bytes:
        """Put another file in the place of an attached one; what that had."""
        view = self.client.view(self.id)
        assert view is not None
        content = self.client.attached(self.id, view.assets[name])
        assert before in content, (name, before)
        self.put(name, content.replace(before, after, 1))
        return content

    def put(self, name: str, content: bytes) -> None:
        view = self.client.view(self.id)
        assert view is not None
        asset = self.client.attach(name, content, "application/json")
        listed = [each | {"assetId": asset} if each["filename"] == name else each for each in view.attachments]
        self.client.update(self.id, {"metadata": view.fields["metadata"] | {"attachments": listed}})

    def rename(self, name: str) -> None:
        """Say that it is another table."""
        view = self.client.view(self.id)
        assert view is not None
        metadata = view.fields["metadata"]
        fields = metadata["custom_fields"]
        ours = {"Publisher": fields["Publisher"] | {"dataset": name}}
        self.client.update(self.id, {"metadata": metadata | {"custom_fields": fields | ours}})

    def remove(self, name: str) -> None:
        """Take a file off the list."""
        view = self.client.view(self.id)
        assert view is not None
        listed = [each for each in view.attachments if each["filename"] != name]
        self.client.update(self.id, {"metadata": view.fields["metadata"] | {"attachments": listed}})


def verify(town: Town, address: str, *options: str) -> tuple[Answer, dict[str, Any]]:
    answer = town.publisher("-C", str(town.root.parent), "verify", address, "--json", *options)
    return answer, {row["what"]: row for row in answer.rows}


@pytest.mark.usefixtures("processes")
def test_a_portal_is_verified_by_its_address(town: Town, tmp_path: Path) -> None:
    """The newest release, its manifest, the ledger's entries, the approval and the rows: each change is named (6)."""
    reviewers = Reviewers.made(tmp_path / "keys")
    reviewers.ask(town, "ana")
    reviewers.decide(town, "water")
    assert town.run("water").code == 0  # all wait for approval
    for period in ("2024-01", "2024-02", "2024-03"):
        reviewers.decide(town, "water", period)
    with serving(town) as url:
        pushed = town.publisher("push", "water", PUBLISHER_PORTAL=url)
        assert pushed.code == 0, pushed.err
        answer, rows = verify(town, url)
        assert answer.code == 0, answer.err
        assert rows["water: portal"]["checked"] == "newest release: water/2024-03/1"
        assert answer.err == ""
        account = json.loads((town.state / "portal" / "writer.json").read_text())
        with SocrataClient(Target(url, False, timeout=20, **account)) as client:
            shown = Shown(client, client.listed()[0])
            for name, before, after, words in (
                (
                    "manifest.json",
                    b'"edition": 1',
                    b'"edition":  1',
                    "manifest.json was changed: the ledger has another one",
                ),
                ("manifest.json", b'"loss": "1/10"', b'"loss": "1/20"', "charged something else than it claims: loss"),
                ("guarantee.json", b"{", b"{ ", "guarantee.json was changed"),
                ("release.csv", b"2024-03", b"2024-04", "release.csv was changed"),
                ("evidence.json", b'\\"edition\\":1', b'\\"edition\\":2', "of the ledger was changed"),
                ("evidence.json", b"It looks right", b"It looks wrong", "was changed"),
            ):
                original = shown.swap(name, before, after)
                answer, rows = verify(town, f"{url}/d/{shown.id}")
                assert answer.code == 6
                assert any(words in fault for fault in rows["water: portal"]["faults"]), (words, rows)
                shown.put(name, original)
            invented = {"id": "2024-04.A", "period": "2024-04", "zone": "A", "accounts": "1"}
            client.upsert(shown.id, [invented])
            client.publish(shown.id)
            (fault,) = verify(town, url)[1]["water: portal"]["faults"]
            assert fault == "water: rows after 2024-03, the newest release: 2024-04.A"
            client.upsert(shown.id, [{"id": invented["id"], ":deleted": True}])
            client.publish(shown.id)
            held = next(iter(client.rows(shown.id, ["id", "accounts"], where="period = '2024-03'")))
            client.upsert(shown.id, [{"id": held["id"], "accounts": "999"}])
            client.publish(shown.id)
            answer, rows = verify(town, url)
            (fault,) = rows["water: portal"]["faults"]
            assert fault == f"water 2024-03: rows that are not as released: {held['id']}"
        assert town.publisher("push", "water", PUBLISHER_PORTAL=url).code == 0
        with SocrataClient(Target(url, False, timeout=20, **account)) as client:
            shown = Shown(client, client.listed()[0])
            for name, words in (("release.csv", "release.csv is gone"), ("evidence.json", "attached, and is gone")):
                shown.remove(name)
                answer, rows = verify(town, url)
                assert words in rows["water: portal"]["faults"][0]
                assert answer.code == 6
            assert town.publisher("push", "water", PUBLISHER_PORTAL=url).code == 0
            shown.rename("water-invented")
            (fault,) = verify(town, url)[1]["water-invented: portal"]["faults"]
            assert fault == "water-invented: shows manifest.json of water/2024-03/1, which has no such table"
    assert town.publisher("verify", "http://127.0.0.1:9/elsewhere").code == 2
    assert town.publisher("verify", url).code == 6  # it has ended
    path = town.state / "public" / "approvals" / "water" / "2024-02" / "1" / "ana.json"
    signed = path.read_bytes()
    path.write_bytes(signed.replace(b"It looks right", b"It looks wrong"))
    answer, rows = verify(town, str(town.state / "public"))
    assert answer.code == 5
    fault = "water/2024-02/1/ana.json: the approval was changed after it was recorded"
    assert rows["approvals"] == {"what": "approvals", "checked": "decisions: 4", "result": "wrong", "faults": [fault]}
    path.unlink()
    answer, rows = verify(town, str(town.state / "public" / "releases" / "water" / "2024-02" / "1"))
    assert "the approval is gone" in answer.err
