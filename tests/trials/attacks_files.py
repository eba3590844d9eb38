"""What an attacker collects of published files: every copy of every cell, and what does not depend on values."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow.parquet
import requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from attacks_town import Town

Cell = tuple[str, str]
"""The table's columns as one text, and the row's id: the same wherever the table is shown."""


@dataclass
class Copies:
    """Every copy of every cell's value that was ever seen."""

    seen: dict[Cell, list[int]] = field(default_factory=dict)

    def look(self, town: Town, dataset: str, portal: str = "") -> None:
        """Takes down what the releases, the analyst file and the portal show at this moment."""
        (period,) = (town.folder / "state" / "public" / "releases" / dataset).iterdir()
        for path in sorted(period.glob("*/*.csv")):
            self._rows(path.read_text(encoding="utf-8"), dataset)
        with duckdb.connect(str(town.folder / "state" / "public" / "open_data.duckdb"), read_only=True) as connection:
            for (name,) in connection.execute("SELECT dataset FROM _releases").fetchall():
                table = connection.sql(f'FROM "{name.replace("-", "_")}"').to_arrow_table()
                self._add(table.to_pylist(), dataset)
        if portal:
            for view in requests.get(f"{portal}/api/views.json", timeout=60).json():
                address = f"{portal}/resource/{view['id']}.csv?$limit=50000"
                self._rows(requests.get(address, timeout=60).text, dataset)

    def _rows(self, text: str, measure: str) -> None:
        self._add(list(csv.DictReader(io.StringIO(text))), measure)

    def _add(self, rows: list[dict[str, Any]], measure: str) -> None:
        for row in rows:
            if row.get(measure) not in (None, ""):
                self.seen.setdefault((" ".join(row), row["id"]), []).append(int(row[measure]))

    @property
    def total(self) -> int:
        """How many copies there are."""
        return sum(len(values) for values in self.seen.values())

    @property
    def most_values(self) -> int:
        """How many different values the cell with the most of them had."""
        return max(len(set(values)) for values in self.seen.values())


def life(town: Town, publisher: Callable[..., None], portal: str) -> Copies:
    """What happens to a release in years: run and pushed again, finished with other thresholds, taken back and given
    again; an attacker looks after each."""
    copies = Copies()
    for threshold, arguments in (
        (15, ("run", "calls")),
        (15, ("push", "calls")),
        (2, ("run", "calls")),
        (40, ("run", "calls")),
        (40, ("rollback", "calls", "--reason", "A file was missing")),
        (40, ("rollback", "calls", "--reason", "A file was missing", "--undo")),
    ):
        path = town.folder / "datasets" / "calls.toml"
        path.write_text(re.sub(r"(?m)^threshold = .*$", f"threshold = {threshold}", path.read_text(encoding="utf-8")))
        publisher(town, *arguments)
        copies.look(town, "calls", portal)
    return copies


def drawn_again(town: Town, publisher: Callable[..., None]) -> None:
    """A second draw of the same records: another order of the keys is another question, which a person consents to."""
    town.edit("datasets/keysets/kinds.csv", "Lamp\nPothole", "Pothole\nLamp")
    publisher(town, "run", "calls", "--no-push", "--redraw", "2024-01", "--yes")


def structure(folder: Path) -> dict[str, Any]:
    """Everything of a release but its numbers: files, columns, rows, ids and their order, the keys of its manifest, and
    its guarantee whole, but for the day of the charge."""
    guarantee = json.loads((folder / "guarantee.json").read_text(encoding="utf-8"))
    guarantee.pop("registry")
    found: dict[str, Any] = {"guarantee": guarantee, "files": sorted(path.name for path in folder.iterdir())}
    found["manifest"] = _keys(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        keys = [name for name in rows[0] if not name.startswith("calls")]
        found[path.name] = [list(rows[0]), [[row[key] for key in keys] for row in rows]]
    for path in sorted(folder.glob("*.parquet")):
        file = pyarrow.parquet.ParquetFile(path)
        found[path.name] = [str(file.schema_arrow), file.metadata.num_rows, file.metadata.num_row_groups]
    return found


def _keys(value: Any) -> Any:
    """A JSON value with its texts and numbers replaced by their types."""
    if isinstance(value, dict):
        return {name: _keys(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_keys(each) for each in value]
    return type(value).__name__


def without_empty(exact: Any) -> int:
    """How many rows a publisher would show who leaves out cells in which there is nobody."""
    return int(np.count_nonzero(exact.tables["", "calls"]))
