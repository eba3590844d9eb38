"""What lets a client ask again only for what has changed: validators, and requests that carry them (RFC 9110, 13)."""

from __future__ import annotations

import hashlib
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


def headers_of(
    request: Request, dataset: PortalDataset, form: Format, joined: Sequence[PortalDataset] = (), asked: str = ""
) -> dict[str, str]:
    """Validators of an answer about these datasets; `asked` is what the address does not say.

    The mark is weak, since compressed and plain answers share it. It is made of what shapes the answer.
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
    """The date of the last change; while its second lasts, the second before, as more may change within it."""
    return formatdate(min(changed_at, int(time.time()) - 1), usegmt=True)


def unkept() -> dict[str, str]:
    """The headers of an answer that is another at each moment, so that nobody may keep it."""
    return {"Cache-Control": "no-store", "Vary": "Accept, Authorization, Accept-Encoding"}


def unchanged(request: Request, headers: dict[str, str]) -> Response | None:
    """304 where the client's copy is the current one. Errors: SodaError 412 where it wants another."""
    wanted = {mark.strip() for line in request.headers.getlist("if-match") for mark in line.split(",")}
    if wanted and not wanted & {"*", headers["ETag"].removeprefix("W/")}:  # a weak mark never matches here
        raise problem(412, "precondition_failed", "The rows are no longer those that If-Match names")
    if "if-none-match" not in request.headers and not _settled(headers):
        return None
    return Response(status_code=304, headers=headers) if _is_fresh(request, headers) else None


def _settled(headers: dict[str, str]) -> bool:
    """False while more may have changed than the date tells."""
    return parsedate_to_datetime(headers["Last-Modified"]).timestamp() < int(time.time()) - 1


def _is_fresh(request: Request, headers: dict[str, str]) -> bool:
    """True where the client's copy is the current one; a date counts only where no mark is sent."""
    marks = request.headers.getlist("if-none-match")
    if marks:
        sent = {mark.strip().removeprefix("W/") for line in marks for mark in line.split(",")}
        return "*" in sent or headers["ETag"].removeprefix("W/") in sent
    since = request.headers.get("if-modified-since")
    try:
        return since is not None and parsedate_to_datetime(since) >= parsedate_to_datetime(headers["Last-Modified"])
    except (ValueError, TypeError):
        return False
