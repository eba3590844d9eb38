"""The command line itself: its commands, their help, how quickly it answers, and what it says of a wrong call."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from publisher.cli import SECTIONS, main

pytestmark = pytest.mark.usefixtures("processes")

COMMAND = Path(sys.executable).with_name("publisher")
COMMANDS = (
    "init add check sample keyset preview classify land plan tune run schedule notify releases show revalidate accept "
    "push drift verify rollback review approve reject reviewers ledger journal purge status sql serve accounts portal "
    "doctor audit schema cases grants backup restore registry keys"
).split()
ACCOUNTS = [f"accounts {name}" for name in ("list", "add", "remove", "token", "revoke")]
HEAVY = (
    "duckdb great_expectations numpy opendp pandas pyarrow pydantic pyproj requests rich shapely sodapy sqlalchemy "
    "sqlglot starlette uvicorn"
).split()


def publisher(*arguments: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs the installed command."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PUBLISHER_")} | settings
    return subprocess.run([COMMAND, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_every_command_is_in_one_section(tmp_path: Path) -> None:
    """Those and no others, each in exactly one section and on one line."""
    answer = publisher("--help", cwd=tmp_path, COLUMNS="80")
    assert answer.returncode == 0
    listed = answer.stdout.split("\nStart:\n")[1].split("\n  Exit codes:")[0].splitlines()
    rows = [line for line in listed if line.startswith("  ")]
    assert sorted(line.split()[0] for line in rows) == sorted(COMMANDS) == sorted(main.commands)
    assert all(line.endswith(".") and len(line.split()) > 2 for line in rows)
    assert [line for line in listed if line and line not in rows] == [f"{name}:" for name in [*SECTIONS][1:]]


def test_help_fits_a_terminal(tmp_path: Path) -> None:
    """No line of `publisher --help` is longer than 80 columns, and no sentence is cut."""
    lines = publisher("--help", cwd=tmp_path, COLUMNS="80").stdout.splitlines()
    assert [line for line in lines if len(line) > 80 or line.endswith("...")] == [
        "Usage: publisher [OPTIONS] COMMAND [ARGS]..."
    ]


@pytest.mark.parametrize("command", [*COMMANDS, "ledger verify", "reviewers key", *ACCOUNTS])
def test_every_command_says_what_it_does(tmp_path: Path, command: str) -> None:
    """Its help needs no workspace, begins with a sentence, and explains every option."""
    answer = publisher(*command.split(), "--help", cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    usage, sentence = answer.stdout.split("\n\n")[:2]
    assert usage.startswith(f"Usage: publisher {command} ")
    assert sentence.strip()[0].isupper()
    assert "." in sentence or ":" in sentence
    options = answer.stdout.split("Options:\n")[1].split("\n\n")[0].splitlines()
    assert all(len(line.split("  ")) > 2 or line.startswith("    ") for line in options), "an option says nothing"
    assert "\\b" not in answer.stdout, "a mark for click is shown"


def test_help_lists_the_exit_codes(tmp_path: Path) -> None:
    """Each code with its meaning."""
    words = publisher("--help", cwd=tmp_path).stdout.split("Exit codes:\n")[1]
    assert re.findall(r"^ +(\d+) +\S", words, re.MULTILINE) == "0 2 3 4 5 6 70 75 130 141".split()


def test_help_is_quick(tmp_path: Path) -> None:
    """Under 0.3 s of work, since nothing heavy is imported."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    publisher("--help", cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3
    code = (
        "import sys; from publisher.cli import main; main(['--help'], standalone_mode=False); "
        "print(*sys.modules, file=sys.stderr)"
    )
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr.split()
    assert not set(HEAVY) & set(imported)


