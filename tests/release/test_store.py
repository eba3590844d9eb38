"""A release is there whole, with the bytes that its manifest names, or it is not there."""

from __future__ import annotations

import errno
import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from release_examples import contents, drawn

from publisher.errors import SourceError
from publisher.release.manifest import Manifest, Release, hash_of, read_release
from publisher.release.store import ReleaseStore, changed_files, refuse_if_changed

if TYPE_CHECKING:
    from conftest import Town

    from publisher.release.store import Contents

FILES = {
    "data.parquet", "data.csv", "measurements.parquet", "guarantee.json", "guarantee.md", "guarantee.html",
    "manifest.json",
}  # fmt: skip


def release(town: Town, period: str = "2020-01", edition: int = 1) -> tuple[Manifest, Contents]:
    dataset = town.dataset_file()
    return contents(dataset, drawn(dataset, period), period=period, edition=edition)


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "public")


def listed(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}


def test_a_release_is_whole(store: ReleaseStore, town: Town) -> None:
    """All files are there, as the manifest's hashes say, and the same release is read back."""
    written = store.write(*release(town))
    assert {each.name for each in written.folder.iterdir()} == FILES
    assert changed_files(written) == []
    assert set(written.manifest.files) == FILES - {"manifest.json"}
    assert read_release(written.folder) == written == store.editions("town", "2020-01")[0]
    assert written.statement == "# Words — ρ\n"
    table = pq.read_table(written.data)
    csv = (written.folder / "data.csv").read_text().splitlines()
    assert len(csv) == table.num_rows + 1
    assert csv[0].replace('"', "").split(",") == table.column_names
    assert hash_of(written.data) == written.manifest.files["data.parquet"]
    assert json.loads((written.folder / "guarantee.json").read_text()) == {"format": 1}


def test_the_same_contents_are_the_same_bytes(store: ReleaseStore, town: Town, tmp_path: Path) -> None:
    """Writing the same tables elsewhere gives the same bytes of every file."""
    first, second = store.write(*release(town)), ReleaseStore(tmp_path / "other").write(*release(town))
    assert first.manifest == second.manifest
    assert all((first.folder / name).read_bytes() == (second.folder / name).read_bytes() for name in FILES)


def test_a_release_is_never_written_over(store: ReleaseStore, town: Town) -> None:
    """An edition that is there stays as it is; writing it again is refused."""
    written = store.write(*release(town))
    before = {name: (written.folder / name).read_bytes() for name in FILES}
    manifest, contents = release(town)
    with pytest.raises(SourceError, match=r"cannot be written"):
        store.write(manifest.model_copy(update={"created": "later"}), contents)
    assert {name: (written.folder / name).read_bytes() for name in FILES} == before
    assert listed(store.root) == {f"town/2020-01/1/{name}" for name in FILES}


@pytest.mark.parametrize("fails", [*range(1, 12), 100])
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
    assert bool(found) == (fails >= 12)  # the twelfth is that of the rename itself
    assert all(changed_files(each) == [] for each in found)
    assert len(listed(store.public)) == len(found) * len(FILES)


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
    content = (written.folder / name).read_bytes()
    (written.folder / name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    assert changed_files(written) == [name]
    (written.folder / name).unlink()
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
    assert {each.name for each in written.folder.iterdir()} == FILES | tables | measured
    assert set(written.manifest.files) == (FILES | tables | measured) - {"manifest.json"}
    refuse_if_changed(written)
    (written.folder / "rollup-halves.csv").write_text("id\n")
    with pytest.raises(SourceError, match=r"changed since it was written: rollup-halves\.csv"):
        refuse_if_changed(written)


def test_a_companion_is_like_a_release(store: ReleaseStore, town: Town) -> None:
    """A rollup's view has its own table, name, columns and shape, and the release's guarantee, charge and files."""
    written = read_release(store.write(*release(town.rolled_up())).folder)
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


LATER = {"rollups", "discovered", "vintage", "final"}


def test_manifests_of_the_first_version_are_read(store: ReleaseStore, town: Town) -> None:
    """A manifest that says nothing of rollups, vintages, levels or samplers is read as one table, drawn once."""
    written = store.write(*release(town))
    path = written.folder / "manifest.json"
    says = {key: value for key, value in json.loads(path.read_text()).items() if key not in LATER}
    for charge in says["charge"]["tables"]:
        del charge["level"], charge["sampler"]
    del says["charge"]["delta"], says["charge"]["selection"], says["shape"]["measures"][0]["range"]
    path.write_text(json.dumps(says))
    found = read_release(written.folder)
    assert found == Release(written.folder, written.manifest)
    assert (found.companions, found.tables, found.manifest.final) == ((), {"": found}, True)
