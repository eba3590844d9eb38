"""Whatever an author writes, one raw row makes at most one record, and no value of it decides whether a run stops."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from publisher.definitions.keyset import Lookup
from publisher.engine.guard import FUNCTIONS, guarded
from publisher.engine.reading import fault, parsed
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from small_town import Row, Town

ZONES = Lookup("zones", ("code", "zone"), (("a", "A"), ("b", "B"), ("c", "A")), "0" * 64)
NUMBERS = Lookup("numbers", ("number", "word"), (("5", "x"), ("05", "y"), ("5.0", "z"), ("a", "w")), "1" * 64)
LOOKUPS = {"zones": ZONES, "numbers": NUMBERS}
ROWS: list[Row] = [
    (n, n % 3, n % 28, place, category, amount)
    for n, (place, category, amount) in enumerate(
        [
            ("a", "b", "5"),
            ("b", None, "x"),
            ("5", "05", "-1"),
            (None, "a", "1e400"),
            ("zz", "5.0", ""),
            ("a", "c", None),
        ]
    )
]

REFUSED = {
    "SELECT max(amount) AS v FROM raw": "aggregate",
    "SELECT count(*) AS v FROM raw": "aggregate",
    "SELECT string_agg(place, ',') AS v FROM raw": "aggregate",
    "SELECT list(place) AS v FROM raw": "aggregate",
    "SELECT arg_max(place, id) AS v FROM raw": "aggregate",
    "SELECT approx_quantile(amount, 0.5) AS v FROM raw": "aggregate",
    "SELECT count(*) FILTER (WHERE place = 'a') AS v FROM raw": "not on the list|aggregate",
    "SELECT row_number() OVER () AS v FROM raw": "window",
    "SELECT lag(amount) OVER (ORDER BY id) AS v FROM raw": "window",
    "SELECT place FROM raw WINDOW w AS (ORDER BY place)": "window",
    "SELECT place FROM raw QUALIFY true": "QUALIFY",
    "SELECT DISTINCT place FROM raw": "DISTINCT",
    "SELECT DISTINCT ON (place) place FROM raw": "DISTINCT",
    "SELECT place FROM raw LIMIT 1": "LIMIT",
    "SELECT place FROM raw OFFSET 1": "OFFSET",
    "SELECT place FROM raw FETCH FIRST 1 ROW ONLY": "FETCH makes",
    "SELECT place FROM raw USING SAMPLE 10%": "sampling",
    "SELECT place FROM raw TABLESAMPLE 10%": "sampling",
    "SELECT place FROM raw UNION ALL SELECT place FROM raw": "UNION",
    "SELECT place FROM raw INTERSECT SELECT place FROM raw": "one SELECT",
    "SELECT place FROM raw EXCEPT SELECT place FROM raw": "one SELECT",
    "SELECT place FROM (SELECT * FROM raw)": "subqueries",
    "SELECT (SELECT 1) AS v FROM raw": "subqueries",
    "SELECT place FROM raw WHERE EXISTS (SELECT 1 FROM zones)": "subqueries",
    "SELECT place FROM raw WHERE place IN (SELECT code FROM zones)": "subqueries",
    "SELECT place FROM raw WHERE place IN zones": "is not declared",
    "SELECT place FROM raw WHERE amount > ALL (SELECT 1)": "not on the list|subqueries",
    "WITH x AS (SELECT 1) SELECT place FROM raw": "WITH",
    "SELECT place FROM raw GROUP BY place": "GROUP BY",
    "SELECT place FROM raw GROUP BY ALL": "GROUP BY",
    "SELECT place FROM raw HAVING true": "HAVING",
    "SELECT place FROM raw ORDER BY place": "ORDER BY",
    "SELECT place FROM raw PIVOT (count(*) FOR place IN ('a'))": "PIVOT.* is not on the list",
    "SELECT place FROM raw FOR UPDATE": "FOR UPDATE is not allowed",
    "SELECT place INTO t FROM raw": "INTO t is not on the list",
    "SELECT place FROM raw AT (VERSION => 1)": "AT \\(VERSION => 1\\) is not on the list",
    # tables
    "SELECT 1 AS v": "FROM raw",
    "SELECT place FROM other": "FROM raw",
    "SELECT place FROM RAW": "FROM raw",
    "SELECT place FROM 'file.csv'": "FROM raw",
    "SELECT place FROM main.raw": "remove the schema",
    "SELECT place FROM read_csv('file.csv')": "function read_csv is not",
    "SELECT place FROM read_parquet('file')": "not on the list",
    "SELECT place FROM range(3)": "several records from one row",
    "SELECT place FROM raw, range(3)": "several records from one row",
    "SELECT place FROM raw, unnest([1, 2])": "unnest",
    "SELECT unnest([1, 2]) AS v FROM raw": "unnest",
    "SELECT generate_subscripts([1, 2], 1) AS v FROM raw": "generate_subscripts",
    "SELECT place FROM raw, LATERAL (SELECT 1)": "subqueries|lateral",
    "SELECT place FROM raw, zones": "LEFT JOIN",
    "SELECT place FROM raw LEFT JOIN other ON other.code = raw.place": "undeclared table",
    "SELECT place FROM raw LEFT JOIN raw AS r ON r.id = raw.place": "undeclared table",
    "SELECT place FROM raw LEFT JOIN main.zones ON zones.code = raw.place": "undeclared table",
    # joins
    "SELECT place FROM raw JOIN zones ON zones.code = raw.place": "LEFT JOIN",
    "SELECT place FROM raw INNER JOIN zones ON zones.code = raw.place": "LEFT JOIN",
    "SELECT place FROM raw RIGHT JOIN zones ON zones.code = raw.place": "LEFT JOIN",
    "SELECT place FROM raw FULL JOIN zones ON zones.code = raw.place": "LEFT JOIN",
    "SELECT place FROM raw CROSS JOIN zones": "LEFT JOIN",
    "SELECT place FROM raw POSITIONAL JOIN zones": "LEFT JOIN",
    "SELECT place FROM raw SEMI JOIN zones ON zones.code = raw.place": "LEFT JOIN",
    "SELECT place FROM raw ANTI JOIN zones ON zones.code = raw.place": "LEFT JOIN",
    "SELECT place FROM raw NATURAL LEFT JOIN zones": "unique column",
    "SELECT place FROM raw LEFT JOIN zones USING (code)": "unique column",
    "SELECT place FROM raw LEFT JOIN zones ON TRUE": "unique column",
    "SELECT place FROM raw LEFT JOIN zones ON zones.zone = raw.place": "unique column",
    "SELECT place FROM raw LEFT JOIN zones ON zones.code <> raw.place": "unique column",
    "SELECT place FROM raw LEFT JOIN zones ON zones.code = zones.zone": "unique column",
    "SELECT place FROM raw LEFT JOIN zones ON zones.code = code": "unique column",
    "SELECT place FROM raw LEFT JOIN zones ON lower(zones.code) = raw.place": "unique column",
    "SELECT place FROM raw LEFT JOIN zones ON zones.code = raw.place OR TRUE": "unique column",
    "SELECT place FROM raw LEFT JOIN zones ON zones.code = raw.place COLLATE NOCASE": "NOCASE is not on the list",
    "SELECT place FROM raw LEFT JOIN zones z CROSS JOIN numbers n ON z.code = raw.place": "unique column|nested",
    "SELECT place FROM raw LEFT JOIN zones z JOIN numbers n ON TRUE ON z.code = raw.place": "nested join",
    "SELECT place FROM raw LEFT JOIN (zones z JOIN numbers n ON TRUE) ON z.code = raw.place": "subqueries",
    "SELECT place FROM raw LEFT JOIN zones AS z(zone, code) ON z.code = raw.place": "column list",
    "SELECT r.place FROM raw AS r(id, who, opened, category, place)": "column list",
    "SELECT a.place FROM raw AS a LEFT JOIN zones AS A ON A.code = a.place": "two tables",
    # values
    "SELECT CAST(amount AS INTEGER) AS v FROM raw": "TRY_CAST",
    "SELECT amount::INTEGER AS v FROM raw": "TRY_CAST",
    "SELECT DATE '2020-01-01' AS v FROM raw": "TRY_CAST",
    "SELECT strptime(opened, '%Y') AS v FROM raw": "try_strptime",
    "SELECT error('x') AS v FROM raw": "function error",
    "SELECT random() AS v FROM raw": "random",
    "SELECT uuid() AS v FROM raw": "random",
    "SELECT now() AS v FROM raw": "current time",
    "SELECT current_date AS v FROM raw": "current time",
    "SELECT current_timestamp AS v FROM raw": "current time",
    "SELECT today() AS v FROM raw": "current time",
    "SELECT localtimestamp AS v FROM raw": "not on the list",
    "SELECT getenv('HOME') AS v FROM raw": "getenv",
    "SELECT current_setting('threads') AS v FROM raw": "current_setting",
    "SELECT nextval('s') AS v FROM raw": "nextval",
    "SELECT list_transform([1], x -> x) AS v FROM raw": "not on the list",
    "SELECT list_transform([1], lambda x: x) AS v FROM raw": "not on the list",
    "SELECT hash(place) AS v FROM raw": "function hash",
    "SELECT $1 AS v FROM raw": "parameters",
    "SELECT ? AS v FROM raw": "parameters",
    "SELECT date() AS v FROM raw": "Wrong number of arguments",
    "SELECT lower(place, place) AS v FROM raw": "No function matches",
    "SELECT sqrt(place) AS v FROM raw": "No function matches",
    "SELECT no_such(place) AS v FROM raw": "DuckDB has no function no_such",
    "SELECT date_trunc(place, TRY_CAST(opened AS DATE)) AS v FROM raw": r"date_trunc\('month'",
    "SELECT date_trunc() AS v FROM raw": r"date_trunc\('month'",
    "SELECT datetrunc(lower('DAY'), TRY_CAST(opened AS DATE)) AS v FROM raw": r"datetrunc\('month'",
    "SELECT date_diff(place, TRY_CAST(opened AS DATE), TRY_CAST(opened AS DATE)) AS v FROM raw": r"date_diff\('month'",
    "SELECT date_part(['year'], TRY_CAST(opened AS DATE)) AS v FROM raw": r"date_part\('month'",
    "SELECT date_add(place, amount) AS v FROM raw": "DuckDB says",
    "SELECT place FROM raw WHERE +length(place) > 1": "means something else",
    "SELECT .5 AS v FROM raw": r"0\.5 AS v, which means something else",
    "SELECT 'a' 'b' AS v FROM raw": "not on the list",
    "SELECT TRY_CAST(amount AS DECIMAL(99, 2)) AS v FROM raw": "DuckDB says",
    "SELECT TRY_CAST(amount AS gallons) AS v FROM raw": "DuckDB says.*gallons",
    "SELECT TRY_CAST(amount AS STRUCT(a INTEGER)) AS v FROM raw": "a INT is not on the list",
    f"SELECT {'(' * 4000}place{')' * 4000} AS v FROM raw": "too deeply|can be parsed",
    # columns
    "SELECT * FROM raw": "[*] would read",
    "SELECT raw.* FROM raw": "[*] would read",
    "SELECT * EXCLUDE (id) FROM raw": "[*] would read",
    "FROM raw": "[*] would read",
    "SELECT COLUMNS('.*') FROM raw": "name the columns",
    "SELECT #1 AS v FROM raw": "#1 is not on the list",
    "SELECT raw AS v FROM raw": "is not declared",
    "SELECT nothing AS v FROM raw": "is not declared",
    "SELECT secret AS v FROM raw": "read = false",
    "SELECT PLACE AS v FROM raw": "case-sensitive",
    "SELECT Secret AS v FROM raw": "is not declared",
    "SELECT _unit AS v FROM raw": "is not declared",
    "SELECT _record AS v FROM raw": "is not declared",
    "SELECT raw._event AS v FROM raw": "is not declared",
    "SELECT rowid AS v FROM raw": "is not declared",
    "SELECT place FROM raw LEFT JOIN zones AS place ON place.code = place._unit": "unique column",
    "SELECT upper(place) FROM raw": "needs a name",
    "SELECT place AS Place FROM raw": "needs a name",
    "SELECT place AS _unit FROM raw": "needs a name",
    "SELECT place, category AS place FROM raw": "two columns",
    # statements
    "": "0 statements",
    "SELECT place FROM raw; SELECT place FROM raw": "2 statements",
    "SELECT place FROM raw; DROP TABLE zones": "2 statements",
    "SELECT place FROM raw /* ; */; -- \nPRAGMA database_list": "2 statements",
    "PRAGMA database_list": "one SELECT",
    "INSERT INTO zones VALUES ('a', 'b')": "one SELECT",
    "COPY raw TO 'file'": "one SELECT",
    "ATTACH 'file'": "one SELECT",
    "VALUES (1)": "one SELECT",
    "SELECT place FROM": "parsed",
    "SELECT 'place FROM raw": "parsed",
}

ACCEPTED = (
    "SELECT place FROM raw",
    "FROM raw SELECT place",
    "SELECT place FROM 'raw'",
    'SELECT "place" AS v FROM "raw" AS r -- FROM zones',
    "SELECT place /* , secret */ AS v FROM raw",
    "-- first\nSELECT place FROM raw;\n-- last\n",
    "SELECT z.zone FROM raw LEFT JOIN zones AS z ON z.code = raw.place",
    "SELECT z.zone FROM raw LEFT OUTER JOIN zones z ON raw.place = z.code WHERE z.zone IS NULL OR raw.amount > '3'",
    "SELECT n.word FROM raw LEFT JOIN zones ON zones.code = raw.place LEFT JOIN numbers n ON n.number = zones.zone",
    "SELECT numbers.word FROM raw LEFT JOIN numbers ON numbers.number = 5",
    "SELECT numbers.word FROM raw LEFT JOIN numbers ON numbers.number = TRY_CAST(raw.place AS INTEGER)",
    "SELECT numbers.word FROM raw LEFT JOIN numbers ON numbers.number = TRY_CAST(raw.amount AS DOUBLE) * 1e308 * 10",
    "SELECT word FROM raw LEFT JOIN numbers n ON TRY_CAST(raw.amount AS BIGINT) * 9223372036854775807 = n.number",
    "SELECT zones.zone FROM raw LEFT JOIN zones ON zones.code = date(raw.amount)",
    "SELECT TRY_CAST(amount AS BIGINT) * 9223372036854775807 AS v FROM raw",
    "SELECT TRY_CAST(sqrt(TRY_CAST(amount AS DOUBLE)) AS INTEGER) AS v, date(amount) AS day FROM raw",
    "SELECT place FROM raw WHERE TRY_CAST(amount AS BIGINT) * 9223372036854775807 % 7 <> 1",
    "SELECT amount FROM raw WHERE place",
    "SELECT CASE WHEN amount LIKE '%x%' THEN coalesce(place, 'none') ELSE upper(trim(category)) END AS v FROM raw",
    "SELECT regexp_replace(amount, '[$,]', '', 'g') AS v, split_part(place, ' ', 1) AS w FROM raw",
    "SELECT date_trunc('month', try_strptime(opened, '%Y-%m-%d')) AS v FROM raw",
    "SELECT date_diff('day', TRY_CAST(opened AS DATE), TRY_CAST(amount AS DATE)) AS v FROM raw",
    "SELECT place FROM raw WHERE category IN ('a', 'b') AND amount BETWEEN '0' AND '9'",
    "SELECT 'SELECT max(x); -- ' AS v FROM raw",
    "SELECT TRY_CAST(amount AS DECIMAL(18, 2)) AS v, TRY_CAST(amount AS NUMERIC(9)) AS w FROM raw",
    "SELECT TRY_CAST(amount AS DECIMAL) * TRY_CAST(amount AS DEC(4, 1)) AS v FROM raw",
    "SELECT TRY_CAST(amount AS VARCHAR(3)) AS v, TRY_CAST(opened AS TIMESTAMP(3)) AS w FROM raw",
    "SELECT TRY_CAST(amount AS HUGEINT) AS v, TRY_CAST(amount AS UTINYINT) AS w FROM raw WHERE TRY_CAST(id AS BOOL)",
    "SELECT TRY_CAST(opened AS DATE) + INTERVAL 30 DAY AS v, date(opened) - INTERVAL '2 weeks' AS w FROM raw",
    "SELECT place FROM raw WHERE amount IS NOT NULL AND NOT category IS NULL AND place NOTNULL",
    "SELECT extract(dow FROM TRY_CAST(opened AS DATE)) AS v FROM raw WHERE @1 < length(place) ** 2 AND place ^@ 'a'",
)

CALLS = {
    "abs": "abs({number})",
    "ceil": "ceil({number})",
    "ceiling": "ceiling({number})",
    "char_length": "char_length({word})",
    "character_length": "character_length({word})",
    "coalesce": "coalesce({nothing}, {word}, 'x')",
    "concat": "concat({word}, {nothing}, '!')",
    "concat_ws": "concat_ws('-', {word}, {nothing}, '!')",
    "contains": "contains({word}, 'a')",
    "date": "date(TRY_CAST({day} AS TIMESTAMP))",
    "date_add": "date_add(TRY_CAST({day} AS DATE), INTERVAL 1 MONTH)",
    "date_diff": "date_diff('week', TRY_CAST('2019-12-25' AS DATE), TRY_CAST({day} AS DATE))",
    "date_part": "date_part('isodow', TRY_CAST({day} AS DATE))",
    "date_trunc": "date_trunc('week', TRY_CAST({day} AS DATE))",
    "datediff": "datediff('quarter', TRY_CAST('2019-12-25' AS DATE), TRY_CAST({day} AS DATE))",
    "datepart": "datepart('Year', TRY_CAST({day} AS DATE))",
    "datetrunc": "datetrunc('MONTH', TRY_CAST({day} AS TIMESTAMP))",
    "day": "day(TRY_CAST({day} AS DATE))",
    "dayofweek": "dayofweek(TRY_CAST({day} AS DATE))",
    "ends_with": "ends_with({word}, 'a')",
    "floor": "floor({number})",
    "greatest": "greatest({word}, 'm', {nothing})",
    "hour": "hour(TRY_CAST({day} AS TIMESTAMP))",
    "if": "if({word} = 'abracadabra', 1, 2)",
    "ifnull": "ifnull({nothing}, {word})",
    "instr": "instr({word}, 'a')",
    "isfinite": "isfinite({number})",
    "isinf": "isinf({number})",
    "isnan": "isnan({number})",
    "lcase": "lcase({word})",
    "least": "least({word}, 'm', {nothing})",
    "left": "left({word}, -1)",
    "len": "len({word})",
    "length": "length({word})",
    "list_value": "list_value({word}, 'x')[1]",
    "ln": "ln(abs({number}) + 1)",
    "log": "log(2, abs({number}) + 1)",
    "log10": "log10(abs({number}) + 1)",
    "log2": "log2(abs({number}) + 1)",
    "lower": "lower({word})",
    "ltrim": "ltrim({word}, 'aA')",
    "mod": "mod({number}, 3)",
    "month": "month(TRY_CAST({day} AS DATE))",
    "nfc_normalize": "nfc_normalize({word})",
    "nullif": "nullif({word}, 'a')",
    "position": "position('a' IN {word})",
    "pow": "pow({number}, 2)",
    "power": "power({number}, 2)",
    "prefix": "prefix({word}, 'a')",
    "quarter": "quarter(TRY_CAST({day} AS DATE))",
    "regexp_extract": "regexp_extract({word}, '([a-z])(.)', 2, 'i')",
    "regexp_full_match": "regexp_full_match({word}, 'A.*', 'i')",
    "regexp_matches": "regexp_matches({word}, 'A', 'i')",
    "regexp_replace": "regexp_replace({word}, 'A', '<\\0>', 'gi')",
    "replace": "replace({word}, 'a', 'b')",
    "right": "right({word}, 2)",
    "round": "round({number}, -1)",
    "rtrim": "rtrim({word}, 'aA ')",
    "sign": "sign({number})",
    "split_part": "split_part({word}, 'a', -1)",
    "sqrt": "sqrt(abs({number}))",
    "starts_with": "starts_with({word}, 'a')",
    "strip_accents": "strip_accents({word})",
    "strpos": "strpos({word}, 'a')",
    "substr": "substr({word}, 2)",
    "substring": "substring({word} FROM 2 FOR 1)",
    "suffix": "suffix({word}, 'a')",
    "translate": "translate({word}, 'ab', 'xy')",
    "trim": "trim(BOTH 'a ' FROM {word})",
    "try": "try(TRY_CAST({number} AS TINYINT))",
    "try_strptime": "try_strptime({day}, ['%d.%m.%Y', '%Y-%m-%d %H:%M:%S'])",
    "ucase": "ucase({word})",
    "upper": "upper({word})",
    "week": "week(TRY_CAST({day} AS DATE))",
    "year": "year(TRY_CAST({day} AS DATE))",
}
"""An example of each function over the values below."""
GIVEN = [
    ("abracadabra", "2020-02-29 12:34:56", "-12.5"),
    ("ÀÉ a b", "2021-01-03 00:00:00", "7"),
    (" A ", "2019-12-30 23:59:59", "1e9"),
    ("", "not a day", "inf"),
    ("b", "1999-07-01 00:00:01", "nan"),
    (None, None, None),
]


def _town(town: Town, sql: str) -> Town:
    return replace(town, sql=sql, lookups=LOOKUPS)


@pytest.mark.parametrize(("sql", "reason"), REFUSED.items())
def test_refused(town: Town, sql: str, reason: str) -> None:
    """A statement that could look past its row, or read what is not declared, is refused with its file and reason."""
    with pytest.raises(DefinitionError, match=rf"^pipelines/town\.sql: .*({reason})"):
        guarded(_town(town, sql).source_file())


def test_no_refusal_speaks_of_the_parsers_own_classes(town: Town) -> None:
    """People read what they wrote, or plain words: never the name of a node."""
    own = {name for name in dir(exp) if re.search("[a-z][A-Z]", name)} | {"Uuid", "Var"}
    for sql in REFUSED:
        with pytest.raises(DefinitionError) as caught:
            guarded(_town(town, sql).source_file())
        assert not own.intersection(re.findall(r"\w+", str(caught.value))), str(caught.value)


def test_every_function_does_what_duckdb_does(town: Town) -> None:
    """Each function on the list gives, through the guard, the values that its text gives in DuckDB itself."""
    assert set(CALLS) == FUNCTIONS
    town.connection.execute("CREATE OR REPLACE TABLE given (word VARCHAR, day VARCHAR, amount VARCHAR)")
    town.connection.executemany("INSERT INTO given VALUES (?, ?, ?)", GIVEN)
    columns = {"word": "raw.place", "nothing": "nullif(raw.place, raw.place)", "day": "raw.opened"}
    columns["number"] = "TRY_CAST(raw.amount AS DOUBLE)"
    relation = (
        "(SELECT word AS place, day AS opened, amount, NULL::UUID AS _record, NULL::TIMESTAMP AS _event FROM given)"
    )
    for function, call in CALLS.items():
        written = call.format_map(columns)
        query = guarded(replace(town, sql=f"SELECT {written} AS v FROM raw").source_file())
        through, itself = (
            town.connection.execute(f"WITH raw AS {relation} SELECT v::VARCHAR FROM ({sql}) ORDER BY ALL").fetchall()
            for sql in (query.sql, f"SELECT {written} AS v FROM raw")
        )
        assert through == itself, function
        assert len({value for value in through if value is not None}) > 1, f"the example of {function} shows nothing"


@pytest.mark.parametrize(
    ("written", "other"),
    [
        ("date_trunc(place, TRY_CAST(opened AS DATE))", "date_trunc('day', TRY_CAST(opened AS DATE))"),
        ("strpos(place, 'a')", "strpos('a', place)"),
        ("length(place) / 2", "length(place) // 2"),
        ("place LIKE 'a!%' ESCAPE '!'", "place LIKE 'a!%'"),
        ("place IS NOT NULL", "place IS NULL"),
    ],
)
def test_a_statement_that_means_something_else_is_seen(written: str, other: str) -> None:
    """DuckDB's own reading of the text and of what would run are compared, in columns and in conditions."""
    tables = {"raw": ("place", "opened")}
    for template in ("SELECT {} AS v FROM raw", "SELECT place FROM raw WHERE {} IS NULL"):
        statements = [parsed(template.format(each))[0] for each in (written, other)]
        assert isinstance(statements[0], exp.Select)
        assert isinstance(statements[1], exp.Select)
        assert fault(template.format(written), statements[0], tables) is None
        assert "means something else to DuckDB" in str(fault(template.format(written), statements[1], tables))


