"""Old releases are packed by dataset and year, and stay what they were: the same names, bytes and answers."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import stat
import sys
import zipfile
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from publisher.analyst.file import FILE
from publisher.commands.show import presented
from publisher.commands.verify import verified
from publisher.definitions.period import containing
from publisher.duck import open_file
from publisher.errors import PublisherError, SourceError
from publisher.pipeline.job import jobs_of
from publisher.pipeline.packing import SETTLED, pack_settled_releases
from publisher.pipeline.publish import refinish
from publisher.pipeline.session import locked, opened
from publisher.release import packs
from publisher.release.manifest import MANIFEST
from publisher.release.store import changed_files
from publisher.run import PeriodSelection, refresh_analyst_file, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from publisher.pipeline.catalog import Catalog

DAYS = 2
LATER = datetime.now(UTC) + SETTLED + timedelta(days=1)
PUBLIC = {"data.parquet", "data.csv", "guarantee.json", "guarantee.md", "guarantee.html", "manifest.json"}
PACKS = {"public/releases/calls/2016.zip", "public/validations/calls/2016.zip", "private/measurements/calls/2016.zip"}


@pytest.fixture(scope="module")
def town(years: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A town with a few released days, and a copy of all its files."""
    folder = tmp_path_factory.mktemp("packing") / "town"
    town = years.Town(folder, ("calls",))
    town.fill(DAYS)
    shutil.copytree(folder, folder.with_name("copy"))
    return town


@pytest.fixture
def made(town: Any) -> Any:
    """The town as it was."""
    shutil.rmtree(town.folder)
    shutil.copytree(town.folder.with_name("copy"), town.folder)
    return town


def pack(made: Any, now: datetime = LATER) -> None:
    """What the end of a run does."""
    with locked(made.workspace) as catalog:
        pack_settled_releases(catalog, "calls", now, lambda _: None)


def known(made: Any) -> dict[str, Any]:
    """All that is known of every release: its status, and each of its files with its place among the releases."""
    with opened(made.workspace) as catalog:
        return {each.release.manifest.name: _known(catalog, each) for each in catalog.standings("calls")}


def _known(catalog: Catalog, standing: Any) -> tuple[Any, ...]:
    release = standing.release
    assert changed_files(release) == []
    contents = {name: release.content(name) for name in (*release.manifest.files, MANIFEST)}
    return standing.status, release, contents, catalog.result(release), catalog.store.sha256(release.manifest.name)


def files(made: Any) -> set[str]:
    """The files with what was released."""
    state = made.folder / "state"
    folders = ("public/releases", "public/validations", "private/measurements")
    return {str(path.relative_to(state)) for name in folders for path in (state / name).rglob("*") if path.is_file()}


def faults(made: Any) -> list[str]:
    """What `publisher verify` finds."""
    workspace = made.workspace
    with opened(workspace) as catalog:
        found = list(verified(workspace, catalog, list(workspace.datasets.values()), offline=True))
    return [fault for row in found for fault in row.faults]


def test_packed_releases_are_what_they_were(made: Any) -> None:
    """A year becomes three files; all that is known of its releases, byte by byte, is as before, and verified."""
    before = known(made)
    assert len(files(made)) == DAYS * 8
    pack(made)
    assert files(made) == PACKS
    assert known(made) == before
    assert faults(made) == []
    assert len(before) == DAYS
    packed = {name: set(packs.entries_of(made.folder / "state" / name)) for name in PACKS}
    assert {
        name: {each.rpartition("/")[2] for each in names} for name, names in packed.items() if "validations" not in name
    } == {
        "public/releases/calls/2016.zip": PUBLIC,
        "private/measurements/calls/2016.zip": {"measurements.parquet"},
    }
    modes = {name: stat.S_IMODE((made.folder / "state" / name).stat().st_mode) for name in PACKS}
    assert {name: mode & 0o077 for name, mode in modes.items() if name.startswith("private")} == {
        "private/measurements/calls/2016.zip": 0
    }
    again = {name: (made.folder / "state" / name).stat().st_mtime_ns for name in PACKS}
    pack(made)
    assert {name: (made.folder / "state" / name).stat().st_mtime_ns for name in PACKS} == again


