"""What users of one Python library do with the portal; `clients.py` runs it in an environment that has the library.

    python benchmarks/clients_python.py LIBRARY < given.json

Each step is checked, and said in one line of JSON: what was done, whether it went well, how long it took. The steps of
socrata-py are those of its README and of the examples that it publishes.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Given:
    """A portal, a public dataset that holds `rows` rows whose requests sum to `total`, and a login."""

    address: str
    host: str
    """of the same portal over HTTPS"""
    certificate: str
    dataset: str
    rows: int
    total: float
    username: str
    password: str
    token: str


Step = tuple[str, "Callable[[Given], None]"]
COLUMNS = [{"fieldName": name, "name": name, "dataTypeName": kind} for name, kind in (("a", "text"), ("n", "number"))]


def near(found: float, expected: float) -> bool:
    """Whether two sums agree, whatever the order."""
    return abs(found - expected) <= 1e-9 * abs(expected)


# sodapy


def _soda(given: Given, *, login: bool = False) -> Any:
    from sodapy import Socrata

    more = {"username": given.username, "password": given.password} if login else {}
    return Socrata(given.host, given.token, timeout=60, **more)


def sodapy_pages(given: Given) -> None:
    """Every row once."""
    with _soda(given) as client:
        rows = list(client.get_all(given.dataset, limit=1000))
    assert len({row["id"] for row in rows}) == len(rows) == given.rows
    assert near(sum(float(row.get("requests", 0)) for row in rows), given.total)


def sodapy_asks(given: Given) -> None:
    """SoQL in parameters and in one text."""
    with _soda(given) as client:
        top = client.get(given.dataset, select="zone, sum(requests) AS s", group="zone", order="s DESC", limit=1)
        chained = "SELECT zone, sum(requests) AS s GROUP BY zone ORDER BY s DESC |> SELECT zone, s LIMIT 1"
        assert client.get(given.dataset, query=chained) == top
        assert client.get(given.dataset, q="Nord", limit=5)[0]["zone"] == "Nord"


def sodapy_formats(given: Given) -> None:
    """CSV, GeoJSON, metadata and catalog."""
    with _soda(given) as client:
        assert len(client.get(given.dataset, content_type="csv", limit=10)) == 11
        assert len(client.get(given.dataset, content_type="geojson", limit=10)["features"]) == 10
        assert client.get_metadata(given.dataset)["id"] == given.dataset
        assert [each["resource"]["id"] for each in client.datasets(ids=[given.dataset])] == [given.dataset]


def sodapy_writes(given: Given) -> None:
    """A dataset's whole life."""
    with _soda(given, login=True) as client:
        name = client.create("By sodapy", columns=COLUMNS, row_identifier="a")["id"]
        client.publish(name)
        client.set_permission(name, "public")
        assert client.upsert(name, [{"a": "x", "n": 1}, {"a": "y", "n": 2}])["Rows Created"] == 2
        assert client.replace(name, io.BytesIO(b"a,n\nz,3\n"))["Rows Created"] == 1
        assert client.get(name) == [{"a": "z", "n": "3"}]
        assert client.delete(name, row_id="z")["Rows Deleted"] == 1
        assert client.delete(name).status_code == 200


# socrata-py


def _socrata(given: Given) -> Any:
    from socrata import Socrata
    from socrata.authorization import Authorization

    auth = Authorization(given.host, given.username, given.password)
    auth.verify = given.certificate
    return Socrata(auth)


def _made(given: Given, content: bytes | str) -> tuple[Any, Any, Any]:
    """The library, and revision and output schema of a new dataset."""
    socrata = _socrata(given)
    revision, output = socrata.create(name="By socrata-py").csv(content, filename="made.csv")
    return socrata, revision, output


def _applied(revision: Any, output: Any = None) -> None:
    assert revision.apply(output_schema=output).wait_for_finish(sleeptime=0.05).attributes["status"] == "successful"


def _rows(given: Given, name: str) -> Any:
    import requests

    login = (given.username, given.password)
    answer = requests.get(f"{given.address}/id/{name}", headers={"Accept": "application/json"}, auth=login, timeout=60)
    return answer.json()


