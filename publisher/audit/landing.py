"""Landing, tried with and without single units: what is landed of the others must be the same. And by worker processes:
they must land the rows of one process.

The raw rows are generated from the source's own definition: people who share record ids, addresses and places, in two
files. No record of the source is read.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from publisher.audit.finding import replaced
from publisher.definitions.feed import FileFeed, accept_all
from publisher.duck import connect
from publisher.errors import SourceError
from publisher.executors.processes import ProcessesExecutor
from publisher.records import sql, workers
from publisher.records.batch import BatchStore
from publisher.records.landing import land
from publisher.sample.stand_in import write_stand_in

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from publisher.definitions.settings import EngineSettings
    from publisher.executors.protocol import Executor
    from publisher.workspace import DatasetFile, SourceFile, Workspace

ROWS = 1_200
"""How many rows are landed."""
AWAY = (14, 15, 29, 30, 44, 45)
"""The rows whose units are taken away, one at a time: three pairs that share all that two units can share."""


@dataclass(frozen=True)
class LandingTrial:
    """A source whose feed is generated, and a folder for its states, all with the key of the workspace."""

    source: SourceFile
    engine: EngineSettings
    key: Path
    folder: Path

    def land(self, rows: pa.Table, name: str, executor: Executor | None = None) -> str:
        """Land the rows, half of them in each of two files; SQL for FROM with what was landed."""
        import pyarrow.csv

        state = self.folder / name
        data, private = state / "data", state / "private"
        shutil.copytree(self.folder / "data", data)
        private.mkdir(parents=True)
        shutil.copyfile(self.key, private / "key")
        (private / "key").chmod(0o600)
        half = ROWS // 2
        (data / "feed").mkdir()
        # The second file always has the same rows: a unit that is taken away moves no other into it.
        for number in (0, 1):
            part = rows.filter((rows["_n"].to_numpy() < half) == (number == 0)).drop_columns(["_n"])
            pyarrow.csv.write_csv(part, data / "feed" / f"{number}.csv")
        received = self.source.today()
        land(self.source, data=data, private=private, engine=self.engine, received=received, executor=executor)
        store = BatchStore(private, self.source.name)
        files = [path for batch in store.batches() for path in store.files(batch)]
        return sql.parquet(files)

    def land_by_workers(self, rows: pa.Table, name: str) -> str:
        """The same by two worker processes, a file each, however small they are."""
        engine = self.engine.model_copy(update={"threads": 2})
        with (
            closing(ProcessesExecutor(engine, self.folder / "workers")) as executor,
            replaced(workers, "worth", lambda _: True),
        ):
            return self.land(rows, name, executor)


def faults_of_landing(workspace: Workspace, dataset: DatasetFile, folder: Path) -> list[str]:
    """Take single units away from generated raw rows, and compare what is landed of the others; then have worker
    processes land them all."""
    trial = _trial(workspace, dataset.source, folder)
    rows = _rows(workspace, trial)
    unit = _unit(trial.source)
    whole = trial.land(rows, "whole")
    texts, faults = rows[unit].to_pylist(), []
    with connect(workspace.settings.engine, folder) as connection:
        for number in AWAY:
            part = trial.land(rows.filter([text != texts[number] for text in texts]), f"without-{number}")
            column = "_record" if trial.source.definition.privacy.unit == "record" else "_unit"
            stayed = f"SELECT * FROM {whole} WHERE {column} IN (SELECT {column} FROM {part})"
            if _differ(stayed, f"SELECT * FROM {part}", connection):
                faults.append("what is landed of one unit depends on the rows of another")
        shared = trial.land_by_workers(rows, "shared")
        if _differ(f"SELECT * FROM {whole}", f"SELECT * FROM {shared}", connection):
            faults.append("worker processes land other rows than one process")
    return faults


def _differ(one: str, other: str, connection: DuckDBPyConnection) -> bool:
    """Whether two SELECTs give other rows, in any order."""
    apart = (f"SELECT count(*) FROM (({a}) EXCEPT ALL ({b}))" for a, b in ((one, other), (other, one)))
    return any(connection.execute(query).fetchall() != [(0,)] for query in apart)


def _trial(workspace: Workspace, source: SourceFile, folder: Path) -> LandingTrial:
    """The source with a feed of its own, and the public files that place its rows."""
    data = folder / "data"
    data.mkdir(parents=True)
    for _, path in source.definition.reference_files():
        if not (workspace.data / path).is_file():
            raise SourceError(f"{path}: is not in {workspace.data}: put it there")
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(workspace.data / path, data / path)
    definition = source.definition
    feed = FileFeed(path="feed", nulls=definition.feed.nulls, accept=accept_all(definition.landed))
    own = definition.model_copy(update={"feed": feed, "late": None, "delivery": "append"})
    return LandingTrial(replace(source, definition=own), workspace.settings.engine, workspace.private / "key", folder)


def _rows(workspace: Workspace, trial: LandingTrial) -> pa.Table:
    """Generated rows as texts, with their number in `_n`.

    Every third has the record id of the row before, which is someone else's if units are people. Every fifth has the
    address of the row before, which no list has, and nothing else that could place it.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv

    source, data = trial.source, trial.folder / "data"
    datasets = [each for each in workspace.datasets.values() if each.source.name == source.name]
    made = trial.folder / "made.csv"
    write_stand_in(source, datasets, data, made)
    types = dict.fromkeys(source.definition.columns, pa.string())
    whole = pyarrow.csv.read_csv(made, convert_options=pyarrow.csv.ConvertOptions(column_types=types))
    made.unlink()
    chosen = np.sort(np.random.default_rng(2).choice(len(whole), ROWS, replace=False))
    columns = {name: whole[name].take(pa.array(chosen)).to_pylist() for name in whole.column_names}
    definition = source.definition
    shared = [name for name in definition.record_id if name != definition.privacy.unit]
    shared = shared if definition.privacy.unit != "record" else []
    addresses = {place.address.column for place in definition.places.values() if place.address is not None}
    kept = {*definition.record_id, *addresses, definition.privacy.unit, definition.event.column}
    for name in shared:
        columns[name] = [columns[name][n - (n > 0 and n % 3 == 0)] for n in range(ROWS)]
    for name in addresses:
        columns[name] = [_pair(n) or text for n, text in enumerate(columns[name])]
    for name in set(columns) - kept:
        columns[name] = ["" if n % 5 == 0 else text for n, text in enumerate(columns[name])]
    return pa.table(columns | {"_n": list(range(ROWS))})


def _pair(number: int) -> str:
    """The address of a pair of rows, the second of which has a number that five divides; empty for other rows."""
    return f"{number + number % 5 // 4} Pair Street" if number % 5 in (0, 4) else ""


def _unit(source: SourceFile) -> str:
    """The raw column that tells units apart in generated rows."""
    definition = source.definition
    if definition.privacy.unit != "record":
        return definition.privacy.unit
    return definition.record_id[0] if definition.record_id else next(iter(definition.columns))
