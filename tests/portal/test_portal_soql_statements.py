"""SoQL's statements: pipelines, joins, sets, windows, names, errors with their place, and limits."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections import Counter, defaultdict
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from portal_process import blank
from test_portal_soql import Asker

from publisher.portal.base.kinds import Kind
from publisher.portal.base.model import PortalColumn
from publisher.portal.base.problems import SodaError
from publisher.portal.soql.compiler import SoqlQuestion, compile_question

if TYPE_CHECKING:
    import requests
    from portal_process import Running

Cells = list[dict[str, Any]]

WARDS = [
    {"zone": "Nord", "ward": "1", "weight": "2"},
    {"zone": "Süd", "ward": "2", "weight": "3"},
    {"zone": "Süd", "ward": "3", "weight": "4"},
    {"zone": "Mitte", "ward": "4", "weight": "5"},
]


@pytest.fixture(scope="module")
def ask(web: requests.Session, portal: Running, sample: str) -> Asker:
    """Questions to the sample dataset."""
    return Asker(web, f"{portal.address}/resource/{sample}.json")


@pytest.fixture(scope="module")
def wards(portal: Running) -> str:
    """The 4x4 of a public dataset that shares the column `zone`."""
    columns = [
        {"fieldName": name, "name": name, "dataTypeName": kind}
        for name, kind in (("zone", "text"), ("ward", "text"), ("weight", "number"))
    ]
    with portal.client() as client:
        identifier = client.create("Wards", columns=columns)["id"]
        client.upsert(identifier, WARDS)
        client.publish(identifier)
        client.set_permission(identifier, "public")
    return str(identifier)


@pytest.fixture(scope="module")
def private(portal: Running) -> str:
    """The 4x4 of a dataset that is not public."""
    with portal.client() as client:
        identifier: str = client.create("Secret", columns=[{"fieldName": "a", "name": "a", "dataTypeName": "text"}])[
            "id"
        ]
        client.publish(identifier)
    return identifier


def refused(ask: Asker, query: str) -> dict[str, Any]:
    """The body of a refusal."""
    answer = ask.answer(query=query)
    assert answer.status_code in (400, 404), (query, answer.text)
    body: dict[str, Any] = answer.json()
    return body


def test_a_stage_sees_the_columns_of_the_one_before(ask: Asker, cells: Cells) -> None:
    """Group, then filter and group again; `*` is what came out, and nothing else is there."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for row in cells:
        totals[row["zone"]] += Decimal(row["requests"] or 0)
    query = "SELECT zone, sum(requests) AS total GROUP BY zone |> SELECT *, total * 2 AS twice WHERE total > 2027 "
    expected = {zone: total for zone, total in totals.items() if total > 2027}
    assert 0 < len(expected) < 3
    rows = ask(query=query)
    assert {row["zone"]: Decimal(row["total"]) for row in rows} == expected
    assert {row["zone"]: Decimal(row["twice"]) for row in rows} == {zone: 2 * n for zone, n in expected.items()}
    assert ask(query=query + "|> SELECT count(*) AS n") == [{"n": str(len(expected))}]
    assert refused(ask, "SELECT zone |> SELECT id")["errorCode"] == "query.soql.no-such-column"


def test_an_earlier_order_counts_with_its_limit(ask: Asker, cells: Cells) -> None:
    """The three largest, in their order, and no default limit in between."""
    largest = sorted((r for r in cells if r["requests"]), key=lambda r: -Decimal(r["requests"]))[:3]
    rows = ask(query="SELECT id, requests ORDER BY requests DESC NULL LAST LIMIT 3 |> SELECT id")
    assert [row["id"] for row in rows] == [row["id"] for row in largest]
    many = "SELECT a.id FROM @this AS a |> SELECT *"
    assert len(ask(query=many)) == 120
    cross = "SELECT id JOIN @{} AS b ON true |> SELECT count(*) AS n".format(ask.address.split("/")[-1][:9])
    assert ask(query=cross) == [{"n": str(120 * 120)}]


