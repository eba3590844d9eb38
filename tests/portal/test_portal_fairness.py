"""One reader cannot slow the others: queries that cost as little as they are long, and lanes shared by address."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import requests
from portal_process import blank

from publisher.portal.answers import lanes
from publisher.portal.answers.access import QUERY_LIMIT
from publisher.portal.answers.lanes import Lane
from publisher.portal.base import watch
from publisher.portal.base.kinds import Kind
from publisher.portal.base.model import PortalColumn
from publisher.portal.base.problems import SodaError
from publisher.portal.base.watch import Deadline
from publisher.portal.soql import dialect, lexer, terms
from publisher.portal.soql.compiler import SoqlQuestion, compile_question
from publisher.portal.store import incoming

if TYPE_CHECKING:
    from portal_process import Running

    from publisher.portal.base.model import PortalDataset

HOSTILE = {
    "comments": "/*",
    "closed comments": "/**/",
    "parentheses": "(",
    "pairs": "()",
    "ands": "AND ",
    "conditions": "open AND ",
    "quotes": "'",
    "three quotes": "'\"`",
    "backticks": "`",
    "groups": "GROUP ",
    "signs": "- ",
    "nots": "NOT ",
    "exponents": "1e",
    "calls": "lower(",
    "cases": "case when ",
}


@pytest.fixture
def dataset() -> PortalDataset:
    """A dataset with a checkbox and a number."""
    kinds = (("open", Kind.CHECKBOX), ("n", Kind.NUMBER))
    return replace(
        blank("aaaa-aaaa"),
        columns=tuple(PortalColumn(number, name, name, kind, number) for number, (name, kind) in enumerate(kinds)),
    )


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps the reading of queries takes; each one asks whether it may go on."""
    taken = [0]

    def counted() -> None:
        taken[0] += 1
        watch.go_on()

    for module in (lexer, dialect, terms):
        monkeypatch.setattr(module, "go_on", counted)
    return taken


