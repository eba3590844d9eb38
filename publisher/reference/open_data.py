"""A column of a public Socrata dataset as a list of keys, read without an account: what is private is refused."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from publisher.definitions.keyset import MOST_KEYS
from publisher.definitions.likeness import there_is
from publisher.errors import DefinitionError, PortalError
from publisher.reference.listing import PublicList

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import Response

    from publisher.strict_http import StrictSession

TOKEN = "SOCRATA_APP_TOKEN"  # noqa: S105 - the name of a variable
"""An app token is no account: it raises the portal's limits and opens nothing."""
PAGE = 50_000
COUNT = "rows_with_it"
"""The name of the number of rows in an answer."""
LARGEST = 100_000_000
"""Bytes of one answer."""
SECONDS = 60
"""How long one answer may take as a whole; a portal that sends nothing is given a third of it."""
ATTEMPTS = 4
PAUSE = 0.5
_ADDRESS = re.compile(r"/resource/([0-9a-z]{4}-[0-9a-z]{4})(?:\.(?:json|csv|geojson))?/?")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_FIELD = re.compile(r"[a-z_][a-z0-9_]*")


def dataset_id(url: str) -> str:
    """The dataset's id. Raises DefinitionError for another address, or one that strangers could read along."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    found = _ADDRESS.fullmatch(parts.path)
    if found is None or not host or parts.query or parts.username is not None:
        raise DefinitionError(
            "--from: is not the address of a Socrata dataset, such as "
            "https://data.example.gov/resource/abcd-1234: download other lists and give the file"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise DefinitionError("--from: must begin with https://, so that no one can change the list on its way")
    return found[1]


def column_list(url: str, key: str | None, label: str | None, environment: Mapping[str, str]) -> PublicList:
    """The values of one column, each with its label. Raises PortalError and DefinitionError."""
    identifier, parts = dataset_id(url), urlsplit(url)
    address = f"{parts.scheme}://{parts.netloc}/resource/{identifier}.json"
    with _session(environment) as session:
        there = _columns(session, f"{parts.scheme}://{parts.netloc}/api/views/{identifier}.json")
        if key is None:
            raise DefinitionError(f"{address}: --key is missing: name the column with the keys; {_named(there)}")
        for name in filter(None, (key, label)):
            if name not in there or not _FIELD.fullmatch(name):
                raise DefinitionError(f"{address}: has no column {name!r}; {there_is(name, there)}")
        rows, repeated = _rows(session, address, key, label)
    origin = f"{address}, column {key}" + (f", labels from {label}" if label else "")
    entries = [(number, *pair) for number, pair in enumerate(rows, 1)]
    return PublicList(origin, "value", label is not None, False, entries, tabular=True, repeated=repeated)


def _named(there: tuple[str, ...]) -> str:
    return f"there is: {', '.join(there)}"


def _columns(session: StrictSession, address: str) -> tuple[str, ...]:
    """The names of the dataset's columns."""
    _, content = _asked(session, address, {})
    try:
        names = [str(column["fieldName"]) for column in json.loads(content)["columns"]]
    except (KeyError, ValueError, TypeError, RecursionError):
        words = "the answer does not name the columns, so this is no Socrata dataset. Nothing was written"
        raise PortalError(f"{address}: {words}") from None
    return tuple(name for name in names if not name.startswith(":"))


def _rows(session: StrictSession, address: str, key: str, label: str | None) -> tuple[list[tuple[str, str]], int]:
    """Each different pair of key and label, and how many of the dataset's rows are not the first of theirs."""
    names = ",".join(filter(None, (key, label)))
    pairs: list[tuple[str, str]] = []
    repeated = 0
    while len(pairs) <= MOST_KEYS:
        query = {"$select": f"{names},count(*) AS {COUNT}", "$group": names, "$order": names}
        _, content = _asked(session, address, query | {"$limit": str(PAGE), "$offset": str(len(pairs))})
        page = _page(content, address)
        for row in page:
            pairs.append((_text(row.get(key)), _text(row.get(label)) if label else ""))
            repeated += int(row[COUNT]) - 1 if pairs[-1][0] else 0
        if len(page) < PAGE:
            break
    return pairs, repeated


def _page(content: bytes, address: str) -> list[dict[str, Any]]:
    try:
        page = json.loads(content)
    except (ValueError, RecursionError):
        page = None
    if not isinstance(page, list) or not all(isinstance(row, dict) and _counted(row) for row in page):
        raise PortalError(f"{address}: the answer is not a list of rows. Nothing was written")
    return page


def _counted(row: dict[str, Any]) -> bool:
    return re.fullmatch(r"\d{1,18}", str(row.get(COUNT, "")), re.ASCII) is not None


def _text(value: object) -> str:
    if value is None or isinstance(value, dict | list):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _session(environment: Mapping[str, str]) -> StrictSession:
    from publisher.strict_http import StrictSession

    session = StrictSession()
    session.auth = lambda request: request  # no account, neither from ~/.netrc nor from elsewhere
    session.headers["Accept"] = "application/json"
    if token := environment.get(TOKEN):
        session.headers["X-App-Token"] = token
    return session


def _asked(session: StrictSession, address: str, query: dict[str, str]) -> tuple[Response, bytes]:
    """An answer, tried again where that may help. Raises PortalError."""
    import requests

    for attempt in range(ATTEMPTS):
        last = attempt + 1 == ATTEMPTS
        try:
            reply, content = _once(session, address, query)
        except requests.Timeout:
            raise PortalError(f"{address}: does not answer in time: try again later. Nothing was written") from None
        except requests.RequestException:
            if last:
                words = "cannot be reached, or closed the connection: check the address and the network"
                raise PortalError(f"{address}: {words}. Nothing was written") from None
        else:
            if reply.status_code == 200:
                return reply, content
            if last or not (reply.status_code == 429 or reply.status_code >= 500):
                raise PortalError(f"{address}: {_refusal(reply)}. Nothing was written")
        time.sleep(PAUSE * 2**attempt)
    raise AssertionError


def _once(session: StrictSession, address: str, query: dict[str, str]) -> tuple[Response, bytes]:
    """One answer, as long as its limits allow."""
    content, wait = bytearray(), (min(10.0, SECONDS / 3), SECONDS / 3)
    with session.within(SECONDS), session.get(address, params=query, timeout=wait, stream=True) as reply:
        for piece in reply.iter_content(1 << 16) if reply.status_code == 200 else ():
            content += piece
            if len(content) > LARGEST:
                raise PortalError(f"{address}: the answer is larger than {LARGEST // 10**6} MB. Nothing was written")
    return reply, bytes(content)


def _refusal(reply: Response) -> str:
    """What a status means, in our own words."""
    status = reply.status_code
    if status in (401, 403):
        return f"is not public (HTTP {status}): keys must come from what everyone can read"
    if status == 404:
        return "there is no such public dataset (HTTP 404): check the address"
    if 300 <= status < 400:
        return f"has moved (HTTP {status}): open it in a browser and give the address that it leads to"
    if status == 429:
        return f"asks to wait (HTTP 429): try again later, or set {TOKEN}"
    return f"cannot answer (HTTP {status})"
