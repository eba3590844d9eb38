"""The analyst file is written only when its inputs changed, and new releases are added to a copy of it."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pytest
from analyst_examples import SETTINGS, example, noisy, released

from publisher.analyst import file as analyst
from publisher.analyst.file import write_analyst_file
from publisher.analyst.inputs import asked
from publisher.analyst.published import PublishedDataset

if TYPE_CHECKING:
    from pathlib import Path

    from small_town import Town

    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile

CELLS = 28
TRUTH = np.arange(CELLS, dtype=np.int64) * 7
MONTHS = ("2020-01", "2020-02", "2020-03")


@pytest.fixture
def dataset(town: Town) -> DatasetFile:
    """A town whose tables are no chain, so that every table of the file is in use."""
    return example(town)


@pytest.fixture
def releases(dataset: DatasetFile, tmp_path: Path) -> list[Release]:
    """Three months."""
    return [released(tmp_path, dataset, noisy(dataset, TRUTH, period), period) for period in MONTHS]


def write(root: Path, dataset: DatasetFile, releases: list[Release], **changed: Any) -> Path:
    """The file, with notes of what it was made from."""
    published = PublishedDataset(dataset, releases, changed.get("addresses", {}))
    return write_analyst_file(root, [published], changed.get("settings", SETTINGS), root, root / "notes.json")


def everything(path: Path) -> dict[str, Any]:
    """Every row of every table and view, and every comment."""
    with duckdb.connect(str(path), read_only=True) as connection:
        names = [name for (name,) in connection.execute("SELECT table_name FROM information_schema.tables").fetchall()]
        found: dict[str, Any] = {
            name: sorted(map(repr, connection.execute(f'SELECT * FROM "{name}"').fetchall())) for name in names
        }
        for catalog in ("duckdb_columns", "duckdb_tables", "duckdb_functions", "duckdb_views"):
            query = f"SELECT * FROM {catalog}() WHERE comment IS NOT NULL AND NOT internal"
            found[catalog] = sorted(str(row["comment"]) for row in _rows(connection, query))
        return found


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def test_an_extended_file_is_as_one_written_whole(
    tmp_path: Path, dataset: DatasetFile, releases: list[Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Month by month, or all at once: the same rows, views, macros and comments."""
    whole = everything(write_analyst_file(tmp_path, [PublishedDataset(dataset, releases)], SETTINGS, tmp_path))
    (tmp_path / "open_data.duckdb").unlink()
    write(tmp_path, dataset, releases[:1])
    monkeypatch.setattr(analyst, "_write", _never)
    write(tmp_path, dataset, releases[:2])
    assert everything(write(tmp_path, dataset, releases)) == whole
    assert len(whole["town"]) == 3 * CELLS


def test_a_file_of_the_same_inputs_is_left_alone(tmp_path: Path, dataset: DatasetFile, releases: list[Release]) -> None:
    """Readers keep it open, and nothing is written."""
    before = write(tmp_path, dataset, releases).stat()
    assert write(tmp_path, dataset, releases).stat() == before


def test_whatever_else_changes_writes_the_whole_file(
    tmp_path: Path, dataset: DatasetFile, releases: list[Release]
) -> None:
    """An edition of an earlier month, a title, an address, a setting, or a file that is not the one that was made."""
    titled = replace(dataset, definition=dataset.definition.model_copy(update={"title": "Another title"}))
    addresses = {"": ("abcd-1234", "http://127.0.0.1:1/d/abcd-1234")}
    path = write(tmp_path, dataset, releases)
    seen = [everything(path)]
    for again, changed in (
        ([releases[0], releases[2]], {}),
        (releases, {"addresses": addresses}),
        (releases, {"settings": SETTINGS.model_copy(update={"license": "ODbL 1.0"})}),
    ):
        seen.append(everything(write(tmp_path, dataset, again, **changed)))
    seen.append(everything(write(tmp_path, titled, releases)))
    assert all(one != other for one, other in pairwise(seen))
    assert len(seen[1]["town"]) == 2 * CELLS
    path.write_bytes(b"something else")
    assert everything(write(tmp_path, titled, releases)) == seen[-1]


def test_a_file_that_became_damaged_is_written_again(
    tmp_path: Path, dataset: DatasetFile, releases: list[Release]
) -> None:
    """Also if its size and time are those of the file that was made."""
    path = write(tmp_path, dataset, releases[:2])
    status, content = path.stat(), bytearray(path.read_bytes())
    content[: 3 * 4096] = bytes(3 * 4096)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len(everything(write(tmp_path, dataset, releases))["town"]) == 3 * CELLS


def test_what_a_file_is_made_from_is_the_same_for_every_process(tmp_path: Path, dataset: DatasetFile) -> None:
    """Nothing in its digest depends on the order of a set or on where an object lies."""
    assert " object at 0x" not in repr(dataset) + repr(SETTINGS)
    assert "frozenset(" not in repr(dataset)
    assert asked([], SETTINGS, tmp_path) == asked([], SETTINGS, tmp_path)


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("call", ["commit", "replace", "write_file"])
def test_a_killed_extension_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, dataset: DatasetFile, releases: list[Release], call: str
) -> None:
    """Before the rename the old one is there; after it the new one, which the next run knows nothing of."""
    path = write(tmp_path, dataset, releases[:2])
    old = everything(path)
    child = os.fork()
    if child == 0:
        _die_at(call)
        write(tmp_path, dataset, releases)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    left = everything(path)
    assert left == old if call != "write_file" else len(left["town"]) == 3 * CELLS
    assert len(everything(write(tmp_path, dataset, releases))["town"]) == 3 * CELLS


def _die_at(call: str) -> None:
    import publisher.analyst.inputs

    def die(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if call == "commit":
        analyst._extend = die  # type: ignore[assignment]
    elif call == "replace":
        analyst.sync = die
    else:
        publisher.analyst.inputs.write_file = die


def _never(*_: Any, **__: Any) -> None:
    raise AssertionError("the whole file was written")
