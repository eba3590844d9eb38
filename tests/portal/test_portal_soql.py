"""SoQL: answers computed a second time in Python, and what must be refused."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from portal_process import blank

if TYPE_CHECKING:
    import requests
    from portal_process import Running

Cells = list[dict[str, Any]]


class Asker:
    """Asks the sample dataset."""

    def __init__(self, web: requests.Session, address: str) -> None:
        self.web = web
        self.address = address

    def answer(self, **clauses: str) -> requests.Response:
        """The response to `$`-parameters; a name with an underscore in front goes without the `$`."""
        named = {k[1:] if k.startswith("_") else f"${k}": v for k, v in clauses.items()}
        return self.web.get(self.address, params=named)

    def __call__(self, **clauses: str) -> list[dict[str, Any]]:
        """The rows of the answer."""
        answer = self.answer(**clauses)
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()
        return rows

    def one(self, expression: str, **clauses: str) -> Any:
        """The single value of an expression."""
        (row,) = self(select=f"{expression} as x", **({"limit": "1"} | clauses))
        return row.get("x")


@pytest.fixture(scope="module")
def ask(web: requests.Session, portal: Running, sample: str) -> Asker:
    """Questions to the sample dataset."""
    return Asker(web, f"{portal.address}/resource/{sample}.json")


def number(row: dict[str, Any]) -> Any:
    """The exact number of a cell, or None."""
    return None if row["requests"] is None else Decimal(row["requests"])


def test_sums_are_exact_decimals(ask: Asker, cells: Cells) -> None:
    """Grouped sums, counts, extremes and averages equal those computed apart."""
    groups: dict[str, list[Decimal]] = defaultdict(list)
    total: dict[str, int] = defaultdict(int)
    for row in cells:
        total[row["zone"]] += 1
        value = number(row)
        if value is not None:
            groups[row["zone"]].append(value)
    rows = ask(
        select="zone,sum(requests),count(*),count(requests),min(requests),max(requests),avg(requests)", group="zone"
    )
    assert {row["zone"] for row in rows} == set(groups)
    for row in rows:
        values = groups[row["zone"]]
        assert Decimal(row["sum_requests"]) == sum(values)
        assert row["sum_requests"] == format(sum(values, Decimal(0)).normalize(), "f")
        assert (int(row["count"]), int(row["count_requests"])) == (total[row["zone"]], len(values))
        assert (Decimal(row["min_requests"]), Decimal(row["max_requests"])) == (min(values), max(values))
        assert float(row["avg_requests"]) == pytest.approx(float(sum(values) / len(values)))


CONDITIONS: list[tuple[str, Any]] = [
    ("zone = 'Nord'", lambda r: r["zone"] == "Nord"),
    ('zone = "Nord"', lambda r: r["zone"] == "Nord"),
    ("zone != 'Nord' AND open", lambda r: r["zone"] != "Nord" and r["open"]),
    ("requests > 50", lambda r: number(r) is not None and number(r) > 50),
    ("requests > '50'", lambda r: number(r) is not None and number(r) > 50),
    ("requests is null", lambda r: r["requests"] is None),
    ("requests IS NOT NULL and not open", lambda r: r["requests"] is not None and not r["open"]),
    ("requests between 10 and 20.5", lambda r: number(r) is not None and 10 <= number(r) <= Decimal("20.5")),
    ("period in ('2024-W01', '2024-W05')", lambda r: r["period"] in ("2024-W01", "2024-W05")),
    ("period not in ('2024-W01')", lambda r: r["period"] != "2024-W01"),
    ("period like '2024-W1%'", lambda r: r["period"].startswith("2024-W1")),
    ("starts_with(zone, 'S') or contains(zone, '\"')", lambda r: r["zone"].startswith("S") or '"' in r["zone"]),
    ("lower(zone) = 'süd'", lambda r: r["zone"] == "Süd"),
    ("upper(zone) = 'NORD'", lambda r: r["zone"] == "Nord"),
    ("period_start >= '2024-05-01'", lambda r: r["period_start"] >= "2024-05-01"),
    (
        "period_start between '2024-02-01' and '2024-03-01T00:00:00'",
        lambda r: "2024-02-01" <= r["period_start"][:10] <= "2024-03-01",
    ),
    ("date_extract_m(period_start) = 3", lambda r: r["period_start"][5:7] == "03"),
    ("date_trunc_ym(period_start) = '2024-04-01'", lambda r: r["period_start"][:7] == "2024-04"),
    ("open = true", lambda r: r["open"]),
    ("case(open, 'a', true, 'b') = 'a'", lambda r: r["open"]),
    ("case when open then 1 else 2 end = 2", lambda r: not r["open"]),
    ("case when requests > 1000000 then null else 'ab' end like 'a%'", lambda _: True),
    ("coalesce(requests, 0) = 0", lambda r: (number(r) or 0) == 0),
    ("requests * 2 + 1 > 100 - 1", lambda r: number(r) is not None and number(r) * 2 + 1 > 99),
    (
        "within_box(place, 38.1, -90.05, 38.0, -89.95)",
        lambda r: abs(r["place"]["coordinates"][0] + 90) < 0.05 and r["place"]["coordinates"][1] <= 38.1 + 1e-9,
    ),
    ("within_circle(place, 38.0, -90.0, 1200)", lambda r: r["place"]["coordinates"] in ([-90.0, 38.0], [-90.0, 38.01])),
    ("NOT (zone = 'Nord' OR zone = 'Süd')", lambda r: r["zone"] not in ("Nord", "Süd")),
    ("zone || '-' || period = 'Nord-2024-W03'", lambda r: r["zone"] == "Nord" and r["period"] == "2024-W03"),
    ("zone = 'it''s' -- never\n or 1 = 2 /* nor here */", lambda _: False),
    ("requests / 0 > 1", lambda _: False),
    ("2 ^ 3 ^ 1 = 8 and 2 + 3 * 4 = 14 and 7 % 4 = 3", lambda _: True),
]


@pytest.mark.parametrize(("condition", "holds"), CONDITIONS, ids=[text for text, _ in CONDITIONS])
def test_conditions_choose_the_right_rows(ask: Asker, cells: Cells, condition: str, holds: Any) -> None:
    """A condition of SoQL chooses the rows that the same condition in Python chooses."""
    assert [row["id"] for row in ask(select="id", where=condition)] == [row["id"] for row in cells if holds(row)]


def test_bare_filters_are_joined_with_and(ask: Asker, cells: Cells) -> None:
    """`field=value` filters by equality, also on numbers and checkboxes."""
    expected = [row["id"] for row in cells if row["zone"] == "Süd" and row["open"]]
    assert [row["id"] for row in ask(_zone="Süd", _open="true")] == expected
    assert [row["id"] for row in ask(_requests="3.05")] == ["0-01"]


def test_search_words_must_all_occur(ask: Asker) -> None:
    """`$q` looks through text columns, whatever the case."""
    assert [row["id"] for row in ask(q="NORD 2024-w07")] == ["0-06"]


def test_nulls_last_ascending_and_first_descending(ask: Asker, cells: Cells) -> None:
    """Socrata's order of nulls, unless the query says otherwise."""
    suppressed = sum(row["requests"] is None for row in cells)
    up = ask(select="requests", order="requests")
    down = ask(select="requests", order="requests DESC")
    assert all("requests" not in row for row in up[-suppressed:])
    assert all("requests" not in row for row in down[:suppressed])
    last = ask(select="requests", order="requests desc nulls last")
    assert Decimal(last[0]["requests"]) == max(n for n in map(number, cells) if n is not None)
    values = [Decimal(row["requests"]) for row in up if "requests" in row]
    assert values == sorted(values)


