"""Runs that are killed: at the Nth call of a system call, by strace, or at a moment of the clock."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from town import Town

ZYGOTE = Path(__file__).with_name("zygote.py")
PATIENCE = 120
"""Seconds after which a run that does not come to its call is given up."""
_CALL = re.compile(r"^(\d+) +(\w+)\(")
_ANY = re.compile(r"[0-9a-f-]{8,}|\.?tmp\w+|\d+")
"""What differs between calls of one kind."""


class Zygote:
    """The forking process; one child at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def warm(self, town: Town, *arguments: str) -> None:
        """Runs a command in the forking process itself, which imports everything that it needs."""
        self._order(town, arguments, fork=False, halted=False)
        assert self._answer()["ended"] == 0, output_of(town).read_text()

    def run(self, town: Town, *arguments: str) -> int:
        """The exit code of a command."""
        self.begin(town, *arguments)
        return self.end()

    def begin(self, town: Town, *arguments: str, halted: bool = False) -> int:
        """The pid of a command that runs, or that is halted."""
        self._order(town, arguments, fork=True, halted=halted)
        return int(self._answer()["pid"])

    def end(self) -> int:
        """How the command that was begun ended: its exit code, or minus a signal."""
        return int(self._answer()["ended"])

    def _order(self, town: Town, arguments: tuple[str, ...], *, fork: bool, halted: bool) -> None:
        order = {
            "arguments": ["-C", str(town.folder), *arguments],
            "environment": town.environment,
            "output": str(output_of(town)),
            "fork": fork,
            "halted": halted,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the forking process has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def hatched(environment: dict[str, str]) -> Iterator[Zygote]:
    """A forking process; it and its children have these variables."""
    variables = os.environ | {"OPENBLAS_NUM_THREADS": "1"} | environment
    command = [sys.executable, str(ZYGOTE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables) as process:
        try:
            yield Zygote(process)
        finally:
            process.kill()


def output_of(town: Town) -> Path:
    """Where everything that a command prints goes."""
    return town.folder / "output"


@dataclass(frozen=True)
class Call:
    """One system call of a run's main thread, by its place among that thread's calls of the name."""

    name: str
    number: int
    helped: int
    """How many calls of the name helper threads had made by then."""
    words: str
    """The call with its arguments, as strace shows it."""

    @property
    def synced(self) -> str:
        """The path of the file that the call makes durable."""
        return self.words.partition("<")[2].partition(">")[0]

    @property
    def places(self) -> str:
        """What stands between the parentheses."""
        return self.words.partition("(")[2]


def calls_of(zygote: Zygote, town: Town, names: tuple[str, ...], *arguments: str) -> tuple[list[Call], set[str]]:
    """The calls of an undisturbed run in order, and the names of those that helper threads made too."""
    log = town.folder / "strace"
    assert _traced(zygote, town, log, names, "", *arguments) == 0, output_of(town).read_text()
    seen: Counter[tuple[bool, str]] = Counter()
    calls = []
    for main, name, line in _calls(log):
        seen[main, name] += 1
        if main:
            calls.append(Call(name, seen[True, name], seen[False, name], line))
    return calls, {name for main, name in seen if not main}


def one_of_each(calls: list[Call]) -> list[Call]:
    """The first call of each kind: kinds differ in the call's name, or in its words but for digits and random names.

    A kill as a file is synced leaves what a kill at its rename or link leaves, which comes next; that one is tried.
    """
    kinds: dict[str, Call] = {}
    for call, following in zip(calls, [*calls[1:], None], strict=True):
        if following is not None and following.places.startswith(f'"{call.synced}"'):
            continue
        kinds.setdefault(_ANY.sub("*", call.words.split(maxsplit=1)[1]), call)
    return list(kinds.values())


def a_third(calls: list[Call]) -> list[Call]:
    """A third of them, each day another one: all of them in three days."""
    return calls[datetime.now(UTC).toordinal() % 3 :: 3]


def run_killed_at(zygote: Zygote, town: Town, call: Call, *arguments: str) -> bool:
    """Runs and kills with SIGKILL as that call begins. False where the kill came at another call, or not at all: strace
    counts by thread, and DuckDB leaves some of its calls to helpers in one run and not in another."""
    log = town.folder / "strace"
    rule = f"{call.name}:signal=SIGKILL:when={call.number}"
    ended = _traced(zygote, town, log, (call.name,), rule, *arguments)
    assert ended in (0, -9), output_of(town).read_text()
    made = [main for main, _, _ in _calls(log)]
    return ended == -9 and (made.count(True), made.count(False)) == (call.number, call.helped)


def run_killed_after(zygote: Zygote, town: Town, seconds: float, *arguments: str) -> tuple[int, float]:
    """Runs and kills with SIGKILL after a time; how the run ended, and how long it took."""
    begun = time.perf_counter()
    pid = zygote.begin(town, *arguments)
    with _clock(pid, seconds):
        ended = zygote.end()
    return ended, time.perf_counter() - begun


@contextmanager
def stopped_at(zygote: Zygote, town: Town, call: Call, *arguments: str) -> Iterator[None]:
    """A run that stands still as that call begins; it goes on afterwards, and must come to a good end."""
    log = town.folder / "strace"
    pid = zygote.begin(town, *arguments, halted=True)
    rule = f"{call.name}:signal=SIGSTOP:when={call.number}"
    with _strace(pid, log, (call.name,), rule):
        os.kill(pid, signal.SIGCONT)
        deadline = time.monotonic() + PATIENCE
        while "stopped by SIGSTOP" not in log.read_text().partition(f" {call.name}(")[2]:
            assert time.monotonic() < deadline, "the run never came to that call"
            time.sleep(0.01)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
            ended = zygote.end()
        assert ended == 0, output_of(town).read_text()


def _calls(log: Path) -> Iterator[tuple[bool, str, str]]:
    """Of each call in strace's log whether the main thread made it, its name and its line."""
    lines = log.read_text().splitlines()
    for line in lines:
        if match := _CALL.match(line):
            yield match[1] == lines[0].split()[0], match[2], line


def _traced(zygote: Zygote, town: Town, log: Path, names: tuple[str, ...], rule: str, *arguments: str) -> int:
    pid = zygote.begin(town, *arguments, halted=True)
    with _strace(pid, log, names, rule):
        os.kill(pid, signal.SIGCONT)
        return zygote.end()


@contextmanager
def _strace(pid: int, log: Path, names: tuple[str, ...], rule: str) -> Iterator[None]:
    command = ["strace", "-f", "-y", "-s", "400", "-o", str(log), "-p", str(pid), "-e", f"trace={','.join(names)}"]
    command += ["-e", f"inject={rule}"] if rule else []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        if "attached" not in said:
            os.kill(pid, signal.SIGKILL)
            raise AssertionError(said)
        yield
        process.communicate()


@contextmanager
def _clock(pid: int, seconds: float) -> Iterator[None]:
    """Kills the process after a time, unless the block has ended before."""

    def kill() -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    timer = Timer(seconds, kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
