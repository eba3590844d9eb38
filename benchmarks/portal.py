"""The portal beside Datasette: the same rows, the same questions, the same machine, in turns.

    python benchmarks/portal.py [--rows 1000000] [--datasette PATH] [--seconds 4] [--workers N] [--json FILE]

Datasette is no dependency of this project; give it an environment of its own and name its program:

    python -m venv /tmp/datasette && /tmp/datasette/bin/pip install datasette
    python benchmarks/portal.py --datasette /tmp/datasette/bin/datasette

One table of invented rows (the same at each run) is put into both. In SQLite it gets the indexes that someone who knows
these questions would make: (place, period), (period), (category), (status), and ANALYZE; it is served immutable, which
is Datasette's fastest way, without counts and facets, with its limits raised. The portal gets its rows through sodapy.
Each question's values differ from request to request. The two are asked in turns, and every measurement is warm: the
portal keeps these rows in its own memory, so SQLite's file is read before each turn, lest the system has dropped it.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from requests.adapters import HTTPAdapter
from sodapy import Socrata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START = datetime(2016, 1, 4)  # noqa: DTZ001 -- a floating time
A_WEEK = 2000
"""rows that share a period"""
PLACES = 200
CATEGORIES = ("Noise", "Water", "Heating", "Streets", "Waste", "Trees", "Rodents", "Parking", "Signs", "Other")
COLUMNS = {
    "id": "text",
    "period": "calendar_date",
    "place": "text",
    "category": "text",
    "requests": "number",
    "status": "text",
    "reported": "calendar_date",
    "location": "point",
}
CHUNK = 8_000_000
"""bytes of JSON in one upsert"""
SETTINGS = {
    "max_returned_rows": 50_000,
    "default_page_size": 1000,
    "max_csv_mb": 0,
    "sql_time_limit_ms": 60_000,
    "suggest_facets": "off",
    "default_cache_ttl": 0,
}


def rows(count: int) -> Iterator[dict[str, Any]]:
    """The invented rows, always the same."""
    chance = random.Random(5)  # noqa: S311 -- not for secrets
    for number in range(count):
        place = number % PLACES
        moment = START + timedelta(weeks=number // A_WEEK)
        yield {
            "id": f"cell-{number:07}",
            "period": f"{moment:%Y-%m-%d}T00:00:00.000",
            "place": f"Z{place:03}",
            "category": CATEGORIES[number // PLACES % len(CATEGORIES)],
            "requests": f"{chance.random() * 1000:.2f}",
            "status": "suppressed" if chance.random() < 0.1 else "ok",
            "reported": f"{moment + timedelta(hours=chance.randrange(168)):%Y-%m-%dT%H:%M:%S}.000",
            "location": {"type": "Point", "coordinates": [round(-90 + place / 1000, 3), round(38 + place / 700, 3)]},
        }


@dataclass(frozen=True)
class Server:
    """A running server and where it answers."""

    name: str
    address: str
    process: subprocess.Popen[bytes]
    file: Path | None = None
    """what it reads from the system's cache at each request"""

    def warm(self) -> None:
        """Have its file in the system's cache."""
        if self.file is not None:
            with self.file.open("rb") as opened:
                while opened.read(1 << 24):
                    pass

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.address)
        return parts.hostname or "", parts.port or 80


