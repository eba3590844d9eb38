"""The requests and responses of each address, one declaration per address; `openapi` turns them into OpenAPI."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Operation:
    """One method at one address."""

    summary: str
    gives: str = ""
    """A name in GIVEN; empty if the response has no body."""
    query: tuple[str, ...] = ()
    """Names in PARAMETERS."""
    takes: str = ""
    """A name in TAKEN, for requests with a body."""
    status: int = 200
    private: bool = False
    """True if the request needs an account."""
    more: dict[int, str] = field(default_factory=dict)
    """Other responses, by status."""


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _whole(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "integer", "minimum": 0, "description": description, **more}


def _list(name: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


def _object(required: str, description: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "required": required.split(),
        "properties": properties,
        "additionalProperties": True,
    }


FOUR = {"type": "string", "pattern": "^[0-9a-z]{4}-[0-9a-z]{4}$", "examples": ["abcd-1234"]}
_STRING, _NUMBER = {"type": "string"}, {"type": "integer"}

SCHEMAS: dict[str, dict[str, Any]] = {
    "Error": _object(
        "message",
        "An error in Socrata's format",
        code={**_STRING, "examples": ["dataset.missing"]},
        errorCode={**_STRING, "examples": ["query.soql.no-such-column"]},
        error={"const": True},
        message={**_STRING, "examples": ["Not found"]},
        data={"type": "object"},
    ),
    "ODataError": _object("error", "An error in OData's format", error=_object("code message", "What is wrong")),
    "Row": {
        "type": "object",
        "description": "Values by field name; numbers are strings, and missing values are left out",
        "examples": [{"id": "2024-01-7", "requests": "12"}],
    },
    "Rows": {"type": "array", "items": {"$ref": "#/components/schemas/Row"}},
    "AllRows": _object("meta data", "The columns, and the rows as arrays", data={"type": "array"}),
    "Features": _object("type features", "GeoJSON", type={"const": "FeatureCollection"}, features={"type": "array"}),
    "Column": _object("id name fieldName dataTypeName position", "A column", id=_NUMBER, fieldName=_STRING),
    "Columns": _list("Column"),
    "View": _object("id name columns", "A dataset's metadata", id=FOUR, name=_STRING, columns={"type": "array"}),
    "Views": _list("View"),
    "Described": _object("id name webUri dataUri", "A dataset in the metadata API", id=FOUR, webUri=_STRING),
    "AllDescribed": _list("Described"),
    "Permissions": _object("scope", "Who may read the dataset", scope={"enum": ["public", "private"]}),
    "Found": _object(
        "results resultSetSize timings",
        "Datasets that match all conditions, and the total number of matches",
        results={"type": "array", "items": _object("resource classification metadata permalink link", "A dataset")},
        resultSetSize=_NUMBER,
    ),
    "Counted": _object(
        "results resultSetSize", "Values, with the number of datasets for each", results={"type": "array"}
    ),
    "Facets": {"type": "array", "items": _object("facet count values", "A facet with its values")},
    "Counters": _object(
        "Errors", "How many rows a write created, updated, and deleted", Errors=_NUMBER, **{"Rows Created": _NUMBER}
    ),
    "Downloads": {"type": "array", "items": _object("format media_type url bytes sha256", "A file")},
    "Package": _object("name resources", "A Frictionless data package", resources={"type": "array", "minItems": 1}),
    "Catalog": _object("@context @type dataset", "DCAT-US", dataset={"type": "array"}),
    "Service": _object("@odata.context value", "Entity sets", value={"type": "array"}),
    "Entities": _object("@odata.context", "Rows, or one row by its key", value={"type": "array"}),
    "File": _object("id", "A stored file", id=_STRING),
    "Reply": _object("resource links", "A part of a revision, with links to what can be done with it"),
    "Replies": {"type": "array", "items": {"type": "object"}},
    "Health": _object("status", "The state of the portal", status=_STRING),
    "Schedules": _object("datasets", "What happened to each period that was due", datasets={"type": "array"}),
    "Inventory": _object("sources", "What is collected about people", sources={"type": "array"}),
    "Feed": _object("version title items", "A JSON Feed", items={"type": "array"}),
    "Anything": {"type": "object"},
}

_JSON = "application/json"
_TEXTS = {"text/csv": "", "text/tab-separated-values": "", "application/xml": "", "application/rdf+xml": ""}
_ROWS = {_JSON: "Rows", "application/vnd.geo+json": "Features"} | _TEXTS
GIVEN: dict[str, dict[str, str]] = {
    **{name: {_JSON: name} for name in SCHEMAS},
    "Rows": _ROWS,
    "OneRow": {_JSON: "Row", "application/vnd.geo+json": "Features"} | _TEXTS,
    "Page": {"text/html": ""},
    "Text": {"text/plain": ""},
    "Csv": {"text/csv": ""},
    "Svg": {"image/svg+xml": ""},
    "Png": {"image/png": ""},
    "Atom": {"application/atom+xml": ""},
    "JsonFeed": {"application/feed+json": "Feed"},
    "BibTeX": {"application/x-bibtex": ""},
    "Csdl": {"application/xml": ""},
    "LinkedCatalog": {"application/ld+json": "Catalog"},
    "Parquet": {"application/vnd.apache.parquet": ""},
    "Workbook": {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ""},
    "Map": {"application/vnd.geo+json": "Features"},
    "Kml": {"application/vnd.google-earth.kml+xml": ""},
    "Kmz": {"application/vnd.google-earth.kmz": ""},
    "Tsv": {"text/tab-separated-values": ""},
    "Xml": {"application/xml": ""},
    "Rdf": {"application/rdf+xml": ""},
    "Shapes": {"application/zip": ""},
    "Export": {
        "application/vnd.geo+json": "Features",
        "application/vnd.google-earth.kml+xml": "",
        "application/vnd.google-earth.kmz": "",
        "application/zip": "",
        "text/csv": "",
    },
    "RowsOrErrors": {_JSON: "", "text/csv": ""},
    "Any": {"*/*": ""},
    "Nothing": {_JSON: ""},
    "": {},
}
"""Media types of responses, each with the schema of its body; without a schema it is text or bytes."""

TAKEN: dict[str, dict[str, dict[str, Any]]] = {
    "Rows": {
        _JSON: {"schema": {"anyOf": [{"type": "array", "items": {"type": "object"}}, {"type": "object"}]}},
        "text/csv": {"schema": _STRING},
    },
    "View": {
        _JSON: {
            "schema": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": 1000},
                    "description": _STRING,
                    "category": {"type": "string", "maxLength": 1000},
                    "tags": {"type": "array", "items": {"type": "string", "maxLength": 200}},
                    "attribution": _STRING,
                    "licenseId": {"type": "string", "maxLength": 200},
                    "metadata": {"type": "object"},
                    "columns": {"type": "array", "items": {"type": "object"}},
                },
            },
            "example": {"name": "Requests by ward", "columns": [{"fieldName": "ward", "dataTypeName": "text"}]},
        }
    },
    "Column": {
        _JSON: {
            "schema": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "maxLength": 1000},
                    "fieldName": {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]{0,254}$"},
                    "dataTypeName": {"enum": ["text", "number", "checkbox", "calendar_date", "date", "url", "point"]},
                    "description": _STRING,
                },
            }
        }
    },
    "Object": {_JSON: {"schema": {"type": "object"}}},
    "Query": {
        _JSON: {
            "schema": {
                "type": "object",
                "properties": {
                    "query": _text("SoQL"),
                    "page": {
                        "type": "object",
                        "properties": {
                            "pageNumber": {"type": "integer", "minimum": 1},
                            "pageSize": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
                        },
                    },
                },
            },
            "example": {"query": "SELECT count(*)", "page": {"pageNumber": 1, "pageSize": 100}},
        }
    },
    "Bytes": {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "text/csv": {"schema": _STRING},
    },
}
"""Request bodies, by media type."""

PARAMETERS: dict[str, dict[str, Any]] = {
    "$select": _text("SoQL: the columns and expressions to return", examples=["ward, sum(requests)"]),
    "$where": _text("SoQL: the condition on rows", examples=["requests > 10"]),
    "$group": _text("SoQL: the expressions to group by"),
    "$having": _text("SoQL: the condition on groups"),
    "$order": _text("SoQL: the sort order", examples=["ward DESC"]),
    "$limit": _whole("The most rows to return", default=1000),
    "$offset": _whole("How many rows to skip", default=0),
    "$q": _text("Words to search for in the row's text columns"),
    "$query": _text("A complete SoQL query, instead of the other clauses"),
    "$filter": _text("OData: the condition on rows", examples=["requests gt 10 and startswith(ward, '1')"]),
    "$orderby": _text("OData: the sort order", examples=["ward desc"]),
    "$top": _whole("The most rows to return"),
    "$skip": _whole("How many rows to skip"),
    "$count": _text("Whether to count all rows that match the filter", enum=["true", "false"]),
    "$skiptoken": _whole("Where the next page starts; taken from @odata.nextLink"),
    "$format": _text("OData: the format", enum=["json"]),
    "q": _text("Words to search for"),
    "ids": _text("4x4 identifiers, repeated or separated by commas"),
    "names": _text("Titles, repeated or separated by commas"),
    "categories": _text("Categories, repeated or separated by commas"),
    "tags": _text("Tags, repeated or separated by commas"),
    "domains": _text("Domains, repeated or separated by commas"),
    "only": _text("Kinds of assets", enum=["dataset", "datasets", "map", "chart", "filter", "story", "file"]),
    "attribution": _text("Who published it"),
    "license": _text("Licenses, by id or name"),
    "column_names": _text("Column names"),
    "for_user": _text("Owners"),
    "provenance": _text("Whether the dataset is official", enum=["official", "community"]),
    "visibility": _text("Whether the dataset is open to the public", enum=["open", "internal"]),
    "public": _text("Whether the dataset is public", enum=["true", "false"]),
    "published": _text("Whether the dataset is published", enum=["true", "false"]),
    "min_should_match": _text(
        "How many of the words must match, as a number or a percentage", pattern="^[0-9]{1,2}%?$"
    ),
    "order": _text("The sort order", examples=["relevance", "updatedAt DESC"]),
    "offset": _whole("How many results to skip", default=0),
    "limit": _whole("The most results to return", default=100, maximum=10_000),
    "scroll_id": _text("The last id of the previous page"),
    "page": _whole("The page number, starting at 1"),
    "period": _text("The period to show, for datasets with boundaries", examples=["2024-01"]),
    "method": _text("The action", enum=["export"]),
    "format": _text("The file format", enum=["GeoJSON", "KML", "KMZ", "Shapefile", "CSV"]),
    "query": _text("SoQL", examples=["SELECT *"]),
    "pageNumber": {"type": "integer", "minimum": 1, "description": "The page number, starting at 1"},
    "pageSize": _whole("Rows per page", maximum=1_000_000),
    "max_rows": _whole("The most rows, in place of all"),
    "accessType": _text("DOWNLOAD, as in Socrata's links; has no effect", enum=["DOWNLOAD"]),
    "setPermission": _text("Who may read the dataset: public.read or private", enum=["public.read", "private"]),
}
PATHS: dict[str, dict[str, Any]] = {
    "id": {**FOUR, "description": "A dataset's 4x4"},
    "name": {**FOUR, "description": "A dataset's 4x4; an extension such as .json may follow"},
    "row": _text("A row's identifier or :id"),
    "period": _text("The period of a release", examples=["2024-01"]),
    "edition": {"type": "integer", "minimum": 1, "description": "The number of an edition"},
    "domain": _text("The portal's domain"),
    "format": _text("The format of the rows", enum=["json", "csv", "geojson", "tsv", "xml", "rdf"]),
    "asset": _text("A file's id"),
}
"""Parts of addresses; a part that is not listed is a number or name that the portal assigned."""

_SODA = ("$select", "$where", "$group", "$having", "$order", "$limit", "$offset", "$q", "$query")
_FILTERS = (
    "ids names categories tags domains only attribution license column_names for_user provenance visibility"
    " public published q min_should_match"
)
_FOUND = tuple(_FILTERS.split())
_PAGED = ("order", "offset", "limit", "scroll_id")
_ODATA = ("$filter", "$orderby", "$select", "$top", "$skip", "$count", "$skiptoken", "$format")
_QUERY = ("query", "pageNumber", "pageSize")
_DSMAPI = "/api/publishing/v1"
_SOURCE = f"{_DSMAPI}/source/{{source}}"
_REVISION = f"{_DSMAPI}/revision/{{id}}/{{seq}}"
_OUTPUT = f"{_SOURCE}/schema/{{input}}/output/{{output}}"


def _writes(summary: str, gives: str, takes: str = "", *, status: int = 200) -> Operation:
    return Operation(summary, gives, takes=takes, status=status, private=True)


def _drawn(label: str, gives: str) -> Operation:
    return Operation(f"All rows as {label}; for a dataset with boundaries, the rows of one period", gives, ("period",))


_EXPORTED = ("accessType", "query", "max_rows")
_HASH = Operation("The file's SHA-256, in the format of sha256sum", "Text")

OPERATIONS: dict[str, dict[str, Operation]] = {
    "/health": {"GET": Operation("Whether the process is running", "Health")},
    "/health/ready": {"GET": Operation("Whether the portal can answer requests", "Health", more={503: "Health"})},
    "/metrics": {"GET": Operation("Metrics for operators, in Prometheus format", "Text")},
    "/openapi.json": {"GET": Operation("This description", "Anything")},
    "/": {"GET": Operation("The catalog page", "Page", ("q",))},
    "/d/{id}": {"GET": Operation("A dataset's page", "Page")},
    **{
        path: {"GET": Operation("A dataset's address on another Socrata portal: leads to its page", status=301)}
        for path in ("/id/{id}", "/views/{id}", "/{category}/{name}/{id}")
    },
    "/d/{id}/api": {"GET": Operation("The page with example queries in several programming languages", "Page")},
    **{
        f"/d/{{id}}{part}/citation.bib": {"GET": Operation("The citation as BibTeX", "BibTeX")}
        for part in ("", "/releases/{period}/{edition}")
    },
    **{
        f"/d/{{id}}/{way}/{picture}": {"GET": Operation(f"{words} {picture} of a dataset", "Page")}
        for way, words in (("share", "What to copy for the"), ("embed", "For a frame on another page: the"))
        for picture in ("chart", "map")
    },
    "/d/{id}/places": {"GET": Operation("The page that compares several places in one chart", "Page")},
    "/d/{id}/columns": {"GET": Operation("The page with statistics of each column", "Page")},
    "/d/{id}/ask": {"GET": Operation("The page where a reader builds a question from lists", "Page")},
    "/d/{id}/chart.svg": {"GET": Operation("The chart on a dataset's page, as a picture", "Svg")},
    "/d/{id}/chart.png": {"GET": Operation("The chart on a dataset's page, as a picture", "Png")},
    "/d/{id}/map.svg": {"GET": Operation("The map on a dataset's page, as a picture", "Svg")},
    "/d/{id}/map.png": {"GET": Operation("The map on a dataset's page, as a picture", "Png")},
    "/d/{id}/guarantee": {"GET": Operation("The page with a dataset's privacy guarantee", "Page")},
    "/d/{id}/releases": {"GET": Operation("The page with a dataset's releases", "Page")},
    "/d/{id}/releases/{period}/{edition}": {"GET": Operation("A release's page", "Page")},
    "/d/{id}/schedule": {"GET": Operation("The page with what happened to each period of a dataset", "Page")},
    "/schedule": {"GET": Operation("The page with the schedules of all datasets", "Page")},
    "/schedule.json": {"GET": Operation("The schedules of all datasets as JSON", "Schedules")},
    "/inventory": {"GET": Operation("The data inventory page: what is collected about people", "Page")},
    "/inventory.csv": {"GET": Operation("The data inventory as CSV", "Csv")},
    "/inventory.json": {"GET": Operation("The data inventory as JSON", "Inventory")},
    "/methods": {"GET": Operation("The page on how the numbers are made and how privacy is protected", "Page")},
    "/about": {"GET": Operation("The page about this portal", "Page")},
    "/static/{name}": {"GET": Operation("Styles, scripts, and images of the pages", "Any")},
    "/robots.txt": {"GET": Operation("Which addresses search engines leave alone", "Text")},
    "/sitemap.xml": {"GET": Operation("Every page with its languages, for search engines", "Any")},
    "/data.json": {"GET": Operation("The open datasets as DCAT-US 1.1", "Catalog")},
    "/dcat-us-3.json": {"GET": Operation("The open datasets as DCAT-US 3.0, in JSON-LD", "LinkedCatalog")},
    "/feed.atom": {"GET": Operation("Releases and corrections of all datasets", "Atom")},
    "/feed.json": {"GET": Operation("Releases and corrections of all datasets", "JsonFeed")},
    "/d/{id}/feed.atom": {"GET": Operation("Releases and corrections of one dataset", "Atom")},
    "/d/{id}/feed.json": {"GET": Operation("Releases and corrections of one dataset", "JsonFeed")},
    "/api/catalog/v1": {"GET": Operation("Search for datasets", "Found", _FOUND + _PAGED)},
    "/api/catalog/v1/autocomplete": {"GET": Operation("Titles that complete what was typed", "Counted", _FOUND)},
    "/api/catalog/v1/categories": {
        "GET": Operation("Categories, with the number of datasets in each", "Counted", _FOUND)
    },
    "/api/catalog/v1/tags": {"GET": Operation("Tags, with the number of datasets for each", "Counted", _FOUND)},
    "/api/catalog/v1/domain_categories": {"GET": Operation("Categories, under Socrata's name", "Counted", _FOUND)},
    "/api/catalog/v1/domain_tags": {"GET": Operation("Tags, under Socrata's name", "Counted", _FOUND)},
    "/api/catalog/v1/domains": {"GET": Operation("This portal, with its number of datasets", "Counted", _FOUND)},
    "/api/catalog/v1/domains/{domain}/facets": {"GET": Operation("All facets with their values", "Facets", _FOUND)},
    "/api/odata/v4": {"GET": Operation("The datasets as OData entity sets", "Service")},
    "/api/odata/v4/$metadata": {"GET": Operation("The entity types in CSDL", "Csdl")},
    "/api/odata/v4/{name}": {"GET": Operation("Rows, or one row with ('key')", "Entities", _ODATA)},
    "/api/odata/v4/{name}/$count": {"GET": Operation("The number of rows that match the filter", "Text", ("$filter",))},
    "/resource/{name}": {
        "GET": Operation("The result of a SoQL query (SODA 2.1)", "Rows", _SODA),
        "POST": _writes("Upsert rows", "Counters", "Rows"),
        "PUT": _writes("Replace all rows", "Counters", "Rows"),
    },
    "/resource/{id}/{row}": {
        "GET": Operation("One row", "OneRow"),
        "POST": _writes("Change cells of a row", "Counters", "Object"),
        "PUT": _writes("Replace a row", "Counters", "Object"),
        "DELETE": _writes("Delete a row", "Counters"),
    },
    **{
        f"/api/v3/views/{{id}}/{name}{ending}": {
            "GET": Operation(summary, "Rows", parameters, private=True),
            "POST": Operation(summary, "Rows", takes="Query", private=True),
        }
        for name, summary, parameters in (
            ("query", "The result of a SoQL query (SODA 3)", _QUERY),
            ("export", "The whole result of a SoQL query as a file (SODA 3)", ("query",)),
        )
        for ending in ("", ".{format}")
    },
    "/api/views": {
        "GET": Operation("The metadata of all datasets", "Views"),
        "POST": _writes("Create a dataset, unpublished and private", "View", "View"),
    },
    "/api/views/metadata/v1": {
        "GET": Operation("All datasets, in the format of the metadata API", "AllDescribed", ("limit", "page"))
    },
    "/api/views/metadata/v1/{name}": {
        "GET": Operation("A dataset, in the format of the metadata API", "Described"),
        "PATCH": _writes("Change the members that are sent", "Described", "View"),
    },
    "/api/views/{name}": {
        "GET": Operation("A dataset's metadata", "View"),
        "POST": _writes("Replace the file of a dataset that is one file", "View", "Object"),
        "PUT": _writes("Change metadata, or who may read the dataset with method=setPermission", "View", "View"),
        "PATCH": _writes("Change metadata", "View", "View"),
        "DELETE": _writes("Delete a dataset", "Nothing"),
    },
    "/api/views/{id}/columns": {
        "GET": Operation("A dataset's columns", "Columns"),
        "POST": _writes("Add a column", "Column", "Column"),
    },
    "/api/views/{id}/columns/{column}": {
        "GET": Operation("A column", "Column"),
        "PUT": _writes("Change a column's name, description, or position", "Column", "Column"),
        "PATCH": _writes("Change a column's name, description, or position", "Column", "Column"),
        "DELETE": _writes("Remove a column", "Nothing"),
    },
    "/api/views/{id}/permissions": {
        "GET": Operation("Who may read the dataset", "Permissions"),
        "PUT": _writes("Set who may read the dataset", "Permissions", "Object"),
    },
    "/api/views/{id}/publication": {"POST": _writes("Publish a dataset", "View")},
    "/api/views/{id}/rows.csv": {"GET": Operation("All rows, with display names", "Csv", _EXPORTED)},
    "/api/views/{id}/rows.tsv": {"GET": Operation("All rows, separated by tabs", "Tsv", _EXPORTED)},
    "/api/views/{id}/rows.xml": {"GET": Operation("All rows as XML", "Xml", _EXPORTED)},
    "/api/views/{id}/rows.rdf": {"GET": Operation("All rows as RDF", "Rdf", _EXPORTED)},
    "/api/views/{id}/rows.json": {
        "GET": Operation("All rows, with the dataset's metadata", "AllRows", ("accessType", "max_rows"))
    },
    "/api/views/{id}/data.csv": {"GET": Operation("All rows, with field names", "Csv")},
    "/api/views/{id}/rows.parquet": {"GET": Operation("All rows as typed Parquet", "Parquet")},
    "/api/views/{id}/rows.xlsx": {"GET": Operation("All rows as an Excel workbook", "Workbook")},
    "/api/views/{id}/rows.geojson": {"GET": _drawn("GeoJSON", "Map")},
    "/api/views/{id}/rows.kml": {"GET": _drawn("KML", "Kml")},
    "/api/views/{id}/rows.kmz": {"GET": _drawn("KMZ", "Kmz")},
    "/api/views/{id}/rows.shp": {"GET": _drawn("a Shapefile in a ZIP", "Shapes")},
    **{
        f"/api/views/{{id}}/{file}.sha256": {"GET": _HASH}
        for file in ("data.csv", "rows.parquet", "rows.xlsx", "rows.geojson", "rows.kml", "rows.kmz", "rows.shp")
    },
    "/api/views/{id}/downloads.json": {"GET": Operation("All download files, with size and hash", "Downloads")},
    "/api/views/{id}/measurements/{name}": {"GET": Operation("A file with unbiased measurements", "Any")},
    "/api/geospatial/{id}": {"GET": Operation("The dataset as a map file", "Export", ("method", "format", "period"))},
    "/api/views/{id}/datapackage.json": {"GET": Operation("The dataset as a Frictionless data package", "Package")},
    "/api/views/{id}/releases/{period}/{edition}/datapackage.json": {
        "GET": Operation("A release as a Frictionless data package", "Package")
    },
    "/api/views/{id}/releases/{period}/{edition}/data.csv": {"GET": Operation("A release's rows", "Csv")},
    "/api/views/{id}/files/{asset}": {"GET": Operation("A file attached to a dataset", "Any")},
    "/api/assets": {"POST": _writes("Store a file", "File", "Bytes")},
    "/api/assets/{id}": {"GET": Operation("A stored file", "Any")},
    "/api/imports2": {"POST": _writes("Create a dataset that is one file", "View", "Bytes")},
    f"{_DSMAPI}/revision": {"POST": _writes("Create a dataset with a revision", "Reply", "Object", status=201)},
    f"{_DSMAPI}/revision/{{id}}": {
        "GET": _writes("A dataset's revisions", "Replies"),
        "POST": _writes("Start a revision", "Reply", "Object", status=201),
    },
    _REVISION: {
        "GET": _writes("A revision", "Reply"),
        "PUT": _writes("Change a revision", "Reply", "Object"),
        "DELETE": _writes("Discard a revision", "Reply"),
    },
    f"{_REVISION}/restore": {"POST": _writes("Restore a discarded revision", "Reply")},
    f"{_REVISION}/plan": {"GET": _writes("What applying the revision would do", "Reply")},
    f"{_REVISION}/apply": {"PUT": _writes("Apply a revision", "Reply", "Object")},
    f"{_REVISION}/apply/{{job}}": {"GET": _writes("The progress of applying a revision", "Reply")},
    f"{_REVISION}/source": {
        "GET": _writes("A revision's sources", "Replies"),
        "POST": _writes("Create a source in a revision", "Reply", "Object", status=201),
    },
    f"{_DSMAPI}/source": {"POST": _writes("Create a source", "Reply", "Object", status=201)},
    _SOURCE: {
        "GET": _writes("A source", "Reply"),
        "POST": _writes("Change a source", "Reply", "Object"),
        "PATCH": _writes("Add a source to a revision", "Reply", "Object"),
    },
    f"{_SOURCE}/load": {"PUT": _writes("Load a source", "Reply")},
    f"{_SOURCE}/bytes": {"POST": _writes("Send a file in one body", "Reply", "Bytes")},
    f"{_SOURCE}/initiate": {"POST": _writes("Start an upload", "Anything", "Object")},
    f"{_SOURCE}/chunk/{{seq}}/{{offset}}": {"POST": _writes("Send a part of an upload", "Anything", "Bytes")},
    f"{_SOURCE}/commit/{{seq}}/{{offset}}": {"POST": _writes("Finish an upload", "Anything")},
    f"{_SOURCE}/schema/{{input}}": {
        "GET": _writes("The columns that were read", "Reply"),
        "POST": _writes("Set the output columns and their transforms", "Reply", "Object", status=201),
    },
    f"{_SOURCE}/schema/{{input}}/output/latest": {"GET": _writes("The latest output schema", "Reply")},
    _OUTPUT: {"GET": _writes("An output schema", "Reply")},
    f"{_OUTPUT}/rows": {"GET": _writes("Output rows", "RowsOrErrors")},
    f"{_OUTPUT}/errors": {"GET": _writes("Rows with errors", "RowsOrErrors")},
    f"{_OUTPUT}/validate_row_id/{{transform}}": {
        "GET": _writes("Whether a column has a different value in every row", "Anything")
    },
    f"{_OUTPUT}/build_config": {
        "POST": _writes("Save the output schema as a configuration", "Reply", "Object", status=201)
    },
    f"{_DSMAPI}/config": {
        "GET": _writes("All configurations", "Replies"),
        "POST": _writes("Create a configuration", "Reply", "Object", status=201),
    },
    f"{_DSMAPI}/config/{{name}}": {
        "GET": _writes("A configuration", "Reply"),
        "PATCH": _writes("Change a configuration", "Reply", "Object"),
        "DELETE": _writes("Delete a configuration", "Anything"),
    },
    f"{_DSMAPI}/config/{{name}}/revision/{{id}}": {
        "POST": _writes("Start a revision with a configuration", "Reply", "Object", status=201)
    },
}
"""By address and method. An address that ends in .json or /, or starts with a language, works like the one without."""