def compiled(dataset: PortalDataset, clause: str, text: str) -> None:
    """Compile a query, whether it is refused or not."""
    with suppress(SodaError):
        compile_question(dataset, SoqlQuestion({clause: text}))


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_text_costs_no_more_steps_than_it_has_characters(
    dataset: PortalDataset, steps: list[int], piece: str
) -> None:
    """64 kB of what once was searched to the end again and again."""
    compiled(dataset, "$where", piece * (64_000 // len(piece)))
    assert 0 < steps[0] <= 64_000 * 2


def test_names_that_double_have_an_end(dataset: PortalDataset, steps: list[int]) -> None:
    """Each name stands for two of the one before it: 6 kB that were 120 million steps stop at the most there may be."""
    names = [f"a{number} + a{number} AS a{number + 1}" for number in range(12)]
    text = ", ".join(["n + n AS a0", *names, *(f"a12 AS b{number}" for number in range(480))])
    with pytest.raises(SodaError, match="too large when its parts are combined"):
        compile_question(dataset, SoqlQuestion({"$select": text}))
    assert steps[0] < terms.MOST_PARTS + 2 * len(text)


@pytest.mark.parametrize("clause", ["$where", "$select"])
def test_the_clock_of_a_query_stops_its_reading(dataset: PortalDataset, clause: str) -> None:
    """A text is not read to its end once the time is over."""
    deadline = Deadline()
    deadline.end()
    with pytest.raises(SodaError) as caught, deadline.watched():
        compile_question(dataset, SoqlQuestion({clause: "n + " * 1000}))
    assert caught.value.body["errorCode"] == "query.execution.timeout"


def test_visitors_ask_short_queries_and_accounts_longer_ones(portal: Running, sample: str) -> None:
    """16 kB without an account, in every way to ask; an account may use what an address has room for."""
    text = f"id in ({', '.join(['1'] * 9000)})"[:QUERY_LIMIT].rpartition(",")[0] + ")"
    short = f"id in ({', '.join(repr(str(number)) for number in range(1000))})"
    address, sent = f"{portal.address}/resource/{sample}.json", text + " " * QUERY_LIMIT
    assert requests.get(address, {"$where": short}, timeout=60).status_code == 200
    refused = requests.get(address, {"$where": sent}, timeout=60)
    assert (refused.status_code, refused.json()["code"]) == (413, "query.too-large")
    assert requests.get(address, {"zone": "x" * QUERY_LIMIT}, timeout=60).status_code == 413
    rows = f"{portal.address}/api/views/{sample}/rows.csv"
    assert requests.get(rows, {"query": f"SELECT id WHERE {sent}"}, timeout=60).status_code == 413
    own = requests.get(address, {"$where": short + " " * QUERY_LIMIT}, auth=portal.login, timeout=60)
    assert own.status_code == 200
    asked = {"query": f"SELECT id WHERE {short}" + " " * QUERY_LIMIT}
    third, token = f"{portal.address}/api/v3/views/{sample}/query.json", {"X-App-Token": portal.secret["app_token"]}
    assert requests.post(third, json=asked, headers=token, timeout=60).status_code == 413
    assert requests.post(third, json=asked, auth=portal.login, timeout=60).status_code == 200


# --- lanes


def taken(lane: Lane) -> str:
    """The addresses at the places, in order."""
    return "".join(sorted(lane._held.elements()))


async def settled() -> None:
    """Until everything that can go on has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_an_address_takes_a_whole_lane_and_gives_a_quarter_to_each_other() -> None:
    """Alone: all. With others: a place that becomes free goes to who has fewest, until all have their share."""

    async def shown() -> list[str]:
        lane = Lane(8)
        held = [await lane.take("a") for _ in range(8)]
        more = [asyncio.ensure_future(lane.take(name)) for name in "aabbbc"]
        await settled()
        found = []
        for place in held:
            lane.leave(place)
            await settled()
            found.append(taken(lane))
        for each in more:
            each.cancel()
        return found

    assert asyncio.run(shown()) == [
        "aaaaaaab",
        "aaaaaabc",
        "aaaaabbc",
        "aaaabbc",  # b has its quarter, and a more than that
        "aaabbc",
        "aabbc",
        "aabbc",
        "aabbc",
    ]


def test_an_address_writes_once_at_a_time() -> None:
    """Also while no one else does: its next upload waits, and another address does not wait for it."""

    async def shown() -> list[str]:
        lane = Lane(2, most=1)
        first = await lane.take("a")
        second = asyncio.ensure_future(lane.take("a"))
        await settled()
        found = [taken(lane)]
        other = asyncio.ensure_future(lane.take("b"))
        await settled()
        found.append(taken(lane))
        lane.leave(first)
        await settled()
        found.append(taken(lane))
        for each in (second, other):
            lane.leave(await each)
        return found

    assert asyncio.run(shown()) == ["a", "ab", "ab"]


def test_a_long_upload_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that queries go on in between; the rows are those of the whole JSON, whatever looks like the end of a row, and
    whichever fields a row lacks."""
    columns = [PortalColumn(n, name, name, Kind.TEXT, n) for n, name in enumerate(("id", "text", "shape"), 1)]
    shape = {"a": [{"coordinates": 1}, {"coordinates": 2}]}
    for text, nested in (("plain", None), ('},{" }, {', None), ("\\", shape)):
        rows = [{"id": str(number), "text": text, "shape": nested} for number in range(12_000)]
        for indent in (None, 1):
            content = json.dumps(rows, indent=indent)
            assert len(list(incoming._pieces(content))) > 1
            read = incoming.read(content.encode(), "application/json", columns)
            assert read.num_rows == len(rows)
            assert read["text"].to_pylist() == [text] * len(rows)
            assert read["id"].to_pylist() == [row["id"] for row in rows]
    lacking = [{"id": str(number), "text": "x" * 40} for number in range(12_000)]
    del lacking[7]["text"]
    lacking[11_000] |= {"shape": shape, ":deleted": True}
    content = json.dumps(lacking).encode()
    found = incoming.read(content, "application/json", columns)
    with monkeypatch.context() as whole:
        whole.setattr(incoming, "PIECE", len(content))
        expected = incoming.read(content, "application/json", columns)
    assert expected.column(0).num_chunks == 1 < found.column(0).num_chunks
    assert found.select(expected.column_names).equals(expected)
    assert set(found.column_names) == set(expected.column_names)
    long = json.dumps([{"id": "1"}] * 40_000)
    for broken in (long[:-1], long[:-2] + "]", f"{long[:-1]},]", long.replace("}, {", "} {", 1), f"{long}{long}"):
        with pytest.raises(SodaError, match="JSON"):
            incoming.read(broken.encode(), "application/json", columns)


def test_the_newest_work_of_who_has_most_gives_way() -> None:
    """Where work can end early, one that asks does not wait for it; nothing within its share is ever ended."""

    async def shown() -> tuple[list[str], str]:
        lane, told = Lane(4), []
        for number in range(4):
            place = await lane.take("a")
            lane.willing(place, lambda number=number, place=place: (told.append(number), lane.leave(place)))  # type: ignore[misc]
        for name in "bcd":
            await lane.take(name)
        waiting = asyncio.ensure_future(lane.take("e"))
        await settled()
        waiting.cancel()
        return [str(number) for number in told], taken(lane)

    assert asyncio.run(shown()) == (["3", "2", "1"], "abcd")


def test_others_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some time after the last of them has asked, one address may use everything again; who left waits for nothing."""
    monkeypatch.setattr(lanes, "OTHERS", 0.0)

    async def shown() -> str:
        lane = Lane(4)
        lane.leave(await lane.take("b"))
        gone = asyncio.ensure_future(lane.take("c"))
        gone.cancel()
        await settled()
        for _ in range(4):
            await asyncio.wait_for(lane.take("a"), 30)
        return taken(lane)

    assert asyncio.run(shown()) == "aaaa"
