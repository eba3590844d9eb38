"""The guard of a source's SELECT: one raw row makes at most one record, whatever its author wrote.

The statement is parsed, and every node of its tree must be on a list; anything else is refused with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from publisher.engine import reading
from publisher.engine.reading import text
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlglot import exp

    from publisher.workspace import SourceFile

RAW = "raw"

NODES = frozenset(
    "Abs Add Alias And Anonymous Array Between Boolean Bracket Case Column DataType DataTypeParam Distance "
    "Div DPipe EQ Extract From GT GTE Identifier If ILike In IntDiv Interval Is Join Like Literal LT LTE Mod Mul "
    "Neg NEQ Not Null Or Paren Pow RegexpFullMatch RegexpILike RegexpLike Select StartsWith Sub Substring Table "
    "TableAlias Trim TryCast Var Where".split()
)
"""Kinds of node that look at one row alone."""

FUNCTIONS = frozenset(
    "abs ceil ceiling char_length character_length coalesce concat concat_ws contains date date_add date_diff "
    "date_part date_trunc datediff datepart datetrunc day dayofweek ends_with floor greatest hour if ifnull instr "
    "isfinite isinf isnan lcase least left len length list_value ln log log10 log2 lower ltrim mod month "
    "nfc_normalize nullif position pow power prefix quarter regexp_extract regexp_full_match regexp_matches "
    "regexp_replace replace right round rtrim sign split_part sqrt starts_with strip_accents strpos substr "
    "substring suffix translate trim try try_strptime ucase upper week year".split()
)
"""DuckDB's functions that look at only one row; TRY catches all their errors."""

PARTED = frozenset("date_diff date_part date_trunc datediff datepart datetrunc".split())
"""Functions whose first argument names a part of a time."""

REASONS = {
    "Fetch": "FETCH makes a record depend on other rows",
    "Cast": "a plain cast stops on a bad value and quotes it: write TRY_CAST(… AS …)",
    "Window": "a window function looks at other rows: a record may depend only on its own row",
    "Distinct": "DISTINCT looks at other rows; rows that share the record id are already one record",
    "Limit": "LIMIT makes a record depend on other rows",
    "Offset": "OFFSET makes a record depend on other rows",
    "TableSample": "sampling is not allowed: the guarantee counts every record",
    "Union": "UNION makes several records from one row: write one SELECT, or two sources",
    "Subquery": "subqueries are not allowed: join a declared lookup instead",
    "Exists": "subqueries are not allowed: join a declared lookup instead",
    "Group": "GROUP BY is not allowed: the SELECT is row-level, and publisher does the counting",
    "Having": "HAVING is not allowed: the SELECT is row-level, and publisher does the counting",
    "Order": "ORDER BY is not allowed in a row-level SELECT",
    "Qualify": "QUALIFY looks at other rows: a record may depend only on its own row",
    "With": "WITH is not allowed: write one SELECT from raw",
    "Star": "* would read columns that are not declared: name the columns",
    "Unnest": "unnest makes several records from one row",
    "Lateral": "lateral joins make several records from one row",
    "Rand": "random values would change from run to run",
    "CurrentTimestamp": "the current time would change from run to run",
    "CurrentDate": "the current time would change from run to run",
    "Lock": "FOR UPDATE is not allowed in a SELECT of records",
    "Parameter": "parameters are not allowed",
    "Placeholder": "parameters are not allowed",
}


CALLS = {
    "strptime": "strptime stops on a bad value and quotes it: write try_strptime",
    "unnest": REASONS["Unnest"],
    "range": "range makes several records from one row",
    "generate_series": "generate_series makes several records from one row",
    "columns": REASONS["Star"],
    "random": REASONS["Rand"],
    "uuid": REASONS["Rand"],
    "now": REASONS["CurrentDate"],
    "today": REASONS["CurrentDate"],
}
"""The same for functions."""


@dataclass(frozen=True)
class RecordQuery:
    """A guarded SELECT.

    `sql` reads the relation `raw` and the lookups and gives the author's columns, the system columns (`_record`,
    `_unit`, `_event`) and a column per place level; `tail` is what follows its column list. `casts` are (column,
    condition) pairs: if the condition is true, a value was there and did not cast.
    """

    sql: str
    tail: str
    columns: tuple[str, ...]
    casts: tuple[tuple[str, str], ...]


def guarded(source: SourceFile) -> RecordQuery:
    """The source's SELECT, checked. Raises DefinitionError with the file and the reason if it is refused."""
    name = source.origin.name.removesuffix(".toml") + ".sql"
    try:
        statement = _parse(source.sql)
        _check_nodes(statement)
        aliases = _check_tables(statement, source)
        _check_columns(statement, source, aliases)
        columns = _check_outputs(statement, source)
        _check_meaning(statement, source)
    except _RefusedError as refusal:
        raise DefinitionError(f"{name}: {refusal}") from None
    except RecursionError:
        raise DefinitionError(f"{name}: is nested too deeply: write it with fewer parentheses") from None
    composed = _compose(statement, source, aliases)
    return RecordQuery(text(composed), _tail(composed), columns, tuple(_casts(statement)))