def test_any_program_unpacks_them(made: Any) -> None:
    """Unpacked where they lie and without the packs, the folders are again as they were: nothing is lost by packing."""
    state = made.folder / "state"
    before = {name: (state / name).read_bytes() for name in files(made)}
    pack(made)
    for name in PACKS:
        with zipfile.ZipFile(state / name) as archive:
            assert archive.testzip() is None
            archive.extractall((state / name).parent)
        (state / name).unlink()
    assert {name: (state / name).read_bytes() for name in files(made)} == before
    assert faults(made) == []


def test_a_run_packs_what_is_settled(years: ModuleType, tmp_path: Path) -> None:
    """A run in which nothing is due packs the year of what was released long ago, also of a dataset that is no longer
    defined, and says so; what it tells of the releases is what it told before, and the next run has nothing to do."""
    town = years.Town(tmp_path, ("calls", "visits"))
    town.fill(DAYS, then=True)
    for name in ("datasets/visits.toml", "pipelines/visits.toml", "pipelines/visits.sql"):
        (tmp_path / name).unlink()
    before, told = known(town), []
    for _ in range(2):
        watch = years.Quiet()
        watch.doing = told.append
        workspace = town.workspace
        report = run(workspace, [workspace.datasets["calls"]], PeriodSelection(None, town.day), watch, push=False)
        assert [(each.period, each.status) for each in report.outcomes] == [
            ("2016-01-01", "ready"), ("2016-01-02", "ready"),
        ]  # fmt: skip
        assert files(town) == PACKS | {each.replace("calls", "visits") for each in PACKS}
        assert told == ["calls: packing what was released of 2016", "visits: packing what was released of 2016"]
        assert known(town) == before


def test_what_is_new_is_not_packed(made: Any) -> None:
    """Neither releases of this year, nor old ones to which something came within thirty days."""
    before = files(made)
    pack(made, datetime.now(UTC))
    assert files(made) == before
    with locked(made.workspace) as catalog:  # a clock that goes wrong
        pack_settled_releases(catalog, "calls", datetime(2016, 12, 31, tzinfo=UTC), lambda _: None)
    assert files(made) == before


def test_a_year_that_goes_on_is_packed_by_thirty(years: ModuleType, tmp_path: Path) -> None:
    """Of a year that is not over, what is settled is packed once it is thirty releases, and stays what it was; the rest
    waits for thirty more, or for the end of the year."""
    town = years.Town(tmp_path, ("calls",))
    town.fill(40, then=True)
    before = known(town)
    pack(town, datetime(2016, 2, 29, tzinfo=UTC))  # twenty-eight are settled
    assert len(files(town)) == 40 * 8
    pack(town, datetime(2016, 3, 4, tzinfo=UTC))
    packed = set(packs.entries_of(tmp_path / "state/public/validations/calls/2016.zip"))
    assert 30 < len(packed) < 35
    assert len(files(town) - PACKS) == (40 - len(packed)) * 8
    assert known(town) == before
    assert faults(town) == []
    pack(town, datetime(2016, 12, 31, tzinfo=UTC))
    assert len(files(town) - PACKS) == (40 - len(packed)) * 8
    pack(town, datetime(2017, 1, 1, tzinfo=UTC))
    assert files(town) == PACKS
    assert known(town) == before


def test_a_pack_of_another_program_is_read(made: Any) -> None:
    """A pack that was written again by another program, with a comment, folders and its own fields, is read as
    before."""
    before = known(made)
    pack(made)
    for name in PACKS:
        path = made.folder / "state" / name
        with zipfile.ZipFile(path) as archive:
            entries = {each.filename: archive.read(each) for each in archive.infolist()}
        with zipfile.ZipFile(path, "w") as archive:
            archive.comment = b"restored"
            archive.mkdir("2016-01-01")
            for each, content in entries.items():
                about = zipfile.ZipInfo(each)
                about.extra = b"\x55\x54\x05\x00\x03\x00\x00\x00\x00"
                archive.writestr(about, content)
    assert known(made) == before
    pack(made)  # their indexes
    assert known(made) == before
    assert faults(made) == []


def test_a_damaged_release_is_not_packed(made: Any) -> None:
    """It is named, and everything stays where it is."""
    path = made.folder / "state/public/releases/calls/2016-01-02/1/data.csv"
    path.write_bytes(path.read_bytes() + b" ")
    before = files(made)
    with pytest.raises(SourceError, match=r"2016-01-02/1: changed since it was written: data\.csv"):
        pack(made)
    assert files(made) == before


