"""Datasets made and changed through revisions, with socrata-py as it is, over HTTPS."""

from __future__ import annotations

import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests
from certificates import write_certificate
from portal_process import publish, start, stop
from socrata import Socrata
from socrata.authorization import Authorization
from socrata.http import UnexpectedResponseException
from socrata.resource import ResourceFailedException

from publisher.portal.base.kinds import Kind
from publisher.portal.base.problems import SodaError
from publisher.portal.revisions.transforms import DEEPEST, LONGEST_SQL, Steps, compiled
from publisher.portal.revisions.uploads import Layout, named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from portal_process import Running

CSV = b"""Id,Opened on,Requests,Zip,Open?,Lat,Lon,Empty
a,2024-01-02,1.50,02134,true,38.5,-90.25,
b,2024-01-03T04:05:06,1e2,63101,false,39,-91,
c,,,,,,,
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate and its key."""
    return write_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def secure(portal: Running, certificate: tuple[Path, Path]) -> Iterator[Running]:
    """Another process on the same store, which speaks HTTPS: socrata-py speaks nothing else."""
    chain, key = certificate
    running = start(portal.state, "--tls-certificate", str(chain), "--tls-key", str(key))
    yield running
    stop(running)


@pytest.fixture(scope="module")
def socrata(secure: Running, certificate: tuple[Path, Path]) -> Socrata:
    """socrata-py, logged in."""
    auth = Authorization(secure.address.removeprefix("https://"), *secure.login)
    auth.verify = str(certificate[0])
    return Socrata(auth)


def applied(revision: Any, output: Any = None) -> Any:
    """The job of a revision, once it has ended."""
    return revision.apply(output_schema=output).wait_for_finish(sleeptime=0.05)


def rows(portal: Running, identifier: str, **asked: str) -> list[dict[str, Any]]:
    """What the dataset holds, through the process that was not written to."""
    address = f"{portal.address}/resource/{identifier}.json"
    answer = requests.get(address, params={"$order": ":id", **asked}, auth=portal.login, timeout=30)
    found: list[dict[str, Any]] = answer.json()
    assert answer.status_code == 200, found
    return found


def ids(portal: Running, identifier: str) -> dict[str, str]:
    """`:id` of each row by its id."""
    return {row["id"]: row[":id"] for row in rows(portal, identifier, **{"$select": ":id, id"})}


@pytest.fixture
def made(portal: Running, socrata: Socrata) -> Iterator[str]:
    """The 4x4 of a public dataset of three rows, made from CSV by a revision, with `id` as its row identifier."""
    revision, output = socrata.create(name="From a revision", description="Made here").csv(io.BytesIO(CSV), "made.csv")
    revision.update({"action": {"permission": "public"}})
    applied(revision, output.set_row_id("id"))
    yield revision.view_id()
    with portal.client() as client:
        client.delete(revision.view_id())


def test_a_dataset_is_made_from_csv(portal: Running, socrata: Socrata, web: requests.Session) -> None:
    """Columns are guessed from the values, a leading zero keeps a text; the view is there once the job has ended."""
    revision, output = socrata.create(name="New here").csv(io.BytesIO(CSV), "new.csv")
    assert [column["field_name"] for column in output.attributes["output_columns"]] == [
        "id", "opened_on", "requests", "zip", "open", "lat", "lon", "empty",
    ]  # fmt: skip
    assert [column["transform"]["output_soql_type"] for column in output.attributes["output_columns"]] == [
        "text", "floating_timestamp", "number", "text", "checkbox", "number", "number", "text",
    ]  # fmt: skip
    assert output.attributes["error_count"] == 0
    assert not output.any_errors()
    assert (output.rows()[1]["requests"], output.rows()[1]["open"]) == ({"ok": "100"}, {"ok": False})
    name = revision.view_id()
    assert web.get(f"{portal.address}/resource/{name}.json").status_code == 403
    assert [step["type"] for step in revision.plan()] == [
        *("prepare_draft_for_import", "set_schema", "apply_metadata", "upsert_task", "set_display_type", "publish"),
        "wait_for_replication",
    ]
    job = applied(revision, output)
    assert job.attributes["status"] == "successful"
    assert revision.show().attributes["state"] == "applied"
    assert [task["status"] for task in revision.attributes["task_sets"]] == ["successful"]
    assert rows(portal, name) == [
        {"id": "a", "opened_on": "2024-01-02T00:00:00.000", "requests": "1.5", "zip": "02134", "open": True,
         "lat": "38.5", "lon": "-90.25"},
        {"id": "b", "opened_on": "2024-01-03T04:05:06.000", "requests": "100", "zip": "63101", "open": False,
         "lat": "39", "lon": "-91"},
        {"id": "c"},
    ]  # fmt: skip
    view = socrata.views.lookup(name)
    assert (view.attributes["name"], view.attributes["publicationStage"]) == ("New here", "published")
    assert [column["name"] for column in view.attributes["columns"]][1:3] == ["Opened on", "Requests"]
    assert view.delete() == (True, {})


