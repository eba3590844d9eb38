"""The only way to Great Expectations: a release meets its expectations or is held.

It sees only released data, and its results are yes or no: no text of a table can reach a message, and the numbers in
one are released numbers.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from publisher.definitions.model import Model
from publisher.errors import DefinitionError
from publisher.release.failure import Failed, Failure, demand, described, numbers_of, span_of
from publisher.release.table import read_published

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pandas as pd
    import pyarrow as pa

    from publisher.release.failure import Numbers, Origin
    from publisher.release.manifest import Release

Entry = dict[str, Any]
"""An expectation as a suite writes it: `type`, `kwargs`, `meta`."""

_NAMES = re.compile(r"(?<![\w.])[A-Za-z]\w*")
_FUNCTIONS = {"abs", "round", "trunc"}
_NUMBER = "number"
"""The position among the rules, kept in an expectation's meta, because results come in another order."""
_SCANS = {"expect_column_values_to_not_match_regex", "expect_column_values_to_not_match_regex_list"}

LARGE = 200_000
"""Rows from which a table is large."""
FEW = 4
"""How many rules are checked at once of a large table."""

_SCANNED = {"column", "regex", "regex_list"}
"""The arguments of a scan of all texts."""


class Validation(Model):
    """Whether the release met its expectations."""

    passed: bool
    failures: tuple[Failed, ...]
    suite_sha256: str
    """The hash of everything that was expected, starting with the dataset's own table."""
    checked_at: str
    accepted: str = ""
    """Why people accepted the release although it failed; the ledger has who and when."""

    @property
    def acceptable(self) -> bool:
        """Whether a person may accept the release although it failed: only judgments of people are in the way."""
        return all(failure.acceptable for failure in self.failures)

    @property
    def words(self) -> tuple[str, ...]:
        """What failed, in words."""
        return tuple(failure.words for failure in self.failures)


@dataclass(frozen=True)
class Expectations:
    """What a table must hold, from public facts only: the definition and the previous release."""

    columns: tuple[str, ...]
    """In order."""
    ids: pa.StringArray
    """Every row's id. As texts of Python, those of a million rows would take several hundred megabytes."""
    keys: Mapping[str, tuple[str, ...]]
    """The allowed values of each key column."""
    totals: Mapping[str, tuple[float, float] | None]
    """The plausible range of each measure's total; None if there is no previous release."""
    before: str = ""
    """The previous release's period."""


@dataclass(frozen=True)
class Rule:
    """One expectation of a table, and where it comes from."""

    entry: Entry
    origin: Origin
    where: str = "an expectation of the definition"
    """How messages about the expectation itself call it, such as its file and number."""
    file: str = ""
    """The suite in which people wrote it."""

    @property
    def kind(self) -> str:
        """The type of Great Expectations."""
        return str(self.entry["type"])

    @property
    def notes(self) -> str:
        """What is written about it for people."""
        return str(self.entry.get("meta", {}).get("notes") or "")

    @property
    def words(self) -> str:
        """What it expects, for people: its limits if people set them, with its notes; else its notes or arguments."""
        arguments = self.entry.get("kwargs", {})
        asked = demand(self.kind, arguments)
        if self.origin == "people" and self.notes and span_of(arguments) != (None, None):
            return f"{asked} ({self.notes})"
        return self.notes or asked

    @property
    def scans_texts(self) -> bool:
        """Whether it is about every text of one column, so that each text need be looked at only once."""
        return self.kind in _SCANS and self.entry.get("kwargs", {}).keys() <= _SCANNED

    @property
    def acceptable(self) -> bool:
        """Whether it judges numbers: what follows from the definition does not, and neither does a scan."""
        return self.origin != "definition" and self.kind not in _SCANS


@dataclass(frozen=True)
class TableCheck:
    """One table of a release (the release itself or a companion), its rules and what it must hold."""

    table: Release
    rules: Sequence[Rule]
    expected: Expectations