def test_an_order_survives_until_rows_are_grouped(ask: Asker, cells: Cells, wards: str) -> None:
    """The five largest, also after a group, a window and a join; the order of the last statement comes first."""
    largest = [r["id"] for r in sorted((r for r in cells if r["requests"]), key=lambda r: -Decimal(r["requests"]))[:5]]
    ordered = "SELECT id, zone, requests WHERE requests IS NOT NULL ORDER BY requests DESC |> "
    for later in (
        "SELECT id LIMIT 5",
        "SELECT id, zone |> SELECT id LIMIT 5",
        "SELECT id, row_number() OVER (ORDER BY id) AS n |> SELECT id LIMIT 5",
        f"SELECT id LEFT OUTER JOIN @{wards} AS b ON zone = @b.zone AND @b.ward = '1' |> SELECT id LIMIT 5",
    ):
        assert [row["id"] for row in ask(query=ordered + later)] == largest, later
    sums = "SELECT zone, sum(requests) AS s GROUP BY zone ORDER BY s DESC |> SELECT zone, s"
    told = [Decimal(row["s"]) for row in ask(query=sums)]
    assert told == sorted(told, reverse=True)
    assert ask(query=ordered + "SELECT id ORDER BY id LIMIT 1") == [
        {"id": min(r["id"] for r in cells if r["requests"])}
    ]


def test_distinct_on_keeps_the_first_of_each(ask: Asker, cells: Cells) -> None:
    """The row with the most requests of each zone, in the order asked for."""
    rows = ask(query="SELECT DISTINCT ON (zone) zone, id ORDER BY zone, requests DESC NULL LAST")
    zones = sorted({row["zone"] for row in cells})
    most = [
        max((r for r in cells if r["zone"] == z and r["requests"]), key=lambda r: Decimal(r["requests"])) for z in zones
    ]
    assert rows == [{"zone": row["zone"], "id": row["id"]} for row in most]


def test_names_that_nobody_gave(ask: Asker) -> None:
    """As Socrata names them; a column and an alias of one name are refused, never renamed."""
    (row,) = ask(query="SELECT place.latitude, case when open then 1 else 2 end, :version LIMIT 1")
    assert list(row) == ["place_latitude", "case_when_open_then_1_else_2_end", ":version"]
    assert re.fullmatch(r"rv-[0-9a-f]{4}\.[0-9a-f]{4}~[0-9a-f]{4}", row[":version"])
    for query in ("SELECT zone AS open, open", "SELECT zone, zone", "SELECT *, upper(zone) AS zone"):
        assert refused(ask, query)["errorCode"] == "query.soql.duplicate-alias"


def test_groups_alone_are_counted(ask: Asker, cells: Cells) -> None:
    """`$group` without `$select` gives the groups and how many rows are in each."""
    counted = Counter(row["zone"] for row in cells)
    assert ask(group="zone", order="zone") == [{"zone": z, "count": str(n)} for z, n in sorted(counted.items())]


def test_window_functions_take_expressions(ask: Asker) -> None:
    """How far `lag` looks back and how many parts `ntile` makes may be computed."""
    rows = ask(query="SELECT id, lag(id, 1 + 1) OVER (ORDER BY id) AS before, ntile(2 * 2) OVER (ORDER BY id) AS part")
    assert [row.get("before") for row in rows] == [None, None, *(row["id"] for row in rows[:-2])]
    assert Counter(row["part"] for row in rows) == dict.fromkeys("1234", 30)
    assert all("part" not in row for row in ask(query="SELECT ntile(0 - 1) OVER (ORDER BY id) AS part"))


