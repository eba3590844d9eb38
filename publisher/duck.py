"""The only way to DuckDB: connections whose errors, which may quote a value, never get out as they are."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from publisher import encryption
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from duckdb import DuckDBPyConnection

    from publisher.definitions.settings import EngineSettings


_WILD = str.maketrans({sign: f"[{sign}]" for sign in "[*?"})
_SEALED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
"""A connection that reaches no file but the one it was given, and loads nothing."""


@contextmanager
def connect(engine: EngineSettings, spill: Path) -> Iterator[DuckDBPyConnection]:
    """A connection in memory that spills to `spill` (inside the private folder) and fetches nothing."""
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": engine.memory,
        "temp_directory": str(spill) if encryption.may_spill(spill) else "",
        "preserve_insertion_order": False,
        "perfect_ht_threshold": 20,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    if engine.threads is not None:
        config["threads"] = engine.threads
    with safely("working on the records"), duckdb.connect(":memory:", config=config) as connection, _stoppable():
        yield _decrypting(connection) if encryption.anywhere() else connection


def encrypted(paths: Iterable[Path], path_column: str | None = None) -> str:
    """SQL for FROM that reads Parquet files of an encrypted folder on a connection of `connect`; if a column is named
    for it, with the path of each row's file."""
    column = f", {path_column}" if path_column else ""
    return f"encrypted_parquet([{', '.join(literal(str(path)) for path in paths)}]{column})"


_ENCRYPTED = re.compile(r"encrypted_parquet\(\[('(?:[^']|'')*'(?:, '(?:[^']|'')*')*)\](?:, (\w+))?\)")


@dataclass
class _Decrypting:
    """A connection that reads encrypted files: they come to it as Arrow batches."""

    _connection: DuckDBPyConnection
    _registered: int = 0

    def execute(self, query: str, *arguments: Any) -> Any:
        """Execute SQL."""
        return self._connection.execute(self._opened(query), *arguments)

    def sql(self, query: str, **options: Any) -> Any:
        """SQL as a relation."""
        return self._connection.sql(self._opened(query), **options)

    def cursor(self) -> DuckDBPyConnection:
        """Another connection to the same database."""
        return _decrypting(self._connection.cursor())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def _opened(self, query: str) -> str:
        return _ENCRYPTED.sub(self._scan, query)

    def _scan(self, found: re.Match[str]) -> str:
        paths = [Path(path.replace("''", "'")) for path in re.findall(r"'((?:[^']|'')*)'", found[1])]
        sealed = [path for path in paths if encryption.is_parquet(path)]
        parts = []
        if sealed:
            self._registered += 1
            name = f"encrypted_{self._registered}"
            self._connection.register(name, encryption.rows_of(sealed, found[2]))
            parts.append(f"SELECT * EXCLUDE ({encryption.UNFILTERED}) FROM {name}")
        if plain := [path for path in paths if path not in set(sealed)]:  # from before there was a key
            also = f", filename = '{found[2]}'" if found[2] else ""
            files = ", ".join(map(file_literal, plain))
            parts.append(f"SELECT * FROM read_parquet([{files}], hive_partitioning = false{also})")
        return f"({' UNION ALL BY NAME '.join(parts)})"


def _decrypting(connection: DuckDBPyConnection) -> DuckDBPyConnection:
    connection.execute("SET arrow_lossless_conversion = true")  # 128 bits as they are, not as text
    # DuckDB takes Arrow batches for few rows, and would keep all of them to look keys up in, not the keys.
    disable(connection, "build_side_probe_side")
    return cast("DuckDBPyConnection", _Decrypting(connection))


@contextmanager
def scratch() -> Iterator[DuckDBPyConnection]:
    """A connection in memory that reaches no file, for questions about SQL, never about records. Its tables have to be
    temporary, or the next one would have them too."""
    with safely("asking DuckDB about SQL"), _sealed().cursor() as connection:
        yield connection


@cache
def _sealed() -> DuckDBPyConnection:
    """Opened once: that takes longer than a question."""
    import duckdb

    with safely("asking DuckDB about SQL"):
        return duckdb.connect(":memory:", config=_SEALED | {"threads": 1})