def test_a_replace_revision_keeps_the_identity_of_rows(portal: Running, socrata: Socrata, made: str) -> None:
    """The new file's rows and columns, the old rows' `:id`, and the metadata of the revision, all at once."""
    before = ids(portal, made)
    view = socrata.views.lookup(made)
    revision = view.revisions.create_replace_revision(metadata={"name": "Replaced", "tags": ["new"]})
    content = b"Id,Requests,More\nd,4,x\nb,2,y\n"
    source = revision.create_upload("second.csv").csv(io.BytesIO(content))
    output = source.get_latest_input_schema().get_latest_output_schema()
    assert [column["is_primary_key"] for column in output.attributes["output_columns"]] == [True, False, False]
    applied(revision, output)
    assert rows(portal, made) == [{"id": "b", "requests": "2", "more": "y"}, {"id": "d", "requests": "4", "more": "x"}]
    after = ids(portal, made)
    assert after["b"] == before["b"]
    assert after["d"] > max(before.values())
    view = socrata.views.lookup(made)
    assert (view.attributes["name"], view.attributes["tags"]) == ("Replaced", ["new"])
    assert view.attributes["description"] == "Made here"
    assert view.attributes["metadata"]["rowIdentifier"] == "id"


def test_update_and_delete_revisions_work_by_row_identifier(portal: Running, socrata: Socrata, made: str) -> None:
    """An update changes and adds rows, columns not sent stay; a delete removes the rows that it names."""
    before, revisions = ids(portal, made), socrata.views.lookup(made).revisions
    update = revisions.create_update_revision()
    source = update.create_upload("update.csv").csv(io.BytesIO(b"Requests,Id,Unknown\n7,a,?\n8,z,?\n"))
    applied(update, source.get_latest_input_schema().get_latest_output_schema())
    changed = {row["id"]: row for row in rows(portal, made)}
    assert (changed["a"]["requests"], changed["a"]["zip"], changed["z"]["requests"]) == ("7", "02134", "8")
    assert ids(portal, made)["a"] == before["a"]
    delete = revisions.create_delete_revision()
    source = delete.create_upload("delete.csv").csv(b"id\na\nb\n")
    applied(delete, source.get_latest_input_schema().get_latest_output_schema())
    assert set(ids(portal, made)) == {"c", "z"}
    assert [each.attributes["action"]["type"] for each in revisions.list()] == ["update", "update", "delete"]
    assert revisions.lookup(1).attributes["state"] == "applied"