def socrata_py_creates(given: Given) -> None:
    """README, create a dataset: metadata of columns, a dropped one, one computed from another."""
    socrata, revision, output = _made(given, b"a_column,b_column\n2,x\n3,y\n")
    output = (
        output.change_column_metadata("a_column", "display_name").to("A Column!")
        .change_column_metadata("a_column", "description").to("Here is a description of my A Column")
        .drop_column("b_column")
        .add_column("squared", "A squared", "to_number(`a_column`) * to_number(`a_column`)", "times itself")
        .run()
        .wait_for_finish()
    )  # fmt: skip
    assert output.attributes["error_count"] == 0
    assert len(list(output.schema_errors_csv().iter_lines())) == 1
    _applied(revision, output)
    assert _rows(given, revision.view_id()) == [{"a_column": "2", "squared": "4"}, {"a_column": "3", "squared": "9"}]
    socrata.views.lookup(revision.view_id()).delete()


def socrata_py_pandas(given: Given) -> None:
    """README, a dataset from a data frame."""
    import pandas

    socrata = _socrata(given)
    revision, output = socrata.create(name="Frame").df(pandas.DataFrame({"A": [1, 2], "B": ["x", None]}))
    _applied(revision, output)
    assert _rows(given, revision.view_id()) == [{"a": "1", "b": "x"}, {"a": "2"}]
    socrata.views.lookup(revision.view_id()).delete()


def socrata_py_config(given: Given) -> None:
    """README, a configuration that updates later."""
    socrata, revision, output = _made(given, b"k,n\na,1\n")
    _applied(revision, output.set_row_id("k"))
    output.build_config("cool-dataset-config", "update")
    view = socrata.views.lookup(revision.view_id())
    _, job = socrata.using_config("cool-dataset-config", view).csv(b"k,n\nb,2\n", filename="later.csv")
    job.wait_for_finish(sleeptime=0.05)
    assert len(_rows(given, revision.view_id())) == 2
    socrata.configs.lookup("cool-dataset-config").delete()
    view.delete()


def socrata_py_transforms(given: Given) -> None:
    """README, transform data with cells that cannot be read: errors, Fahrenheit, was it hot, nulls into errors."""
    content = b"date, celsius\n2017-08-24, 22\n2017-08-25, 20\n2017-08-26, hehe!\n2017-08-27,\n2017-08-28, 25\n"
    socrata, revision, output = _made(given, content)
    output = (
        output.change_column_metadata("date", "field_name").to("the_date")
        .change_column_metadata("celsius", "display_name").to("Degrees (Celsius)")
        .change_column_transform("the_date").to("to_fixed_timestamp(`date`)")
        .change_column_transform("celsius").to('coalesce(to_number(`celsius`), error("Celsius was null!"))')
        .add_column("fahrenheit", "Degrees (Fahrenheit)", "(to_number(`celsius`) * (9 / 5)) + 32", "in celsius")
        .add_column("is_hot", "Was the day hot?", "to_number(`celsius`) >= 23")
        .run()
    )  # fmt: skip
    assert output.attributes["error_count"] == 4
    assert "Celsius was null!" in output.schema_errors_csv().text
    assert output.schema_errors()[1]["celsius"]["error"]["message"] == "Celsius was null!"
    assert [row["fahrenheit"].get("ok") for row in output.rows(offset=0, limit=20)] == ["71.6", "68", None, None, "77"]
    _applied(revision, output)
    assert [row.get("is_hot") for row in _rows(given, revision.view_id())] == [False, False, None, None, True]
    socrata.views.lookup(revision.view_id()).delete()


