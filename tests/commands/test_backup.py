"""Backups: whole or not there, checked before anything is restored, and never put over something newer."""

from __future__ import annotations

import json
import shutil
import stat
import threading
import time
from datetime import date
from typing import TYPE_CHECKING

import pytest
from postgres import serving

from publisher.backup.contents import read_backup
from publisher.backup.making import back_up
from publisher.backup.record import newest_backup
from publisher.backup.restoring import restore
from publisher.cases.register import DELETED
from publisher.commands.grants import add_grant, end_grant, grants_of
from publisher.errors import BudgetError, DefinitionError, LockedError, PortalError, SourceError
from publisher.journal.entry import Fact
from publisher.pipeline.journaling import journal_of
from publisher.pipeline.session import held_lock
from publisher.privacy.chain import Head
from publisher.records import batch
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from township import Answer, Town

    from publisher.backup.contents import Backup

KEPT = (
    "private/journal.jsonl",
    "private/ledger",
    "public/ledger",
    "private/lock",
    "private/backup.json",
    "public/schedules",
)
"""What a restore writes itself, and the next run."""


@pytest.fixture
def saved(released: Town, monkeypatch: pytest.MonkeyPatch) -> Town:
    """A town that has released everything and has a backup, with its heads outside."""
    monkeypatch.setenv("XDG_STATE_HOME", str(released.root / "outside"))
    assert released.publisher("land").code == 0
    answer = released.publisher("backup", "copies")
    assert answer.code == 0, answer.err
    return released


def made(town: Town, name: str = "copies") -> list[Path]:
    """The backups in a folder, by time."""
    return sorted((town.root / name).iterdir())


def outcome(town: Town) -> dict[str, str]:
    """The state folder without what a restore writes itself, and without what a run makes again."""
    apart = (*KEPT, "private/landed", "private/known", "private/reports", "private/open", "public/open", "private/tmp")
    return {name: digest for name, digest in town.tree().items() if not name.startswith(apart)}


def test_a_lost_state_folder_comes_back(saved: Town) -> None:
    """Ledger, key, journal and releases are as before, everything verifies, and nothing is due or charged again."""
    before, charges = outcome(saved), saved.charges()
    shutil.rmtree(saved.state)
    answer = saved.publisher("restore", "copies")
    assert answer.code == 0, answer.err
    assert (outcome(saved), saved.charges()) == (before, charges)
    assert saved.publisher("verify", "--offline").code == 0
    run = saved.run()
    assert run.code == 0, run.err
    assert {row["status"] for row in run.rows} == {"ready"}
    assert saved.charges() == charges
    kinds = [row["kind"] for row in saved.publisher("journal", "--json").rows]
    assert kinds.count("backup") == kinds.count("restore") == 1


def test_only_the_owner_reads_it(saved: Town) -> None:
    """Folders have mode 0700 and files 0600; it has the key and no record, and no head."""
    (folder,) = made(saved)
    paths = [saved.root / "copies", folder, *folder.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600, 0o700}
    names = {str(path.relative_to(folder / "state")) for path in (folder / "state").rglob("*") if path.is_file()}
    assert {"private/key", "private/owner"} <= names
    assert "last backup: less than a day ago, in" in " ".join(saved.publisher("status", "--offline").out.split())
    assert not [name for name in names if "landed" in name or "reports" in name or name.endswith(".head")]


def test_an_older_ledger_never_replaces_a_newer_one(saved: Town) -> None:
    """Not where the newer one is there, and not where it was lost and only the head outside remembers it."""
    saved.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    assert saved.redraw("water", "--period", "2024-01").code == 0
    before = saved.tree()
    answer = saved.publisher("restore", "copies")
    assert answer.code == 4
    assert "an older ledger is never put over a newer one" in answer.err
    assert saved.tree() == before
    shutil.rmtree(saved.state)
    answer = saved.publisher("restore", "copies")
    assert answer.code == 4
    assert "/head remembers entry" in answer.err
    assert "an older ledger would spend again what was spent since. Use the newest backup." in " ".join(
        answer.err.split()
    )
    assert saved.charges() == []


def test_a_release_knows_that_the_ledger_is_older(saved: Town) -> None:
    """Without any head, the releases that are still there tell that the backup's ledger did not pay for them."""
    saved.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    assert saved.redraw("water", "--period", "2024-01").code == 0
    shutil.rmtree(saved.root / "outside")
    shutil.rmtree(saved.state / "private")
    (saved.state / "public" / "ledger.head").unlink()
    (saved.state / "public" / "ledger.jsonl").unlink()
    answer = saved.publisher("restore", "copies")
    assert answer.code == 4
    assert "the release water/2024-01/2 was paid for by entry" in answer.err
    assert not (saved.state / "private" / "key").exists()