def test_cells_that_cannot_be_read_are_shown(portal: Running, socrata: Socrata, made: str) -> None:
    """The schema counts them, gives their rows as JSON and CSV, and imports null in their place or no such row."""
    content = b"Id,Requests,Opened on\nok,1,2024-05-05\nbad,many,never\n"
    revisions = socrata.views.lookup(made).revisions
    for behavior, there in (("import_null", {"ok", "bad"}), ("reject_row", {"ok"})):
        revision = revisions.create_replace_revision()
        revision.update({"action": {"error_behavior": behavior}})
        source = revision.create_upload("bad.csv").csv(io.BytesIO(content))
        output = source.get_latest_input_schema().get_latest_output_schema()
        assert output.any_errors()
        assert output.attributes["error_count"] == 2
        (wrong,) = output.schema_errors()
        assert wrong["id"] == {"ok": "bad"}
        assert wrong["requests"]["error"] == {
            "message": "Unable to convert to number",
            "inputs": {"arg0": {"ok": "many"}},
        }
        assert output.schema_errors_csv().text == (
            "id,opened_on,requests,errors\n"
            "bad,never,many,requests: Unable to convert to number; opened_on: Unable to convert to floating_timestamp\n"
        )
        applied(revision, output)
        assert set(ids(portal, made)) == there
    assert rows(portal, made, **{"$where": "id = 'ok'"})[0]["requests"] == "1"


def test_columns_are_changed_on_the_way(portal: Running, socrata: Socrata) -> None:
    """Added, dropped, renamed and read otherwise; the row identifier is validated before it is set."""
    revision, output = socrata.create(name="Transformed").csv(io.BytesIO(CSV), "t.csv")
    output = (
        output.change_column_metadata("opened_on", "field_name").to("day")
        .change_column_metadata("id", "description").to("One for each")
        .change_column_transform("open").to("to_text(`open`)")
        .add_column("place", "Place", "make_point(`lat`, `lon`)", "Where")
        .drop_column("empty")
        .run()
    )  # fmt: skip
    assert not output.validate_row_id("open")
    assert output.validate_row_id("id")
    output = output.set_row_id("id")
    applied(revision, output)
    first, second, third = rows(portal, revision.view_id())
    assert first["place"] == {"type": "Point", "coordinates": [-90.25, 38.5]}
    assert (first["open"], first["day"]) == ("true", "2024-01-02T00:00:00.000")
    assert "place" in second
    assert third == {"id": "c"}
    view = socrata.views.lookup(revision.view_id())
    columns = {column["fieldName"]: column for column in view.attributes["columns"]}
    assert set(columns) == {"id", "day", "requests", "zip", "open", "lat", "lon", "place"}
    assert (columns["id"]["description"], columns["place"]["dataTypeName"]) == ("One for each", "point")
    view.delete()


def test_a_configuration_does_it_again(portal: Running, socrata: Socrata, made: str) -> None:
    """Built from an output schema, then used: the same columns come out of the next file by themselves."""
    revision = socrata.views.lookup(made).revisions.create_replace_revision()
    source = revision.create_upload("one.csv").csv(io.BytesIO(b"key,n\na,1\nb,2\n"))
    output = source.get_latest_input_schema().get_latest_output_schema()
    output = output.change_column_transform("n").to("to_text(`n`)").run().set_row_id("key")
    config = output.build_config("nightly", "replace")
    assert config.attributes["columns"][1]["transform_expr"] == "to_text(`n`)"
    view = socrata.views.lookup(made)
    _, job = socrata.using_config("nightly", view).csv(io.BytesIO(b"key,n\nc,03\n"), "two.csv")
    job.wait_for_finish(sleeptime=0.05)
    assert rows(portal, made) == [{"key": "c", "n": "03"}]
    assert [each.attributes["name"] for each in socrata.configs.list()] == ["nightly"]
    changed = config.change_parse_option("column_separator").to(";").run()
    assert changed.attributes["parse_options"]["column_separator"] == ";"
    assert config.create_revision(made).attributes["action"]["type"] == "replace"
    config.delete()
    assert socrata.configs.list() == []
    sent = {"field_name": "foo", "display_name": "Foo", "transform_expr": "to_number(`foo`)"}
    made_alone = socrata.configs.create("plain", "update", parse_options={"header_count": 2}, columns=[sent])
    assert made_alone.attributes["parse_options"] == {
        "encoding": "utf8", "header_count": 2, "column_header": 1, "quote_char": '"', "parse_source": True,
        "column_separator": ",", "remove_empty_rows": True, "trim_whitespace": True,
    }  # fmt: skip
    assert made_alone.attributes["columns"] == [
        sent | {"format": {}, "description": "", "is_primary_key": None, "flags": []}
    ]
    made_alone.delete()


