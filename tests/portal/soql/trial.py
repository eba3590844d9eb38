"""A trial: random requests to a running portal, each answer judged, right ones against the second evaluation."""

from __future__ import annotations

import http.client
import json
import math
import random
import re
import socket
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from soql.evaluator import Undecided, difference
from soql.generator import Grammar, datasets, evaluator, hostile, sound, spoiled
from soql.invented import publish
from soql.tree import parameters

if TYPE_CHECKING:
    from pathlib import Path

    from portal_process import Running
    from soql.tree import Question

ALLOWED = frozenset({200, 204, 206, 304, 307, 400, 401, 403, 404, 405, 406, 411, 413, 414, 415, 416, 429, 431})
LEAKS = ("duckdb", "read_parquet", "binder error", "catalog error", "parser error", "conversion error", "traceback",
         ".parquet", "file_row_number", "soda_number", "site-packages", "sqlglot")  # fmt: skip
NAMED = (".parquet", "duckdb")
"""What a page or a listing may name: the files that it offers, and what reads them."""
SLOWEST = 25.0
"""Seconds: the portal stops a query after 20."""
SOUND, BROKEN = 0.72, 0.9
"""Up to where a throw makes a right question, a wrong one; above, an odd request."""

FEATURES = {
    "|>": "select id |> select id",
    "join": "select id, @o.k join @{other} as o on u = @o.u",
    "union": "select u union select u from @{other}",
    "union all": "select u union all select u from @{other}",
    "intersect": "select u intersect select u from @{other}",
    "minus": "select u minus select u from @{other}",
    "over": "select row_number() over (partition by u order by id)",
    "filter": "select count(*) filter (where b)",
    "search": "select id search 'stealing'",
    "$q": "select id search 'stealing'",
    "cast": "select '42'::number, 42::text",
    "not like": "select id where t not like 'x%'",
    **{
        op: f"select {call}"
        for op, call in {
            "substring": "substring(t, 1, 2)",
            "split_part": "split_part(t, '-', 1)",
            "left_pad": "left_pad(t, 9, '*')",
            "right_pad": "right_pad(t, 9, '*')",
            "caseless_one_of": "caseless_one_of(t, 'a', 'b')",
            "width_bucket": "width_bucket(n, 0, 100, 5)",
            "date_add": "date_add(d, 'P1D')",
            "to_floating_timestamp": "to_floating_timestamp(f, 'UTC')",
            "regr_slope": "regr_slope(n, m)",
            "within_polygon": "within_polygon(p, 'POLYGON ((0 0, 1 0, 1 1, 0 0))')",
            "intersects": "intersects(p, 'POLYGON ((0 0, 1 0, 1 1, 0 0))')",
            "distance_in_meters": "distance_in_meters(p, 'POINT (1 2)')",
        }.items()
    },
}
"""What a grammar needs that a portal may not answer, with a question that finds out."""


@dataclass
class Counts:
    """What a trial saw."""

    requests: int = 0
    right: int = 0
    checked: int = 0
    undecided: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    slowest_text: str = ""
    faults: list[str] = field(default_factory=list)

    def add(self, other: Counts) -> None:
        """Both together."""
        self.requests += other.requests
        self.right += other.right
        self.checked += other.checked
        self.undecided += other.undecided
        self.statuses += other.statuses
        self.faults += other.faults
        if other.slowest > self.slowest:
            self.slowest, self.slowest_text = other.slowest, other.slowest_text


@dataclass(frozen=True)
class Site:
    """A portal with the datasets in it."""

    host: str
    names: dict[str, str]
    token: str
    secrets: tuple[str, ...]
    """texts that no answer may hold"""
    missing: frozenset[str]
    alone: bool = False
    """True where nobody else logs in: only then are wrong passwords tried, which lock the address out for a while"""


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    kind: str
    body: str
    seconds: float


