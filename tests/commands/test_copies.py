"""A state that went back, was copied or lost, and a key that was swapped: nothing is charged or drawn from then on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from release_examples import contents, drawn, workspace

from publisher.definitions import period as civil
from publisher.durable import write_file
from publisher.errors import BudgetError
from publisher.pipeline.charges import request_of
from publisher.pipeline.session import locked, opened
from publisher.records.secrets import create_key, fingerprint
from publisher.release.manifest import LedgerHead

if TYPE_CHECKING:
    from pathlib import Path

    from township import Town

    from publisher.workspace import Workspace


def spent(town: Town) -> tuple[list[tuple[str, str]], list[str]]:
    """Every charge, and every release."""
    return town.charges(), sorted(str(path.relative_to(town.releases)) for path in town.releases.glob("*/*/*"))


def test_a_restored_state_folder_spends_nothing(released: Town) -> None:
    """The whole folder as it was yesterday, with its own heads, meets the head outside it."""
    backup = released.root / "backup"
    shutil.copytree(released.state, backup)
    released.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    assert released.redraw("water", "--period", "2024-01").code == 0
    shutil.rmtree(released.state)
    shutil.copytree(backup, released.state)
    before = spent(released)
    answer = released.redraw("water", "--period", "2024-01")
    assert answer.code == 4
    assert "/head remembers: the ledger was deleted, cut or replaced by an older copy" in answer.err
    assert spent(released) == before


def test_a_deleted_state_folder_is_missed(released: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begun again at the same path, it would spend everything again: refused until a person says that it is meant."""
    monkeypatch.setenv("XDG_STATE_HOME", str(released.root / "outside"))
    assert released.publisher("land").code == 0  # takes the lock: the folder is remembered by its path
    shutil.rmtree(released.state)
    answer = released.run("water")
    assert answer.code == 4
    assert "another ledger has spent budget in this folder, and is gone" in answer.err
    assert released.charges() == []
    (place,) = (released.root / "outside").glob("publisher/heads/places/*")
    assert str(place) in answer.err
    place.unlink()
    assert released.run("water").code == 0
    assert len(released.charges()) == 3


