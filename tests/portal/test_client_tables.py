"""Tools that read a table by its address: pandas, DuckDB and GeoPandas."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import duckdb
import geopandas
import pandas
import pytest
import requests
from fsspec.implementations.http import HTTPFileSystem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from portal_process import Running

    Cells = list[dict[str, Any]]


def total(cells: Cells) -> Any:
    """The sum that every tool must find."""
    return pytest.approx(sum(float(row["requests"]) for row in cells if row["requests"]))


def test_pandas_reads_json(portal: Running, sample: str, cells: Cells) -> None:
    """pandas.read_json by address: every row, dates as dates once it is asked for them, nulls as missing."""
    address = f"{portal.address}/resource/{sample}.json?$limit=1000"
    table = pandas.read_json(address, dtype=False).astype({"requests": "float64", "period_start": "datetime64[ns]"})
    assert list(table["id"]) == [row["id"] for row in cells]
    assert table["requests"].sum() == total(cells)
    assert table["requests"].isna().sum() == sum(row["requests"] is None for row in cells)
    assert table["period_start"].min() == pandas.Timestamp(min(row["period_start"] for row in cells))


def test_pandas_reads_the_whole_file(portal: Running, sample: str, cells: Cells) -> None:
    """The download has every row under the names that people read."""
    table = pandas.read_csv(f"{portal.address}/api/views/{sample}/rows.csv?accessType=DOWNLOAD")
    assert len(table) == len(cells)
    assert table["Requests"].sum() == total(cells)


class Addresses(HTTPFileSystem):  # type: ignore[misc]
    """fsspec's files by address, with the moment of their last change, which DuckDB wants to know."""

    def modified(self, path: str) -> datetime:
        """As the server says."""
        return parsedate_to_datetime(requests.head(path, timeout=30).headers["Last-Modified"])


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that fetches addresses with fsspec, for its own extension may not be at hand."""
    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as opened:
        opened.register_filesystem(Addresses(skip_instance_cache=True))
        yield opened


def test_duckdb_reads_parquet(connection: Any, portal: Running, sample: str, cells: Cells) -> None:
    """read_parquet by address, by parts of the file: types as in the portal, nulls as nulls."""
    address = f"{portal.address}/api/views/{sample}/rows.parquet"
    query = "SELECT count(*), sum(requests), count(requests), min(period_start)::VARCHAR FROM read_parquet(?)"
    known = sum(row["requests"] is not None for row in cells)
    first = min(row["period_start"] for row in cells)[:19].replace("T", " ")
    rows, summed, counted, earliest = connection.execute(query, [address]).fetchone()
    assert (rows, float(summed), counted, earliest) == (len(cells), total(cells), known, first)


def test_a_part_of_a_parquet_file(portal: Running, sample: str) -> None:
    """Ranges are served as RFC 9110 has them: a part, the last bytes, and the whole when the file has changed."""
    address = f"{portal.address}/api/views/{sample}/rows.parquet"
    whole = requests.get(address, timeout=30)
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert int(requests.head(address, timeout=30).headers["Content-Length"]) == len(whole.content)

    def part(asked: str, **more: str) -> requests.Response:
        return requests.get(address, headers={"Range": asked} | more, timeout=30)

    ends = part("bytes=-8")
    assert (ends.status_code, ends.content) == (206, whole.content[-8:])
    assert (
        ends.headers["Content-Range"] == f"bytes {len(whole.content) - 8}-{len(whole.content) - 1}/{len(whole.content)}"
    )
    assert part("bytes=0-3").content == b"PAR1"
    assert part(f"bytes={len(whole.content)}-").status_code == 416
    same = part("bytes=0-3", **{"If-Range": whole.headers["ETag"]})
    assert (same.status_code, same.content) == (206, b"PAR1")
    changed = part("bytes=0-3", **{"If-Range": '"another"'})
    assert (changed.status_code, changed.content) == (200, whole.content)


def test_geopandas_reads_geojson(portal: Running, sample: str, cells: Cells) -> None:
    """A layer with its points in WGS 84 and its properties."""
    layer = geopandas.read_file(f"{portal.address}/resource/{sample}.geojson?$limit=1000")
    assert len(layer) == len(cells)
    assert layer.crs == "EPSG:4326"
    assert [(point.x, point.y) for point in layer.geometry] == [tuple(row["place"]["coordinates"]) for row in cells]
    assert layer["zone"].tolist() == [row["zone"] for row in cells]
