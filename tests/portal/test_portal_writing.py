"""Writes: counters, identities, types, and what is refused whole."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests
from portal_process import COLUMNS, publish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portal_process import Running


class Writer:
    """A dataset of its own, spoken to over plain HTTP."""

    def __init__(self, portal: Running, identifier: str) -> None:
        self.address = f"{portal.address}/resource/{identifier}.json"
        self.login = portal.login

    def send(self, method: str, body: Any, content_type: str | None = "application/json") -> requests.Response:
        """One write."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if content_type else {}
        return requests.request(method, self.address, data=content, headers=headers, auth=self.login, timeout=60)

    def counters(self, method: str, body: Any) -> dict[str, int]:
        """What one write did, zeros left out."""
        answer = self.send(method, body)
        assert answer.status_code == 200, answer.text
        return {name: count for name, count in answer.json().items() if count}

    def rows(self, **parameters: str) -> list[dict[str, Any]]:
        """Every row with its system columns."""
        found: list[dict[str, Any]] = requests.get(
            self.address, params={"$$exclude_system_fields": "false", **parameters}, timeout=30
        ).json()
        return found


@pytest.fixture
def writer(portal: Running) -> Iterator[Writer]:
    """An empty public dataset."""
    with portal.client() as client:
        name = publish(client, "Written to", [])
        yield Writer(portal, name)
        client.delete(name)


def test_every_counter_is_there(writer: Writer) -> None:
    """The reply has Socrata's six counters."""
    reply = writer.send("POST", [{"id": "a"}]).json()
    names = {"Errors", "Rows Deleted", "Rows Updated", "By SID", "Rows Created", "By RowIdentifier"}
    assert (reply.keys(), sum(reply.values())) == (names, 1)


def test_upsert_creates_updates_and_deletes(writer: Writer) -> None:
    """Rows are matched by row identifier; fields not sent stay; deleting an absent row counts as an error."""
    assert writer.counters("POST", [{"id": "a", "zone": "x", "requests": 1}, {"id": "b"}]) == {"Rows Created": 2}
    before = {row["id"]: row for row in writer.rows()}
    sent = [{"id": "a", "requests": 2}, {"id": "b", ":deleted": True}, {"id": "no", ":deleted": True}, {"id": "c"}]
    assert writer.counters("POST", sent) == {
        "Rows Created": 1,
        "Rows Updated": 1,
        "Rows Deleted": 1,
        "Errors": 1,
        "By RowIdentifier": 2,
    }
    after = {row["id"]: row for row in writer.rows()}
    assert set(after) == {"a", "c"}
    assert (after["a"]["zone"], after["a"]["requests"]) == ("x", "2")
    assert after["a"][":id"] == before["a"][":id"]
    assert after["a"][":created_at"] == before["a"][":created_at"]
    assert after["a"][":updated_at"] > before["a"][":updated_at"]


def test_null_empties_a_cell(writer: Writer) -> None:
    """A null that is sent replaces what was there, in one row and not the others."""
    writer.counters("POST", [{"id": "a", "zone": "x"}, {"id": "b", "zone": "y"}])
    writer.counters("POST", [{"id": "a", "zone": None}, {"id": "b", "period": "p"}])
    assert [row.get("zone") for row in writer.rows()] == [None, "y"]


def test_replace_keeps_the_identity_of_rows(writer: Writer) -> None:
    """After a replace only the sent rows are there, by `:id`; one that was there before keeps its own."""
    writer.counters("POST", [{"id": name} for name in "abc"])
    writer.counters("POST", [{"id": "a", "zone": "same"}])
    before = {row["id"]: row for row in writer.rows()}
    assert writer.counters("PUT", [{"id": "c", "zone": "new"}, {"id": "d"}, {"id": "a", "zone": "same"}]) == {
        "Rows Created": 3
    }
    after = writer.rows()
    assert [row["id"] for row in after] == ["a", "c", "d"]
    assert after[0] == before["a"], "times and all, as no value changed"
    assert (after[1][":id"], after[1][":created_at"]) == (before["c"][":id"], before["c"][":created_at"])
    assert after[1][":updated_at"] > before["c"][":updated_at"]
    assert after[2][":id"] > max(row[":id"] for row in before.values())
    assert writer.counters("PUT", []) == {}
    assert writer.rows() == []


