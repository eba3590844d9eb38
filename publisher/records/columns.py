"""The parts of each landed row in SQL: its record id, unit, event time and pseudonyms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from publisher.duck import literal, quoted
from publisher.errors import SourceError
from publisher.records import pseudonyms, sql
from publisher.records.batch import NOWHEN

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.definitions.source import Source
    from publisher.records.pseudonyms import Way
    from publisher.workspace import SourceFile

_OWN = (
    "_record",
    "_unit",
    "_event",
    "_month",
    "_identity",
    "_file",
    "_path",
    "_part",
    "_likely",
    "_batch",
    "_received",
    "_first",
    "_vintage",
)


def check_names(source: SourceFile) -> None:
    """Raise DefinitionError for columns that cannot be together in the landed records."""
    seen: set[str] = set()
    for column in source.definition.landed:
        folded = column.lower()
        if folded in _OWN or folded.startswith("_place_"):
            raise source.origin.error(("columns", column), "the name is one of publisher's own: set read = false")
        if folded in seen:
            raise source.origin.error(
                ("columns", column), "differs from another column only in upper or lower case: read only one of them"
            )
        seen.add(folded)


def check_replaceable(source: SourceFile) -> None:
    """Raise SourceError if a place depends on an identifier: landed records have only its pseudonym."""
    for what, column in source.definition.references():
        if what.startswith("places.") and source.definition.columns[column].identifier:
            raise SourceError(
                f"{source.origin.name}: {what} has changed, but landed records cannot be placed again, since they have "
                f"only pseudonyms of {column!r}: remove {source.name} from the landed records and land its files again"
            )


def set_keys(connection: DuckDBPyConnection, source: SourceFile, private: Path) -> None:
    """Give the connection the source's keys and its clock. Raises SourceError without a key."""
    pseudonyms.set_keys(connection, private, source.name)
    event = source.definition.event
    connection.execute(f"SET TimeZone = {literal(event.zone or source.definition.timezone)}")


def identity(definition: Source, *, spaces: bool = False) -> str:
    """What makes a row a record: the columns of its record id, or the whole row if it has none.

    If people are the units, a record belongs to one unit: rows of two units are never taken for one record. Otherwise
    what is landed for a unit would depend on the rows of another.
    """
    made = _identity(definition)
    if definition.privacy.unit == "record":
        return made
    within = sql.separated([sql.normal(quoted(definition.privacy.unit), spaces=spaces)])
    return f"concat('unit ', {within}, ' ', {made})"


def record(definition: Source, way: Way, *, spaces: bool = False) -> str:
    """The record's pseudonym as UUID, from raw columns."""
    return pseudonyms.keyed(identity(definition, spaces=spaces), "record", way)


def pseudonym(column: str, way: Way, *, spaces: bool = False) -> str:
    """The pseudonym of an identifier as it is landed, the same only within the source."""
    return pseudonyms.identifier(sql.normal(quoted(column), spaces=spaces), way)


def unit(definition: Source) -> str | None:
    """The unit as UUID, from pseudonymized columns; None if the record is the unit."""
    if definition.privacy.unit == "record":
        return None
    known = f"CAST({quoted(definition.privacy.unit)} AS UUID)"
    return f"coalesce({known}, _record)" if definition.privacy.missing == "own-unit" else known


def event(definition: Source) -> str:
    """The event time as civil time of the source; NULL if it does not parse or is outside 1900–2199."""
    when = definition.event
    time = f"try_strptime({quoted(when.column)}, {sql.array(when.formats)})"
    local = literal(definition.timezone)
    if any(re.search(r"%[zZ]", form) for form in when.formats):
        time = f"timezone({local}, {time})"
    elif when.zone is not None:
        time = f"timezone({local}, timezone({literal(when.zone)}, {time}))"
    return f"CASE WHEN year({time}) BETWEEN 1900 AND 2199 THEN {time} END"


def month() -> str:
    """The month of a row as a number, from its `_event`; 0 if it has none."""
    return "coalesce(year(_event) * 100 + month(_event), 0)"


def month_name(number: int) -> str:
    """The name of the partition of a month."""
    return f"{number // 100}-{number % 100:02}" if number else NOWHEN


def names(definition: Source) -> str:
    """SQL for every column of landed records, in order, as the reading side has it."""
    return ", ".join(
        f"{pseudonyms.shown(column)} AS {quoted(column)}" if _identifier(definition, column) else quoted(column)
        for column in landed_types(definition)
    )


def _identifier(definition: Source, column: str) -> bool:
    return column in definition.columns and definition.columns[column].identifier


def landed_types(definition: Source) -> dict[str, str]:
    """Every column of the landed records with its DuckDB type, in order."""
    types = dict.fromkeys(definition.landed, "VARCHAR") | {"_record": "UUID"}
    if definition.privacy.unit != "record":
        types["_unit"] = "UUID"
    return types | {"_event": "TIMESTAMP"} | {f"_place_{level}": "VARCHAR" for level in definition.places}


def unlisted(source: SourceFile, columns: tuple[str, ...], shown: str) -> tuple[str, ...]:
    """The columns of a file that are not declared. Raises SourceError if declared ones are missing or out of order."""
    declared = source.definition.delivered
    new = tuple(column for column in columns if column not in source.definition.columns)
    missing = [column for column in declared if column not in columns]
    found = tuple(column for column in columns if column in source.definition.columns)
    if missing:
        # If most names are unknown, the first line may be a record, so it is not shown.
        named = f"; not declared: {', '.join(new)}" if new and len(found) > len(new) else ""
        raise _drift(source, shown, f"missing: {', '.join(missing)}{named}")
    if len(set(found)) != len(found):
        raise _drift(source, shown, f"there twice: {', '.join(sorted({c for c in found if found.count(c) > 1}))}")
    if found != declared:
        raise _drift(source, shown, f"expected order: {', '.join(declared)}; found: {', '.join(found)}")
    return new


def _identity(definition: Source) -> str:
    row = f"concat('row ', {sql.separated(map(quoted, definition.landed))})"
    if not definition.record_id:
        return row
    named = [quoted(column) for column in definition.record_id]
    missing = " AND ".join(f"{column} IS NULL" for column in named)
    return f"CASE WHEN {missing} THEN {row} ELSE concat('id ', {sql.separated(named)}) END"


def _drift(source: SourceFile, shown: str, what: str) -> SourceError:
    return SourceError(f"{shown}: the columns are not those that {source.origin.name} declares: {what}")
