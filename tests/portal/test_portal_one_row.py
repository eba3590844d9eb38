"""One row changed by its own address, as soda-js does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests
from portal_process import publish

if TYPE_CHECKING:
    from portal_process import Running

ROW = {"id": "a.b", "zone": "Nord", "requests": "12345678901234567890.12"}


@pytest.fixture(scope="module")
def address(portal: Running) -> str:
    """Where the one row of a dataset is."""
    with portal.client() as client:
        return f"{portal.address}/resource/{publish(client, 'One row', [ROW])}/a.b"


def test_cells_are_changed_and_rows_replaced(address: str, portal: Running) -> None:
    """POST keeps the cells that it does not name, PUT empties them; the identifier is the address's, numbers whole."""
    changed = requests.post(address, json={"zone": "Süd", "id": "other"}, auth=portal.login, timeout=30)
    assert changed.json()["Rows Updated"] == 1
    assert requests.get(address + ".json", timeout=30).json() == ROW | {"zone": "Süd"}
    body = '{"requests": 98765432109876543210.5}'
    replaced = requests.put(address, data=body, auth=portal.login, timeout=30)
    assert replaced.json()["Rows Updated"] == 1
    assert requests.get(address + ".json", timeout=30).json() == {"id": "a.b", "requests": "98765432109876543210.5"}


@pytest.mark.parametrize(
    ("body", "code"), [("[]", "invalid_request"), ("{", "invalid_request"), ("[" * 50_000, "invalid_request")]
)
def test_what_is_no_row_is_refused(address: str, portal: Running, body: str, code: str) -> None:
    """A list, half an object and an endless nest are 400."""
    answer = requests.post(address, data=body, auth=portal.login, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_a_row_that_is_not_there_cannot_be_changed(address: str, portal: Running) -> None:
    """404 for another identifier; 403 without a login, whether the row is there or not."""
    other = address.removesuffix("a.b") + "c"
    assert requests.post(other, json={}, auth=portal.login, timeout=30).json()["code"] == "row.missing"
    assert requests.post(address, json={}, timeout=30).status_code == 403
    assert requests.put(other, json={}, timeout=30).status_code == 403


def test_an_identifier_may_begin_as_system_ids_do(portal: Running) -> None:
    """A row identifier that begins with `row-`, or even looks like an `:id`, leads to its row; so does the `:id`."""
    names = ["row-1", "row-aaaa.aaaa~aaaa"]
    with portal.client() as client:
        address = f"{portal.address}/resource/{publish(client, 'Named like ids', [{'id': name} for name in names])}"
    for name in names:
        assert requests.get(f"{address}/{name}.json", timeout=30).json() == {"id": name}
    system = requests.get(f"{address}.json?$select=:id&$where=id='row-1'", timeout=30).json()[0][":id"]
    assert requests.get(f"{address}/{system}.json", timeout=30).json() == {"id": "row-1"}
    assert requests.get(f"{address}/row-2222.2222~zzzz.json", timeout=30).status_code == 404
