"""What is expected of a published table: what follows from its definition, and what people wrote in expectations/.

Whatever changes with each release is a parameter, and comes from public facts.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from publisher.errors import DefinitionError
from publisher.identifiers import IDENTIFIERS
from publisher.release.structure import nonnegative, published, structure, with_article
from publisher.release.table import cell_ids, column_specs, read_published
from publisher.release.validation import Expectations, Rule

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    import numpy as np

    from publisher.definitions.dataset import Dataset, Measure
    from publisher.definitions.levels import Level
    from publisher.release.manifest import Release
    from publisher.release.validation import Entry
    from publisher.workspace import DatasetFile

CHANGE = 3.0
"""How many times larger or smaller a total may be than in the last release before a person looks at it."""

_COLUMNS = ("column", "column_A", "column_B", "column_list", "column_set")
"""The arguments that name columns."""


def rules_of(dataset: DatasetFile, level: str, suite: Path, *, without: Collection[str] = ()) -> tuple[Rule, ...]:
    """What is expected of one level's table: from the definition first, then from its suite, if there is one.

    What the suite repeats of the definition counts once, and a range for a total takes the place of the comparison
    with the last release. `without` are the ends of columns that an earlier version did not write. Raises
    DefinitionError when the suite is wrong.
    """
    _check_texts(dataset)
    built = structure(dataset, level, without=without)
    own = {_same(rule.entry) for rule in built}
    decided = [rule for rule in read_suite(suite) if _same(rule.entry) not in own]
    _check_columns(decided, {spec.name for spec in column_specs(dataset, level)})
    totals = {name for rule in decided if (name := _whole_total(rule.entry)) is not None}
    kept = [rule for rule in built if rule.origin != "last release" or _whole_total(rule.entry) not in totals]
    return (*kept, *decided)


def repeated(dataset: DatasetFile, level: str, suite: Path) -> int:
    """How many expectations of the suite follow from the definition anyway."""
    own = {_same(rule.entry) for rule in structure(dataset, level)}
    return sum(_same(rule.entry) in own or _is_own_scan(rule.entry) for rule in read_suite(suite))


def read_suite(suite: Path) -> list[Rule]:
    """What people wrote; nothing if they wrote no suite. Raises DefinitionError when it is not a suite."""
    try:
        content = suite.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DefinitionError(f"{suite} cannot be read: {error.strerror}") from None
    file = f"{suite.parent.name}/{suite.name}"
    return [
        Rule(entry, "people", f"{suite}: expectation {number} ({entry['type']})", file)
        for number, entry in enumerate(_layout(content, suite), 1)
    ]


def _layout(content: bytes, suite: Path) -> list[Entry]:
    try:
        layout = json.loads(content)
    except UnicodeDecodeError:
        raise DefinitionError(f"{suite} is not UTF-8 text: save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise DefinitionError(f"{suite}:{error.lineno}: is not valid JSON: {error.msg}") from None
    except (ValueError, RecursionError):
        raise DefinitionError(
            f"{suite}: is not a suite: it nests too deep, or has a number of too many digits"
        ) from None
    expectations = layout.get("expectations") if isinstance(layout, dict) else None
    if not isinstance(expectations, list):
        raise DefinitionError(f"{suite} needs a list `expectations`; if you expect nothing, delete the file")
    for number, entry in enumerate(expectations, 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
            raise DefinitionError(
                f"{suite}: expectation {number} needs a `type`, such as expect_column_sum_to_be_between"
            )
        if not all(isinstance(entry.get(key, {}), dict) for key in ("kwargs", "meta")):
            raise DefinitionError(
                f"{suite}: expectation {number}: `kwargs` and `meta` must be objects with named values"
            )
    return expectations


def _check_columns(rules: Iterable[Rule], there: set[str]) -> None:
    """Raise DefinitionError for a column that the table does not have: such an expectation would hold every release."""
    for rule in rules:
        kwargs = rule.entry.get("kwargs", {})
        values = [kwargs[name] for name in _COLUMNS if name in kwargs]
        names = [name for value in values for name in (value if isinstance(value, list) else [value])]
        unknown = [name for name in names if isinstance(name, str) and name not in there]
        if unknown:
            known = ", ".join(sorted(there))
            raise DefinitionError(f"{rule.where}: the table has no column {', '.join(unknown)}; it has: {known}")


def _check_texts(dataset: DatasetFile) -> None:
    """Raise DefinitionError for a key that looks like an identifier: every release would be held for it."""
    lists = [(key.keyset, keyset) for key, keyset in zip(dataset.definition.keys, dataset.keysets, strict=True)]
    for name, keyset in (*lists, *((each.definition.keyset, each.keyset) for each in dataset.coarser)):
        for number, text in enumerate((*keyset.keys, *(keyset.labels or ()))):
            for thing, regex in IDENTIFIERS.items():
                if re.search(regex, text):
                    looks = f"key {number % len(keyset.keys) + 1} looks like {with_article(thing)}"
                    words = "so every release would be held: write it in another way"
                    raise DefinitionError(f"datasets/keysets/{name}.csv: {looks}, {words}")


def _whole_total(entry: Entry) -> str | None:
    """The column whose total over the whole table it limits."""
    kwargs = entry.get("kwargs", {})
    whole = entry["type"] == "expect_column_sum_to_be_between" and "row_condition" not in kwargs
    return kwargs.get("column") if whole else None


def _same(entry: Entry) -> str:
    """What makes two expectations the same, whatever their notes say."""
    return json.dumps([entry["type"], entry.get("kwargs", {})], sort_keys=True)


def _is_own_scan(entry: Entry) -> bool:
    return entry.get("kwargs", {}).get("regex") in IDENTIFIERS.values()


def expected_of(
    dataset: DatasetFile, level: Level, previous: Release | None, *, without: Collection[str] = ()
) -> Expectations:
    """What the table of that level must hold; `previous` is the same table of the last release, if any."""
    allowed = {"period": tuple(cell.label for cell in level.grid.periods)}
    for axis in level.grid.axes:
        allowed[axis.name] = axis.keys
        if axis.labels is not None:
            allowed[f"{axis.name}_name"] = axis.labels
    measured = [measure for measure in published(dataset.definition) if measure.measured]
    totals = {m.name: _plausible(dataset.definition, m, previous) if previous else None for m in measured}
    late = {f"{measure.name}{end}" for measure in published(dataset.definition) for end in without}
    columns = tuple(spec.name for spec in column_specs(dataset, level.name) if spec.name not in late)
    before = previous.manifest.period if previous is not None else ""
    return Expectations(columns, cell_ids(level.grid), allowed, totals, before)


def _plausible(definition: Dataset, measure: Measure, previous: Release) -> tuple[float, float] | None:
    """The plausible range of this measure's published total; None if the last release gives no hint.

    Cells may change by `CHANGE`; those whose count would then fall below the threshold are no longer published,
    and suppressed ones may come back at an average size. Twice the 95% margin of the total is allowed for noise.
    """
    import numpy as np

    columns = [measure.name, f"{measure.name}_low", f"{measure.name}_high", definition.suppression.measure]
    try:
        value, low, high, count = _floats(previous, columns)
    except KeyError:
        return None
    seen = ~np.isnan(value)
    if not seen.any() or not nonnegative(definition, measure):
        return None
    margin = float(np.sqrt(np.nansum(((high - low) / 2) ** 2)))
    kept = seen & (count >= CHANGE * definition.suppression.threshold)
    largest = CHANGE * value[seen].mean() * len(value)
    least = max(0.0, value[kept].sum() / CHANGE - 2 * margin)
    return float(np.floor(least)), float(np.ceil(largest + 2 * margin))


def _floats(release: Release, columns: list[str]) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """Those columns, NaN where empty. Raises KeyError when the release does not have one."""
    table = read_published(release)
    return [table.column(name).cast("float64").to_numpy() for name in columns]
