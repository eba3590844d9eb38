"""The clients that people use, against the running portal."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import duckdb
import pandas
import pytest
import requests
from portal_process import COLUMNS, publish

if TYPE_CHECKING:
    from pathlib import Path

    from portal_process import Running


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row as SODA gives it back: nulls left out, numbers without needless zeros."""
    return {name: value for name, value in row.items() if value is not None}


def test_sodapy_creates_fills_reads_changes_and_deletes(portal: Running, cells: list[dict[str, Any]]) -> None:
    """Every call that sodapy makes over a dataset's life works as it does against Socrata."""
    with portal.client() as client:
        view = client.create("Life of a dataset", columns=COLUMNS, row_identifier="id", new_backend=True, tags=["a"])
        name = view["id"]
        assert view["publicationStage"] == "unpublished"
        assert [column["fieldName"] for column in view["columns"]] == [column["fieldName"] for column in COLUMNS]
        assert client.publish(name)["publicationStage"] == "published"
        assert client.set_permission(name, "public")["grants"]

        assert client.upsert(name, cells[:100])["Rows Created"] == 100
        assert client.upsert(name, cells[90:])["Rows Created"] == len(cells) - 100
        assert list(client.get_all(name, limit=50)) == [shown(row) for row in cells]
        assert client.get(name, where="id='0-01'", exclude_system_fields="false")[0].keys() >= {":id", ":created_at"}

        counters = client.replace(name, cells[:10])
        assert (counters["Rows Created"], counters["Errors"]) == (10, 0)
        assert len(client.get(name)) == 10
        assert client.delete(name, row_id="0-03")["Rows Deleted"] == 1
        assert len(client.get(name)) == 9

        changed = client.update_metadata(name, {"description": "Neu", "attribution": "City"})
        assert (changed["description"], changed["attribution"]) == ("Neu", "City")
        assert client.get_metadata(name)["tags"] == ["a"]
        assert client.download_attachments(name) == []
        assert client.delete(name).status_code == 200
        with pytest.raises(requests.HTTPError, match="404"):
            client.get(name)


def test_sodapy_lists_datasets(portal: Running, sample: str) -> None:
    """The catalog search pages to the end by itself, and finds by id."""
    with portal.client(anonymous=True) as client:
        assert sample in {found["resource"]["id"] for found in client.datasets()}
        assert [found["resource"]["id"] for found in client.datasets(ids=[sample])] == [sample]
        assert client.datasets(q="nothing has this in its title") == []


def test_sodapy_reads_csv_and_geojson(portal: Running, sample: str, cells: list[dict[str, Any]]) -> None:
    """sodapy understands both other formats."""
    with portal.client(anonymous=True) as client:
        table = client.get(sample, content_type="csv", limit=5)
        assert table[0] == [column["fieldName"] for column in COLUMNS]
        assert len(table) == 6
        features = client.get(sample, content_type="geojson", limit=5)["features"]
        assert features[0]["geometry"] == cells[0]["place"]
        assert features[0]["properties"]["requests"] is None


def test_sodapy_uploads_csv(portal: Running) -> None:
    """A CSV file in UTF-8 fills a dataset; an empty cell is null, a quoted empty text is not."""
    with portal.client() as client:
        name = publish(client, "From a CSV", [])
        body = 'id,zone,requests\n"a","Grün, ""x""",1.50\n"b","",\n"c",,7\n'
        assert client.upsert(name, io.BytesIO(body.encode()))["Rows Created"] == 3
        assert client.get(name) == [
            {"id": "a", "zone": 'Grün, "x"', "requests": "1.5"},
            {"id": "b", "zone": ""},
            {"id": "c", "requests": "7"},
        ]


def test_pandas_reads_csv_by_address(portal: Running, sample: str, cells: list[dict[str, Any]]) -> None:
    """pandas reads the CSV straight from the API."""
    table = pandas.read_csv(f"{portal.address}/resource/{sample}.csv?$limit=100000")
    assert list(table["id"]) == [row["id"] for row in cells]
    expected = sum(float(row["requests"]) for row in cells if row["requests"])
    assert table["requests"].sum() == pytest.approx(expected)
    assert table["requests"].isna().sum() == sum(row["requests"] is None for row in cells)


def test_duckdb_reads_csv_by_address(portal: Running, sample: str, cells: list[dict[str, Any]], tmp_path: Path) -> None:
    """DuckDB reads the CSV by its address: with httpfs, or through fsspec where that cannot be installed."""
    address = f"{portal.address}/resource/{sample}.csv?$limit=100000"
    with duckdb.connect() as connection:
        try:
            connection.execute(f"SET extension_directory = '{tmp_path}'")
            connection.execute("INSTALL httpfs")
            connection.execute("LOAD httpfs")
        except duckdb.Error:
            fsspec = pytest.importorskip("fsspec", reason="neither httpfs nor fsspec is here")
            connection.register_filesystem(_over_requests(fsspec))
            address = "portal://" + address
        found = connection.execute("SELECT count(*), sum(requests), max(zone) FROM read_csv(?)", [address]).fetchone()
    assert found is not None
    assert found[0] == len(cells)
    assert found[1] == pytest.approx(sum(float(row["requests"]) for row in cells if row["requests"]))
    assert found[2] == max(row["zone"] for row in cells)


def _over_requests(fsspec: Any) -> Any:
    """An fsspec file system that fetches an address with requests, whole."""

    class Portal(fsspec.AbstractFileSystem):  # type: ignore[misc]
        protocol = "portal"

        def _fetch(self, path: str) -> bytes:
            answer = requests.get(path.removeprefix("portal://"), timeout=30)
            answer.raise_for_status()
            return answer.content

        def info(self, path: str, **_more: Any) -> dict[str, Any]:
            return {"name": path, "size": len(self._fetch(path)), "type": "file", "mtime": 0.0}

        def glob(self, path: str, **_more: Any) -> list[str]:
            return [path]

        def modified(self, _path: str) -> Any:
            import datetime

            return datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

        def _open(self, path: str, **_more: Any) -> Any:
            return io.BytesIO(self._fetch(path))

    return Portal()
