"""Walks: pages whose commands are run in their order, with the edits between, as a person would.

Followed, in the order of the page:

- `console`: lines that begin with `$ ` are typed, all of a block in one shell; the folder and exported settings last
  for the page. A command has to succeed, unless the next one is `echo $?`. The other lines are what comes out: each has
  to come, in this order, however it is wrapped; `…` stands for anything, for any number of lines too.
  `$ publisher serve` alone is a portal in another terminal, which runs until the page ends.
- any block whose first line names a file, as `# path` or `-- path`, or that follows a line with its name alone, as
  `` `path`: ``. A new file is written. In a TOML file that is there, each line takes the place of the one with the same
  key, in its section, and a section that is not there is added; `# add to path` adds the block as it is.
- last, the commands in the last column of a table of promises.

`text`, `ini` and `nginx` are shown, not followed.
"""

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
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PORTAL = "http://127.0.0.1:8311"
"""Where a page says that the portal is; a walk takes a free port instead."""
START_SECONDS = 120
_BLOCK = re.compile(r"(?:^`([\w./-]+)`:\n+)?^( *)```(\w+)\n(.*?)^\2```$", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"(?:#|--) ((?:add to )?[\w./-]+\.\w+)\n")
_DUTY = re.compile(r"^\|.*\| `([^`]+)` \|$", re.MULTILINE)
"""A row of the table at the end of a page: a promise, and the command that shows it."""
_PROMISES = "| command that shows it |"
"""The head of such a table."""
_SHOWN = ("text", "ini", "nginx")
_ENDED = "walk-command-ended-with"


@dataclass
class Walk:
    """One page, in a folder of its own or where another page has ended."""

    page: Path
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    instead: dict[str, str] = field(default_factory=dict)
    """What stands for a text of the page, such as a server of ours for a city's."""
    said: str = ""
    before: list[str] = field(default_factory=list)
    """What each later command needs: the folder and the settings that the page has chosen."""
    url: str = ""

    def go(self) -> Walk:
        """Run every command and write every file of the page; last the commands of its table."""
        text = self.page.read_text(encoding="utf-8")
        for before, after in self.instead.items():
            assert before in text
            text = text.replace(before, after)
        with ExitStack() as stack:
            for named, _, kind, indented in _BLOCK.findall(text):
                block = dedent(indented)
                head = _NAME.match(block)
                if kind == "console":
                    self._console(block, stack)
                elif named or head is None:
                    assert named or kind in _SHOWN, f"{self.page.name}: this block names no file: {block}"
                    if named:
                        self._put(named, block)
                else:
                    self._put(head[1], block[head.end() :])
            for command in _DUTY.findall(text.partition(_PROMISES)[2]):
                self._run([command], [[]])
        return self

    @property
    def workspace(self) -> Path:
        """The folder that the page has gone into."""
        folder = self.folder
        for line in self.before:
            folder = folder / line.removeprefix("cd ") if line.startswith("cd ") else folder
        return folder

    def _console(self, block: str, stack: ExitStack) -> None:
        commands, shown = typed(block)
        if commands == ["publisher serve"]:
            stack.enter_context(self._served())
            return
        self._run(commands, shown)
        self.before += [line for line in commands if line.startswith(("cd ", "export "))]

    def _run(self, commands: Sequence[str], shown: Sequence[list[str]]) -> None:
        lines = ["set -o pipefail", *self.before]
        for command in commands:
            lines += [command.replace(PORTAL, self.url or PORTAL), f"last=$?; echo '{_ENDED}' $last; (exit $last)"]
        ran = subprocess.run(
            ["bash", "-c", "\n".join(lines)],
            cwd=self.folder,
            env=self._variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        pieces = re.split(rf"{_ENDED} (\d+)\n", ran.stdout)
        assert len(pieces) == 2 * len(commands) + 1, f"the shell ended early: {ran.stdout}"
        for number, (command, wanted) in enumerate(zip(commands, shown, strict=True)):
            out, code = pieces[2 * number], pieces[2 * number + 1]
            self.said += out
            asked = commands[number + 1 : number + 2] == ["echo $?"]
            assert asked or code == "0", f"{command}\n{out}"
            assert came(wanted, out.replace(self.url or PORTAL, PORTAL)), f"{command}\n{out}\nnot as shown: {wanted}"

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
        """Write a file of the page, or change the lines of a definition that is there."""
        path = self.workspace / name.removeprefix("add to ")
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.startswith("add to "):
            path.write_text(f"{path.read_text()}\n{content}")
        elif path.exists() and path.suffix == ".toml":
            path.write_text(edited(path.read_text(), content))
        else:
            path.write_text(content)


def typed(block: str) -> tuple[list[str], list[list[str]]]:
    """The commands of a block, and the lines that are shown after each."""
    commands: list[str] = []
    shown: list[list[str]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            commands.append(line.removeprefix("$ "))
            shown.append([])
        else:
            shown[-1].append(line)
    return commands, shown


def came(wanted: Sequence[str], out: str) -> bool:
    """Whether the shown lines came, in this order, however wide the screen is."""
    parts = re.split(r"\s*…\s*", " ".join(" ".join(wanted).split()))
    return re.search(".*".join(map(re.escape, parts)), " ".join(out.split())) is not None


def edited(text: str, content: str) -> str:
    """A definition with these lines in the place of those with the same keys, in their sections."""
    for section in filter(str.strip, re.split(r"^(?=\[)", content, flags=re.MULTILINE)):
        header, _, lines = section.partition("\n") if section.startswith("[") else ("", "", section)
        if header and (header.startswith("[[") or header not in text.splitlines()):
            text = f"{text.rstrip()}\n\n{section}"
            continue
        start = re.search(rf"^{re.escape(header)}\n", text, re.MULTILINE) if header else None
        begin = start.start() if start else 0
        end = text.find("\n[", begin + 1) if header else -1
        end = len(text) if end < 0 else end
        text = text[:begin] + _replaced(text[begin:end], lines) + text[end:]
    return text


def _replaced(text: str, lines: str) -> str:
    for line in filter(str.strip, lines.splitlines()):
        key, value, _ = line.partition(" = ")
        if not value:
            continue  # a comment
        text, found = re.subn(rf"^{re.escape(key)} = .*$", lambda _, new=line: new, text, flags=re.MULTILINE)  # type: ignore[misc]
        assert found == 1, f"{found} lines have the key of {line}"
    return text