def test_what_comes_later_is_added(made: Any) -> None:
    """A packed release is retracted, and finished again from its packed measurements as an edition of its own; both lie
    beside the pack at first, and in it later. Charged is nothing."""
    pack(made)
    before = known(made)
    definition = made.folder / "datasets/calls.toml"
    definition.write_text(definition.read_text().replace("threshold = 5", "threshold = 16"))
    workspace = made.workspace
    with locked(workspace) as catalog:
        charges = len(catalog.ledger.entries("charge"))
        periods = [containing(made.day.replace(day=number), "day") for number in (1, 2)]
        first, second = jobs_of(workspace, catalog, workspace.datasets["calls"], periods)
        assert first.drawn is not None
        made_again = refinish(first, first.drawn)
        assert made_again.manifest.name == "calls/2016-01-01/2"
        assert made_again.content("measurements.parquet") != b""
        catalog.retract(second.editions[0], "A mistake.")
        assert len(catalog.ledger.entries("charge")) == charges
    loose = files(made) - PACKS
    assert {Path(name).name for name in loose} == PUBLIC | {"measurements.parquet"}
    after = known(made)
    assert after.keys() == before.keys() | {"calls/2016-01-01/2"}
    assert {name: each[1:] for name, each in after.items() if name in before} == {
        name: each[1:] for name, each in before.items()
    }
    assert after["calls/2016-01-02/1"][0] == "retracted"
    pack(made)
    assert files(made) == PACKS
    assert known(made) == after
    assert faults(made) == []


def test_a_later_result_of_a_check_counts(made: Any) -> None:
    """The last result is read, beside the pack and then in it."""
    pack(made)
    with locked(made.workspace) as catalog:
        standing = catalog.standings("calls")[0]
        assert standing.validation is not None
        catalog.keep(standing.release, standing.validation.model_copy(update={"suite_sha256": "1" * 64}))
    for _ in range(2):
        with opened(made.workspace) as catalog:
            first, second = catalog.standings("calls")
            assert first.validation is not None
            assert second.validation is not None
            assert (first.validation.suite_sha256, second.validation.suite_sha256) == ("1" * 64, "0" * 64)
        assert faults(made) == []
        pack(made)
    assert files(made) == PACKS


def test_readers_do_not_see_a_difference(made: Any) -> None:
    """The analyst file is written anew from packed releases with the same rows, and `publisher show` says where the
    files are."""
    tables = []
    for _ in range(2):
        workspace = made.workspace
        with locked(workspace) as catalog:
            (workspace.private / "open_data.json").unlink(missing_ok=True)
            refresh_analyst_file(workspace, catalog)
        with open_file(workspace.public / FILE, FILE) as connection:
            tables.append(
                {name: connection.execute(f"FROM {name} ORDER BY ALL").fetchall() for name in ("calls", "_releases")}
            )
        pack(made)
    assert tables[0] == tables[1]
    assert len(tables[0]["calls"]) > 0
    assert files(made) == PACKS
    with opened(made.workspace) as catalog:
        shown = presented(catalog, made.workspace.datasets["calls"], "2016-01-02")
    assert shown.pack == made.workspace.public / "releases/calls/2016.zip"


def a_number(state: Path) -> None:
    flip(state / "public/releases/calls/2016.zip", "2016-01-02/1/data.csv", inside=10)


def a_name(state: Path) -> None:
    flip(state / "public/releases/calls/2016.zip", "2016-01-02/1/data.csv", inside=-3)


def a_manifest(state: Path) -> None:
    flip(state / "public/releases/calls/2016.zip", "2016-01-02/1/manifest.json", inside=100)


def a_measurement(state: Path) -> None:
    flip(state / "private/measurements/calls/2016.zip", "2016-01-02/1/measurements.parquet", inside=10)


def a_result(state: Path) -> None:
    flip(state / "public/validations/calls/2016.zip", "2016-01-02/1.json", inside=10)


def an_end(state: Path) -> None:
    path = state / "public/releases/calls/2016.zip"
    path.write_bytes(path.read_bytes()[:-30])


def no_pack(state: Path) -> None:
    (state / "public/releases/calls/2016.zip").unlink()


def no_measurements(state: Path) -> None:
    path = state / "private/measurements/calls/2016.zip"
    path.write_bytes(path.read_bytes()[:-30])