def test_a_folder_that_spent_nothing_may_go(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first landing, deleted to start over, is no ledger that anyone misses."""
    monkeypatch.setenv("XDG_STATE_HOME", str(town.root / "outside"))
    assert town.publisher("land").code == 0
    shutil.rmtree(town.state)
    assert town.run("water").code == 0


def test_a_lost_ledger_is_missed_by_every_release(released: Town) -> None:
    """The private folder is gone and begins anew: releases of another dataset already say so, and nothing lands."""
    kept = released.state / "private" / "key"
    key = kept.read_bytes()
    shutil.rmtree(released.state / "private")
    (released.state / "public" / "ledger.head").unlink()
    kept.parent.mkdir(mode=0o700)
    kept.write_bytes(key)
    kept.chmod(0o600)
    shutil.rmtree(released.releases / "water")
    answer = released.run("water")
    assert answer.code == 4
    assert "which release requests/2024-01/1 remembers" in answer.err
    assert released.charges() == []
    assert not (released.state / "private" / "landed").exists()
    assert not (released.releases / "water").exists()


def test_the_second_of_two_copies_is_refused(released: Town, tmp_path: Path) -> None:
    """Two copies of one state folder on one machine: the first goes on, the second neither charges nor draws."""
    other = released.copy(tmp_path / "other")
    for each in (released, other):
        each.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    before = spent(other)
    assert released.redraw("water", "--period", "2024-01").code == 0
    answer = other.redraw("water", "--period", "2024-02")
    assert answer.code == 4
    assert "Nothing was spent" in answer.err
    assert spent(other) == before


def test_a_swapped_key_is_refused(released: Town) -> None:
    """Another key would count each person twice: neither a landing nor a charge goes on with it, and the right one
    does."""
    path = released.state / "private" / "key"
    right, before = path.read_bytes(), spent(released)
    path.write_bytes(os.urandom(32))
    released.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    (released.data / "meters.csv").touch()
    for answer in (released.publisher("land"), released.redraw("water", "--period", "2024-01")):
        assert answer.code == 5
        assert "is not the key that this ledger was begun with" in answer.err
        assert len(answer.err.splitlines()) == 1
    assert spent(released) == before
    path.write_bytes(right)
    assert released.redraw("water", "--period", "2024-01").code == 0


def test_records_landed_with_another_key_are_refused(released: Town) -> None:
    """Every landed file names its key's fingerprint; one that was brought from elsewhere stops the landing."""
    batches = sorted((released.state / "private" / "landed" / "meters").glob("*/batch.json"))
    for path in batches:
        batch = json.loads(path.read_bytes())
        assert batch["key"] == fingerprint(released.state / "private")
        path.write_text(json.dumps(batch | {"key": "0" * 32}))
    released.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    before = spent(released)
    answer = released.redraw("water", "--period", "2024-01")
    assert answer.code == 5
    assert "meters.csv: landed with another key" in answer.err
    assert spent(released) == before


def test_without_a_place_for_the_head_nothing_is_spent(town: Town) -> None:
    """Exit code 4 before anything is landed, and the message names the folder and the setting."""
    place = town.root / "in the way"
    place.write_text("")
    settings = town.root / "publisher.toml"
    settings.write_text('heads = "in the way"\n' + settings.read_text())
    answer = town.run("water")
    assert answer.code == 4
    assert str(place) in answer.err
    assert "set another one as `heads` in publisher.toml" in answer.err
    assert town.charges() == []
    assert not (town.state / "private" / "landed").exists()
    settings.write_text(settings.read_text().replace("in the way", "state/heads"))
    answer = town.run("water")
    assert (answer.code, answer.err) == (
        2, "error: publisher.toml: heads is inside the state folder, whose copies it must find: move it out\n"
    )  # fmt: skip


@pytest.fixture
def old(tmp_path: Path) -> Workspace:
    """A workspace as it was before there were heads outside, fingerprints, and results in the ledger."""
    place = workspace(tmp_path)
    create_key(place.private)
    dataset = place.dataset("weekly")
    with opened(place) as catalog:
        week = civil.parse("2018-W01")
        entry = catalog.ledger.charge(request_of(dataset, week, "a", place.settings))
        paid = LedgerHead(sequence=entry.sequence, hash=entry.hash)
        release = catalog.store.write(*contents(dataset, drawn(dataset, week.label), period=week.label, ledger=paid))
        catalog.enter(release)
        write_file(catalog.validation_path(release), b"{}")
    shutil.rmtree(place.heads)
    (place.private / "draws.json").unlink()
    return place


def test_an_old_workspace_gets_what_is_missing(old: Workspace) -> None:
    """The first lock writes the head, the key's fingerprint and the hash of every result, once."""
    for _ in range(2):
        with locked(old) as catalog:
            assert [entry.kind for entry in catalog.ledger.entries()] == ["charge", "release", "validation", "key"]
            assert catalog.ledger.validations() == {"weekly/2018-W01/1": hashlib.sha256(b"{}").hexdigest()}
            assert catalog.ledger.key() == fingerprint(old.private)
            last = catalog.ledger.entries()[-1]
        (head,) = old.heads.glob("*/head")
        assert json.loads(head.read_bytes())["hash"] == last.hash


def test_an_edited_manifest_that_names_no_entry_is_met_at_the_lock(old: Workspace) -> None:
    """A manifest whose bytes are not those on record is read: the entry that it names must be in the ledger."""
    with locked(old) as catalog:
        path = catalog.store.releases("weekly")[0].folder / "manifest.json"
    text = path.read_text()
    path.write_text(text.replace('"sequence": 1', '"sequence": 7'))
    with pytest.raises(BudgetError, match="is missing entry 7, which release weekly/2018-W01/1 remembers"), locked(old):
        pass
