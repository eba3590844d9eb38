"""Ends what a test process started and left behind, however it ended itself: by a signal, too.

`python leftovers.py TOKEN` waits until its standard input ends, which the test process holds open as long as it lives,
and then kills every process that has TESTS_SESSION=TOKEN in its environment.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

ROUNDS = 3
"""What is killed may just have started something."""


def main() -> None:
    """Wait, then kill."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.buffer.read()
    mark = f"TESTS_SESSION={sys.argv[1]}".encode()
    for _ in range(ROUNDS):
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if int(folder.name) != os.getpid() and mark in (folder / "environ").read_bytes().split(b"\0"):
                    os.kill(int(folder.name), signal.SIGKILL)


if __name__ == "__main__":
    main()
