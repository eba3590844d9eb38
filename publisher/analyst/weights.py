"""What margins of a reader's own sums need: which cell each row is, the noise, and what coarser tables take off it.

All of it follows from keys and scales, which every guarantee states; noisy values are only those that are published.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from publisher.definitions import period as civil
from publisher.definitions.levels import forms_chain
from publisher.errors import SourceError
from publisher.privacy.distribution import Noise
from publisher.privacy.estimates import floor_of
from publisher.privacy.fit import fit_of
from publisher.privacy.lattice import lattice_of
from publisher.privacy.weighed import LARGEST, half_width_of, weighed_fit
from publisher.release.identity import statistical_parts
from publisher.release.measurements import read_measurements
from publisher.release.table import as_released, read_published

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.analyst.published import PublishedDataset
    from publisher.definitions.dataset import Measure
    from publisher.definitions.levels import Level
    from publisher.privacy.lattice import Blocks, TableLattice
    from publisher.release.manifest import Release
    from publisher.stages import Floats
    from publisher.workspace import DatasetFile


STRUCTURE = ("period", "grain", "keys", "rollups", "coarser", "measures", "bounds")
"""The parts of a definition that decide which cells there are and how their numbers add up."""
OTHER_DEFINITION = "an edition was made under another definition, or by a version that did not record its own"
NOT_ADDED = "means and quantiles do not add up: ask about the sum and the count"


class Insert(Protocol):
    """Adds columns of the same length to a table of the file: at the latest when it is flushed."""

    def __call__(self, name: str, columns: dict[str, Any]) -> None: ...

    def flush(self) -> None: ...


TABLES = {
    "_rows": "table_name VARCHAR, id VARCHAR, release INTEGER, shape INTEGER, block INTEGER, place INTEGER",
    "_noise": "release INTEGER, table_name VARCHAR, measure VARCHAR, level INTEGER, variance DOUBLE, factor DOUBLE, "
    "rounding DOUBLE, step DOUBLE, floor DOUBLE, alone BOOLEAN, refused VARCHAR",
    "_fits": "release INTEGER, measure VARCHAR, shape INTEGER, fit INTEGER, solved BOOLEAN",
    "_inside": "fit INTEGER, level INTEGER, place INTEGER, coarse INTEGER, share DOUBLE",
    "_pull": 'fit INTEGER, "one" INTEGER, other INTEGER, pull DOUBLE',
    "_ratios": "fit INTEGER, level INTEGER, ratio DOUBLE",
    "_estimates": "table_name VARCHAR, id VARCHAR, measure VARCHAR, estimate DOUBLE",
}
COMMENTS = {
    "_rows": "Which cell of which release each row is. Used by the macros.",
    "_noise": "The noise of each measure in each release, in steps, and how its margin is made. Used by the macros.",
    "_fits": "Which fit serves a measure of a release in blocks of a shape. Used by the macros.",
    "_inside": "The coarser cells that each finest cell of a block lies in. Used by the macros.",
    "_pull": "What coarser tables take off the variance of a sum, once for each shape of block. Used by the macros.",
    "_ratios": "The noise of coarser tables relative to that of the finest, where tables are solved in Python.",
    "_estimates": "Estimates before projection, where a dataset publishes its measurements. Used by the macros.",
}


@dataclass
class Weights:
    """Collects shapes of blocks and their fits over all datasets, so that each is in the file once."""

    insert: Insert
    releases: int = 0
    shapes: dict[str, int] = field(default_factory=dict)
    fits: dict[str, int] = field(default_factory=dict)

    def add(self, published: PublishedDataset) -> None:
        """Everything about the releases of one dataset."""
        known: dict[bytes, TableLattice] = {}
        now = statistical_parts(published.file, "")
        for release in published.releases:
            self.releases += 1
            work = _work(published.file, release, now)
            lattice = _lattice(work.levels, known) if work.joint else None
            shapes = [self._shape(blocks) for blocks in lattice.blocks] if lattice is not None else []
            self._rows(work, lattice, shapes)
            self._noise(work)
            if lattice is not None:
                self._fit(work, lattice, shapes)
            self._estimates(work)

    def _shape(self, blocks: Blocks) -> int:
        size = repr(blocks.inside.shape).encode()
        key = hashlib.sha256(size + blocks.inside.tobytes() + blocks.levels.tobytes()).hexdigest()
        return self.shapes.setdefault(key, len(self.shapes))

    def _rows(self, work: _Work, lattice: TableLattice | None, shapes: Sequence[int]) -> None:
        for level, ids in work.ids.items():
            columns: dict[str, Any] = {"table_name": [work.names[level]] * len(ids), "id": ids}
            columns["release"] = [self.releases] * len(ids)
            places = (None, None, None) if lattice is None else _places(lattice, shapes, work.numbers[level], len(ids))
            for name, each in zip(("shape", "block", "place"), places, strict=True):
                columns[name] = each if each is not None else [None] * len(ids)
            self.insert("_rows", columns)

    def _noise(self, work: _Work) -> None:
        rows: list[tuple[Any, ...]] = []
        for measure in work.shown:
            for level, name in work.names.items():
                rows.append((self.releases, name, measure.name, work.number(level), *work.noise_of(measure, level)))
        names = ("release", "table_name", "measure", "level", "variance", "factor", "rounding", "step", "floor",
                 "alone", "refused")  # fmt: skip
        self.insert("_noise", dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) if rows else {})

    def _fit(self, work: _Work, lattice: TableLattice, shapes: Sequence[int]) -> None:
        for measure in work.joint:
            noise = work.variances(measure)
            ratios = tuple(float(f"{each / noise[-1]:.12g}") for each in noise)
            for blocks, shape in zip(lattice.blocks, shapes, strict=True):
                solved = work.chain or blocks.levels.size <= LARGEST
                key = repr((shape, ratios, work.chain))
                if key not in self.fits:
                    self.fits[key] = len(self.fits)
                    self._write_fit(self.fits[key], blocks, ratios, chain=work.chain, solved=solved)
                row = {"release": self.releases, "measure": measure.name, "shape": shape, "fit": self.fits[key]}
                self.insert("_fits", {name: [each] for name, each in (row | {"solved": solved}).items()})

    def _write_fit(self, fit: int, blocks: Blocks, ratios: Sequence[float], *, chain: bool, solved: bool) -> None:
        import numpy as np

        levels, cells = blocks.inside.shape
        found = weighed_fit(blocks, ratios, chain=chain) if solved else None
        shares = found.shares if found is not None else np.ones(blocks.inside.shape)
        self.insert("_inside", {
            "fit": np.full(levels * cells, fit), "level": np.repeat(np.arange(levels), cells),
            "place": np.tile(np.arange(cells), levels), "coarse": blocks.inside.ravel(), "share": shares.ravel(),
        })  # fmt: skip
        self.insert(
            "_ratios", {"fit": np.full(len(ratios), fit), "level": np.arange(len(ratios)), "ratio": np.array(ratios)}
        )
        if found is None:
            return
        if found.pull.ndim == 1:
            one = other = np.arange(found.pull.size)
            pull = found.pull
        else:  # symmetric: each pair is there once, twice as strong
            one, other = np.triu_indices(len(found.pull))
            pull = found.pull[one, other] * np.where(one == other, 1, 2)
        self.insert("_pull", {"fit": np.full(pull.size, fit), "one": one, "other": other, "pull": pull})

    def _estimates(self, work: _Work) -> None:
        for measure in work.shown:
            if work.refused(measure) or not work.measurements_published:
                continue
            for level, values in work.estimates(measure).items():
                if level in work.names:
                    size = len(values)
                    columns = {"table_name": [work.names[level]] * size, "id": work.ids[level]}
                    self.insert("_estimates", columns | {"measure": [measure.name] * size, "estimate": values})


def _lattice(levels: Sequence[Level], known: dict[bytes, TableLattice]) -> TableLattice:
    """The lattice, once for all releases that have the same cells."""
    digest = hashlib.sha256()
    for level in levels:
        digest.update(level.cells.tobytes() + level.grid.size.to_bytes(8, "big"))
    key = digest.digest()
    if key not in known:
        known[key] = lattice_of(levels)
    return known[key]


def _places(lattice: TableLattice, shapes: Sequence[int], level: int, size: int) -> tuple[Any, Any, Any]:
    """The shape, block and place within it of every cell of a level; empty for cells that no finest cell lies in."""
    import numpy as np
    import pyarrow as pa

    finest = level == len(lattice.sizes) - 1
    start = 0 if finest else int(lattice.starts[level])
    found = np.full((3, size), -1)
    before = 0
    for blocks, shape in zip(lattice.blocks, shapes, strict=True):
        cells = blocks.finest if finest else blocks.coarse
        own = np.ones(cells.shape, dtype=np.bool_) if finest else np.broadcast_to(blocks.levels == level, cells.shape)
        block, place = np.nonzero(own)
        found[:, cells[block, place] - start] = np.full(block.size, shape), block + before, place
        before += len(cells)
    shape, block, place = (pa.array(each, mask=found[0] < 0) for each in found)
    return shape, block, place


@dataclass(frozen=True)
class _Work:
    """One release, with the definition that made it."""

    file: DatasetFile
    release: Release
    levels: tuple[Level, ...]
    """Empty if the release was made under another definition."""
    names: dict[str, str]
    ids: dict[str, Any]

    @property
    def shown(self) -> list[Measure]:
        """The published measures that the release has too."""
        has = {each.name for each in self.release.manifest.shape.measures}
        return [each for each in self.file.definition.measures if each.shown and each.name in has]

    @property
    def joint(self) -> list[Measure]:
        """The measures whose tables were made to add up."""
        return [] if len(self.levels) < 2 else [each for each in self.shown if self._adds_up(each)]

    @property
    def chain(self) -> bool:
        """Whether each table divides the one before."""
        return forms_chain(self.levels)

    @property
    def numbers(self) -> dict[str, int]:
        """The position of each level."""
        return {level.name: n for n, level in enumerate(self.levels)}

    @property
    def measurements_published(self) -> bool:
        """Whether this edition publishes its measurements."""
        return read_measurements(self.release, "") is not None

    def number(self, level: str) -> int | None:
        """The position of a coarser level; None for the finest."""
        return self.numbers.get(level) if level else None

    def refused(self, measure: Measure) -> str | None:
        """Why no sum of this measure has a margin."""
        if not measure.measured or measure.kind == "histogram":
            return NOT_ADDED
        several = len({each.level for each in self.release.manifest.charge.tables}) > 1
        if several and self._adds_up(measure) and not self.levels:
            return OTHER_DEFINITION
        return None if self._noise(measure, "").draws else OTHER_DEFINITION

    def noise_of(self, measure: Measure, level: str) -> tuple[Any, ...]:
        """Variance, factor, rounding, step, floor, whether cells are independent, and why there is no margin."""
        why = self.refused(measure)
        if why is not None:
            return 0.0, 0.0, 0.0, 1.0, None, None, why
        joint = measure.name in {each.name for each in self.joint}
        noises = [self._noise(measure, each) for each in ([other.name for other in self.levels] if joint else [level])]
        half, floor = half_width_of(noises), floor_of(measure)
        return (noises[-1].variance, half.factor, half.rounding, _step(measure), 0.0 if floor == 0 else None, not joint,
                None)  # fmt: skip

    def variances(self, measure: Measure) -> list[float]:
        """The variance of each level's noise."""
        return [self._noise(measure, level.name).variance for level in self.levels]

    def estimates(self, measure: Measure) -> dict[str, Any]:
        """Level -> the estimates before projection, in the measure's unit, from published measurements."""

        if measure.name not in {each.name for each in self.joint}:
            return {level: self._measured(measure, level) for level in self.names}
        measured = [self._measured(measure, level.name)[:, None] for level in self.levels]
        found = fit_of(self.levels, self.variances(measure)).estimate(measured)
        return {level.name: values[:, 0] for level, values in zip(self.levels, found, strict=True)}

    def _measured(self, measure: Measure, level: str) -> Floats:
        """The published measurements of one table, in the measure's unit."""
        table = read_measurements(self.release, level)
        if table is None:
            raise SourceError(f"{self.release.manifest.name}: the measurements have no {measure.name}: restore them")
        values: Floats = table[measure.name].cast("float64").to_numpy()
        return values

    def _adds_up(self, measure: Measure) -> bool:
        return measure.measured and measure.kind != "histogram" and self.file.definition.adds_up(measure)

    def _noise(self, measure: Measure, level: str) -> Noise:
        tables = self.release.manifest.charge.tables
        return Noise(
            tuple(
                (each.mechanism, each.scale) for each in tables if (each.level, each.measure) == (level, measure.name)
            )
        )


def _work(current: DatasetFile, release: Release, now: Mapping[str, str]) -> _Work:
    """`now` has the parts of the current definition; which keys a release has found is in none of them."""
    from publisher.analyst.published import table_name

    file = as_released(current, release)
    then = release.manifest.parts
    same = bool(then) and all(now.get(part) == then.get(part) for part in STRUCTURE)
    levels = file.levels(civil.parse(release.manifest.period)) if same else ()
    names = {level: table_name(table.manifest.dataset) for level, table in release.tables.items()}
    ids = {level: _ids(table) for level, table in release.tables.items()}
    if any(level.grid.size != len(ids[level.name]) for level in levels if level.name in ids):
        levels = ()
    return _Work(file, release, levels, names, ids)


def _ids(table: Release) -> Any:
    return read_published(table)["id"].combine_chunks()


def _step(measure: Measure) -> float:
    return float(measure.resolution) if measure.resolution is not None else 1.0
