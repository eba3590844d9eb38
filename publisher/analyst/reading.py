"""The analyst file in Python: tables as pandas frames, and margins of sums and differences of one's own.

What the file's macros leave open, because tables overlap in too many cells, is solved here.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from publisher.analyst.macros import PARAMETERS, PULLED, body, create
from publisher.duck import attached, quoted
from publisher.errors import DefinitionError, SourceError

if TYPE_CHECKING:
    from os import PathLike

    import pandas as pd

ATTACHED = "open_data"
OPEN = "SELECT * FROM sums WHERE fit IN (SELECT fit FROM found WHERE NOT solved)"
SOLVED = f"SELECT release, sum(part) AS part FROM ({PULLED} UNION ALL FROM memory.solved) GROUP BY release"
"""What coarser tables take off: what the file knows, and what was solved for."""
VIEWS = ("_values", "_tables", "_releases", "_columns", "_guarantees", "_keys", "_boundaries")


class OpenData:
    """An analyst file, opened for reading only. `city["requests_weekly"]` is a frame; `city.values` has every value."""

    def __init__(self, path: str | PathLike[str]) -> None:
        import duckdb

        path = Path(path)
        if not path.is_file():
            raise DefinitionError(f"{path} does not exist: give the path of an open_data.duckdb")
        self._opened = ExitStack()
        try:
            self._connection = self._opened.enter_context(attached(path, ATTACHED))
            about = self._connection.execute(f"SELECT table_name, title FROM {ATTACHED}._tables ORDER BY table_name")
            self.tables: dict[str, str] = dict(about.fetchall())
        except (duckdb.Error, SourceError):
            self._opened.close()
            raise SourceError(f"{path}: is not an analyst file, or an older version wrote it") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def __getitem__(self, table: str) -> pd.DataFrame:
        """A table by its name: every value has its low and high end beside it."""
        self._known(table, VIEWS)
        return self._connection.execute(f"FROM {ATTACHED}.{quoted(table)}").df()

    @property
    def values(self) -> pd.DataFrame:
        """Every value of every table, with its margin, in one set of columns."""
        return self["_values"]

    def margin_of_sum(self, table: str, measure: str, filter: str = "true") -> pd.Series[Any]:  # noqa: A002 - as in SQL
        """The sum over the rows that a filter on key columns chooses; `reason` says why where there is none."""
        return self._ask("margin_of_sum", table, measure, filter)

    def margin_of_difference(
        self,
        table: str,
        measure: str,
        filter: str,  # noqa: A002 - as in SQL
        other_filter: str,
    ) -> pd.Series[Any]:
        """The sum over one choice of rows less the sum over another."""
        return self._ask("margin_of_difference", table, measure, filter, other_filter)

    def differ(self, table: str, measure: str, first_id: str, second_id: str) -> pd.Series[Any]:
        """Whether two rows, named by their ids, can be told apart."""
        return self._ask("differ", table, measure, first_id, second_id)

    def _ask(self, macro: str, table: str, *arguments: str) -> pd.Series[Any]:
        self._known(table)
        given = [f"{ATTACHED}.{table}", *arguments]
        solved = self._solve(macro, given)
        where = "memory.solved_" if solved else f"{ATTACHED}."
        return self._row(f"{where}{macro}", given)

    def _known(self, table: str, more: tuple[str, ...] = ()) -> None:
        if table not in (*self.tables, *more):
            raise DefinitionError(f"there is no table {table!r}; there are: {', '.join(self.tables)}")

    def _call(self, macro: str, given: list[str]) -> pd.DataFrame:
        """Raises DefinitionError for a filter that DuckDB does not understand."""
        import duckdb

        try:
            return self._connection.execute(f"FROM {macro}({', '.join('?' * len(given))})", given).df()
        except duckdb.Error as error:
            raise DefinitionError(str(error).splitlines()[0]) from None

    def _row(self, macro: str, given: list[str]) -> pd.Series[Any]:
        """The one row of a macro, with None where there is nothing."""
        import pandas as pd

        frame = self._call(macro, given)
        found = frame.astype(object).iloc[0]
        return pd.Series({name: None if pd.isna(value) else value for name, value in found.items()}, dtype=object)

    def _solve(self, macro: str, given: list[str]) -> bool:
        """Solve for what coarser tables take off where the file leaves it open; False if it leaves nothing open."""
        if not self._connection.execute(f"SELECT 1 FROM {ATTACHED}._fits WHERE NOT solved LIMIT 1").fetchall():
            return False
        self._prepare(macro)
        sums = self._call(f"memory.sums_of_{macro}", given)
        parts = [
            (int(each["release"].iloc[0]), self._part(int(each["fit"].iloc[0]), each))
            for _, each in sums.groupby(["release", "fit"])
        ]
        self._connection.execute("DELETE FROM memory.solved")
        if parts:
            self._connection.executemany("INSERT INTO memory.solved VALUES (?, ?)", parts)
        return bool(parts)

    def _prepare(self, macro: str) -> None:
        """The macro once more in this connection, with open ends."""
        self._connection.execute("CREATE TABLE IF NOT EXISTS memory.solved (release INTEGER, part DOUBLE)")
        columns: dict[str, list[str]] = {name: [] for name in self.tables}
        keys: dict[str, list[str]] = {name: [] for name in self.tables}
        said = f"SELECT table_name, name, is_key FROM {ATTACHED}._columns ORDER BY table_name, position"
        for table, name, is_key in self._connection.execute(said).fetchall():
            columns[table].append(name)
            if is_key:
                keys[table].append(name)
        for name, text in (
            (f"sums_of_{macro}", body(macro, columns, keys, final=OPEN)),
            (f"solved_{macro}", body(macro, columns, keys, taken=SOLVED)),
        ):
            self._connection.execute(create(f"memory.{name}", PARAMETERS[macro], text))

    def _part(self, fit: int, sums: pd.DataFrame) -> float:
        """What coarser tables take off the variance of a sum with these sums over their cells."""
        import numpy as np

        matrix = self._matrix(fit)
        blocks, codes = np.unique(sums["block"], return_inverse=True)
        z = np.zeros((len(matrix), blocks.size))
        z[sums["coarse"], codes] = sums["z"]
        return float((z * np.linalg.solve(matrix, z)).sum())

    def _matrix(self, fit: int) -> Any:
        """S of the least squares of a fit, in variances of the finest table's noise."""
        import numpy as np

        from publisher.privacy.lattice import LEAST_RATIO, Blocks

        asked = "SELECT level, place, coarse FROM {}._inside WHERE fit = ? ORDER BY level, place"
        rows = self._connection.execute(asked.format(ATTACHED), [fit]).df()
        asked = "SELECT ratio FROM {}._ratios WHERE fit = ? ORDER BY level"
        ratios = self._connection.execute(asked.format(ATTACHED), [fit]).df()["ratio"].to_numpy()
        inside = rows["coarse"].to_numpy(np.int64).reshape(rows["level"].nunique(), -1)
        levels = np.zeros(int(inside.max()) + 1, dtype=np.int64)
        for level, cells in enumerate(inside):
            levels[cells] = level
        blocks = Blocks(inside, np.zeros((1, inside.shape[1]), np.int64), np.arange(levels.size)[None], levels)
        return np.diag(np.maximum(ratios[levels], LEAST_RATIO)) + blocks.overlaps()
