"""Rate limits: a token bucket for each address, and a larger one for each app token."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from publisher.portal.answers.access import app_token, portal
from publisher.portal.answers.lanes import address
from publisher.portal.base.problems import SodaError, token_refused, too_many_requests

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from publisher.portal.base.limits import Rate

MOST = 10_000
"""The most buckets to remember; full ones carry no information and are forgotten first."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


@dataclass(slots=True)
class _Buckets:
    """The requests that each client has left, in this process's memory."""

    kept: dict[str, _Bucket] = field(default_factory=dict)

    def take(self, name: str, rate: Rate) -> float:
        """Take one request; returns the seconds to wait if no request is left, otherwise 0."""
        now = time.monotonic()
        bucket = self.kept.get(name)
        if bucket is None:
            self._forget(now, rate)
            bucket = self.kept[name] = _Bucket(rate.burst, now)
        bucket.left = min(rate.burst, bucket.left + (now - bucket.at) * rate.per_second)
        bucket.at = now
        if bucket.left < 1:
            return (1 - bucket.left) / rate.per_second
        bucket.left -= 1
        return 0.0

    def _forget(self, now: float, rate: Rate) -> None:
        if len(self.kept) < MOST:
            return
        filled = rate.burst / rate.per_second
        full = [name for name, bucket in self.kept.items() if bucket.at < now - filled]
        for name in full or list(self.kept)[: MOST // 10]:
            del self.kept[name]


class Throttle:
    """ASGI middleware: answers 429 for too many requests, and 403 for an unknown app token, charged to its address."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._buckets = _Buckets()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["path"] != "/health":
            try:
                await self._check(Request(scope))
            except SodaError as error:
                answer = JSONResponse(error.body, status_code=error.status, headers=error.headers)
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _check(self, request: Request) -> None:
        here = portal(request)
        bare = "app_token" in request.query_params  # it may be the name of a column: the catalog knows
        token = await run_in_threadpool(app_token, request) if bare else app_token(request)
        known = token is not None and await run_in_threadpool(here.store.accounts.token_known, token)
        name = f"token {token}" if known else f"address {address(request.scope)}"
        wait = self._buckets.take(name, here.limits.token if known else here.limits.anonymous)
        if wait:
            raise too_many_requests(int(wait) + 1)
        if token is not None and not known:
            raise token_refused()
