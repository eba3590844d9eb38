"""The queries that public documentation of SoQL shows, answered by a running portal and again in plain Python."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from soql.documented import DIFFERS, DOCUMENTED, REFUSED, Differs, Documented, Meters, Refused
from soql.invented import everything, publish

if TYPE_CHECKING:
    import requests
    from portal_process import Running

Row = dict[str, Any]


class Asked:
    """The invented datasets in the portal."""

    def __init__(self, web: requests.Session, portal: Running) -> None:
        self.web = web
        self.address = portal.address
        sets = everything()
        self.world = {name: list(found.rows) for name, found in sets.items()}
        with portal.client() as client:
            self.names = {name: publish(client, found) for name, found in sets.items()}

    def answer(self, dataset: str, parameters: dict[str, str]) -> requests.Response:
        """What the portal says, with the datasets' own 4x4 in the place of their names."""
        sent = {name: re.sub(r"@(\w+)", self._named, text) for name, text in parameters.items()}
        return self.web.get(f"{self.address}/resource/{self.names[dataset]}.json", params=sent)

    def _named(self, found: re.Match[str]) -> str:
        return "@" + self.names.get(found[1], found[1])


@pytest.fixture(scope="module")
def asked(web: requests.Session, portal: Running) -> Asked:
    """The datasets, published once."""
    return Asked(web, portal)


def shown(value: Any) -> Any:
    """A Python value as the API's JSON has it; what is compared by its value stays as it is."""
    if isinstance(value, datetime):
        plain = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return plain.isoformat(timespec="milliseconds") + ("Z" if value.tzinfo else "")
    return value


def same(seen: Any, expected: Any) -> bool:
    """Numbers by their value, doubles to 12 digits, distances to 5, shapes by the area they cover, all else exactly."""
    if isinstance(expected, Decimal):
        return isinstance(seen, str) and Decimal(seen) == expected
    if isinstance(expected, float):
        digits = 1e-5 if isinstance(expected, Meters) else 1e-12
        return isinstance(seen, str) and math.isclose(float(seen), expected, rel_tol=digits, abs_tol=1e-12)
    if isinstance(expected, BaseGeometry):
        return isinstance(seen, dict) and shapely.equals(shape(seen).normalize(), expected.normalize())
    return bool(seen == shown(expected))


def sorting(row: list[Any]) -> str:
    """A text by which two equal rows stand at the same place."""
    return json.dumps([_rough(value) for value in row], default=str)


def _rough(value: Any) -> Any:
    if isinstance(value, BaseGeometry):
        return "shape"
    if isinstance(value, dict) and value.get("type", "").endswith("Polygon"):
        return "shape"
    if isinstance(value, float | Decimal) or (isinstance(value, str) and re.fullmatch(r"-?[\d.]+(e[-+]?\d+)?", value)):
        return f"{float(value):.9g}"
    return shown(value)


def compared(case: Documented, seen: list[Row], expected: list[Row]) -> None:
    """Fail where the two differ."""
    assert len(seen) == len(expected)
    names = list(expected[0]) if expected else []
    filled = [{name: value for name, value in row.items() if value is not None} for row in expected]
    if case.named:
        for one, other in zip(seen, filled, strict=True) if case.ordered else ():
            assert one.keys() == other.keys()
        left = [[row.get(name) for name in names] for row in seen]
        right = [[row.get(name) for name in names] for row in filled]
        assert all(set(row) <= set(names) for row in seen)
    else:
        left, right = [list(row.values()) for row in seen], [list(row.values()) for row in filled]
    if not case.ordered:
        left, right = sorted(left, key=sorting), sorted(right, key=sorting)
    for one, other in zip(left, right, strict=True):
        assert len(one) == len(other)
        assert all(map(same, one, other)), (one, other)


def named(case: Documented | Refused | Differs) -> str:
    """A short name for a case."""
    text = " ".join(case.parameters.values())
    return f"{case.source.rsplit('/', 1)[-1]}: {' '.join(text.split())}"[:90]


@pytest.mark.parametrize("case", DOCUMENTED, ids=map(named, DOCUMENTED))
def test_a_documented_query_gives_the_documented_answer(asked: Asked, case: Documented) -> None:
    """What the documentation shows works here, and gives what Python computes from the same rows."""
    answer = asked.answer(case.dataset, case.parameters)
    assert answer.status_code == 200, answer.text
    compared(case, answer.json(), case.answer(asked.world))


@pytest.mark.parametrize("case", REFUSED, ids=map(named, REFUSED))
def test_a_documented_error_is_one_here(asked: Asked, case: Refused) -> None:
    """What the documentation shows to fail fails here in the same shape."""
    answer = asked.answer(case.dataset, case.parameters)
    body = answer.json()
    assert answer.status_code == 400
    assert body["error"] is True
    assert (body.get("code") or body["errorCode"]).endswith(case.code)
    assert case.message in body["message"]


@pytest.mark.parametrize("case", DIFFERS, ids=map(named, DIFFERS))
def test_what_is_not_answered_is_refused_plainly(asked: Asked, case: Differs) -> None:
    """The few documented queries that the portal does not answer get a message that says so."""
    answer = asked.answer(case.dataset, case.parameters)
    assert answer.status_code == 400
    assert case.words in answer.json()["message"]
    assert case.reason


def test_there_are_enough_of_them() -> None:
    """At least a hundred and thirty documented queries, from several places, few that differ."""
    assert len(DOCUMENTED) >= 130
    assert len({case.source for case in DOCUMENTED}) >= 60
    assert len(DIFFERS) <= 8
