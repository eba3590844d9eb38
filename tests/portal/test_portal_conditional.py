"""Asking again only for what has changed (RFC 9110, section 13)."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest
from portal_process import publish

if TYPE_CHECKING:
    import requests
    from portal_process import Running

Cells = list[dict[str, Any]]


@pytest.fixture(scope="module")
def changing(portal: Running, cells: Cells) -> str:
    """A public dataset that the tests change."""
    with portal.client() as client:
        return publish(client, "Changing", cells[:10])


def test_a_mark_counts_before_a_date(web: requests.Session, portal: Running, sample: str) -> None:
    """With If-None-Match, If-Modified-Since says nothing; weak and strong marks, lists and * compare alike."""
    address = f"{portal.address}/resource/{sample}.json"
    mark = web.get(address).headers["ETag"]
    future = "Fri, 01 Jan 2100 00:00:00 GMT"

    def status(sent: str) -> int:
        return web.get(address, headers={"If-None-Match": sent, "If-Modified-Since": future}).status_code

    assert [status('"another"'), status(""), status(mark[:-2] + '"')] == [200, 200, 200]
    assert [status(mark), status(mark.removeprefix("W/")), status(f'"a", {mark}'), status("*")] == [304] * 4
    time.sleep(2.1)  # a date tells changes apart once its second is over
    assert web.get(address, headers={"If-Modified-Since": future}).status_code == 304


def test_if_match_refuses_what_is_not_there(web: requests.Session, portal: Running, sample: str) -> None:
    """A weak mark never matches strongly; `*` does, as there is something."""
    address = f"{portal.address}/resource/{sample}.json?$limit=1"
    mark = web.get(address).headers["ETag"]
    answer = web.get(address, headers={"If-Match": mark})
    assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")
    assert web.get(address, headers={"If-Match": "*"}).status_code == 200


def test_compressed_and_plain_answers_share_a_weak_mark(web: requests.Session, portal: Running, sample: str) -> None:
    """The same rows in another coding: one mark, and Vary says so, on 304 as well."""
    address = f"{portal.address}/resource/{sample}.json"
    plain = web.get(address, headers={"Accept-Encoding": "identity"})
    packed = web.get(address, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["ETag"] == packed.headers["ETag"]
    assert plain.headers["ETag"].startswith('W/"')
    again = web.get(address, headers={"If-None-Match": plain.headers["ETag"]})
    assert again.content == b""
    for answer in (plain, packed, again):
        assert {"Accept", "Accept-Encoding", "Authorization"} <= set(answer.headers["Vary"].split(", "))


def test_changed_rows_have_another_mark(web: requests.Session, portal: Running, changing: str, cells: Cells) -> None:
    """The old mark and the old date bring the new rows, even where both changes fall into one second."""
    address = f"{portal.address}/resource/{changing}.json?$where=id='0-01'"
    with portal.client() as client:
        for number in range(4):
            client.upsert(changing, [cells[1] | {"requests": str(number)}])
            first = web.get(address)
            assert first.json()[0]["requests"] == str(number)
            client.upsert(changing, [cells[1] | {"requests": "99"}])
            for name, validator in (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified")):
                answer = web.get(address, headers={name: first.headers[validator]})
                assert (answer.status_code, answer.json()[0]["requests"]) == (200, "99")


def test_a_date_is_never_ahead_of_the_clock(web: requests.Session, portal: Running, changing: str) -> None:
    """Last-Modified is not after Date, and once its second is over it is the time of the change."""
    time.sleep(1.1)
    headers = web.get(f"{portal.address}/resource/{changing}.json").headers
    assert parsedate_to_datetime(headers["Last-Modified"]) <= parsedate_to_datetime(headers["Date"])
    assert headers["Last-Modified"] == headers["X-SODA2-Truth-Last-Modified"]
    assert headers["X-SODA2-Data-Out-Of-Date"] == "false"


def test_a_renamed_column_changes_the_download(web: requests.Session, portal: Running, changing: str) -> None:
    """rows.csv shows display names: another name is another answer, though the rows are the same."""
    address = f"{portal.address}/api/views/{changing}/rows.csv"
    first = web.get(address)
    assert web.get(address, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    with portal.client() as client:
        client.update_metadata(changing, {"columns": [{"fieldName": "zone", "name": "District"}]})
    second = web.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (second.status_code, "District" in second.text.split("\n")[0]) == (200, True)


def test_an_answer_about_two_datasets_changes_with_each(
    web: requests.Session, portal: Running, sample: str, changing: str, cells: Cells
) -> None:
    """A change of the joined dataset alone gives another mark and other rows."""
    query = f"SELECT count(*) AS n JOIN @{changing} AS b ON id = @b.id"
    address = f"{portal.address}/resource/{sample}.json"
    first = web.get(address, params={"$query": query})
    assert first.json() == [{"n": "10"}]
    with portal.client() as client:
        client.upsert(changing, cells[10:12])
    second = web.get(address, params={"$query": query}, headers={"If-None-Match": first.headers["ETag"]})
    assert (second.status_code, second.json()) == (200, [{"n": "12"}])


def test_an_answer_about_this_moment_is_kept_by_nobody(web: requests.Session, portal: Running, sample: str) -> None:
    """What `get_utc_date()` gives has no validators, and a second later it is another, whatever the client has."""
    address = f"{portal.address}/resource/{sample}.json?$select=get_utc_date() AS now&$limit=1"
    first = web.get(address)
    assert (first.status_code, first.headers["Cache-Control"]) == (200, "no-store")
    assert not {"ETag", "Last-Modified"} & first.headers.keys()
    time.sleep(1.1)
    second = web.get(address, headers={"If-None-Match": "*", "If-Modified-Since": first.headers["Date"]})
    assert second.status_code == 200
    assert second.json() != first.json()


def test_pages_of_other_sites_may_read_the_headers(web: requests.Session, portal: Running, sample: str) -> None:
    """Every header that says something about the rows is named in Access-Control-Expose-Headers."""
    headers = web.get(f"{portal.address}/resource/{sample}.json").headers
    exposed = {name.strip().lower() for name in headers["Access-Control-Expose-Headers"].split(",")}
    told = {name.lower() for name in headers if name.lower().startswith("x-soda2-")}
    assert told <= exposed
    assert "x-soda2-warning" in exposed


@pytest.mark.parametrize("path", ["resource/{}.json", "api/views/{}/rows.csv", "api/views/{}/rows.json"])
def test_head_says_nothing_wrong_of_the_length(web: requests.Session, portal: Running, sample: str, path: str) -> None:
    """An answer whose body was not computed names no length."""
    answer = web.head(f"{portal.address}/{path.format(sample)}")
    assert answer.status_code == 200
    assert "Content-Length" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/static/portal.css", "/feed.atom", "/resource/{}.json"])
def test_every_address_compares_marks_alike(web: requests.Session, portal: Running, sample: str, path: str) -> None:
    """Weakly, whole, in lists of any make and with `*`: part of a mark, or text around it, is another mark."""
    address = portal.address + path.format(sample)
    mark = web.get(address).headers["ETag"]
    opaque = mark.removeprefix("W/")

    def status(sent: str) -> int:
        return web.get(address, headers={"If-None-Match": sent}).status_code

    same = [opaque, f"W/{opaque}", f'"a,b", W/"", {mark}', f',, {mark} ,"x"', f'"*",{opaque}', "*"]
    assert [status(sent) for sent in same] == [304] * len(same)
    inside = opaque[1:-1]
    others = [inside, f"x{opaque}", f"{opaque}x", f"w/{opaque}", f'"{inside}x"', f'"a" {opaque}', f"*, {opaque}", '"*"']
    assert [status(sent) for sent in others] == [200] * len(others)