DAMAGES: dict[Callable[[Path], None], tuple[str, str]] = {
    a_number: ("calls/2016-01-02/1: changed since it was written: data.csv", ""),
    a_name: ("calls/2016-01-02/1: changed since it was written: data.csv", ""),
    a_manifest: ("releases/calls/2016-01-02/1/manifest.json is missing or damaged", "manifest.json is missing"),
    a_measurement: ("calls/2016-01-02/1: changed since it was written: measurements.parquet", ""),
    a_result: (
        "validations/calls/2016-01-02/1.json was changed after it was written",
        "the result for calls/2016-01-02/1",
    ),
    an_end: ("releases/calls/2016.zip: is damaged: restore it from a backup", "releases/calls/2016.zip is damaged"),
    no_pack: ("calls/2016-01-02/1: the release is gone: restore it from a backup", "releases are missing from"),
    no_measurements: ("calls/2016-01-02/1: changed since it was written: measurements.parquet", ""),
}
"""What is damaged, what `publisher verify` says, and what a run says before it draws anything, if it has to."""


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(made: Any, damage: Callable[[Path], None]) -> None:
    """Verification names the release, or the pack where that tells of none, and no release is drawn again; once the
    pack is restored, all is well."""
    pack(made)
    state = made.folder / "state"
    before = {name: (state / name).read_bytes() for name in PACKS}
    damage(state)
    verification, refusal = DAMAGES[damage]
    assert any(verification in fault for fault in faults(made)), faults(made)
    expected = pytest.raises(PublisherError, match=refusal) if refusal else nullcontext()
    with expected, locked(made.workspace) as catalog:
        catalog.reconcile("calls")
        assert len(catalog.standings("calls")) == DAYS
    for name, content in before.items():
        (state / name).write_bytes(content)
    assert faults(made) == []


INDEXES = {"private/indexes/releases/calls/2016.json", "private/indexes/validations/calls/2016.json"}