def test_a_small_workbook_that_unpacks_to_any_size_is_refused(socrata: Socrata, tmp_path: Path) -> None:
    """Two cells that are far apart make a sheet of 17 billion cells; it is read in a child, and the portal goes on."""
    import openpyxl

    book = openpyxl.Workbook()
    assert book.active is not None
    book.active["A1"] = "Name"
    book.active["XFD1048576"] = "x"
    book.save(tmp_path / "book.xlsx")
    assert (tmp_path / "book.xlsx").stat().st_size < 6000
    upload = socrata.new({"name": "Far apart"}).create_upload("book.xlsx")
    source = upload.xlsx((tmp_path / "book.xlsx").read_bytes())
    assert "too large to be read" in str(source.attributes["failure_details"])


def test_files_of_other_kinds(portal: Running, socrata: Socrata, tmp_path: Path) -> None:
    """TSV, a workbook, a data frame, and a CSV with another separator, encoding and head, read anew when told so."""
    import openpyxl
    import pandas

    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["Name", "Number", "Day"])
    book.active.append(["x", 3, pandas.Timestamp("2024-02-03").to_pydatetime()])
    book.save(tmp_path / "book.xlsx")
    sent = [
        lambda upload: upload.tsv(b"Name\tNumber\tDay\nx\t3\t2024-02-03\n"),
        lambda upload: upload.xlsx((tmp_path / "book.xlsx").read_bytes()),
        lambda upload: upload.df(pandas.DataFrame({"Name": ["x"], "Number": [3], "Day": ["2024-02-03"]})),
    ]
    with portal.client() as client:
        name = publish(client, "Of several kinds", [])
        for send in sent:
            revision = socrata.views.lookup(name).revisions.create_replace_revision()
            source = send(revision.create_upload("file"))
            applied(revision, source.get_latest_input_schema().get_latest_output_schema())
            assert rows(portal, name) == [{"name": "x", "number": "3", "day": "2024-02-03T00:00:00.000"}]
        revision = socrata.views.lookup(name).revisions.create_replace_revision()
        source = revision.create_upload("odd.csv").csv("A title\nName;Größe\nx;ü\n".encode("latin-1"))
        assert source.attributes["failed_at"]
        for option, value in {
            "header_count": 2, "column_header": 2, "encoding": "latin-1", "column_separator": ";",
        }.items():  # fmt: skip
            source = source.change_parse_option(option).to(value)
        source = source.run()
        applied(revision, source.get_latest_input_schema().get_latest_output_schema())
        assert rows(portal, name) == [{"name": "x", "gr_e": "ü"}]
        client.delete(name)


def test_the_rows_that_are_there_are_a_source(portal: Running, socrata: Socrata) -> None:
    """A column leaves through a view source; rows without an identifier of theirs keep `:id` too."""
    with portal.client() as client:
        view = client.create("Without key", columns=[{"fieldName": name, "name": name} for name in ("id", "gone")])
        name = view["id"]
        client.upsert(name, [{"id": "a", "gone": "x"}, {"id": "b", "gone": "y"}])
        client.publish(name)
        before = ids(portal, name)
        revision = socrata.views.lookup(name).revisions.create_replace_revision()
        source = revision.source_from_dataset()
        output = source.get_latest_input_schema().get_latest_output_schema().drop_column("gone").run()
        applied(revision, output)
        assert ids(portal, name) == before
        assert rows(portal, name) == [{"id": "a"}, {"id": "b"}]
        client.delete(name)


def test_a_file_that_is_not_read(portal: Running, socrata: Socrata) -> None:
    """`source_as_blob` makes the dataset the file itself."""
    revision = socrata.new({"name": "A plan"})
    source = revision.source_as_blob("plan.bin").blob(io.BytesIO(b"\x00plan"))
    assert source.attributes["finished_at"]
    applied(revision)
    view = socrata.views.lookup(revision.view_id())
    assert (view.attributes["displayType"], view.attributes["blobFilename"]) == ("blob", "plan.bin")
    address = f"{portal.address}/api/assets/{view.attributes['blobId']}"
    assert requests.get(address, auth=portal.login, timeout=30).content == b"\x00plan"
    view.delete()


