"""The macros of the analyst file: margins of sums and differences of one's own, as SQL that the file itself holds.

Where measurements are not published, the middle of a range that is not cut is the estimate to half a step. What is lost
may be the same in every cell of a family, so half a step for each is added to the margin.

A macro finds tables by the name that it is given, so a file attached as `city` is asked about 'city.requests_weekly':
inside a macro DuckDB would look for other names in the reader's own database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.duck import literal, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PREFIX = r"regexp_replace(in_table, '[^.]+$', '')"
TABLE = r"""trim(regexp_extract(in_table, '[^.]+$'), '"')"""
"""The parts of a table's name before and after its last dot."""

BY_KEY = (
    "rows may be chosen by key columns only: over rows chosen by value, status or another query no margin would hold"
)
OVER_TIME = (
    "this is a table of totals over time, where each number has its own range: ask for other sums of the table whose "
    "periods it adds up"
)
COMMANDS = r"(?i)\b(select|from|union|with|values|table|query|query_table)\b|;|--|/\*|\$"
"""What a filter has no use for, outside of quoted text."""

PULLED = """
    SELECT one.release, sum(one.z * other.z * pulls.pull) AS part
    FROM sums one JOIN query_table({p} || '_pull') pulls ON pulls.fit = one.fit AND pulls.one = one.coarse
    JOIN sums other ON other.release = one.release AND other.fit = one.fit AND other.block = one.block
        AND other.coarse = pulls.other
    GROUP BY ALL"""

CORE = """
picked AS MATERIALIZED ({picked}),
found AS MATERIALIZED (
    SELECT picked.side, own.id, own.release, own.block, own.place, noises.* EXCLUDE (release, table_name, measure),
        noises.release IS NOT NULL AS known, fits.fit, fits.solved
    FROM picked JOIN query_table({p} || '_rows') own ON own.table_name = {t} AND own.id = picked.id
    LEFT JOIN query_table({p} || '_noise') noises
        ON noises.release = own.release AND noises.table_name = {t} AND noises.measure = of_measure
    LEFT JOIN query_table({p} || '_fits') fits
        ON fits.release = own.release AND fits.shape = own.shape AND fits.measure = of_measure
),
finest AS MATERIALIZED (
    SELECT side, release, fit, block, place FROM found WHERE fit IS NOT NULL AND level IS NULL
    UNION ALL
    SELECT side, release, found.fit, block, cells.place
    FROM found JOIN query_table({p} || '_inside') cells
        ON cells.fit = found.fit AND cells.level = found.level AND cells.coarse = found.place
),
weights AS MATERIALIZED (
    SELECT release, fit, block, place, sum(side)::DOUBLE AS weight FROM finest GROUP BY ALL HAVING sum(side) <> 0
),
sums AS MATERIALIZED (
    SELECT weights.release, weights.fit, weights.block, cells.coarse, sum(weights.weight * cells.share) AS z
    FROM weights JOIN query_table({p} || '_inside') cells ON cells.fit = weights.fit AND cells.place = weights.place
    GROUP BY ALL
)"""