class _RefusedError(Exception):
    """Why the statement is refused."""


def _parse(sql: str) -> exp.Select:
    import sqlglot
    from sqlglot import exp

    try:
        statements = reading.parsed(sql)
    except sqlglot.errors.SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        line = details[0].get("line")
        raise _RefusedError(f"is not SQL that can be parsed{f' (line {line})' if line else ''}") from None
    if len(statements) != 1:
        raise _RefusedError(f"has {len(statements)} statements: write one SELECT")
    if not isinstance(statements[0], exp.Select):
        reason = REASONS.get(type(statements[0]).__name__, "write one SELECT from raw")
        raise _RefusedError(reason)
    return statements[0]


def _check_nodes(statement: exp.Select) -> None:
    from sqlglot import exp

    for node in statement.walk():
        kind = type(node).__name__
        if isinstance(node, exp.Anonymous):
            _check_function(node)
        elif isinstance(node, exp.Select) and node is not statement:
            raise _RefusedError(REASONS["Subquery"])
        elif kind not in NODES:
            raise _RefusedError(REASONS.get(kind, f"{reading.shown(node)} is not on the list of row-level SQL"))


def _check_function(call: exp.Anonymous) -> None:
    name, first = call.name.lower(), next(iter(call.expressions), None)
    if name in PARTED and not (first is not None and first.is_string):
        raise _RefusedError(f"{name} needs the name of a part first, in quotes, such as {name}('month', …)")
    if name in FUNCTIONS:
        return
    if name in CALLS:
        raise _RefusedError(CALLS[name])
    kind = reading.kind_of(name)
    if kind == "aggregate":
        raise _RefusedError(f"{name} is an aggregate: the SELECT is row-level, and publisher does the counting")
    if kind is None:
        raise _RefusedError(f"DuckDB has no function {name}")
    raise _RefusedError(f"the function {name} is not on the list of row-level functions")


def _check_tables(statement: exp.Select, source: SourceFile) -> dict[str, str]:
    """Alias -> table. `raw` comes first; every other table is a declared lookup, joined by its unique column."""
    from sqlglot import exp

    origin = statement.args.get("from_") or statement.args.get("from")
    if RAW in source.lookups:
        raise _RefusedError("a lookup cannot be called raw: that is the source's own relation")
    if origin is None or not isinstance(origin.this, exp.Table) or origin.this.name != RAW:
        raise _RefusedError("must read FROM raw, which has the landed columns of the source")
    _check_plain(origin.this)
    aliases = {origin.this.alias_or_name: RAW}
    for join in statement.args.get("joins") or []:
        table = join.this
        if not isinstance(table, exp.Table) or table.name not in source.lookups or table.db:
            known = ", ".join(source.lookups) or "none"
            raise _RefusedError(f"joins an undeclared table {reading.shown(table)}; declared lookups: {known}")
        if join.side != "LEFT" or join.kind not in ("", "OUTER"):
            raise _RefusedError(f"join {table.name} with LEFT JOIN, so that no record is lost or doubled")
        _check_plain(table)
        if table.alias_or_name.lower() in {alias.lower() for alias in aliases}:
            raise _RefusedError(f"two tables are called {table.alias_or_name}")
        aliases[table.alias_or_name] = table.name
        _check_unique(join, table.alias_or_name, source.lookups[table.name].columns[0])
    return aliases


def _check_plain(table: exp.Table) -> None:
    """Allow only a name and an alias: nested joins are not seen as joins, and a column list would rename columns."""
    alias = table.args.get("alias")
    if (alias is not None and alias.columns) or any(table.args[part] for part in table.args.keys() - {"this", "alias"}):
        raise _RefusedError(
            f"{table.name} may have an alias and nothing else: remove the schema, column list or nested join"
        )


def _check_unique(join: exp.Join, alias: str, unique: str) -> None:
    """The ON clause must be exactly `lookup.key = expression over other tables`, or one row could match several."""
    from sqlglot import exp

    condition = join.args.get("on")
    for side, other in _sides(condition):
        if isinstance(side, exp.Column) and side.table == alias and side.name == unique:
            if any(column.table in (alias, "") for column in other.find_all(exp.Column)):
                break
            return
    raise _RefusedError(
        f"join {alias} ON {alias}.{unique} = …, with its unique column on one side and columns of raw on the other"
    )


