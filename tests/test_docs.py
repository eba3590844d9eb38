"""The documentation agrees with the code."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from publisher.cli import main
from publisher.commands.journal import KINDS as KINDS_TOLD
from publisher.definitions.schema import KINDS, schema_of
from publisher.errors import FAULT, STOPPED, UNREAD, PublisherError
from publisher.portal.api.openapi_table import OPERATIONS

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_cli_page_is_the_help(generate: ModuleType) -> None:
    """docs/cli.md is what the commands say of themselves; `python docs/generate.py` writes it."""
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page == generate.cli_page()
    assert "\\b" not in page


def test_definitions_page_lists_every_key(generate: ModuleType) -> None:
    """The tables of docs/definitions.md are those of the models."""
    page = (ROOT / "docs" / "definitions.md").read_text(encoding="utf-8")
    assert page == generate.definitions_page(page)


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_says_what_it_means(kind: str) -> None:
    """Editors and docs/definitions.md show a meaning for each key. How a feed's files are written says itself."""
    schema = schema_of(kind)
    parts = {kind: schema, **schema.get("$defs", {})}
    silent = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, field in part.get("properties", {}).items()
        if not field.get("description") and not name.endswith("Feed")
    ]
    assert silent == []


def test_soql_page_lists_every_function(generate: ModuleType) -> None:
    """The table of docs/soql.md is what the portal answers."""
    page = (ROOT / "docs" / "soql.md").read_text(encoding="utf-8")
    assert page == generate.soql_page(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that is there, and a heading of it."""
    links = re.findall(r"\]\(([^)#]*)(?:#([^)]+))?\)", page.read_text(encoding="utf-8"))
    near = [(page.parent / path if path else page, heading) for path, heading in links if "://" not in path]
    missing = [path for path, heading in near if not path.exists() or (heading and heading not in headings(path))]
    assert not missing


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_pages_exist(page: Path) -> None:
    """Every `publisher COMMAND` in a console block is a command."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    used = set(re.findall(r"(?:^\$ |/)(?:\w+=\S+ )*publisher (\w+)", "\n".join(blocks), re.MULTILINE))
    assert used <= set(main.commands)


def test_exit_codes_are_documented() -> None:
    """README, the help and the errors name the same exit codes."""
    codes = {str(kind.exit_code) for kind in PublisherError.__subclasses__()}
    codes |= {str(code) for code in (0, FAULT, STOPPED, UNREAD)}
    readme = set(re.findall(r"^\| (\d+) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    told = set(re.findall(r"^  (\d+) ", main.epilog or "", re.MULTILINE))
    assert readme == told == codes


def duties() -> list[list[str]]:
    """The rows of the table of promises, each with its cells."""
    page = (ROOT / "docs" / "duties.md").read_text(encoding="utf-8")
    return [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")][1:]


def test_every_promise_has_what_shows_it() -> None:
    """A row has a promise, a city, what is done, and a command or a page; all five cities are there."""
    assert {len(row) for row in duties()} == {4}
    assert all(re.search(r"`(publisher \w+|/)", row[3]) for row in duties())
    assert {city for row in duties() for city in row[1].split(", ")} == {"MPLS", "STL", "SYR", "SEA", "MTKA"}


@pytest.mark.parametrize("shown", sorted({each for row in duties() for each in re.findall(r"`([^`]+)`", row[3])}))
def test_what_shows_a_promise_is_there(shown: str) -> None:
    """Every command of the last column exists with its options, and every address is one of the portal's."""
    if shown.startswith("/"):
        assert "GET" in OPERATIONS[shown]
        return
    name, *words = shlex.split(shown)
    assert name == "publisher"
    command: click.Command = main
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert command is not main
    options = {each: parameter for parameter in command.params for each in parameter.opts}
    for word in words:
        if word.startswith("--"):
            assert word in options
        else:  # what an option is given
            assert word in KINDS_TOLD
