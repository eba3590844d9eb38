"""How the guard reads a SELECT: function names stay as written, and what runs means the same to DuckDB as the text.

The parser knows many dialects and would rewrite functions of one into those of another. So it gets no functions, and
DuckDB itself compares the statement that it writes with the author's, over empty tables.
"""

from __future__ import annotations

import json
import logging
from functools import cache
from typing import TYPE_CHECKING, Any

from publisher.duck import quoted, scratch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from duckdb import DuckDBPyConnection
    from sqlglot import exp
    from sqlglot.parsers.duckdb import DuckDBParser

_SYNTAX = ("CAST", "TRY_CAST", "EXTRACT", "SUBSTRING", "TRIM")
"""Functions whose arguments may be separated by words instead of commas."""
_UNSAID = ("alias", "is_operator", "query_location", "query_location_length")
"""The parts of a plan that come from the text and not from its meaning."""
_OPERATORS = {"**": "power", "^": "power", "@": "abs", "^@": "starts_with"}
"""Operators that are other names of a function."""


def parsed(sql: str) -> list[exp.Expr]:
    """The statements in a text. Raises sqlglot's errors."""
    import sqlglot
    from sqlglot import exp

    statements = _parser()(dialect="duckdb").parse(sqlglot.tokenize(sql, dialect="duckdb"), sql)
    return [each for each in statements if not isinstance(each, exp.Semicolon | None)]  # a comment at the end


def text(node: exp.Expr) -> str:
    """The SQL that runs: every name in quotes, no comments."""
    import sqlglot

    return node.sql(dialect="duckdb", identify=True, comments=False, unsupported_level=sqlglot.ErrorLevel.IGNORE)


def shown(node: exp.Expr) -> str:
    """A part of a statement as its author knows it, for a message."""
    import sqlglot

    dialects = ("duckdb", "")  # what DuckDB has no words for, other databases may
    texts = (node.sql(dialect=each, comments=False, unsupported_level=sqlglot.ErrorLevel.IGNORE) for each in dialects)
    short = " ".join(next(filter(None, texts), "a part of it").split())
    return short if len(short) <= 80 else f"{short[:79]}…"


def kind_of(function: str) -> str | None:
    """The kind of function that DuckDB has by that name: scalar, macro, aggregate, table …; None if there is none."""
    with scratch() as connection:
        query = "SELECT min(function_type) FROM duckdb_functions() WHERE lower(function_name) = lower(?)"
        found: str | None = connection.execute(query, [function]).fetchall()[0][0]
        return found


def fault(written: str, statement: exp.Select, tables: Mapping[str, Iterable[str]]) -> str | None:
    """Why DuckDB cannot run what was written, or what the statement would do differently; None if all is well.

    `tables` names the columns, which are all texts.
    """
    with scratch() as connection:
        for table, columns in tables.items():
            named = {column.lower(): f"{quoted(column)} VARCHAR" for column in columns}
            connection.execute(f"CREATE TEMP TABLE {quoted(table)} ({', '.join(named.values())})")
        before, after = (_plan(connection, each) for each in (written, text(statement)))
    for plan in (before, after):
        if plan.get("error"):
            return f"DuckDB says: {str(plan.get('error_message')).partition(chr(10))[0]}"
    return None if before == after else _difference(before, after, statement)


@cache
def _parser() -> type[DuckDBParser]:
    """DuckDB's grammar without its functions: each is a name and its arguments."""
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # what it cannot read is refused with our own message
    from sqlglot.parsers.duckdb import DuckDBParser

    class Faithful(DuckDBParser):
        FUNCTIONS = {}  # noqa: RUF012 - as in the class above it
        FUNCTION_PARSERS = {name: DuckDBParser.FUNCTION_PARSERS[name] for name in _SYNTAX}  # noqa: RUF012

    return Faithful


def _plan(connection: DuckDBPyConnection, query: str) -> dict[str, Any]:
    """What DuckDB makes of a query: names and types resolved and constants computed, nothing else."""
    others = "SELECT string_agg(name, ',') FROM duckdb_optimizers() WHERE name <> 'expression_rewriter'"
    disabled = connection.execute(others).fetchall()[0][0]
    connection.execute("SET disabled_optimizers = ?", [disabled])
    found = connection.execute("SELECT json_serialize_plan(?::VARCHAR, optimize := true)", [query]).fetchall()[0][0]
    plan: dict[str, Any] = _meaning(json.loads(found))
    return plan


def _meaning(value: Any) -> Any:
    """A plan without what only repeats the text, and with one form for what can be written in two ways."""
    if isinstance(value, list):
        return [_meaning(each) for each in value]
    if not isinstance(value, dict):
        return value
    value = {key: _meaning(each) for key, each in value.items() if key not in _UNSAID}
    if path := value.get("qname", {}).get("path"):
        value["qname"] = _OPERATORS.get(path[-1], path[-1])
    inner = value.get("children") or [{}]
    if value.get("type") == "OPERATOR_NOT" and inner[0].get("type") == "OPERATOR_IS_NULL":
        return inner[0] | {"type": "OPERATOR_IS_NOT_NULL"}
    return value


def _difference(before: dict[str, Any], after: dict[str, Any], statement: exp.Select) -> str:
    """The column, or otherwise the statement, that DuckDB would compute differently."""
    part: exp.Expr = statement
    columns = [each["plans"][0].get("expressions", []) for each in (before, after)]
    for projection, *both in zip(statement.expressions, *columns, strict=False):
        if both[0] != both[1]:
            part = projection
            break
    return f"would run as {shown(part)}, which means something else to DuckDB: write it in another way"
