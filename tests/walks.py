"""Walks: pages whose commands are run in their order, with the edits between, as a person would."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PORTAL = "http://127.0.0.1:8311"
"""Where a page says that the portal is; a walk takes a free port instead."""
START_SECONDS = 120
_BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
_DUTY = re.compile(r"^\|.*\| `([^`]+)` \|$", re.MULTILINE)
"""A row of the table at the end of a page: a promise, and the command that shows it."""


@dataclass
class Walk:
    """One page in a folder of its own."""

    page: Path
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    said: str = ""
    before: list[str] = field(default_factory=list)
    """What each later command needs: the folder and the settings that the page has chosen."""
    url: str = ""

    def go(self) -> Walk:
        """Run every command and write every file of the page; last the commands of its table."""
        text = self.page.read_text(encoding="utf-8")
        with ExitStack() as stack:
            for kind, block in _BLOCK.findall(text):
                if kind == "console":
                    self._console(block, stack)
                elif kind in ("toml", "sql", "csv"):
                    head, _, content = block.partition("\n")
                    self._put(head.strip("#- "), content)
            for command in _DUTY.findall(text):
                self._run([command])
        return self

    @property
    def workspace(self) -> Path:
        """The folder that the page has gone into."""
        folder = self.folder
        for line in self.before:
            folder = folder / line.removeprefix("cd ") if line.startswith("cd ") else folder
        return folder

    def _console(self, block: str, stack: ExitStack) -> None:
        commands = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
        if commands == ["publisher serve"]:
            stack.enter_context(self._served())
            return
        self._run(commands)
        self.before += [line for line in commands if line.startswith(("cd ", "export "))]

    def _run(self, commands: list[str]) -> None:
        script = "\n".join(["set -eo pipefail", *self.before, *commands]).replace(PORTAL, self.url or PORTAL)
        ran = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=self._variables, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{commands}\n{ran.stdout}{ran.stderr}"
        self.said += ran.stdout

    @property
    def _variables(self) -> dict[str, str]:
        """Where the command, the ledger's heads and the portal are; no setting of who runs the tests."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PUBLISHER_")}
        ours = {"XDG_STATE_HOME": str(self.folder / "heads"), "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}"}
        return kept | ours | self.settings | ({"PUBLISHER_PORTAL": self.url} if self.url else {})

    @contextmanager
    def _served(self) -> Iterator[None]:
        """The portal in another terminal, until the walk ends."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        script = "\n".join([*self.before, "exec publisher serve"])
        with (self.folder / "portal.log").open("wb") as log:
            process = subprocess.Popen(
                ["bash", "-c", script], cwd=self.folder, env=self._variables, stdout=log, stderr=log
            )
        try:
            self._wait(process, port)
            yield
        finally:
            process.terminate()
            process.wait(60)

    def _wait(self, process: subprocess.Popen[bytes], port: int) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and process.poll() is None:
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.2)
        raise AssertionError((self.folder / "portal.log").read_text())

    def _put(self, name: str, content: str) -> None:
        """Write a file of the page; of a definition that is there, fill in the marked places or add what is new."""
        adding = name.startswith("add to ")
        path = self.workspace / name.removeprefix("add to ")
        if adding:
            path.write_text(f"{path.read_text()}\n{content}")
        elif not path.exists() or path.suffix == ".sql":
            path.write_text(content)
        else:
            path.write_text(filled(path.read_text(), content))


def filled(text: str, content: str) -> str:
    """A definition whose marked places have the values of these lines."""
    for line in content.splitlines():
        key = re.escape(line.partition(" = ")[0])
        text, found = re.subn(
            rf'^{key} = (?:"TODO"|\{{.*"TODO".*\}}).*$', lambda _, new=line: new, text, flags=re.MULTILINE
        )
        assert found == 1, line
    return text