def test_the_last_of_two_rows_with_one_identifier_wins(writer: Writer) -> None:
    """Within one body the later row is an update of the earlier."""
    assert writer.counters("POST", [{"id": "a", "zone": "1"}, {"id": "a", "zone": "2"}]) == {
        "Rows Created": 1,
        "Rows Updated": 1,
        "By RowIdentifier": 1,
    }
    assert [row["zone"] for row in writer.rows()] == ["2"]


def test_rows_by_their_system_id(writer: Writer) -> None:
    """A body that names `:id` updates by it."""
    writer.counters("POST", [{"id": "a"}, {"id": "b"}])
    first = writer.rows()[0]
    assert writer.counters("POST", [{":id": first[":id"], "zone": "z"}]) == {"Rows Updated": 1, "By SID": 1}
    assert [row.get("zone") for row in writer.rows()] == ["z", None]


def test_bodies_come_in_several_forms(writer: Writer) -> None:
    """One bare object, no Content-Type, CSV with a byte order mark."""
    assert writer.send("POST", {"id": "a"}, None).json()["Rows Created"] == 1
    csv = '\ufeffid,zone\nb,"line\nbreak"\n'.encode()
    assert writer.send("POST", csv, "text/csv; charset=utf-8").json()["Rows Created"] == 1
    assert [row.get("zone") for row in writer.rows()] == [None, "line\nbreak"]


def test_numbers_keep_every_digit(writer: Writer) -> None:
    """Any decimal of at most 38 digits comes back as it was, however it was written; columns widen as needed."""
    sent = {"a": "0.1", "b": "-12345678901234567890.5", "c": "1e3", "d": "2.50", "e": "1E-7", "f": "+.5", "g": "0"}
    for name, text in sent.items():
        writer.counters("POST", [{"id": name, "requests": text}])
    shown = {row["id"]: row["requests"] for row in writer.rows()}
    assert shown == {
        "a": "0.1", "b": "-12345678901234567890.5", "c": "1000", "d": "2.5", "e": "0.0000001", "f": "0.5", "g": "0",
    }  # fmt: skip
    assert writer.rows(**{"$where": "requests = 0.0000001"})[0]["id"] == "e"


BAD_CELLS = [
    ("requests", "many"),
    ("requests", "NaN"),
    ("requests", "1" * 39),
    ("requests", "1,000"),
    ("period_start", "2024-13-01"),
    ("period_start", "yesterday"),
    ("period_start", "infinity"),
    ("open", "perhaps"),
    ("place", "POINT (a b)"),
    ("place", {"type": "Polygon", "coordinates": []}),
]


@pytest.mark.parametrize(("field", "value"), BAD_CELLS)
def test_a_cell_of_the_wrong_type_refuses_the_whole_body(writer: Writer, field: str, value: Any) -> None:
    """Nothing is written, and the message names column and row but not the value."""
    answer = writer.send("POST", [{"id": "a"}, {"id": "b", field: value}])
    assert (answer.status_code, answer.json()["code"]) == (400, "soda.column.maltyped")
    assert field in answer.json()["message"]
    assert str(value) not in answer.json()["message"]
    assert writer.rows() == []


BAD_BODIES = [
    (b"[{]", "application/json", "invalid_request"),
    (b"[1, 2]", "application/json", "invalid_request"),
    (b'"text"', "application/json", "invalid_request"),
    (b"[" * 100_000, "application/json", "invalid_request"),
    (b'[{"id": "a", "nothing": 1}]', "application/json", "soda.row.column-not-found"),
    (b'[{"zone": "a"}]', "application/json", "soda.row.missing-identifier"),
    (b'[{"id": null}]', "application/json", "soda.row.missing-identifier"),
    (b'[{"id": "\\ud800"}]', "application/json", "invalid_request"),
    (b"id,zone\na\n", "text/csv", "invalid_request"),
    (b"id,id\na,b\n", "text/csv", "invalid_request"),
    (b"id,zone\n\xff,x\n", "text/csv", "invalid_request"),
    (b"", "text/csv", "invalid_request"),
]


