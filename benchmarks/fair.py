"""One abusive address against another one: how long the other waits for its answers, alone and beside each abuse.

    python benchmarks/fair.py [--rows 200000] [--seconds 15] [--connections 24] [--code FOLDER] [--json FILE]

A portal of its own with invented rows (those of `portal.py`) is asked by two addresses of this machine, 127.0.0.2 and
127.0.0.3. The abusive one keeps all of its connections busy from a process of its own; the other one asks for a
hundred rows by a filter, one request after the other. `--code` is a checkout of another version, to measure that one:
its `publisher` package is run instead of this one. Each refusal of the abusive address is counted, with its status.
It ends with 1 if the other address was refused anything, or waited for half of its answers longer than half a second
and five times as long as when it is alone: before addresses had shares, four of the abuses did that.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from portal import COLUMNS, PLACES, client, fill_portal, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Event

ABUSIVE, OTHER = "127.0.0.2", "127.0.0.3"
LONG, SLOWER = 500.0, 5
"""milliseconds, and times as long as alone, that the other address may wait for half of its answers"""
SPARE = 60.0
"""seconds that any request may take"""


@dataclass(frozen=True)
class Request:
    """What the abusive address sends again and again."""

    path: str
    body: bytes | None = None
    login: str = ""
    slow: bool = False
    """it asks for everything and reads a little of it each second"""


@dataclass(frozen=True)
class Waited:
    """How long the other address waited, in milliseconds, and what the abusive one was told."""

    abuse: str
    answers: int
    p50: float
    p99: float
    longest: float
    refused: int
    """answers to the other address that were not 200"""
    abusive: dict[str, int]


def asked(identifier: str, clause: str, text: str) -> str:
    """An address that asks this."""
    return f"/resource/{identifier}.json?{quote(clause)}={quote(text)}"


def abuses(identifier: str, heap: str, login: str) -> dict[str, list[Request]]:
    """Each abuse by its name."""
    names = [f"a{number} + a{number} AS a{number + 1}" for number in range(12)]
    doubling = ", ".join(["requests + requests AS a0", *names, *(f"a12 AS b{number}" for number in range(480))])
    joined = f"SELECT count(*) JOIN @{identifier} AS b ON requests < @b.requests AND id < @b.id"
    upload = json.dumps([row | {"id": f"u{row['id']}"} for row in rows(40_000)]).encode()
    return {
        "nothing": [],
        "lexer": [
            Request(asked(identifier, "$where", piece * (20_000 // len(quote(piece)))))
            for piece in ("/*", "(", "AND ", "'\"`")
        ],
        "names that double": [Request(asked(identifier, "$select", doubling))],
        "self-join": [Request(asked(identifier, "$query", joined))],
        "slow reader": [Request(f"/resource/{identifier}.json?$limit=1000000", slow=True)],
        "big upload": [Request(f"/resource/{heap}.json", upload, login)],
    }


def abuse(place: tuple[str, int], requests: list[Request], connections: int, over: Event, told: Any) -> None:
    """Keep this many connections busy until it is over; puts the number of each status."""
    found: Counter[str] = Counter()

    def keep_asking(number: int) -> None:
        request = requests[number % len(requests)]
        while not over.is_set():
            with suppress(OSError, HTTPException):
                found[str(_sent(place, request, over))] += 1

    threads = [threading.Thread(target=keep_asking, args=(number,), daemon=True) for number in range(connections)]
    for thread in threads:
        thread.start()
    over.wait()
    for thread in threads:
        thread.join(2)
    told.put(dict(found))


def _sent(place: tuple[str, int], request: Request, over: Event) -> int:
    connection = HTTPConnection(*place, timeout=SPARE, source_address=(ABUSIVE, 0))
    try:
        headers = {"Content-Type": "application/json"} | ({"Authorization": request.login} if request.login else {})
        connection.request("POST" if request.body else "GET", request.path, request.body, headers)
        answer = connection.getresponse()
        while request.slow and not over.is_set() and answer.read(1000):
            time.sleep(1)
        answer.read() if not request.slow else None
        return answer.status
    finally:
        connection.close()


def measured(name: str, place: tuple[str, int], identifier: str, seconds: float) -> tuple[list[float], int]:
    """Milliseconds of each answer to the other address, and how many were refused."""
    chance = random.Random(name)  # noqa: S311 -- not for secrets
    taken, refused = [], 0
    connection = HTTPConnection(*place, timeout=SPARE, source_address=(OTHER, 0))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        started = time.perf_counter()
        try:
            connection.request("GET", f"/resource/{identifier}.json?place=Z{chance.randrange(PLACES):03}&$limit=100")
            answer = connection.getresponse()
            answer.read()
            refused += answer.status != 200
        except (OSError, HTTPException):
            connection.close()
            refused += 1
        taken.append((time.perf_counter() - started) * 1000)
    connection.close()
    return sorted(taken), refused


@contextmanager
def portal_of(code: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """A portal from this checkout, until the block ends."""
    ready = folder / "ready"
    command = [
        sys.executable,
        "-m",
        "publisher.portal",
        str(folder / "state"),
        "--port",
        "0",
        "--ready-file",
        str(ready),
    ]
    command += ["--anonymous-rate", "100000"]  # what one address may ask each second is another limit
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=code, env=os.environ | {"PYTHONPATH": str(code)}, stderr=log)
        try:
            while not ready.exists():
                if process.poll() is not None:
                    raise SystemExit((folder / "log").read_text())
                time.sleep(0.05)
            parts = urlsplit(ready.read_text())
            yield parts.hostname or "", parts.port or 0
        finally:
            process.terminate()
            process.wait(timeout=60)


def compared(code: Path, count: int, seconds: float, connections: int, only: list[str]) -> Iterator[Waited]:
    """One line for each abuse."""
    from portal import Server

    with tempfile.TemporaryDirectory() as scratch, portal_of(code, Path(scratch)) as place:
        state = Path(scratch) / "state"
        server = Server("portal", f"http://{place[0]}:{place[1]}", subprocess.Popen([sys.executable, "-c", ""]))
        identifier, _ = fill_portal(server, state, count)
        columns = [{"fieldName": name, "name": name.title(), "dataTypeName": kind} for name, kind in COLUMNS.items()]
        with client(server, state) as soda:
            heap = soda.create("Uploads", columns=columns)["id"]
        secret = json.loads((state / "writer.json").read_text())
        login = "Basic " + b64encode(f"{secret['username']}:{secret['password']}".encode()).decode()
        measured("warm", place, identifier, 2)
        for name, requests in abuses(identifier, heap, login).items():
            if not only or name in only:
                yield _beside(name, requests, place, identifier, seconds, connections)


def _beside(
    name: str, requests: list[Request], place: tuple[str, int], identifier: str, seconds: float, connections: int
) -> Waited:
    context = get_context("fork")
    over, told = context.Event(), context.Queue()
    process = context.Process(target=abuse, args=(place, requests, connections, over, told), daemon=True)
    if requests:
        process.start()
        time.sleep(2)
    taken, refused = measured(name, place, identifier, seconds)
    over.set()
    said = told.get(timeout=SPARE * 2) if requests else {}
    if requests:
        process.terminate()
        process.join()
        time.sleep(2)
    at = [taken[min(len(taken) - 1, int(len(taken) * part))] for part in (0.5, 0.99)]
    return Waited(name, len(taken), round(at[0], 1), round(at[1], 1), round(taken[-1], 1), refused, said)


def unfair(found: list[Waited]) -> list[str]:
    """The abuses that the other address suffered from."""
    alone = next((each.p50 for each in found if each.abuse == "nothing"), 0.0)
    return [each.abuse for each in found if each.refused or each.p50 > max(LONG, SLOWER * alone)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--connections", type=int, default=24)
    parser.add_argument("--code", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--only", action="append", default=[], help="measure this abuse alone; may be repeated")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(
        f"{'beside':<20} {'answers':>8} {'p50 ms':>8} {'p99 ms':>8} {'longest':>8} {'refused':>8}  the abusive one got"
    )
    found = []
    for each in compared(given.code.resolve(), given.rows, given.seconds, given.connections, given.only):
        found.append(each)
        told = ", ".join(f"{number} × {status}" for status, number in sorted(each.abusive.items()))
        numbers = f"{each.answers:>8} {each.p50:>8} {each.p99:>8} {each.longest:>8} {each.refused:>8}"
        print(f"{each.abuse:<20} {numbers}  {told}", flush=True)
    if given.json:
        given.json.write_text(json.dumps([asdict(each) for each in found], indent=2))
    if names := unfair(found):
        raise SystemExit(f"the other address was slowed by: {', '.join(names)}")


if __name__ == "__main__":
    main()