def prepare(portal: Running, *, alone: bool = False) -> Site:
    """Publish the datasets; ask which parts of the language are answered."""
    with portal.client() as client:
        names = {name: publish(client, found) for name, found in datasets().items()}
    host = urlsplit(portal.address).netloc
    secrets = (str(portal.state), str(portal.state.parent), portal.secret["password"])
    bare = Site(host, names, portal.secret["app_token"], secrets, frozenset(), alone)
    visitor = Visitor(bare)
    missing = {name for name, text in FEATURES.items() if visitor.ask({"$query": text.format(**names)}).status != 200}
    if visitor.soda3("select id").status != 200:
        missing.add("soda3")
    visitor.wire.close()
    return replace(bare, missing=frozenset(missing))


class Visitor:
    """One kept-open connection."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.wire = http.client.HTTPConnection(site.host, timeout=60)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """Send one request, on a new connection where the old one was closed."""
        for _ in range(2):
            start = time.perf_counter()
            try:
                self.wire.request(method, path, body, headers or {})
                answer = self.wire.getresponse()
                text = answer.read().decode("utf-8", "replace")
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.wire.close()
                continue
            return Reply(answer.status, answer.headers.get("content-type", ""), text, time.perf_counter() - start)
        return Reply(599, "", "the connection was closed twice", 0.0)

    def ask(self, sent: dict[str, str]) -> Reply:
        """GET /resource with these parameters, with the app token that lifts the limit for visitors."""
        path = f"/resource/{self.site.names['main']}.json?{urlencode(sent, errors='replace')}"
        return self.request("GET", path, headers={"X-App-Token": self.site.token})

    def soda3(self, text: str, **more: Any) -> Reply:
        """POST a SODA 3 body."""
        headers = {"X-App-Token": self.site.token, "Content-Type": "application/json"}
        body = json.dumps({"query": text, **more}).encode()
        return self.request("POST", f"/api/v3/views/{self.site.names['main']}/query.json", body, headers)

    def raw(self, data: bytes) -> Reply:
        """Bytes as they are, on a connection of their own."""
        host, port = self.site.host.split(":")
        start = time.perf_counter()
        with socket.create_connection((host, int(port)), timeout=20) as wire:
            wire.sendall(data)
            found = b""
            while chunk := _received(wire):
                found += chunk
        status = re.match(rb"HTTP/1\.1 (\d{3})", found)
        text = found.decode("utf-8", "replace")
        return Reply(int(status[1]) if status else 0, "raw", text, time.perf_counter() - start)


def _received(wire: socket.socket) -> bytes:
    try:
        return wire.recv(65536)
    except ConnectionResetError:
        return b""


class Trial:
    """Random requests from one seed."""

    def __init__(self, site: Site, seed: str) -> None:
        self.site = site
        self.dice = random.Random(seed)
        self.grammar = Grammar(self.dice, site.missing)
        self.evaluator = evaluator()
        self.visitor = Visitor(site)
        self.counts = Counts()

    def run(self, requests: int, seconds: float = math.inf, faults: int = 20) -> Counts:
        """Send so many requests, or fewer when the time is up or there are too many faults."""
        end = time.monotonic() + seconds
        try:
            while self.counts.requests < requests and len(self.counts.faults) < faults and time.monotonic() < end:
                throw = self.dice.random()
                (self._right if throw < SOUND else self._wrong if throw < BROKEN else self._odd)()
        finally:
            self.visitor.wire.close()
        return self.counts

    def _right(self) -> None:
        question = sound(self.grammar, self.site.names)
        wrong = self.judged(question)
        if wrong:
            self.counts.faults.append(self._told(*self._shrunk(question, wrong)))

    def judged(self, question: Question) -> str | None:
        """What is wrong with the answer to a right question."""
        sent = parameters(question)
        if question.form == "soda3":
            reply = self.visitor.soda3(sent["$query"], page={"pageNumber": 1, "pageSize": 1000}, includeSystem=False)
        else:
            reply = self.visitor.ask(sent)
        wrong = self._seen(reply, json.dumps(sent), right=True)
        if wrong or reply.status != 200:
            return wrong or f"status {reply.status}: {reply.body[:300]}"
        try:
            expected = self.evaluator.answer(question)
            found = difference(json.loads(reply.body), expected)
        except Undecided:
            self.counts.undecided += 1
            return None
        self.counts.checked += 1
        return found

    def _wrong(self) -> None:
        if self.dice.random() < 0.6:
            sent = spoiled(self.dice, parameters(sound(self.grammar, self.site.names)))
        else:
            sent = hostile(self.dice)
        text = json.dumps(sent)
        if "soda3" not in self.site.missing and self.dice.random() < 0.15:
            reply = self.visitor.soda3(next(iter(sent.values())))
        else:
            reply = self.visitor.ask(sent)
        wrong = self._seen(reply, text)
        if wrong:
            self.counts.faults.append(f"{text[:600]}\n    {wrong}")

    def _odd(self) -> None:
        reply, text = self._odd_request()
        wrong = self._seen(reply, text)
        if wrong:
            self.counts.faults.append(f"{text[:600]}\n    {wrong}")

    def _odd_request(self) -> tuple[Reply, str]:
        dice, name = self.dice, self.site.names["main"]
        path = dice.choice(PATHS).replace("{id}", name)
        if dice.random() < 0.3:
            path += "?" + dice.choice(TAILS)
        headers = {key: dice.choice(values) for key, values in HEADERS.items() if dice.random() < 0.15}
        method = dice.choice(
            ("GET", "GET", "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW")
        )
        body = dice.choice(BODIES) if method in ("POST", "PUT", "PATCH") else None
        if dice.random() < 0.03:
            data = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
            return self.visitor.raw(data.replace(b"GET", dice.choice((b"G\x00T", b"GET ", b"get")))), repr(data)
        return self.visitor.request(method, path, body, headers), f"{method} {path} {headers} {body!r}"

    def _seen(self, reply: Reply, sent: str, right: bool = False) -> str | None:
        """Count an answer; what is wrong with it whatever was asked."""
        counts = self.counts
        counts.requests += 1
        counts.right += right
        counts.statuses[reply.status] += 1
        if reply.seconds > counts.slowest:
            counts.slowest, counts.slowest_text = reply.seconds, sent[:200]
        return misbehaved(reply, sent, self.site.secrets)

    def _shrunk(self, question: Question, wrong: str) -> tuple[Question, str]:
        """The smallest question found that is still answered wrongly."""
        from soql.shrinking import smaller

        for _ in range(60):
            for candidate in smaller(question):
                still = self._still(candidate, wrong)
                if still:
                    question, wrong = candidate, still
                    break
            else:
                break
        return question, wrong

    def _still(self, candidate: Question, wrong: str) -> str | None:
        """What is wrong with a smaller question, if it is the same as before."""
        try:
            self.evaluator.answer(candidate)
            still = self.judged(candidate)
        except (Undecided, LookupError, AssertionError, AttributeError, TypeError, ValueError, ArithmeticError):
            return None
        return still if still and _kind(still) == _kind(wrong) else None

    @staticmethod
    def _told(question: Question, wrong: str) -> str:
        return f"{question.form}: {json.dumps(parameters(question), ensure_ascii=False)}\n    {wrong}"


def _kind(wrong: str) -> str:
    """The status and code of a refusal, or the same word for each wrong answer."""
    found = re.match(r'(status \d+).*?[cC]ode":"([^"]*)"', wrong)
    return " ".join(found.groups()) if found else "rows"


def misbehaved(reply: Reply, sent: str, secrets: tuple[str, ...] = ()) -> str | None:
    """What no answer may be: a status of the server's own fault, an error without a message, a look inside."""
    if reply.status not in ALLOWED:
        return f"status {reply.status}: {reply.body[:300]}"
    if reply.seconds > SLOWEST:
        return f"took {reply.seconds:.1f} s"
    if reply.status >= 400 and reply.body and "json" in reply.kind:
        found = json.loads(reply.body)
        if not isinstance(found, dict) or not found.get("message"):
            return f"an error without a message: {reply.body[:300]}"
    if not re.search("json|text|html|xml|raw|^$", reply.kind):
        return None
    named = NAMED if reply.status < 400 else ()
    lower, asked = reply.body.lower(), sent.lower()
    words = [word for word in LEAKS if word in lower and word not in asked and word not in named]
    words += [secret for secret in secrets if secret in reply.body]
    return f"shows {words}: {reply.body[:300]}" if words else None