@pytest.mark.parametrize(("body", "kind", "code"), BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_a_body_that_cannot_be_read_is_refused(writer: Writer, body: bytes, kind: str, code: str) -> None:
    """Broken JSON and CSV, unknown columns, rows without identifier: 400 with a code, and no row."""
    answer = writer.send("POST", body, kind)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert writer.rows() == []


def test_a_body_that_is_too_large_is_refused(writer: Writer) -> None:
    """413 in JSON, heard by a client that sends everything first."""
    answer = writer.send("POST", b"[" + b" " * (65 * 1024 * 1024) + b"]")
    assert (answer.status_code, answer.json()["code"]) == (413, "req.body.too-large")


def test_a_body_may_be_compressed(writer: Writer) -> None:
    """gzip in; what is not gzip, ends early, unfolds beyond the limit or is compressed otherwise is refused."""

    def sent(content: bytes, encoding: str = "gzip") -> requests.Response:
        headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
        return requests.post(writer.address, data=content, headers=headers, auth=writer.login, timeout=60)

    small = gzip.compress(b'[{"id": "a"}]')
    assert sent(small).json()["Rows Created"] == 1
    assert sent(b"[]", "identity").status_code == 200
    assert [sent(content).status_code for content in (b"[]", small[:-9])] == [400, 400]
    assert sent(gzip.compress(b" " * (65 * 1024 * 1024))).json()["code"] == "req.body.too-large"
    assert sent(small, "br").status_code == 415
    assert [row["id"] for row in writer.rows()] == ["a"]


def test_a_replace_by_system_id_keeps_it(portal: Running) -> None:
    """Without a row identifier of its own, a dataset's rows are known by `:id`, in a replace too."""
    with portal.client() as client:
        name = client.create("By :id", columns=[{"fieldName": "a", "name": "a"}])["id"]
        client.upsert(name, [{"a": "1"}, {"a": "2"}])
        first, second = client.get(name, exclude_system_fields="false")
        client.replace(name, [{":id": second[":id"], "a": "2"}, {":id": first[":id"], "a": "x"}, {"a": "3"}])
        after = client.get(name, exclude_system_fields="false")
        assert [row["a"] for row in after] == ["x", "2", "3"]
        assert (after[0][":id"], after[1]) == (first[":id"], second)
        assert client.upsert(name, [{":id": first[":id"], ":deleted": True}])["Rows Deleted"] == 1
        client.delete(name)


def test_field_names_that_the_store_uses_itself(portal: Running) -> None:
    """Columns may be called deleted, place, rows or select."""
    words = "deleted place rows select order line q position sent part matched filename latest stored raw"
    names = words.split()
    columns = [{"fieldName": name, "name": name, "dataTypeName": "text"} for name in names]
    with portal.client() as client:
        view = client.create("Awkward names", columns=columns, row_identifier="deleted")
        client.upsert(view["id"], [dict.fromkeys(names, "x"), dict.fromkeys(names, "y")])
        client.upsert(view["id"], [{"deleted": "y", ":deleted": True}])
        assert client.get(view["id"]) == [dict.fromkeys(names, "x")]
        assert client.get(view["id"], select="`select`,`order`", where="`rows`='x' and deleted='x'")
        client.delete(view["id"])


def test_a_column_can_be_added_later(portal: Running) -> None:
    """It is empty in the rows that are there, and can be filled."""
    with portal.client() as client:
        name = publish(client, "Growing", [{"id": "a"}])
        added = requests.post(
            f"{portal.address}/api/views/{name}/columns",
            json={"name": "New one", "dataTypeName": "number"},
            auth=portal.login,
            timeout=30,
        ).json()
        assert added["fieldName"] == "new_one"
        assert client.get(name) == [{"id": "a"}]
        client.upsert(name, [{"id": "b", "new_one": 3}])
        assert client.get(name, where="new_one > 2") == [{"id": "b", "new_one": "3"}]
        client.delete(name)


def test_every_type_comes_back_as_it_was(portal: Running) -> None:
    """Each column type, from JSON and as WKT."""
    polygon = {"type": "MultiPolygon", "coordinates": [[[[0, 0], [1, 0], [1, 1], [0, 0]]]]}
    values: dict[str, Any] = {
        "text": 'q"u\\ote\n€',
        "checkbox": True,
        "calendar_date": "2024-02-29T13:14:15.678",
        "date": "2024-02-29T13:14:15.678Z",
        "url": {"url": "https://example.org/a?b=c", "description": "d"},
        "multipolygon": polygon,
        "line": {"type": "LineString", "coordinates": [[0, 0], [1.5, -2]]},
    }
    columns = [{"fieldName": f"c_{kind}", "name": kind, "dataTypeName": kind} for kind in values]
    row = {f"c_{kind}": value for kind, value in values.items()}
    with portal.client() as client:
        view = client.create("Every type", columns=columns)
        client.upsert(view["id"], [row, {"c_multipolygon": "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)))"}])
        first, second = client.get(view["id"])
        assert first == row
        assert second == {"c_multipolygon": polygon}
        table = client.get(view["id"], content_type="csv")
        assert table[1][-2:] == ["MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)))", "LINESTRING (0 0, 1.5 -2)"]
        client.delete(view["id"])


def test_creating_needs_sound_columns(portal: Running) -> None:
    """A name twice, an unknown type, an identifier that is no column: one clear message each."""

    def refused(**payload: Any) -> str:
        address = f"{portal.address}/api/views.json"
        answer = requests.post(address, json={"name": "x"} | payload, auth=portal.login, timeout=30)
        assert answer.status_code == 400
        message: str = answer.json()["message"]
        return message

    assert "same field name" in refused(columns=[COLUMNS[0], COLUMNS[0]])
    assert "columns.0" in refused(columns=[{"fieldName": "a", "dataTypeName": "blob"}])
    assert "field name" in refused(columns=[{"fieldName": "a b", "dataTypeName": "text"}])
    assert "rowIdentifier" in refused(columns=COLUMNS, metadata={"rowIdentifier": "nope"})
    assert "reserved" in refused(columns=[{"fieldName": "File_Index"}])
    assert "columns.0.position" in refused(columns=[{"fieldName": "a", "position": 10**30}])
    assert "custom_fields" in refused(metadata={"custom_fields": "x"})
    assert "name" in refused(name=None)


def test_changes_at_the_same_moment_are_all_kept(portal: Running) -> None:
    """Of sets of custom fields that several send at once none is lost."""
    with portal.client() as client:
        identifier = publish(client, "Described by many", [])
        address = f"{portal.address}/api/views/metadata/v1/{identifier}"

        def described(number: int) -> int:
            sent = {"customFields": {f"Set {number}": {"field": "x"}}}
            return requests.patch(address, json=sent, auth=portal.login, timeout=30).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(described, range(24))) == {200}
        found = requests.get(address, timeout=30).json()["customFields"]
        client.delete(identifier)
    assert set(found) == {f"Set {number}" for number in range(24)}