def test_joins(ask: Asker, cells: Cells, wards: str) -> None:
    """Inner, left, right and full: as many rows as a join in Python has, and columns of both sides."""
    count = Counter(row["zone"] for row in cells)
    both = sum(count[ward["zone"]] for ward in WARDS)
    alone = sum(n for zone, n in count.items() if zone not in {ward["zone"] for ward in WARDS})
    unmatched = sum(ward["zone"] not in count for ward in WARDS)
    on = f"JOIN @{wards} AS b ON zone = @b.zone |> SELECT count(*) AS n"
    for side, rows in (
        ("", both),
        ("INNER", both),
        ("LEFT OUTER", both + alone),
        ("RIGHT", both + unmatched),
        ("FULL OUTER", both + alone + unmatched),
    ):
        assert ask(query=f"SELECT id {side} {on}") == [{"n": str(rows)}], side
    rows = ask(
        query=f"SELECT a.id, b.ward, @b.:id AS other FROM @this AS a JOIN @{wards} AS b ON a.zone = @b.zone"
        " AND @b.weight > 3 WHERE id = '1-00'"
    )
    assert [(row["id"], row["ward"]) for row in rows] == [("1-00", "3")]
    assert rows[0]["other"].startswith("row-")
    grouped = ask(
        query="SELECT zone, @w.total JOIN (SELECT zone, sum(weight) AS total FROM"
        f" @{wards} GROUP BY zone) AS w ON zone = @w.zone WHERE starts_with(id, '1-0') LIMIT 1"
    )
    assert grouped == [{"zone": "Süd", "total": "7"}]
    lateral = f"SELECT id, @w.n FROM @this AS a JOIN LATERAL (SELECT count(*) AS n FROM @{wards} AS s WHERE @s.zone"
    assert ask(query=lateral + " = @a.zone) AS w ON true WHERE id = '1-00'") == [{"id": "1-00", "n": "2"}]
    stars = ask(query=f"SELECT @b.*, id JOIN @{wards} AS b ON zone = @b.zone LIMIT 1")
    assert list(stars[0]) == ["zone", "ward", "weight", "id"]


def test_pages_of_a_join_never_overlap(ask: Asker, wards: str) -> None:
    """Every row once, whatever the page."""
    query = f"SELECT id, @b.ward JOIN @{wards} AS b ON zone = @b.zone"
    pages = [ask(query=f"{query} LIMIT 50 OFFSET {start}") for start in (0, 50, 100)]
    pairs = [(row["id"], row["ward"]) for page in pages for row in page]
    assert len(pairs) == len(set(pairs)) == 120
    assert [row["id"] for row in pages[0]] == sorted(row["id"] for row in pages[0])


def test_sets(ask: Asker, cells: Cells, wards: str) -> None:
    """UNION, INTERSECT and MINUS of what two datasets hold; ALL keeps what is there twice."""
    ours, theirs = {row["zone"] for row in cells}, {ward["zone"] for ward in WARDS}
    for word, zones in (("UNION", ours | theirs), ("INTERSECT", ours & theirs), ("MINUS", ours - theirs)):
        rows = ask(query=f"SELECT zone {word} SELECT zone FROM @{wards}")
        assert [row["zone"] for row in rows] == sorted(zones)
    every = f"SELECT zone UNION ALL SELECT zone FROM @{wards} |> SELECT count(*) AS n"
    assert ask(query=every) == [{"n": str(120 + len(WARDS))}]