@contextmanager
def running(name: str, address: str, command: list[str], log: Path, file: Path | None = None) -> Iterator[Server]:
    """Start a server, wait until it listens, and stop it in the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        server = Server(name, address, process, file)
        try:
            _wait(server)
            yield server
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait(server: Server) -> None:
    """Until it has answered a first request."""
    for _ in range(600):
        try:
            with socket.create_connection(server.place, timeout=30) as connection:
                connection.sendall(b"GET /robots.txt HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
                if connection.recv(100):
                    return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{server.name} did not start")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# --- filling both


@contextmanager
def client(server: Server, state: Path) -> Iterator[Socrata]:
    """sodapy, logged in."""
    secret = json.loads((state / "writer.json").read_text())
    adapter = {"prefix": "http://", "adapter": HTTPAdapter()}
    host = server.address.removeprefix("http://")
    with Socrata(
        host, secret["app_token"], secret["username"], secret["password"], session_adapter=adapter, timeout=600
    ) as found:
        yield found


def chunks(count: int) -> Iterator[list[dict[str, Any]]]:
    """The rows in pieces of about 8 MB of JSON."""
    each = CHUNK // len(json.dumps(next(rows(1))))
    source = rows(count)
    while piece := list(islice(source, each)):
        yield piece


def fill_portal(server: Server, state: Path, count: int) -> tuple[str, dict[str, float]]:
    """Create and fill the dataset; gives its 4x4 and rows/s of upserts and of one replace."""
    with client(server, state) as soda:
        columns = [{"fieldName": name, "name": name.title(), "dataTypeName": kind} for name, kind in COLUMNS.items()]
        identifier = soda.create("Benchmark", columns=columns, row_identifier="id")["id"]
        first = next(chunks(count))
        started = time.perf_counter()
        soda.replace(identifier, first)
        replaced = len(first) / (time.perf_counter() - started)
        started = time.perf_counter()
        for piece in chunks(count):
            soda.upsert(identifier, piece)
        upserted = count / (time.perf_counter() - started)
        soda.publish(identifier)
        soda.set_permission(identifier, "public")
    return identifier, {"upsert": upserted, "replace": replaced}


def fill_sqlite(file: Path, count: int) -> None:
    """The same rows in SQLite, with indexes."""
    kinds = {"number": "REAL"}
    with sqlite3.connect(file) as connection:
        declared = ", ".join(f"{name} {kinds.get(kind, 'TEXT')}" for name, kind in COLUMNS.items())
        connection.execute(f"CREATE TABLE cells ({declared}, PRIMARY KEY (id))")
        marks = ", ".join("?" * len(COLUMNS))
        connection.executemany(f"INSERT INTO cells VALUES ({marks})", map(_stored, rows(count)))
        for columns in ("place, period", "period", "category", "status"):
            connection.execute(f"CREATE INDEX by_{columns.replace(', ', '_')} ON cells ({columns})")
    connection.execute("ANALYZE")
    connection.close()


def _stored(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(
        json.dumps(value) if isinstance(value, dict) else float(value) if name == "requests" else value
        for name, value in row.items()
    )


# --- questions


@dataclass(frozen=True)
class Task:
    """One kind of question: the address (path and query) that asks it with these chances, for each side."""

    name: str
    portal: Callable[[random.Random], str]
    datasette: Callable[[random.Random], str]


def tasks(identifier: str, count: int) -> list[Task]:
    """The kinds of question."""
    weeks = max(1, count // A_WEEK)

    def resource(**parameters: str) -> str:
        return f"/resource/{identifier}.json?{urlencode(parameters, quote_via=quote)}"

    def table(**parameters: str) -> str:
        plain = {"_shape": "array", "_nocount": "1", "_nofacet": "1", "_nosuggest": "1"}
        return f"/cells/cells.json?{urlencode(parameters | plain, quote_via=quote)}"

    def span(chance: random.Random, length: int) -> tuple[str, str]:
        first = chance.randrange(max(1, weeks - length))
        ends = (START + timedelta(weeks=first), START + timedelta(weeks=min(weeks, first + length)))
        return ends[0].strftime("%Y-%m-%dT00:00:00.000"), ends[1].strftime("%Y-%m-%dT00:00:00.000")

    def portal_filter(chance: random.Random) -> str:
        start, end = span(chance, 52)
        condition = f"period >= '{start}' and period < '{end}'"
        return resource(**{"place": f"Z{chance.randrange(PLACES):03}", "$where": condition, "$limit": "100"})

    def datasette_filter(chance: random.Random) -> str:
        start, end = span(chance, 52)
        place = f"Z{chance.randrange(PLACES):03}"
        return table(place__exact=place, period__gte=start, period__lt=end, _size="100")

    def portal_group(chance: random.Random) -> str:
        start, end = span(chance, 52)
        condition = f"period >= '{start}' and period < '{end}' and status = 'ok'"
        return resource(**{"$select": "category,sum(requests)", "$where": condition, "$group": "category"})

    def datasette_group(chance: random.Random) -> str:
        start, end = span(chance, 52)
        asked = (
            "select category, sum(requests) as sum_requests from cells"
            " where period >= :start and period < :end and status = 'ok' group by category"
        )
        return "/cells.json?" + urlencode({"sql": asked, "start": start, "end": end, "_shape": "array"})

    def portal_page(chance: random.Random) -> str:
        return resource(**{"$order": ":id", "$limit": "1000", "$offset": str(chance.randrange(max(1, count - 1000)))})

    def datasette_page(chance: random.Random) -> str:
        return table(_size="1000", _next=f"cell-{chance.randrange(max(1, count - 1000)):07}")

    return [
        Task("filter, 100 rows", portal_filter, datasette_filter),
        Task("group by, sum", portal_group, datasette_group),
        Task("page of 1,000 rows", portal_page, datasette_page),
        _numbers(identifier, count),
    ]


def _numbers(identifier: str, count: int) -> Task:
    """Rows by their number in the order of a column."""

    def portal(chance: random.Random) -> str:
        asked = "SELECT id, requests, row_number() OVER (ORDER BY id) AS n |> SELECT * WHERE n > {} LIMIT 100"
        text = asked.format(chance.randrange(max(1, count - 100)))
        return f"/resource/{identifier}.json?{urlencode({'$query': text}, quote_via=quote)}"

    def datasette(chance: random.Random) -> str:
        asked = (
            "select * from (select id, requests, row_number() over (order by id) as n from cells)"
            " where n > cast(:first as integer) limit 100"  # its parameters are texts, and every text is more
        )
        first = str(chance.randrange(max(1, count - 100)))
        return "/cells.json?" + urlencode({"sql": asked, "first": first, "_shape": "array"})

    return Task("row numbers, 100 rows", portal, datasette)


# --- asking


class Connection:
    """One keep-alive connection that reads an answer as it comes, with as little work as can be."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(server.place, timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._host = f"{server.place[0]}:{server.place[1]}"
        self.tag = ""
        """The entity tag of the last answer."""

    def get(self, target: str, tag: str = "") -> bytes:
        """The body of an answer that has a length; with its tag, nothing. Errors: RuntimeError for another status."""
        known = f"If-None-Match: {tag}\r\n" if tag else ""
        self._socket.sendall(f"GET {target} HTTP/1.1\r\nHost: {self._host}\r\n{known}\r\n".encode())
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._more()
        head, _, body = got.partition(b"\r\n\r\n")
        lowered = head.lower()
        self.tag = head.partition(b"\r\netag: ")[2].partition(b"\r\n")[0].decode()
        if tag and head.startswith(b"HTTP/1.1 304"):
            return b""
        if tag or not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{target}: {got[:500]!r}")
        if b"transfer-encoding: chunked" in lowered:
            return self._chunked(body)
        length = int(lowered.split(b"content-length:")[1].split(b"\r\n")[0])
        parts, size = [body], len(body)
        while size < length:
            parts.append(self._more())
            size += len(parts[-1])
        return b"".join(parts)

    def _chunked(self, got: bytes) -> bytes:
        parts = []
        while True:
            while b"\r\n" not in got:
                got += self._more()
            size, _, got = got.partition(b"\r\n")
            length = int(size, 16)
            while len(got) < length + 2:
                got += self._more()
            parts.append(got[:length])
            got = got[length + 2 :]
            if length == 0:
                return b"".join(parts)

    def _more(self) -> bytes:
        part = self._socket.recv(1 << 18)
        if not part:
            raise RuntimeError("the server closed the connection")
        return part

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