@pytest.mark.parametrize("sql", ACCEPTED)
def test_accepted(town: Town, sql: str) -> None:
    """Row-level SQL passes, runs on records that fit nothing, and gives each raw row at most once."""
    assert _records(_town(town, sql)) <= {row[0] for row in ROWS}


def _records(town: Town, rows: Sequence[Row] = ROWS) -> set[int]:
    """Runs the guarded SELECT and its count of casts; every record comes at most once."""
    query, connection = guarded(town.source_file()), town.connection
    connection.execute("SET disabled_optimizers = 'common_subexpressions'")  # as the engine does
    town.load(rows)
    for name, lookup in LOOKUPS.items():
        values = ", ".join(f"('{key}', '{value}')" for key, value in lookup.rows)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name}({', '.join(lookup.columns)}) AS VALUES {values}")
    raw = "WITH raw AS (SELECT * FROM landed) "
    numbered = "(SELECT record, CAST(md5('r' || record) AS UUID) AS _record FROM range(10) t(record))"
    found = [
        row[0]
        for row in connection.execute(
            f"{raw} SELECT record FROM ({query.sql}) JOIN {numbered} USING (_record)"
        ).fetchall()
    ]
    for _, condition in query.casts:
        connection.execute(f"{raw} SELECT count(*) FILTER (WHERE {condition}){query.tail}").fetchall()
    assert len(found) == len(set(found)), "a raw row made two records"
    return set(found)