def validate(checks: Sequence[TableCheck], faults: Sequence[Failure] = ()) -> Validation:
    """Check the tables of one release, each against its rules; `faults` are other findings.

    Raises DefinitionError when a rule itself is wrong. A companion's failures begin with its name.
    """
    failures: list[Failure] = []
    with warnings.catch_warnings():
        # What Great Expectations and its libraries deprecate in each other is not ours to fix.
        warnings.simplefilter("ignore")
        source = _source()
        for check in checks:
            failures += _failures(source, check)
    failures += faults
    return Validation(
        passed=not failures,
        failures=tuple(failures),
        suite_sha256=_digest(checks),
        checked_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _digest(checks: Sequence[TableCheck]) -> str:
    entries = [[rule.entry for rule in check.rules] for check in checks]
    return hashlib.sha256(json.dumps(entries, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _parameters(table: pa.Table, expected: Expectations) -> dict[str, Any]:
    """What `$PARAMETER` can name. `known_ids` counts the release's distinct expected ids: passing the set of ids itself
    is slow (six seconds at 54,000 rows)."""
    parameters: dict[str, Any] = {
        "columns": list(expected.columns),
        "rows": len(expected.ids),
        "known_ids": _known_ids(table, expected),
    }
    for column, keys in expected.keys.items():
        parameters[f"keys_{column}"] = list(keys)
    for measure, span in expected.totals.items():
        parameters[f"total_{measure}_min"], parameters[f"total_{measure}_max"] = span or (None, None)
    return parameters


def _known_ids(table: pa.Table, expected: Expectations) -> int:
    import pyarrow as pa
    import pyarrow.compute

    if "id" not in table.column_names or not pa.types.is_string(table["id"].type):
        return 0
    ids = table["id"]
    if ids.equals(pa.chunked_array([expected.ids])):  # one by one, as they are written: nothing has to be looked up
        return len(ids)
    found: int = pa.compute.sum(pa.compute.is_in(ids.unique(), value_set=expected.ids)).as_py() or 0
    return found


def get_ready() -> None:
    """Import what takes seconds, before there is a table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _source()


@cache
def _source() -> Any:
    """Where tables are passed in for checking; made once, since that takes as long as checking a table."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.execution_engine import pandas_execution_engine

    pandas_execution_engine.HASH_THRESHOLD = 0  # a digest of each table, four times, which nobody reads
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context.data_sources.add_pandas("release")


def _failures(source: Any, check: TableCheck) -> list[Failure]:
    import great_expectations as gx
    import pyarrow as pa
    from great_expectations.exceptions import GreatExpectationsError

    table, name = read_published(check.table), check.table.manifest.dataset
    frame: pd.DataFrame = table.to_pandas(date_as_object=False)
    if name in source.get_asset_names():
        source.delete_asset(name)
    asset = source.add_dataframe_asset(name)
    parameters = _parameters(table, check.expected)
    del table
    pa.default_memory_pool().release_unused()
    results = []
    try:
        for scans in (True, False):  # the whole table last, since what failed in it is looked up there
            rows = _distinct(frame, check.rules) if scans else frame
            part = asset.add_batch_definition_whole_dataframe("texts" if scans else "whole")
            batch = part.get_batch({"dataframe": rows})
            rules = [(n, rule) for n, rule in enumerate(check.rules) if rule.scans_texts == scans]
            for some in _parts(rules, len(rows)):
                checks = gx.ExpectationSuite(name=name, expectations=_expectations(some, parameters))
                outcome = batch.validate(checks, result_format="BOOLEAN_ONLY", expectation_parameters=parameters)
                results += outcome.results
    except (GreatExpectationsError, ValueError, TypeError) as error:
        # The parameters are public and no data was read yet: the reason may be shown.
        raise DefinitionError(f"{_files(check)}: a $PARAMETER cannot be filled in: {_line(error)}") from None
    failed = sorted((result for result in results if not result.success), key=_position)
    found = [_failure(check, result, batch) for result in failed]
    return list({failure.words: failure for failure in found}.values())


def _parts(rules: Sequence[tuple[int, Rule]], rows: int) -> Iterator[Sequence[tuple[int, Rule]]]:
    """All rules at once, which is quicker, or, of a large table, some at a time: what Great Expectations computes for a
    rule has some bytes for every row, and is kept until all of them are checked."""
    most = len(rules) if rows < LARGE else FEW
    for start in range(0, len(rules), max(1, most)):
        yield rules[start : start + most]


def _position(result: Any) -> int:
    return int(result.expectation_config.meta[_NUMBER])


def _files(check: TableCheck) -> str:
    return next((rule.file for rule in check.rules if rule.file), check.table.manifest.dataset)


def _distinct(frame: pd.DataFrame, rules: Sequence[Rule]) -> pd.DataFrame:
    """Each text once, in the columns whose texts are scanned."""
    import pandas as pd

    columns = {str(rule.entry["kwargs"].get("column")) for rule in rules if rule.scans_texts}
    return pd.DataFrame({name: pd.Series(frame[name].dropna().unique()) for name in columns if name in frame})


def _expectations(rules: Iterable[tuple[int, Rule]], parameters: dict[str, Any]) -> list[Any]:
    """The expectations that apply: those whose parameters all have a value."""
    return [expectation_of(rule, number) for number, rule in rules if _applies(rule, parameters)]


def expectation_of(rule: Rule, number: int = 0) -> Any:
    """The rule as Great Expectations reads it. Raises DefinitionError when it cannot."""
    from great_expectations.exceptions import GreatExpectationsError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    entry = rule.entry
    try:
        meta = {**entry.get("meta", {}), _NUMBER: number}
        return ExpectationConfiguration(entry["type"], entry.get("kwargs", {}), meta=meta).to_domain_obj()
    except (GreatExpectationsError, ValueError, TypeError) as error:
        raise DefinitionError(f"{rule.where}: {_line(error)}") from None


def _applies(rule: Rule, parameters: dict[str, Any]) -> bool:
    """False if a parameter has no value, as on a first release. Raises DefinitionError for an unknown parameter."""
    kwargs = rule.entry.get("kwargs", {})
    formulas = [v["$PARAMETER"] for v in kwargs.values() if isinstance(v, dict) and "$PARAMETER" in v]
    names = {name for formula in formulas for name in _NAMES.findall(str(formula))} - _FUNCTIONS
    if unknown := names - parameters.keys():
        known = ", ".join(parameters)
        raise DefinitionError(f"{rule.where}: unknown $PARAMETER {', '.join(sorted(unknown))}; there are: {known}")
    return all(parameters[name] is not None for name in names)


def _failure(check: TableCheck, result: Any, batch: Any) -> Failure:
    """What failed, with the number that was released where the expectation has limits."""
    rule, kwargs = check.rules[_position(result)], result.expectation_config.kwargs
    numbers, raised = None, _raised(result.exception_info)
    if not raised and rule.entry.get("kwargs") != {"value": {"$PARAMETER": "known_ids"}}:
        numbers = numbers_of(rule.kind, kwargs, _rows(batch, kwargs), check.expected.ids)
    prefix = f"{check.table.manifest.dataset}: " if check.table.level else ""
    return Failure(
        words=prefix + "".join(_words(check, rule, numbers)) + (" (could not be checked)" if raised else ""),
        origin=rule.origin,
        table=check.table.manifest.dataset,
        expectation=rule.kind,
        file=rule.file,
        numbers=numbers,
        acceptable=rule.acceptable and not raised,
    )


def _rows(batch: Any, kwargs: dict[str, Any]) -> pd.DataFrame:
    """The rows that an expectation with these arguments applies to."""
    domain = {name: kwargs[name] for name in ("row_condition", "condition_parser") if name in kwargs}
    rows: pd.DataFrame = batch.data.execution_engine.get_domain_records(domain)
    return rows


def _words(check: TableCheck, rule: Rule, numbers: Numbers | None) -> Iterator[str]:
    """The expectation by its notes, or else by its column; the number; and who expects that."""
    if numbers is None:
        yield rule.notes or f"{rule.words}: not met"
        yield f" ({rule.file})" if rule.file else ""
    elif rule.origin == "definition":
        yield f"{rule.words}: {described(numbers, rule.kind)}"
    elif rule.origin == "last release":
        yield f"{described(numbers, rule.kind)}, judging by {check.expected.before}"
    else:
        yield described(numbers, rule.kind)
        yield f" ({rule.file}: {rule.notes})" if rule.notes else f" ({rule.file})"


def _raised(info: dict[str, Any] | None) -> bool:
    """Whether the check itself failed to run, for instance because its column is missing."""
    kinds = [info or {}, *(info or {}).values()]
    return any(kind.get("raised_exception") for kind in kinds if isinstance(kind, dict))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
