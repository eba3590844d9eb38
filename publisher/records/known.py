"""The ids of a source's landed records in sorted runs, so that finding those of a new file again costs nothing more
however many there are.

Everything here follows from the landed batches: runs that do not fit them are made again. `private/known/<source>/` has
the runs, 16 bytes an id, and `runs.json`, which says whose ids are in each.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from publisher import encryption
from publisher.duck import safely
from publisher.errors import SourceError
from publisher.records import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Any

    import numpy as np
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    Ids = NDArray[np.bytes_]
    Reading = Callable[[Sequence[Path]], AbstractContextManager[Sequence[Path]]]

_FILE = "runs.json"
_ID = "S16"
_SIZE = 16
_PIECE = 1 << 17
_APART = 4
"""A run is merged into the one before it unless that is so many times as long: so there are only a few."""
_SHARE = 16
"""A run has at most this fraction of the memory."""


@dataclass(frozen=True)
class Run:
    """One file of sorted ids."""

    name: str
    rows: int
    parts: tuple[str, ...]
    """Whose ids are in it; a part of which other runs have ids too is in each."""


class KnownRecords:
    """The ids of the records of one source that are landed or remembered."""

    def __init__(self, private: Path, source: str, memory: int, reading: Reading = nullcontext) -> None:
        """`reading` makes files readable here."""
        self.folder = private / "known" / source
        self._reading = reading
        self._longest = max(_PIECE, memory // _SHARE // _SIZE)

    def know(
        self, parts: Collection[str], files_of: Callable[[str], Sequence[Path]], connection: DuckDBPyConnection
    ) -> None:
        """Know the ids in the files of these parts, and no others."""
        before, wanted = self._runs(), set(parts)
        runs = self._fitting(before, wanted)
        missing = wanted - {part for run in runs for part in run.parts}
        if not missing and len(runs) == len(before):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(run.name.partition(".")[0]) for run in before), default=0)
        files = [path for part in sorted(missing) for path in files_of(part)]
        for ids in self._sorted(files, connection):
            runs.append(self._write(number, ids, tuple(sorted(missing))))
            number += 1
        runs = self._merged(runs, number)
        encryption.write_file(self.folder / _FILE, json.dumps([asdict(run) for run in runs]).encode())
        for path in self.folder.glob("*.ids"):
            if path.name not in {run.name for run in runs}:
                path.unlink()

    def among(self, relation: str, connection: DuckDBPyConnection) -> Iterator[Any]:
        """Arrow columns of the ids `_record` of the relation that are known."""
        import pyarrow as pa

        runs = [self._read(run) for run in self._runs()]
        for ids in _stream(f"SELECT DISTINCT _record FROM {relation}", connection):
            found = ids[_in_any(ids, runs)]
            if len(found):
                yield pa.FixedSizeBinaryArray.from_buffers(pa.binary(_SIZE), len(found), [None, pa.py_buffer(found)])

    def _fitting(self, runs: list[Run], parts: Set[str]) -> list[Run]:
        """The runs of these parts alone that have lost nothing; with a run go all that have ids of the same parts."""
        lost = {part for run in runs if not (set(run.parts) <= parts and self._whole(run)) for part in run.parts}
        while more := {part for run in runs if lost & set(run.parts) for part in run.parts} - lost:
            lost |= more
        return [run for run in runs if not lost & set(run.parts)]

    def _sorted(self, files: list[Path], connection: DuckDBPyConnection) -> Iterator[Ids]:
        """All ids of the files in order, in pieces that may be runs."""
        import numpy as np

        if not files:
            return
        held: list[Ids] = []
        with self._reading(files) as there, safely("finding records again"):
            for ids in _stream(f"SELECT _record FROM {sql.parquet(there)}", connection):
                held.append(ids)
                if sum(map(len, held)) >= self._longest:
                    yield np.concatenate(held)
                    held = []
        if held:
            yield np.concatenate(held)

    def _merged(self, runs: list[Run], number: int) -> list[Run]:
        import numpy as np

        while len(runs) > 1:
            last, before = runs[-1], runs[-2]
            if before.rows > _APART * last.rows or before.rows + last.rows > self._longest:
                break
            ids = np.sort(np.concatenate([self._read(before), self._read(last)]), kind="stable")
            runs = [*runs[:-2], self._write(number, ids, tuple(sorted({*before.parts, *last.parts})))]
            number += 1
        return runs

    def _runs(self) -> list[Run]:
        """The runs there are; none if what is written of them is damaged, since they can be made again."""
        try:
            found = json.loads(encryption.read_file(self.folder / _FILE))
            return [Run(str(each["name"]), int(each["rows"]), tuple(each["parts"])) for each in found]
        except (OSError, ValueError, TypeError, KeyError, SourceError):
            return []

    def _whole(self, run: Run) -> bool:
        path = self.folder / run.name
        return path.is_file() and encryption.size_of(path) == run.rows * _SIZE

    def _read(self, run: Run) -> Ids:
        import numpy as np

        if not run.rows:
            return np.empty(0, dtype=_ID)
        path = self.folder / run.name
        if encryption.key_name(path) is not None:
            return np.frombuffer(encryption.read_file(path), dtype=_ID)
        return np.memmap(path, dtype=_ID, mode="r")

    def _write(self, number: int, ids: Ids, parts: tuple[str, ...]) -> Run:
        path = self.folder / f"{number}.ids"
        encryption.write_file(path, ids.tobytes())
        return Run(path.name, len(ids), parts)


def _stream(select: str, connection: DuckDBPyConnection) -> Iterator[Ids]:
    """The ids that a SELECT gives, in order and in pieces."""
    import numpy as np

    query = f"SELECT CAST(_record AS BLOB) FROM (FROM ({select}) ORDER BY _record)"
    for batch in connection.cursor().sql(query).to_arrow_reader(_PIECE):
        column = batch.column(0)
        values = column.buffers()[2]
        yield np.frombuffer(values, dtype=_ID, count=len(column), offset=column.offset * _SIZE)


def _in_any(ids: Ids, runs: Iterable[Ids]) -> NDArray[np.bool_]:
    import numpy as np

    known = np.zeros(len(ids), dtype=np.bool_)
    for run in runs:
        if len(run):
            at = np.searchsorted(run, ids)
            known |= run[np.minimum(at, len(run) - 1)] == ids
    return known
