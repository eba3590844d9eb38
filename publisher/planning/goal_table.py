"""The definition that a goal asks for: time step, keys and the tables beside it. Loss and shares come later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from publisher.definitions import period as civil
from publisher.definitions.ceilings import most_a_release
from publisher.definitions.period import NESTS, containing
from publisher.definitions.toml import MARK, marks, parse_toml, read_text, read_toml
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from publisher.definitions.period import Grain
    from publisher.definitions.toml import Origin
    from publisher.planning.goal import Goal
    from publisher.workspace import DatasetFile, Workspace

Values = dict[str, Any]


@dataclass(frozen=True)
class DatasetDraft:
    """A dataset's file as people wrote it. It may still have marked places that a goal fills in, and a first period."""

    workspace: Workspace
    name: str
    text: str
    values: Values
    origin: Origin

    def dataset(self, values: Values | None = None) -> DatasetFile:
        """The dataset with these values; what is still marked and does not matter here is filled in.

        Raises DefinitionError.
        """
        made = self._filled(self.values if values is None else values)
        try:
            return self.workspace.defined(self.name, made, self.origin)
        except DefinitionError:
            if left := marks(made, self.origin):
                raise DefinitionError("\n".join(left)) from None
            raise

    def _filled(self, values: Values) -> Values:
        privacy = self.workspace.source(values["source"]).definition.privacy if "source" in values else None
        zcdp = privacy is None or privacy.currency == "zcdp"
        made = dict(values)
        if _marked(values.get("first")):
            made["first"] = _last_year(self.workspace.source(values["source"]).today(), values.get("period", "month"))
        if any(map(_marked, _inner(values, "loss"))):
            made["loss"] = {"rho" if zcdp else "epsilon": self._most}
        if any(map(_marked, _inner(values, "bounds"))):
            made["bounds"] = {"max_groups": 1, "max_per_group": 1}
        return made

    @property
    def _most(self) -> Decimal:
        """The most that a release may spend by its source, which stands for a loss that is still marked."""
        if "source" not in self.values:
            return Decimal(1)
        source = self.workspace.source(self.values["source"]).definition
        most = most_a_release(source.privacy.currency, minors=True)
        limit = Decimal(most.numerator) / Decimal(most.denominator)
        return min(source.privacy.budget, limit) if source.minors else source.privacy.budget

    @property
    def open(self) -> bool:
        """Whether anything in the file is still marked."""
        return bool(marks(self.values, self.origin))

    @property
    def budget_open(self) -> bool:
        """Whether the budget of its source is still marked."""
        path = self.workspace.root / "pipelines" / f"{self.values.get('source')}.toml"
        return any(map(_marked, _inner(read_toml(path, self.workspace.shown(path))[0], "privacy")))

    @property
    def bounds_open(self) -> bool:
        """Whether its bounds are still marked."""
        return any(map(_marked, _inner(self.values, "bounds")))


def draft_of(workspace: Workspace, name: str) -> DatasetDraft:
    """The file of a dataset, finished or not. Raises DefinitionError."""
    path = workspace.root / "datasets" / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in path.parent.glob("*.toml"))) or "none"
        raise DefinitionError(f"there is no dataset {name!r}; this workspace has: {known}")
    text = read_text(path, workspace.shown(path))
    values, origin = parse_toml(text, workspace.shown(path))
    return DatasetDraft(workspace, name, text, values, origin)


@dataclass(frozen=True)
class GoalTable:
    """Values for the dataset's file whose table `level` (a rollup's name, or "" for the finest) is the goal's."""

    values: Values
    level: str

    def changed(self, **values: Any) -> GoalTable:
        """The same with other values."""
        return GoalTable({**self.values, **values}, self.level)


def goal_table(draft: DatasetDraft, dataset: DatasetFile, goal: Goal) -> GoalTable:
    """The definition with the goal's table and what is left of the other tables. Raises DefinitionError."""
    values = dict(draft.values)
    if goal.grain != dataset.definition.cell_grain:
        _retime(values, goal.grain)
    own, level = _own_keys(dataset, goal), ""
    _rekey(values, draft, own)
    columns = {*own, *_coarser_of(values, own)}
    rollups = [_shared(each) for each in values.get("rollups", ()) if _fits(each, columns, own)]
    title = next(each.title for each in dataset.definition.measures if each.name == goal.measures[0])
    optional: list[tuple[str, ...]] = [()] if own else []
    optional += [(key,) for key in own] if len(own) > 1 else []
    if "customers" in values.get("suppression", {}):
        optional = []  # what a table withholds could be worked out from one more table
    if set(goal.keys) != set(own):
        level = _table_of(rollups, goal.keys, title, goal.grain)
        next(each for each in rollups if each["name"] == level).pop("publish", None)
    for keys in optional:
        if f"{draft.name}-{_named(keys)}" not in draft.workspace.datasets:  # whose table has that name
            _table_of(rollups, keys, title, goal.grain)
    _put(values, "rollups", rollups)
    names = {each["name"] for each in rollups}
    totals = values.get("totals", ())
    _put(values, "totals", [each for each in totals if each.get("of") in (None, *names) and _adds(each, values)])
    return GoalTable(values, level)


