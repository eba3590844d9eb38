"""The guard over a source's SELECT: one raw row makes at most one record, whatever its author wrote.

The statement is parsed and every node of its tree must be on a list; what is not listed is refused with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlglot import exp

    from publisher.workspace import SourceFile

RAW = "raw"

NODES = frozenset(
    "Abs Add Alias And Array Between Boolean Bracket Case Ceil Coalesce Column Concat ConcatWs Contains DPipe DataType "
    "Date DateAdd DateDiff DateSub DateTrunc Day DayOfWeek Distance Div EQ Extract Floor From GT GTE Greatest "
    "Identifier If In IntDiv Interval Is Join LT LTE Least Left Length Like Literal Lower Mod Month Mul NEQ Neg Not "
    "Null Nullif Or Paren Pow Quarter RegexpExtract RegexpFullMatch RegexpILike RegexpLike RegexpReplace Replace Right "
    "Round Select SplitPart StartsWith EndsWith StrPosition Sub Substring Table TableAlias TimestampTrunc "
    "Trim Try TryCast Upper Var Where Year ILike Week Hour Sqrt Ln Log Sign".split()
)
"""Kinds of node that look at one row alone."""

FUNCTIONS = frozenset(
    "try_strptime strip_accents nfc_normalize prefix suffix regexp_full_match isfinite isnan isinf date_part datepart "
    "ltrim rtrim translate strpos len".split()
)
"""Functions that the parser does not know by name, each row-level and free of errors that quote values."""

REASONS = {
    "Cast": "a plain cast stops on a bad value and quotes it: write TRY_CAST(… AS …)",
    "Window": "a window looks at other rows: a record may depend on its own row only",
    "Distinct": "DISTINCT looks at other rows; rows that share the record id are already one record",
    "Limit": "LIMIT makes a record depend on other rows",
    "Offset": "OFFSET makes a record depend on other rows",
    "TableSample": "sampling is not allowed: the guarantee counts every record",
    "Union": "UNION makes several records of one row: write one SELECT, or two sources",
    "Subquery": "subqueries are not allowed: join a declared lookup instead",
    "Exists": "subqueries are not allowed: join a declared lookup instead",
    "Group": "GROUP BY is the engine's work: the SELECT is row-level",
    "Having": "HAVING is the engine's work: the SELECT is row-level",
    "Order": "ORDER BY has no place in a row-level SELECT",
    "Qualify": "QUALIFY looks at other rows",
    "With": "WITH is not allowed: write one SELECT from raw",
    "Star": "name the columns: a star would read what nobody declared",
    "Unnest": "unnest makes several records of one row",
    "Explode": "unnest makes several records of one row",
    "Lateral": "lateral joins make several records of one row",
    "Rand": "random values would change from run to run",
    "CurrentTimestamp": "the current time would change from run to run",
    "CurrentDate": "the current time would change from run to run",
    "Parameter": "parameters are not allowed",
    "Placeholder": "parameters are not allowed",
}


@dataclass(frozen=True)
class RecordQuery:
    """A guarded SELECT.

    `sql` reads the relation `raw` and the lookups and gives the author's columns, the system columns (`_record`,
    `_unit`, `_event`) and a column per place level; `tail` is what follows its column list. `casts` are (column,
    condition) pairs: where the condition holds, a value was there and did not cast.
    """

    sql: str
    tail: str
    columns: tuple[str, ...]
    casts: tuple[tuple[str, str], ...]


def guarded(source: SourceFile) -> RecordQuery:
    """The source's SELECT, checked. Raises DefinitionError with the file and the reason of a refusal."""
    name = source.origin.name.removesuffix(".toml") + ".sql"
    try:
        statement = _parse(source.sql)
        _check_nodes(statement)
        aliases = _check_tables(statement, source)
        _check_columns(statement, source, aliases)
        columns = _check_outputs(statement, source)
    except _RefusedError as refusal:
        raise DefinitionError(f"{name}: {refusal}") from None
    composed = _compose(statement, source, aliases)
    return RecordQuery(_text(composed), _tail(composed), columns, tuple(_casts(statement)))


