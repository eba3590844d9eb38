"""Honest about itself: a full disk, files that are missing or damaged, and who changed what."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from portal_process import publish, start, stop
from small_disk import mounted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portal_process import Running

ROWS = [{"id": str(number), "zone": f"Zone {number}"} for number in range(20)]


def random_rows(start: int) -> list[dict[str, Any]]:
    """Rows that do not compress: about 3 MB on the disk."""
    from random import Random

    chance = Random(start)
    return [{"id": str(number), "zone": chance.randbytes(1000).hex()} for number in range(start, start + 3000)]


@pytest.mark.usefixtures("processes")
def test_a_full_disk_is_507_and_not_ready(tmp_path: Path) -> None:
    """Writes are refused with 507 and change nothing, reads go on, and with more room everything does."""
    with mounted(tmp_path / "disk", "size=30m") as remount:
        running = start(tmp_path / "disk" / "state")
        try:
            with running.client() as client:
                name = publish(client, "Fills the disk", ROWS)
            address, ready = f"{running.address}/resource/{name}.json", f"{running.address}/health/ready"
            assert requests.get(ready, timeout=60).status_code == 200
            statuses = []
            while not statuses or statuses[-1] == 200:
                answer = requests.post(address, json=random_rows(len(statuses) * 3000), auth=running.login, timeout=60)
                statuses.append(answer.status_code)
            assert (statuses[-1], answer.json()["code"]) == (507, "storage.full")
            whole = [3000 * (len(statuses) - 1)]
            assert counted(address) == whole, "the write that failed has changed nothing"
            assert not list((running.state / "data" / name).glob("*.tmp"))
            with suppress(OSError), (tmp_path / "disk" / "rest").open("wb", buffering=0) as rest:
                while rest.write(bytes(1 << 16)):
                    pass
            answer = requests.get(ready, timeout=60)
            assert (answer.status_code, answer.json()["disk"]) == (503, "unavailable")
            made = {"name": "One more"}
            refused = requests.post(f"{running.address}/api/views.json", json=made, auth=running.login, timeout=60)
            assert refused.status_code == 507
            assert counted(address) == whole
            remount("size=90m")
            assert requests.get(ready, timeout=60).status_code == 200
            assert requests.post(address, json=random_rows(0), auth=running.login, timeout=60).status_code == 200
        finally:
            assert stop(running) == 0
        assert "Traceback" not in running.log.read_text()


def counted(address: str) -> list[int]:
    """How many rows there are, without asking for them."""
    return [int(row["n"]) for row in requests.get(address, {"$select": "count(*) as n"}, timeout=60).json()]


@pytest.fixture(scope="module")
def city(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """A workspace with a running portal."""
    folder = tmp_path_factory.mktemp("honest") / "city"
    publisher(folder.parent, "init", str(folder))
    (folder / "state").mkdir(mode=0o700, exist_ok=True)
    running = start(folder / "state" / "portal")
    yield running, folder
    assert stop(running) == 0


def publisher(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What a command says."""
    command = [Path(sys.executable).with_name("publisher"), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def part_of(running: Running, name: str) -> Path:
    """The only part of a dataset's current rows."""
    (part,) = sorted((running.state / "data" / name).glob("[0-9]*"))[-1].glob("*.parquet")
    return part


def test_rows_that_are_missing_or_damaged_are_never_shown(city: tuple[Running, Path]) -> None:
    """One byte of a part, or the part itself: 503 in every form, also for rows in memory; other datasets go on, the
    command names it, an upsert does not build on it, and rows that replace all make it whole."""
    running, folder = city
    with running.client() as client:
        broken, other = publish(client, "Broken", ROWS), publish(client, "Sound", ROWS)
    said = publisher(folder, "portal", "verify")
    assert (said.returncode, said.stdout) == (0, "2 datasets: every file is as it was written\n"), said.stderr
    address = f"{running.address}/resource/{broken}.json"
    for _ in range(5):
        assert len(requests.get(address, timeout=60).json()) == 20
    for fault, harm in (("damaged", flipped), ("missing", Path.unlink)):
        part = part_of(running, broken)
        harm(part)
        for path in (f"/resource/{broken}.json", f"/api/views/{broken}/rows.csv", f"/api/views/{broken}/rows.xlsx"):
            answer = requests.get(running.address + path, timeout=60)
            assert (answer.status_code, answer.json()["code"]) == (503, "dataset.damaged"), path
            assert str(running.state) not in answer.text
        assert f"dataset {broken}, version" in running.log.read_text()
        assert requests.post(address, json=ROWS[:1], auth=running.login, timeout=60).status_code == 503
        assert len(requests.get(f"{running.address}/resource/{other}.json", timeout=60).json()) == 20
        said = publisher(folder, "portal", "verify")
        assert said.returncode == 6
        assert f"{broken} (Broken): its part {part.name} is {fault}" in said.stderr
        assert other not in said.stderr
        assert requests.put(address, json=ROWS, auth=running.login, timeout=60).status_code == 200
        assert len(requests.get(address, timeout=60).json()) == 20
    assert publisher(folder, "portal", "verify").returncode == 0


def flipped(file: Path) -> None:
    """Change one bit in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_stored_file_that_is_damaged_is_named(city: tuple[Running, Path]) -> None:
    """An attachment with another content, which the catalog's hash tells."""
    running, folder = city
    with running.client() as client:
        name = publish(client, "With a file", ROWS)
        form = {"file": ("a.txt", b"content")}
        asset = requests.post(f"{running.address}/api/assets", files=form, auth=running.login, timeout=60).json()["id"]
        client.update_metadata(name, {"metadata": {"attachments": [{"filename": "a.txt", "assetId": asset}]}})
    (running.state / "assets" / asset).write_bytes(b"contents")
    said = publisher(folder, "portal", "verify")
    assert (said.returncode, f"{name} (With a file): its file {asset} is damaged" in said.stderr) == (6, True)
    with running.client() as client:
        client.delete(name)


def test_hashes_are_those_of_sha256sum(city: tuple[Running, Path]) -> None:
    """Anyone can check a version without this program; a part that a write keeps keeps its hash."""
    running, _ = city
    with running.client() as client:
        name = publish(client, "Listed", ROWS)
        client.upsert(name, [{"id": "more", "zone": "x"}])
        for version in (running.state / "data" / name).glob("[0-9]*"):
            subprocess.run(["sha256sum", "--check", "--quiet", "parts.sha256"], cwd=version, check=True)
        client.delete(name)


def test_what_accounts_change_is_in_the_audit_log(city: tuple[Running, Path]) -> None:
    """Who, what, which dataset and when, also of what was refused; no reading, no stranger, and no value."""
    running, folder = city
    added = publisher(folder, "accounts", "add", "anna", "--role", "viewer")
    anna = ("anna", added.stdout.rpartition(": ")[2].strip())
    with running.client() as client:
        name = publish(client, "Audited", ROWS)
        client.get(name)
    address = f"{running.address}/resource/{name}"
    row = {"id": "Secret St", "zone": "Xyzzy"}
    assert requests.post(f"{address}.json", json=row, auth=running.login, timeout=60).ok
    assert requests.delete(f"{address}/Secret%20St.json", auth=running.login, timeout=60).ok
    assert requests.put(f"{address}.json", json=[row], auth=anna, timeout=60).status_code == 403
    assert requests.put(f"{address}.json", json=[row], timeout=60).status_code == 403
    query = {"query": "SELECT * WHERE zone = 'Xyzzy'"}
    third = f"{running.address}/api/v3/views/{name}/query.json"
    assert requests.post(third, json=query, auth=anna, timeout=60).ok
    file = running.state / "audit.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    assert not any(value in text for value in ("Secret", "Xyzzy", "127.0.0.1", "Zone 1"))
    lines = [line for line in map(json.loads, text.splitlines()) if line["dataset"] == name]
    assert all(line.keys() == {"at", "account", "did", "dataset", "status", "request"} for line in lines)
    shown = [(line["account"], line["did"], line["status"]) for line in lines]
    assert shown[0] == ("publisher", "POST /api/views.json", 200)
    assert shown[-3:] == [
        ("publisher", "POST /resource/{name}", 200),
        ("publisher", "DELETE /resource/{id}/{row}", 200),
        ("anna", "PUT /resource/{name}", 403),
    ]
