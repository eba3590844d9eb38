"""The texts of a first definition. They say how records are written, and nothing of what is in them."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from publisher.classify.kinds import TITLES
from publisher.definitions.keyset import keyset_bytes
from publisher.definitions.toml import MARK
from publisher.drafting import words
from publisher.drafting.feed_lines import feed_lines, text
from publisher.duck import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.classify.kinds import Kind
    from publisher.classify.law import Law
    from publisher.definitions.feed import FileFeed, ServerFeed
    from publisher.definitions.source import Class
    from publisher.drafting.dates import DateColumn
    from publisher.drafting.identity import Delivery
    from publisher.drafting.points import AreaFile, PointColumns

Period = Literal["month", "quarter", "year"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_DEGREES = "EPSG:4326"
AREAS = ("neighborhood", "district", "ward", "tract", "precinct", "community", "council", "zip", "block")
"""What areas are called, as far as the name of their file says it."""

HEAD = """\
# Drafted by `publisher add` from how records are written. Whoever knows them confirms every guess and fills in every
# {mark}: `publisher check` lists what is open, and the source waits for it. No value or count of records is here.
"""

DATASET_HEAD = """\
# Drafted by `publisher add`. Fill in every {mark}. Nothing here was counted in records, and nothing should be: keys,
# bounds, periods and thresholds that records decide would tell about the people in them.
"""


@dataclass(frozen=True)
class SourceDraft:
    """What was guessed, and what a person chose instead."""

    source: str
    feed: FileFeed | ServerFeed
    columns: tuple[str, ...]
    nulls: tuple[str, ...]
    date: DateColumn
    zone: str | None
    level: str
    point: PointColumns | None
    code: str | None
    areas: AreaFile | None
    record_id: tuple[str, ...]
    unit: str
    units: tuple[tuple[str, str], ...]
    """Every column that may be the unit, and `record`, with who would be protected."""
    kinds: tuple[str, ...]
    delivery: Delivery
    compared: bool
    """Whether several files were there to compare."""
    population: str | None
    law: Law | None = None
    """The pack that proposes class and statute of each column by its name."""

    @property
    def dataset(self) -> str:
        """The name of the dataset."""
        return dataset_name(self.source, self.period)

    @property
    def period(self) -> Period:
        """The period of a release: longer where more than one record is protected together, since noise is larger."""
        if self.date.formats == ("%Y",):
            return "year"
        return "month" if self.unit == "record" else "quarter"

    @property
    def window(self) -> str:
        """What is protected together of one unit."""
        return "day" if self.unit == "record" else self.period

    @property
    def keyset(self) -> str:
        """The name of the keyset of places."""
        return f"{self.source}-{self.level}"

    @property
    def placed(self) -> bool:
        """Whether records have places that are known to be keys."""
        return self.areas is not None and (self.point is not None or self.code is not None)

    def files(self) -> dict[str, str]:
        """The text of each file, by its path in the workspace."""
        made = {
            f"pipelines/{self.source}.toml": "\n".join(self._source()) + "\n",
            f"pipelines/{self.source}.sql": self._select(),
            f"datasets/{self.dataset}.toml": "\n".join(self._dataset()) + "\n",
        }
        if self.placed:
            made[f"datasets/keysets/{self.keyset}.csv"] = self._keys()
        return made

    def _source(self) -> Iterator[str]:
        title = self.source.replace("-", " ").capitalize()
        yield HEAD.format(mark=MARK).rstrip()
        yield f"title = {text(title)}"
        yield f"description = {text(f'{title}, by the date in {self.date.column}.')}  # guess: everyone reads it"
        yield f'purpose = "{MARK}"  # why the city collects these records and publishes numbers about them'
        population = self.population or "residents"
        yield f"population = {text(population)}  # guess: sources about the same people have the same word here"
        yield self._timezone()
        yield "retention_months = 36  # guess: your records schedule says it"
        yield from self._delivered()
        yield from self._identified()
        yield from ("", "[privacy]", *self._protected())
        yield from ("", "[feed]", *feed_lines(self.feed, self.nulls))
        yield from ("", "[event]", *self._dated())
        yield from self._registered()
        yield from self._places()
        yield from ("", "[columns]", *self._columns())

    def _timezone(self) -> str:
        if self.zone is None:
            return f'timezone = "{MARK}"  # where the city is, such as America/Chicago'
        return f"timezone = {text(self.zone)}  # guess: where the city is"

    def _delivered(self) -> Iterator[str]:
        if self.feed.kind != "files":
            known = self.delivery == "changes"
            yield f"# {'What is fetched again replaces what came before.' if known else 'Every fetch reads all rows.'}"
            yield f'delivery = "{self.delivery}"'
            return
        why = "by comparing the files" if self.compared else "one file cannot tell"
        yield f"# Guess, {why}: append (files hold new records), snapshot (each file holds everything), or changes"
        yield "# (later records replace earlier ones)."
        yield f'delivery = "{self.delivery}"'

    def _identified(self) -> Iterator[str]:
        named = ", ".join(text(name) for name in self.record_id)
        if self.record_id:
            yield "# Guess: these columns tell records apart. Rows that share them are one record."
        else:
            yield "# Nothing tells records apart: rows that are alike in every column that is read are one record."
        yield f"record_id = [{named}]"

    def _protected(self) -> Iterator[str]:
        chosen = dict(self.units)[self.unit]
        others = ", ".join(f"{unit} ({protects})" for unit, protects in self.units if unit != self.unit)
        yield from _note(f"Guess: it protects {chosen}.{f' Other choices: {others}.' if others else ''}")
        yield f"unit = {text(self.unit)}"
        if self.unit == "record":
            yield 'window = "day"'
        else:
            yield f'window = "{self.window}"  # guess: a longer window protects more and costs accuracy'
            yield 'missing = "own-unit"  # guess: a record without it counts as about someone of its own'
        yield from _note(
            f"{MARK}: what all releases together may ever spend on one {self.window}. docs/privacy.md has a table."
        )
        yield f'budget = "{MARK}"'

    def _dated(self) -> Iterator[str]:
        yield "# Guess: the date that decides in which period a record counts."
        yield f"column = {text(self.date.column)}"
        comment = "  # guess: is the month first?" if self.date.either else "  # guess"
        yield f"formats = [{', '.join(map(text, self.date.formats))}]{comment}"
        if any(form.endswith("Z") and "%z" not in form for form in self.date.formats):
            yield "# Z means UTC. Some feeds write it after local times: delete this line if office hours say so."
            yield 'zone = "UTC"'

    def _places(self) -> Iterator[str]:
        if not self.placed:
            yield from self._without_places()
            return
        assert self.areas is not None  # noqa: S101 - as `placed` says, for the type checker
        yield from ("", f"[places.{self.level}]")
        if self.point is None:
            yield f"code = {text(self.code or '')}  # guess: its values are keys of {self.areas.boundaries.path}"
            return
        crs = "" if self.point.crs == _DEGREES else f", crs = {text(self.point.crs)}"
        yield "# Guess: add `unknown = [[x, y]]` if the city writes a default point for places that it does not know."
        if crs:
            yield "# Coordinate systems that differ by a few feet look alike here: write the city's own."
        yield f"point = {{ x = {text(self.point.x)}, y = {text(self.point.y)}{crs} }}"
        yield f"# {MARK}: who made the boundaries, and under which license."
        yield f"boundaries = {self._boundaries()}"

    def _boundaries(self) -> str:
        assert self.areas is not None  # noqa: S101 - as above
        given = self.areas.boundaries
        label = f", label = {text(given.label)}" if given.label else ""
        return f'{{ path = {text(given.path)}, key = {text(given.key)}{label}, source = "{MARK}" }}'

    def _registered(self) -> Iterator[str]:
        """Words on readings of a meter, which may be sums."""
        reading = next((name for name in self.columns if words.says(name, {"reading", "register", "lectura"})), None)
        if reading is not None and self.unit != "record":
            yield ""
            yield from _note(
                f"If {reading} only grows, as a meter's register does, add [register]: docs/definitions.md says how."
            )

    def _without_places(self) -> Iterator[str]:
        address = next((name for name in self.columns if words.personal(name) == "address"), None)
        if self.point is None and address is None:
            return
        yield ""
        if self.point is None:
            yield from _note(
                f"{address} looks like an address. A public list of addresses with coordinates would locate it: see "
                "Address in docs/definitions.md."
            )
            return
        yield from _note(
            f"{self.point.x} and {self.point.y} look like coordinates. To count by area, add with --boundaries."
        )

    def _columns(self) -> Iterator[str]:
        order = "file" if self.feed.kind == "files" else "server"
        statutes = f"Statutes by {self.law.title}" if self.law else "--law with --write proposes statutes"
        yield from _note(
            f"Every column in the order of the {order}. Each class is a guess by the column's name alone; `publisher "
            f"classify {self.source}` also looks at values. {statutes}. A column with read = false never reaches the "
            "landed records."
        )
        for name in self.columns:
            what = self._nature(name)
            kind, statute = self._lawful(what, unit=name == self.unit)
            read = "" if name in self._read() else ", read = false"
            hashed = ", identifier = true" if name in (*self.record_id, self.unit) else ""
            said = [f"looks personal: {TITLES[what]}"] if what else []
            said += ["a lawyer has to confirm it"] if statute != MARK else []
            comment = f"  # {'; '.join(said)}" if said else ""
            yield f'{_key(name)} = {{ class = "{kind}", statute = {text(statute)}{read}{hashed} }}{comment}'

    def _lawful(self, what: Kind | None, *, unit: bool) -> tuple[Class, str]:
        """Class and statute of a column. Who is protected is never public, whatever the pack says of other columns."""
        if self.law is None or (unit and what is None):
            return "private" if what or unit else "public", MARK
        if what is None:
            return "public", self.law.open
        return self.law.rule(what).class_, self.law.rule(what).statute

    def _nature(self, name: str) -> Kind | None:
        """What is personal about a column: coordinates are as revealing as an address."""
        if self.point is not None and name in (self.point.x, self.point.y):
            return "coordinates"
        return words.personal(name)

    def _read(self) -> set[str]:
        point = (self.point.x, self.point.y) if self.point is not None and self.placed else ()
        code = (self.code,) if self.code and self.placed else ()
        return {self.date.column, *self.record_id, *self.kinds, *point, *code} | {self.unit} - {"record"}

    def _select(self) -> str:
        names = self.kinds or (self.date.column,)
        made: list[str] = []
        for name in names:
            alias = words.spoken(name)
            alias = f"{alias}_column" if alias in (self.level, *made) else alias
            made.append(alias)
        cells = ",\n".join(f"    raw.{quoted(name)} AS {alias}" for name, alias in zip(names, made, strict=True))
        said = "the columns that sort it into kinds" if self.kinds else "a column to begin with"
        return f"-- One row per record: {said}. Date and place are there anyway.\nSELECT\n{cells}\nFROM raw\n"

    def _dataset(self) -> Iterator[str]:
        title = self.source.replace("-", " ").capitalize()
        area = self.level.replace("_", " ")
        yield DATASET_HEAD.format(mark=MARK).rstrip()
        period = self.period
        yield f"title = {text(f'{title} by {area} and {period}')}"
        yield f"description = {text(f'How many records of {title.lower()} there are in each {area} in each {period}.')}"
        yield f"source = {text(self.source)}"
        yield f'period = "{period}"'
        example = {"month": "2024-01", "quarter": "2024-Q1", "year": "2024"}[period]
        yield f'first = "{MARK}"  # the first {period} to release, such as {example}: your choice, never looked up'
        yield ""
        yield "[loss]"
        goal = f'--goal "{period}ly by {area}, within 20%"{self._guessed(area)}'
        yield from _note(
            f"{MARK}: what one {period} spends of the budget of each {self.window}. Say what numbers should be good "
            f"for: `publisher plan {self.dataset} {goal} --write` "
            "writes it here. With --guess you say what is ordinary, from what you know of the work."
        )
        yield f'rho = "{MARK}"'
        yield from self._bounds()
        yield from ("", "[[keys]]", f"name = {text(self.level)}", *self._place_key(area))
        yield from self._kind_keys()
        yield from ("", "[[rollups]]", 'name = "city"', f"title = {text(f'{title} in the whole city, by {period}')}")
        yield from ("keys = []", "", "[[measures]]", 'name = "records"', 'title = "Records"', 'kind = "count"')
        yield f"unit = {text(self.counted)}  # guess: what they are, such as requests or permits"
        yield from ("", "[suppression]")
        yield from ('measure = "records"', "threshold = 10  # a usual choice, the same whatever the records are")
        yield from ("", "[portal]", 'category = "City services"  # guess')

    @property
    def counted(self) -> str:
        """What the records are called where they are counted: the source's name, if that is a plural."""
        name = self.source.replace("-", " ")
        return name if name.endswith("s") and not name.endswith("ss") else "records"

    def _guessed(self, area: str) -> str:
        """The guess that bounds need, as an example."""
        return "" if self.unit == "record" else f" --guess 'at most 2 {self.counted} in each of 1 {area}'"

    def _bounds(self) -> Iterator[str]:
        if self.unit == "record":
            return
        yield ""
        yield from _note(
            f"{MARK}: how many records of one {text(self.unit)} count: in at most max_groups areas, max_per_group in "
            "each. The largest number in the records would reveal that someone has so many: decide by what is "
            "ordinary. When all else is filled in, `publisher plan --goal` proposes them from guesses, which cost "
            f"nothing. Last, where guesses do not do, `publisher tune {self.source} --period {self.period.upper()} "
            "--rho 0.01` measures them with noise and charges the budget."
        )
        yield "[bounds]"
        yield f'max_groups = "{MARK}"'
        yield f'max_per_group = "{MARK}"'

    def _place_key(self, area: str) -> Iterator[str]:
        yield f"title = {text(area.capitalize())}"
        if self.placed:
            yield f"keyset = {text(self.keyset)}"
        else:
            yield from _note(
                f"{MARK}: count by what? `name` is a column of the SELECT, and datasets/keysets/<keyset>.csv has its "
                "values from a public list, such as the city's own catalog. A list taken from the records would tell "
                "who is in them."
            )
            yield f'keyset = "{MARK}"'
        yield 'other = "Unknown"'
        if self.placed and self.point is None:
            yield f"boundaries = {self._boundaries()}"

    def _kind_keys(self) -> Iterator[str]:
        for name in self.kinds[:1]:
            alias = words.spoken(name)
            alias = f"{alias}_column" if alias == self.level else alias
            yield ""
            yield from _note(
                f"To count by {alias} too, write its values from the city's own catalog into datasets/keysets/ and "
                "remove the # below. A list taken from the records would show every kind that only one person has."
            )
            yield "# [[keys]]"
            yield f"# name = {text(alias)}"
            yield f"# title = {text(alias.replace('_', ' ').capitalize())}"
            yield '# keyset = "..."'
            yield '# other = "Other"'

    def _keys(self) -> str:
        assert self.areas is not None  # noqa: S101 - as above
        names, given = self.areas.names, self.areas.boundaries
        labels = None if all(key == name for key, name in names.items()) else [*names.values()]
        notes = (
            "Public keys, written by `publisher add`. Nothing in this file may come from records.",
            f"From: {given.path}, property {given.key}" + (f", labels from {given.label}" if given.label else ""),
        )
        return keyset_bytes([*names], labels, notes).decode()


def dataset_name(source: str, period: str) -> str:
    """The name of the first dataset of a source."""
    return f"{source}-by-{period}"


def level_of(path: str) -> str:
    """What the areas of a file are called."""
    return next((word for word in AREAS if word in path.lower()), "area")


def _note(said: str) -> Iterator[str]:
    """Comment lines."""
    return (f"# {line}" for line in textwrap.wrap(said, 98, break_long_words=False, break_on_hyphens=False))


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else text(name)
