"""A release is there whole, with the bytes that its manifest names, or it is not there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from release_examples import contents, drawn

from publisher.errors import SourceError
from publisher.release.manifest import Manifest, Release, hash_of, read_release
from publisher.release.store import ReleaseStore, changed_files, refuse_if_changed

if TYPE_CHECKING:
    from small_town import Town

    from publisher.release.store import Contents

PUBLIC = {"data.parquet", "data.csv", "guarantee.json", "guarantee.md", "guarantee.html", "manifest.json"}
PRIVATE = {"measurements.parquet"}
FILES = PUBLIC | PRIVATE


def release(town: Town, period: str = "2020-01", edition: int = 1) -> tuple[Manifest, Contents]:
    dataset = town.dataset_file()
    return contents(dataset, drawn(dataset, period), period=period, edition=edition)


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "public", tmp_path / "private")


def listed(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}


def test_a_release_is_whole(store: ReleaseStore, town: Town) -> None:
    """All files are there, as the manifest's hashes say, and the same release is read back."""
    written = store.write(*release(town))
    assert {each.name for each in written.folder.iterdir()} == PUBLIC
    assert {each.name for each in written.kept.iterdir()} == PRIVATE
    assert changed_files(written) == []
    assert set(written.manifest.files) == FILES - {"manifest.json"}
    assert read_release(written.folder, written.kept) == written == store.editions("town", "2020-01")[0]
    assert written.statement == "# Words — ρ\n"
    table = pq.read_table(written.data)
    csv = (written.folder / "data.csv").read_text().splitlines()
    assert len(csv) == table.num_rows + 1
    assert csv[0].replace('"', "").split(",") == table.column_names
    assert hash_of(written.data) == written.manifest.files["data.parquet"]
    assert json.loads((written.folder / "guarantee.json").read_text()) == {"format": 1}


def test_the_same_contents_are_the_same_bytes(store: ReleaseStore, town: Town, tmp_path: Path) -> None:
    """Writing the same tables elsewhere gives the same bytes of every public file. Private numbers have a salt: their
    hash is public, and could be guessed."""
    first, second = (
        store.write(*release(town)),
        ReleaseStore(tmp_path / "other", tmp_path / "apart").write(*release(town)),
    )
    says = [{**each.manifest.files} for each in (first, second)]
    assert {name for name in says[0] if says[0][name] != says[1][name]} == set(PRIVATE)
    for name in PUBLIC - {"manifest.json"}:
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()
    for name in PRIVATE:
        assert pq.read_table(first.kept / name).equals(pq.read_table(second.kept / name))


def test_a_release_is_never_written_over(store: ReleaseStore, town: Town) -> None:
    """An edition that is there stays as it is; writing it again is refused."""
    written = store.write(*release(town))
    before = {name: written.path(name).read_bytes() for name in FILES}
    manifest, contents = release(town)
    with pytest.raises(SourceError, match=r"cannot be written"):
        store.write(manifest.model_copy(update={"created": "later"}), contents)
    assert {name: written.path(name).read_bytes() for name in FILES} == before
    assert listed(store.root) == {f"town/2020-01/1/{name}" for name in PUBLIC}
    assert listed(store.private) == {f"measurements/town/2020-01/1/{name}" for name in PRIVATE}


