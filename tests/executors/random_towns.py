"""Towns drawn at random: definitions of every kind that decides what is counted, with landed files that have what has
broken such code before. What an executor counts of them is compared bit by bit.

`python random_towns.py ENGINE FOLDER SEED ...` compares the engine of a settings file's [engine] with this process.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from publisher.definitions import period as civil
from publisher.definitions.keyset import Keyset, Lookup
from publisher.definitions.settings import EngineSettings
from publisher.definitions.toml import build, parse_toml
from publisher.definitions.vintage import vintages_of
from publisher.engine.contributions import ContributionQuestion
from publisher.engine.guard import guarded
from publisher.errors import SourceError
from publisher.executors.local import LocalExecutor
from publisher.executors.opening import executor_of
from publisher.pipeline.counting import Counting
from publisher.records.landing import land

if TYPE_CHECKING:
    from small_town import Town

    from publisher.copies import LandedCopies
    from publisher.definitions.period import Period
    from publisher.definitions.vintage import Vintage
    from publisher.executors.protocol import Executor
    from publisher.workspace import DatasetFile

ENGINE = EngineSettings(memory="500MB", threads=2)
HEADER = "id,who,opened,place,category,amount,secret"
AMOUNTS = ("7", "3", "0.4", "-7", "1e9", "-1e300", "nan", "", "seven", "inf", "2.5", "100")
KINDS = ("water", "trash", "noise", "=evil", "")
KEY = 7
PLACES = Keyset("places", ("north", "south"), None, "0" * 64)
CATEGORIES = Keyset("categories", ("water", "trash"), None, "1" * 64)
SQL = (
    "SELECT place, category, amount FROM raw",
    """SELECT TRY_CAST(amount AS DECIMAL(9, 3)) AS amount, lower(place) AS place, raw.category AS category FROM raw
    WHERE place IS NULL OR place <> 'west'""",
    """SELECT side.name AS place, amount, dayofweek(TRY_CAST(opened AS DATE)) AS day, category FROM raw
    LEFT JOIN sides AS side ON side.place = raw.place""",
    "SELECT TRY_CAST(amount AS BIGINT) AS place, TRY_CAST(amount AS FLOAT) AS amount, category FROM raw",
)
SIDES = Lookup("sides", ("place", "name"), (("north", "north"), ("south", "north"), ("west", "south")), "5" * 64)


@dataclass(frozen=True)
class RandomTown:
    """A dataset whose records are landed below a folder."""

    dataset: DatasetFile
    private: Path
    period: Period
    words: str
    copies: LandedCopies | None = None

    def counting(self, executor: Executor, vintage: Vintage | None) -> Counting:
        """What is counted of its records."""
        query = guarded(self.dataset.source)
        return Counting(executor, self.private, self.dataset, self.period, query, KEY, vintage, copies=self.copies)

    def moved(self, copies: LandedCopies) -> RandomTown:
        """The same town with its landed records in an object store."""
        land(
            self.dataset.source,
            data=self.private.parent / "data",
            private=self.private,
            engine=ENGINE,
            received=date(2030, 1, 2),
            copies=copies,
        )
        return replace(self, copies=copies)

    def counted(self, executor: Executor) -> dict[str, Any]:
        """All exact numbers, of every scheduled edition."""
        late = self.dataset.source.definition.late
        found: dict[str, Any] = {}
        for vintage in vintages_of(late, self.period) if late is not None else [None]:
            counting, number = self.counting(executor, vintage), vintage.number if vintage else 1
            try:
                if self.dataset.definition.discovered is not None:
                    found[f"candidates {number}"] = dict(sorted(counting.candidates().items()))
                    counting = replace(counting, dataset=self.dataset.discovering(("trash", "water")))
                tables = counting.tables().tables
            except SourceError as error:
                found[f"refused {number}"] = str(error)
                continue
            found |= {f"{level}/{name} {number}": table for (level, name), table in tables.items()}
            if number == 1:
                found |= self._contributions(executor)
            found[f"casts {number}"] = dict(sorted(counting.cast_failures().items()))
        return found | self._contributions(executor)

    def _contributions(self, executor: Executor) -> dict[str, Any]:
        """How much units have, of all that has arrived."""
        sums = [each.name for each in self.dataset.definition.measured if each.kind == "sum"]
        asked = [ContributionQuestion("total", (0, 1, 7, 100, 10**6), name) for name in sums]
        if self.dataset.source.definition.privacy.unit != "record":
            asked += [ContributionQuestion("cells", (0, 1, 2, 5)), ContributionQuestion("records", (0, 1, 2, 3, 50))]
        found = self.counting(executor, None).contributions(tuple(asked)) if asked else ()
        return {f"units {n}": histogram for n, histogram in enumerate(found)}


def same(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The names of what differs by a bit."""
    differ = set(one) ^ set(other)
    for name in set(one) & set(other):
        a, b = one[name], other[name]
        alike = np.array_equal(a, b) and a.dtype == b.dtype if isinstance(a, np.ndarray) else a == b
        differ |= set() if alike else {name}
    return sorted(differ)


