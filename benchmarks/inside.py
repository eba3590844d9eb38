"""The draw of one release beside the plain GROUP BY, warm, in one process: `inside.py FOLDER DATASET` prints JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from collections.abc import Callable

REPEATS = 3
REQUESTS = "WARD, PROBLEMCODE, date_trunc('{grain}', _event), count(*)"
METERS = "zone, date_trunc('{grain}', _event), count(*), sum(TRY_CAST(reading AS DOUBLE))"


def main() -> None:
    """Prints seconds of the wall and of the processor, the best of three."""
    workspace = find_workspace(Path(sys.argv[1]))
    dataset = workspace.dataset(sys.argv[2])
    period, cells = parse("2018"), dataset.grid(parse("2018")).size
    found = raw(dataset.source, workspace.private, period.start, period.end)
    records = RecordSource(found.sql, tuple(found.parameters), guarded(dataset.source))
    mechanisms = mechanisms_of(dataset, workspace.settings)
    files = workspace.private / "landed" / dataset.source.name / "*" / "month=2018-*" / "*.parquet"
    columns = METERS if dataset.source.definition.register_ else REQUESTS
    query = f"SELECT {columns.format(grain=dataset.definition.cell_grain)} FROM read_parquet(?) GROUP BY ALL"
    with connect(workspace.settings.engine, workspace.private / "tmp") as connection:
        connection.execute("SET enable_progress_bar = false")

        def release() -> None:
            noisy = add_noise(bound_and_aggregate(connection, records, dataset, period, 42), mechanisms)
            assert all(np.shape(table) == (cells,) for table in noisy.tables.values())

        plain, draw = [], []
        for _ in range(REPEATS):
            plain.append(seconds(lambda: connection.execute(query, [str(files)]).fetchall()))
            draw.append(seconds(release))
    times = {"plain": min(w for w, _ in plain), "plain_processor": min(p for _, p in plain)}
    times |= {"seconds": min(w for w, _ in draw), "processor": min(p for _, p in draw)}
    print(json.dumps({"cells": cells, **times}))


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """How long it takes, and how long the processor works on it."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


if __name__ == "__main__":
    main()
