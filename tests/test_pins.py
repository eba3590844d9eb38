"""Libraries whose inner parts we lean on are held to one minor version: which parts, why, and that they are there.

Where a test here fails after an upgrade: read what the library changed of what is listed, run the whole suite, and move
the bound in pyproject.toml, the pin in constraints.txt and the version here together.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import tomllib
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest
import sqlglot
import uvicorn
from sqlglot.parsers.duckdb import DuckDBParser
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

import publisher
from publisher.engine import guard, reading
from publisher.portal.serving import connection, process

ROOT = Path(publisher.__file__).parent
REPOSITORY = Path(__file__).parents[1]

PINNED = {
    "sqlglot": ((30, 30), "its minor versions rename nodes and read more SQL as nodes that the guard lets pass"),
    "uvicorn": ((0, 54), "the portal's connections override methods of a protocol that is no public interface"),
}

CALLED_ON_US = {
    "connection_made": "a client's deadline and its share of the connections begin here",
    "connection_lost": "and end here",
    "data_received": "a deadline for each head and for each part of a body",
    "on_response_complete": "what follows an answer is another request; uvicorn calls it by this name",
    "pause_writing": "a client that does not read gets a deadline",
    "resume_writing": "and loses it when it reads again",
    "send_400_response": "what is no HTTP is refused in the shape of every other error",
}
"""Methods of uvicorn's protocol that ours overrides."""
USED = {
    "loop": "to set deadlines",
    "client": "to know whose connection it is",
    "transport": "to close it",
    "connections": "every open connection of the process, so that idle ones make place",
    "limit_concurrency": "how many those may be",
    "conn": "h11's states: whether a request is on its way or answered",
    "flow": "read_paused tells whether it is the portal that is slow",
}
"""Attributes of uvicorn's protocol that ours reads."""
SERVER = {
    "handle_exit": "signals are noted and not raised again",
    "on_tick": "asked ten times a second whether to stop",
}
"""Methods of uvicorn's server that ours overrides."""


@pytest.mark.parametrize("library", PINNED)
def test_the_installed_version_is_the_one_that_was_read(library: str) -> None:
    """pyproject.toml allows one minor version, constraints.txt names one of it, and that is what is installed."""
    (major, minor), why = PINNED[library]
    needed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    (bound,) = [each for each in needed if re.split(r"[^a-z0-9-]", each)[0] == library]
    assert bound == f"{library}>={major}.{minor},<{major}.{minor + 1}", f"{library} is pinned because {why}"
    (pin,) = re.findall(rf"^{library}==(\S+)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)
    assert pin.startswith(f"{major}.{minor}."), f"constraints.txt pins {library} {pin}, pyproject.toml {bound}"
    installed = version(library)
    assert installed.startswith(f"{major}.{minor}."), f"{library} {installed} is installed, but {bound}: {why}"


def test_sqlglot_is_used_by_its_public_names() -> None:
    """Its parser's state is its own: `sqlglot` and `exp` are imported, and no class of theirs is extended but one, the
    parser of DuckDB's dialect, in which the guard replaces two tables of functions."""
    public = {"sqlglot", *(f"sqlglot.{name}" for name in ("exp", "parse_one", "Token", "TokenType"))}
    public.add("sqlglot.parsers.duckdb.DuckDBParser")
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.ClassDef):
                assert not {ast.unparse(base).split(".")[0] for base in node.bases} & {"sqlglot", "exp"}, path
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert node.value.id not in ("sqlglot", "exp") or not node.attr.startswith("_"), (path, node.lineno)
        assert {each for each in found if each.split(".")[0] == "sqlglot"} <= public, path


def test_the_guards_parser_knows_no_function() -> None:
    """The two tables that it replaces are those by which sqlglot would make other functions of what is written."""
    ours = reading._parser()
    assert overridden(ours, DuckDBParser) == {"FUNCTIONS", "FUNCTION_PARSERS"}
    assert isinstance(sqlglot.parse_one("substr(a, 1)", dialect="duckdb"), sqlglot.exp.Substring)
    (found,) = reading.parsed("substr(a, 1)")
    assert (type(found), found.name) == (sqlglot.exp.Anonymous, "substr")


def test_the_guard_lists_nodes_that_there_are() -> None:
    """A node that was renamed would no longer be let pass, or, worse, no longer be refused with its reason."""
    missing = [name for name in (guard.NODES | guard.REASONS.keys()) if not hasattr(sqlglot.exp, name)]
    assert missing == [], f"sqlglot {sqlglot.__version__} has no such nodes"


def attributes(path: Path, names: tuple[str, ...]) -> set[str]:
    """What a module asks of the objects of these names."""
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names
    }


def overridden(ours: type, theirs: type) -> set[str]:
    """The methods of a class of ours that one of theirs has too."""
    return {name for name in vars(ours).keys() & vars(theirs).keys() if not name.startswith("__")}


@pytest.mark.parametrize(
    ("ours", "theirs", "names"),
    [(connection.Connection, H11Protocol, CALLED_ON_US), (process._Server, uvicorn.Server, SERVER)],
)
def test_what_we_override_is_there(ours: type, theirs: type, names: dict[str, str]) -> None:
    """Exactly these methods, with uvicorn's parameters."""
    assert overridden(ours, theirs) == names.keys(), f"uvicorn {version('uvicorn')}: name what is overridden, and why"
    for name in names:
        mine, its = (list(inspect.signature(getattr(each, name)).parameters) for each in (ours, theirs))
        assert mine == its, f"uvicorn {version('uvicorn')} calls {name} with other parameters"


def test_what_we_read_of_a_connection_is_there() -> None:
    """Exactly these attributes, which a connection has as soon as it is made."""
    own = vars(connection.Connection).keys() | {"_trusts"}
    module = Path(connection.__file__)
    assert attributes(module, ("self", "each", "found")) - own == USED.keys()

    async def made() -> connection.Connection:
        config = uvicorn.Config(lambda *_: None, log_config=None, ws="none")
        return connection.Connection(config=config, server_state=ServerState(), app_state={}, trusts=lambda _: True)

    found = asyncio.run(made())
    assert [name for name in USED if not hasattr(found, name)] == []


def test_the_server_takes_our_connections() -> None:
    """uvicorn is given a callable in the place of a protocol's class, and calls it as one."""
    made = partial(connection.Connection, trusts=lambda _: True)
    config = uvicorn.Config(lambda *_: None, http=made, log_config=None, ws="none")  # type: ignore[arg-type]
    config.load()
    assert config.http_protocol_class is made
    called = re.search(r"config\.http_protocol_class\((.*?)\)", inspect.getsource(uvicorn.server), re.DOTALL)
    assert called is not None
    assert re.findall(r"(\w+)=", called[1])[:3] == ["config", "server_state", "app_state"]
