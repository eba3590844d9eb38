"""What each address takes and gives, one declaration an address; `openapi` puts them into words of OpenAPI."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method does at one address."""

    summary: str
    gives: str = ""
    """a name among GIVEN; empty where the body is empty"""
    query: tuple[str, ...] = ()
    """names among PARAMETERS"""
    takes: str = ""
    """a name among TAKEN, for requests with a body"""
    status: int = 200
    private: bool = False
    """True where nobody may without an account"""
    more: dict[int, str] = field(default_factory=dict)
    """other answers, by status"""


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
        "What is wrong, in Socrata's shape",
        code={**_STRING, "examples": ["dataset.missing"]},
        errorCode={**_STRING, "examples": ["query.soql.no-such-column"]},
        error={"const": True},
        message={**_STRING, "examples": ["Not found"]},
        data={"type": "object"},
    ),
    "ODataError": _object("error", "What is wrong, in OData's shape", error=_object("code message", "Its reason")),
    "Row": {
        "type": "object",
        "description": "Values by field name; numbers are strings, and a missing value has no member",
        "examples": [{"id": "2024-01-7", "requests": "12"}],
    },
    "Rows": {"type": "array", "items": {"$ref": "#/components/schemas/Row"}},
    "AllRows": _object("meta data", "What the columns are, and the rows as arrays", data={"type": "array"}),
    "Features": _object("type features", "GeoJSON", type={"const": "FeatureCollection"}, features={"type": "array"}),
    "Column": _object("id name fieldName dataTypeName position", "A column", id=_NUMBER, fieldName=_STRING),
    "Columns": _list("Column"),
    "View": _object("id name columns", "A dataset's metadata", id=FOUR, name=_STRING, columns={"type": "array"}),
    "Views": _list("View"),
    "Described": _object("id name webUri dataUri", "A dataset in the metadata API", id=FOUR, webUri=_STRING),
    "AllDescribed": _list("Described"),
    "Permissions": _object("scope", "Who may read", scope={"enum": ["public", "private"]}),
    "Found": _object(
        "results resultSetSize timings",
        "Datasets that meet every condition, and how many there are in all",
        results={"type": "array", "items": _object("resource classification metadata permalink link", "A dataset")},
        resultSetSize=_NUMBER,
    ),
    "Counted": _object("results resultSetSize", "Values, and how many datasets have each", results={"type": "array"}),
    "Facets": {"type": "array", "items": _object("facet count values", "A facet with its values")},
    "Counters": _object("Errors", "What a write did to the rows", Errors=_NUMBER, **{"Rows Created": _NUMBER}),
    "Downloads": {"type": "array", "items": _object("format media_type url bytes sha256", "A file")},
    "Package": _object("name resources", "A Frictionless data package", resources={"type": "array", "minItems": 1}),
    "Catalog": _object("@context @type dataset", "DCAT-US", dataset={"type": "array"}),
    "Service": _object("@odata.context value", "Entity sets", value={"type": "array"}),
    "Entities": _object("@odata.context", "Rows, or one row by its key", value={"type": "array"}),
    "File": _object("id", "A stored file", id=_STRING),
    "Reply": _object("resource links", "A part of a revision, and what can be done with it"),
    "Replies": {"type": "array", "items": {"type": "object"}},
    "Health": _object("status", "How the portal is", status=_STRING),
    "Inventory": _object("sources", "What is collected about people", sources={"type": "array"}),
    "Anything": {"type": "object"},
}

