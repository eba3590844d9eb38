"""The draw of one release beside the plain GROUP BY, warm, in one process: `inside.py FOLDER DATASET`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from publisher.definitions.period import parse
from publisher.duck import connect
from publisher.engine.aggregate import bound_and_aggregate
from publisher.engine.guard import guarded
from publisher.engine.input import RecordSource
from publisher.pipeline.charges import mechanisms_of
from publisher.privacy.mechanism import add_noise
from publisher.records.reader import raw
from publisher.workspace import find_workspace

REPEATS = 3


def main() -> None:
    """Prints seconds and ratios of the best of three."""
    workspace = find_workspace(Path(sys.argv[1]))
    dataset = workspace.dataset(sys.argv[2])
    period = parse("2018")
    landed = raw(dataset.source, workspace.private, period.start, period.end)
    records = RecordSource(landed.sql, tuple(landed.parameters), guarded(dataset.source))
    mechanisms = mechanisms_of(dataset, workspace.settings)
    files = workspace.private / "landed" / dataset.source.name / "*" / "month=2018-*" / "*.parquet"
    naive, bounding, noise = [], [], []
    with connect(workspace.settings.engine, workspace.private / "tmp") as connection:
        for _ in range(REPEATS):
            begun = time.perf_counter()
            connection.execute(
                "SELECT WARD, PROBLEMCODE, date_trunc('month', _event), count(*) FROM read_parquet(?) GROUP BY ALL",
                [str(files)],
            ).fetchall()
            naive.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            bounded = bound_and_aggregate(connection, records, dataset, period, 42)
            bounding.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            noisy = add_noise(bounded, mechanisms)
            noise.append(time.perf_counter() - begun)
            assert all(np.shape(table) == (dataset.grid(period).size,) for table in noisy.tables.values())
    plain, exact, drawn = min(naive), min(bounding), min(noise)
    print(
        f"{dataset.name}, inside one warm process: DuckDB {plain:.2f} s; bounding and aggregating {exact:.2f} s "
        f"({exact / plain:.1f} times); noise {drawn:.2f} s; together {(exact + drawn) / plain:.1f} times"
    )


if __name__ == "__main__":
    main()