@pytest.mark.parametrize("fails", [*range(1, 22), 100])
def test_a_write_that_fails_leaves_nothing(
    store: ReleaseStore, town: Town, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    """A full disk at any moment leaves the whole release or none, no scraps, and one clear message."""
    real, calls = os.fsync, 0

    def fsync(descriptor: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == fails:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with nullcontext() if fails == 100 else pytest.raises(SourceError, match="No space left"):
        store.write(*release(town))
    found = store.editions("town", "2020-01")
    assert bool(found) == (fails >= 21)  # the twenty-first is that of the rename itself
    assert all(changed_files(each) == [] for each in found)
    assert len(listed(store.public) | listed(store.private)) == len(found) * len(FILES)


def test_every_file_is_on_disk_before_the_rename(
    store: ReleaseStore, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file and its folder are synchronized before the release becomes visible, and the rename after it."""
    real, seen = os.fsync, []

    def fsync(descriptor: Any) -> None:
        seen.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), (store.root / "town/2020-01/1").exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    store.write(*release(town))
    before = {path.rsplit("/", 1)[1] for path, visible in seen if not visible}
    assert before >= FILES
    assert [path for path, visible in seen if visible] == [str(store.root / "town/2020-01")]


def test_half_written_folders_are_no_releases(store: ReleaseStore, town: Town) -> None:
    """What a killed run left beside a release is not listed and does not stop the next."""
    written = store.write(*release(town))
    half = written.folder.parent / ".staging-2-4711"
    half.mkdir()
    (half / "data.parquet").write_bytes(b"half")
    assert [each.manifest.edition for each in store.releases("town")] == [1]
    store.write(*release(town, edition=2))
    assert [each.manifest.edition for each in store.releases("town")] == [1, 2]


def test_editions_are_in_order(store: ReleaseStore, town: Town) -> None:
    """Editions sort by number and periods by time; other datasets and periods are apart."""
    for edition in (2, 10, 1):
        store.write(*release(town, edition=edition))
    store.write(*release(town, "2019-12"))
    assert [each.manifest.edition for each in store.editions("town", "2020-01")] == [1, 2, 10]
    assert [each.manifest.name for each in store.releases("town")] == [
        "town/2019-12/1", "town/2020-01/1", "town/2020-01/2", "town/2020-01/10",
    ]  # fmt: skip
    assert store.releases("city") == []


@pytest.mark.parametrize("name", sorted(FILES - {"manifest.json"}))
def test_a_changed_file_is_found(store: ReleaseStore, town: Town, name: str) -> None:
    """One flipped byte or a missing file is named."""
    written = store.write(*release(town))
    content = written.path(name).read_bytes()
    written.path(name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    assert changed_files(written) == [name]
    written.path(name).unlink()
    assert changed_files(written) == [name]


@pytest.mark.parametrize("content", [b"", b"{}", b"junk", b"\xff\xfe"])
def test_a_damaged_manifest_is_one_message(store: ReleaseStore, town: Town, content: bytes) -> None:
    """A manifest that cannot be read says where it lies and what to do."""
    written = store.write(*release(town))
    (written.folder / "manifest.json").write_bytes(content)
    with pytest.raises(SourceError, match=r"town/2020-01/1/manifest\.json is missing or damaged"):
        store.releases("town")


def test_every_level_has_its_files(store: ReleaseStore, town: Town) -> None:
    """A rollup's table and measurements stand beside the finest ones, and every file is hashed in the manifest."""
    written = store.write(*release(town.rolled_up()))
    tables = {"data.parquet", "data.csv"} | {
        f"rollup-{n}.{end}" for n in ("city", "halves") for end in ("parquet", "csv")
    }
    measured = {f"measurements{end}.parquet" for end in ("", "-city", "-halves")}
    assert {each.name for each in written.folder.iterdir()} == PUBLIC | tables
    assert {each.name for each in written.kept.iterdir()} == PRIVATE | measured
    assert set(written.manifest.files) == (FILES | tables | measured) - {"manifest.json"}
    refuse_if_changed(written)
    (written.folder / "rollup-halves.csv").write_text("id\n")
    with pytest.raises(SourceError, match=r"changed since it was written: rollup-halves\.csv"):
        refuse_if_changed(written)


def test_a_companion_is_like_a_release(store: ReleaseStore, town: Town) -> None:
    """A rollup's view has its own table, name, columns and shape, and the release's guarantee, charge and files."""
    written = store.write(*release(town.rolled_up()))
    written = read_release(written.folder, written.kept)
    city, halves = written.companions
    assert written.tables == {"": written, "city": city, "halves": halves}
    assert written.companion("halves") == halves
    assert (halves.level, halves.manifest.name, halves.manifest.rows) == ("halves", "town-halves/2020-01/1", 2)
    table = pq.read_table(halves.data)
    assert table.column_names == [column.name for column in halves.manifest.columns]
    assert table.num_rows == halves.manifest.rows
    assert [key.name for key in halves.manifest.shape.keys] == ["half"]
    assert (city.statement, city.manifest.charge) == (written.statement, written.manifest.charge)
    assert (halves.manifest.suppressed, written.manifest.suppressed) == (0, 3)
    assert (halves.companions, changed_files(halves)) == ((), [])
    with pytest.raises(KeyError):
        written.companion("wards")


def test_an_index_of_packs_has_whole_manifests(store: ReleaseStore, town: Town) -> None:
    """Releases with companions, of two definitions, are read from the index of their pack as from the pack itself, and
    what releases of one definition have in common is in the index once."""
    written = [store.write(*release(town.rolled_up(), edition=number)) for number in (1, 2)]
    written.append(store.write(*release(town, edition=3)))
    store.pack("town", "2020", written)
    store.index("town")
    index = json.loads(store.index_of(store.root / "town" / "2020.zip").read_bytes().partition(b"\n")[2])
    tables = {each.manifest.columns for release in written for each in release.tables.values()}
    assert (len(index["manifests"]), len(index["columns"])) == (3, len(tables))
    for indexed in (True, False):
        again = ReleaseStore(store.public, store.private, indexed=indexed)
        assert again.releases("town") == written
        assert [type(each.manifest) for each in again.releases("town")] == [Manifest] * 3
        assert [each.companions for each in again.releases("town")] == [each.companions for each in written]
        digests = [again.sha256(each.manifest.name) for each in written]
        assert digests == [hashlib.sha256(each.content("manifest.json")).hexdigest() for each in written]


def test_measurements_are_private_unless_the_dataset_asks(store: ReleaseStore, town: Town) -> None:
    """The noisy numbers of withheld cells are in private files that only their owner can read; published on request,
    they are the same numbers with their keys, under another name, and hashed as well."""
    private = store.write(*release(town.rolled_up()))
    asked = replace(town.rolled_up(), dataset={**town.rolled_up().dataset, "publish_measurements": True})
    public = store.write(*release(asked, edition=2))
    names = [f"measurements{end}.parquet" for end in ("", "-city", "-halves")]
    assert not [path for path in listed(private.folder) if "measurements" in path]
    for name in names:
        assert private.path(name).stat().st_mode & 0o777 == public.path(name).stat().st_mode & 0o777 == 0o600
        kept = pq.read_table(public.path(name))
        assert pq.read_table(public.folder / f"noisy-{name}").select(kept.column_names).equals(kept)
    assert {f"noisy-{name}" for name in names} <= set(public.manifest.files)
    folders = [private.kept, *private.kept.parents]
    assert all(each.stat().st_mode & 0o777 == 0o700 for each in folders[: folders.index(store.private)])


def test_what_a_killed_run_left_is_replaced(store: ReleaseStore, town: Town) -> None:
    """Measurements of a release that nobody saw do not stand in the way of the next draw, and never mix with it."""
    left = store.kept(store.root / "town/2020-01/1")
    left.mkdir(parents=True)
    (left / "measurements-wards.parquet").write_bytes(b"of the killed run")
    written = store.write(*release(town))
    assert listed(written.kept) == PRIVATE
    assert changed_files(written) == []


def of_an_older_version(written: Release) -> None:
    """Put the measurements where older versions wrote them."""
    for path in written.kept.iterdir():
        path.rename(written.folder / path.name)
    written.kept.rmdir()


def test_measurements_of_an_older_version_are_moved(store: ReleaseStore, town: Town) -> None:
    """They are found where they are, moved once, private afterward, and the manifest stays as it was."""
    written = store.write(*release(town.rolled_up()))
    measured = listed(written.kept)
    before = {name: written.path(name).read_bytes() for name in written.manifest.files}
    manifest = (written.folder / "manifest.json").read_bytes()
    of_an_older_version(written)
    assert changed_files(written) == []
    for _ in range(2):
        store.hide_measurements()
        assert {name: written.path(name).read_bytes() for name in written.manifest.files} == before
        assert (listed(written.kept), listed(written.folder) & measured) == (measured, set())
        assert (written.folder / "manifest.json").read_bytes() == manifest
    assert {path.stat().st_mode & 0o777 for path in written.kept.iterdir()} == {0o600}


@pytest.mark.parametrize("call", ["fsync", "replace", "unlink"])
def test_a_move_that_is_interrupted_goes_on(
    store: ReleaseStore, town: Town, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Stopped before any of its steps, the release is whole, and the next call finishes the move."""
    written = store.write(*release(town.rolled_up()))
    measured = listed(written.kept)
    of_an_older_version(written)
    owner = os if call == "fsync" else Path
    real, stops, steps = getattr(owner, call), 0, 0

    def stopped(*given: Any, **named: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == stops:
            raise OSError(errno.EIO, "stopped")
        return real(*given, **named)

    monkeypatch.setattr(owner, call, stopped)
    while stops == 0 or steps >= stops:
        stops, steps = stops + 1, 0
        with suppress(SourceError):
            store.hide_measurements()
        assert changed_files(written) == []
    assert stops > 2
    assert {each for each in listed(written.kept) if not each.startswith(".")} == measured
    assert listed(written.folder) & measured == set()


def test_a_move_never_writes_over_a_file(store: ReleaseStore, town: Town) -> None:
    """Where both places have a file and they differ, both stay, and the private one is checked."""
    written = store.write(*release(town))
    (written.folder / "measurements.parquet").write_bytes(b"other")
    store.hide_measurements()
    assert (written.folder / "measurements.parquet").read_bytes() == b"other"
    assert changed_files(written) == []


LATER = {"rollups", "discovered", "vintage", "final", "order"}


def test_manifests_of_the_first_version_are_read(store: ReleaseStore, town: Town) -> None:
    """A manifest that says nothing of rollups, vintages, levels or samplers is read as one table, drawn once."""
    written = store.write(*release(town))
    path = written.folder / "manifest.json"
    says = {key: value for key, value in json.loads(path.read_text()).items() if key not in LATER}
    for charge in says["charge"]["tables"]:
        del charge["level"], charge["sampler"]
    del says["charge"]["delta"], says["charge"]["selection"], says["shape"]["measures"][0]["range"]
    path.write_text(json.dumps(says))
    found = read_release(written.folder, written.kept)
    assert found == Release(written.folder, written.kept, written.manifest)
    assert (found.companions, found.tables, found.manifest.final) == ((), {"": found}, True)
