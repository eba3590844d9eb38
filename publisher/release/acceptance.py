"""When a release passes: every table meets what is expected of it, and the tables add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.definitions import period as civil
from publisher.release.aggregates import differences
from publisher.release.failure import Failure
from publisher.release.structure import LATER
from publisher.release.suite import expected_of, rules_of
from publisher.release.table import as_released
from publisher.release.validation import TableCheck, Validation, validate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile


def judge(release: Release, dataset: DatasetFile, suite: Callable[[str], Path], previous: Release | None) -> Validation:
    """Check every table that the definition asks for; `suite` gives the path of a table's suite by its published name.

    Raises DefinitionError when a suite is wrong and SourceError when a table cannot be read.
    """
    found = as_released(dataset, release)
    levels = [each for each in found.levels(civil.parse(release.manifest.period)) if found.definition.shows(each.name)]
    tables, before = release.tables, previous.tables if previous is not None else {}
    measures = release.manifest.shape.measures
    without = [end for end, role in LATER.items() if all(getattr(each, role) is None for each in measures)]
    checks = [
        TableCheck(
            tables[level.name],
            rules_of(found, level.name, suite(found.named(level.name)), without=without),
            expected_of(found, level, before.get(level.name), without=without),
        )
        for level in reversed(levels)
        if level.name in tables
    ]
    missing = [f"{found.named(each.name)}: the release has no such table" for each in levels if each.name not in tables]
    faults = missing or differences(release, found, levels)
    return validate(checks, [Failure(words=words, table=release.manifest.dataset) for words in faults])
