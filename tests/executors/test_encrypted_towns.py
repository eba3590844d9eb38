"""Towns whose landed records are encrypted have the exact numbers of towns whose records are not."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.dataset
import pytest
from random_towns import ENGINE, drawn, same

from publisher import encryption
from publisher.encryption import Encryption, WorkspaceKey
from publisher.executors.local import LocalExecutor
from publisher.executors.processes import ProcessesExecutor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from random_towns import RandomTown
    from small_town import Town


@contextmanager
def twins(town: Town, seed: int, folder: Path) -> Iterator[tuple[RandomTown, RandomTown]]:
    """The town of this seed, and the same with encrypted records and the same pseudonyms."""
    plain = drawn(town, seed, folder / "plain")
    private = folder / "encrypted" / "private"
    private.mkdir(parents=True, mode=0o700)
    shutil.copy2(plain.private / "key", private / "key")
    encryption.give([Encryption(private, (WorkspaceKey(b"k" * 32),), spills=True)])
    try:
        yield plain, drawn(town, seed, folder / "encrypted")
        landed = [path for kind in ("landed", "receipts") for path in (private / kind).rglob("*.parquet")]
        assert landed, plain.words
        assert all(map(encryption.is_parquet, landed)), plain.words
    finally:
        encryption.declare(private, None)


@pytest.mark.parametrize("seed", range(10))
def test_encrypted_records_count_the_same_bits(seed: int, town: Town, tmp_path: Path) -> None:
    """Towns at random (units, windows, bounds, registers, policies, deliveries, rollups, discovered keys, lookups) have
    every exact number that they have without a key: tables, candidates for keys, and casts that failed."""
    with twins(town, seed, tmp_path) as (plain, encrypted):
        expected = plain.counted(LocalExecutor(ENGINE, tmp_path / "plain" / "tmp"))
        found = encrypted.counted(LocalExecutor(ENGINE, encrypted.private / "tmp"))
        assert same(expected, found) == [], plain.words
        assert any(table.any() for name, table in expected.items() if "/" in name), plain.words


@pytest.mark.evidence("random definitions counted from encrypted records: the same bits as from plain ones")
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_encrypted_towns_count_the_same_bits(seed: int, town: Town, tmp_path: Path) -> None:
    """Ten towns meet only some of the combinations; these meet nearly all."""
    test_encrypted_records_count_the_same_bits(seed, town, tmp_path)


def test_a_scan_begins_without_holding_python(tmp_path: Path) -> None:
    """A scan of encrypted files is never begun by Arrow's own reader, which is made while Python is held: threads that
    unwrap keys wait for Python, and a landing on a busy machine once stood still for good."""
    encryption.give([Encryption(tmp_path, (WorkspaceKey(b"k" * 32),), spills=True)])
    try:
        path = tmp_path / "rows.parquet"
        encryption.write_parquet(pa.table({"a": [1, 2, 3]}).to_reader(), path)
        for rows in (encryption.rows_of([path]), encryption.rows_of([path], "path")):
            scan = type(rows).scanner(rows, columns=["a"], filter=None)  # as DuckDB calls it
            assert not isinstance(scan, pa.dataset.Scanner)
            assert scan.to_reader().read_all()["a"].to_pylist() == [1, 2, 3]
    finally:
        encryption.declare(tmp_path, None)


def test_worker_processes_have_the_key(processes: None, town: Town, tmp_path: Path) -> None:
    """Workers get the key from the process that starts them, and count the same bits."""
    with twins(town, 3, tmp_path) as (plain, encrypted):
        pool = ProcessesExecutor(ENGINE, encrypted.private / "tmp")
        try:
            assert same(plain.counted(LocalExecutor(ENGINE, tmp_path / "tmp")), encrypted.counted(pool)) == []
        finally:
            pool.close()
