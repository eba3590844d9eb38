"""The rooms of the house and who imports whom, read from the code itself.

`python tests/rooms.py` prints every room, floor by floor from the top, with the rooms that it uses, then the arrows
that run up or sideways and the circles: there must be none.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import publisher

ROOT = Path(publisher.__file__).parent

FLOORS = (
    ("",),
    ("cli",),
    ("commands",),
    ("planning", "audit", "reference", "drafting"),
    ("run",),
    ("analyst",),
    ("push",),
    ("backup",),
    ("pipeline",),
    (
        "records",
        "engine",
        "privacy",
        "release",
        "approvals",
        "sample",
        "classify",
        "feeds",
        "journal",
        "cases",
        "grants",
    ),
    ("executors",),
    ("workspace", "stages", "buckets", "copies", "duck", "durable", "encryption"),
    ("definitions",),
    ("portal",),
    ("confined", "grades", "identifiers", "strict_http"),
    ("errors",),
)
"""The outer house from the top down, under the package itself, which opens analyst files: a module uses its own room
and floors below. Rooms of one floor do not meet, but for the single files beside `stages`."""

PORTAL_FLOORS = (
    ("__main__",),
    ("server",),
    ("app",),
    ("serving",),
    ("pages",),
    ("discovery",),
    ("downloads", "revisions"),
    ("api",),
    ("answers",),
    ("engine",),
    ("soql",),
    ("store",),
    ("contract",),
    ("base",),
)
"""The same inside the portal."""

FILES = ("workspace", "stages", "buckets", "copies", "duck", "durable", "encryption")
"""One floor of single files and one small room, which may use each other."""


@dataclass(frozen=True)
class Import:
    """One import: `target` is the module's full name; `typing` when only the type checker sees it."""

    module: str
    target: str
    typing: bool
    handles_errors: bool


def name_of(path: Path) -> str:
    """The module's name inside the package, such as privacy.ledger."""
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
    """Every import of a module, those inside functions too."""
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
OURS = [each for each in IMPORTS if each.target.startswith("publisher.") and each.target != "publisher.__version__"]


@dataclass(frozen=True)
class Arrow:
    """One room's use of another, with the modules between which it runs."""

    room: str
    uses: str
    module: str
    target: str


def room_of(name: str, *, portal: bool = False) -> str:
    """The room in which a module lies: the first part of its name, inside the portal the second."""
    parts = name.removeprefix("publisher.").split(".")
    return parts[1] if portal and len(parts) > 1 else parts[0]


def arrows(*, portal: bool = False) -> list[Arrow]:
    """Every import between two rooms, of the outer house or inside the portal."""
    inside = [each for each in OURS if room_of(each.module) == room_of(each.target) == "portal"]
    chosen = inside if portal else OURS
    found = [
        Arrow(room_of(each.module, portal=portal), room_of(each.target, portal=portal), each.module, each.target)
        for each in chosen
    ]
    return [each for each in found if each.room != each.uses]


def wrong(floors: tuple[tuple[str, ...], ...], found: list[Arrow]) -> list[str]:
    """The arrows that do not run down, and those from or to a room that has no floor."""
    floor = {room: n for n, rooms in enumerate(floors) for room in rooms}
    return sorted(
        {
            f"{each.module} -> {each.target}"
            for each in found
            if not (each.room in FILES and each.uses in FILES)
            and not (each.room in floor and each.uses in floor and floor[each.room] < floor[each.uses])
        }
    )


def circles(pairs: set[tuple[str, str]]) -> list[str]:
    """Pairs that reach each other, over whatever lies between."""
    reach = {start: {end for first, end in pairs if first == start} for start, _ in pairs}
    for _ in reach:
        for start, ends in reach.items():
            reach[start] = ends.union(*(reach.get(end, set()) for end in ends))
    return sorted(
        f"{one} <-> {other}" for one in reach for other in reach[one] if one < other and one in reach.get(other, ())
    )


def _print(title: str, floors: tuple[tuple[str, ...], ...], found: list[Arrow]) -> None:
    pairs = {(each.room, each.uses) for each in found}
    lines = [title]
    for rooms in floors:
        for room in rooms:
            used = [name for names in floors for name in names if (room, name) in pairs]
            lines.append(f"  {room:<11} -> {' '.join(used) or 'nothing'}")
    lines.append(f"  up or sideways: {', '.join(wrong(floors, found)) or 'none'}")
    lines.append(f"  circles: {', '.join(circles(pairs)) or 'none'}")
    print("\n".join(lines))  # noqa: T201 -- what this command is for


if __name__ == "__main__":
    _print("The house", FLOORS, arrows())
    _print("Inside the portal", PORTAL_FLOORS, arrows(portal=True))
