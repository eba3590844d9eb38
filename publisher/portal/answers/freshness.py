"""HTTP caching: validators, and requests that carry them (RFC 9110, 13)."""

from __future__ import annotations

import hashlib
import re
import time
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING

from starlette.responses import Response

from publisher.portal.base.problems import problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from publisher.portal.answers.formats import Format
    from publisher.portal.base.model import PortalDataset

_TAG = re.compile(r'(?:W/)?"[!#-~\x80-\xff]*"')
_TAGS = re.compile(rf"[ \t,]*(?:{_TAG.pattern}[ \t]*(?:,[ \t,]*|$))*")
"""A list of entity tags: a tag may contain commas, and list elements may be empty (RFC 9110, 5.6.1 and 8.8.3)."""


def headers_of(
    request: Request, dataset: PortalDataset, form: Format, joined: Sequence[PortalDataset] = (), asked: str = ""
) -> dict[str, str]:
    """Validators for an answer from these datasets; `asked` is the part of the request that is not in the address.

    The entity tag is weak, because compressed and plain answers share it. It depends on all that shapes the answer.
    """
    read = (dataset, *joined)
    shaped = [(each.id, each.version, each.columns) for each in read]
    made_of = repr((form.name, request.url.path, request.url.query, asked, shaped))
    mark = hashlib.sha256(made_of.encode(errors="surrogatepass")).hexdigest()[:16]
    return {
        "ETag": f'W/"{dataset.id}.{dataset.version}.{mark}"',
        "Last-Modified": told(max(each.changed_at for each in read)),
        "Cache-Control": "no-cache" if dataset.open else "private, no-cache",
        "Vary": "Accept, Authorization, Accept-Encoding",
    }


def told(changed_at: int) -> str:
    """The date of the last change; during that second, the second before, because more may change within it."""
    return formatdate(min(changed_at, int(time.time()) - 1), usegmt=True)


def unkept() -> dict[str, str]:
    """The headers of an answer that changes all the time, so it must not be stored."""
    return {"Cache-Control": "no-store", "Vary": "Accept, Authorization, Accept-Encoding"}


def unchanged(request: Request, headers: dict[str, str]) -> Response | None:
    """304 if the client's copy is current, otherwise None. Raises SodaError 412 if If-Match has another version."""
    strong = {mark for mark in ("*", headers["ETag"]) if not mark.startswith("W/")}  # a weak one never matches here
    if "if-match" in request.headers and strong.isdisjoint(_named(request, "if-match")):
        raise problem(412, "precondition_failed", "The rows have changed since the version in If-Match")
    if "if-none-match" not in request.headers and not _settled(headers):
        return None
    return Response(status_code=304, headers=headers) if _is_fresh(request, headers) else None


def has(request: Request, tag: str) -> bool:
    """True if If-None-Match has this entity tag or `*`: the client's copy is current.

    The comparison is weak (RFC 9110, 13.1.2): a copy in another encoding also counts.
    """
    opaque = {mark.removeprefix("W/") for mark in _named(request, "if-none-match")}
    return not opaque.isdisjoint(("*", tag.removeprefix("W/")))


def _named(request: Request, header: str) -> set[str]:
    """The entity tags in a header, or `*`; none if it is not a valid list."""
    text = ",".join(request.headers.getlist(header)).strip(" \t")
    if text == "*":
        return {"*"}
    return set(_TAG.findall(text)) if _TAGS.fullmatch(text) else set()


def _settled(headers: dict[str, str]) -> bool:
    """False while more may have changed than the date shows."""
    return parsedate_to_datetime(headers["Last-Modified"]).timestamp() < int(time.time()) - 1


def _is_fresh(request: Request, headers: dict[str, str]) -> bool:
    """True if the client's copy is current; a date counts only if no entity tag is sent."""
    if "if-none-match" in request.headers:
        return has(request, headers["ETag"])
    since = request.headers.get("if-modified-since")
    try:
        return since is not None and parsedate_to_datetime(since) >= parsedate_to_datetime(headers["Last-Modified"])
    except (ValueError, TypeError):
        return False
