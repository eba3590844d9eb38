"""`publisher sql`: queries over the analyst file."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from publisher.analyst.file import FILE
from publisher.commands.answers import show
from publisher.commands.terminal import say
from publisher.duck import open_file, reason
from publisher.errors import DefinitionError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.commands.answers import RowStream

TABLES = "SELECT table_name FROM duckdb_tables() WHERE NOT starts_with(table_name, '_') ORDER BY table_name"


def run_query(public: Path, query: str, write: Callable[[RowStream], None] = show) -> None:
    """Write the answer to one query. Raises DefinitionError when it cannot be answered."""
    with _opened(public) as connection:
        _answer(connection, query, write)


def prompt(public: Path) -> None:
    """Read queries until the input ends."""
    with _opened(public) as connection:
        tables = ", ".join(row[0] for row in connection.execute(TABLES).fetchall())
        say(f"Tables: {tables}; _tables describes them. One query per line; end with Ctrl-D.")
        while True:
            try:
                query = input("sql> ").strip()
            except EOFError:
                return
            try:
                if query:
                    _answer(connection, query, show)
            except DefinitionError as error:
                say(str(error), err=True)


def _answer(connection: DuckDBPyConnection, query: str, write: Callable[[RowStream], None]) -> None:
    import duckdb

    try:
        statements = connection.extract_statements(query)
        if len(statements) != 1:
            many = f"there are {len(statements)}" if statements else "there is none"
            raise DefinitionError(f"ask one query at a time: {many} here")
        write(connection.execute(statements[0]))
    except duckdb.Error as error:
        # Everything in this file is public, so DuckDB's own words may be shown.
        words = str(error).splitlines()[0] if str(error) else reason(error)
        raise DefinitionError(words) from None


@contextmanager
def _opened(public: Path) -> Iterator[DuckDBPyConnection]:
    path = public / FILE
    if not path.is_file():
        raise DefinitionError(f"{path} does not exist yet: `publisher run` writes it")
    try:
        with open_file(path, FILE, read_only=True) as connection:
            yield connection
    except SourceError as error:
        raise SourceError(f"{error}: `publisher run` writes the file again") from None