@pytest.mark.parametrize(
    "arguments",
    [
        ["publish"],
        ["run", "--everything"],
        ["run", "--period"],
        ["show"],
        ["schema", "city"],
        ["sample", "city", "--rows", "many"],
    ],
)
def test_a_wrong_call_ends_with_2(tmp_path: Path, arguments: list[str]) -> None:
    """One message on standard error says what is wrong."""
    answer = publisher(*arguments, cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "Error: " in answer.stderr


def test_outside_of_a_workspace(tmp_path: Path) -> None:
    """Every command that needs one says how to make it."""
    for command in ("check", "plan", "run", "ledger", "sql"):
        answer = publisher(command, cwd=tmp_path)
        assert (answer.returncode, len(answer.stderr.splitlines())) == (2, 1)
        assert "publisher init" in answer.stderr
    assert not list(tmp_path.iterdir())


def test_init_makes_a_workspace_once(tmp_path: Path) -> None:
    """Settings, rooms and a key that is its owner's alone; a second time changes nothing."""
    first = publisher("init", "city", cwd=tmp_path)
    assert (first.returncode, first.stderr) == (0, "")
    city = tmp_path / "city"
    assert {path.name for path in city.iterdir()} >= {
        "publisher.toml",
        "pipelines",
        "datasets",
        "expectations",
        "state",
    }
    key = city / "state" / "private" / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert "state/" in (city / ".gitignore").read_text()
    before = {path: path.read_bytes() for path in city.rglob("*") if path.is_file()}
    assert publisher("init", "city", cwd=tmp_path).returncode == 0
    assert {path: path.read_bytes() for path in city.rglob("*") if path.is_file()} == before
    for arguments in (["check"], ["-C", "city", "check"]):
        answer = publisher(*arguments, cwd=city if len(arguments) == 1 else tmp_path)
        assert answer.returncode == 2
        assert "no dataset is defined yet" in answer.stderr


def test_names_and_periods_that_do_not_exist(tmp_path: Path) -> None:
    """Exit code 2; a name that is wrong is answered with those that exist."""
    publisher("init", cwd=tmp_path)
    assert "this workspace has: none" in publisher("run", "parking", cwd=tmp_path).stderr
    assert "this workspace has: none" in publisher("land", "parking", cwd=tmp_path).stderr
    for period in ("soon", "2024-13", "2024-W54", "2024-Q5", "2024-02-30", "0000"):
        answer = publisher("run", "--no-push", "--period", period, cwd=tmp_path)
        assert answer.returncode == 2, period
        assert "Traceback" not in answer.stderr


EMPTY = (["plan"], ["releases"], ["ledger"], ["push"], ["status"], ["run", "--rehearse"], ["run"])


def test_an_empty_workspace_says_what_to_do_next(tmp_path: Path) -> None:
    """One sentence instead of an empty table, and no portal is opened; JSON stays JSON."""
    publisher("init", cwd=tmp_path)
    for command in EMPTY:
        answer = publisher(*command, cwd=tmp_path)
        assert (answer.returncode, answer.stderr, len(answer.stdout.splitlines())) == (0, "", 1), command
        assert answer.stdout.startswith(
            "No dataset is defined yet. `publisher add SOURCE FILE` drafts pipelines/<source>.toml"
        )
        if command != ["push"]:
            machine = publisher(*command, "--json", cwd=tmp_path)
            assert (machine.returncode, json.loads(machine.stdout), machine.stderr) == (0, [], answer.stdout)
        assert not (tmp_path / "state" / "portal").exists()


TOGETHER = (
    (["--compare", "rho=0.1", "--split"], "--compare and --split"),
    (["--compare", "rho=0.1", "--weights", "city=1"], "--compare and --split"),
    (["--split", "--picture", "margins.svg"], "--split and --picture"),
    (["--compare", "rho=0.1", "--picture", "margins.svg"], "--compare and --picture"),
    (["--picture", "margins.svg", "--json"], "--picture and --json"),
)


@pytest.mark.parametrize(("options", "words"), TOGETHER)
def test_plan_shows_one_thing_at_a_time(tmp_path: Path, options: list[str], words: str) -> None:
    """Options of which one would be dropped are refused together."""
    answer = publisher("plan", *options, cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert f"{words} cannot be used together" in answer.stderr


FAULTY = """
from publisher.cli import main

@main.command()
def stumble():
    print('{"whole": true}')
    try:
        int("Zzyzx of Main Street")
    except ValueError as error:
        raise LookupError("Zzyzx again") from error

main(["stumble"])
"""


def test_a_fault_says_its_kind_and_place_alone(tmp_path: Path) -> None:
    """Exit code 70 without a traceback or a message, which could quote a record; what was printed is left whole."""
    plain = dict(os.environ)  # not what readline, which pytest loads, adds for children: COLUMNS
    traced = plain | {"PUBLISHER_TRACE": "1"}
    short, long = (
        subprocess.run([sys.executable, "-c", FAULTY], capture_output=True, text=True, env=env, check=False)
        for env in (plain, traced)
    )
    for answer in (short, long):
        assert (answer.returncode, json.loads(answer.stdout)) == (70, {"whole": True})
        assert "a bug in publisher itself: LookupError at publisher.cli.root:" in answer.stderr
        assert "Zzyzx" not in answer.stderr
        assert "Traceback" not in answer.stderr
    assert (len(short.stderr.splitlines()), "PUBLISHER_TRACE=1" in short.stderr) == (1, True)
    calls = [line.strip() for line in long.stderr.splitlines()[1:]]
    assert calls[0] == "ValueError"
    assert "__main__:8 in stumble" in calls
    assert "LookupError" in calls
    assert "__main__:10 in stumble" in calls


def test_control_c_ends_with_130(tmp_path: Path) -> None:
    """In the middle of its work: one word, no traceback."""
    command = ["env", "--default-signal=INT", COMMAND, "sample", "city", "--rows", "3000000"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()  # it is at work
        process.send_signal(signal.SIGINT)
        *_, last = process.stderr.read().splitlines()
    assert (process.returncode, last) == (130, "stopped")


def test_a_reader_that_stops_is_no_error(tmp_path: Path) -> None:
    """As with `publisher schema dataset | head -1`: nothing on standard error."""
    with subprocess.Popen([COMMAND, "schema", "dataset"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (141, b"")


@pytest.mark.parametrize("kind", ["workspace", "source", "dataset"])
def test_schemas_are_json_schema(tmp_path: Path, kind: str) -> None:
    """Of each kind of file: strict objects whose required keys are described by type."""
    schema = json.loads(publisher("schema", kind, cwd=tmp_path).stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert (schema["type"], schema["additionalProperties"]) == ("object", False)
    assert set(schema["required"]) <= set(schema["properties"])
    assert {"workspace": "organization", "source": "privacy", "dataset": "loss"}[kind] in schema["properties"]


def test_sample_is_labeled(tmp_path: Path) -> None:
    """Stand-in feeds say that they are generated, and are the same for the same seed."""
    for folder in ("a", "b"):
        assert publisher("sample", folder, "--rows", "1000", "--seed", "7", cwd=tmp_path).returncode == 0
    trees = [
        {
            path.relative_to(tmp_path / folder): path.read_bytes()
            for path in (tmp_path / folder).rglob("*")
            if path.is_file()
        }
        for folder in ("a", "b")
    ]
    assert trees[0] == trees[1]
    assert Path("SAMPLE.json") in trees[0]
