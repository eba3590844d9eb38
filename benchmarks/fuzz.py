"""Random questions and requests to a portal of its own, each answer judged and the right ones computed again.

    python benchmarks/fuzz.py [100000] [--seed S] [--threads 2] [--minutes M]

Prints the requests, the share of questions that are right by construction, the statuses, the answers that differ from
the second evaluation (none may), the slowest answer and the requests each second. Ends with 1 where anything is wrong.
A line after each 5,000 requests has the faults so far and the memory that the portal holds: it may not keep growing.
"""

from __future__ import annotations

import argparse
import math
import secrets
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(1, str(Path(__file__).parents[1] / "tests" / "portal"))

from portal_process import start, stop
from soql.trial import Counts, Site, Trial, prepare, recorded

if TYPE_CHECKING:
    from portal_process import Running

ROUND = 5_000
"""Requests after which a line says what there is so far, so that a run which is cut short has told something."""


def main() -> int:
    """Run the trial and print its counters."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("requests", type=int, nargs="?", default=100_000)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=math.inf)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        portal = start(Path(folder) / "state")
        try:
            site = prepare(portal, alone=True)
            print(f"seed {arguments.seed}; not answered: {', '.join(sorted(site.missing)) or 'nothing'}", flush=True)
            began = time.perf_counter()
            counts = _together(site, portal, arguments)
            seconds = time.perf_counter() - began
            errors = [line for line in recorded(portal.state).splitlines() if " ERROR " in line or "Traceback" in line]
        finally:
            stop(portal)
    _tell(counts, seconds, errors)
    return 1 if counts.faults or errors else 0


def _together(site: Site, portal: Running, arguments: argparse.Namespace) -> Counts:
    """The same number of requests from each thread, a seed for each; after each round a line about all so far."""
    requests, threads, counts = arguments.requests, arguments.threads, Counts()
    trials = [Trial(site, f"{arguments.seed}.{number}") for number in range(threads)]
    end = time.monotonic() + arguments.minutes * 60
    with ThreadPoolExecutor(threads) as pool:
        for before in range(0, requests, ROUND):
            wanted = min(before + ROUND, requests)
            share = [wanted // threads + (number < wanted % threads) for number in range(threads)]
            counts = Counts()
            for found in pool.map(Trial.run, trials, share, [end - time.monotonic()] * threads):
                counts.add(found)
            memory = _memory(portal.process.pid)
            print(f"{counts.requests:>9,} requests, {len(counts.faults)} faults, portal {memory} MB", flush=True)
            if counts.requests < wanted:  # the time is up, or there are too many faults
                break
    return counts


def _memory(process: int) -> int:
    """MB of memory that a process holds, by Linux."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def _tell(counts: Counts, seconds: float, errors: list[str]) -> None:
    statuses = ", ".join(f"{status}: {number:,}" for status, number in sorted(counts.statuses.items()))
    print(f"requests           {counts.requests:,} in {seconds:,.0f} s, {counts.requests / seconds:,.0f} each second")
    print(f"right questions    {counts.right:,} ({counts.right / counts.requests:.1%})")
    print(f"computed again     {counts.checked:,} ({counts.undecided:,} more hang on the last bit of a double)")
    print(f"statuses           {statuses}")
    print(f"slowest            {counts.slowest:.2f} s: {counts.slowest_text}")
    print(f"errors in the log  {len(errors)}")
    print(f"faults             {len(counts.faults)}")
    for fault in [*counts.faults, *errors[:20]]:
        print(f"  {fault}")


if __name__ == "__main__":
    sys.exit(main())
