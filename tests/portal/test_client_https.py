"""Clients that speak HTTPS alone: sodapy as it is, and cfasodapy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cfasodapy import Query
from sodapy import Socrata

if TYPE_CHECKING:
    from conftest import Secure
    from portal_process import Running

pytestmark = pytest.mark.xdist_group("secure")


@pytest.fixture
def host(secure: Secure, monkeypatch: pytest.MonkeyPatch) -> str:
    """The portal, whose certificate requests and urllib trust."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secure.certificate))
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.certificate))
    return secure.host


def test_sodapy_as_it_is(host: str, portal: Running, sample: str, cells: list[dict[str, Any]]) -> None:
    """Without an adapter of ours: rows of a public dataset, and a dataset's life with a login."""
    with Socrata(host, None) as client:
        assert len(client.get(sample, limit=1000)) == len(cells)
    name, password = portal.login
    with Socrata(host, portal.secret["app_token"], username=name, password=password) as client:
        made = client.create("Over HTTPS", columns=[{"fieldName": "a", "name": "A", "dataTypeName": "text"}])
        assert client.upsert(made["id"], [{"a": "1"}])["Rows Created"] == 1
        assert client.delete(made["id"]).status_code == 200


def test_cfasodapy_reads_pages(host: str, sample: str, cells: list[dict[str, Any]]) -> None:
    """It counts first, then asks page by page; every row comes once."""
    query = Query(host, sample, select=["id", "zone"], where="zone = 'Nord'", app_token=None, verbose=False)
    assert query.n_records == 40
    pages = list(query.get_pages(page_size=15))
    assert [len(page) for page in pages] == [15, 15, 10]
    expected = [{"id": row["id"], "zone": "Nord"} for row in cells if row["zone"] == "Nord"]
    assert [row for page in pages for row in page] == expected
    assert query.get_all() == expected


def test_cfasodapy_knows_its_token(host: str, portal: Running, sample: str, cells: list[dict[str, Any]]) -> None:
    """An app token in its spelling of the header, limit and offset."""
    token = portal.secret["app_token"]
    query = Query(host, sample, limit=7, offset=3, app_token=token, verbose=False)
    assert [row["id"] for row in query.get_all()] == [row["id"] for row in cells[3:10]]


def test_cfasodapy_tells_of_a_refused_query(host: str, sample: str) -> None:
    """A wrong column raises, with the portal's words."""
    with pytest.raises(Exception, match=r"query\.soql\.no-such-column"):
        Query(host, sample, where="nothing = 1", verbose=False).get_all()