def test_windows(ask: Asker, cells: Cells) -> None:
    """Numbering, ranks, neighbors and running sums within each zone, as Python has them."""
    rows = ask(
        query="SELECT id, zone, requests, row_number() OVER (PARTITION BY zone ORDER BY id) AS place,"
        " lag(id) OVER (PARTITION BY zone ORDER BY id) AS before, lead(id, 2, 'none') OVER (PARTITION BY zone"
        " ORDER BY id) AS later, ntile(4) OVER (PARTITION BY zone ORDER BY id) AS quarter, first_value(id) OVER"
        " (PARTITION BY zone ORDER BY id) AS first, last_value(id) OVER (PARTITION BY zone) AS last,"
        " sum(requests) OVER (PARTITION BY zone ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS pair,"
        " count(*) OVER (PARTITION BY zone) AS n, rank() OVER (ORDER BY zone) AS r, dense_rank() OVER (ORDER BY zone)"
        " AS d ORDER BY id"
    )
    for zone, group in itertools.groupby(rows, key=lambda row: row["zone"]):
        members = list(group)
        names = [row["id"] for row in members]
        values = [Decimal(row["requests"]) if "requests" in row else None for row in members]
        assert [row["place"] for row in members] == [str(i + 1) for i in range(40)], zone
        assert [row.get("before") for row in members] == [None, *names[:-1]]
        assert [row["later"] for row in members] == [*names[2:], "none", "none"]
        assert [row["quarter"] for row in members] == [str(i // 10 + 1) for i in range(40)]
        assert {(row["first"], row["last"], row["n"]) for row in members} == {(names[0], names[-1], "40")}
        for i, row in enumerate(members):
            known = [value for value in values[max(0, i - 1) : i + 1] if value is not None]
            assert Decimal(row["pair"]) == sum(known) if known else "pair" not in row
    assert {(row["zone"], row["r"], row["d"]) for row in rows} == {
        (zone, str(40 * i + 1), str(i + 1)) for i, zone in enumerate(sorted({r["zone"] for r in cells}))
    }
    top = "SELECT zone, rank() OVER (ORDER BY sum(requests) DESC) AS r GROUP BY zone |> SELECT zone WHERE r = 1"
    assert len(ask(query=top)) == 1


def test_names_and_stars(ask: Asker) -> None:
    """Socrata's implicit names, EXCEPT, aliases of aliases and of columns."""
    fields = "count(:id), requests is null, 1 + requests, avg(requests) over (partition by zone), id in ('a')"
    (row,) = ask(select="count(:id), count(distinct zone), max(id) || 'x'")
    assert list(row) == ["count_id", "count_distinct_zone", "max_id_x"]
    answer = ask.answer(select=fields.split(", ", 1)[1])
    assert answer.headers["X-SODA2-Fields"] == (
        '["requests_is_null", "_1_requests", "avg_requests_over_partition_by_zone", "in_id_a"]'
    )
    assert list(ask(select="*(except place, open), :*(except :id)", limit="1", _id="0-01")[0]) == [
        *("id", "period", "period_start", "zone", "requests", "requests_status", ":created_at", ":updated_at")
    ]
    assert ask(select="zone as z, length(z) as n, n + 1 as m", limit="1") == [{"z": "Nord", "n": "4", "m": "5"}]
    assert len(ask(select="zone as z, count(*)", group="z", order="z")) == 3


ERRORS = [
    ("SELECT nope", "no-such-column", (1, 8)),
    ("SELECT id\n WHERE zone = 'x' AND nope > 1", "no-such-column", (2, 23)),
    ("SELECT id, sqrt(4)", "no-such-function", (1, 12)),
    ("SELECT id WHERE zone = 5", "type-mismatch", (1, 24)),
    ("SELECT id WHERE requests = 'many'", "type-mismatch", (1, 28)),
    ("SELECT requests::point", "type-mismatch", (1, 8)),
    ("SELECT id WHERE requests > 1\n  AND (length(zone) + 1) > period", "type-mismatch", (2, 28)),
    ("SELECT id, upper(2 * requests - 1)", "type-mismatch", (1, 18)),
    ("SELECT id, lower(CASE WHEN open THEN 1 END)", "type-mismatch", (1, 18)),
    ("SELECT sum(count(*) OVER (PARTITION BY zone) || 'x')", "type-mismatch", (1, 12)),
    ("SELECT id WHERE NOT zone", "type-mismatch", (1, 21)),
    ("SELECT id WHERE open AND -requests", "type-mismatch", (1, 26)),
    ("SELECT id WHERE requests IN (1, 'b', 2)", "type-mismatch", (1, 33)),
    (f"SELECT id WHERE zone IN ({', '.join(map(str, range(200)))})", "type-mismatch", (1, 25)),
    ("SELECT id WHERE requests BETWEEN 1 AND zone", "type-mismatch", (1, 40)),
    ("SELECT id WHERE place = place", "type-mismatch", (1, 17)),
    (f"SELECT 1, 1{'0' * 40}", "type-mismatch", (1, 11)),
    ("SELECT period_start + 'P1X'", "type-mismatch", (1, 23)),
    ("SELECT date_add(period_start, 1)", "type-mismatch", (1, 31)),
    ("SELECT requests AS n |> SELECT n + 1 AS m |> SELECT lower(m)", "type-mismatch", (1, 59)),
    ("SELECT id::json", "no-such-function", (1, 12)),
    ("SELECT zone GROUP BY id", "column-not-in-group-bys", None),
    ("SELECT zone, count(*)", "column-not-in-group-bys", None),
    ("SELECT id WHERE sum(requests) > 1", "aggregate-in-ungrouped-context", None),
    ("SELECT count(*) GROUP BY max(id)", "aggregate-in-ungrouped-context", None),
    ("SELECT id AS a, zone AS a", "duplicate-alias", (1, 17)),
    ("SELECT x AS y, y AS x", "circular-alias-definition", None),
    ("SELECT *(except id, id)", "repeated-exception", None),
    ("SELECT id WHERE zone", "non-boolean-where", None),
    ("SELECT count(*) HAVING count(*)", "non-boolean-having", None),
    ("SELECT id WHERE row_number() OVER () = 1", "window-function-not-allowed", None),
    ("SELECT count(*) GROUP BY rank() OVER ()", "window-function-not-allowed", None),
    ("SELECT sum(rank() OVER ())", "window-function-not-allowed", None),
    ("SELECT rank()", "requires-window", None),
    ("SELECT lower(id) OVER ()", "non-window-function", None),
    ("SELECT lower(id) FILTER (WHERE open)", "non-aggregate", None),
    ("SELECT count(distinct id) OVER ()", "distinct-with-over", None),
    ("SELECT @b.id", "no-such-table", None),
    ("SELECT id JOIN @this AS b ON true", "illegal-this-reference", None),
    ("SELECT id JOIN @{wards} AS b ON true JOIN @{wards} AS b ON true", "table-alias-already-exists", None),
    ("SELECT ward FROM @{wards}", "from-forbidden", None),
    ("SELECT id JOIN (SELECT zone) AS b ON true", "from-required", None),
    ("SELECT id, zone UNION SELECT zone FROM @{wards}", "two-selects-number-of-columns-mismatch", None),
    ("SELECT id UNION SELECT weight FROM @{wards}", "two-selects-column-types-mismatch", None),
    ("SELECT id |> (SELECT id UNION SELECT id)", "right-side-of-chain-query-must-be-leaf", None),
    ("SELECT " + " || ".join(["id"] * 190), "text-too-long", None),
]


@pytest.mark.parametrize(
    ("query", "code", "place"), ERRORS, ids=[f"{code}-{n}" for n, (_, code, _) in enumerate(ERRORS)]
)
def test_errors(ask: Asker, wards: str, query: str, code: str, place: tuple[int, int] | None) -> None:
    """Each fault has Socrata's code and, where one name is at fault, its line and character."""
    body = refused(ask, query.replace("{wards}", wards))
    assert body["errorCode"] == f"query.soql.{code}", body
    assert code in body["message"]
    if place is not None:
        position = body["data"]["position"]
        assert (position["row"], position["column"]) == place
        shown = query.split("\n")[place[0] - 1]
        assert position["line"] == f"{shown}\n{' ' * (place[1] - 1)}^"
        assert body["message"].endswith(f"; position: Map(row -> {place[0]}, column -> {place[1]}, line -> "
                                        f"{json.dumps(position['line'])})")  # fmt: skip


MALFORMED = [
    ("SELECT", 1, 7),
    ("SELECT id WHERE", 1, 16),
    ("SELECT id\nWHERE zone = 'x' GROUP", 2, 18),
    ("SELECT id WHERE zone = 'x", 1, 24),
    ("SELECT id LIMIT x", 1, 17),
    ("SELECT id\n/* no end /* at all", 2, 1),
    ("SELECT 1" + "/* " * 1_000, 1, 9),
    ("SELECT id WHERE open NOT", 1, 25),
    ("SELECT id FROM @this", 1, 21),
    ("SELECT id WHERE on = 1", 1, 17),
    ("SELECT id; SELECT 1", 1, 10),
    ("SELECT " + "- " * 40 + "1", 1, 70),
    ("SELECT id" + " |> SELECT id" * 12, 1, 157),
    ("SELECT id" + "".join(f" JOIN @aaaa-aaaa AS b{i} ON true" for i in range(5)), 1, 136),
]


@pytest.mark.parametrize(("query", "row", "column"), MALFORMED, ids=[query[:20] for query, _, _ in MALFORMED])
def test_malformed_queries_are_told_where(ask: Asker, query: str, row: int, column: int) -> None:
    """The line and character of the word at which reading stopped."""
    body = refused(ask, query)
    assert body["code"] == "query.compiler.malformed"
    position = body["data"]["position"]
    assert (position["row"], position["column"]) == (row, column), body["message"]
    assert f"at line {row} character {column}: " in body["message"]


@pytest.mark.parametrize(
    ("clause", "text", "reason"),
    [
        ("$select", "DBA, CUISINE DESCRIPTION, X", "Expected one of end of input, `,', or `AS', but got `DESCRIPTION'"),
        ("$query", "SELECT WHERE FROM", "Expected one of an expression or `DISTINCT', but got `WHERE'"),
        ("$query", "SELECT id LIMIT many", "Expected an integer, but got `many'"),
        ("$where", "open NOT 'x'", "Expected one of `LIKE', `BETWEEN', or `IN', but got `x'"),
        ("$where", "(open", "Expected `)', but got end of input"),
        ("$order", "id NULLS 5", "Expected one of `LAST' or `FIRST', but got `5'"),
        ("$where", "open = 'x", "Unterminated string"),
        ("$query", "SELECT id FROM `this`", "Expected a table identifier, but got ``this`'"),
    ],
)  # fmt: skip
def test_parse_errors_have_socratas_words(clause: str, text: str, reason: str) -> None:
    """What could have come, the latest first, and what came; the first one is a recorded reply of Socrata."""
    with pytest.raises(SodaError) as refused:
        compile_question(blank("abcd-efgh"), SoqlQuestion({clause: text}))
    message = str(refused.value.body["message"])
    assert message.partition(f'"{text}" at ')[2].partition(": ")[2] == reason
    line = refused.value.body["data"]["position"]["line"]
    assert line == f"{text}\n{' ' * (refused.value.body['data']['position']['column'] - 1)}^"


def test_an_operator_has_socratas_name_where_a_type_does_not_fit(ask: Asker) -> None:
    """As in its recorded replies: by its sign, or by its word."""
    for where, name in (
        ("zone = 5", "op$="),
        ("zone IN (5)", "#IN"),
        ("requests LIKE 'x'", "#LIKE"),
        ("open || 1 > 2", "op$>"),
    ):
        assert f"; Type mismatch for {name}, is " in refused(ask, f"SELECT id WHERE {where}")["message"]


@pytest.mark.parametrize("query", ["SELECT", "SELECT id WHERE open NOT", "SELECT id WHERE open IN ("])
def test_what_ends_too_early_is_told_so(ask: Asker, query: str) -> None:
    """Wherever it ends."""
    assert refused(ask, query)["message"].endswith(", but got end of input")


def test_only_public_datasets_are_joined(ask: Asker, private: str) -> None:
    """A private dataset is as missing as one that there is not."""
    for identifier in (private, "zzzz-zzzz"):
        for query in (
            f"SELECT id JOIN @{identifier} AS b ON true",
            f"SELECT id UNION SELECT a FROM @{identifier}",
            f"SELECT id JOIN (SELECT a FROM @{identifier}) AS b ON true",
        ):
            answer = ask.answer(query=query)
            assert (answer.status_code, answer.json()["code"]) == (404, "dataset.missing")


def nested(call: str, depth: int) -> str:
    """A call within itself."""
    return call.format("id") if depth == 1 else call.format(nested(call, depth - 1))


GREEDY = [
    "SELECT " + nested("replace({}, '0', '" + "0" * 300 + "')", 4),
    "SELECT " + nested("replace({}, '', zone || zone)", 20),
    "SELECT left_pad(id, 2000000000, 'x')",
    "SELECT " + " |> SELECT ".join(["id || id || id || id || id || id || id AS id"] * 10),
    "SELECT " + "width_bucket(" * 20 + "requests" + ", 0, 10, 4)" * 20,
    "SELECT " + "requests" + "::text::number" * 25,
    "SELECT " + nested("nullif({}, 'x')", 29),
    "SELECT id WHERE " + " AND ".join(["not " * 25 + "open"] * 60) + " AND 1 ^ 2 ^ 3 ^ 4 ^ 5 > requests / 0 / 0",
    "SELECT " + " + ".join(["1"] * 4000),
    "SELECT id" + " IS NULL" * 199,
]


@pytest.mark.parametrize("query", GREEDY, ids=range(len(GREEDY)))
def test_greedy_queries_are_stopped_early(ask: Asker, query: str) -> None:
    """What would fill the memory or keep the planner busy for hours is answered or refused at once."""
    answer = ask.answer(query=query)
    assert answer.status_code in (200, 400), answer.text[:300]
    assert answer.elapsed.total_seconds() < 10
    assert ask(select="count(*) as n") == [{"n": "120"}]


def test_a_sort_beyond_the_memory_or_the_time_is_refused(ask: Asker) -> None:
    """A join of 120^5 rows sorted: 400 in our words, and the next question is answered."""
    identifier = ask.address.split("/")[-1][:9]
    joins = " ".join(f"JOIN @{identifier} AS b{i} ON @b{i}.id <> '{i}'" for i in range(4))
    body = refused(ask, f"SELECT count(distinct id || @b0.id || @b1.id || @b2.id || @b3.id) {joins}")
    assert body["errorCode"] in ("query.execution.out-of-memory", "query.execution.timeout"), body
    assert "fewer rows" in body["message"]
    assert ask(select="count(*) as n") == [{"n": "120"}]


@pytest.mark.parametrize("sign", ["'", ""])
def test_twenty_thousand_values_cost_little(sign: str) -> None:
    """Texts and numbers are read and bound as one: 0.02 s of processor time, of which most is a margin here."""
    text = f"SELECT id WHERE {'id' if sign else 'n'} IN (" + ", ".join(f"{sign}{n}{sign}" for n in range(20_000)) + ")"
    columns = (PortalColumn(1, "id", "id", Kind.TEXT, 1), PortalColumn(2, "n", "n", Kind.NUMBER, 2))
    began = time.process_time()
    made = compile_question(replace(blank("abcd-efgh"), columns=columns), SoqlQuestion({"$query": text}))
    assert time.process_time() - began < 0.15
    (values,) = made.values.values()
    assert values == [str(n) if sign else Decimal(n) for n in range(20_000)]


def test_long_lists_are_read_as_short_ones_are(ask: Asker, cells: Cells) -> None:
    """Quotes, signs, lines, NOT, and dates: each long list is a short one, repeated. A list that is none is refused."""
    for short, field in (
        ("'0-01', 'O\"st, West', 'it''s'", "zone"), ("1.05,\n -2.05, 0.05", "requests"), ("'4.05', '0.05'", "requests"),
        ("'2024-01-01', '2024-02-08T00:00:00'", "period_start"),
    ):  # fmt: skip
        for word in ("IN", "NOT IN", "in\n"):
            long = ", ".join([short] * 60)
            found = ask(select="id", where=f"{field} {word} ({long})")
            assert found == ask(select="id", where=f"{field} {word} ({short})"), short
            assert 0 < len(found) < len(cells) or field == "requests"
    for wrong in ("'x', " * 200 + "5", "5, " * 200 + "5"):
        assert refused(ask, f"SELECT id WHERE zone IN ({wrong})")["errorCode"] == "query.soql.type-mismatch"
    lines = "'x',\n" * 200
    assert refused(ask, f"SELECT id WHERE zone IN ({lines}")["code"] == "query.compiler.malformed"
    assert refused(ask, f"SELECT id\nWHERE zone IN ({lines}'x') )")["data"]["position"]["row"] == 202
    name = ask.answer(select="zone in (" + ", ".join(["'x'"] * 101) + ")", limit="1").headers["X-SODA2-Fields"]
    assert name == json.dumps(["in_zone_" + "_".join(["x"] * 101)])


def test_ten_thousand_values_are_a_list(ask: Asker, cells: Cells) -> None:
    """A long IN list is nothing special."""
    values = ", ".join(f"'{n}-00'" for n in range(1_400))
    assert [row["id"] for row in ask(select="id", where=f"id in ({values})")] == ["0-00", "1-00", "2-00"]
    numbers = ", ".join(f"{n}.05" for n in range(1_000))
    for more in ("", ", 0.00000000000000000001", ", 12345678901234567890.5"):
        rows = ask(select="id, requests", where=f"requests in ({numbers}{more})")
        assert [row["id"] for row in rows] == [row["id"] for row in cells if (row["requests"] or "").endswith(".05")]
    known = [row["id"] for row in cells if row["requests"] and not row["requests"].endswith(".05")]
    assert [row["id"] for row in ask(select="id", where=f"requests not in ({numbers})")] == known
    days = ", ".join(f"'2024-{month:02}-{day:02}'" for month in range(1, 13) for day in range(1, 29))
    assert len(ask(select="id", where=f"period_start in ({days})")) == 120