def drawn(town: Town, seed: int, folder: Path) -> RandomTown:
    """The town of this seed, landed."""
    draw = random.Random(seed)
    people = draw.random() < 0.75
    register = people and draw.random() < 0.25
    policy = draw.choice((None, None, None, "freeze", "charge", "increment"))
    delivery = draw.choice(("append", "append", "snapshot", "changes"))
    if policy == "increment":
        delivery, register = ("append" if people else delivery), False
    others = _measures(town, draw, people=people, register=register)
    measures = [town.COUNT, *draw.sample(others, draw.randint(1, len(others)))]
    number = draw.randrange(len(SQL))
    source: dict[str, Any] = {"delivery": delivery, "feed": {"path": "raw", "nulls": ("NULL",)}}
    if policy is not None:
        cutoffs = {} if policy == "freeze" else {"after_days": (4, 14, 24)}
        source["late"] = {"policy": policy, "received": "%Y-%m-%d.csv"} | cutoffs
    if register:
        source["register"] = {"reading": "amount", "consumption": "used"}
    dataset: dict[str, Any] = {"measures": tuple(measures), "period": "quarter", "first": "2020-Q1"}
    dataset["grain"] = draw.choice(("month", "quarter"))
    made = replace(
        town, source=source, dataset=dataset, sql=SQL[number], lookups={"sides": SIDES}, keysets=(PLACES, CATEGORIES)
    )
    if people:
        made = _bounded(made, draw, counted=not register)
    if draw.random() < 0.5:
        made = made.rolled_up()
        if not people and draw.random() < 0.5:
            rollups = made.dataset["rollups"]
            kind = {"name": "kinds", "title": "Kinds", "keys": ("category",), "share": Decimal("0.1")}
            made = replace(made, dataset=made.dataset | {"rollups": (*rollups, kind)})
    elif draw.random() < 0.4 and "coverage_share" not in made.dataset.get("bounds", {}):
        made = _discovering(made)
    town_file = made.dataset_file()
    _write(folder / "data" / "raw", draw, delivery)
    private = folder / "private"
    land(town_file.source, data=folder / "data", private=private, engine=ENGINE, received=date(2030, 1, 1))
    words = (
        f"seed {seed}: {'people' if people else 'records'}, {delivery}, {policy}, register {register}, SELECT {number}"
    )
    return RandomTown(town_file, private, civil.parse("2020-Q2" if policy == "freeze" else "2020-Q1"), words)


def _measures(town: Town, draw: random.Random, *, people: bool, register: bool) -> list[dict[str, Any]]:
    column = "used" if register else "amount"
    lower = Decimal(0) if draw.random() < 0.6 else Decimal(-3)
    return [
        *([town.UNITS] if people else []),
        town.SUM | {"column": column, "lower": lower, "upper": draw.choice((Decimal(7), Decimal(10) ** 9))},
        town.HISTOGRAM | {"column": column},
    ]


def _bounded(town: Town, draw: random.Random, *, counted: bool) -> Town:
    window = draw.choice(("month", "quarter", "year", "lifetime"))
    k, c = draw.randint(1, 4), draw.randint(1, 3)
    made = town.people(window, k, c)
    privacy = made.source["privacy"] | {"missing": draw.choice(("own-unit", "drop"))}
    bounds: dict[str, Any] = made.dataset["bounds"]
    if counted and draw.random() < 0.4:
        bounds = bounds | {"coverage_share": Decimal("0.2"), "wider_groups": k + 2, "wider_per_group": c + 3}
    return replace(made, source=made.source | {"privacy": privacy}, dataset=made.dataset | {"bounds": bounds})


def _discovering(town: Town) -> Town:
    found = {"share": Decimal("0.2"), "delta": Decimal("0.00001")}
    keys = (
        {"name": "place", "title": "Place", "keyset": "places", "other": "Unknown"},
        {"name": "category", "title": "Category", "discover": found, "other": "Other"},
    )
    nothing = replace(CATEGORIES, keys=(), labels=None, name="discovered")
    return replace(town, dataset=town.dataset | {"keys": keys}, keysets=(PLACES, nothing))


def _write(folder: Path, draw: random.Random, delivery: str) -> None:
    """Three files: units from light to heavy, some without a name, records that come again or are corrected."""
    folder.mkdir(parents=True)
    known: dict[str, str] = {}
    for number, received in enumerate((date(2020, 4, 2), date(2020, 4, 10), date(2020, 4, 20))):
        new = {}
        for n in range(draw.randint(60, 250)):
            record = f"r{number}-{n}"
            new[record] = _line(draw, record)
        for n in range(120):  # one unit has more than all others
            record = f"heavy{number}-{n}"
            new[record] = _line(draw, record, who="heavy")
        if number and delivery != "append":
            new |= {record: _line(draw, record) for record in draw.sample(sorted(known), 20)}
        elif number:
            new |= {record: known[record] for record in draw.sample(sorted(known), 20)}
        known |= new
        lines = [HEADER, *(known if delivery == "snapshot" else new).values()]
        (folder / f"{received}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _line(draw: random.Random, record: str, who: str | None = None) -> str:
    unit = who if who is not None else draw.choice(("", "NULL", *(f"p{n}" for n in range(25))))
    opened = date(2019, 12, 20) + timedelta(days=draw.randrange(120))
    place = draw.choice(("north", "south", "west", "North", ""))
    return f"{record},{unit},{opened},{place},{draw.choice(KINDS)},{draw.choice(AMOUNTS)},x"


def main(settings: str, folder: Path, seeds: list[int]) -> int:
    """Compare; the exit code is the number of towns that differ."""
    import duckdb
    from small_town import Town

    engine = build(EngineSettings, *parse_toml(settings, "settings"))
    failed = 0
    with duckdb.connect() as connection, executor_of(engine, folder / "tmp") as executor:
        for seed in seeds:
            made = drawn(Town(connection), seed, folder / str(seed))
            differ = same(made.counted(LocalExecutor(ENGINE, folder / "tmp")), made.counted(executor))
            failed += bool(differ)
            print(made.words, "differs in " + ", ".join(differ) if differ else "same bits", flush=True)  # noqa: T201
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), [int(each) for each in sys.argv[3:]]))