def test_a_lookup_called_raw_is_refused(town: Town) -> None:
    """A lookup named like the source's own relation would join the records to themselves."""
    hidden = {"raw": Lookup("raw", ("id", "place"), (("1", "a"),), "0" * 64)}
    with pytest.raises(DefinitionError, match="cannot be called raw"):
        guarded(
            replace(
                town, sql="SELECT l.place FROM raw LEFT JOIN raw AS l ON l.id = raw.who", lookups=hidden
            ).source_file()
        )


def test_bad_values_give_null_and_leave_the_others(town: Town) -> None:
    """Overflow in a column, a join or a condition makes that value NULL; no other row changes and nothing is raised."""
    sql = "SELECT TRY_CAST(amount AS BIGINT) * 9223372036854775807 AS v, place FROM raw"
    town.load([(1, 1, 0, "a", "b", "1"), (2, 2, 0, "b", "b", "2"), (3, 3, 0, "c", "b", "oops")])
    query = guarded(replace(town, sql=sql).source_file())
    rows = town.connection.execute(f"WITH raw AS (SELECT * FROM landed) SELECT v, place FROM ({query.sql})").fetchall()
    assert sorted(rows, key=lambda row: row[1]) == [(9223372036854775807, "a"), (None, "b"), (None, "c")]