def test_revisions_are_discarded_restored_and_described(portal: Running, socrata: Socrata, made: str) -> None:
    """A discarded one cannot be applied until it is restored; one without rows changes the description alone."""
    revision = socrata.views.lookup(made).revisions.create_replace_revision(metadata={"description": "Anew"})
    revision.set_notes("why")
    revision.discard()
    with pytest.raises(UnexpectedResponseException, match="discarded"):
        revision.apply()
    assert revision.restore().attributes["state"] == "open"
    applied(revision.show())
    assert revision.show().attributes["notes"] == "why"
    with pytest.raises(UnexpectedResponseException, match="cannot be restored"):
        revision.restore()
    assert socrata.views.lookup(made).attributes["description"] == "Anew"
    assert len(rows(portal, made)) == 3


def test_a_failed_job_says_why_and_changes_nothing(portal: Running, socrata: Socrata, made: str) -> None:
    """Another type for a column there is, and rows without identifier: failure in words, and the old rows."""
    before = rows(portal, made)
    for content, words in ((b"id,zip\nx,1\n", "has the type text, not number"), (b"id,zip\n,1\n", "row identifier")):
        revision = socrata.views.lookup(made).revisions.create_update_revision()
        output = revision.create_upload("x.csv").csv(content).get_latest_input_schema().get_latest_output_schema()
        if "not" in words:
            output = output.change_column_transform("zip").to("to_number(`zip`)").run()
        with pytest.raises(ResourceFailedException, match=words):
            applied(revision, output)
        assert revision.show().attributes["state"] == "open"
    assert rows(portal, made) == before


def test_chunks_come_in_any_order_and_twice(portal: Running, socrata: Socrata) -> None:
    """A chunk sent again takes its place; a missing one is said; a loose source joins a revision later."""
    source = socrata.sources.create_upload("chunks.csv")
    source.initiate("text/csv")
    source.chunk(1, 5, b"1\nb,")
    source.chunk(0, 0, b"a,b\nX")
    commit = f"{portal.address}/api/publishing/v1/source/{source.attributes['id']}/commit/2/11"
    refused = requests.post(commit, auth=portal.login, timeout=30)
    assert (refused.status_code, "after byte 9 of 11" in refused.json()["message"]) == (400, True)
    source.chunk(2, 9, b"2\n")
    source.chunk(0, 0, b"a,b\n,")
    source.commit(2, 11)
    source = source.show()
    assert source.input_schemas[0].attributes["total_rows"] == 2
    revision = socrata.new({"name": "Joined later"})
    source = source.add_to_revision(revision)
    output = source.get_latest_input_schema().get_latest_output_schema()
    applied(revision, output)
    assert rows(portal, revision.view_id()) == [{"b": "1"}, {"a": "b", "b": "2"}]
    socrata.views.lookup(revision.view_id()).delete()