_JSON = "application/json"
_ROWS = {_JSON: "Rows", "text/csv": "", "application/vnd.geo+json": "Features"}
GIVEN: dict[str, dict[str, str]] = {
    **{name: {_JSON: name} for name in SCHEMAS},
    "Rows": _ROWS,
    "OneRow": {_JSON: "Row", "text/csv": "", "application/vnd.geo+json": "Features"},
    "Page": {"text/html": ""},
    "Text": {"text/plain": ""},
    "Csv": {"text/csv": ""},
    "Atom": {"application/atom+xml": ""},
    "Csdl": {"application/xml": ""},
    "LinkedCatalog": {"application/ld+json": "Catalog"},
    "Parquet": {"application/vnd.apache.parquet": ""},
    "Workbook": {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ""},
    "Map": {"application/vnd.geo+json": "Features"},
    "Kml": {"application/vnd.google-earth.kml+xml": ""},
    "Shapes": {"application/zip": ""},
    "Export": {
        "application/vnd.geo+json": "Features",
        "application/vnd.google-earth.kml+xml": "",
        "application/zip": "",
        "text/csv": "",
    },
    "RowsOrErrors": {_JSON: "", "text/csv": ""},
    "Any": {"*/*": ""},
    "Nothing": {_JSON: ""},
}
"""Media types of what is given, each with the schema of its body; without one it is text or bytes."""

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
"""What requests bring, by media type."""

PARAMETERS: dict[str, dict[str, Any]] = {
    "$select": _text("SoQL: what to give", examples=["ward, sum(requests)"]),
    "$where": _text("SoQL: which rows", examples=["requests > 10"]),
    "$group": _text("SoQL: by what to group"),
    "$having": _text("SoQL: which groups"),
    "$order": _text("SoQL: in which order", examples=["ward DESC"]),
    "$limit": _whole("How many rows", default=1000),
    "$offset": _whole("How many rows to leave out before", default=0),
    "$q": _text("Words that a row must have in its texts"),
    "$query": _text("A whole SoQL query, without the other parameters"),
    "$filter": _text("OData's condition", examples=["requests gt 10 and startswith(ward, '1')"]),
    "$orderby": _text("OData's order", examples=["ward desc"]),
    "$top": _whole("How many rows at most"),
    "$skip": _whole("How many rows to leave out before"),
    "$count": _text("Whether to count all rows that meet the filter", enum=["true", "false"]),
    "$skiptoken": _whole("Where the next page begins; found in @odata.nextLink"),
    "$format": _text("OData's form", enum=["json"]),
    "q": _text("Words to look for"),
    "ids": _text("4x4s, repeated or comma-joined"),
    "names": _text("Titles, repeated or comma-joined"),
    "categories": _text("Categories, repeated or comma-joined"),
    "tags": _text("Tags, repeated or comma-joined"),
    "domains": _text("Domains, repeated or comma-joined"),
    "only": _text("Kinds of assets", enum=["dataset", "datasets", "map", "chart", "filter", "story", "file"]),
    "attribution": _text("Who published it"),
    "license": _text("Licenses, by id or name"),
    "column_names": _text("Names of columns"),
    "for_user": _text("Owners"),
    "provenance": _text("Whether it is official", enum=["official", "community"]),
    "visibility": _text("Whether it is open", enum=["open", "internal"]),
    "public": _text("Whether it is public", enum=["true", "false"]),
    "published": _text("Whether it is published", enum=["true", "false"]),
    "min_should_match": _text("How many of the words must occur", pattern="^[0-9]{1,2}%?$"),
    "order": _text("By what to order", examples=["relevance", "updatedAt DESC"]),
    "offset": _whole("How many to leave out before", default=0),
    "limit": _whole("How many", default=100, maximum=10_000),
    "scroll_id": _text("The last id of the page before"),
    "page": _whole("Which page, from 1"),
    "period": _text("The period to draw, where rows have boundaries", examples=["2024-01"]),
    "method": _text("What to do", enum=["export"]),
    "format": _text("The form of the file", enum=["GeoJSON", "KML", "Shapefile", "CSV"]),
    "query": _text("SoQL", examples=["SELECT *"]),
    "pageNumber": {"type": "integer", "minimum": 1, "description": "Which page"},
    "pageSize": _whole("Rows on a page", maximum=1_000_000),
    "accessType": _text("DOWNLOAD, as Socrata's links say; changes nothing", enum=["DOWNLOAD"]),
    "setPermission": _text("public.read or private", enum=["public.read", "private"]),
}
PATHS: dict[str, dict[str, Any]] = {
    "id": {**FOUR, "description": "A dataset's 4x4"},
    "name": {**FOUR, "description": "A dataset's 4x4; an extension such as .json may follow"},
    "row": _text("A row's identifier or :id"),
    "period": _text("The period of a release", examples=["2024-01"]),
    "edition": {"type": "integer", "minimum": 1, "description": "The number of an edition"},
    "domain": _text("The portal's domain"),
    "format": _text("The form of the rows", enum=["json", "csv", "geojson"]),
    "asset": _text("A file's id"),
}
"""Parts of addresses; one that is not here is a number or a name of the portal's own."""

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
    return Operation(f"Every row as {label}; where wards are drawn, the rows of one period", gives, ("period",))