def test_names_follow_from_expressions(ask: Asker) -> None:
    """Implicit aliases are Socrata's, and a collision gets a number."""
    fields = "count(*), count(:id), sum(requests), max(requests) - 1, sum(requests) as other, sum(requests)"
    (row,) = ask(select=fields)
    assert list(row) == ["count", "count_id", "sum_requests", "max_requests_1", "other", "sum_requests_1"]
    grouped = ask(select="date_trunc_ym(period_start), count(*)", group="date_trunc_ym(period_start)", limit="1")
    assert grouped == [{"date_trunc_ym_period_start": "2024-01-01T00:00:00.000", "count": "12"}]


def test_aliases_serve_in_group_having_and_order(ask: Asker) -> None:
    """A name given in $select may be used in the other clauses."""
    rows = ask(
        select="date_trunc_ym(period_start) as month, sum(requests) as total",
        group="month",
        having="total > 700",
        order="total desc",
    )
    assert rows == sorted(rows, key=lambda row: -Decimal(row["total"]))
    assert all(Decimal(row["total"]) > 700 for row in rows)
    assert rows


def test_whole_query_in_one_parameter(ask: Asker, cells: Cells) -> None:
    """`$query` holds every clause; LIMIT and OFFSET come in either order."""
    query = "SELECT id, `zone` WHERE zone = 'Nord' ORDER BY period DESC OFFSET 1 LIMIT 2"
    assert [row["id"] for row in ask(query=query)] == ["0-38", "0-37"]
    assert [row["zone"] for row in ask(query="select distinct zone order by zone")] == sorted(
        {r["zone"] for r in cells}
    )
    assert ask(query="select count(distinct zone) as n") == [{"n": "3"}]


