"""Who is asking, and what they may see and change."""

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
"""Bytes that one request body may have."""
_RESOURCE = re.compile(r"/resource/([0-9a-z]{4}-[0-9a-z]{4})(?![^./])")


@dataclass(frozen=True, slots=True)
class AppContext:
    """What every request works with."""

    store: PortalStore
    engine: QueryEngine
    public_url: str | None = None
    limits: Limits = USUAL


def portal(request: Request) -> AppContext:
    """The portal that this request was made to."""
    found: AppContext = request.app.state.portal
    return found


def base_url(request: Request) -> str:
    """The portal's public address, without a slash at its end."""
    return (portal(request).public_url or str(request.base_url)).rstrip("/")


def account(request: Request) -> Account | None:
    """The account that the request proves, by password, API key or token. Errors: SodaError 401, 429.

    It is looked up once a request, however often it is asked for: each look reads the catalog's file.
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
    """The name of the account that the request proves, or None. Errors: SodaError 401, 429."""
    found = account(request)
    return found.username if found else None


def writer(request: Request) -> str:
    """The name of the account that may write. Errors: SodaError 403 without one, or where another site asks."""
    if _from_another_site(request):
        raise problem(403, "permission_denied", "A page of another site may not write with a password; use a token")
    found = account(request)
    if found is None:
        raise login_required()
    if not found.role.writes:
        raise role_required()
    return found.username


def _from_another_site(request: Request) -> bool:
    """True where a browser sent a password, which it does by itself once it knows it, for a page that is not ours."""
    scheme, _, _ = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")
    own = (request.headers.get("host"), urlsplit(base_url(request)).netloc)
    return origin is not None and origin.partition("://")[2] not in own


def app_token(request: Request) -> str | None:
    """The app token that the request names, in a header or as a parameter."""
    query = request.query_params
    return request.headers.get("x-app-token") or query.get("$$app_token") or _bare_token(request) or None


def _bare_token(request: Request) -> str | None:
    """`app_token` is how SODA 1 and 3 spell it; on `/resource` the bare name of a column is a filter before that."""
    token = request.query_params.get("app_token")
    asked = _RESOURCE.match(request.scope["path"]) if token else None
    dataset = portal(request).store.catalog.find(asked[1]) if asked else None
    return None if dataset and dataset.column("app_token") else token


def identified(request: Request) -> None:
    """Let pass who has an account or names a registered app token. Errors: SodaError 403, 401."""
    token = app_token(request)
    if token is not None and portal(request).store.accounts.token_known(token):
        return
    if account(request) is not None:
        return
    raise token_refused() if token is not None else login_required()


def readable(request: Request, identifier: str) -> PortalDataset:
    """A dataset that the visitor may read. Errors: SodaError 404, 403."""
    found = visitor(request)
    dataset = portal(request).store.get(identifier)
    if not dataset.open and found is None:
        raise login_required()
    return dataset


def tabular(request: Request, identifier: str) -> PortalDataset:
    """A dataset that the visitor may read and that has rows. Errors: SodaError 404, 403; 400 where it is a file."""
    dataset = readable(request, identifier)
    if dataset.blob:
        raise no_rows()
    return dataset


def visible(request: Request) -> list[PortalDataset]:
    """Every dataset that the visitor may read, by name."""
    everything = visitor(request) is not None
    return [dataset for dataset in portal(request).store.catalog.all() if everything or dataset.open]


def findable(request: Request) -> list[PortalDataset]:
    """Every dataset that the visitor may find: a working copy is reached by its own address alone."""
    return [dataset for dataset in visible(request) if dataset.copy_of is None]


def joinable(request: Request, identifier: str) -> PortalDataset:
    """A dataset that a question about another may join: a public one. Errors: SodaError 404."""
    found = portal(request).store.catalog.find(identifier)
    if found is None or not found.open:
        raise dataset_missing(identifier)
    return found


def sources(request: Request, dataset: PortalDataset, compiled: Compiled) -> tuple[DatasetRows, ...]:
    """What the engine needs to answer a compiled question: the dataset's rows, then those of each joined one."""
    rows = portal(request).store.rows
    return tuple(DatasetRows(each, rows(each)) for each in (dataset, *compiled.joined))


async def body(request: Request) -> bytes:
    """The request's body, inflated where it was sent compressed.

    Errors: SodaError 413, once all of it was taken in, so that the client hears it; 400 where it cannot be inflated.
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
        raise problem(415, "unsupported_encoding", "A request body may be compressed with gzip alone")
    return await run_in_threadpool(_inflated, b"".join(parts))


def _inflated(content: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    try:
        whole = inflater.decompress(content, BODY_LIMIT + 1)
    except zlib.error:
        raise invalid("The request body is not gzip") from None
    if len(whole) > BODY_LIMIT:
        raise too_large(BODY_LIMIT)
    if not inflater.eof:
        raise invalid("The request body ends before its gzip does")
    return whole
