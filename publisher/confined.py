"""Children with limits: work on files from elsewhere, whose readers may take any amount of memory or time, is done in a
process of its own that has only so much of both. No process that can see records leaves a core dump."""

from __future__ import annotations

import importlib
import json
import math
import resource
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from publisher import confined; confined.serve()"
_OUT_OF_MEMORY = 77
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4


class StoppedError(Exception):
    """A child has given no result: it needed more memory or time than it may have, or its work failed."""

    def __init__(self, reason: Literal["memory", "time", "fault"]) -> None:
        super().__init__(reason)
        self.reason = reason


def run(function: Callable[..., Any], *arguments: Any, memory: int, seconds: float) -> Any:
    """What a function of a module returns, called in a child with at most `memory` bytes and `seconds`.

    Arguments and result are JSON. What the child says on its error stream may quote a record, so it is thrown away.
    Raises StoppedError.
    """
    call = json.dumps([function.__module__, function.__qualname__, arguments, memory, math.ceil(seconds)])
    command = [sys.executable, "-c", _START, json.dumps(sys.path)]
    try:
        done = subprocess.run(command, input=call.encode(), capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise StoppedError("time") from None
    if done.returncode == 0:
        return json.loads(done.stdout)
    # A reader written in Rust or C aborts when it gets no memory.
    if done.returncode in (_OUT_OF_MEMORY, -signal.SIGABRT, -signal.SIGSEGV):
        raise StoppedError("memory")
    raise StoppedError("time" if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL) else "fault")


def serve() -> None:
    """The child: take the limits, then do the one call that is on the standard input."""
    module, name, arguments, memory, seconds = json.load(sys.stdin)
    no_core_dumps()
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    try:
        result = getattr(importlib.import_module(module), name)(*arguments)
    except MemoryError:
        sys.exit(_OUT_OF_MEMORY)
    sys.stdout.write(json.dumps(result))


def is_dumpable() -> bool:
    """Whether the kernel may dump the memory of this process."""
    if sys.platform != "linux":
        return False
    import ctypes

    return bool(ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0))


def no_core_dumps() -> None:
    """Keep the memory of this process, which may hold records, out of files; forks inherit it, and limits execs too."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes

        # The limit does not hold where the kernel hands core dumps to a program, as most distributions set it up. A
        # process that is not dumpable is never dumped, and no other process of the same user can read its memory;
        # debuggers and profilers must be root's. Started programs are dumpable again: each of ours calls this itself.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
