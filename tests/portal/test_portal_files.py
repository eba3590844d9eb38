"""Assets, attachments and datasets that are one file: who gets them, as what, and when they go."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from portal_process import blank, publish

from publisher.portal.store.assets import Assets, plain_name
from publisher.portal.store.catalog import DatasetCatalog

if TYPE_CHECKING:
    from portal_process import Running

BODY = b'{"type": "FeatureCollection", "features": []}' + b" " * 5000


def upload(
    portal: Running, name: str = "zones.geojson", content: bytes = BODY, kind: str = "application/geo+json"
) -> Any:
    """The reply to a file sent in a form."""
    form = {"file": (name, io.BytesIO(content), kind)}
    return requests.post(f"{portal.address}/api/assets", files=form, auth=portal.login, timeout=30)


def attach(portal: Running, dataset: str, **entry: str) -> requests.Response:
    """The reply to a list of one attachment."""
    metadata = {"attachments": [entry], "rowIdentifier": "id"}
    address = f"{portal.address}/api/views/{dataset}.json"
    return requests.put(address, json={"metadata": metadata}, auth=portal.login, timeout=30)


def stored(portal: Running, identifier: str) -> bool:
    """Whether the file's bytes are still there."""
    return (portal.state / "assets" / identifier).exists()


def test_an_attachment_travels(portal: Running, web: requests.Session, tmp_path: Path) -> None:
    """Uploaded, listed in the metadata, downloaded by sodapy and a browser, and gone with its dataset."""
    made = upload(portal).json()
    assert (made["nameForOutput"], made["size"]) == ("zones.geojson", len(BODY))
    asset = made["id"]
    assert web.get(f"{portal.address}/api/assets/{asset}").status_code == 404, "no dataset lists it yet"
    with portal.client() as client:
        name = publish(client, "With a file", [])
        assert attach(portal, name, filename="zones.geojson", name="Zones", assetId=asset).status_code == 200
        assert client.get_metadata(name)["metadata"]["attachments"] == [
            {"filename": "zones.geojson", "name": "Zones", "assetId": asset}
        ]
        address = f"{portal.address}/api/views/{name}/files/{asset}"
        answer = web.get(address)
        assert (answer.status_code, answer.content) == (200, BODY)
        assert answer.headers["Content-Type"] == "application/geo+json"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="zones.geojson"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
        assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"
        assert web.get(address, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
        assert answer.headers["Content-Length"] == str(len(BODY)), "not compressed on the way"
        part = web.get(address, headers={"Range": "bytes=2-4001"})
        assert (part.status_code, part.content) == (206, BODY[2:4002])
        assert web.head(address).headers["Content-Length"] == str(len(BODY))
        renamed = web.get(address, params={"filename": "../x\r\ny.geojson", "download": "true"})
        assert renamed.headers["Content-Disposition"] == 'attachment; filename="xy.geojson"'
        assert web.get(f"{portal.address}/api/assets/{asset}").content == BODY
        (file,) = client.download_attachments(name, download_dir=str(tmp_path))
        assert Path(file).read_bytes() == BODY
        client.set_permission(name, "private")
        assert web.get(address).status_code == 403
        assert web.get(f"{portal.address}/api/assets/{asset}").status_code == 404
        client.set_permission(name, "public")
        other = upload(portal, "other.txt", b"x", "text/plain").json()["id"]
        assert web.get(f"{portal.address}/api/views/{name}/files/{other}").status_code == 404, "listed by no one"
        attach(portal, name, filename="other.txt", assetId=other)
        assert not stored(portal, asset), "what is listed no more goes"
        client.delete(name)
        assert not stored(portal, other)


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript", "x y"])
def test_a_file_is_never_a_page(portal: Running, web: requests.Session, kind: str) -> None:
    """Pages, drawings and scripts are saved, under a type that no browser runs."""
    asset = upload(portal, "page.html", b"<script>alert(1)</script>", kind).json()["id"]
    answer = requests.get(f"{portal.address}/api/assets/{asset}", auth=portal.login, timeout=30)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_a_picture_is_shown_unless_it_is_downloaded(portal: Running) -> None:
    """An image opens in place; `download=true` saves it."""
    asset = upload(portal, "a.png", b"\x89PNG", "image/png").json()["id"]
    address = f"{portal.address}/api/assets/{asset}"
    shown = requests.get(address, auth=portal.login, timeout=30).headers
    saved = requests.get(address, params={"download": "true"}, auth=portal.login, timeout=30).headers
    assert (shown["Content-Type"], shown["Content-Disposition"]) == ("image/png", 'inline; filename="a.png"')
    assert saved["Content-Disposition"] == 'attachment; filename="a.png"'


def test_a_body_alone_is_a_file_too(portal: Running) -> None:
    """`?fileName=` names it."""
    address = f"{portal.address}/api/assets?fileName=Gr%C3%BCn.csv"
    made = requests.post(address, data=b"a\n1\n", headers={"Content-Type": "text/csv"}, auth=portal.login, timeout=30)
    assert (made.json()["nameForOutput"], made.json()["mimeType"]) == ("Grün.csv", "text/csv")
    got = requests.get(f"{portal.address}/api/assets/{made.json()['id']}", auth=portal.login, timeout=30)
    assert got.headers["Content-Disposition"] == "attachment; filename*=utf-8''Gr%C3%BCn.csv"


def test_uploads_that_are_refused(portal: Running, web: requests.Session, sample: str) -> None:
    """Without account, without file, too large, and attachments that are no files here."""
    address = f"{portal.address}/api/assets"
    assert web.post(address, files={"file": ("x", b"x")}).status_code == 403
    assert requests.post(address, files={"file": (None, "text")}, auth=portal.login, timeout=30).status_code == 400
    broken = {"Content-Type": "multipart/form-data"}
    assert requests.post(address, data=b"x", headers=broken, auth=portal.login, timeout=30).status_code == 400

    def huge() -> Any:
        for _ in range(257):
            yield bytes(1024 * 1024)

    try:
        answer = requests.post(address, data=huge(), auth=portal.login, timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (413, "req.body.too-large")
    except requests.ConnectionError:
        pass  # the portal closed while the client still sent
    assert not list((portal.state / "assets").glob("*.tmp"))
    for entry in ({"filename": "x", "assetId": "nothing"}, {"filename": "a/b", "assetId": "x"}, {"assetId": "x"}):
        refused = attach(portal, sample, **entry)
        assert (refused.status_code, "attachments" in refused.json()["message"]) == (400, True), entry
    unknown = f"{portal.address}/api/views/{sample}/files/nothing"
    assert web.get(unknown).json()["code"] == "asset.missing"


def test_sodapy_makes_and_replaces_a_file_dataset(portal: Running, web: requests.Session) -> None:
    """`create_non_data_file` and `replace_non_data_file`: the dataset is the file, and the last one alone."""
    with portal.client() as client:
        made = client.create_non_data_file({}, {"file": ("plan.pdf", io.BytesIO(b"%PDF one"))})
        name, first = made["id"], made["blobId"]
        assert (made["name"], made["displayType"], made["viewType"]) == ("plan.pdf", "blob", "blobby")
        assert (made["blobFilename"], made["blobFileSize"]) == ("plan.pdf", 8)
        client.update_metadata(name, {"name": "The plan", "metadata": {"custom_fields": {"a": {"b": "c"}}}})
        client.set_permission(name, "public")
        assert web.get(f"{portal.address}/api/views/{name}/files/{first}").content == b"%PDF one"
        again = client.replace_non_data_file(name, {}, {"file": ("plan2.pdf", io.BytesIO(b"%PDF two!"))})
        assert (again["id"], again["name"], again["blobFilename"], again["blobFileSize"]) == (
            name, "The plan", "plan2.pdf", 9,
        )  # fmt: skip
        assert web.get(f"{portal.address}/api/assets/{again['blobId']}?download=true").content == b"%PDF two!"
        assert not stored(portal, first)
        with pytest.raises(requests.HTTPError, match="is a file"):
            client.upsert(name, [{"a": 1}])
        with pytest.raises(requests.HTTPError, match="is a file"):
            client.get(name)
        client.delete(name)
        assert not stored(portal, again["blobId"])
        table = publish(client, "A table", [])
        with pytest.raises(requests.HTTPError, match="is a table"):
            client.replace_non_data_file(table, {}, {"file": ("x", io.BytesIO(b"x"))})
        client.delete(table)


def test_files_that_nobody_lists_are_swept_after_a_day(tmp_path: Path) -> None:
    """Old strays go, with and without a record; a listed one and a fresh one stay."""
    catalog = DatasetCatalog(tmp_path / "catalogue.sqlite")
    assets = Assets(catalog, tmp_path / "assets")
    old, listed, fresh = (assets.add(io.BytesIO(b"x"), name, "", "me") for name in ("old", "listed", "fresh"))
    with catalog.transaction() as connection:
        connection.execute("UPDATE assets SET created_at = created_at - 90000 WHERE id != ?", (fresh.id,))
    stray = tmp_path / "assets" / "killed.tmp"
    stray.touch()
    os.utime(stray, (time.time() - 90000,) * 2)
    dataset = blank("aaaa-aaaa")
    dataset.metadata["attachments"] = [{"filename": "listed", "assetId": listed.id}]
    assets.sweep([dataset])
    assert {file.name for file in (tmp_path / "assets").iterdir()} == {listed.id, fresh.id}
    assert assets.find(old.id) is None


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\a.csv", "a.csv"),
        ('a"b\r\n\0<c>.csv', "abc.csv"),
        ("..", "file"),
        ("", "file"),
        ("x" * 300 + ".csv", "x" * 196 + ".csv"),
        ("Stra\u00dfe e\u0301.csv", "Stra\u00dfe \u00e9.csv"),
    ],
)
def test_names_are_made_plain(sent: str, kept: str) -> None:
    """No folders, no control characters, not too long; letters of any language stay."""
    assert plain_name(sent) == kept


def test_attachments_survive_the_metadata_api(portal: Running) -> None:
    """PATCH of the metadata API leaves the list as it is."""
    asset = upload(portal).json()["id"]
    with portal.client() as client:
        name = publish(client, "Patched", [])
        attach(portal, name, filename="a", assetId=asset)
        address = f"{portal.address}/api/views/metadata/v1/{name}"
        requests.patch(address, data=json.dumps({"customFields": {"a": {"b": "c"}}}), auth=portal.login, timeout=30)
        assert client.get_metadata(name)["metadata"]["attachments"] == [{"filename": "a", "assetId": asset}]
        client.delete(name)
