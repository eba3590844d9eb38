"""A process that has run publisher once, so that all is imported, and then forks a child for each command: a run takes
as long as its work. `python zygote.py` reads orders, a JSON object a line, from standard input:
`{"arguments": [...], "environment": {...}, "output": path, "fork": bool, "halted": bool}`. It answers with the child's
pid and, once the child has ended, with how (its exit code, or minus the signal that killed it).

It judges releases itself: what it starts for that would import for seconds, and be traced and killed as a helper.

A halted child stops before its first step until it gets SIGCONT, and may be traced by anybody meanwhile.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import traceback
from typing import Any, NoReturn

from publisher.cli import main as publisher
from publisher.release.validation import get_ready

ANYBODY = ctypes.c_ulong(-1)
PR_SET_PTRACER = 0x59616D61


def main() -> None:
    """Serves orders until the input ends; answers go where standard output led at the start."""
    answers = os.fdopen(os.dup(1), "w")
    get_ready()

    def say(**answer: int) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    for line in sys.stdin:
        order = json.loads(line)
        if not order["fork"]:
            say(ended=obey(order))
            continue
        child = os.fork()
        if child == 0:
            live(order)
        if order["halted"]:
            os.waitpid(child, os.WUNTRACED)
        say(pid=child)
        _, status = os.waitpid(child, 0)
        say(ended=os.waitstatus_to_exitcode(status))


def live(order: dict[str, Any]) -> NoReturn:
    """The whole life of a child."""
    code = 70
    try:
        if order["halted"]:
            ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYBODY, 0, 0, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
        code = obey(order)
    except BaseException:  # noqa: BLE001 - whatever happens, the child must not come to read orders
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def obey(order: dict[str, Any]) -> int:
    """Runs one command of publisher as the command line would; gives its exit code."""
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    os.environ.update(order["environment"])
    try:
        publisher(order["arguments"], prog_name="publisher")
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    main()
