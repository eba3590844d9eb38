"""Processes with limits: work on files from elsewhere, whose readers may take any amount of memory or time, is done in
a process of its own that has only so much of both; and a process may give up reaching most files, by Landlock. No
process that can see records leaves a core dump."""

from __future__ import annotations

import importlib
import json
import math
import os
import resource
import signal
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from publisher import confined; confined.serve()"
_TOLD = ("PATH", "HOME", "LANG", "LC_", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHON", "VIRTUAL_ENV", "COV", "OPENBLAS_")
"""How the names of variables begin that children need."""
_OUT_OF_MEMORY = 77
_PR_SET_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Landlock's system calls, which have the same numbers everywhere."""
_READ = 1 << 0 | 1 << 2 | 1 << 3
"""Run a file, read it, list a folder."""
_MOVE = 1 << 5 | 1 << 8
"""Remove a file from a folder, and make one there."""
_REMOVE = 1 << 4
"""Remove an empty folder from a folder."""
_FILE = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
"""What may be done with a file that is no folder."""
_PROGRAMS = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt", "/nix", "/etc", "/proc", "/sys"),
    *("/dev/null", "/dev/urandom", "/dev/random", "/run/systemd/resolve"),
)
"""What programs read of any Linux, as far as it is there."""
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4


class StoppedError(Exception):
    """A child has given no result: it needed more memory or time than it may have, or its work failed."""

    def __init__(self, reason: Literal["memory", "time", "fault"]) -> None:
        super().__init__(reason)
        self.reason = reason


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """What programs need of the environment: where they are, and how they write. Keys and passwords are none of it.

    >>> without_secrets({"PATH": "/bin", "LC_ALL": "C", "WORKSPACE_KEY": "secret", "PGPASSWORD": "secret"})
    {'PATH': '/bin', 'LC_ALL': 'C'}
    """
    return {name: value for name, value in environment.items() if name.startswith(_TOLD)}


def run(function: Callable[..., Any], *arguments: Any, memory: int, seconds: float) -> Any:
    """What a function of a module returns, called in a child with at most `memory` bytes and `seconds`, and without the
    keys and passwords of the environment.

    Arguments and result are JSON. What the child says on its error stream may quote a record, so it is thrown away.
    Raises StoppedError.
    """
    call = json.dumps([function.__module__, function.__qualname__, arguments, memory, math.ceil(seconds)])
    command = [sys.executable, "-P", "-c", _START, json.dumps(sys.path)]
    try:
        done = subprocess.run(
            command,
            input=call.encode(),
            capture_output=True,
            timeout=seconds,
            check=False,
            env=without_secrets(os.environ),
        )
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


@dataclass(frozen=True)
class Reach:
    """The files that a process still reaches, beside Python and the system's programs."""

    writes: Sequence[Path]
    """Below these everything may be done."""
    reads: Sequence[Path] = ()
    """What lies below these may be read."""
    moves: Sequence[Path] = ()
    """Below these, files may be renamed."""
    removes: Sequence[Path] = ()
    """Below these, empty folders may be removed."""
    hidden: Sequence[Path] = ()
    """What lies below these is not read, even where it lies below one of the others."""


def reach_only(reach: Reach) -> bool:
    """Give up all other files, for this process and all that it starts. To be called before there are threads.

    False where the kernel has no Landlock: then nothing has changed.
    """
    version = _landlock(_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return False
    everything = (1 << (13, 14, 15, 15, 16)[min(version, 5) - 1]) - 1
    ruleset = _landlock(_CREATE_RULESET, struct.pack("Q", everything), 8, 0)
    if ruleset < 0:
        return False
    try:
        programs = [
            Path(each) for each in (*_PROGRAMS, sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path) if each
        ]
        package = Path(__file__).parent
        shielded = [path.resolve() for path in reach.hidden]
        for path in {path.resolve() for path in (*programs, package, *reach.reads)}:
            for each in _but(path, shielded):
                _allow(ruleset, each, _READ)
        for rights, paths in ((_MOVE, reach.moves), (_REMOVE, reach.removes), (everything, reach.writes)):
            for path in paths:
                _allow(ruleset, path.resolve(), rights)
        _allow(ruleset, Path("/dev/null"), everything)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        return _landlock(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _but(path: Path, hidden: list[Path]) -> Iterator[Path]:
    """The path or, where something hidden lies below it, what is in it beside that."""
    if path in hidden:
        return
    if not any(each.is_relative_to(path) for each in hidden):
        yield path
        return
    try:
        inside = list(path.iterdir())
    except OSError:
        return
    for each in inside:
        if not each.is_symlink():
            yield from _but(each, hidden)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    """Allow this below a path; nothing if there is none."""
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        allowed = rights if path.is_dir() else rights & _FILE
        _landlock(_ADD_RULE, ruleset, 1, struct.pack("=Qi", allowed, handle), 0)
    finally:
        os.close(handle)


def _landlock(call: int, *arguments: int | bytes | None) -> int:
    """The answer of the kernel; negative where it refuses."""
    if sys.platform != "linux":
        return -1
    import ctypes

    given = [ctypes.c_long(each) if isinstance(each, int) else ctypes.c_char_p(each) for each in arguments]
    answer: int = ctypes.CDLL(None).syscall(ctypes.c_long(call), *given)
    return answer


def _prctl(option: int, value: int) -> int:
    import ctypes

    zero = ctypes.c_ulong(0)
    answer: int = ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), zero, zero, zero)
    return answer