def test_indexes_are_read_instead_of_packs(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once there are indexes, no manifest and no result is read from a pack to know the standing of every release, and
    what is known is the same."""
    with opened(made.workspace) as catalog:
        before = catalog.standings("calls")
    pack(made)
    state = made.folder / "state"
    assert {str(path.relative_to(state)) for path in (state / "private/indexes").rglob("*.json")} == INDEXES
    assert {stat.S_IMODE((state / name).stat().st_mode) for name in INDEXES} == {0o600}
    monkeypatch.setattr(packs, "read", None)
    monkeypatch.setattr(packs, "read_packed", None)
    with opened(made.workspace) as catalog:
        assert catalog.standings("calls") == before
        assert len(before) == DAYS


@pytest.mark.parametrize("index", sorted(INDEXES))
def test_an_index_of_another_pack_is_not_believed(made: Any, index: str) -> None:
    """Where a pack was written or restored since, where an index is damaged, and where it is of another version, the
    pack is read; the next run writes the index again."""
    before = known(made)
    pack(made)
    path = made.folder / "state" / index
    whole = path.read_text(encoding="utf-8")
    of = made.folder / "state" / index.replace("private/indexes", "public").replace(".json", ".zip")
    digit = whole.rindex("0", 0, whole.index('"manifest' if "releases" in index else '"results') + 3000)
    for text, restored in (
        (whole[:-1], False),
        (whole[:digit] + "1" + whole[digit + 1 :], False),
        (sealed(whole.partition("\n")[2].replace('"version":"', '"version":"1')), False),
        (sealed(whole.partition("\n")[2].replace("2016-01-0", "2016-02-0")), True),
    ):
        assert text != whole
        path.write_text(text, encoding="utf-8")
        if restored:
            of.with_suffix(".copy").write_bytes(of.read_bytes())
            of.with_suffix(".copy").replace(of)
        assert known(made) == before
        pack(made)
        assert said(path.read_text(encoding="utf-8")) == said(whole)
        assert known(made) == before


def sealed(content: str) -> str:
    """An index with that content."""
    return f"{hashlib.sha256(content.encode()).hexdigest()}\n{content}"


def said(index: str) -> dict[str, Any]:
    """What an index says, but for which file its pack is."""
    found: dict[str, Any] = json.loads(index.partition("\n")[2])
    return found | {"pack": 0}


def test_verification_believes_no_index(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte that a disk lost, so that the pack looks like the same file, is found by `publisher verify`."""
    monkeypatch.setattr(packs, "_identity", lambda status: (status.st_ino, status.st_size, 0, 0))
    pack(made)
    for damage, place in ((a_manifest, "releases"), (a_result, "validations")):
        path = made.folder / f"state/public/{place}/calls/2016.zip"
        before = path.read_bytes()
        damage(made.folder / "state")
        with opened(made.workspace) as catalog:
            assert len(catalog.standings("calls")) == DAYS  # by the index
        assert any(DAMAGES[damage][0] in fault for fault in faults(made))
        path.write_bytes(before)


def flip(path: Path, name: str, inside: int) -> None:
    """Change one byte of an entry, counted from where its content begins."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo(name).header_offset + 30 + len(name) + inside
    content[place] ^= 1
    path.write_bytes(content)


def test_a_damaged_pack_is_never_written_over(made: Any) -> None:
    """What comes later stays beside it until it is restored."""
    pack(made)
    state = made.folder / "state"
    with locked(made.workspace) as catalog:
        standing = catalog.standings("calls")[0]
        assert standing.validation is not None
        catalog.keep(standing.release, standing.validation)
    flip(state / "public/validations/calls/2016.zip", "2016-01-02/1.json", inside=10)
    before = {name: (state / name).read_bytes() for name in files(made)}
    with pytest.raises(SourceError, match=r"2016-01-02/1\.json: .* restore it from a backup"):
        pack(made)
    assert {name: (state / name).read_bytes() for name in files(made)} == before


def steps(made: Any, last: int) -> list[str]:
    """What packing does to files, in a child that is killed before it does the last of so many things."""
    log = made.folder / "steps"
    child = os.fork()
    if child == 0:
        try:
            with locked(made.workspace) as catalog:
                done = _counted(last)
                pack_settled_releases(catalog, "calls", LATER, lambda _: None)
                log.write_text(json.dumps(done))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) == (last > 0)
    found: list[str] = json.loads(log.read_text())
    return found


def _counted(last: int) -> list[str]:
    """From now on this process notes what it does to files, and is killed before the last of so many things."""
    done: list[str] = []
    real = os.fsync

    def step(what: str, where: object) -> None:
        done.append(f"{what} {where}")
        if len(done) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def fsync(descriptor: Any) -> None:
        step("fsync", Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    def hook(event: str, about: Any) -> None:
        if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir"):
            step(event, about[0])

    os.fsync = fsync
    sys.addaudithook(hook)
    return done


@pytest.mark.usefixtures("processes")
def test_killed_at_each_kind_of_step(made: Any) -> None:
    """Killed before any kind of thing that packing does to a file, in any of the three places, every release is read
    once, byte by byte as before, and the next run packs what is left to pack."""
    every = steps(made, 0)
    kinds: dict[tuple[Any, ...], int] = {}
    for number, (what, where) in enumerate((each.split() for each in every), 1):
        parts = Path(where).relative_to(made.folder / "state").parts
        kinds[what, parts[:2], len(parts)] = number
    assert {what for what, *_ in kinds} == {"fsync", "os.rename", "os.remove", "os.rmdir", "os.mkdir"}
    packed = 6 + 6 + 5  # two fsync and two folders in each place, but for results
    assert len(kinds) == packed + 6  # three new folders for indexes; each is a file of which there are two fsync
    kill(made, list(kinds.values()))


@pytest.mark.usefixtures("processes")
@pytest.mark.evidence("kills at every step of packing old releases")
def test_killed_at_every_step(made: Any) -> None:
    """The same at every single step; those of one kind go the same way in the product."""
    kill(made, list(range(1, len(steps(made, 0)) + 1)))


def kill(made: Any, numbers: Sequence[int]) -> None:
    """Kills packing at each of these steps, and finishes it."""
    state, copy = made.folder / "state", made.folder.with_name("copy") / "state"
    for number in [0, *numbers]:
        shutil.rmtree(state)
        shutil.copytree(copy, state)
        before = known(made)
        if number:
            steps(made, number)
        assert known(made) == before
        pack(made)
        assert files(made) == PACKS
        assert all((state / name).is_file() for name in INDEXES)
        assert known(made) == before
    assert faults(made) == []


def test_a_file_packed_while_it_is_looked_for_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader without the lock may look for the pack before it is there, and for the file when that is gone."""
    name = "2016-01-01/1/data.csv"
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(b"1")
    real = packs.read_packed

    def early(*where: Any) -> bytes | None:
        found = real(*where)
        monkeypatch.setattr(packs, "read_packed", real)
        packs.pack(tmp_path, "2016", {name}, 0o644)
        return found

    monkeypatch.setattr(packs, "read_packed", early)
    assert packs.read(tmp_path, name) == b"1"
    assert not (tmp_path / name).exists()