def test_what_cannot_be_is_refused(portal: Running, socrata: Socrata, made: str, web: requests.Session) -> None:
    """Visitors, unknown things, foreign schemas, addresses elsewhere and transforms that are none: 4xx with words."""
    base = f"{portal.address}/api/publishing/v1"
    for method, path in (
        ("POST", "revision"), ("GET", f"revision/{made}"), ("GET", "source/1"), ("POST", "source/1/chunk/0/0"),
        ("GET", "config"), ("PUT", f"revision/{made}/0/apply"),
    ):  # fmt: skip
        assert web.request(method, f"{base}/{path}", json={}).status_code == 403, path
    for path in ("revision/zzzz-zzzz", f"revision/{made}/99", "source/999999", "source/x", "config/none"):
        assert requests.get(f"{base}/{path}", auth=portal.login, timeout=30).status_code == 404, path
    revision = socrata.views.lookup(made).revisions.create_replace_revision()
    with pytest.raises(UnexpectedResponseException, match="does not fetch files from other sites"):
        revision.source_from_url("http://127.0.0.1/")
    output = revision.create_upload("x.csv").csv(b"a\n1\n").get_latest_input_schema().get_latest_output_schema()
    for expression in (
        "to_number(`b`)",
        "system('x')",
        "to_number(a",
        "a + 1",
        "to_number(a, a)",
        "",
        "now()",
        "sum(a)",
    ):
        with pytest.raises(UnexpectedResponseException, match="cannot be used"):
            output.change_column_transform("a").to(expression).run()
    other = socrata.views.lookup(made).revisions.create_replace_revision()
    with pytest.raises(UnexpectedResponseException, match="another revision"):
        other.apply(output_schema=output)
    with pytest.raises(UnexpectedResponseException, match="name"):
        socrata.new({})
    failed = other.create_upload("x.csv").csv(b"a,b\n1\n")
    assert "same number of cells" in failed.attributes["failure_details"]
    huge = requests.post(f"{base}/revision/{made}", json={"output_schema_id": 10**30}, auth=portal.login, timeout=30)
    assert (huge.status_code, "output_schema_id" in huge.json()["message"]) == (400, True)
    assert "not a zipped Shapefile" in other.create_upload("x.zip").shapefile(b"PK").attributes["failure_details"]


def test_what_socrata_pys_own_tests_expect(portal: Running, secure: Running, socrata: Socrata, made: str) -> None:
    """A text with a blank first line, files of shapes, the link `bytes`, sums in transforms, and a view's scope."""
    view = socrata.views.lookup(made)
    revision = view.revisions.create_replace_revision(permission="private")
    source = revision.create_upload("text.csv").csv("\n        a, b,c\n        1, b,2\n        4, b,5\n        ")
    output = source.get_latest_input_schema().get_latest_output_schema()
    output = (
        output.change_column_transform("b").to("`b` || 'foo'")
        .change_column_transform("c").to("to_number(`c`) + 7")
        .add_column("aa", "A+A", "to_number(`a`) + to_number(`a`)", "twice")
        .run()
    )  # fmt: skip
    assert [{name: cell["ok"] for name, cell in row.items()} for row in output.rows()] == [
        {"a": "1", "b": "bfoo", "c": "9", "aa": "2"}, {"a": "4", "b": "bfoo", "c": "12", "aa": "8"},
    ]  # fmt: skip
    assert {step["type"] for step in revision.plan()} >= {"set_schema", "apply_metadata", "publish", "set_permission"}
    applied(revision, output)
    revision.discard()
    assert revision.show().attributes["state"] == "applied"
    assert view.show().attributes["permissions"]["scope"] == "private"
    address = f"{portal.address}/id/{made}"
    answer = requests.get(address, headers={"Accept": "application/json"}, auth=portal.login, timeout=30)
    assert [row["aa"] for row in answer.json()] == ["2", "8"]
    view_source = view.revisions.create_replace_revision().source_from_dataset()
    more = view_source.get_latest_input_schema().get_latest_output_schema().add_column("d", "D", "a + 5").run()
    assert [row["d"] for row in more.rows()] == [{"ok": "6"}, {"ok": "9"}]


def test_shapes_are_uploaded(portal: Running, socrata: Socrata, made: str) -> None:
    """A file of shapes in a child with limits, whose column is one of shapes; the old way with all bytes at once."""
    revision = socrata.views.lookup(made).revisions.create_replace_revision()
    source = revision.create_upload("points.geojson")
    assert "bytes" in source.list_operations()
    point = {"type": "Point", "coordinates": [102.0, 0.5]}
    document = {"type": "FeatureCollection", "features": [{"geometry": point, "properties": {"number": 2}}]}
    headers = {"Content-Type": "application/vnd.geo+json"}
    sent = requests.post(
        portal.address + source.links["bytes"], json.dumps(document), headers=headers, auth=portal.login, timeout=60
    )
    assert sent.status_code == 200
    source = source.show()
    assert "bytes" not in source.links
    columns = source.get_latest_input_schema().attributes["input_columns"]
    assert [(each["field_name"], each["soql_type"]) for each in columns] == [("point", "point"), ("number", "text")]
    output = source.get_latest_input_schema().get_latest_output_schema()
    assert output.rows() == [{"point": {"ok": point}, "number": {"ok": "2"}}]
    applied(revision, output)
    assert rows(portal, made) == [{"point": point, "number": "2"}]
    revision = socrata.new({"name": "A file"})
    source = revision.create_upload("plan.pdf").blob(b"%PDF")
    assert revision.show().attributes["blob_id"] == source.attributes["id"]
    socrata.views.lookup(revision.view_id()).delete()


