"""Which server an address is of, and how its records would be fetched."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from publisher.definitions.fault_words import words_of
from publisher.definitions.feed import Open311Feed, Secret, SeeClickFixFeed, SocrataFeed, SqlFeed, web_address
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from publisher.definitions.feed import ServerFeed

Made = TypeVar("Made", SocrataFeed, Open311Feed, SeeClickFixFeed, SqlFeed)

KNOWN = """the address of
  a Socrata dataset     https://data.example.gov/resource/abcd-1234
  a SeeClickFix place   https://seeclickfix.com/example-city
  an Open311 endpoint   https://311.example.gov/open311/v2
  a database            postgresql://reader@db.example.gov/permits, with --table"""
_DATASET = re.compile(r"/([0-9a-z]{4}-[0-9a-z]{4})(?=[./]|$)")
_ENDPOINT = re.compile(r"/(?:requests|services)(?:\.json|\.xml)?/?$")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SOON = datetime(2020, 1, 1, tzinfo=UTC)
"""Where only a person can choose a time: the draft marks it, and the first page does not use it."""


@dataclass(frozen=True)
class ServerAddress:
    """What the command line says about a server; of credentials it says where they are."""

    address: str
    table: str | None = None
    token: str | None = None
    user: str | None = None
    password: str | None = None


def feed_at(server: ServerAddress) -> ServerFeed:
    """The feed that the address is of. Raises DefinitionError, which quotes neither address nor credential."""
    scheme, known, _ = server.address.partition("://")
    if not known:
        raise DefinitionError(f"--from: give {KNOWN}")
    if scheme == "s3":
        raise DefinitionError(
            '--from: copy one of the files here and add it as a file; then write kind = "objects" in its [feed]: '
            "docs/feeds.md has an example"
        )
    on_web = scheme in ("http", "https")
    _check_options(server, on_web=on_web)
    secrets = {
        option: _secret(option, place)
        for option, place in (("token", server.token), ("user", server.user), ("password", server.password))
        if place is not None
    }
    if not on_web:
        return _made(SqlFeed, {"kind": "sql", "url": server.address, "table": server.table} | secrets)
    return _of_web(server.address, secrets)


def shown(feed: ServerFeed) -> str:
    """How a person is told which records were looked at."""
    match feed:
        case SocrataFeed():
            return f"{feed.dataset} on {feed.domain}"
        case Open311Feed():
            return f"the requests of {urlsplit(feed.url).hostname}"
        case SeeClickFixFeed():
            return f"the issues of {feed.place_url}"
        case SqlFeed():
            return f"the table {feed.table}"


def _check_options(server: ServerAddress, *, on_web: bool) -> None:
    if on_web and server.table:
        raise DefinitionError("--table: belongs to the address of a database, such as postgresql://")
    if not on_web and not server.table:
        raise DefinitionError("--table: is missing: name the table or view of the database, such as public.permits")
    if not on_web and (server.token or server.user):
        raise DefinitionError("--token, --user: a database has its user in the address, and --password")


def _of_web(address: str, secrets: dict[str, Secret]) -> ServerFeed:
    try:
        parts = urlsplit(address)
        host, query = parts.hostname or "", parse_qs(parts.query)
    except ValueError:
        raise DefinitionError(f"--from: is not an address: give {KNOWN}") from None
    if "@" in parts.netloc:
        raise DefinitionError("--from: has an account in it: leave it out, and name it with --user and --password")
    base = f"{parts.scheme}://{parts.netloc}"
    if dataset := _DATASET.findall(parts.path):
        if base != web_address(parts.netloc):
            raise DefinitionError("--from: must begin with https://, so that no one can read the records on their way")
        return _made(SocrataFeed, {"kind": "socrata", "domain": parts.netloc, "dataset": dataset[-1]} | secrets)
    if "user" in secrets or "password" in secrets:
        raise DefinitionError(
            "--user, --password: belong to a Socrata dataset or a database; servers of requests have --token"
        )
    place = query.get("place_url", [""])[0]
    if host.removeprefix("www.") == "seeclickfix.com" or place:
        place = place or parts.path.strip("/").partition("/")[0]
        where = {"url": f"{base}{parts.path.removesuffix('/issues')}"} if query.get("place_url") else {}
        return _made(SeeClickFixFeed, {"kind": "seeclickfix", "place_url": place, "start": _SOON} | where | secrets)
    own = {"jurisdiction_id": query["jurisdiction_id"][0]} if "jurisdiction_id" in query else {}
    url = base + _ENDPOINT.sub("", parts.path)
    return _made(Open311Feed, {"kind": "open311", "url": url, "start": _SOON} | own | secrets)


def _made(model: type[Made], values: dict[str, Any]) -> Made:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"])
        words = "is not as such addresses are" if fault["type"].startswith("string") else words_of(fault)
        option = "--table" if key == "table" else "--from"
        raise DefinitionError(f"{option}: {key + ' ' if key else ''}{words}") from None


def _secret(option: str, place: str) -> Secret:
    """Where a credential is. Raises DefinitionError without quoting: it may be the credential itself."""
    if place.startswith("/") and Path(place).is_file():
        return Secret(file=place)
    if _VARIABLE.fullmatch(place) and os.environ.get(place):
        return Secret(env=place)
    raise DefinitionError(
        f"--{option}: names the environment variable, or the file by its full path, that holds it, and there is none "
        "of this name. Never give the secret itself: it would stay in the history of the shell"
    )
