"""Everything that people read fits a terminal of 80 columns, and a log gets no bar that is drawn over itself."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest
from click import Context, Group
from township import COMMAND

from publisher.cli import main
from publisher.commands import terminal
from publisher.commands.layout import table, width_of, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click import Command
    from township import Town

READ = (
    "check",
    "check --data",
    "plan",
    "plan water",
    "plan requests --compare rho=0.05,0.1,0.2 --compare threshold=5,10",
    "plan requests --typical 25",
    "status",
    "releases",
    "show requests",
    "show water --suite",
    "ledger",
    "verify",
    "doctor",
    "classify requests --law missouri",
    "preview requests",
    "keyset again --from data/districts.geojson --key name",
    "accounts list",
    "run --no-push",
    "land",
    "revalidate",
    "sql FROM:_tables",
    "sql FROM:requests",
    "sql FROM:requests:LIMIT:1",
    "rollback water --no-push --reason Wrong",
    "run --period soon",
    "run --nothing",
    "schema nothing",
    "show nothing",
    "accept requests 2024-01 --reason Right",
    "ledger amend requests --reason Wrong",
)
"""Commands over a town that has released everything; a colon is a blank. Each is harmless to the others."""


LONG = "requests-by-district-month-and-sort-in-the-whole-town-and-around-it"


def too_wide(text: str) -> list[str]:
    """The lines that do not fit, but for those with a long path or address, which is not broken."""
    return [line for line in text.splitlines() if len(line) > 80 and not re.search(r"\S*/\S{40,}", line)]


def on_a_terminal(town: Town, *arguments: str, columns: int = 80, command: tuple[str, ...] = (str(COMMAND),)) -> str:
    """What a command shows on a terminal, both streams together, as it was sent."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: text for name, text in town.environment(TERM="xterm").items() if name != "COLUMNS"}
    with subprocess.Popen(
        [*command, *arguments], cwd=town.root, stdin=slave, stdout=slave, stderr=slave, env=environment
    ):
        os.close(slave)
        parts = list(_parts(master))
    os.close(master)
    return b"".join(parts).decode()


def _parts(master: int) -> Iterator[bytes]:
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other end is closed
            return
        if not part:
            return
        yield part


def as_seen(sent: str) -> str:
    """Without colors and with the last state of each line."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent).replace("\r\n", "\n")
    return "\n".join(line.split("\r")[-1] for line in plain.split("\n"))


IN_TURN = """
import sys
from publisher.cli import main
for command in sys.argv[1:]:
    print(f"<{command}>", flush=True)
    try:
        main([word.replace(":", " ") for word in command.split()])
    except SystemExit:
        sys.stderr.flush()
