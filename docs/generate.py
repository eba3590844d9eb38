"""Writes docs/cli.md and the tables of docs/definitions.md and soql.md from the code: `python docs/generate.py`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from publisher.cli import main
from publisher.definitions.schema import schema_of
from publisher.portal.soql.calls import NAMES
from publisher.portal.soql.functions import FUNCTIONS
from publisher.portal.soql.spatial import SPATIAL

DOCS = Path(__file__).parent
MARK = re.compile(r"<!-- (\w+) -->.*?<!-- end -->", re.DOTALL)


def cli_page() -> str:
    """Every command's --help."""
    parts = ["# The command line\n\nMade from the commands' own `--help`.\n", _help(main, "publisher")]
    for name, command in sorted(main.commands.items()):
        parts.append(_help(command, f"publisher {name}"))
        if isinstance(command, click.Group):
            parts += [_help(inner, f"publisher {name} {each}") for each, inner in sorted(command.commands.items())]
    return "\n".join(parts)


def definitions_page(text: str) -> str:
    """The page with the table of each kind of file put between its marks."""
    return MARK.sub(lambda mark: f"<!-- {mark[1]} -->\n{_tables(schema_of(mark[1]))}<!-- end -->", text)


def soql_page(text: str) -> str:
    """The page with every function of SoQL between its marks."""
    return MARK.sub(lambda _: f"<!-- functions -->\n{_functions()}<!-- end -->", text)


def _functions() -> str:
    known = FUNCTIONS | SPATIAL
    many = {name for name, function in known.items() if function.aggregate} | {"count", "median", "spatial_union"}
    windows = {name for name, function in known.items() if function.window} | {"lead", "lag", "ntile"}
    dates = {name for name in NAMES if "date" in name or name.endswith("timestamp") or name.startswith("epoch")}
    places = set(SPATIAL) - many
    kinds = {"many rows": many, "windows": windows, "dates": dates, "places": places}
    kinds["text, numbers, conditions"] = set(NAMES).difference(*kinds.values())
    rows = "".join(
        f"| {kind} | {', '.join(f'`{name}`' for name in sorted(names))} |\n" for kind, names in kinds.items()
    )
    return f"| for | functions |\n|---|---|\n{rows}"


def _help(command: click.Command, name: str) -> str:
    # As in a terminal; click keeps the option that it has made first.
    names = ["-h", "--help"]
    context = click.Context(command, info_name=name, max_content_width=100, terminal_width=100, help_option_names=names)
    return f"## {name}\n\n```text\n{command.get_help(context)}\n```\n"


def _tables(schema: dict[str, Any]) -> str:
    parts = [_table("the file itself", schema)]
    parts += [_table(name, part) for name, part in schema.get("$defs", {}).items() if part.get("type") == "object"]
    return "\n".join(parts)


def _table(title: str, part: dict[str, Any]) -> str:
    lines = [f"\n#### {title}\n", "| key | type | needed | meaning |", "|---|---|---|---|"]
    for key, field in part["properties"].items():
        needed = "yes" if key in part.get("required", []) else f"no ({_default(field)})"
        meaning = " ".join(field.get("description", "").split())
        lines.append(f"| `{key}` | {_type(field)} | {needed} | {meaning} |")
    return "\n".join(lines) + "\n"


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    return "none" if default in (None, [], {}) else f"`{default}`".replace("'", '"')


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return field["$ref"].rsplit("/", 1)[1]
    if values := field.get("enum") or ([field["const"]] if "const" in field else []):
        return ", ".join(f"`{value}`" for value in values)
    if choices := field.get("anyOf") or field.get("oneOf"):
        return " or ".join(_type(each) for each in choices if each.get("type") != "null")
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}" if "items" in field else "list"
    if field.get("type") == "object":
        inner = field.get("additionalProperties", {})
        return f"table of {_type(inner)}" if inner else "table"
    return str(field.get("type", "text")).replace("string", "text")


if __name__ == "__main__":
    (DOCS / "cli.md").write_text(cli_page(), encoding="utf-8")
    page = DOCS / "definitions.md"
    page.write_text(definitions_page(page.read_text(encoding="utf-8")), encoding="utf-8")
    page = DOCS / "soql.md"
    page.write_text(soql_page(page.read_text(encoding="utf-8")), encoding="utf-8")
