"""Read TOML files into models; errors name file, line and key."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from publisher.definitions.error_hints import refusal
from publisher.definitions.fault_words import words_of
from publisher.definitions.feed import KINDS
from publisher.definitions.model import Model, RuleError
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic_core import ErrorDetails

M = TypeVar("M", bound=Model)
Key = tuple[str | int, ...]

MARK = "TODO"
"""What `publisher add` writes where only a person knows what belongs there. Nothing runs before it is filled in."""

_TABLE = re.compile(r"^\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_ENTRY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_PIECE = re.compile(
    r"""\"{3}(?:\\.|[^\\])*?"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\#[^\n]*|[\[{\]}\n]""", re.DOTALL
)
"""What decides where a statement ends: strings, comments, brackets and line ends."""


@dataclass(frozen=True)
class Origin:
    """Where a definition came from: `name` is the path as people know it, `lines` maps keys to line numbers."""

    name: str
    lines: dict[Key, int]

    def error(self, key: Key, message: str) -> DefinitionError:
        """The error for one key: `file:line: key: message`."""
        line = next((self.lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self.lines), 1)
        dotted = ".".join(str(part) for part in key) or "file"
        return DefinitionError(f"{self.name}:{line}: {dotted}: {message}")


def read_toml(path: Path, name: str) -> tuple[dict[str, Any], Origin]:
    """The file's values (floats as exact `Decimal`, arrays as tuples) and the line of each key.

    Raises DefinitionError when the file cannot be read or is not TOML.
    """
    return parse_toml(read_text(path, name), name)


def parse_toml(text: str, name: str) -> tuple[dict[str, Any], Origin]:
    """The same of a text. Raises DefinitionError when it is not TOML."""
    try:
        values = tomllib.loads(text, parse_float=_decimal)
        frozen = {key: _frozen(value) for key, value in values.items()}
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(f"{name}: is not valid TOML: {error}") from None
    except ValueError:
        raise DefinitionError(f"{name}: has a whole number with too many digits: shorten it") from None
    except RecursionError:
        raise DefinitionError(f"{name}: has arrays or tables nested too deep: flatten them") from None
    return frozen, Origin(name, _lines(text))


def read_text(path: Path, name: str) -> str:
    """The text of a file that people wrote. Raises DefinitionError when it cannot be read as text."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DefinitionError(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DefinitionError(f"{name}: is not UTF-8 text: save it as UTF-8") from None


def build(model: type[M], values: dict[str, Any], origin: Origin) -> M:
    """The model made from the values, or one DefinitionError that lists every fault, one per line."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors()
        faults = [str(origin.error(_key(fault), _words(fault, model))) for fault in found if not _echo(fault, found)]
        raise DefinitionError("\n".join(faults)) from None


def marks(values: dict[str, Any], origin: Origin) -> list[str]:
    """A line for each key that is still marked, with those of its kind, such as all statutes, in one line."""
    kinds: dict[str, list[Key]] = {}
    for key in _marked(values):
        kinds.setdefault(str(key[-1]), []).append(key)
    found = []
    for keys in kinds.values():
        more = f" (and {len(keys) - 1:,} more like it)" if len(keys) > 1 else ""
        found.append(str(origin.error(keys[0], f"is marked {MARK}{more}: fill it in")))
    return found


def _marked(value: Any, key: Key = ()) -> Iterator[Key]:
    if isinstance(value, str) and value.split(maxsplit=1)[:1] == [MARK]:
        yield key
    for name, inner in value.items() if isinstance(value, dict) else ():
        yield from _marked(inner, (*key, name))
    for number, inner in enumerate(value) if isinstance(value, tuple) else ():
        yield from _marked(inner, (*key, number))


def _decimal(text: str) -> Decimal:
    """The number exactly; one with an exponent that not even Decimal holds is infinite, which no key accepts."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return value


def _echo(fault: ErrorDetails, found: list[ErrorDetails]) -> bool:
    """An array is also called too short when one of its entries is wrong."""
    length = len(fault["loc"])
    return fault["type"] == "too_short" and any(
        len(other["loc"]) > length and other["loc"][:length] == fault["loc"] for other in found
    )


def _key(fault: ErrorDetails) -> Key:
    rule = fault.get("ctx", {}).get("error")
    parts = fault["loc"]
    if len(parts) > 1 and parts[0] == "feed" and parts[1] in KINDS:  # which model of a feed was tried
        parts = (parts[0], *parts[2:])
    return (
        *(part for part in parts if part not in ("function-after", "[key]")),
        *(rule.key if isinstance(rule, RuleError) else ()),
    )


def _words(fault: ErrorDetails, model: type[Model]) -> str:
    if explained := refusal(fault):
        return explained
    if fault["type"] == "extra_forbidden":
        known = ", ".join(model.model_fields) if len(fault["loc"]) == 1 else ""
        return f"unknown key{f' (known here: {known})' if known else ''}"
    return words_of(fault)


@dataclass(frozen=True)
class Statement:
    """The header of a table, or an entry, with its key and the number of its line."""

    key: Key
    line: int
    header: bool


def statements(text: str) -> Iterator[Statement]:
    """Every header and entry in order; tables of an array are numbered by their place in it."""
    table: Key = ()
    arrays: dict[Key, int] = {}
    for number, line in beginnings(text):
        if header := _TABLE.match(line):
            table = _within(_parts(header[2]), arrays)
            if header[1] == "[[":
                arrays[table] = arrays.get(table, -1) + 1
                table = (*table, arrays[table])
            yield Statement(table, number, header=True)
        elif entry := _ENTRY.match(line):
            yield Statement((*table, *_parts(entry[1])), number, header=False)


def _lines(text: str) -> dict[Key, int]:
    """Each key's line number. Keys inside an inline table share the line of the table."""
    lines: dict[Key, int] = {}
    for each in statements(text):
        if each.header and each.key and isinstance(each.key[-1], int):
            lines.setdefault(each.key[:-1], each.line)
        lines.setdefault(each.key, each.line)
    return lines


def beginnings(text: str) -> Iterator[tuple[int, str]]:
    """The lines, with their numbers, that do not begin inside a text, an array or an inline table."""
    lines = text.split("\n")  # no other character ends a line of TOML
    number, depth = 1, 0
    yield number, lines[0]
    for piece in _PIECE.findall(text):
        depth += (piece in ("[", "{")) - (piece in ("]", "}"))
        number += piece.count("\n")
        if piece == "\n" and depth == 0:
            yield number, lines[number - 1]


def _within(parts: Key, arrays: dict[Key, int]) -> Key:
    """The key of a header: where it names an array of tables on its way, the last table so far is meant."""
    key: Key = ()
    for part in parts[:-1]:
        key = (*key, part)
        key = (*key, arrays[key]) if key in arrays else key
    return (*key, parts[-1])


def _parts(dotted: str) -> Key:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))
