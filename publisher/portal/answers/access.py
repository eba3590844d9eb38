"""Access: who makes a request, and what they may see and change."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool

from publisher.portal.base.limits import USUAL
from publisher.portal.base.problems import (
    dataset_missing,
    invalid,
    login_refused,
    login_required,
    no_rows,
    problem,
    query_too_large,
    role_required,
    token_refused,
    too_large,
)
from publisher.portal.engine.engine import DatasetRows

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.portal.base.limits import Limits
    from publisher.portal.base.model import PortalDataset
    from publisher.portal.engine.engine import QueryEngine
    from publisher.portal.soql.compiler import Compiled
    from publisher.portal.store.accounts import Account
    from publisher.portal.store.store import PortalStore

BODY_LIMIT = 64 * 1024 * 1024
"""The most bytes in a request body."""
QUERY_LIMIT = 16 * 1024
"""The most bytes in the query of a visitor without an account."""
_RESOURCE = re.compile(r"/resource/([0-9a-z]{4}-[0-9a-z]{4})(?![^./])")


@dataclass(frozen=True, slots=True)
class AppContext:
    """The portal's parts that every request uses."""

    store: PortalStore
    engine: QueryEngine
    public_url: str | None = None
    limits: Limits = USUAL


def portal(request: Request) -> AppContext:
    """The portal of this request."""
    found: AppContext = request.app.state.portal
    return found


def base_url(request: Request) -> str:
    """The portal's public address, without a trailing slash."""
    return (portal(request).public_url or str(request.base_url)).rstrip("/")


def account(request: Request) -> Account | None:
    """The account of the request's password, API key, or token; None without one. Raises SodaError 401 or 429.

    It is looked up once per request, because each lookup reads the catalog's file.
    """
    state = request.state
    if not hasattr(state, "account"):
        state.account = _proven(request)
    found: Account | None = state.account
    return found


def _proven(request: Request) -> Account | None:
    scheme, _, proof = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() in ("oauth", "bearer"):
        return portal(request).store.accounts.bearer(proof.strip())
    if scheme.lower() != "basic":
        return None
    try:
        username, colon, password = base64.b64decode(proof, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise login_refused() from None
    if not colon:
        raise login_refused()
    client = request.client.host if request.client else ""
    return portal(request).store.accounts.check(username, password, client)


def visitor(request: Request) -> str | None:
    """The name of the request's account, or None. Raises SodaError 401 or 429."""
    found = account(request)
    return found.username if found else None


def writer(request: Request) -> str:
    """The name of the account that may write. Raises SodaError 403 without one, or for a page of another site."""
    if _from_another_site(request):
        raise problem(403, "permission_denied", "A page of another site cannot write with a password. Use a token.")
    found = account(request)
    if found is None:
        raise login_required()
    if not found.role.writes:
        raise role_required()
    return found.username


def _from_another_site(request: Request) -> bool:
    """True if a browser sent a password for a page of another site; browsers do that once they know the password."""
    scheme, _, _ = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")
    own = (request.headers.get("host"), urlsplit(base_url(request)).netloc)
    return origin is not None and origin.partition("://")[2] not in own


def app_token(request: Request) -> str | None:
    """The request's app token, from a header or a parameter."""
    query = request.query_params
    return request.headers.get("x-app-token") or query.get("$$app_token") or _bare_token(request) or None


def _bare_token(request: Request) -> str | None:
    """The `app_token` parameter of SODA 1 and 3; on `/resource`, a filter on a column with that name goes first."""
    token = request.query_params.get("app_token")
    asked = _RESOURCE.match(request.scope["path"]) if token else None
    dataset = portal(request).store.catalog.find(asked[1]) if asked else None
    return None if dataset and dataset.column("app_token") else token


def identified(request: Request) -> None:
    """Check that the request has an account or a registered app token. Raises SodaError 401 or 403."""
    token = app_token(request)
    if token is not None and portal(request).store.accounts.token_known(token):
        return
    if account(request) is not None:
        return
    raise token_refused() if token is not None else login_required()


def moderate(request: Request, *texts: str) -> None:
    """Check that a visitor's query is short; accounts may ask longer ones. Raises SodaError 413."""
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    if size > QUERY_LIMIT and account(request) is None:
        raise query_too_large(QUERY_LIMIT)


def readable(request: Request, identifier: str) -> PortalDataset:
    """A dataset that the visitor may read. Raises SodaError 404 or 403."""
    found = visitor(request)
    dataset = portal(request).store.get(identifier)
    if not dataset.open and found is None:
        raise login_required()
    return dataset


def tabular(request: Request, identifier: str) -> PortalDataset:
    """A dataset that the visitor may read and that has rows. Raises SodaError 404 or 403, or 400 if it is a file."""
    dataset = readable(request, identifier)
    if dataset.blob:
        raise no_rows()
    return dataset


def visible(request: Request) -> list[PortalDataset]:
    """All datasets that the visitor may read, by name."""
    everything = visitor(request) is not None
    return [dataset for dataset in portal(request).store.catalog.all() if everything or dataset.open]


def findable(request: Request) -> list[PortalDataset]:
    """All datasets that the visitor may find; working copies can be reached only by their own address."""
    return [dataset for dataset in visible(request) if dataset.copy_of is None]


def joinable(request: Request, identifier: str) -> PortalDataset:
    """A dataset that a query on another one may join: a public one. Raises SodaError 404."""
    found = portal(request).store.catalog.find(identifier)
    if found is None or not found.open:
        raise dataset_missing(identifier)
    return found


def sources(request: Request, dataset: PortalDataset, compiled: Compiled) -> tuple[DatasetRows, ...]:
    """The sources of a compiled query: the dataset's rows, then those of each joined dataset."""
    rows = portal(request).store.rows
    return tuple(DatasetRows(each, rows(each)) for each in (dataset, *compiled.joined))


async def body(request: Request) -> bytes:
    """The request's body, decompressed if it was sent compressed.

    Raises SodaError 413, after reading the whole body so that the client sees the answer, or 400 for invalid gzip.
    """
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= BODY_LIMIT:
            parts.append(part)
        else:
            parts.clear()
    if size > BODY_LIMIT:
        raise too_large(BODY_LIMIT)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        return b"".join(parts)
    if encoding not in ("gzip", "x-gzip"):
        raise problem(415, "unsupported_encoding", "The only supported compression of a request body is gzip")
    return await run_in_threadpool(_inflated, b"".join(parts))


def _inflated(content: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    try:
        whole = inflater.decompress(content, BODY_LIMIT + 1)
    except zlib.error:
        raise invalid("The request body is not valid gzip") from None
    if len(whole) > BODY_LIMIT:
        raise too_large(BODY_LIMIT)
    if not inflater.eof:
        raise invalid("The request body ends in the middle of its gzip data")
    return whole
