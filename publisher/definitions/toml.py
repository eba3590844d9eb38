"""TOML files into models; whatever is wrong is said with file, key and line."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from publisher.definitions.error_hints import refusal
from publisher.definitions.model import Model, RuleError
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

M = TypeVar("M", bound=Model)
Key = tuple[str | int, ...]

_TABLE = re.compile(r"^\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_ENTRY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


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
    """The file's values (floats as exact `Decimal`, arrays as tuples) and where each key stands.

    Raises DefinitionError when the file cannot be read or is not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text, parse_float=Decimal)
    except OSError as error:
        raise DefinitionError(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DefinitionError(f"{name}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(f"{name}: is not valid TOML: {error}") from None
    return {key: _frozen(value) for key, value in values.items()}, Origin(name, _lines(text))


def build(model: type[M], values: dict[str, Any], origin: Origin) -> M:
    """The model made of the values, or one DefinitionError that lists every fault, a line each."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors()
        faults = [str(origin.error(_key(fault), _words(fault, model))) for fault in found if not _echo(fault, found)]
        raise DefinitionError("\n".join(faults)) from None


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
    return (
        *(part for part in fault["loc"] if part not in ("function-after", "[key]")),
        *(rule.key if isinstance(rule, RuleError) else ()),
    )


def _words(fault: ErrorDetails, model: type[Model]) -> str:
    if explained := refusal(fault):
        return explained
    if fault["type"] == "extra_forbidden":
        known = ", ".join(model.model_fields) if len(fault["loc"]) == 1 else ""
        return f"unknown key{f' (known here: {known})' if known else ''}"
    if fault["type"] == "missing":
        return "is missing"
    return fault["msg"].removeprefix("Value error, ")


def _lines(text: str) -> dict[Key, int]:
    """Each key's line number. Keys inside an inline table share the line of the table."""
    lines: dict[Key, int] = {}
    table: Key = ()
    arrays: dict[Key, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = _parts(header[2])
            if header[1] == "[[":
                lines.setdefault(table, number)
                arrays[table] = arrays.get(table, -1) + 1
                table = (*table, arrays[table])
            lines.setdefault(table, number)
        elif entry := _ENTRY.match(line):
            lines.setdefault((*table, *_parts(entry[1])), number)
    return lines


def _parts(dotted: str) -> Key:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))
