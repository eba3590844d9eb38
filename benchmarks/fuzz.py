"""Random questions and requests to a portal of its own, each answer judged and the right ones computed again.

    python benchmarks/fuzz.py [100000] [--seed S] [--threads 2] [--minutes M]

Prints the requests, the share of questions that are right by construction, the statuses, the answers that differ from
the second evaluation (none may), the slowest answer and the requests each second. Ends with 1 where anything is wrong.
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

sys.path.insert(1, str(Path(__file__).parents[1] / "tests" / "portal"))

from portal_process import start, stop
from soql.trial import Counts, Site, Trial, prepare, recorded


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
            counts = _together(site, arguments)
            seconds = time.perf_counter() - began
            errors = [line for line in recorded(portal.state).splitlines() if " ERROR " in line or "Traceback" in line]
        finally:
            stop(portal)
    _tell(counts, seconds, errors)
    return 1 if counts.faults or errors else 0


def _together(site: Site, arguments: argparse.Namespace) -> Counts:
    """The same number of requests from each thread, a seed for each."""
    counts, requests, threads = Counts(), arguments.requests, arguments.threads
    with ThreadPoolExecutor(threads) as pool:
        share = [requests // threads + (number < requests % threads) for number in range(threads)]
        trials = [Trial(site, f"{arguments.seed}.{number}") for number in range(threads)]
        for found in pool.map(Trial.run, trials, share, [arguments.minutes * 60] * threads):
            counts.add(found)
    return counts


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
