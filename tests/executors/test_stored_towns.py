"""Landed records in an object store are counted to the same bits as those in a folder, by every executor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from object_stores import KEY, WORD, Store, between, serving
from random_towns import ENGINE, drawn, same

from publisher.buckets import BucketAddress
from publisher.copies import LandedCopies
from publisher.executors.local import LocalExecutor
from publisher.executors.processes import ProcessesExecutor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from small_town import Town

MORE = pytest.mark.evidence("random definitions counted from an object store: the same bits as from a folder")


@pytest.fixture(scope="module")
def store(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A server of S3."""
    with serving(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=MORE) for seed in range(200, 230))])
def test_a_town_in_a_store_has_the_same_bits(
    seed: int, town: Town, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A town at random, landed in its folder and counted there, then moved to S3: one process and worker processes
    have every exact number of before, and no copy stays on this disk."""
    for name, value in {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": WORD}.items():
        monkeypatch.setenv(name, value)
    made, spill = drawn(town, seed, tmp_path), tmp_path / "tmp"
    local = made.counted(LocalExecutor(ENGINE, spill))
    store.put(f"town-{seed}")
    with between(store) as line:
        line.private = True
        folder = spill / "copies"
        copies = LandedCopies(BucketAddress(f"s3://town-{seed}/landed", line.address), folder, folder)
        there = made.moved(copies)
        assert not list(made.private.rglob("*.parquet"))
        assert same(local, there.counted(LocalExecutor(ENGINE, spill, copies=copies))) == [], made.words
        copies.remove()
        workers = ProcessesExecutor(ENGINE, spill, copies=copies)
        try:
            assert same(local, there.counted(workers)) == [], made.words
        finally:
            workers.close()
    assert not list(spill.rglob("*.parquet"))
    assert any(table.any() for name, table in local.items() if "/" in name), made.words