@pytest.mark.usefixtures("processes")
def test_a_killed_process_leaves_old_or_new(tmp_path: Path) -> None:
    """SIGKILL while a revision is applied: the dataset is whole, the job has ended, and the revision goes on."""
    running = start(tmp_path / "state")
    base = f"{running.address}/api/publishing/v1"
    session = requests.Session()
    session.auth = running.login

    def call(method: str, address: str, body: Any = b"{}") -> Any:
        answer = session.request(method, address, data=body, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    content = b"id,n\n" + b"".join(b"%d,%d\n" % (row, row) for row in range(60_000))
    first = call("POST", f"{base}/revision", json.dumps({"metadata": {"name": "Killed"}}))["links"]
    source = call("POST", running.address + first["create_source"], json.dumps({"source_type": {"type": "upload"}}))[
        "links"
    ]
    call("POST", running.address + source["initiate"], json.dumps({"content_type": "text/csv"}))
    call("POST", running.address + source["chunk"].format(seq_num=0, byte_offset=0), content)
    running.process.kill()
    running.process.wait()
    running = start(tmp_path / "state")
    call("POST", running.address + source["commit"].format(seq_num=0, byte_offset=len(content)))
    job = call("PUT", running.address + first["apply"])
    running.process.kill()
    running.process.wait()
    running = start(tmp_path / "state")
    ended = call("GET", running.address + job["links"]["show"])["resource"]["status"]
    assert ended in ("failure", "successful")
    name = first["show"].split("/")[-2]
    count = f"{running.address}/resource/{name}.json?$select=count(*)"
    if ended == "failure":
        assert call("GET", count) == [{"count": "0"}]
        job = call("PUT", running.address + first["apply"])
        while call("GET", running.address + job["links"]["show"])["resource"]["status"] == "in_progress":
            pass
    assert call("GET", count) == [{"count": "60000"}]
    session.close()
    stop(running)


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        (["A b", "a_b", "A  B"], ["a_b", "a_b_1", "a_b_2"]),
        (["1", "", "ü"], ["_1", "column_2", "_column"]),
        (["file_index", "x" * 300], ["file_index_1", "x" * 240]),
    ],
)
def test_field_names_are_made_from_headers(header: list[str], fields: list[str]) -> None:
    """Lower case, no two alike, none that the store uses itself."""
    assert [field for field, _ in named(header)] == fields


def test_layouts_and_transforms_are_checked() -> None:
    """Nonsense in parse options, and an expression whose columns are noted."""
    for options in (
        {"encoding": "klingon"}, {"header_count": -1}, {"column_separator": "ab"},
        {"encoding": "hex"}, {"encoding": "a\0b"}, {"column_separator": "é"}, {"quote_char": "\n"}, {"quote_char": ","},
    ):  # fmt: skip
        with pytest.raises(SodaError, match="parse_options"):
            Layout.of(options, "text/csv")
    made = compiled("make_point(to_number(`lat`), lon)", {"lat": Kind.TEXT, "lon": Kind.NUMBER}, Steps())
    assert (made.kind, made.inputs) == (Kind.POINT, ("lat", "lon"))


def nested(depth: int) -> str:
    """A transform whose calls nest so deep."""
    names = ("to_number", "to_text")
    return "".join(f"{names[level % 2]}(" for level in range(depth)) + "`a`" + ")" * depth