@dataclass(frozen=True)
class Speed:
    """What one side did: requests (or rows) a second, and the time of one request in milliseconds."""

    rate: float
    p50: float = 0.0
    p99: float = 0.0


def asked(server: Server, question: Callable[[random.Random], str], connections: int, seconds: float) -> list[float]:
    """Seconds that each request took, of all connections, asked one after the other on each."""
    spent: list[list[float]] = [[] for _ in range(connections)]
    failed: list[BaseException] = []
    until = time.perf_counter() + seconds

    def ask(number: int) -> None:
        chance = random.Random(time.time_ns() + number)  # noqa: S311 -- not for secrets
        try:
            connection = Connection(server)
            while (started := time.perf_counter()) < until:
                connection.get(question(chance))
                spent[number].append(time.perf_counter() - started)
            connection.close()
        except (OSError, RuntimeError) as error:
            failed.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return [each for one in spent for each in one]


def speed(times: list[float], seconds: float) -> Speed:
    """The summary of a measurement."""
    ordered = sorted(times)
    return Speed(
        len(ordered) / seconds,
        ordered[len(ordered) // 2] * 1000,
        ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000,
    )


def pages(server: Server, identifier: str, seconds: float) -> Iterator[Line]:
    """The portal's page of the dataset, warm: whole, and for a reader who has it already."""
    connection, path = Connection(server), f"/d/{identifier}"
    while b'"sha256": null' in connection.get(f"/api/views/{identifier}/downloads.json").replace(b":null", b": null"):
        time.sleep(1)  # the page lists the files, and changes when one is made
    connection.get(path)
    for name, tag in (("page of the dataset, warm", ""), ("page of the dataset, 304", connection.tag)):
        times: list[float] = []
        until = time.perf_counter() + seconds
        while (started := time.perf_counter()) < until:
            connection.get(path, tag)
            times.append(time.perf_counter() - started)
        yield Line(name, speed(times, seconds))
    connection.close()


def exported(server: Server, target: str) -> float:
    """Rows a second of a whole export, from the request to the last byte."""
    server.warm()
    connection = socket.create_connection(server.place, timeout=600)
    started, lines = time.perf_counter(), 0
    host = f"{server.place[0]}:{server.place[1]}"
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    while part := connection.recv(1 << 20):
        lines += part.count(b"cell-")
    connection.close()
    return lines / (time.perf_counter() - started)


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    portal: Speed
    datasette: Speed | None = None

    @property
    def ratio(self) -> float | None:
        """How many times as fast the portal is."""
        return self.portal.rate / self.datasette.rate if self.datasette else None


def compared(servers: list[Server], identifier: str, count: int, given: argparse.Namespace) -> Iterator[Line]:
    """Every kind of question at 1 and 8 connections, in turns; then the whole export."""
    seconds, rounds = given.seconds, given.rounds
    for task in tasks(identifier, count):
        if given.only not in task.name:
            continue
        questions = (task.portal, task.datasette)
        for connections in (1, 8):
            times: list[list[float]] = [[] for _ in servers]
            for number, server in enumerate(servers):
                server.warm()
                asked(server, questions[number], connections, min(2.0, seconds))
            for _ in range(rounds):
                for number, server in enumerate(servers):
                    server.warm()
                    times[number] += asked(server, questions[number], connections, seconds / rounds)
            yield Line(f"{task.name}, {connections} conn.", *(speed(each, seconds) for each in times))
    if given.only in "page of the dataset":
        yield from pages(servers[0], identifier, seconds)
    if given.only not in "CSV export":
        return
    targets = (f"/resource/{identifier}.csv?$limit={count}", "/cells/cells.csv?_stream=on&_size=max")
    rates = [max(exported(server, target) for _ in range(2)) for server, target in zip(servers, targets, strict=False)]
    yield Line("CSV export, rows/s", *(Speed(rate) for rate in rates))
    for name in ("csv", "json"):  # as older clients download everything; Datasette has nothing like it
        target = f"/api/views/{identifier}/rows.{name}"
        yield Line(f"rows.{name}, rows/s", Speed(max(exported(servers[0], target) for _ in range(2))))


def agree(servers: list[Server], identifier: str, count: int) -> None:
    """Fail where the two sides do not give the same sums and rows."""
    for task in tasks(identifier, count):
        found = [
            json.loads(Connection(server).get(question(random.Random(1))))  # noqa: S311
            for server, question in zip(servers, (task.portal, task.datasette), strict=False)
        ]
        sums = [sum(float(each.get("requests") or each.get("sum_requests")) for each in part) for part in found]
        if "page" not in task.name and any(abs(each - sums[0]) > 0.01 for each in sums):
            raise SystemExit(f"{task.name}: the two sides disagree")


def shown(lines: list[Line]) -> str:
    """The table."""
    heading = f"{'':32}{'portal':>26}{'Datasette':>26}{'ratio':>8}"
    return "\n".join([heading, *(_shown(line) for line in lines)])


def _shown(line: Line) -> str:
    sides = [_cell(line.portal), _cell(line.datasette) if line.datasette else ""]
    ratio = f"{line.ratio:.1f}" if line.ratio else ""
    return f"{line.what:32}{sides[0]:>26}{sides[1]:>26}{ratio:>8}"


def _cell(speed: Speed) -> str:
    times = f"  {speed.p50:6.1f} {speed.p99:6.1f} ms" if speed.p50 else ""
    return f"{speed.rate:,.0f}/s{times}"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=6.0, help="for each side of each line")
    parser.add_argument("--rounds", type=int, default=3, help="turns that the seconds are split into")
    parser.add_argument("--datasette", default=shutil.which("datasette"), help="Datasette's program")
    parser.add_argument("--workers", type=int, help="processes of the portal")
    parser.add_argument("--folder", type=Path, help="where to keep both stores, and find them again")
    parser.add_argument("--only", default="", help="measure the lines whose name contains this")
    parser.add_argument("--json", type=Path, help="file that gets the numbers")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        lines = measured(stack, folder, given)
    print(shown(lines))
    if given.json:
        given.json.write_text(json.dumps([asdict(line) | {"ratio": line.ratio} for line in lines], indent=1))


