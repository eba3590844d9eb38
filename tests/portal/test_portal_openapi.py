"""The portal's description in OpenAPI, held against its routes and against what it answers to arbitrary requests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from portal_described import publish_described
from portal_process import start, stop
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from publisher.portal.api.openapi import addresses, describe, told
from publisher.portal.api.openapi_table import OPERATIONS
from publisher.portal.app import ROUTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests
    from portal_process import Running

FEW, MANY = 3, 25
"""Arbitrary requests for each method of each address."""
INSIDE = re.compile(
    r"Traceback|duckdb|sqlite|\.parquet\b|/state/|site-packages|publisher\.portal|File \"|read_parquet", re.IGNORECASE
)
"""What a body of an error never shows."""


@pytest.fixture(scope="module")
def tried(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str, str]]:
    """A portal of its own, since arbitrary requests with an account change it, and a dataset to read, one to change."""
    running = start(tmp_path_factory.mktemp("openapi") / "state")
    yield running, publish_described(running), publish_described(running, "To be changed")
    stop(running)


def test_every_address_is_told_of_and_no_other() -> None:
    """The routes of the application and the table agree in both directions, methods included."""
    real = {(method, told(path)) for method, path in addresses(ROUTES)}
    table = {(method, path) for path, methods in OPERATIONS.items() for method in methods}
    assert sorted(real - table) == []
    assert sorted(table - real) == []


def test_the_document_is_openapi(web: requests.Session, portal: Running) -> None:
    """Every reference leads somewhere, every name of an operation is its own, and schemas are schemas."""
    document = web.get(f"{portal.address}/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {path for _, path in addresses(ROUTES)}
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    names = [each["operationId"] for each in operations]
    assert len(set(names)) == len(names)
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for reference in re.findall(r'"\$ref": ?"#/([^"]+)"', web.get(f"{portal.address}/openapi.json").text):
        found: Any = document
        for part in reference.split("/"):
            found = found[part]
    for path, methods in document["paths"].items():
        for operation in methods.values():
            inside = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert inside == set(re.findall(r"{(\w+)}", path))
            assert operation["summary"]
            assert "4XX" in operation["responses"]


def test_examples_are_as_their_schemas(portal: Running) -> None:
    """An example in the document is one that its own schema allows."""
    document = describe(ROUTES, portal.address)
    seen = 0
    for operation in (each for methods in document["paths"].values() for each in methods.values()):
        for parameter in operation["parameters"]:
            for example in parameter["schema"].get("examples", ()):
                jsonschema.validate(example, parameter["schema"])
                seen += 1
        for body in operation.get("requestBody", {}).get("content", {}).values():
            if "example" in body:
                jsonschema.validate(body["example"], body["schema"])
                seen += 1
    assert seen > 20


def narrowed(document: dict[str, Any], read: str, written: str) -> dict[str, Any]:
    """The document with datasets that are there among the 4x4s, so that requests get beyond 404."""
    for methods in document["paths"].values():
        for method, operation in methods.items():
            for parameter in (each for each in operation["parameters"] if each["in"] == "path"):
                if "pattern" in parameter["schema"]:
                    parameter["schema"] = {"enum": [read if method == "get" else written, "zzzz-zzzz"]}
                elif parameter["name"] in ("period", "edition"):
                    parameter["schema"] = {"enum": ["2024-02"] if parameter["name"] == "period" else [1, 2, 3]}
    return document


def chosen(operation: Any, account: bool) -> bool:
    """A visitor reads and asks; no address is asked by its other names."""
    writes = operation.method not in ("get",) and "/api/v3/" not in operation.path
    return told(operation.path) == operation.path and (account or not writes)


def kept_inside(_context: Any, response: Any, _case: Any) -> None:
    """No body of an error shows anything of the server's inside."""
    if response.status_code >= 400:
        found = INSIDE.search(response.content.decode(errors="replace"))
        assert found is None, found


def no_failure(context: Any, response: Any, case: Any) -> None:
    """No 5xx; OData has a status of that kind for what is not there."""
    if not (response.status_code == 501 and case.operation.path.startswith("/api/odata/")):
        not_a_server_error(context, response, case)


CHECKS = [no_failure, status_code_conformance, content_type_conformance, response_schema_conformance, kept_inside]


def tries(operation: Any, base: str, login: tuple[str, str] | None, number: int) -> Callable[[], None]:
    """Arbitrary requests of an operation, each answer held against the document."""

    def one(case: Any) -> None:
        case.call_and_validate(base_url=base, checks=CHECKS, auth=login, timeout=30)

    bounded = settings(
        max_examples=number,
        deadline=None,
        database=None,
        derandomize=number == FEW,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    made: Callable[[], None] = bounded(given(case=operation.as_strategy())(one))
    return made


@pytest.mark.parametrize(
    "number", [FEW, pytest.param(MANY, marks=pytest.mark.evidence("arbitrary requests to every address of the portal"))]
)
@pytest.mark.parametrize("account", [False, True], ids=["visitor", "account"])
def test_arbitrary_requests_are_answered_as_told(tried: tuple[Running, str, str], account: bool, number: int) -> None:
    """Whatever is sent: no 5xx, only the statuses, media types and shapes that the document tells of. More
    requests, all that a visitor may not do and all names of an address are evidence: they go the same ways."""
    running, read, written = tried
    document = narrowed(describe(ROUTES, running.address), read, written)
    login = running.login if account else None
    problems = []
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        if number == FEW and not chosen(operation, account):
            continue
        try:
            tries(operation, running.address, login, number)()
        except (Exception, FailureGroup) as error:  # noqa: BLE001 -- every operation is tried, then all that went wrong is shown
            problems.append(f"{operation.label}: {error}")
    assert not problems, "\n\n".join(problems)