def test_a_row_identifier_is_set_or_twins_come(portal: Running) -> None:
    """Whichever of both is first, a dataset never has a row identifier that two of its rows share."""
    columns = [{"fieldName": "id", "name": "id", "dataTypeName": "text"}]
    with portal.client() as client, ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            name = client.create("Twins", columns=columns)["id"]
            client.upsert(name, [{"id": str(number)} for number in range(2000)])
            change = {"metadata": {"rowIdentifier": "id"}}
            address = f"{portal.address}/api/views/{name}.json"
            keyed = pool.submit(requests.put, address, json=change, auth=portal.login, timeout=30)
            pool.submit(client.upsert, name, [{"id": "5"}, {"id": "5"}]).result()
            counted = client.get(name, select="count(*) as rows, count(distinct id) as different")[0]
            assert (keyed.result().status_code == 200) == (counted["rows"] == counted["different"])
            client.delete(name)


def test_a_column_is_described_and_deleted(portal: Running) -> None:
    """Name, description and place change; field name and type do not; a deleted column takes its values along."""
    with portal.client() as client:
        name = publish(client, "With columns", [{"id": "a", "zone": "x", "requests": 1}])
        ids = {column["fieldName"]: column["id"] for column in client.get_metadata(name)["columns"]}

        def call(method: str, field: str, **body: Any) -> requests.Response:
            address = f"{portal.address}/api/views/{name}/columns/{ids[field]}.json"
            return requests.request(method, address, json=body, auth=portal.login, timeout=30)

        changed = call("PUT", "zone", name="Ward", description="Where").json()
        assert (changed["name"], changed["description"], changed["fieldName"]) == ("Ward", "Where", "zone")
        assert call("GET", "zone").json() == changed
        assert call("PUT", "zone", dataTypeName="number").status_code == 400
        assert call("PUT", "zone", fieldName="other").status_code == 400
        assert call("DELETE", "zone").status_code == 200
        assert call("DELETE", "zone").json()["code"] == "column.missing"
        assert client.get(name) == [{"id": "a", "requests": "1"}]
        requests.post(
            f"{portal.address}/api/views/{name}/columns", json={"name": "zone"}, auth=portal.login, timeout=30
        )
        assert client.get(name) == [{"id": "a", "requests": "1"}], "the values do not come back with the name"
        assert call("DELETE", "id").status_code == 200
        assert "rowIdentifierColumnId" not in client.get_metadata(name)
        assert client.upsert(name, [{"requests": 2}])["Rows Created"] == 1
        client.delete(name)