class _RefusedError(Exception):
    """Why the statement is refused."""


def _parse(sql: str) -> exp.Select:
    import sqlglot
    from sqlglot import exp

    try:
        parsed = sqlglot.parse(sql, dialect="duckdb")
    except sqlglot.errors.SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        line = details[0].get("line")
        raise _RefusedError(f"is not SQL that can be parsed{f' (line {line})' if line else ''}") from None
    statements = [each for each in parsed if not isinstance(each, exp.Semicolon | None)]  # a comment at the end
    if len(statements) != 1:
        raise _RefusedError(f"holds {len(statements)} statements: write one SELECT")
    if not isinstance(statements[0], exp.Select):
        reason = REASONS.get(type(statements[0]).__name__, "write one SELECT from raw")
        raise _RefusedError(reason)
    return statements[0]


def _check_nodes(statement: exp.Select) -> None:
    from sqlglot import exp

    for node in statement.walk():
        kind = type(node).__name__
        if isinstance(node, exp.AggFunc):
            raise _RefusedError(f"{node.sql_name()} is an aggregate: the SELECT is row-level, the engine aggregates")
        if isinstance(node, exp.Anonymous):
            if node.name.lower() not in FUNCTIONS:
                raise _RefusedError(f"the function {node.name.lower()} is not on the list of row-level functions")
        elif isinstance(node, exp.Select) and node is not statement:
            raise _RefusedError(REASONS["Subquery"])
        elif isinstance(node, exp.TryCast):
            continue  # a kind of Cast, but one that gives NULL
        elif kind not in NODES and not isinstance(node, exp.StrToTime):
            raise _RefusedError(REASONS.get(kind, f"{kind} is not on the list of row-level SQL"))
        elif isinstance(node, exp.StrToTime) and not node.args.get("safe"):
            raise _RefusedError("strptime stops on a bad value and quotes it: write try_strptime")


def _check_tables(statement: exp.Select, source: SourceFile) -> dict[str, str]:
    """Alias -> table. `raw` comes first; every other table is a declared lookup, joined by its unique column."""
    from sqlglot import exp

    origin = statement.args.get("from_") or statement.args.get("from")
    if RAW in source.lookups:
        raise _RefusedError("a lookup cannot be called raw: that is the source's own relation")
    if origin is None or not isinstance(origin.this, exp.Table) or origin.this.name != RAW:
        raise _RefusedError("must read FROM raw, the landed columns of the source")
    _check_plain(origin.this)
    aliases = {origin.this.alias_or_name: RAW}
    for join in statement.args.get("joins") or []:
        table = join.this
        if not isinstance(table, exp.Table) or table.name not in source.lookups or table.db:
            known = ", ".join(source.lookups) or "none"
            raise _RefusedError(f"joins an undeclared table {table.sql()}; declared lookups: {known}")
        if join.side != "LEFT" or join.kind not in ("", "OUTER"):
            raise _RefusedError(f"join {table.name} with LEFT JOIN, so that no record is lost or doubled")
        _check_plain(table)
        if table.alias_or_name.lower() in {alias.lower() for alias in aliases}:
            raise _RefusedError(f"two tables are called {table.alias_or_name}")
        aliases[table.alias_or_name] = table.name
        _check_unique(join, table.alias_or_name, source.lookups[table.name].columns[0])
    return aliases


def _check_plain(table: exp.Table) -> None:
    """A name and an alias: a join inside a join is not seen as one, and a list of columns would rename them."""
    alias = table.args.get("alias")
    if (alias is not None and alias.columns) or any(table.args[part] for part in table.args.keys() - {"this", "alias"}):
        raise _RefusedError(f"{table.name} may have an alias and nothing else: no schema, column list or nested join")