"""


def test_every_command_fits_80_columns(released: Town) -> None:
    """Tables, sentences and errors; nothing is shown as raw Markdown, and no word is broken by a table."""
    shown = as_seen(on_a_terminal(released, *READ, command=(sys.executable, "-c", IN_TURN)))
    for command, following in zip(READ, (*READ[1:], None), strict=True):
        _, _, rest = shown.partition(f"<{command}>\n")
        both = rest.partition(f"<{following}>\n")[0] if following else rest
        assert both, command
        assert too_wide(both) == [], command
        assert "**" not in both, command
        both = re.sub(r".*━.* \d+/\d+ \d:\d\d:\d\d\n", "", both)  # the bar of a run
        assert not re.search(r"[│┃┏━]", both), command


def test_long_names_fit_a_terminal(town: Town) -> None:
    """At 80 columns a name stands above its row, whole."""
    shutil.copy(town.root / "datasets" / "requests.toml", town.root / "datasets" / f"{LONG}.toml")
    lines = as_seen(on_a_terminal(town, "status", "--offline")).splitlines()
    assert max(map(len, lines)) <= 80
    assert LONG in lines


def test_where_no_one_looks_lines_are_whole(released: Town) -> None:
    """A pipe has no width, whatever COLUMNS says: each message and each row is one line, for those who search a log.
    COLUMNS decides on a terminal alone."""
    lines = released.publisher("plan", "requests").out.splitlines()
    assert any(len(line) > 120 and line.endswith(".") for line in lines)
    rows = released.publisher("releases").out.splitlines()
    assert len(rows) == 7
    assert all(len(row.split()) == 8 for row in rows)
    narrow = released.publisher("plan", "requests", COLUMNS="40")
    assert narrow.out.splitlines() == lines
    shown = as_seen(on_a_terminal(released, "plan", "requests", command=("env", "COLUMNS=60", str(COMMAND))))
    assert max(map(len, shown.splitlines())) <= 60


def _commands(command: Command, name: str) -> Iterator[tuple[str, Command]]:
    yield name, command
    for each, inner in command.commands.items() if isinstance(command, Group) else ():
        yield from _commands(inner, f"{name} {each}")


def test_every_help_fits_80_columns() -> None:
    """Examples too: they can be copied from a terminal as they are."""
    for name, command in _commands(main, "publisher"):
        # With the names of the help option: click keeps the option that it makes first.
        names = main.context_settings["help_option_names"]
        context = Context(command, info_name=name, terminal_width=80, max_content_width=80, help_option_names=names)
        assert too_wide(command.get_help(context)) == [], name


def test_a_terminal_gets_what_fits(town: Town) -> None:
    """A run with its bar and what was landed, a preview, and drafted definitions."""
    for arguments in (("run", "--no-push"), ("preview", "requests"), ("add", "calls", "data/meters.csv", "--yes")):
        shown = as_seen(on_a_terminal(town, *arguments))
        assert len(shown.splitlines()) > 10, shown
        assert too_wide(shown) == []
        assert "Traceback" not in shown


def test_a_log_gets_lines_now_and_then(capfd: pytest.CaptureFixture[str]) -> None:
    """In a pipe: how far the run is, on standard error, nothing drawn over; a run with --json says errors alone."""
    before, terminal.EVERY = terminal.EVERY, 0.05
    try:
        with terminal.watching(quiet=True) as watch:
            watch.total(1)
            watch.step("water 2024-01")
            time.sleep(0.3)
        with terminal.watching() as watch:
            watch.total(2)
            watch.step("requests 2024-01")
            time.sleep(0.3)
            watch.step("requests 2024-02")
            time.sleep(0.3)
    finally:
        terminal.EVERY = before
    out, err = capfd.readouterr()
    assert out == ""
    assert "requests 2024-01: 0 of 2 steps done, after 0 s\n" in err
    assert "requests 2024-02: 1 of 2 steps done, after 0 s\n" in err
    assert "\r" not in err
    assert "\x1b" not in err
    assert "water" not in err


def test_a_long_landing_tells_that_it_goes_on(town: Town) -> None:
    """`publisher land` of a source whose files take long, in a pipe."""
    said = slowed(town, "publisher.commands.land", "land_source", ["land", "requests"])
    assert "requests: still reading its files, after 0 s\n" in said
    assert "\r" not in said


def slowed(town: Town, module: str, name: str, arguments: list[str]) -> str:
    """What a command says on standard error, in a pipe, if one of its functions takes half a second longer."""
    script = (
        f"import time; from publisher.commands import terminal; terminal.EVERY = 0.05; import {module} as module; "
        f"real = module.{name}; module.{name} = lambda *each, **more: (time.sleep(0.5), real(*each, **more))[1]; "
        f"from publisher.cli import main; main({arguments!r})"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=town.root,
        env=town.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


@pytest.mark.parametrize(
    ("module", "name", "arguments", "words"),
    [
        ("publisher.push.sync", "deliver", ["push", "requests"], "pushing requests"),
        (
            "publisher.pipeline.tuning",
            "_exact",
            ["tune", "meters", "--period", "2024-01", "--rho", "0.01", "--yes"],
            "measuring water",
        ),
    ],
    ids=["push", "tune"],
)
def test_long_work_tells_that_it_goes_on(
    module: str, name: str, arguments: list[str], words: str, released: Town
) -> None:
    """`publisher push` and `publisher tune`, in a pipe: a line now and then; with --json there is none."""
    said, line = slowed(released, module, name, arguments), rf"(?m)^{words}, after \d+ s$"
    assert re.search(line, said)
    assert "\r" not in said
    if name == "_exact":
        again = [each.replace("0.01", "0.02") for each in arguments]
        assert words not in slowed(released, module, name, [*again, "--json"])


def plain(part: str, _: str | None) -> str:
    return part


ROWS = [["requests-weekly", "2026-W47", "17 (13–22)"], ["water", "2026-09", "1,204 (1,100–1,300)"]]
HEADINGS = ["dataset", "period", "released number"]


AS_COLUMNS = """\
dataset          period    released number
requests-weekly  2026-W47  17 (13–22)
water            2026-09   1,204 (1,100–1,300)"""
BROKEN = """\
dataset          period    released
                           number
requests-weekly  2026-W47  17 (13–22)
water            2026-09   1,204
                           (1,100–1,300)"""
BELOW_THE_FIRST = """\
dataset
  period    released
            number
requests-weekly
  2026-W47  17 (13–22)
water
  2026-09   1,204
            (1,100–1,300)"""
ONE_BY_ONE = """\
requests-weekly
  period           2026-W47
  released number  17 (13–22)
water
  period           2026-09
  released number  1,204 (1,100–1,300)"""


@pytest.mark.parametrize(
    ("width", "expected"), [(None, AS_COLUMNS), (40, BROKEN), (26, BELOW_THE_FIRST), (20, ONE_BY_ONE)]
)
def test_a_table_is_set_out_by_its_width(width: int | None, expected: str) -> None:
    """As columns, with cells broken at blanks, under the first column, or one below the other; never inside a word."""
    assert "\n".join(table(HEADINGS, ROWS, width, plain, [False] * 3)) == expected


def test_words_are_broken_at_blanks() -> None:
    """What begins a line is kept for those after it, and a command to copy stays whole."""
    assert wrapped("- one two three\n  four", 9) == "- one two\n  three\n  four"
    assert wrapped("run it with `publisher run it` now", 20) == "run it with\n`publisher run it`\nnow"
    assert wrapped("x " * 100, None) == "x " * 100


def test_a_stream_says_its_width(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """COLUMNS is obeyed, a pipe has none, and a terminal without a size has 80."""
    monkeypatch.delenv("COLUMNS", raising=False)
    with capfd.disabled():
        master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream, os.fdopen(master):
        assert width_of(stream) == 80
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
        assert width_of(stream) == 132
        monkeypatch.setenv("COLUMNS", "72")
        assert width_of(stream) == 72
    monkeypatch.delenv("COLUMNS")
    assert width_of(None) is None
