"""All rows at Socrata's addresses, in the formats and by the parameters of its own links."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

if TYPE_CHECKING:
    import requests
    from portal_process import Running

    Cells = list[dict[str, Any]]

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


@pytest.fixture
def rows(portal: Running, sample: str) -> str:
    """The address of the rows, without the ending."""
    return f"{portal.address}/api/views/{sample}/rows"


def test_tables_are_for_people(web: requests.Session, rows: str, cells: Cells) -> None:
    """Display names, in the separator asked for, with a byte order mark for spreadsheets."""
    for address, separator in (("csv", ","), ("tsv", "\t"), ("csv?delimiter=%3B&bom=true&accessType=DOWNLOAD", ";")):
        answer = web.get(f"{rows}.{address}")
        read = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=separator))
        assert [row["Cell"] for row in read] == [row["id"] for row in cells], address
        assert answer.content.startswith("\ufeff".encode()) == ("bom" in address)


def test_xml_has_each_value(web: requests.Session, rows: str, cells: Cells) -> None:
    """A row for each row, an element for each value, nothing for a missing one, and signs escaped."""
    answer = web.get(f"{rows}.xml")
    assert answer.headers["content-type"] == "application/xml; charset=utf-8"
    found = ElementTree.fromstring(answer.content).findall("row/row")  # noqa: S314 -- ours
    assert [row.findtext("zone") for row in found] == [row["zone"] for row in cells]
    assert [row.findtext("requests") for row in found] == [row["requests"] for row in cells]


def test_rdf_names_the_dataset_s_columns(web: requests.Session, rows: str, portal: Running, sample: str) -> None:
    """Each field is a property below the address of the rows."""
    space = f"{{{portal.address}/resource/{sample}/}}"
    for address in (f"{rows}.rdf", f"{portal.address}/resource/{sample}.rdf"):
        described = ElementTree.fromstring(web.get(address).content).findall(f"{RDF}Description")  # noqa: S314 -- ours
        assert len(described) == 120
        assert described[1].findtext(f"{space}requests") == "3.05"


def test_the_same_formats_of_a_query(web: requests.Session, portal: Running, sample: str) -> None:
    """`/resource` answers in them too, by ending or by what the client accepts, and so does one row."""
    address = f"{portal.address}/resource/{sample}"
    query = {"$query": "SELECT 'a<b&c' AS sign LIMIT 1"}
    assert ElementTree.fromstring(web.get(f"{address}.xml", params=query).content).findtext("row/row/sign") == "a<b&c"  # noqa: S314 -- ours
    accepted = web.get(address, params=query, headers={"Accept": "text/tab-separated-values"})
    assert accepted.text == '"sign"\n"a<b&c"\n'
    one = ElementTree.fromstring(web.get(f"{address}/0-01.xml").content)  # noqa: S314 -- ours
    assert one.findtext("row/row/zone") == "Nord"


def test_parameters_are_honored_or_refused(web: requests.Session, rows: str) -> None:
    """A query and a number of rows count; what is not known is an error, never left out in silence."""
    told = web.get(f"{rows}.csv", params={"query": "SELECT zone, count(*) AS n GROUP BY zone ORDER BY zone LIMIT 1"})
    assert told.text == '"Zone","n"\n"Nord","40"\n'
    assert len(web.get(f"{rows}.json?max_rows=3").json()["data"]) == 3
    assert len(web.get(f"{rows}.csv?max_rows=2").text.splitlines()) == 3
    for wrong in ("csv?queries=x", "json?query=SELECT+zone", "json?max_rows=few", "csv?delimiter=x", "csv?query=SELEC"):
        assert web.get(f"{rows}.{wrong}").status_code == 400, wrong


def test_headers_call_a_checkbox_a_boolean(web: requests.Session, portal: Running, sample: str) -> None:
    """As SODA 2.1 and 3 do."""
    told = web.get(f"{portal.address}/resource/{sample}.json?$select=open&$limit=1")
    assert told.headers["X-SODA2-Types"] == '["boolean"]'
    query, token = {"query": "SELECT open LIMIT 1"}, {"X-App-Token": portal.secret["app_token"]}
    told = web.post(f"{portal.address}/api/v3/views/{sample}/query.json", json=query, headers=token)
    assert told.headers["X-SODA2-Types"] == '["boolean"]'


def test_addresses_of_another_portal_lead_to_the_page(web: requests.Session, portal: Running, sample: str) -> None:
    """People's bookmarks survive a move; what only looks like one is not found."""
    for path in (f"/Public-Safety/Requests-by-zone/{sample}", f"/id/{sample}", f"/views/{sample}"):
        answer = web.get(portal.address + path, allow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (301, f"/d/{sample}")
    assert web.get(f"{portal.address}/one/two/three").status_code == 404
    assert web.post(f"{portal.address}/one/two/three").status_code == 404