def _check_unique(join: exp.Join, alias: str, unique: str) -> None:
    """The ON clause must be exactly `lookup.key = expression over other tables`, or one row could match several."""
    from sqlglot import exp

    condition = join.args.get("on")
    for side, other in _sides(condition):
        if isinstance(side, exp.Column) and side.table == alias and side.name == unique:
            if any(column.table in (alias, "") for column in other.find_all(exp.Column)):
                break
            return
    raise _RefusedError(f"join {alias} ON {alias}.{unique} = …: its unique column against columns of raw, nothing else")


def _sides(condition: Any) -> list[tuple[Any, Any]]:
    from sqlglot import exp

    if not isinstance(condition, exp.EQ):
        return []
    return [(condition.this, condition.expression), (condition.expression, condition.this)]


def _check_columns(statement: exp.Select, source: SourceFile, aliases: dict[str, str]) -> None:
    from sqlglot import exp

    places = {f"_place_{level}" for level in source.definition.places}
    readable = {RAW: set(source.definition.landed) | places}
    readable |= {name: set(lookup.columns) for name, lookup in source.lookups.items()}
    for column in statement.find_all(exp.Column):
        name, alias = column.name, column.table
        tables = [aliases[alias]] if alias in aliases else list(aliases.values()) if not alias else []
        found = [table for table in tables if name in readable[table]]
        if not found:
            if name in source.definition.columns:
                raise _RefusedError(f"reads {name!r}, which is declared read = false")
            raise _RefusedError(f"reads {column.sql()!r}, which nobody declared (names are case-sensitive here)")
        if len(found) > 1:
            raise _RefusedError(f"{name!r} stands in several tables: write raw.{name}")


def _check_outputs(statement: exp.Select, source: SourceFile) -> tuple[str, ...]:
    import re

    names = [projection.alias_or_name for projection in statement.expressions]
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
            raise _RefusedError(f"the column {name!r} needs a name of lower-case letters, digits and underscores")
        if name in source.definition.places or names.count(name) > 1:
            raise _RefusedError(f"two columns are called {name!r}")
    register = source.definition.register_
    if register is not None and (register.reading not in names or register.consumption in names):
        raise _RefusedError(f"[register] needs a column {register.reading!r} and makes {register.consumption!r} itself")
    return (*names, *source.definition.places)


def _compose(statement: exp.Select, source: SourceFile, aliases: dict[str, str]) -> exp.Select:
    """The author's columns, each NULL where it would raise, with the system columns beside; lookups join by text."""
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
    """Keys are unique as texts alone: a number would match 5, 05 and 5.0, and make several records of one row."""
    from sqlglot import exp

    condition, alias = join.args["on"], join.this.alias_or_name
    side = "expression" if isinstance(condition.this, exp.Column) and condition.this.table == alias else "this"
    shielded = _shield(condition.args[side])
    condition.set(side, shielded if isinstance(shielded, exp.Column) else exp.cast(shielded, "text"))


def _text(node: exp.Expression) -> str:
    return node.sql(dialect="duckdb", identify=True, comments=False)


def _tail(statement: exp.Select) -> str:
    """FROM, joins and WHERE."""
    bare = statement.copy()
    bare.set("expressions", [])
    return " " + _text(bare).removeprefix("SELECT").strip()


def _shield(expression: exp.Expression) -> exp.Expression:
    """Overflow and its like give NULL; a bare column and its TRY_CAST cannot fail and stay quick."""
    from sqlglot import exp

    inner = expression.this if isinstance(expression, exp.TryCast) else expression
    return expression if isinstance(inner, exp.Column) else exp.Try(this=expression)


def _casts(statement: exp.Select) -> Iterator[tuple[str, str]]:
    from sqlglot import exp

    for projection in statement.expressions:
        for cast in projection.find_all(exp.TryCast):
            yield projection.alias_or_name, f"TRY(({_text(cast.this)}) IS NOT NULL AND ({_text(cast)}) IS NULL)"
