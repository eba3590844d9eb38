"""Who is asking, and what they may see and change."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.portal.engine import Source
from publisher.portal.problems import dataset_missing, login_refused, login_required, too_large

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.portal.engine import Engine
    from publisher.portal.model import Dataset
    from publisher.portal.soql.compiler import Compiled
    from publisher.portal.store import Store

BODY_LIMIT = 64 * 1024 * 1024
"""Bytes that one request body may have."""


@dataclass(frozen=True, slots=True)
class Portal:
    """What every request works with."""

    store: Store
    engine: Engine
    public_url: str | None = None


def portal(request: Request) -> Portal:
    """The portal that this request was made to."""
    found: Portal = request.app.state.portal
    return found


def base_url(request: Request) -> str:
    """The portal's public address, without a slash at its end."""
    return (portal(request).public_url or str(request.base_url)).rstrip("/")


def visitor(request: Request) -> str | None:
    """The name of the account that the request proves, or None. Errors: SodaError 401, 429."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        username, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise login_refused() from None
    if not colon:
        raise login_refused()
    client = request.client.host if request.client else ""
    return portal(request).store.accounts.check(username, password, client)


def writer(request: Request) -> str:
    """The name of the account that may write. Errors: SodaError 403 without one."""
    found = visitor(request)
    if found is None:
        raise login_required()
    return found


def readable(request: Request, identifier: str) -> Dataset:
    """A dataset that the visitor may read. Errors: SodaError 404, 403."""
    found = visitor(request)
    dataset = portal(request).store.get(identifier)
    if not dataset.open and found is None:
        raise login_required()
    return dataset


def visible(request: Request) -> list[Dataset]:
    """Every dataset that the visitor may read, by name."""
    everything = visitor(request) is not None
    return [dataset for dataset in portal(request).store.catalogue.all() if everything or dataset.open]


def joinable(request: Request, identifier: str) -> Dataset:
    """A dataset that a question about another may join: a public one. Errors: SodaError 404."""
    found = portal(request).store.catalogue.find(identifier)
    if found is None or not found.open:
        raise dataset_missing(identifier)
    return found


def sources(request: Request, dataset: Dataset, compiled: Compiled) -> tuple[Source, ...]:
    """What the engine needs to answer a compiled question: the dataset's rows, then those of each joined one."""
    rows = portal(request).store.rows
    return tuple(Source(each, rows(each)) for each in (dataset, *compiled.joined))


async def body(request: Request) -> bytes:
    """The request's body. Errors: SodaError 413, once all of it was taken in, so that the client hears it."""
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
    return b"".join(parts)