def test_system_columns(ask: Asker) -> None:
    """`:*` gives all of them, `*` none."""
    (row,) = ask(select=":*, *", limit="1", _id="0-01")
    assert list(row)[:3] == [":id", ":created_at", ":updated_at"]
    assert ask(limit="1", _id="0-01")[0].keys() == row.keys() - {":id", ":created_at", ":updated_at"}


def test_constants_group_and_order_nothing(ask: Asker) -> None:
    """A constant in GROUP BY makes one group; in ORDER BY it changes nothing."""
    assert ask(select="'all' as k, count(*)", group="'all'") == [{"k": "all", "count": "120"}]
    assert ask(select="null as k, count(*)", group="k, zone", order="'x', 1, zone", limit="1")[0]["count"] == "40"
    assert [row["id"] for row in ask(select="id", order="null || null", limit="2")] == ["0-00", "0-01"]


def test_numbers_keep_their_digits(ask: Asker) -> None:
    """What binary floating point cannot hold comes back whole."""
    assert ask.one("0.1 + 0.2") == "0.3"
    assert ask.one("12345678901234567890.123 + 1") == "12345678901234567891.123"
    assert ask.one("round(2.675, 2)") == "2.68"
    assert ask.one("10 / 4") == "2.5"


REFUSED = [
    "SELECT * FROM rows",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT read_text('/etc/passwd')",
    "SELECT * WHERE id IN (SELECT id FROM rows)",
    "SELECT (SELECT 1)",
    "SELECT id UNION SELECT 1",
    "SELECT id; DROP TABLE rows",
    "SELECT id; SELECT 1",
    "WITH a AS (SELECT 1) SELECT * FROM a",
    "ATTACH 'x.db'",
    "COPY rows TO '/tmp/x'",
    "PRAGMA database_list",
    "SET memory_limit = '1TB'",
    "INSTALL httpfs",
    "SELECT current_setting('memory_limit')",
    "SELECT getenv('HOME')",
    "SELECT * FROM pg_catalog.pg_tables",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM information_schema.tables",
    "SELECT rows.id",
    'SELECT "rows"."id" FROM rows',
    "SELECT `:place`",
    "SELECT file_row_number",
    "SELECT id::json",
    "SELECT [id]",
    "SELECT {'a': id}",
    "SELECT id ORDER BY id LIMIT 1 + 1",
    "SELECT id LIMIT -1",
    "SELECT id LIMIT 99999999999999999999",
    "SELECT sum(sum(requests))",
    'SELECT id AS `a b"c`',
    "SELECT $v0",
    "SELECT ?",
    "SELECT @x",
    "SELECT id WHERE 1",
    "SELECT id WHERE place = 'POINT (0 0)'",
    "SELECT id GROUP BY ROLLUP(id)",
    "SELECT id QUALIFY 1 = 1",
    "SELECT id WHERE id LIKE 'a' ESCAPE 'b'",
    "SELECT lower(id, id)",
    "SELECT query('select 1')",
    "SELECT x'00'",
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "SELECT " + "not " * 4000 + "open",
    "SELECT " + " + ".join(["1"] * 4000),
    "",
]


@pytest.mark.parametrize("query", REFUSED, ids=[text[:40] for text in REFUSED])
def test_everything_else_is_refused(ask: Asker, query: str) -> None:
    """Files, settings, other tables, other statements: a SODA error, and nothing of DuckDB in it."""
    answer = ask.answer(query=query or ";")
    assert answer.status_code == 400, answer.text[:300]
    assert_soda_error(answer)


def assert_soda_error(answer: requests.Response) -> None:
    """The error has a code and message of ours."""
    body = answer.json()
    assert (body.get("code") or body.get("errorCode", "")).startswith(("query.", "invalid_")), body
    for word in ("duckdb", "Binder", "Catalog Error", "Parser Error", "read_parquet", "Traceback", ".parquet"):
        ours = body["message"].replace(body.get("data", {}).get("query", "\0"), "").partition(", but got ")[0]
        assert word not in ours