def socrata_py_metadata(given: Given) -> None:
    """README, a revision of metadata from the dataset itself; then notes, a plan, a discarded revision."""
    socrata, revision, output = _made(given, b"a,b,c\n1,2,3\n")
    _applied(revision, output)
    view = socrata.views.lookup(revision.view_id())
    replacing = view.revisions.create_replace_revision(metadata={"description": "new"}, permission="public")
    schema = replacing.source_from_dataset().get_latest_input_schema().get_latest_output_schema()
    schema = (
        schema.change_column_metadata("a", "description").to("meh")
        .change_column_metadata("b", "display_name").to("bbbb")
        .change_column_metadata("c", "field_name").to("ccc")
        .run()
    )  # fmt: skip
    replacing.set_notes("Just updating my dataset")
    assert {step["type"] for step in replacing.plan()} >= {"set_schema", "upsert_task", "set_permission", "publish"}
    _applied(replacing, schema)
    replacing.discard()
    assert view.show().attributes["permissions"]["scope"] == "public"
    assert [column["fieldName"] for column in view.attributes["columns"]] == ["a", "b", "ccc"]
    view.revisions.create_update_revision().discard()
    view.delete()


def socrata_py_files(given: Given) -> None:
    """README, files: a text that begins with an empty line, GeoJSON, KML, and one that is not read."""
    socrata, revision, output = _made(given, "\n  a,b,c\n  1,2,3\n  4,5,6\n  ")
    assert [row["a"] for row in output.rows()] == [{"ok": "1"}, {"ok": "4"}]
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [102, 0.5]}, "properties": {"n": 2}}
    source = revision.create_upload("p.geojson").geojson(json.dumps({"type": "FeatureCollection", "features": [point]}))
    assert {each["field_name"] for each in source.get_latest_input_schema().attributes["input_columns"]} == {
        "point",
        "n",
    }
    kml = '<kml xmlns="http://www.opengis.net/kml/2.2"><Placemark><name>x</name><Point><coordinates>1,2</coordinates>'
    source = revision.create_upload("p.kml").kml(f"{kml}</Point></Placemark></kml>")
    assert source.get_latest_input_schema().attributes["total_rows"] == 1
    blob = socrata.new({"name": "A plan"})
    blob.source_as_blob("plan.pdf").blob(b"%PDF")
    _applied(blob)
    for each in (revision, blob):
        socrata.views.lookup(each.view_id()).delete()


# cfasodapy


def cfasodapy_pages(given: Given) -> None:
    """It counts, then asks page by page."""
    from cfasodapy import Query

    query = Query(given.host, given.dataset, limit=given.rows, app_token=given.token, verbose=False)
    pages = [row for page in query.get_pages(page_size=1000) for row in page]
    assert len(pages) == query.n_records == len(query.get_all()) == given.rows


# pandas


def pandas_csv(given: Given) -> None:
    """read_csv of the API and of the download with display names."""
    import pandas

    table = pandas.read_csv(f"{given.address}/resource/{given.dataset}.csv?$limit=1000000")
    assert len(table) == given.rows
    assert near(table["requests"].sum(), given.total)
    download = pandas.read_csv(f"{given.address}/api/views/{given.dataset}/rows.csv?accessType=DOWNLOAD")
    assert near(download["Requests"].sum(), given.total)


def pandas_json(given: Given) -> None:
    """read_json of the API, whose numbers are strings."""
    import pandas

    table = pandas.read_json(f"{given.address}/resource/{given.dataset}.json?$limit=1000000")
    assert near(table["requests"].sum(), given.total)
    assert pandas.to_datetime(table["period_start"]).min().year == 2024


def pandas_parquet(given: Given) -> None:
    """read_parquet: decimals are numbers."""
    import pandas

    table = pandas.read_parquet(f"{given.address}/api/views/{given.dataset}/rows.parquet")
    assert table["requests"].dtype == "float64"
    assert near(table["requests"].sum(), given.total)


# DuckDB


def _duckdb() -> Any:
    """DuckDB with its own httpfs, or with fsspec where that extension cannot be had."""
    import duckdb

    connection = duckdb.connect()
    try:
        connection.execute("INSTALL httpfs; LOAD httpfs")
    except duckdb.Error:
        from email.utils import parsedate_to_datetime

        import requests
        from fsspec.implementations.http import HTTPFileSystem

        class Addresses(HTTPFileSystem):  # type: ignore[misc]
            def modified(self, path: str) -> Any:
                return parsedate_to_datetime(requests.head(path, timeout=60).headers["Last-Modified"])

        connection.register_filesystem(Addresses(skip_instance_cache=True))
    return connection


