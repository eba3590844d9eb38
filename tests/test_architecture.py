"""Who may import whom, read from the code itself: data flows one way and every heavy library has one door."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import publisher

ROOT = Path(publisher.__file__).parent
STEPS = ("records", "engine", "privacy", "release", "push")
BELOW = ("stages", "durable", "duck", "errors", "definitions", "workspace")
"""What every step may use; nothing of it may use a step."""

DOORS = {
    "opendp": ["privacy.mechanism"],
    "great_expectations": ["release.validation"],
    "sodapy": ["push.portal"],
    "duckdb": ["duck"],
}
LIGHT = ("duckdb", "pandas", "pyarrow", "opendp", "great_expectations", "sqlalchemy", "pydantic", "sqlglot", "shapely")


@dataclass(frozen=True)
class Import:
    """One import: `target` is the module's full name; `typing` when only the type checker sees it."""

    module: str
    target: str
    typing: bool
    handles_errors: bool


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def targets(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The full names; `from publisher.x import y` may name the module x.y."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert node.level == 0, "imports name their module in full"
    base = node.module or ""
    deeper = (ROOT.parent / base.replace(".", "/")).is_dir() and base.startswith("publisher")
    return [f"{base}.{alias.name}" for alias in node.names] if deeper else [base]


def catches(function: ast.AST, library: str) -> bool:
    """Whether the library is used in that function for its errors alone."""
    uses = [node for node in ast.walk(function) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    named = [each.attr for each in uses if isinstance(each.value, ast.Name) and each.value.id == library]
    return bool(named) and all(name == "Error" or name.endswith("Exception") for name in named)


def imports_of(tree: ast.Module, module: str) -> list[Import]:
    found: list[Import] = []

    def visit(node: ast.AST, function: ast.AST | None, *, typing: bool) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for target in targets(node):
                library = target.split(".")[0]
                found.append(Import(module, target, typing, function is not None and catches(function, library)))
        inner = node if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        guarded = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for child in ast.iter_child_nodes(node):
            visit(child, inner, typing=typing or guarded)

    visit(tree, None, typing=False)
    return found


IMPORTS = [
    each
    for path in sorted(ROOT.rglob("*.py"))
    for each in imports_of(ast.parse(path.read_text(encoding="utf-8")), name_of(path))
]
OURS = [each for each in IMPORTS if each.target.startswith("publisher.")]


def part(name: str) -> str:
    return name.removeprefix("publisher.").split(".")[0]


@pytest.mark.parametrize("library", DOORS)
def test_heavy_libraries_have_one_door(library: str) -> None:
    """A library is imported in its door alone; DuckDB also in the portal's own, for types, and to catch its errors."""
    users = [each for each in IMPORTS if each.target.split(".")[0] == library]
    if library == "duckdb":
        users = [
            each for each in users if not (each.typing or each.module.startswith("portal.") or each.handles_errors)
        ]
    assert sorted({each.module for each in users}) == DOORS[library]


def test_steps_do_not_import_each_other() -> None:
    """Records, engine, privacy, release and push meet only in what stands above them; the manifest is shared by all."""
    sideways = [
        (each.module, each.target)
        for each in OURS
        if part(each.module) in STEPS
        and part(each.target) in STEPS
        and part(each.target) != part(each.module)
        and not each.target.startswith("publisher.release.manifest")
    ]
    assert sideways == []


def test_steps_use_only_what_lies_below() -> None:
    """A step imports itself, the stage types, durable files, DuckDB's door, errors, definitions and the workspace."""
    above = [
        (each.module, each.target)
        for each in OURS
        if part(each.module) in STEPS and part(each.target) not in (*STEPS, *BELOW)
    ]
    assert above == []


def test_what_lies_below_uses_no_step() -> None:
    """Errors import nothing; definitions, stages, files and the workspace import no step and nothing above one."""
    reaching = [
        (each.module, each.target) for each in OURS if part(each.module) in BELOW and part(each.target) not in BELOW
    ]
    assert reaching == []
    assert [each.target for each in OURS if each.module == "errors"] == []


def test_the_portal_stands_alone() -> None:
    """The public process imports its own files, errors and the manifest's model: it cannot reach a record."""
    allowed = ("publisher.portal", "publisher.errors", "publisher.release.manifest")
    reaching = [
        (each.module, each.target)
        for each in OURS
        if part(each.module) == "portal" and not each.target.startswith(allowed)
    ]
    assert reaching == []


def test_nothing_after_the_noise_reaches_the_exact() -> None:
    """Release and push never name the exact aggregate; only the engine makes it and only the mechanism reads it, and
    the audit, which releases nothing."""
    users = {
        name_of(path)
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name | ast.alias)
        and (node.id if isinstance(node, ast.Name) else node.name) == "BoundedAggregate"
    }
    audit = {name for name in users if name.startswith("audit.")}
    assert users - audit <= {"engine.aggregate", "privacy.mechanism", "stages", "publish"}


def test_the_audit_is_used_by_its_command_alone() -> None:
    """What looks at exact tables, and replaces functions to watch them, is no part of a release's path."""
    users = {each.module for each in OURS if part(each.target) == "audit" and part(each.module) != "audit"}
    assert users == {"commands.audit"}


def test_the_command_line_starts_light() -> None:
    """Importing the command line loads no heavy library, so that its help answers at once."""
    script = f"import sys, publisher.cli; print([name for name in {LIGHT} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import duckdb", (False, False)),
        ("if TYPE_CHECKING:\n    import duckdb", (True, False)),
        ("def f():\n    import duckdb\n    try:\n        pass\n    except duckdb.Error:\n        pass", (False, True)),
        ("def f():\n    import duckdb\n    duckdb.connect()", (False, False)),
        (
            "def f():\n    import duckdb\n    try:\n        duckdb.sql('')\n    except duckdb.Error:\n        pass",
            (False, False),
        ),
    ],
)
def test_the_reader_of_imports_sees_the_difference(text: str, expected: tuple[bool, bool]) -> None:
    """An import for types, one to catch errors and one that does the work are told apart."""
    (found,) = imports_of(ast.parse(text), "made.up")
    assert (found.typing, found.handles_errors) == expected