def test_one_clause_cannot_hold_another(ask: Asker) -> None:
    """A parameter that brings its own LIMIT, WHERE or semicolon is refused."""
    for clauses in (
        {"where": "1 = 1 LIMIT 3"},
        {"where": "1 = 1; DROP TABLE rows"},
        {"select": "id WHERE 1 = 1"},
        {"order": "id LIMIT 3"},
        {"limit": "1 OFFSET 3"},
        {"group": "id HAVING 1 = 1"},
        {"query": "SELECT id", "where": "open"},
    ):
        answer = ask.answer(**clauses)
        assert answer.status_code == 400, clauses
        assert_soda_error(answer)


def test_a_query_that_takes_too_long_is_stopped(portal: Running) -> None:
    """The engine interrupts a query, and answers with an error of its own."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from publisher.portal.base.problems import SodaError
    from publisher.portal.base.watch import Deadline
    from publisher.portal.engine import engine
    from publisher.portal.soql.compiler import Compiled
    from publisher.portal.store import versions

    dataset = blank("aaaa-aaaa")
    slow = Compiled("SELECT sum(a.i * b.i) AS n FROM range(10000000) a(i), range(10000000) b(i)", {}, ())
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        versions.create(Path(folder) / "x", ())
        files = tuple((Path(folder) / "x").glob("*.parquet"))
        patch.setattr(engine, "Deadline", lambda: Deadline(0.2))
        with pytest.raises(SodaError) as caught:
            engine.QueryEngine().stream((engine.DatasetRows(dataset, files),), slow, "q.n::VARCHAR")
    assert caught.value.body["errorCode"] == "query.execution.timeout"


def test_the_room_of_a_query_has_no_door(tmp_path: Any) -> None:
    """Even SQL that the compiler would never write reaches no file, setting or extension."""
    import duckdb

    from publisher.portal.engine import engine
    from publisher.portal.store import versions

    dataset = blank("aaaa-aaaa")
    versions.create(tmp_path / "x", ())
    versions.create(tmp_path / "other", ())
    (file,) = (tmp_path / "x").glob("*.parquet")
    (other,) = (tmp_path / "other").glob("*.parquet")
    connection = engine._open_database((engine.DatasetRows(dataset, (file,)),))
    assert connection.execute("SELECT count(*) FROM rows").fetchone() == (0,)
    for statement in (
        "SELECT * FROM read_csv('/etc/passwd')",
        f"SELECT * FROM read_parquet('{other}')",
        "SELECT * FROM glob('/*')",
        "SET memory_limit = '100GB'",
        "SET enable_external_access = true",
        "ATTACH 'x.db'",
        "LOAD httpfs",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        f"COPY (SELECT 1) TO '{file}'",
    ):
        with pytest.raises(duckdb.Error):
            connection.execute(statement)
    connection.close()


NAMES = st.sampled_from(
    [
        "id",
        "period",
        "period_start",
        "zone",
        "requests",
        "open",
        "place",
        ":id",
        ":updated_at",
        "`zone`",
        "nope",
        "*",
        ":*",
    ]
)
LITERALS = st.sampled_from(
    [
        "'a'",
        '"Nord"',
        "1",
        "2.5",
        "1e3",
        "true",
        "null",
        "'2024-03-01'",
        "''",
        "'POINT (0 0)'",
        "99999999999999999999999999999999999999",
        "1e300",
        "-1",
        "0",
    ]
)
CALLS = st.sampled_from(
    [
        "sum",
        "avg",
        "count",
        "max",
        "lower",
        "upper",
        "length",
        "abs",
        "round",
        "date_trunc_ym",
        "date_extract_y",
        "coalesce",
        "case",
        "iif",
        "contains",
        "within_box",
        "within_circle",
        "greatest",
        "nullif",
        "median",
        "nonsense",
        "pg_sleep",
        "ln",
        "replace",
    ]
)
SIGNS = st.sampled_from(
    ["+", "-", "*", "/", "%", "^", "||", "=", "==", "<>", "<", ">=", "and", "or", "like", "is", "in", "->", "::"]
)


def expressions(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Larger expressions from smaller ones, well-formed more often than not."""
    return st.one_of(
        st.tuples(parts, SIGNS, parts).map(" ".join),
        st.tuples(CALLS, st.lists(parts, max_size=4)).map(lambda call: f"{call[0]}({', '.join(call[1])})"),
        parts.map(lambda part: f"({part})"),
        st.tuples(parts, parts, parts).map(lambda p: f"{p[0]} between {p[1]} and {p[2]}"),
        st.tuples(parts, st.lists(parts, min_size=1, max_size=3)).map(lambda p: f"{p[0]} in ({', '.join(p[1])})"),
        parts.map(lambda part: f"{part} is not null"),
        st.tuples(parts, parts).map(lambda p: f"case when {p[0]} then {p[1]} end"),
    )