@contextmanager
def _stoppable() -> Iterator[None]:
    """DuckDB makes a RuntimeError of Ctrl-C; this makes it what it was."""
    try:
        yield
    except RuntimeError as error:
        if str(error) == "Query interrupted":
            raise KeyboardInterrupt from None
        raise


@contextmanager
def safely(what: str) -> Iterator[None]:
    """Turn DuckDB's errors, which may quote a value, into a SourceError that says only what was being done."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise SourceError(f"{what}: {_damaged(error) or reason(error)}") from None
    except OSError as error:
        if error.errno is not None:
            raise  # an error of the file system, which quotes no value
        raise SourceError(
            f"{what}: {_damaged(error) or reason(error)}"
        ) from None  # Arrow's name for what DuckDB raises in a stream


def _damaged(error: Exception) -> str:
    """Words that name the Parquet file that DuckDB failed on; the path of an existing file is not a value."""
    import duckdb

    named = re.search(r"""\bfile ['"](/[^'"]+\.parquet)['"]""", str(error), re.IGNORECASE)
    if named is not None and Path(named[1]).is_file():
        return f"{named[1]} is damaged: restore it from a backup, or fetch it again"
    unnamed = type(error) is duckdb.Error  # only DuckDB's Parquet reader raises this
    return "a Parquet file is damaged: restore it from a backup, or fetch it again" if unnamed else ""


def reason(error: Exception) -> str:
    """Words for a DuckDB error, without anything from its message, which may contain values."""
    import duckdb

    kinds: tuple[tuple[type[Exception], str], ...] = (
        (duckdb.OutOfMemoryException, "more memory is needed: increase [engine] memory in publisher.toml"),
        (duckdb.IOException, "a file cannot be read or written (missing, damaged, or the disk is full or read-only)"),
        (duckdb.FatalException, "a file cannot be written; is the disk full?"),
        (duckdb.TransactionException, "a file cannot be written; is the disk full?"),
        (duckdb.ConversionException, "a value does not convert: use TRY_CAST"),
        (duckdb.BinderException, "a column or a type does not fit"),
        (duckdb.CatalogException, "a name is unknown"),
        (duckdb.ParserException, "the SQL cannot be parsed"),
    )
    return next((words for kind, words in kinds if isinstance(error, kind)), "the data cannot be read as declared")


def disable(connection: DuckDBPyConnection, optimizer: str) -> None:
    """Let a connection do without one of DuckDB's optimizers, besides those that it does without already."""
    ((found,),) = connection.execute("SELECT current_setting('disabled_optimizers')").fetchall()
    names = dict.fromkeys([*filter(None, str(found).split(",")), optimizer])
    connection.execute(f"SET disabled_optimizers = {literal(','.join(names))}")


def limits(connection: DuckDBPyConnection) -> tuple[int, int]:
    """How many bytes of memory and how many threads a connection may use."""
    memory = "parse_formatted_bytes(current_setting('memory_limit'))"
    found = connection.execute(f"SELECT CAST({memory} AS BIGINT), CAST(current_setting('threads') AS INTEGER)")
    ((size, threads),) = found.fetchall()
    return size, threads


@contextmanager
def open_file(path: Path, what: str, *, read_only: bool = False) -> Iterator[DuckDBPyConnection]:
    """A connection to a DuckDB file; only for the analyst file, which has nothing but releases.

    With `read_only` it is locked: its queries reach no other file, load no extension and change no setting.
    """
    import duckdb

    locks = _SEALED | {"lock_configuration": True} if read_only else {}
    with (
        safely(what),
        duckdb.connect(str(path), read_only=read_only, config=locks) as connection,
        _stoppable(),
    ):
        yield connection


@contextmanager
def attached(path: Path, name: str) -> Iterator[DuckDBPyConnection]:
    """A connection in memory with an analyst file attached under a name, for reading only."""
    import duckdb

    with safely(str(path)), duckdb.connect() as connection:
        connection.execute(f"ATTACH {literal(str(path))} AS {quoted(name)} (READ_ONLY)")
        yield connection


def quoted(identifier: str) -> str:
    """A quoted identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A quoted text."""
    return "'" + text.replace("'", "''") + "'"


def file_literal(path: Path) -> str:
    """A quoted path to read, without wildcards."""
    return literal(str(path).translate(_WILD))
