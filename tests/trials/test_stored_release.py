"""A release whose landed records lie in an object store: the same bytes as from a folder, also after a kill."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from object_stores import KEY, WORD, Line, Store, between, serving
from test_workers_killed import COMMAND, WEEK, begun, charges, ended, people, released, twin

from publisher.audit.bench import bench_of
from publisher.definitions.period import parse
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from town import Town

RECORDS = 4_000
pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture(scope="module")
def undisturbed(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """The town, released from its folder."""
    town = people(tmp_path_factory.mktemp("folder"), "local", records=RECORDS)
    ended(begun(town))
    return town


@pytest.fixture(scope="module")
def store(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A server of S3."""
    with serving(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def line(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    for name, value in {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": WORD}.items():
        monkeypatch.setenv(name, value)
    with between(store) as made:
        made.private = True
        yield made


def stored(folder: Path, executor: str, bucket: str, line: Line) -> Town:
    """The same town, whose landed records go to a bucket."""
    town = people(folder, executor, records=RECORDS)
    settings = town.folder / "publisher.toml"
    landed = f'[landed]\nurl = "s3://{bucket}/landed"\nendpoint = "{line.address}"\n'
    settings.write_text(settings.read_text(encoding="utf-8") + landed, encoding="utf-8")
    return town


def said(town: Town, *arguments: str, code: int = 0) -> str:
    command = [str(COMMAND), "-C", str(town.folder), *arguments]
    ran = subprocess.run(command, env=os.environ | town.environment, capture_output=True, text=True, check=False)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "executor",
    [
        "local",
        pytest.param("processes", marks=pytest.mark.evidence("a release from an object store by worker processes")),
    ],
)
def test_a_release_from_a_store_has_the_bytes_of_one_from_a_folder(
    executor: str, undisturbed: Town, store: Store, line: Line, tmp_path: Path
) -> None:
    """The run is killed while it writes to the store; the next one ends well: one charge, the same data.csv, no landed
    record on this disk. What only looks (verify, check, doctor, the audit) works from there too, and names a store that
    is gone in one line."""
    bucket = f"town-{executor}"
    store.put(bucket)
    town = twin(undisturbed, stored(tmp_path, executor, bucket, line))
    with begun(town) as run:

        def kill(method: str, path: str) -> str | None:
            if method == "PUT" and path.endswith(".parquet"):
                run.kill()
                return "500"
            return None

        line.fault = kill
        run.communicate()
        assert run.returncode < 0
    line.fault = lambda _method, _path: None
    ended(begun(town))
    assert released(town) == released(undisturbed) != []
    assert charges(town) == 1
    assert [path.name for path in (town.private / "landed").rglob("*") if path.is_file()] == ["stored.json"]
    assert not list((town.private / "tmp").rglob("*"))
    assert "calls: landed files" in said(town, "verify", "--offline")
    well = f"s3://{bucket}/landed can be written and read, with keys alone"
    assert well in " ".join(said(town, "check", "--data").split())
    workspace = find_workspace(town.folder)
    dataset = workspace.dataset("town-calls")
    with bench_of(workspace, dataset, parse(WEEK), tmp_path / "spill") as bench:
        assert bench.connection.execute("SELECT count(*) > 0 FROM landed").fetchall() == [(True,)]
    assert not list(tmp_path.joinpath("spill").rglob("*.parquet"))
    line.fault = lambda _method, _path: "403"
    gone = " ".join(said(town, "doctor", code=5).split())
    assert "the store refused (ACCESS_DENIED): set AWS_ACCESS_KEY_ID" in gone
    assert WORD not in gone
