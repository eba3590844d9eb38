"""The two ways to a row's JSON: DuckDB's for large answers, Arrow columns for small ones."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from publisher.portal.answers.columns import json_rows
from publisher.portal.answers.formats import JSON
from publisher.portal.base.kinds import Kind
from publisher.portal.engine.engine import _NUMBER_TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANCE = random.Random(7)
TEXTS = [*map(chr, range(160)), "", "é😀\u2028", 'a"b\\c\nd', "</script>", "\\u00ab\x1f"]
DOUBLES = [0.0, -0.0, 1.0, 0.1, 1e15, 1e16, 1e-4, 1e-5, 5e-324, float("nan"), float("inf"), -float("inf"), 100.0]
DOUBLES += [CHANCE.uniform(-1, 1) * 10.0 ** CHANCE.randint(-30, 30) for _ in range(200)]
DOUBLES += [float(f"{CHANCE.uniform(-1, 1) * 10.0 ** CHANCE.randint(-30, 30):.15g}") for _ in range(200)]
CENTS = ["0", "0.5", "-0.5", "100", "123.4", "-0.01", "99.99", "1000000", "-7.00"]
LARGE = ["0", "0.000001", "-0.000001", "12345678901234567890123456789012.1", "-12345678901234567890123456789012"]
WHOLE = ["0", "10", "-10", "170141183460469231731687303715884105727", "-170141183460469231731687303715884105728"]
TIMES = ["2020-01-01", "1969-12-31 23:59:59.999999", "0987-01-02 03:04:05", "0001-01-01", "9999-12-31 23:59:59.9999"]
ODD_TIMES = ["10000-01-01", "0044-03-15 (BC)", "infinity", "-infinity"]
KINDS: list[tuple[Kind, str, list[Any]]] = [
    (Kind.TEXT, "VARCHAR", TEXTS),
    (Kind.NUMBER, "DECIMAL(9,2)", CENTS),
    (Kind.NUMBER, "DECIMAL(18,6)", CENTS),
    (Kind.NUMBER, "DECIMAL(38,6)", LARGE),
    (Kind.NUMBER, "DECIMAL(38,0)", ["0", "9" * 38, "-100"]),
    (Kind.NUMBER, "HUGEINT", WHOLE),
    (Kind.NUMBER, "BIGINT", ["0", "10", "-9223372036854775808"]),
    (Kind.NUMBER, "DOUBLE", DOUBLES),
    (Kind.FLOATING, "TIMESTAMP", TIMES),
    (Kind.FIXED, "TIMESTAMP", TIMES),
    (Kind.FLOATING, "DATE", ["2020-01-01", "1969-12-31"]),
    (Kind.CHECKBOX, "BOOLEAN", [True, False]),
    (Kind.URL, "VARCHAR", ['{"url":"https://example.org/?a=1"}']),
    (Kind.POINT, "VARCHAR", ['{"type":"Point","coordinates":[-90.1,38.5]}']),
]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with what the engine's sessions know."""
    with duckdb.connect() as found:
        found.execute(_NUMBER_TEXT)
        yield found


def _both(
    connection: duckdb.DuckDBPyConnection, fields: list[tuple[str, Kind]], where: str
) -> tuple[bytes, bytes | None]:
    """The rows of `t` as DuckDB and as Arrow columns write them."""
    inner = f"SELECT {', '.join(name for name, _ in fields)} FROM t WHERE {where}"
    lines = connection.execute(f"SELECT {JSON.each(fields)} FROM ({inner}) AS q").fetchall()
    table = connection.sql(inner).to_arrow_table()
    return "".join(line for (line,) in lines).encode(), json_rows(fields, table)


@pytest.mark.parametrize(("kind", "stored", "values"), KINDS, ids=[f"{kind}-{stored}" for kind, stored, _ in KINDS])
def test_both_write_the_same_bytes(
    connection: duckdb.DuckDBPyConnection, kind: Kind, stored: str, values: list[Any]
) -> None:
    """Every kind and odd value, with and without missing values, in the first column, the last, and alone."""
    connection.execute(f"CREATE TABLE t (a {stored}, b BIGINT)")
    connection.executemany(
        f"INSERT INTO t VALUES (?::{stored}, ?)", [(value, 70) for value in [*values, None, values[0]]]
    )
    one, other = ("a", kind), ("b", Kind.NUMBER)
    for fields in ([one, other], [other, one], [one]):
        for where in ("true", "a IS NOT NULL", "a IS NULL", "false"):
            expected, written = _both(connection, fields, where)
            assert written == expected


@pytest.mark.parametrize(
    ("kind", "stored", "value"),
    [(Kind.NUMBER, "DECIMAL(38,9)", "0.000000001"), *((Kind.FIXED, "TIMESTAMP", each) for each in ODD_TIMES)],
)
def test_what_arrow_writes_otherwise_is_left_to_duckdb(
    connection: duckdb.DuckDBPyConnection, kind: Kind, stored: str, value: str
) -> None:
    """Numbers that Arrow gives an exponent and years beyond four digits are not written from columns."""
    connection.execute(f"CREATE TABLE t AS SELECT $value::{stored} AS a", {"value": value})
    assert _both(connection, [("a", kind)], "true")[1] is None
