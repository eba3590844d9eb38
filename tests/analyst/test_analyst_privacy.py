"""Nothing is in the analyst file that is not public already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from analyst_examples import CHAIN, LATTICE, example, noisy, released, written

from publisher.analyst.published import PublishedDataset
from publisher.release.store import ReleaseStore

if TYPE_CHECKING:
    from pathlib import Path

    from small_town import Town

TRUTH = np.array([3, 900] * 14, dtype=np.int64)
RULE = {"measure": "requests", "threshold": 100}


def everything(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table and view, and the text of every macro."""
    with duckdb.connect(str(path), read_only=True) as connection:
        names = connection.execute(
            "SELECT table_name FROM duckdb_tables() UNION SELECT view_name FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
        found = {name: connection.execute(f'FROM "{name}" ORDER BY ALL').fetchall() for (name,) in sorted(names)}
        text = "SELECT function_name, macro_definition FROM duckdb_functions() WHERE NOT internal ORDER BY 1"
        return found | {"macros": connection.execute(text).fetchall()}


@pytest.mark.parametrize("rollups", [CHAIN, LATTICE])
def test_the_file_needs_no_private_number(town: Town, tmp_path: Path, rollups: Any) -> None:
    """Written again without the folder of private measurements, every table, view and macro is the same."""
    dataset = example(town, rollups, suppression=RULE)
    release = released(tmp_path, dataset, noisy(dataset, TRUTH))
    before = everything(written(tmp_path, PublishedDataset(dataset, (release,))))
    assert "_noise" in before
    for path in sorted((tmp_path / "private").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert everything(written(tmp_path, PublishedDataset(dataset, (release,)))) == before


def test_margins_do_not_depend_on_the_noise(town: Town, tmp_path: Path) -> None:
    """Two draws of the same definition: what macros read about noise and weights is the same, number by number."""
    dataset, found = example(town, LATTICE, suppression=RULE), []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        release = released(tmp_path / name, dataset, noisy(dataset, TRUTH))
        every = everything(written(tmp_path / name, PublishedDataset(dataset, (release,))))
        found.append({table: every[table] for table in ("_rows", "_noise", "_fits", "_inside", "_pull", "_ratios")})
    assert found[0] == found[1]


def test_withheld_rows_have_no_number(town: Town, tmp_path: Path) -> None:
    """Withheld rows are empty in every table and view; estimates are there only where measurements are published."""
    for name, publish in (("private", False), ("public", True)):
        (tmp_path / name).mkdir()
        dataset = example(town, LATTICE, suppression=RULE, publish_measurements=publish)
        release = released(tmp_path / name, dataset, noisy(dataset, TRUTH))
        every = everything(written(tmp_path / name, PublishedDataset(dataset, (release,))))
        withheld = {row[1] for row in every["_values"] if row[13] == "suppressed"}
        assert withheld
        assert all(row[9:13] == (None,) * 4 for row in every["_values"] if row[1] in withheld)
        assert all(row[4:] == (None,) * 4 for row in every["_centers"] if row[1] in withheld)
        assert len(every["_estimates"]) == (28 + 3 + 4 if publish else 0)


def test_published_estimates_come_from_the_public_copy(town: Town, tmp_path: Path) -> None:
    """Estimates are computed from the measurements that everyone can download, not from the private ones."""
    dataset = example(town, LATTICE, publish_measurements=True)
    release = released(tmp_path, dataset, noisy(dataset, TRUTH))
    before = everything(written(tmp_path, PublishedDataset(dataset, (release,))))["_estimates"]
    kept = ReleaseStore(tmp_path, tmp_path / "private").kept(release.folder) / "measurements.parquet"
    table = pq.read_table(kept)
    pq.write_table(table.set_column(1, "requests", [np.zeros(28, dtype=np.int64)]), kept)
    assert everything(written(tmp_path, PublishedDataset(dataset, (release,))))["_estimates"] == before
