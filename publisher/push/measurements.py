"""The download of a table's unbiased measurements: one file for all periods, and one that says what is in it."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from publisher.portal.contract import MeasuredFacts, MeasurementsFacts
from publisher.push.listing import Attachment
from publisher.release.measurements import columns_of, read_measurements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from publisher.definitions.dataset import Dataset
    from publisher.release.manifest import Release
    from publisher.release.measurements import MeasuredColumn

_FACTS = TypeAdapter(tuple[MeasurementsFacts, ...])

WHAT = (
    "Every cell's number as it was drawn, with the noise: of suppressed cells too, not cut at zero, not made to add "
    "up. Sums over many cells are right on average. The noise of different cells is independent: the variance of a "
    "sum is the sum of the variances, and 1.96 times its root is the 95% margin."
)


def measurements_of(definition: Dataset, level: str, tables: Sequence[Release]) -> tuple[str, tuple[Attachment, ...]]:
    """(What the portal is told, the files) of one table, from its current releases; nothing if there are none.

    The dataset's own table also has those that were measured but have no table of their own.
    """
    hidden = [rollup.name for rollup in definition.rollups if not rollup.publish and not level]
    facts: list[MeasurementsFacts] = []
    files: list[Attachment] = []
    for name in (level, *hidden):
        parts = list(_parts(name, tables))
        if parts:
            end = f"-{name}" if name != level else ""
            said, attached = _download(f"measurements{end}", parts)
            facts.append(said)
            files += attached
    return _FACTS.dump_json(tuple(facts), exclude_defaults=True).decode() if facts else "", tuple(files)


def _parts(level: str, tables: Sequence[Release]) -> Iterator[tuple[str, pa.Table]]:
    """Period and measurements of each release that has some."""
    for release in tables:
        table = read_measurements(release, level)
        if table is not None:
            yield release.manifest.period, table


def _download(name: str, parts: Sequence[tuple[str, pa.Table]]) -> tuple[MeasurementsFacts, tuple[Attachment, ...]]:
    import pyarrow as pa
    import pyarrow.csv

    plain = [table.cast(pa.schema([field.remove_metadata() for field in table.schema])) for _, table in parts]
    rows = io.BytesIO()
    pyarrow.csv.write_csv(pa.concat_tables(plain, promote_options="permissive"), rows)
    columns = _columns(parts)
    said = {"what": WHAT, "file": f"{name}.csv", "columns": columns}
    about = json.dumps(said, indent=2, ensure_ascii=False).encode() + b"\n"
    files = (
        Attachment(f"{name}.csv", rows.getvalue(), "text/csv"),
        Attachment(f"{name}.json", about, "application/json"),
    )
    measured = [
        MeasuredFacts(
            column=column["name"],
            label=column["title"],
            unit=column["unit"],
            distribution=" + ".join(draw["distribution"] for draw in column["noise"][-1]["draws"]),
            scale=" + ".join(f"{draw['scale']:.6g}" for draw in column["noise"][-1]["draws"]),
        )
        for column in columns
        if "noise" in column
    ]
    return MeasurementsFacts(filename=f"{name}.csv", about=f"{name}.json", measures=tuple(measured)), files


def _columns(parts: Sequence[tuple[str, pa.Table]]) -> list[dict[str, Any]]:
    """Every column with its words as of the newest release that has it, and its noise in each period."""
    found: dict[str, dict[str, Any]] = {}
    for period, table in parts:
        for name, told in columns_of(table).items():
            column = found.setdefault(name, {"name": name})
            column |= {"title": told.title, "description": told.description}
            column |= {"unit": told.unit} if told.unit else {}
            if told.draws:
                _add_noise(column.setdefault("noise", []), period, told)
    return list(found.values())


def _add_noise(known: list[dict[str, Any]], period: str, told: MeasuredColumn) -> None:
    """One entry for each run of periods with the same noise."""
    draws = [{"distribution": kind, "scale": scale} for kind, scale in told.draws]
    if known and known[-1]["draws"] == draws:
        known[-1]["last_period"] = period
    else:
        deviation = told.deviation
        known.append({"first_period": period, "last_period": period, "draws": draws, "standard_deviation": deviation})
