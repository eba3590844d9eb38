"""A town of six places and three kinds with rollups, drawn with our own noise, finished as a run does, and asked."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import numpy as np
from release_examples import contents

from publisher.analyst.file import write_analyst_file
from publisher.analyst.published import PublishedDataset
from publisher.definitions import period as civil
from publisher.definitions.dataset import CoarserKey
from publisher.definitions.keyset import Keyset, Lookup
from publisher.definitions.settings import Settings
from publisher.privacy.estimates import settled
from publisher.privacy.finish import finish
from publisher.privacy.sampler import draw, widened
from publisher.release.identity import statistical_parts
from publisher.release.store import ReleaseStore
from publisher.release.table import published_table
from publisher.stages import Mechanism, NoisyTable
from publisher.workspace import CoarserFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from small_town import Town

    from publisher.release.manifest import Release
    from publisher.stages import Integers
    from publisher.workspace import DatasetFile

SETTINGS = Settings(
    organization="City of Example", contact="data@example.gov", license="CC0 1.0", jurisdiction="Example Act"
)
Kind = Literal["discrete gaussian", "discrete laplace"]

PLACES = Keyset("places", ("A", "B", "C", "D", "O'Fallon", "F"), None, "0" * 64)
KINDS = Keyset("categories", ("trees", "water", "trash; and such"), ("Trees", "Water", "Trash"), "1" * 64)
PARTS = {"A": "Up", "B": "Up", "C": "Up", "D": "Down", "O'Fallon": "Down", "F": "Down"}

CHAIN = (
    {"name": "city", "title": "The town", "keys": (), "share": Decimal("0.2")},
    {"name": "parts", "title": "Parts", "keys": ("part",), "share": Decimal("0.3")},
    {"name": "places", "title": "Places", "keys": ("place",), "share": Decimal("0.2")},
)
LATTICE = (
    {"name": "parts", "title": "Parts", "keys": ("part",), "share": Decimal("0.2")},
    {"name": "kinds", "title": "Kinds", "keys": ("category",), "share": Decimal("0.3")},
)


def example(town: Town, rollups: Sequence[dict[str, Any]] = LATTICE, **changes: Any) -> DatasetFile:
    """The dataset; nothing is withheld and measurements are private unless the test says otherwise."""
    part = {
        "name": "part", "title": "Part", "of": "place", "mapping": "parts", "keyset": "parts", "other": "Rest",
    }  # fmt: skip
    mapping = Lookup("parts", ("place", "part"), tuple(PARTS.items()), "3" * 64)
    coarser = CoarserFile(CoarserKey(**part), Keyset("parts", ("Up", "Down"), None, "4" * 64), mapping)
    used = any("part" in each["keys"] for each in rollups)
    dataset = town.dataset | {
        "rollups": tuple(rollups),
        "coarser": (part,) if used else (),
        "suppression": {"measure": "requests", "threshold": 0},
    }
    changed = replace(town, dataset=dataset | changes, keysets=(PLACES, KINDS), coarser=(coarser,) if used else ())
    return changed.dataset_file()


def noisy(
    dataset: DatasetFile, truth: Integers, period: str = "2020-01", kind: Kind = "discrete gaussian", scale: float = 4
) -> NoisyTable:
    """The tables of exact finest counts, each with noise of its own; a finer table has a little more."""
    levels, tables, mechanisms = dataset.levels(civil.parse(period)), {}, []
    for measure in dataset.definition.measured:
        for n, level in enumerate(levels):
            short = widened(Fraction(scale) + n)
            exact = np.zeros(level.grid.size, dtype=np.int64)
            np.add.at(exact, level.cells, truth)
            tables[level.name, measure.name] = exact + draw(kind, short, exact.size)
            mechanisms.append(Mechanism(measure.name, kind, float(short), "1", Fraction(1, 30), "", level.name))
    return settled(NoisyTable(levels, tables, tuple(mechanisms)), dataset.definition)


def released(root: Path, dataset: DatasetFile, drawn: NoisyTable, period: str = "2020-01", **says: Any) -> Release:
    """A release in the store below `root`, as a run writes it."""
    manifest, made = contents(dataset, drawn, period=period, **{"parts": statistical_parts(dataset, "")} | says)
    published = {each.level: published_table(each, dataset, 1) for each in finish(drawn, dataset.definition)}
    return ReleaseStore(root, root / "private").write(manifest, replace(made, published=published))


def written(root: Path, *published: PublishedDataset) -> Path:
    """The analyst file of these datasets."""
    return write_analyst_file(root, published, SETTINGS, root)


def town_file(root: Path, dataset: DatasetFile, truth: Integers, **drawn: Any) -> Path:
    """The analyst file of one release of the dataset."""
    release = released(root, dataset, noisy(dataset, truth, **drawn))
    return written(root, PublishedDataset(dataset, (release,)))


def ask(path: Path, query: str, given: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The answer, with the file opened as `publisher sql` does."""
    locks = {"enable_external_access": False, "lock_configuration": True}
    with duckdb.connect(str(path), read_only=True, config=locks) as connection:
        return connection.execute(query, list(given)).fetchall()


def answer(path: Path, macro: str, *given: str) -> dict[str, Any]:
    """The one row of a macro, by its columns."""
    locks = {"enable_external_access": False, "lock_configuration": True}
    with duckdb.connect(str(path), read_only=True, config=locks) as connection:
        found = connection.execute(f"FROM {macro}({', '.join('?' * len(given))})", list(given))
        names = [column[0] for column in found.description or []]
        (row,) = found.fetchall()
    return dict(zip(names, row, strict=True))