TEXTS = st.recursive(
    st.sampled_from(["id", "period", "`zone`", "'Nord'", '"a b"', "null"]),
    lambda t: st.one_of(
        st.tuples(st.sampled_from(["lower", "upper", "trim", "unaccent"]), t).map(lambda p: f"{p[0]}({p[1]})"),
        st.tuples(t, t).map(" || ".join),
        st.tuples(t, t).map(lambda p: f"coalesce({p[0]}, {p[1]})"),
        st.tuples(t, t, t).map(lambda p: f"replace({', '.join(p)})"),
    ),
    max_leaves=3,
)
NUMBERS = st.recursive(
    st.one_of(
        st.sampled_from(["requests", "1", "2.5", "-0.001", "'7'", "null", "date_extract_m(period_start)"]),
        TEXTS.map(lambda t: f"length({t})"),
    ),
    lambda n: st.one_of(
        st.tuples(n, st.sampled_from(["+", "-", "*", "/", "%", "^"]), n).map(" ".join),
        st.tuples(st.sampled_from(["abs", "floor", "ceil", "round", "ln"]), n).map(lambda p: f"{p[0]}({p[1]})"),
        st.tuples(n, n).map(lambda p: f"greatest({p[0]}, {p[1]})"),
        n.map(lambda part: f"({part})"),
    ),
    max_leaves=4,
)
TRUTHS = st.recursive(
    st.one_of(
        st.sampled_from(["open", "true", "requests is null", "period_start > '2024-03-01'"]),
        st.tuples(NUMBERS, st.sampled_from(["=", "<", ">=", "!="]), NUMBERS).map(" ".join),
        st.tuples(TEXTS, TEXTS).map(lambda p: f"contains({p[0]}, {p[1]})"),
        st.tuples(NUMBERS, NUMBERS, NUMBERS).map(lambda p: f"{p[0]} between {p[1]} and {p[2]}"),
    ),
    lambda b: st.one_of(st.tuples(b, st.sampled_from(["and", "or"]), b).map(" ".join), b.map("not ({})".format)),
    max_leaves=3,
)
VALUES = st.one_of(NUMBERS, TEXTS, TRUTHS, st.tuples(TRUTHS, NUMBERS).map(lambda p: f"case({p[0]}, {p[1]})"))
TOTALS = st.tuples(st.sampled_from(["sum", "avg", "min", "max", "count", "median"]), NUMBERS).map(
    lambda p: f"{p[0]}({p[1]})"
)
SOUND = st.one_of(
    st.fixed_dictionaries(
        {"select": st.lists(VALUES, min_size=1, max_size=3).map(", ".join)},
        optional={"where": TRUTHS, "order": VALUES, "limit": st.just("5")},
    ),
    TEXTS.flatmap(
        lambda key: st.fixed_dictionaries(
            {"select": TOTALS.map(lambda total: f"{key} as k, {total}"), "group": st.just(key)},
            optional={"where": TRUTHS, "order": TOTALS, "having": TOTALS.map(lambda total: f"{total} > 3")},
        )
    ),
)
EXPRESSIONS = st.recursive(st.one_of(NAMES, LITERALS), expressions, max_leaves=6)
QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "select": st.lists(EXPRESSIONS, min_size=1, max_size=3).map(", ".join),
        "where": EXPRESSIONS,
        "group": EXPRESSIONS,
        "having": EXPRESSIONS,
        "order": st.tuples(EXPRESSIONS, st.sampled_from(["", " desc", " asc nulls first"])).map("".join),
        "limit": st.sampled_from(["0", "3", "x", "1.5"]),
        "offset": st.sampled_from(["0", "2", "-1"]),
        "q": st.text(max_size=10),
    },
)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(clauses=st.one_of(SOUND, QUERIES))
def test_generated_queries_never_break_it(ask: Asker, clauses: dict[str, str]) -> None:
    """Whatever is asked, sense or nonsense, the answer is rows or a SODA error."""
    answer = ask.answer(**clauses)
    assert answer.status_code in (200, 400), (clauses, answer.text)
    answer.json() if answer.status_code == 200 else assert_soda_error(answer)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(text=st.one_of(st.text(max_size=60), st.text("sSelECT*():'\"`,.;=<>|^-/ whereid0123$@{}[]\n", max_size=60)))
def test_arbitrary_text_never_breaks_it(ask: Asker, text: str) -> None:
    """Text that is no query is refused in the same shape."""
    answer = ask.answer(query=text)
    assert answer.status_code in (200, 400), (text, answer.text)
    answer.json() if answer.status_code == 200 else assert_soda_error(answer)
