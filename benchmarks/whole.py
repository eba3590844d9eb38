"""A whole `publisher run`, how long it waits for the validation, and memory: `whole.py FOLDER DATASET` prints JSON."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

BEGUN = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def main() -> None:
    """Runs it in this process, started as the command is."""
    from publisher.cli import main as publisher
    from publisher.release.judging import JudgingProcess

    waited, judge = [0.0], JudgingProcess.judge

    def timed(*arguments: object) -> object:
        begun = time.perf_counter()
        try:
            return judge(*arguments)  # type: ignore[arg-type]
        finally:
            waited[0] += time.perf_counter() - begun

    JudgingProcess.judge = timed  # type: ignore[method-assign, assignment]
    os.chdir(sys.argv[1])
    name, sys.argv = sys.argv[2], ["publisher", "run", sys.argv[2], "--no-push", "--json"]
    try:
        publisher()
    except SystemExit as end:
        if end.code:
            raise
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    print(json.dumps({"seconds": time.time() - started(), "judging": waited[0], "memory": most, "name": name}))


def started() -> float:
    """When this process was started, in seconds since 1970."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return BEGUN + ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