def _sides(condition: Any) -> list[tuple[Any, Any]]:
    from sqlglot import exp

    if not isinstance(condition, exp.EQ):
        return []
    return [(condition.this, condition.expression), (condition.expression, condition.this)]


def _check_columns(statement: exp.Select, source: SourceFile, aliases: dict[str, str]) -> None:
    from sqlglot import exp

    readable = _readable(source)
    for column in statement.find_all(exp.Column):
        name, alias = column.name, column.table
        tables = [aliases[alias]] if alias in aliases else list(aliases.values()) if not alias else []
        found = [table for table in tables if name in readable[table]]
        if not found:
            if name in source.definition.columns:
                raise _RefusedError(f"reads {name!r}, which is declared with read = false")
            raise _RefusedError(
                f"reads {reading.shown(column)!r}, which is not declared (names are case-sensitive here)"
            )
        if len(found) > 1:
            raise _RefusedError(f"{name!r} is in several tables: write raw.{name}")


def _readable(source: SourceFile) -> dict[str, tuple[str, ...]]:
    """The columns of each table that the SELECT may read."""
    places = (f"_place_{level}" for level in source.definition.places)
    lookups = {name: lookup.columns for name, lookup in source.lookups.items()}
    return {RAW: (*source.definition.landed, *places)} | lookups


def _check_meaning(statement: exp.Select, source: SourceFile) -> None:
    """The statement that runs is written from the tree: to DuckDB it must mean what the author wrote."""
    if fault := reading.fault(source.sql, statement, _readable(source)):
        raise _RefusedError(fault)


def _check_outputs(statement: exp.Select, source: SourceFile) -> tuple[str, ...]:
    import re

    from sqlglot import exp

    names = ["" if isinstance(each, exp.Anonymous) else each.alias_or_name for each in statement.expressions]
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
            raise _RefusedError(f"the column {name!r} needs a name of lower-case letters, digits and underscores")
        if name in source.definition.places or names.count(name) > 1:
            raise _RefusedError(f"two columns are called {name!r}")
    register = source.definition.register_
    if register is not None and (register.reading not in names or register.consumption in names):
        raise _RefusedError(f"[register] needs a column {register.reading!r}, and adds {register.consumption!r} itself")
    return (*names, *source.definition.places)


def _compose(statement: exp.Select, source: SourceFile, aliases: dict[str, str]) -> exp.Select:
    """The author's columns, each NULL if it would raise, plus the system columns; lookups join by text."""
    from sqlglot import exp

    raw = next(alias for alias, table in aliases.items() if table == RAW)
    composed = statement.copy()
    shielded = [exp.alias_(_shield(each.unalias()), each.alias_or_name) for each in composed.expressions]
    system = [exp.column("_record", table=raw), exp.column("_event", table=raw)]
    if source.definition.privacy.unit != "record":
        system.append(exp.column("_unit", table=raw))
    if source.definition.late is not None:
        system.append(exp.column("_vintage", table=raw))
    places = [
        exp.alias_(exp.column(f"_place_{level}", table=raw, quoted=True), level) for level in source.definition.places
    ]
    composed.set("expressions", [*shielded, *system, *places])
    for join in composed.args.get("joins") or []:
        _join_by_text(join)
    where = composed.args.get("where")
    if where is not None:
        where.set("this", exp.TryCast(this=exp.Try(this=where.this), to=exp.DataType.build("boolean")))
    return composed


def _join_by_text(join: exp.Join) -> None:
    """Compare keys as texts: they are unique only as texts; a number would match 5, 05 and 5.0."""
    from sqlglot import exp

    condition, alias = join.args["on"], join.this.alias_or_name
    side = "expression" if isinstance(condition.this, exp.Column) and condition.this.table == alias else "this"
    shielded = _shield(condition.args[side])
    condition.set(side, shielded if isinstance(shielded, exp.Column) else exp.cast(shielded, "text"))


def _tail(statement: exp.Select) -> str:
    """FROM, joins and WHERE."""
    bare = statement.copy()
    bare.set("expressions", [])
    return " " + text(bare).removeprefix("SELECT").strip()


def _shield(expression: exp.Expression) -> exp.Expression:
    """Overflow and similar errors give NULL; a bare column and its TRY_CAST cannot fail and stay fast."""
    from sqlglot import exp

    inner = expression.this if isinstance(expression, exp.TryCast) else expression
    return expression if isinstance(inner, exp.Column) else exp.Try(this=expression)


def _casts(statement: exp.Select) -> Iterator[tuple[str, str]]:
    from sqlglot import exp

    for projection in statement.expressions:
        for cast in projection.find_all(exp.TryCast):
            yield projection.alias_or_name, f"TRY(({text(cast.this)}) IS NOT NULL AND ({text(cast)}) IS NULL)"
