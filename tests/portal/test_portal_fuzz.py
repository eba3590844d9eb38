"""Random questions to a running portal, right and wrong ones, each answer judged and the right ones computed again.

PUBLISHER_SEED repeats a run by the seed that it printed.
"""

from __future__ import annotations

import os
import random
import secrets
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from soql.evaluator import Answer, Undecided, difference
from soql.generator import Grammar, column, evaluator, literal, number, sound
from soql.tree import Node, Order, Question, Select, parameters
from soql.trial import ALLOWED, Counts, Reply, Site, Trial, misbehaved, prepare, recorded

if TYPE_CHECKING:
    from portal_process import Running

FIXED = "2026"


@pytest.fixture(scope="module")
def site(portal: Running) -> Site:
    """The portal with the datasets that the questions are about."""
    return prepare(portal)


def test_the_portal_answers_the_whole_language(site: Site) -> None:
    """No part of the language that the grammar has goes unanswered."""
    assert not site.missing


@pytest.mark.parametrize(
    "requests",
    [1_000, pytest.param(100_000, marks=pytest.mark.evidence("random questions in SoQL to a running portal"))],
)
def test_random_questions_get_the_right_answer_or_a_plain_refusal(portal: Running, site: Site, requests: int) -> None:
    """No failure of the server, no look inside, and every right question answered as Python answers it. Half of a
    thousand questions are always the same; a hundred thousand are evidence, since they differ by chance alone."""
    before = len(recorded(portal.state))
    seed = os.environ.get("PUBLISHER_SEED") or secrets.token_hex(4)
    sys.stdout.write(f"PUBLISHER_SEED={seed}\n")
    trials = [Trial(site, FIXED), Trial(site, seed)]
    counts = Counts()
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(lambda trial: trial.run(requests // 2), trials):
            counts.add(found)
    assert not counts.faults, "\n".join([f"PUBLISHER_SEED={seed}", *counts.faults])
    assert counts.requests >= requests
    assert counts.right / counts.requests >= 0.6
    assert counts.checked / counts.right >= 0.9
    assert set(counts.statuses) <= ALLOWED
    assert "Traceback" not in recorded(portal.state)[before:]


def test_the_second_evaluation_knows_three_values() -> None:
    """NULL is neither equal nor unequal, and NOT of it is NULL."""
    found = evaluator()
    null = Node("null")
    equal = Node("=", (column("m", "number"), null), kind="checkbox")
    items = ((equal, "a"), (Node("not", (equal,)), "b"), (Node("or", (equal, Node("bool", value=True))), "c"))
    answer = found.answer(Question((Select(items, limit=1),)))
    assert answer.shown == [{"a": None, "b": None, "c": True}]


def test_the_second_evaluation_keeps_digits_and_leaves_the_last_bit_open() -> None:
    """Decimals stay exact; two doubles that differ in their last bit decide nothing."""
    found = evaluator()
    exact = Node("+", (number("0.1"), number("0.2")), kind="number")
    third = Node("/", (number("1"), number("3")), kind="number")
    same = Node("=", (Node("*", (third, number("3"))), number("1")), kind="checkbox")
    assert found.answer(Question((Select(((exact, "x"),), limit=1),))).shown == [{"x": Decimal("0.3")}]
    with pytest.raises(Undecided):
        found.answer(Question((Select(((same, "x"),), limit=1),)))


def test_a_wrong_answer_is_noticed() -> None:
    """A row too few, a wrong value, a wrong order and a strange column are told apart from a right answer."""
    rows = [{"x": Decimal(number)} for number in range(3)]
    answer = Answer(rows, [((row["x"], False, "LAST"),) for row in rows], 0, None, ("x",))
    assert difference([{"x": "0"}, {"x": "1"}, {"x": "2"}], answer) is None
    assert difference([{"x": "0"}, {"x": "1"}], answer)
    assert difference([{"x": "0"}, {"x": "1"}, {"x": "2.5"}], answer)
    assert difference([{"x": "1"}, {"x": "0"}, {"x": "2"}], answer)
    assert difference([{"x": "0"}, {"x": "1"}, {"x": "2", "y": "2"}], answer)
    ties = replace(answer, keys=[() for _ in rows])
    assert difference([{"x": "2"}, {"x": "0"}, {"x": "1"}], ties) is None


def test_an_indiscreet_answer_is_noticed() -> None:
    """Statuses of failure, errors without a message, and names from inside are faults."""
    json = "application/json"
    assert misbehaved(Reply(400, json, '{"message": "No such column: x"}', 0.1), "x") is None
    assert misbehaved(Reply(500, json, '{"message": "x"}', 0.1), "x")
    assert misbehaved(Reply(400, json, '{"error": true}', 0.1), "x")
    assert misbehaved(Reply(200, json, "[]", 99.0), "x")
    assert misbehaved(Reply(400, json, '{"message": "Binder Error: x"}', 0.1), "x")
    assert misbehaved(Reply(400, json, '{"message": "no /srv/state/x"}', 0.1), "x", ("/srv/state",))
    assert misbehaved(Reply(400, json, '{"message": "no duckdb_settings"}', 0.1), "duckdb_settings()") is None


def test_texts_of_questions_say_what_their_trees_mean() -> None:
    """Parentheses stand where an operator within another needs them; quotes are doubled."""
    nested = Node("*", (Node("+", (column("m", "number"), number("1"))), number("2")), kind="number")
    where = Node("and", (Node("=", (column("t", "text"), literal("o'Neil"))), Node("not", (column("b", "checkbox"),))))
    select = Select(
        ((nested, "x"),), where=where, order=(Order(column("x", "number"), down=True, nulls="LAST"),), limit=3
    )
    expected = "SELECT (m + 1) * 2 as x WHERE (t = 'o''Neil') and (not b) ORDER BY x desc nulls last LIMIT 3"
    assert parameters(Question((select,))) == {"$query": expected}


def test_the_grammar_reaches_every_part_of_the_language() -> None:
    """A few thousand questions hold every operator, function and clause that the second evaluation knows."""
    grammar = Grammar(random.Random("reach"))
    texts = " ".join(str(parameters(sound(grammar, {"other": "aaaa-aaaa"}))).lower() for _ in range(3000))
    for word in (
        "|>", " join @", " join (", "left outer", "full outer", " union ", "union all", "intersect", "minus", " over (",
        "partition by", "filter (where", " search ", "distinct ", "count(distinct", "group by", "having", "nulls first",
        "offset", "$where", "$q", "::text", "::number", "not like", "not between", "not in (", "case when", "iif(",
        "case(", "regr_slope", "median", "stddev_samp", "width_bucket", "within_polygon", "intersects(", "date_add",
        "distance_in_meters", "to_floating_timestamp", "caseless_one_of", "split_part", "left_pad", "unaccent",
        "row_number", "dense_rank", "ntile", "lead(", "last_value", "`",
    ):  # fmt: skip
        assert word in texts, word