def test_sql_grows_with_the_text_of_a_transform() -> None:
    """Each further call adds as much SQL as the one before; it once multiplied it by twelve."""
    lengths = []
    for depth in (10, 20, 30):
        steps = Steps()
        made = compiled(nested(depth), {"a": Kind.TEXT}, steps)
        lengths.append(len(steps.over("rows")) + len(made.sql) + len(made.wrong))
    assert lengths[2] - lengths[1] < 1.1 * (lengths[1] - lengths[0])
    assert lengths[2] < 20_000
    point = "make_point(to_number(to_text(to_number(`a`))), to_number(to_text(to_number(`b`))))"
    steps = Steps()
    compiled(point, dict.fromkeys("ab", Kind.TEXT), steps)
    assert len(steps.over("rows")) < 10_000


def test_many_conversions_are_refused_before_they_are_carried_out() -> None:
    """Of a thousand columns each may be a number; many more conversions are refused in words."""

    columns = {f"{name}{number}": Kind.TEXT for number in range(1000) for name in "ab"}

    def length(expression: str) -> int:
        steps = Steps()
        for number in range(1000):
            compiled(expression.format(number), columns, steps)
        return len(steps.over("rows"))

    assert length("to_number(`a{0}`)") < LONGEST_SQL
    with pytest.raises(SodaError, match="too many conversions") as refused:
        length("make_point(to_number(`a{0}`), to_number(`b{0}`))")
    assert refused.value.status == 400


def test_deep_transforms_work_up_to_a_bound(portal: Running, socrata: Socrata, made: str) -> None:
    """As deep as SoQL nests, the values are right and errors are counted; deeper is 400, in words."""
    revision = socrata.views.lookup(made).revisions.create_replace_revision()
    source = revision.create_upload("x.csv").csv(b"a,b,c\n1.50,x,\nz,2,\n,,1\nx,,\n")
    output = source.get_latest_input_schema().get_latest_output_schema()
    began = time.monotonic()
    output = output.change_column_transform("a").to(nested(DEEPEST)).change_column_transform("b").to(
        "make_point(to_number(`a`), to_number(`b`))"
    ).run()  # fmt: skip
    assert time.monotonic() - began < 20
    assert [column["transform"]["error_count"] for column in output.attributes["output_columns"]] == [2, 3, 0]
    assert [row["a"].get("ok", "wrong") for row in output.rows()] == ["1.50", "wrong", None, "wrong"]
    base = f"{portal.address}/api/publishing/v1/source/{source.attributes['id']}"
    address = f"{base}/schema/{source.get_latest_input_schema().attributes['id']}"
    for depth in (DEEPEST + 1, 900):
        column = {"field_name": "a", "transform": {"transform_expr": nested(depth)}}
        answer = requests.post(address, json={"output_columns": [column]}, auth=portal.login, timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (400, "transform.not-possible")
        assert f"nested more than {DEEPEST} levels deep" in answer.json()["message"]
    revision.discard()


def test_a_name_is_given_to_one_configuration(portal: Running, secure: Running) -> None:
    """Of requests at the same moment, to two processes, one makes it and the others are refused in words."""
    base = f"{portal.address}/api/publishing/v1/config"

    def create(name: str) -> requests.Response:
        return requests.post(base, json={"name": name}, auth=portal.login, timeout=30)

    with ThreadPoolExecutor(8) as pool:
        for number in range(5):
            answers = list(pool.map(create, [f"twin-{number}"] * 8))
            assert sorted(answer.status_code for answer in answers) == [201, *[400] * 7]
            refused = next(answer for answer in answers if answer.status_code == 400)
            assert (
                refused.json()["message"] == "name: another configuration has this name, or it is empty; choose another"
            )
    names = [config["resource"]["name"] for config in requests.get(base, auth=portal.login, timeout=30).json()]
    assert sorted(name for name in names if name.startswith("twin")) == [f"twin-{number}" for number in range(5)]
    for number in range(5):
        assert requests.delete(f"{base}/twin-{number}", auth=portal.login, timeout=30).status_code == 200