def duckdb_parquet(given: Given) -> None:
    """read_parquet by address, in parts."""
    address = f"{given.address}/api/views/{given.dataset}/rows.parquet"
    with _duckdb() as connection:
        found = connection.execute("SELECT count(*), sum(requests) FROM read_parquet(?)", [address]).fetchone()
    assert found[0] == given.rows
    assert near(float(found[1]), given.total)


def duckdb_csv(given: Given) -> None:
    """read_csv by address."""
    address = f"{given.address}/api/views/{given.dataset}/data.csv"
    with _duckdb() as connection:
        found = connection.execute("SELECT count(*), sum(requests) FROM read_csv(?)", [address]).fetchone()
    assert found[0] == given.rows
    assert near(float(found[1]), given.total)


# GeoPandas


def geopandas_geojson(given: Given) -> None:
    """read_file of GeoJSON."""
    import geopandas

    layer = geopandas.read_file(f"{given.address}/resource/{given.dataset}.geojson?$limit=1000000")
    assert len(layer) == given.rows
    assert layer.crs == "EPSG:4326"


def geopandas_parquet(given: Given) -> None:
    """read_parquet of GeoParquet, and the zipped Shapefile."""
    import geopandas
    import requests

    base = f"{given.address}/api/views/{given.dataset}/rows"
    layer = geopandas.read_parquet(io.BytesIO(requests.get(f"{base}.parquet", timeout=60).content))
    assert (len(layer), layer.geometry.name) == (given.rows, "place")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.zip"
        file.write_bytes(requests.get(f"{base}.shp", timeout=60).content)
        assert len(geopandas.read_file(file)) == given.rows


STEPS: dict[str, list[Step]] = {
    "sodapy": [
        ("reads every page", sodapy_pages),
        ("asks with SoQL and by words", sodapy_asks),
        ("reads CSV, GeoJSON, metadata, catalog", sodapy_formats),
        ("creates, fills, replaces, deletes", sodapy_writes),
    ],
    "socrata-py": [
        ("README: creates a dataset from CSV", socrata_py_creates),
        ("README: creates one from a data frame", socrata_py_pandas),
        ("README: updates by a configuration", socrata_py_config),
        ("README: transforms, and reads the errors", socrata_py_transforms),
        ("README: changes metadata, plans, discards", socrata_py_metadata),
        ("README: uploads text, GeoJSON, KML, a blob", socrata_py_files),
    ],
    "cfasodapy": [("counts and reads pages", cfasodapy_pages)],
    "pandas": [("reads CSV", pandas_csv), ("reads JSON", pandas_json), ("reads Parquet", pandas_parquet)],
    "duckdb": [("reads Parquet by address", duckdb_parquet), ("reads CSV by address", duckdb_csv)],
    "geopandas": [("reads GeoJSON", geopandas_geojson), ("reads GeoParquet and Shapefile", geopandas_parquet)],
}
NEEDS = {
    "socrata-py": ["pandas"],
    "duckdb": ["fsspec", "aiohttp", "requests"],
    "pandas": ["pyarrow"],
    "geopandas": ["pyarrow", "requests"],
}
"""What beside the library itself its steps need."""


def main() -> None:
    """Take the steps of one library."""
    name = sys.argv[1]
    given = Given(**json.load(sys.stdin))
    print(json.dumps({"version": importlib.metadata.version(name)}), flush=True)
    for what, step in STEPS[name]:
        began, problem = time.perf_counter(), ""
        try:
            step(given)
        except Exception as error:  # noqa: BLE001 -- whatever a library raises, the next step is taken
            place = traceback.extract_tb(error.__traceback__)[-1]
            problem = f"{type(error).__name__} {error} ({place.name}, line {place.lineno})"[:300]
        seconds = round(time.perf_counter() - began, 2)
        print(json.dumps({"what": what, "ok": not problem, "seconds": seconds, "problem": problem}), flush=True)


if __name__ == "__main__":
    main()