def test_the_portal_and_the_public_ledger_know_that_the_ledger_is_older(saved: Town) -> None:
    """On another machine, whose heads are lost, the portal is asked, and if no one knows nothing is restored. Where a
    head remembers the ledger no one is asked."""
    workspace, copies = find_workspace(saved.root), saved.root / "copies"
    asked: list[Collection[str]] = []

    def published(names: Collection[str]) -> list[Head]:
        asked.append(names)
        return [Head("https://data.example.org/d/abcd-1234, release 2024-03/2,", 99, "0" * 64)]

    def silent(_: Collection[str]) -> list[Head]:
        raise PortalError("no portal answers")

    told = (saved.state / "public" / "ledger.jsonl").read_bytes()
    shutil.rmtree(saved.root / "outside")
    shutil.rmtree(saved.state)
    with pytest.raises(BudgetError, match=r"release 2024-03/2, was paid for by entry 99: an older ledger would spend"):
        restore(workspace, copies, published)
    assert asked == [{"requests", "water"}]
    with pytest.raises(PortalError):
        restore(workspace, copies, silent)
    newer = told + told.splitlines(keepends=True)[-1].replace(b'"sequence":19', b'"sequence":20')
    for content in (newer, told.replace(b'"at":"20', b'"at":"19')):
        (saved.state / "public" / "ledger.jsonl").write_bytes(content)
        with pytest.raises(BudgetError, match=r"ledger.jsonl has entry (20|19)"):
            restore(workspace, copies, lambda _: [])
    assert saved.charges() == []
    (saved.state / "public" / "ledger.jsonl").write_bytes(told)
    restore(workspace, copies, lambda _: [])
    shutil.rmtree(saved.state)
    assert restore(workspace, copies, silent).entries == len(told.splitlines())


def test_lost_and_damaged_files_come_back_under_a_newer_ledger(saved: Town) -> None:
    """A release's folder that is gone and a file that was changed are as the ledger has them; nothing else changes."""
    saved.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    assert saved.redraw("water", "--period", "2024-01").code == 0
    before = outcome(saved)
    shutil.rmtree(saved.releases / "requests" / "2024-02")
    shutil.rmtree(saved.kept / "requests" / "2024-02")
    changed = saved.releases / "water" / "2024-02" / "1" / "data.csv"
    changed.write_bytes(changed.read_bytes().replace(b"1", b"2"))
    assert saved.run("requests").code == 5
    answer = saved.publisher("restore", "copies")
    assert answer.code == 0, answer.err
    assert "water/2024-02/1/data.csv" in answer.out
    assert outcome(saved) == before
    assert saved.publisher("verify", "--offline").code == 0


def test_a_run_in_between_left_another_key(saved: Town) -> None:
    """A run that met the empty folder was refused and left a key and an id that nothing was spent under: they go."""
    before = outcome(saved)
    shutil.rmtree(saved.state)
    assert saved.run("water").code == 4
    assert saved.publisher("restore", "copies").code == 0
    assert outcome(saved) == before
    assert saved.publisher("verify", "--offline").code == 0


@pytest.mark.parametrize(
    "name", ["ledger.jsonl", "state/public/releases/water/2024-01/1/data.csv", "state/private/key"]
)
def test_a_damaged_backup_restores_nothing(saved: Town, name: str) -> None:
    """One changed byte in any of its files is named, and the state folder stays empty."""
    (folder,) = made(saved)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    shutil.rmtree(saved.state)
    answer = saved.publisher("restore", "copies")
    assert answer.code == (4 if name == "ledger.jsonl" else 5)
    assert name in answer.err
    assert "use another backup" in answer.err
    assert not saved.state.exists()


def test_names_that_lead_elsewhere_are_refused(saved: Town) -> None:
    """A backup that someone has made up cannot write outside the state folder."""
    (folder,) = made(saved)
    about = json.loads((folder / "backup.json").read_bytes())
    about["files"]["state/private/receipts/../../../escaped"] = next(iter(about["files"].values()))
    (folder / "backup.json").write_text(json.dumps(about))
    answer = saved.publisher("restore", "copies")
    assert answer.code == 5
    assert "which no backup has" in answer.err
    assert not (saved.root / "escaped").exists()


