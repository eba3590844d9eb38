"""Write changed values into a TOML file that people wrote: comments, order and everything else stay as they are."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from publisher.definitions.toml import Statement, beginnings, statements
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.definitions.toml import Key

_STRING_OR_COMMENT = re.compile(r"""\"(?:\\.|[^"\\])*"|'[^']*'|\#.*""")
_BARE = re.compile(r"[A-Za-z0-9_-]+")

_LATE = ("measures", "suppression", "portal")
"""Where tables that are new go: before the first of these."""


def rewritten(text: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The text with every value of `new` that differs from `old`, which is what the text says now.

    Entries of arrays of tables are known by their `name`. Raises DefinitionError for a table that is written in one
    line, which has no line of its own to change.
    """
    for name in [name for name in old if name not in new]:
        text = _without(text, (name,))
    for name, value in new.items():
        before = old.get(name)
        if before == value:
            continue
        if isinstance(value, dict):
            text = _table(text, name, before or {}, value)
        elif isinstance(value, tuple) and value and all(isinstance(each, dict) for each in value):
            text = _array(text, name, before or (), value)
        elif value == () and before:
            text = _array(text, name, before, ())
        else:
            text = _assigned(text, (name,), value)
    return text


def toml_value(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_name(key)} = {toml_value(each)}" for key, each in value.items()) + " }"
    return str(value) if isinstance(value, int) else json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _name(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def _table(text: str, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if not _has(text, (name,)):
        return _with_block(text, [f"[{name}]", *_entries(new)], _first(text, _LATE))
    return _entries_changed(text, (name,), old, new)


def _array(text: str, name: str, old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> str:
    """Tables of one array: those that are gone are taken out, others changed in place, new ones put after the last."""
    names = [each["name"] for each in new]
    for n in reversed(range(len(old))):
        if old[n]["name"] not in names:
            text = _without(text, (name, n))
    kept = [each for each in old if each["name"] in names]
    for n, each in enumerate(kept):
        text = _entries_changed(text, (name, n), each, next(one for one in new if one["name"] == each["name"]))
    place = _after_array(text, name) if kept else _first(text, _follow(name))
    for each in reversed([each for each in new if each["name"] not in {one["name"] for one in kept}]):
        text = _with_block(text, [f"[[{name}]]", *_entries(each)], place)
    return text


def _follow(name: str) -> tuple[str, ...]:
    """The arrays before the first of which a new one of that name goes."""
    order = ("keys", "coarser", "rollups", "totals")
    return (*order[order.index(name) + 1 :], *_LATE) if name in order else _LATE


def _entries(values: Mapping[str, Any]) -> list[str]:
    return [f"{_name(key)} = {toml_value(value)}" for key, value in values.items()]


def _entries_changed(text: str, table: Key, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    for key in [key for key in old if key not in new]:
        text = _without(text, (*table, key))
    for key, value in new.items():
        if old.get(key) != value:
            text = _assigned(text, (*table, key), value)
    return text


def _assigned(text: str, key: Key, value: Any) -> str:
    """One entry with another value, its comment kept; a new entry goes after the last one of its table."""
    lines, found = text.split("\n"), _found(text, key)
    if found is not None:
        start, end = found.line - 1, _end_of_entry(text, found)
        head, comment = _parts_of(lines[start]) if end == start + 1 else (lines[start].partition("=")[0], "")
        lines[start:end] = [f"{head.rstrip()} = {toml_value(value)}{f'  {comment}' if comment else ''}"]
    else:
        lines.insert(_last_entry(text, key[:-1]), f"{_name(str(key[-1]))} = {toml_value(value)}")
    return "\n".join(lines)


def _parts_of(line: str) -> tuple[str, str]:
    """The key of an entry in one line, and the comment at its end."""
    head, _, rest = line.partition("=")
    comment = next((each for each in _STRING_OR_COMMENT.findall(rest) if each.startswith("#")), "")
    return head, comment


def _without(text: str, key: Key) -> str:
    """Without an entry, or without all tables of that key, each with the comments right above it."""
    lines = text.split("\n")
    tables = [each for each in statements(text) if each.header and each.key[: len(key)] == key]
    for each in reversed(tables):
        start, end = _block(text, each)
        del lines[start:end]
    entry = _found(text, key)
    if entry is not None:
        del lines[entry.line - 1 : _end_of_entry(text, entry)]
    if not tables and entry is None:
        raise _one_line(key)
    return "\n".join(lines)


def _with_block(text: str, block: Sequence[str], place: int) -> str:
    """With a new table, set apart by empty lines, before the line with that index."""
    lines = text.split("\n")
    before = [] if place == 0 or not lines[place - 1].strip() else [""]
    after = [] if place >= len(lines) or not lines[place].strip() else [""]
    lines[place:place] = [*before, *block, *after]
    return "\n".join(lines)


def _first(text: str, names: Sequence[str]) -> int:
    """The index of the line where the first of these tables begins, with its comments; the end if there is none."""
    found = next((each for each in statements(text) if each.header and each.key[0] in names), None)
    return _block(text, found)[0] if found is not None else len(text.rstrip("\n").split("\n"))


def _after_array(text: str, name: str) -> int:
    tables = [each for each in statements(text) if each.header and each.key[0] == name]
    if not tables:
        raise _one_line((name,))
    return _block(text, tables[-1])[1]


def _last_entry(text: str, table: Key) -> int:
    """The index of the line after the last entry of a table."""
    inside = [each for each in statements(text) if each.key == table or (each.key[:-1] == table and not each.header)]
    if not inside:
        raise _one_line(table)
    last = inside[-1]
    return last.line if last.header else _end_of_entry(text, last)


def _block(text: str, table: Statement) -> tuple[int, int]:
    """The first line of a table, or of the comments right above it, and the line where the next one begins."""
    start = _above(text, table.line - 1)
    later = (each for each in statements(text) if each.header and each.line > table.line)
    after = next(later, None)
    return start, _above(text, after.line - 1) if after is not None else len(text.split("\n"))


def _above(text: str, line: int) -> int:
    """The first of the comments right above a line."""
    lines = text.split("\n")
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
    return line


def _end_of_entry(text: str, entry: Statement) -> int:
    """The index of the line after an entry, whose value may take several lines."""
    later = (number for number, _ in beginnings(text) if number > entry.line)
    return next(later, len(text.split("\n")) + 1) - 1


def _found(text: str, key: Key) -> Statement | None:
    return next((each for each in statements(text) if each.key == key and not each.header), None)


def _has(text: str, table: Key) -> bool:
    return any(each.header and each.key == table for each in statements(text))


def _one_line(key: Key) -> DefinitionError:
    dotted = ".".join(map(str, key))
    return DefinitionError(f"{dotted}: cannot be changed as it is written: put every table under a header of its own")
