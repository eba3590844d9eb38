"""A process that has imported everything and forks a child for each command: a command takes as long as its work.

`python forking.py` reads orders, a JSON object a line, from standard input: `{"arguments": [...], "folder": path,
"package": path, "environment": {...}, "typed": text, "out": path, "err": path}`, and answers with how the child ended:
its exit code, or minus the signal that killed it. It opens nothing and computes nothing itself, so that a child starts
like a process of its own. `package` is empty, or a folder with another copy of publisher, which the child runs: a
forking process for such orders is started with `without`, and imports no copy itself.
"""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAVY = (
    "great_expectations",
    "pandas",
    "pyarrow.parquet",
    "duckdb",
    "opendp.prelude",
    "sodapy",
    "sqlalchemy",
    "rich.progress",
)
OTHERS = ("publisher.portal.",)
"""Rooms that only other processes import whole."""


WITHOUT = "without"


class Forks:
    """The forking process, with publisher imported or without; one child at a time."""

    def __init__(self, *, without: bool = False, **variables: str) -> None:
        """These variables are in its environment from the start, such as what the dynamic linker loads."""
        usual = {"OPENBLAS_NUM_THREADS": "1", "GX_ANALYTICS_ENABLED": "false"}
        self._process = subprocess.Popen(
            [sys.executable, __file__, *([WITHOUT] if without else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | usual | variables,
        )

    def run(
        self,
        arguments: list[str],
        folder: Path,
        environment: dict[str, str],
        package: Path | None = None,
        typed: str = "",
    ) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of `publisher` with these arguments in that folder; what is
        typed comes from its standard input."""
        with tempfile.TemporaryDirectory() as place:
            out, err = Path(place) / "out", Path(place) / "err"
            ended = self._answer(
                {
                    "arguments": arguments,
                    "folder": str(folder),
                    "package": str(package or ""),
                    "environment": environment,
                    "typed": typed,
                    "out": str(out),
                    "err": str(err),
                }
            )
            return ended, out.read_text(), err.read_text()

    def _answer(self, order: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the forking process has ended"
        return int(json.loads(line))

    def close(self) -> None:
        """End it."""
        self._process.communicate()


@cache
def forks() -> Forks:
    """The forking process of this test process; it ends with its input."""
    return Forks()


def main() -> None:
    """Serve orders until the input ends; answers go where standard output led at the start."""
    answers = os.fdopen(os.dup(1), "w")
    for name in HEAVY if WITHOUT in sys.argv else (*HEAVY, *of_publisher()):
        __import__(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            answers.close()
            live(json.loads(line))
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


def of_publisher() -> Iterator[str]:
    """All modules that a command may import: half of the work of most commands. That each imports what it needs is
    shown by those that tests start as processes of their own."""
    import publisher

    for module in pkgutil.walk_packages(publisher.__path__, "publisher."):
        if not module.name.startswith(OTHERS) and not module.name.endswith("__main__"):
            yield module.name


def live(order: dict[str, Any]) -> NoReturn:
    """The whole life of a child."""
    code = 70
    try:
        code = obey(order)
    except BaseException:  # noqa: BLE001 - whatever happens, the child must not come to read orders
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def obey(order: dict[str, Any]) -> int:
    """Run one command of publisher as the command line would; its exit code."""
    typed, types = os.pipe()
    os.write(types, order["typed"].encode())
    os.close(types)
    os.dup2(typed, 0)
    sys.stdin = os.fdopen(0)
    if order["typed"]:
        os.setsid()  # a passphrase is asked for on the terminal, if there is one
    for stream, name in ((1, "out"), (2, "err")):
        opened = os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, stream)
        os.close(opened)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    if order["package"]:
        sys.path.insert(0, order["package"])
    from publisher.cli import main as publisher

    try:
        publisher(order["arguments"], prog_name="publisher")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    main()