def test_the_window_function_hidden_in_a_comment_is_gone(town: Town) -> None:
    """What runs is made from the parsed tree: comments do not reach the engine."""
    query = guarded(replace(town, sql="SELECT place /*+ hint */ FROM raw -- secret, _unit").source_file())
    assert "secret" not in query.sql
    assert "hint" not in query.sql


VALUES = st.sampled_from(
    ["raw.place", "raw.category", "amount", "TRY_CAST(amount AS INTEGER)", "TRY_CAST(raw.place AS DOUBLE)", "'a'", "5"]
)
EXPRESSIONS = st.recursive(
    VALUES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["lower", "trim", "sqrt", "length", "unnest", "max", "date", "random"]), inner).map(
            lambda pair: f"{pair[0]}({pair[1]})"
        ),
        st.tuples(inner, st.sampled_from([" = ", " || ", " + ", " OR ", " IN ", " < "]), inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"CASE WHEN {pair[0]} IS NULL THEN {pair[1]} END"),
        inner.map(lambda text: f"TRY_CAST({text} AS BIGINT) * 9223372036854775807"),
        inner.map(lambda text: f"({text})::VARCHAR"),
        inner.map(lambda text: f"(SELECT {text})"),
    ),
    max_leaves=4,
)
JOINS = st.lists(
    st.tuples(
        st.sampled_from(["LEFT JOIN", "LEFT JOIN", "JOIN", "CROSS JOIN", ",", "LEFT JOIN zones z JOIN"]),
        st.sampled_from(["zones", "numbers", "numbers AS zones", "numbers AS n(word, number)", "raw", "range(2)"]),
        st.sampled_from(["", " ON zones.code = ", " ON numbers.number = ", " ON zones.zone = ", " ON TRUE OR 1 = "]),
        EXPRESSIONS,
        st.sampled_from(["", "", " ON z.code = raw.place"]),
    ).map(lambda parts: f" {parts[0]} {parts[1]}{parts[2] + parts[3] if parts[2] else ''}{parts[4]}"),
    max_size=2,
).map("".join)


@settings(max_examples=250, deadline=None)
@given(column=EXPRESSIONS, joins=JOINS, where=st.one_of(st.just(""), EXPRESSIONS.map(lambda text: f" WHERE {text}")))
def test_whatever_passes_gives_one_record_a_row(town: Town, column: str, joins: str, where: str) -> None:
    """A statement put together at random is refused, or gives every raw row at most once; what it does is the same
    whatever the records hold: where it cannot run, it cannot run on none either."""
    built = _town(town, f"SELECT {column} AS v FROM raw{joins}{where}")
    try:
        assert _records(built) <= {row[0] for row in ROWS}
    except DefinitionError:
        pass
    except duckdb.Error:
        with pytest.raises(duckdb.Error):
            _records(built, [])
