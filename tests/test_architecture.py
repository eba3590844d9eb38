"""Who may import whom, read from the code itself: data flows one way and every heavy library has one door."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest
from rooms import FLOORS, IMPORTS, OURS, PORTAL_FLOORS, ROOT, arrows, circles, imports_of, name_of, room_of, wrong

DOORS = {
    "opendp": ["privacy.mechanism"],
    "great_expectations": ["release.validation"],
    "sodapy": ["push.client"],
    "duckdb": ["duck"],
    "apprise": ["commands.notices"],
    "cronsim": ["definitions.schedule"],
    "cryptography": ["approvals.keys", "encryption.key"],
    "holidays": ["definitions.schedule"],
    "pyspark": ["executors.spark"],
}
LIGHT = ("duckdb", "pandas", "pyarrow", "opendp", "great_expectations", "sqlalchemy", "pydantic", "sqlglot", "shapely")


@pytest.mark.parametrize("library", DOORS)
def test_heavy_libraries_have_one_door(library: str) -> None:
    """A library is imported in its door alone; DuckDB also in the portal's own, for types, and to catch its errors."""
    users = [each for each in IMPORTS if each.target.split(".")[0] == library]
    if library == "duckdb":
        users = [
            each for each in users if not (each.typing or each.module.startswith("portal.") or each.handles_errors)
        ]
    assert sorted({each.module for each in users}) == DOORS[library]


def test_object_stores_have_one_door() -> None:
    """Whatever lies in one is reached through the module that words its errors, which could name keys."""
    users = {
        name_of(path)
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom) and re.search(r"pyarrow(\.| import )fs\b", ast.unparse(node))
    }
    assert users == {"buckets"}


def test_parquet_is_encrypted_through_one_door() -> None:
    """Whoever writes or reads encrypted Parquet does it with the workspace's key."""
    users = {name_of(path) for path in ROOT.rglob("*.py") if "parquet.encryption" in path.read_text(encoding="utf-8")}
    assert users == {"encryption.parquet"}


def test_every_connection_to_duckdb_is_used_safely() -> None:
    """The door opens and hands out connections inside `safely` alone, so that no error of DuckDB leaves it as it is."""
    door = ast.parse((ROOT / "duck.py").read_text(encoding="utf-8"))
    safe = {
        inner
        for outer in ast.walk(door)
        if isinstance(outer, ast.With) and "safely(" in ast.unparse(outer.items[0])
        for inner in ast.walk(outer)
    }
    opened = [
        node for node in ast.walk(door) if isinstance(node, ast.Call) and ast.unparse(node.func) == "duckdb.connect"
    ]
    handed = [node for node in ast.walk(door) if isinstance(node, ast.Yield) and node.value is not None]
    assert len(opened) == len(handed) == 4
    assert not [ast.unparse(node) for node in (*opened, *handed) if node not in safe]


@pytest.mark.parametrize("portal", [False, True], ids=["house", "portal"])
def test_arrows_run_down(portal: bool) -> None:
    """A room uses rooms on floors below it alone, in the house and inside the portal; every room has its floor."""
    assert wrong(PORTAL_FLOORS if portal else FLOORS, arrows(portal=portal)) == []


@pytest.mark.parametrize("portal", [False, True], ids=["house", "portal"])
def test_no_two_rooms_import_each_other(portal: bool) -> None:
    """There is no circle between rooms, whatever lies between them."""
    assert circles({(each.room, each.uses) for each in arrows(portal=portal)}) == []


def test_no_two_modules_of_the_portal_import_each_other() -> None:
    """There is no circle between its modules either, around others or for types alone."""
    modules = {each.module for each in IMPORTS}
    pairs = set()
    for each in OURS:
        target = each.target.removeprefix("publisher.")
        pairs.add((each.module, target if target in modules else target.rpartition(".")[0]))
    inside = {pair for pair in pairs if {room_of(name) for name in pair} == {"portal"} and len(set(pair)) == 2}
    assert len(inside) > 200
    assert circles(inside) == []


def test_a_circle_and_an_arrow_upwards_are_seen() -> None:
    """The look itself sees a circle of three rooms, and an arrow to the floor above."""
    pairs = {("a", "b"), ("b", "c"), ("c", "a"), ("a", "d")}
    assert circles(pairs) == ["a <-> b", "a <-> c", "b <-> c"]
    (arrow, *_) = (each for each in arrows() if each.room == "run")
    assert wrong((("elsewhere",), (arrow.uses,), ("run",)), [arrow]) == [f"{arrow.module} -> {arrow.target}"]


def test_the_portal_stands_alone() -> None:
    """The public process imports its own files, the errors, children with limits and the grades of numbers: it cannot
    reach a record."""
    outside = {room_of(each.target) for each in OURS if room_of(each.module) == "portal"}
    assert outside <= {"portal", "errors", "confined", "grades"}


def test_the_portal_is_known_by_its_contract() -> None:
    """What the house says to the portal stands in one module; only the commands that run the portal and keep its
    accounts and files reach further."""
    users = {
        (each.module, each.target.removeprefix("publisher.portal."))
        for each in OURS
        if room_of(each.target) == "portal" and room_of(each.module) != "portal"
    }
    assert {(module, target) for module, target in users if target != "contract"} == {
        ("cli.publish", "server"),
        ("cli.publish", "serving.options"),
        ("commands.accounts", "store.accounts"),
        ("commands.accounts", "store.catalog"),
        ("commands.portal_files", "store.store"),
    }


def test_nothing_after_the_noise_reaches_the_exact() -> None:
    """Release and push never name the exact aggregate; only the engine makes it, in parts that are added up, and only
    the mechanism reads it, and the audit, which releases nothing."""
    users = {
        name_of(path)
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name | ast.alias)
        and (node.id if isinstance(node, ast.Name) else node.name) == "BoundedAggregate"
    }
    audit = {name for name in users if name.startswith("audit.")}
    assert users - audit <= {"engine.aggregate", "privacy.mechanism", "stages", "pipeline.counting", "pipeline.publish"}


def test_the_push_reaches_no_record() -> None:
    """Of the room of records the push knows the polygons of places alone, which are public."""
    reached = {each.target for each in OURS if room_of(each.module) == "push" and room_of(each.target) == "records"}
    assert reached <= {"publisher.records.outlines", "publisher.records.polygons"}


def test_no_two_classes_share_a_name() -> None:
    """One name, one thing: a class is known by its name alone."""
    names = [
        node.name
        for path in ROOT.rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_the_audit_is_used_by_its_command_alone() -> None:
    """What looks at exact tables, and replaces functions to watch them, is no part of a release's path."""
    users = {each.module for each in OURS if room_of(each.target) == "audit" and room_of(each.module) != "audit"}
    assert users == {"commands.audit"}


@pytest.mark.usefixtures("processes")
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
