"""The only way to Great Expectations: a release meets its suite or is held.

It sees only released data, and its results are yes or no: no data value can reach a message.
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
from publisher.release.table import read_published

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from publisher.release.manifest import Release

Entry = dict[str, Any]
"""An expectation as it is written in the suite: `type`, `kwargs`, `meta`."""

_NAMES = re.compile(r"(?<![\w.])[A-Za-z]\w*")
_FUNCTIONS = {"abs", "round", "trunc"}
_NUMBER = "number"
"""The position in the suite, kept in an expectation's meta, because results come in another order."""


class Validation(Model):
    """Whether the release met its suites; `failures` are in words, without any data value."""

    passed: bool
    failures: tuple[str, ...]
    suite_sha256: str
    """The hash of all suites one after another, starting with that of the dataset's own table."""
    checked_at: str


@dataclass(frozen=True)
class Expectations:
    """What a table must hold, from public facts only: the definition and the previous release."""

    columns: tuple[str, ...]
    """In order."""
    ids: frozenset[str]
    """Every row's id."""
    keys: Mapping[str, tuple[str, ...]]
    """The allowed values of each key column."""
    totals: Mapping[str, tuple[float, float] | None]
    """The plausible range of each measure's total; None if there is no previous release."""


@dataclass(frozen=True)
class TableCheck:
    """One table of a release (the release itself or a companion), its suite and what it must hold."""

    table: Release
    suite: Path
    expected: Expectations


def validate(checks: Sequence[TableCheck], faults: Sequence[str] = ()) -> Validation:
    """Check the tables of one release, each against its suite; `faults` are other findings, in words.

    Raises DefinitionError when a suite itself is wrong. A companion's failures begin with its name.
    """
    contents = [_read(check.suite) for check in checks]
    layouts = [_layout(content, check.suite) for content, check in zip(contents, checks, strict=True)]
    failures: list[str] = []
    with warnings.catch_warnings():
        # What Great Expectations and its libraries deprecate in each other is not ours to fix.
        warnings.simplefilter("ignore")
        source = _source()
        for check, layout in zip(checks, layouts, strict=True):
            prefix = f"{check.table.manifest.dataset}: " if check.table.level else ""
            failures += [prefix + words for words in _failures(source, check, layout)]
    failures += faults
    return Validation(
        passed=not failures,
        failures=tuple(failures),
        suite_sha256=hashlib.sha256(b"".join(contents)).hexdigest(),
        checked_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _read(suite: Path) -> bytes:
    try:
        return suite.read_bytes()
    except FileNotFoundError:
        raise DefinitionError(f"{suite} is missing: run `publisher check` to write a starting suite") from None
    except OSError as error:
        raise DefinitionError(f"{suite} cannot be read: {error.strerror}") from None


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
    if not isinstance(expectations, list) or not expectations:
        raise DefinitionError(f"{suite} needs a list `expectations` with at least one expectation")
    for number, entry in enumerate(expectations, 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
            raise DefinitionError(f"{suite}: expectation {number} needs a `type`, such as expect_column_to_exist")
        if not all(isinstance(entry.get(key, {}), dict) for key in ("kwargs", "meta")):
            raise DefinitionError(
                f"{suite}: expectation {number}: `kwargs` and `meta` must be objects with named values"
            )
    return expectations


def _frame(release: Release) -> pd.DataFrame:
    frame: pd.DataFrame = read_published(release).to_pandas(date_as_object=False)
    return frame


def _parameters(frame: pd.DataFrame, expected: Expectations) -> dict[str, Any]:
    """The suite's parameters. `known_ids` counts the release's distinct expected ids: passing the set of ids itself
    is slow (six seconds at 54,000 rows)."""
    found = set(frame["id"]) if "id" in frame else set()
    parameters: dict[str, Any] = {
        "columns": list(expected.columns),
        "rows": len(expected.ids),
        "known_ids": len(found & expected.ids),
    }
    for column, keys in expected.keys.items():
        parameters[f"keys_{column}"] = list(keys)
    for measure, span in expected.totals.items():
        parameters[f"total_{measure}_min"], parameters[f"total_{measure}_max"] = span or (None, None)
    return parameters


@cache
def _source() -> Any:
    """Where tables are passed in for checking; made once, since that takes as long as checking a table."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context.data_sources.add_pandas("release")


def _failures(source: Any, check: TableCheck, layout: list[Entry]) -> tuple[str, ...]:
    import great_expectations as gx
    from great_expectations.exceptions import GreatExpectationsError

    frame, suite = _frame(check.table), check.suite
    name = check.table.manifest.dataset
    if name in source.get_asset_names():
        source.delete_asset(name)
    asset = source.add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    parameters = _parameters(frame, check.expected)
    checks = gx.ExpectationSuite(name=suite.stem, expectations=_expectations(layout, suite, parameters))
    try:
        outcome = batch.validate(checks, result_format="BOOLEAN_ONLY", expectation_parameters=parameters)
    except (GreatExpectationsError, ValueError, TypeError) as error:
        # The parameters are public and no data was read yet: the reason may be shown.
        raise DefinitionError(f"{suite}: a $PARAMETER cannot be filled in: {_line(error)}") from None
    failed = [result for result in outcome.results if not result.success]
    failed.sort(key=lambda result: result.expectation_config.meta[_NUMBER])
    return tuple(dict.fromkeys(_words(result) for result in failed))


def _expectations(layout: list[Entry], suite: Path, parameters: dict[str, Any]) -> list[Any]:
    """The expectations that apply: those whose parameters all have a value."""
    from great_expectations.exceptions import GreatExpectationsError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    expectations = []
    for number, entry in enumerate(layout, 1):
        where = f"{suite}: expectation {number} ({entry['type']})"
        if not _applies(entry, parameters, where):
            continue
        try:
            meta = {**entry.get("meta", {}), _NUMBER: number}
            made = ExpectationConfiguration(entry["type"], entry.get("kwargs", {}), meta=meta)
            expectations.append(made.to_domain_obj())
        except (GreatExpectationsError, ValueError, TypeError) as error:
            raise DefinitionError(f"{where}: {_line(error)}") from None
    return expectations


def _applies(entry: Entry, parameters: dict[str, Any], where: str) -> bool:
    """False if a parameter has no value, as on a first release. Raises DefinitionError for an unknown parameter."""
    formulas = [v["$PARAMETER"] for v in entry.get("kwargs", {}).values() if isinstance(v, dict) and "$PARAMETER" in v]
    names = {name for formula in formulas for name in _NAMES.findall(str(formula))} - _FUNCTIONS
    if unknown := names - parameters.keys():
        known = ", ".join(parameters)
        raise DefinitionError(f"{where}: unknown $PARAMETER {', '.join(sorted(unknown))}; there are: {known}")
    return all(parameters[name] is not None for name in names)


def _words(result: Any) -> str:
    configuration = result.expectation_config
    column = configuration.kwargs.get("column")
    words = configuration.meta.get("notes") or f"{f'{column}: ' if column else ''}{configuration.type} is not met"
    return f"{words} (could not be checked)" if _raised(result.exception_info) else str(words)


def _raised(info: dict[str, Any] | None) -> bool:
    """Whether the check itself failed to run, for instance because its column is missing."""
    kinds = [info or {}, *(info or {}).values()]
    return any(kind.get("raised_exception") for kind in kinds if isinstance(kind, dict))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def check_suite(suite: Path) -> None:
    """Raise DefinitionError if the suite is missing or cannot be read as expectations."""
    _layout(_read(suite), suite)