def measured(stack: ExitStack, folder: Path, given: argparse.Namespace) -> list[Line]:
    """Start both, fill them where they are empty, and measure."""
    port, state, file = free_port(), folder / "state", folder / "cells.db"
    more = ["--anonymous-rate", "1000000", *(["--workers", str(given.workers)] if given.workers else [])]
    command = [sys.executable, "-m", "publisher.portal", str(state), "--port", str(port), *more]
    servers = [stack.enter_context(running("portal", f"http://127.0.0.1:{port}", command, folder / "portal.log"))]
    lines = []
    known = folder / "identifier"
    if known.exists():
        identifier = known.read_text()
    else:
        identifier, written = fill_portal(servers[0], state, given.rows)
        known.write_text(identifier)
        lines = [Line(f"{name}, rows/s", Speed(rate)) for name, rate in written.items()]
    if given.datasette:
        if not file.exists():
            fill_sqlite(file, given.rows)
        port = free_port()
        settings = [part for name, value in SETTINGS.items() for part in ("--setting", name, str(value))]
        command = [given.datasette, "serve", "-i", str(file), "--port", str(port), *settings]
        servers.append(
            stack.enter_context(
                running("datasette", f"http://127.0.0.1:{port}", command, folder / "datasette.log", file)
            )
        )
    else:
        sys.stderr.write("Datasette is not here; see the top of this file. The portal is measured alone.\n")
    agree(servers, identifier, given.rows)
    return [*lines, *compared(servers, identifier, given.rows, given)]


if __name__ == "__main__":
    main()