FINDING = """
taken AS ({taken}),
alone_parts AS (
    SELECT release, sum(side * side) AS part
    FROM (SELECT release, id, sum(side) AS side FROM found WHERE alone GROUP BY ALL) GROUP BY ALL
),
joint_parts AS (SELECT release, sum(weight * weight) AS part FROM weights GROUP BY ALL),
spread AS (
    SELECT sum(own.variance * own.step * own.step * coalesce(
        alone_parts.part, greatest(joint_parts.part - coalesce(taken.part, 0), 0), 0)) AS variance,
        max(own.factor) AS factor, max(own.rounding * own.step) AS rounding, max(own.step) AS step,
        min(own.floor) AS floor
    FROM (SELECT DISTINCT release, variance, factor, rounding, step, floor FROM found) own
    LEFT JOIN alone_parts USING (release) LEFT JOIN joint_parts USING (release) LEFT JOIN taken USING (release)
),
sizes AS (
    SELECT fit, level, coarse, count(*) AS size FROM query_table({p} || '_inside')
    WHERE fit IN (SELECT fit FROM weights) GROUP BY ALL
),
members AS MATERIALIZED (
    SELECT finest.side, finest.release, finest.fit, finest.block, cells.level, cells.coarse, count(*) AS size
    FROM finest JOIN query_table({p} || '_inside') cells ON cells.fit = finest.fit AND cells.place = finest.place
    GROUP BY ALL
),
covers AS (
    SELECT members.side, members.level, bool_and(members.size = sizes.size) AS whole
    FROM members JOIN sizes USING (fit, level, coarse) GROUP BY ALL
),
candidates AS (
    SELECT DISTINCT side, {t} AS from_table, id FROM found
    UNION
    SELECT members.side, noises.table_name, own.id
    FROM members JOIN covers ON covers.side = members.side AND covers.level = members.level AND covers.whole
    JOIN query_table({p} || '_noise') noises
        ON noises.release = members.release AND noises.level = members.level AND noises.measure = of_measure
    JOIN query_table({p} || '_rows') own ON own.table_name = noises.table_name AND own.release = members.release
        AND own.block = members.block AND own.place = members.coarse
),
judged AS MATERIALIZED (
    SELECT candidates.side, candidates.from_table, count(*) AS cells,
        count(*) FILTER (WHERE centers.status = 'suppressed') AS withheld,
        count(*) FILTER (WHERE exact.estimate IS NULL AND centers.center IS NULL
            AND centers.status IS DISTINCT FROM 'suppressed') AS unknown,
        count(*) FILTER (WHERE exact.estimate IS NULL) AS middles,
        sum(coalesce(exact.estimate, centers.center)) AS center, any_value(struct_pack(value := centers.value,
            low := centers.low, high := centers.high)) AS published
    FROM candidates
    JOIN query_table({p} || '_centers') centers
        ON centers.table_name = candidates.from_table AND centers.id = candidates.id AND centers.measure = of_measure
    LEFT JOIN query_table({p} || '_estimates') exact ON exact.table_name = candidates.from_table
        AND exact.id = candidates.id AND exact.measure = of_measure
    GROUP BY ALL
),
best AS (
    SELECT side, arg_min(struct_pack(center, middles, from_table, published := CASE WHEN cells = 1 THEN published END),
        CASE WHEN {single} THEN -1 ELSE middles * 1000000000 + cells END) AS at
    FROM judged WHERE withheld = 0 AND (unknown = 0 OR {single}) GROUP BY side
),
counted AS (
    SELECT count(*) FILTER (WHERE side = 1) AS firsts, count(*) FILTER (WHERE side = -1) AS seconds,
        coalesce(bool_and(known), false) AS known, max(refused) AS refused,
        coalesce(bool_and(alone OR fit IS NOT NULL), false) AS fitted,
        coalesce(bool_and(coalesce(solved, true)), true) AS solved
    FROM found
),
held AS (
    SELECT coalesce(sum(withheld), 0)::BIGINT AS withheld, coalesce(sum(unknown), 0)::BIGINT AS unknown
    FROM judged WHERE from_table = {t}
),
told AS MATERIALIZED (
    SELECT spread.*, counted.firsts + counted.seconds AS cells, held.withheld,
        best1.at.from_table AS read_from, best1.at.published AS published,
        best1.at.center - {second} AS center,
        spread.factor * sqrt(spread.variance) + spread.rounding + ({middles}) * spread.step / 2 AS half,
        CASE
            WHEN {by_value} THEN {by_key}
            WHEN (SELECT count(*) FROM query_table({p} || '_rows') WHERE table_name = {t}) = 0 THEN {over_time}
            WHEN counted.firsts = 0 OR counted.seconds < {least} THEN 'no row has these keys'
            WHEN NOT counted.known THEN 'this table has no measure of that name'
            WHEN counted.refused IS NOT NULL THEN counted.refused
            WHEN NOT counted.fitted THEN 'a row has no cell in the finest table'
            WHEN NOT {open} AND NOT counted.solved AND best1.at.published IS NULL
                THEN 'these tables overlap in too many cells for SQL: '
                || 'publisher.open_data(path) in Python solves it'
            WHEN (best1.at IS NULL OR ({least} > 0 AND best2.at IS NULL)) AND held.withheld > 0
                THEN held.withheld || ' of the rows are withheld, and no published total is their sum'
            WHEN best1.at IS NULL OR ({least} > 0 AND best2.at IS NULL)
                THEN 'only projected values are published: the range of ' || held.unknown
                || ' of the rows is cut at zero, and no published total is their sum'
        END AS reason
    FROM spread, counted, held
    LEFT JOIN best best1 ON best1.side = 1 LEFT JOIN best best2 ON best2.side = -1
)"""

SUM = """
SELECT CASE WHEN reason IS NULL THEN coalesce(published.value, round(greatest(round(center / step) * step, floor), 6))
    END AS value,
    CASE WHEN reason IS NULL THEN coalesce(published.low,
        round(greatest(ceil((center - half) / step - 1e-6) * step, floor), 6)) END AS low,
    CASE WHEN reason IS NULL THEN coalesce(published.high,
        round(greatest(floor((center + half) / step + 1e-6) * step, floor), 6)) END AS high,
    CASE WHEN reason IS NULL THEN round(greatest(value - low, high - value), 6) END AS margin,
    round(100 * margin / nullif(abs(value), 0), 1) AS margin_percent,
    cells, withheld, CASE WHEN reason IS NULL THEN read_from END AS read_from, reason
FROM told"""