@pytest.mark.parametrize("method", ["copy", "copySchema"])
def test_a_working_copy_replaces_its_original(portal: Running, method: str) -> None:
    """Changed in peace, then published: the original's 4x4, the copy's columns and rows, and the rows' identities."""
    with portal.client() as client:
        name = publish(client, "Published", [{"id": "a", "zone": "x"}, {"id": "b", "zone": "y"}])
        before = {row["id"]: row for row in client.get(name, exclude_system_fields="false")}
        address = f"{portal.address}/api/views/{name}/publication.json?method={method}"
        copy = requests.post(address, auth=portal.login, timeout=30).json()
        assert (copy["publicationStage"], copy["workingCopyOf"]) == ("unpublished", name)
        assert copy["id"] != name
        draft = copy["id"]
        assert [row["id"] for row in client.get(draft)] == (["a", "b"] if method == "copy" else [])
        client.upsert(draft, [{"id": "b", "zone": "new"}, {"id": "a", "zone": "x"}, {"id": "c"}])
        client.update_metadata(draft, {"name": "Published again"})
        zone = next(column["id"] for column in copy["columns"] if column["fieldName"] == "place")
        requests.delete(f"{portal.address}/api/views/{draft}/columns/{zone}", auth=portal.login, timeout=30)
        assert client.get(name, where="id = 'b'")[0]["zone"] == "y", "the original is as it was"
        assert client.publish(draft)["id"] == name
        after = {row["id"]: row for row in client.get(name, exclude_system_fields="false")}
        assert set(after) == {"a", "b", "c"}
        assert [after[each][":id"] for each in "ab"] == [before[each][":id"] for each in "ab"]
        assert after["b"]["zone"] == "new"
        view = client.get_metadata(name)
        assert (view["name"], bool(view["grants"])) == ("Published again", True)
        assert "place" not in {column["fieldName"] for column in view["columns"]}
        with pytest.raises(requests.HTTPError, match="404"):
            client.get_metadata(draft)
        client.delete(name)


def test_permissions_are_read_and_set(portal: Running) -> None:
    """PUT of the scope shares and closes; nonsense is refused."""
    with portal.client() as client:
        name = publish(client, "Shared", [])
        address = f"{portal.address}/api/views/{name}/permissions.json"
        for scope in ("private", "public"):
            put = requests.put(address, json={"scope": scope}, auth=portal.login, timeout=30)
            assert (put.status_code, put.json()["scope"]) == (200, scope)
            assert requests.get(address, auth=portal.login, timeout=30).json() == put.json()
            assert bool(client.get_metadata(name)["grants"]) == (scope == "public")
        assert requests.put(address, json={"scope": "all"}, auth=portal.login, timeout=30).status_code == 400
        client.delete(name)