def test_a_link_in_a_backup_is_not_followed(saved: Town) -> None:
    """A file in its place that is a link is no copy, wherever it leads and whatever is there: nothing is restored."""
    (folder,) = made(saved)
    table = folder / "state/public/releases/water/2024-01/1/data.csv"
    elsewhere = saved.root / "elsewhere.csv"
    table.rename(elsewhere)
    table.symlink_to(elsewhere)
    with pytest.raises(SourceError, match=r"the backup is damaged: state/public/releases/water/2024-01/1/data.csv"):
        read_backup(saved.root / "copies")


def test_a_backup_is_changed_while_it_is_restored(saved: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put in its place is what was checked, or nothing."""
    real, name = read_backup, "state/public/releases/water/2024-01/1/data.csv"

    def changed_afterward(folder: Path) -> Backup:
        found = real(folder)
        (found.folder / name).write_bytes(b"changed")
        return found

    monkeypatch.setattr("publisher.backup.restoring.read_backup", changed_afterward)
    shutil.rmtree(saved.releases / "water" / "2024-01")
    with pytest.raises(SourceError, match=r"data.csv: was changed while it was restored"):
        restore(find_workspace(saved.root), saved.root / "copies", lambda _: [])
    assert not (saved.releases / "water/2024-01/1/data.csv").exists()


def test_the_key_never_lies_beside_records(saved: Town) -> None:
    """Not in another backup of the same folder either, in whatever order they are made."""
    workspace = find_workspace(saved.root)
    with pytest.raises(DefinitionError, match="has a backup with private/key, and this one would have records"):
        back_up(workspace, saved.root / "copies", records=True, key=True)
    back_up(workspace, saved.root / "other", records=True, key=True)
    with pytest.raises(DefinitionError, match="has a backup with records, and this one would have private/key"):
        back_up(workspace, saved.root / "other", records=False, key=True)
    assert len(made(saved)) == len(made(saved, "other")) == 1
    assert not back_up(workspace, saved.root / "other", records=False, key=False)[1].key


def test_a_case_that_was_deleted_does_not_come_back(saved: Town) -> None:
    """What a person wrote is gone once the journal says so; a case that was lost comes back."""
    workspace = find_workspace(saved.root)
    cases = saved.state / "private" / "cases"
    for number in ("2024-001", "2024-002"):
        (cases / number).mkdir(parents=True)
        (cases / number / "letter.txt").write_text("From someone")
    back_up(workspace, saved.root / "copies", records=False, key=True)
    journal_of(workspace).tell(Fact("case", reference="case 2024-001", reason=f"summary{DELETED}"))
    shutil.rmtree(cases)
    restore(workspace, saved.root / "copies", lambda _: [])
    assert [each.name for each in cases.iterdir()] == ["2024-002"]


def test_a_grant_that_was_ended_does_not_come_back(saved: Town) -> None:
    """Its older form would open again; one that the backup has as ended comes back as that."""
    workspace = find_workspace(saved.root)
    given = {"people": ("Ana",), "purpose": "Stops", "agreement": "1", "datasets": ("water",), "until": date.max}
    for name in ("bus", "tram", "train"):
        add_grant(workspace, given | {"name": name})
    end_grant(workspace, "train", "Over")
    back_up(workspace, saved.root / "copies", records=False, key=True)
    end_grant(workspace, "bus", "Over")
    shutil.rmtree(saved.state / "private" / "grants")
    restore(workspace, saved.root / "copies", lambda _: [])
    assert {each.name: each.ended is not None for each in grants_of(workspace, every=True)} == {
        "tram": False,
        "train": True,
    }


def test_a_folder_that_is_a_link_is_not_left_out(saved: Town) -> None:
    """Records that were moved to another disk would be missing from every backup, and no one would know."""
    landed = saved.state / "private/landed/meters"
    landed.rename(saved.root / "large disk")
    landed.symlink_to(saved.root / "large disk")
    with pytest.raises(SourceError, match="landed/meters: is a link to a folder"):
        back_up(find_workspace(saved.root), saved.root / "whole", records=True, key=True)
    assert made(saved, "whole") == []


def test_the_second_one_shares_what_has_not_changed(saved: Town) -> None:
    """It is a whole backup too, which takes no room for files that the one before has; and it says what it is."""
    answer = saved.publisher("backup", "copies", "--without-key")
    assert answer.code == 0, answer.err
    assert "It has neither private/key nor landed records" in " ".join(answer.out.split())
    first, second = made(saved)
    table = "state/public/releases/water/2024-01/1/data.csv"
    assert (first / table).samefile(second / table)
    shutil.rmtree(first)
    key = (saved.state / "private" / "key").read_bytes()
    shutil.rmtree(saved.state)
    answer = saved.publisher("restore", "copies")
    assert answer.code == 0, answer.err
    assert "private/key is not in this backup" in " ".join(answer.out.split())
    path = saved.state / "private" / "key"
    path.touch(mode=0o600)
    path.write_bytes(key)
    assert saved.publisher("verify", "--offline").code == 0


def test_records_come_without_the_key_and_only_if_nothing_was_landed_since(
    saved: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was landed or purged since is not brought back in its older form, and the answer says so (5); nor is what is
    said together since."""
    assert saved.publisher("backup", "whole", "--with-records").code == 0
    (folder,) = made(saved, "whole")
    assert (folder / "state" / "private" / "landed" / "meters").is_dir()
    assert not (folder / "state" / "private" / "key").exists()
    landed = saved.state / "private" / "landed"
    before = saved.tree("state/private/landed")
    shutil.rmtree(landed)
    assert saved.publisher("restore", "whole").code == 0
    assert saved.tree("state/private/landed") == before
    monkeypatch.setattr(batch, "_MANY", 1)
    batch.BatchStore(saved.state / "private", "meters").tidy()
    assert saved.publisher("restore", "whole").code == 0
    assert not list(landed.glob("meters/*/batch.json"))
    (saved.data / "requests" / "second.csv").write_text("number,opened,kind,lon,lat,caller\n")
    assert saved.publisher("land").code == 0
    shutil.rmtree(landed / "meters")
    answer = saved.publisher("restore", "whole")
    assert answer.code == 5
    assert "the backup's is older than what was landed or released since" in answer.err
    assert not list(landed.glob("meters/**/*.parquet"))


def test_a_backup_that_fails_leaves_nothing(saved: Town) -> None:
    """A disk that takes no more ends it (5) without a folder that could be taken for a backup."""
    (saved.releases / "water" / "large").write_bytes(bytes(3_000_000))
    answer = saved.publisher("backup", "elsewhere", before="ulimit -f 2000")
    assert answer.code == 5
    assert "elsewhere: the backup cannot be written" in answer.err
    assert list((saved.root / "elsewhere").iterdir()) == []
    assert saved.publisher("backup", "state/private/copies").code == 2


def test_a_backup_waits_for_the_run_that_is_at_work(saved: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ledger and releases are of one moment, that after the run; a run that does not end is told of (75)."""
    workspace = find_workspace(saved.root)
    monkeypatch.setattr("publisher.backup.making.PATIENCE", 0.1)
    with held_lock(workspace), pytest.raises(LockedError):
        back_up(workspace, saved.root / "busy", records=False, key=True)
    monkeypatch.setattr("publisher.backup.making.PATIENCE", 60.0)
    taken, go = threading.Event(), threading.Event()

    def at_work() -> None:
        with held_lock(workspace):
            taken.set()
            go.wait()
            time.sleep(0.2)
            (saved.releases / "water" / "made by the run").touch()

    run = threading.Thread(target=at_work)
    run.start()
    taken.wait()
    go.set()
    folder, _ = back_up(workspace, saved.root / "busy", records=False, key=True)
    run.join()
    assert (folder / "state" / "public" / "releases" / "water" / "made by the run").exists()
    record = newest_backup(workspace)
    assert record is not None
    assert (record.folder, record.days) == (str(folder), 0)
    assert record.words.startswith("last backup: less than a day ago")


def test_a_ledger_moves_to_a_server_and_back(saved: Town) -> None:
    """Entry by entry, so that all heads still name it; what was charged there comes back as well."""
    with serving() as server:
        _move(saved, server.address("moved"))


def _move(saved: Town, address: str) -> None:
    server = {"PUBLISHER_LEDGER": address}

    def there(*arguments: str) -> Answer:
        return saved.publisher(*arguments, **server)

    assert there("run", "--no-push", "--json").code == 4  # an empty ledger, and heads that know of more
    answer = there("restore", "copies")
    assert answer.code == 0, answer.err
    assert there("verify", "--offline").code == 0
    saved.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    redraw = ("run", "--no-push", "--json", "--redraw", "2024-01..2024-03", "--yes", "water", "--period", "2024-01")
    assert there(*redraw).code == 0
    assert saved.publisher("verify", "--offline").code == 4  # the file knows nothing of the last charge
    assert there("backup", "copies").code == 0
    answer = saved.publisher("restore", "copies")
    assert answer.code == 0, answer.err
    assert saved.publisher("verify", "--offline").code == 0
    assert len(saved.charges()) == 7
