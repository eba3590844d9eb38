"""A server on the web, asked politely: named, not too often, again when that may help, and no longer than agreed.

Nothing that a server sends is in a message, and neither is an address beyond its host: both could hold a record.
"""

from __future__ import annotations

import json
import random
import time
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import publisher
from publisher.definitions.feed import is_loopback
from publisher.errors import SourceError
from publisher.feeds.credentials import revealed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests import Response

    from publisher.definitions.feed import WebFeed
    from publisher.workspace import SourceFile

T = TypeVar("T")

LARGEST = 64_000_000
"""Bytes of one answer; what is made of them takes up to 25 times as much memory."""
_FIRST_PAUSE = 0.5
_WRONG_CLOCK = 86_400


class TornError(ValueError):
    """An answer that is not what was asked for: another try may help."""


class Server:
    """A session with one server, for use in a `with` block."""

    def __init__(self, source: SourceFile, feed: WebFeed, url: str) -> None:
        from publisher.strict_http import StrictSession

        self.url = url
        self._host = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        self._shown = f"{source.origin.name}: feed: {self._host}"
        self._feed = feed
        self._session = StrictSession()
        self._session.headers["Accept"] = "application/json"
        self._session.headers["User-Agent"] = feed.user_agent or f"publisher/{publisher.__version__}"
        self._session.auth = _as_it_is  # no account from ~/.netrc
        host = urlsplit(url).hostname or ""
        # A proxy from the environment is for servers elsewhere, never for one on this machine.
        self._proxies = {"no_proxy": host} if is_loopback(host) else {}
        self._next = 0.0
        self.now = datetime.now(UTC)
        """The server's own time at its last answer; until it has said so, this machine's."""
        self.began: datetime | None = None
        """The same at its first answer."""

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def send(self, source: SourceFile, header: str, form: str = "{}") -> None:
        """Send the feed's token, if it has one, in a header with every request."""
        if self._feed.token is not None:
            self._session.headers[header] = form.format(revealed(source, "token", self._feed.token))

    def log_in(self, user: str, password: str) -> None:
        """Send an account with every request."""
        self._session.auth = (user, password)

    def get(self, path: str, query: Mapping[str, str], understand: Callable[[Any], T]) -> T:
        """What `understand` makes of the answer's JSON, numbers as they are written; it raises TornError for an answer
        that is none. Raises SourceError."""
        for attempt in range(1, self._feed.attempts + 1):
            asked = 0.0
            try:
                reply, content = self._once(path, query)
                if reply.status_code == 200:
                    self._tell_time(reply)
                    return understand(_parsed(content))
                words = self._refusal(reply)
                asked = _asked(reply)
            except TornError as error:
                words = str(error)
            except _network_errors() as error:
                words = self._network_words(error)
            if attempt == self._feed.attempts:
                raise self.error(f"{words}: try again later. What came before is kept")
            self._pause(attempt, asked)
        raise AssertionError

    def error(self, words: str) -> SourceError:
        """The error of this server in words."""
        return SourceError(f"{self._shown} {words}")

    def _once(self, path: str, query: Mapping[str, str]) -> tuple[Response, bytes]:
        """One answer, as long as its limits allow."""
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = time.monotonic() + float(1 / self._feed.requests_per_second)
        seconds = float(self._feed.timeout)
        content, wait = bytearray(), (min(10.0, seconds), seconds)
        url = f"{self.url}{path}"
        with (
            self._session.within(seconds),
            self._session.get(url, params=dict(query), timeout=wait, stream=True, proxies=self._proxies) as reply,
        ):
            while reply.status_code == 200 and (piece := reply.raw.read1(1 << 16, decode_content=True)):
                content += piece
                if len(content) > LARGEST:
                    raise self.error(f"sends more than {LARGEST // 10**6} MB at once: set a smaller feed.page_size")
        return reply, bytes(content)

    def _network_words(self, error: Exception) -> str:
        """Words for a failure that another try may change. Raises SourceError for the others."""
        from requests import exceptions
        from urllib3.exceptions import ReadTimeoutError

        if isinstance(error, exceptions.SSLError):
            raise self.error("has a certificate that this machine does not trust: ask who runs the server")
        if isinstance(error, exceptions.Timeout | ReadTimeoutError | TimeoutError):
            return "does not answer in time"
        return "cannot be reached, or closed the connection"

    def _refusal(self, reply: Response) -> str:
        """Words for a status that another try may change. Raises SourceError for the others."""
        status = reply.status_code
        if status == 429:
            return "asks to wait (HTTP 429)"
        if status >= 500 or status == 408:
            return f"cannot answer (HTTP {status})"
        if status in (401, 403):
            raise self.error(f"refuses access (HTTP {status}): check the account or token of this feed")
        if status == 404:
            raise self.error("does not have what the feed names (HTTP 404): check its address and names")
        if 300 <= status < 400:
            raise self.error(f"has moved (HTTP {status}): open it in a browser, and correct the feed's address")
        words = "check that it has the columns that are read: publisher check --data"
        raise self.error(f"does not accept the request (HTTP {status}): {words}")

    def _pause(self, attempt: int, asked: float) -> None:
        """Wait as long as the server asks for, or longer with each try. Raises SourceError if that is too long."""
        longest = self._feed.longest_wait
        if asked > longest:
            words = f"asks to wait {asked:,.0f} seconds, more than longest_wait = {longest}"
            raise self.error(f"{words}: try again later. What came before is kept")
        own = min(longest, _FIRST_PAUSE * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - spread, not secrecy
        time.sleep(max(asked, own))

    def _tell_time(self, reply: Response) -> None:
        """Take the server's time. Raises SourceError if it is another day here, since days decide what is released."""
        here, there = datetime.now(UTC), _time(reply.headers.get("Date", ""))
        if there is not None and abs((here - there).total_seconds()) > _WRONG_CLOCK:
            raise self.error(f"has {there:%Y-%m-%d} and this machine {here:%Y-%m-%d}: set the clock that is wrong")
        self.now = there or here
        self.began = self.began or self.now


def _as_it_is(request: T) -> T:
    return request


def _parsed(content: bytes) -> Any:
    def refuse(_: str) -> Any:
        raise ValueError

    try:
        return json.loads(content, parse_float=str, parse_int=str, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise TornError("sends an answer that is torn or not JSON") from None


def _network_errors() -> tuple[type[Exception], ...]:
    from requests import RequestException
    from urllib3.exceptions import HTTPError

    return (RequestException, HTTPError, OSError)


def _asked(reply: Response) -> float:
    """The seconds of a Retry-After header, 0 without one."""
    asked = reply.headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return float(asked[:9])
    moment = _time(asked)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds()) if moment is not None else 0.0


def _time(header: str) -> datetime | None:
    """The time of a header, if it is one."""
    with suppress(ValueError, TypeError):
        moment = parsedate_to_datetime(header)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return None