_HASH = Operation("The file's SHA-256, as sha256sum writes it", "Text")

OPERATIONS: dict[str, dict[str, Operation]] = {
    "/health": {"GET": Operation("Whether the process lives", "Health")},
    "/health/ready": {"GET": Operation("Whether it can answer", "Health", more={503: "Health"})},
    "/metrics": {"GET": Operation("Counters for operators", "Text")},
    "/openapi.json": {"GET": Operation("This description", "Anything")},
    "/": {"GET": Operation("The catalog, to read", "Page", ("q",))},
    "/d/{id}": {"GET": Operation("A dataset, to read", "Page")},
    "/d/{id}/api": {"GET": Operation("Questions to a dataset in several programming languages, to read", "Page")},
    "/d/{id}/guarantee": {"GET": Operation("A dataset's guarantee, to read", "Page")},
    "/d/{id}/releases": {"GET": Operation("A dataset's releases, to read", "Page")},
    "/d/{id}/releases/{period}/{edition}": {"GET": Operation("A release, to read", "Page")},
    "/inventory": {"GET": Operation("What is collected about people, to read", "Page")},
    "/inventory.csv": {"GET": Operation("The inventory as CSV", "Csv")},
    "/inventory.json": {"GET": Operation("The inventory as JSON", "Inventory")},
    "/methods": {"GET": Operation("How privacy is protected, to read", "Page")},
    "/about": {"GET": Operation("Who publishes here, to read", "Page")},
    "/static/{name}": {"GET": Operation("Styles, scripts and pictures of the pages", "Any")},
    "/data.json": {"GET": Operation("The open datasets as DCAT-US 1.1", "Catalog")},
    "/dcat-us-3.json": {"GET": Operation("The open datasets as DCAT-US 3.0, in JSON-LD", "LinkedCatalog")},
    "/feed.atom": {"GET": Operation("Releases and corrections of all datasets", "Atom")},
    "/d/{id}/feed.atom": {"GET": Operation("Releases and corrections of one dataset", "Atom")},
    "/api/catalog/v1": {"GET": Operation("Search for datasets", "Found", _FOUND + _PAGED)},
    "/api/catalog/v1/categories": {"GET": Operation("Categories and how many datasets have each", "Counted", _FOUND)},
    "/api/catalog/v1/tags": {"GET": Operation("Tags and how many datasets have each", "Counted", _FOUND)},
    "/api/catalog/v1/domain_categories": {"GET": Operation("The same, under Socrata's name", "Counted", _FOUND)},
    "/api/catalog/v1/domain_tags": {"GET": Operation("The same, under Socrata's name", "Counted", _FOUND)},
    "/api/catalog/v1/domains": {"GET": Operation("This portal and how many datasets it has", "Counted", _FOUND)},
    "/api/catalog/v1/domains/{domain}/facets": {"GET": Operation("Every facet with its values", "Facets", _FOUND)},
    "/api/odata/v4": {"GET": Operation("The datasets as entity sets of OData", "Service")},
    "/api/odata/v4/$metadata": {"GET": Operation("The entity types in CSDL", "Csdl")},
    "/api/odata/v4/{name}": {"GET": Operation("Rows, or with ('key') one row", "Entities", _ODATA)},
    "/api/odata/v4/{name}/$count": {"GET": Operation("How many rows meet the filter", "Text", ("$filter",))},
    "/resource/{name}": {
        "GET": Operation("Rows that answer a SoQL question (SODA 2.1)", "Rows", _SODA),
        "POST": _writes("Upsert rows", "Counters", "Rows"),
        "PUT": _writes("Put rows in the place of all", "Counters", "Rows"),
    },
    "/resource/{id}/{row}": {
        "GET": Operation("One row", "OneRow"),
        "POST": _writes("Change cells of a row", "Counters", "Object"),
        "PUT": _writes("Write a row anew", "Counters", "Object"),
        "DELETE": _writes("Delete a row", "Counters"),
    },
    **{
        f"/api/v3/views/{{id}}/{name}{ending}": {
            "GET": Operation(summary, "Rows", parameters, private=True),
            "POST": Operation(summary, "Rows", takes="Query", private=True),
        }
        for name, summary, parameters in (
            ("query", "Rows that answer a SoQL question (SODA 3)", _QUERY),
            ("export", "The whole answer as a file (SODA 3)", ("query",)),
        )
        for ending in ("", ".{format}")
    },
    "/api/views": {
        "GET": Operation("Every dataset's metadata", "Views"),
        "POST": _writes("A new dataset, unpublished and private", "View", "View"),
    },
    "/api/views/metadata/v1": {
        "GET": Operation("Every dataset in the metadata API", "AllDescribed", ("limit", "page"))
    },
    "/api/views/metadata/v1/{name}": {
        "GET": Operation("A dataset in the metadata API", "Described"),
        "PATCH": _writes("Change what is sent", "Described", "View"),
    },
    "/api/views/{name}": {
        "GET": Operation("A dataset's metadata", "View"),
        "POST": _writes("Put another file in the place of a dataset's own", "View", "Object"),
        "PUT": _writes("Change metadata, or with method=setPermission who may read", "View", "View"),
        "PATCH": _writes("Change metadata", "View", "View"),
        "DELETE": _writes("Delete a dataset", "Nothing"),
    },
    "/api/views/{id}/columns": {
        "GET": Operation("A dataset's columns", "Columns"),
        "POST": _writes("One more column", "Column", "Column"),
    },
    "/api/views/{id}/columns/{column}": {
        "GET": Operation("A column", "Column"),
        "PUT": _writes("Describe a column", "Column", "Column"),
        "PATCH": _writes("Describe a column", "Column", "Column"),
        "DELETE": _writes("Remove a column", "Nothing"),
    },
    "/api/views/{id}/permissions": {
        "GET": Operation("Who may read", "Permissions"),
        "PUT": _writes("Say who may read", "Permissions", "Object"),
    },
    "/api/views/{id}/publication": {"POST": _writes("Publish a dataset", "View")},
    "/api/views/{id}/rows.csv": {"GET": Operation("Every row, under display names", "Csv", ("accessType",))},
    "/api/views/{id}/rows.json": {"GET": Operation("Every row with its metadata", "AllRows", ("accessType",))},
    "/api/views/{id}/data.csv": {"GET": Operation("Every row, under field names", "Csv")},
    "/api/views/{id}/rows.parquet": {"GET": Operation("Every row as typed Parquet", "Parquet")},
    "/api/views/{id}/rows.xlsx": {"GET": Operation("Every row as an Excel workbook", "Workbook")},
    "/api/views/{id}/rows.geojson": {"GET": _drawn("GeoJSON", "Map")},
    "/api/views/{id}/rows.kml": {"GET": _drawn("KML", "Kml")},
    "/api/views/{id}/rows.shp": {"GET": _drawn("a Shapefile in a ZIP", "Shapes")},
    **{
        f"/api/views/{{id}}/{file}.sha256": {"GET": _HASH}
        for file in ("data.csv", "rows.parquet", "rows.xlsx", "rows.geojson", "rows.kml", "rows.shp")
    },
    "/api/views/{id}/downloads.json": {"GET": Operation("Every file with size and hash", "Downloads")},
    "/api/geospatial/{id}": {"GET": Operation("The dataset for maps", "Export", ("method", "format", "period"))},
    "/api/views/{id}/datapackage.json": {"GET": Operation("The dataset as a Frictionless data package", "Package")},
    "/api/views/{id}/releases/{period}/{edition}/datapackage.json": {
        "GET": Operation("A release as a Frictionless data package", "Package")
    },
    "/api/views/{id}/releases/{period}/{edition}/data.csv": {"GET": Operation("A release's rows", "Csv")},
    "/api/views/{id}/files/{asset}": {"GET": Operation("A file attached to a dataset", "Any")},
    "/api/assets": {"POST": _writes("Store a file", "File", "Bytes")},
    "/api/assets/{id}": {"GET": Operation("A stored file", "Any")},
    "/api/imports2": {"POST": _writes("A dataset that is one file", "View", "Bytes")},
    f"{_DSMAPI}/revision": {"POST": _writes("A new dataset by a revision", "Reply", "Object", status=201)},
    f"{_DSMAPI}/revision/{{id}}": {
        "GET": _writes("A dataset's revisions", "Replies"),
        "POST": _writes("Begin a revision", "Reply", "Object", status=201),
    },
    _REVISION: {
        "GET": _writes("A revision", "Reply"),
        "PUT": _writes("Change a revision", "Reply", "Object"),
        "DELETE": _writes("Discard a revision", "Reply"),
    },
    f"{_REVISION}/restore": {"POST": _writes("Take up what was discarded", "Reply")},
    f"{_REVISION}/plan": {"GET": _writes("What applying would do", "Reply")},
    f"{_REVISION}/apply": {"PUT": _writes("Apply a revision", "Reply", "Object")},
    f"{_REVISION}/apply/{{job}}": {"GET": _writes("How applying goes", "Reply")},
    f"{_REVISION}/source": {
        "GET": _writes("A revision's sources", "Replies"),
        "POST": _writes("A source of a revision", "Reply", "Object", status=201),
    },
    f"{_DSMAPI}/source": {"POST": _writes("A source", "Reply", "Object", status=201)},
    _SOURCE: {
        "GET": _writes("A source", "Reply"),
        "POST": _writes("Change a source", "Reply", "Object"),
        "PATCH": _writes("Give a source to a revision", "Reply", "Object"),
    },
    f"{_SOURCE}/load": {"PUT": _writes("A source", "Reply")},
    f"{_SOURCE}/initiate": {"POST": _writes("Begin an upload", "Anything", "Object")},
    f"{_SOURCE}/chunk/{{seq}}/{{offset}}": {"POST": _writes("A part of an upload", "Anything", "Bytes")},
    f"{_SOURCE}/commit/{{seq}}/{{offset}}": {"POST": _writes("End an upload", "Anything")},
    f"{_SOURCE}/schema/{{input}}": {
        "GET": _writes("What columns were read", "Reply"),
        "POST": _writes("What columns to make of them", "Reply", "Object", status=201),
    },
    f"{_SOURCE}/schema/{{input}}/output/latest": {"GET": _writes("The latest columns made", "Reply")},
    _OUTPUT: {"GET": _writes("Columns made", "Reply")},
    f"{_OUTPUT}/rows": {"GET": _writes("Rows made", "RowsOrErrors")},
    f"{_OUTPUT}/errors": {"GET": _writes("Rows that could not be made", "RowsOrErrors")},
    f"{_OUTPUT}/validate_row_id/{{transform}}": {"GET": _writes("Whether a column tells rows apart", "Anything")},
    f"{_OUTPUT}/build_config": {"POST": _writes("Keep how columns are made", "Reply", "Object", status=201)},
    f"{_DSMAPI}/config": {
        "GET": _writes("Every way of making columns", "Replies"),
        "POST": _writes("A way of making columns", "Reply", "Object", status=201),
    },
    f"{_DSMAPI}/config/{{name}}": {
        "GET": _writes("A way of making columns", "Reply"),
        "PATCH": _writes("Change it", "Reply", "Object"),
        "DELETE": _writes("Forget it", "Anything"),
    },
    f"{_DSMAPI}/config/{{name}}/revision/{{id}}": {"POST": _writes("A revision by it", "Reply", "Object", status=201)},
}
"""By address and method. An address that ends in .json or /, or begins with a language, is as the one without."""
