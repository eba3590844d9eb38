"""Encryption at rest, by the command: nothing of a record lies readable in the state, and a key that is missing, wrong,
new or given up costs nothing."""

from __future__ import annotations

import base64
import gzip
import os
import signal
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

import pytest
from township import CANARY, COMMAND, Town, requests_csv

from publisher import encryption
from publisher.commands.check import inspect_files
from publisher.pipeline.session import locked
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE, OTHER = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
SETTING = '\n[encryption]\nkey = { env = "TOWN_KEY" }\n'
PREVIOUS = 'previous = { env = "TOWN_KEY_BEFORE" }\n'
KINDS = ("landed", "receipts", "known", "reports")


def settle(town: Town, more: str = SETTING) -> Town:
    """The town with [encryption]."""
    path = town.root / "publisher.toml"
    path.write_text(path.read_text() + more)
    return town


def run(town: Town, key: str = ONE, **more: str) -> int:
    """The exit code of a run."""
    return town.publisher("run", "--no-push", TOWN_KEY=key, **more).code


def readable(town: Town) -> set[str]:
    """The files of the state in which a planted value can be read, by their first folder in the private one."""
    found = set()
    for path in (path for path in town.state.rglob("*") if path.is_file()):
        if CANARY.encode() in path.read_bytes():
            parts = path.relative_to(town.state).parts
            found.add(parts[1] if parts[0] == "private" else parts[0])
    return found


def plain(town: Town) -> list[str]:
    """The private files with something of records that are not encrypted."""
    folders = [town.state / "private" / kind for kind in KINDS]
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.name != "batch.json"]
    return [str(path) for path in paths if encryption.key_name(path) is None]


def in_memory(town: Town) -> Path:
    """Where the temporary files of the town are."""
    return encryption.memory_of(town.state / "private")


@pytest.fixture
def sealed(town: Town) -> Iterator[Town]:
    """A town with a key in which nothing has happened yet; what it left in memory is removed."""
    yield settle(town)
    subprocess.run(["rm", "-rf", str(in_memory(town))], check=True)


def test_nothing_of_a_record_is_readable(sealed: Town, first_town: Town) -> None:
    """Of a town that has released everything, no file holds a planted value in the clear, and every file of records,
    receipts and reports is encrypted; without a key the same search finds it. The releases are there, and verify."""
    assert "landed" in readable(first_town)
    assert run(sealed) == 0
    assert readable(sealed) == set()
    assert plain(sealed) == []
    assert not any(path.is_file() for path in in_memory(sealed).rglob("*"))
    assert sealed.publisher("verify", "--offline", TOWN_KEY=ONE).code == 0
    assert len(sealed.charges()) == len(first_town.charges())


def test_worker_processes_encrypt_too(sealed: Town) -> None:
    """Where so many files have come that workers land them, nothing is readable either."""
    file = sealed.data / "requests" / "first.csv"
    head, *rows = file.read_text().splitlines()
    file.unlink()
    for number in range(0, len(rows), 2):
        (file.parent / f"{number:04}.csv").write_text("\n".join([head, *rows[number : number + 2]]) + "\n")
    sealed.edit("publisher.toml", "[engine]\n", '[engine]\nexecutor = "processes"\nthreads = 2\n')
    assert run(sealed) == 0
    assert readable(sealed) == set()
    assert plain(sealed) == []