DIFFERENCE = """
SELECT CASE WHEN reason IS NULL THEN round(round(center / step) * step, 6) END AS difference,
    CASE WHEN reason IS NULL THEN round(ceil((center - half) / step - 1e-6) * step, 6) END AS low,
    CASE WHEN reason IS NULL THEN round(floor((center + half) / step + 1e-6) * step, 6) END AS high,
    CASE WHEN reason IS NULL THEN round(half, 2) END AS margin,
    cells, withheld, reason
FROM told"""

DIFFER = """
SELECT difference, low, high, CASE WHEN reason IS NULL THEN
    CASE WHEN low > 0 THEN 'the first is higher' WHEN high < 0 THEN 'the second is higher'
    ELSE 'cannot be told apart' END END AS verdict, reason
FROM ({differences})"""

PARAMETERS = {
    "margin_of_sum": "in_table, of_measure, filter := 'true'",
    "margin_of_difference": "in_table, of_measure, filter, other_filter",
    "differ": "in_table, of_measure, first_id, second_id",
}
MEANINGS = {
    "margin_of_sum": "The sum of a measure over the rows that a filter on key columns chooses, with its 95% margin",
    "margin_of_difference": "The sum over one choice of rows less the sum over another, with its 95% margin",
    "differ": "Whether two rows, named by their ids, can be told apart at 95%",
}


def create(name: str, parameters: str, text: str) -> str:
    """The statement that stores a macro."""
    return f"CREATE OR REPLACE MACRO {name}({parameters}) AS TABLE {text}"


def body(
    name: str,
    columns: Mapping[str, Sequence[str]],
    keys: Mapping[str, Sequence[str]],
    *,
    taken: str = PULLED,
    final: str = "",
) -> str:
    """A macro's query. With `taken` the part that coarser tables take off comes from elsewhere; with `final` another
    question is asked of the sums over coarser cells, before anything else is computed."""
    filters = {"margin_of_sum": ("filter",), "margin_of_difference": ("filter", "other_filter")}.get(name, ())
    sides = dict(zip(("filter", "other_filter"), (1, -1), strict=True))
    picked = " UNION ALL ".join(
        f"SELECT id, {sides[each]} AS side FROM {_query(each, columns, keys)}" for each in filters
    )
    if not filters:
        picked = "SELECT first_id AS id, 1 AS side UNION ALL SELECT second_id AS id, -1 AS side"
    core = CORE.format(picked=picked, p=PREFIX, t=TABLE)
    if final:
        return f"WITH {core} {final}"
    two = name != "margin_of_sum"
    finding = FINDING.format(
        taken=taken.format(p=PREFIX),
        p=PREFIX,
        t=TABLE,
        second="best2.at.center" if two else "0",
        middles="best1.at.middles + best2.at.middles" if two else "best1.at.middles",
        single="false" if two else "cells = 1",
        by_value=" OR ".join(_by_value(each, columns, keys) for each in filters) or "false",
        by_key=literal(BY_KEY),
        over_time=literal(OVER_TIME),
        least=1 if two else 0,
        open="false" if taken == PULLED else "true",
    )
    text = f"WITH {core}, {finding} {DIFFERENCE if two else SUM}"
    return DIFFER.format(differences=text) if name == "differ" else text


def _query(filter_: str, columns: Mapping[str, Sequence[str]], keys: Mapping[str, Sequence[str]]) -> str:
    """The ids of the rows that a filter chooses, looking at key columns alone."""
    chosen = _of_table({name: ", ".join(map(quoted, each)) for name, each in keys.items()})
    harmless = f"CASE WHEN {_by_value(filter_, columns, keys)} THEN 'false' ELSE {filter_} END"
    table = f"""{PREFIX} || '"' || {TABLE} || '"'"""
    return f"query('SELECT id FROM (SELECT ' || {chosen} || ' FROM ' || {table} || ') WHERE (' || {harmless} || ')')"


def _by_value(filter_: str, columns: Mapping[str, Sequence[str]], keys: Mapping[str, Sequence[str]]) -> str:
    """Whether a filter looks at anything but key columns."""
    bare = f"regexp_replace({filter_}, '''[^'']*''', '''''', 'g')"
    others = {name: [each for each in columns[name] if each not in keys[name]] for name in columns}
    patterns = _of_table({name: rf"(?i)\b({'|'.join(each)})\b" for name, each in others.items()})
    return f"(regexp_matches({bare}, {literal(COMMANDS)}) OR regexp_matches({bare}, {patterns}))"


def _of_table(values: Mapping[str, str]) -> str:
    """The value of the table that is asked about; an error that names the tables there are if it is none of them."""
    cases: Iterable[str] = (f"WHEN {literal(name)} THEN {literal(value)}" for name, value in values.items())
    known = literal(f"there is no such table; there are: {', '.join(values)}")
    return f"CASE {TABLE} {' '.join(cases)} ELSE error({known}) END"