PATHS = (
    "/resource/{id}.json", "/resource/{id}.csv", "/resource/{id}.geojson", "/resource/{id}.xml", "/resource/{id}",
    "/resource/{id}/r01.json", "/resource/{id}/nope.json", "/resource/zzzz-zzzz.json", "/resource/", "/resource",
    "/resource/{id}.json/", "/resource/%2e%2e/%2e%2e/etc/passwd", "/resource/..%2f..%2fwriter.json",
    "/resource/{id}%00.json", "/resource/{id}.json%0d%0aX-Evil:1", "/resource/%ff%fe.json", "/resource/%zz",
    "/api/views/{id}", "/api/views/{id}.json", "/api/views/{id}/rows.csv?accessType=DOWNLOAD", "/api/views.json",
    "/api/views/{id}/columns", "/api/views/nope", "/api/views/metadata/v1", "/api/views/metadata/v1/{id}",
    "/api/catalog/v1", "/api/catalog/v1?limit=-1", "/api/catalog/v1?ids=%00", "/api/v3/views/{id}/query.json",
    "/api/v3/views/{id}/export.csv", "/api/publishing/v1/revision", "/api/imports2/", "/api/assets/x", "/data.json",
    "/d/{id}", "/d/{id}?page=-1", "/d/{id}?sort=%27;--&q=%22", "/d/zzzz-zzzz", "/", "/?q=%3Cscript%3E", "/health",
    "/static/../../etc/passwd", "/static/%2e%2e/app.py", "/static/nope", "/favicon.ico", "/robots.txt",
    "/" + "x" * 3000,
    "//", "/%", "/.git/config", "/api/views/{id}/files/../../x", "/api/views/{id}/files/%2e%2e", "/metrics",
)  # fmt: skip
TAILS = (
    "$limit=3", "$select=id&$select=t", "$where=t%20=%20%27%zz", "%24where=b", "$$app_token=x", "a=1&a=2", "&&&===",
    "%00=1",
    "$query=select+id%0a%0d", "$limit=3&$offset=" + "9" * 40, "%E2%82",
    "accessType=DOWNLOAD&format=" + "y" * 200,
)  # fmt: skip
WRONG = "Basic eDp5"
HEADERS = {
    "If-None-Match": ("*", '"x"', 'W/"', ",,,", "é".encode().decode("latin-1")),
    "If-Modified-Since": ("Sat, 01 Jan 2050 00:00:00 GMT", "yesterday", "Thu, 99 Foo 2020", ""),
    "Accept": ("text/csv", "*/*;q=x", "application/xml", "text/html", ";;;", "application/vnd.geo+json", "a" * 500),
    "Range": ("bytes=0-9", "bytes=-1", "bytes=9-1", "bytes=0-1,5-9", "rows=1"),
    "Authorization": ("Basic", "Basic !!!", WRONG, "OAuth x", "Bearer"),
    "X-App-Token": ("", "nope", "x" * 4000),
    "Accept-Encoding": ("gzip", "br;q=1", "identity;q=0, *;q=0"),
    "Accept-Language": ("de", "xx-YY", "*", "\xff"),
    "Content-Type": ("application/json", "text/csv", "multipart/form-data", "x", ""),
    "Host": ("evil.example", "", "[::1", "a b"),
    "Origin": ("null", "https://evil.example"),
    "X-Forwarded-For": ("1.2.3.4, nope", "' or 1=1"),
}
BODIES = (
    b"", b"[]", b"{}", b"[{]", b"null", b'{"query": 1}', b'{"query": null, "page": {"pageNumber": 0}}', b"\xff\xfe\x00",
    b'[{":deleted": true}]', b'{"query": "select 1", "page": {"pageSize": "x"}}', b"id,t\n1", b"[" * 4000, b"x" * 20000,
    b'{"query": "select id", "parameters": {"a": 1}, "page": []}', b'{"query": "select id", "orderingSpecifier": 7}',
)  # fmt: skip


def recorded(state: Path) -> str:
    """What the portal wrote to its log."""
    log = state.parent / f"{state.name}.log"
    return log.read_text() if log.exists() else ""