def _retime(values: Values, grain: Grain) -> None:
    """Releases of that time step, for the whole periods between the first and the last of before."""
    first, last = values.get("first"), values.get("last")
    values["period"] = grain
    values.pop("grain", None)
    values["rollups"] = tuple(each for each in values.get("rollups", ()) if "grain" not in each)
    if not _marked(first):
        begins = civil.parse(str(first)).start
        period = containing(begins, grain)
        values["first"] = (period if period.start >= begins else containing(period.end, grain)).label
    if last is not None and not _marked(last):
        after = containing(civil.parse(str(last)).end, grain)
        values["last"] = containing(after.start - timedelta(days=1), grain).label
        if not _marked(first) and civil.parse(values["last"]) < civil.parse(values["first"]):
            raise DefinitionError(
                f"from {first} to {last} there is no whole {grain}: change first and last, or choose a shorter step"
            )


def _own_keys(dataset: DatasetFile, goal: Goal) -> tuple[str, ...]:
    """The key columns of the finest table: those of the goal, or the finer ones that they are made of."""
    return tuple(dict.fromkeys(dataset.definition.path(key)[-1] for key in goal.keys))


def _rekey(values: Values, draft: DatasetDraft, own: tuple[str, ...]) -> None:
    """Only these keys, those of the file in its order; others come from other datasets of the source."""
    kept = [each for each in values.get("keys", ()) if each["name"] in own]
    names = {each["name"] for each in kept}
    kept += [_borrowed(draft, key) for key in own if key not in names]
    _put(values, "keys", kept)
    coarser = _coarser_of(values, own)
    _put(values, "coarser", [each for each in values.get("coarser", ()) if each["name"] in coarser])


def _borrowed(draft: DatasetDraft, key: str) -> Values:
    """The key as another dataset of the same source defines it."""
    workspace = draft.workspace
    for sibling in workspace.datasets.values():
        if sibling.source.name == draft.values.get("source") and sibling.name != draft.name:
            values = draft_of(workspace, sibling.name).values
            found = next((each for each in values.get("keys", ()) if each["name"] == key), None)
            if found is not None:
                return dict(found)
    raise DefinitionError(f"{draft.origin.name}: has no key {key!r}, nor has another dataset of its source")


def _coarser_of(values: Values, own: Iterable[str]) -> set[str]:
    """The coarser key columns that are made of these."""
    known, found = set(own), set()
    for each in values.get("coarser", ()):
        if each["of"] in known:
            known.add(each["name"])
            found.add(each["name"])
    return found


def _fits(rollup: Values, columns: set[str], own: tuple[str, ...]) -> bool:
    """Whether a rollup still has all of its keys, and other cells than the finest table."""
    keys = set(rollup.get("keys", ()))
    return keys <= columns and (keys != set(own) or "grain" in rollup)


def _shared(rollup: Values) -> Values:
    """A rollup whose share is decided later."""
    return {name: value for name, value in rollup.items() if name != "share"}


def _table_of(rollups: list[Values], keys: tuple[str, ...], title: str, grain: Grain) -> str:
    """The name of the rollup with exactly these keys, which is added where there is none."""
    for each in rollups:
        if set(each.get("keys", ())) == set(keys) and "grain" not in each:
            return str(each["name"])
    name = _named(keys)
    where = f"by {' and '.join(keys).replace('_', ' ')} and" if keys else "in the whole city, by"
    rollups.append({"name": name, "title": f"{title} {where} {grain}", "keys": keys})
    return name


def _named(keys: tuple[str, ...]) -> str:
    """What a table with these keys is called where no one has named it."""
    return "-".join(keys).replace("_", "-") or "city"


def _adds(total: Values, values: Values) -> bool:
    """Whether a total over time is still longer than the time step of the releases."""
    longer: Grain = "quarter" if total["grain"] == "quarter" else "year"
    return longer != values["period"] and values["period"] in NESTS[longer]


def _put(values: Values, name: str, tables: list[Values]) -> None:
    if tables or name in values:
        values[name] = tuple(tables)
    if not tables:
        values.pop(name, None)


def _marked(value: object) -> bool:
    return isinstance(value, str) and value.split(maxsplit=1)[:1] == [MARK]


def _inner(values: Values, table: str) -> list[object]:
    found = values.get(table)
    return [*found.values()] if isinstance(found, dict) else []


def _last_year(today: date, grain: Grain) -> str:
    """The period of a year ago, where no one has chosen the first one yet."""
    return containing(today.replace(year=today.year - 1, day=1), grain).label