def test_nothing_is_readable_after_a_crash(sealed: Town) -> None:
    """A run that is killed while it lands a packed file, of which a plain copy is made, leaves nothing readable in the
    state; the next run removes what it left in memory, and releases everything once."""
    (sealed.data / "requests" / "first.csv").unlink()
    (sealed.data / "requests" / "first.csv.gz").write_bytes(gzip.compress(requests_csv(60_000).encode()))
    command = [str(COMMAND), "run", "--no-push"]
    process = subprocess.Popen(
        command,
        cwd=sealed.root,
        env=sealed.environment(TOWN_KEY=ONE),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    staging, copy = sealed.state / "private" / "landed" / "requests", in_memory(sealed) / "tmp"
    while not (any(staging.glob(".staging-*/*")) and any(copy.rglob("*.plain"))):
        assert process.poll() is None, "the run ended before it was killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert readable(sealed) == set()
    assert run(sealed) == 0
    assert readable(sealed) == set()
    assert not any(path.is_file() for path in in_memory(sealed).rglob("*"))
    assert len(sealed.charges()) == 6


WITHOUT_KEY = (
    (SETTING, "", "TOWN_KEY is not set"),
    (SETTING, OTHER, "were encrypted with the key"),
    (SETTING, "secret", "gives no key"),
    ("", ONE, "is encrypted, and publisher.toml does not say where its key is"),
    ('\n[encryption]\nkey = { file = "/none/there" }\n', ONE, "/none/there cannot be read"),
    ('\n[encryption]\nkey = { command = ["false"] }\n', ONE, "the command false ended with code 1"),
)


def test_a_run_leaves_what_others_have_in_memory(sealed: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit that is at work, and someone who looks at a file, keep their temporary files; those of the dead go."""
    monkeypatch.setenv("TOWN_KEY", ONE)
    monkeypatch.setenv("XDG_STATE_HOME", str(sealed.root / "heads"))
    workspace = find_workspace(sealed.root)
    folder = encryption.in_memory(workspace.private)
    audit = encryption.in_memory(workspace.private / "audit" / "worst" / "private")
    assert folder is not None
    assert audit is not None
    looking, dead = folder / f".preview.{os.getpid()}", folder / ".preview.999999999"
    looking.mkdir()
    dead.mkdir()
    with locked(workspace):
        assert (looking.exists(), audit.exists(), dead.exists()) == (True, True, False)


def test_files_are_looked_at_in_the_private_folder(sealed: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by `check --data`, which makes a plain copy of a packed file or a workbook: never in the machine's /tmp."""
    monkeypatch.setenv("XDG_STATE_HOME", str(sealed.root / "heads"))
    path = sealed.root / "publisher.toml"
    path.write_text(path.read_text().replace(SETTING, ""))
    workspace = find_workspace(sealed.root)
    with locked(workspace):
        pass
    elsewhere = sealed.root / "tmp of the machine"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    checks = inspect_files(workspace)
    next(checks)
    assert [each.name for each in workspace.private.glob(".preview.*")] == [f".preview.{os.getpid()}"]
    assert list(elsewhere.iterdir()) == []
    list(checks)
    assert not list(workspace.private.glob(".preview.*"))


def test_without_its_key_nothing_is_charged(sealed: Town) -> None:
    """A missing, wrong or unusable key is one message and exit code 5, shows no key, and changes no private file; with
    the key the town goes on."""
    path = sealed.root / "publisher.toml"
    before = path.read_text()
    assert sealed.publisher("land", TOWN_KEY=ONE).code == 0
    private = sealed.tree("state/private")
    for setting, key, words in WITHOUT_KEY:
        path.write_text(before.replace(SETTING, setting))
        answer = sealed.publisher("run", "--no-push", TOWN_KEY=key)
        assert answer.code == 5
        assert words in " ".join(answer.err.split())
        assert answer.err.count("error:") == 1
        assert key == "" or key not in answer.err
        assert sealed.tree("state/private") == private
    path.write_text(before)
    assert sealed.publisher("land", TOWN_KEY=ONE).code == 0


def test_a_town_begins_to_encrypt(released: Town) -> None:
    """What was landed without a key is read as it is, and encrypted by the next landing; releases stay as they are."""
    before = released.tree("state/public/releases")
    settle(released)
    assert plain(released) != []
    assert released.publisher("land", TOWN_KEY=ONE).code == 0
    assert plain(released) == []
    assert readable(released) == set()
    assert released.tree("state/public/releases") == before


def test_a_key_is_rotated(sealed: Town) -> None:
    """With the new key and the one before it everything is read; once rotated, the new one is enough and the old one
    opens nothing; a rotation that stopped half way goes on."""
    assert sealed.publisher("land", TOWN_KEY=ONE).code == 0
    settle(sealed, PREVIOUS)
    both = {"TOWN_KEY": OTHER, "TOWN_KEY_BEFORE": ONE}
    files = sorted((sealed.state / "private" / "landed").rglob("*.parquet"))
    names = {encryption.key_name(path) for path in files}
    # Half way: one file has the new key already.
    new, old = (encryption.WorkspaceKey(base64.b64decode(key)) for key in (OTHER, ONE))
    private = sealed.state / "private"
    encryption.give([encryption.Encryption(private, (new, old), spills=False)])
    encryption.rewrite(files[0])
    encryption.declare(private, None)
    assert sealed.publisher("keys", "rotate", **both).code == 0
    assert {encryption.key_name(path) for path in files} == {new.name} != names
    sealed.edit("publisher.toml", PREVIOUS, "")
    assert run(sealed, ONE) == 5
    assert run(sealed, OTHER) == 0
    answer = sealed.publisher("keys", "--json", TOWN_KEY=OTHER)
    assert '"previous": 0' in answer.out
    assert '"plain": 0' in answer.out


def test_a_private_report_is_shown(sealed: Town) -> None:
    """Who has the key reads a private report, and the journal tells of it; other files are not shown."""
    assert sealed.publisher("land", TOWN_KEY=ONE).code == 0
    report = next((sealed.state / "private" / "reports" / "requests").glob("landing-*.json"))
    shown = sealed.publisher("keys", "show", f"requests/{report.name}", TOWN_KEY=ONE)
    assert '"rows_read": 900' in shown.out
    assert '"reason": "report"' in sealed.publisher("journal", "--json", "--kind", "read", TOWN_KEY=ONE).out
    assert sealed.publisher("keys", "show", "../key", TOWN_KEY=ONE).code == 2


@pytest.mark.parametrize(
    ("name", "before", "after", "words"),
    [
        (
            "publisher.toml",
            'memory = "500MB"',
            'memory = "500MB"\nexecutor = "spark"\nspark = { master = "local" }',
            "spark",
        ),
        ("publisher.toml", "[portal]", '[landed]\nurl = "s3://city/records"\n\n[portal]', "[landed]"),
        (
            "pipelines/requests.toml",
            'path = "requests"',
            'kind = "socrata"\ndomain = "data.example.org"\ndataset = "abcd-1234"',
            "encrypted-volume",
        ),
    ],
)
def test_what_does_not_go_with_a_key_is_refused(sealed: Town, name: str, before: str, after: str, words: str) -> None:
    """`check` says so, and nothing is charged."""
    sealed.edit(name, before, after)
    if "socrata" in after:
        sealed.edit(name, 'record_id = ["number"]', 'record_id = ["number"]\ndelivery = "changes"')
    answer = sealed.publisher("check", TOWN_KEY=ONE)
    assert answer.code == 2
    assert words in answer.err + answer.out
