"""Proposals as lines of a source's [columns]: what is not decided yet is filled in, what a person wrote stays."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.classify.kinds import TITLES
from publisher.definitions.toml import MARK
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.classify.proposal import ColumnProposal
    from publisher.definitions.source import Column
    from publisher.workspace import SourceFile

_STATUTE = re.compile(rf'(statute\s*=\s*)"{MARK}[^"]*"')
_CONFIRM = "a lawyer has to confirm it"


@dataclass(frozen=True)
class Declaration:
    """A definition with its columns filled in."""

    text: str
    added: tuple[str, ...]
    """Columns of the file that it did not have; none of them is read."""
    filled: tuple[str, ...]
    """Columns whose statute was still marked."""
    differing: tuple[str, ...]
    """Columns whose statute is still marked, since the pack puts them into another class than they have."""


def declared(source: SourceFile, text: str, proposals: Sequence[ColumnProposal]) -> Declaration:
    """The text of a definition with what is proposed. Raises DefinitionError where it cannot be written into it."""
    columns, known = source.definition.columns, {each.column: each for each in proposals}
    open_ = [name for name, column in columns.items() if _open(column) and name in known]
    differing = tuple(name for name in open_ if columns[name].class_ != known[name].class_)
    lines = text.split("\n")
    same = (name for name in open_ if name not in differing)
    filled = tuple(name for name in same if _fill(lines, _line(source, name), known[name]))
    added = [each for each in proposals if each.column not in columns]
    for each in reversed(added):
        lines.insert(_place(source, [proposal.column for proposal in proposals], each.column), declaring(each))
    made = "\n".join(lines)
    _check(source, text, made, [each.column for each in added])
    return Declaration(made, tuple(each.column for each in added), filled, differing)


def declaring(proposal: ColumnProposal) -> str:
    """The line that declares a column which is not read."""
    key = proposal.column if re.fullmatch(r"[A-Za-z0-9_-]+", proposal.column) else json.dumps(proposal.column)
    guess = f"looks like {TITLES[proposal.kind]}; " if proposal.kind else ""
    statute = json.dumps(proposal.statute or MARK, ensure_ascii=False)
    return f'{key} = {{ class = "{proposal.class_}", statute = {statute}, read = false }}  # {guess}{_CONFIRM}'


def _open(column: Column) -> bool:
    return column.statute.startswith(MARK)


def _fill(lines: list[str], line: int, proposal: ColumnProposal) -> bool:
    """Put the statute into its line, if it stands there."""
    statute = json.dumps(proposal.statute or MARK, ensure_ascii=False)
    made, found = _STATUTE.subn(lambda match: match[1] + statute, lines[line])
    if found and proposal.statute:
        lines[line] = f"{made}; {_CONFIRM}" if "#" in made else f"{made}  # {_CONFIRM}"
    return bool(found and proposal.statute)


def _line(source: SourceFile, column: str) -> int:
    return source.origin.lines.get(("columns", column), 1) - 1


def _place(source: SourceFile, order: Sequence[str], column: str) -> int:
    """Where the line of a new column goes: after the nearest declared column before it in the file."""
    before = [name for name in order[: order.index(column)] if name in source.definition.columns]
    if before:
        return _line(source, before[-1]) + 1
    return _line(source, next(iter(source.definition.columns)))


def _check(source: SourceFile, before: str, after: str, added: Sequence[str]) -> None:
    """Raise DefinitionError unless the new text says what the old one said, and the new columns besides."""
    try:
        old, new = tomllib.loads(before), tomllib.loads(after)
        same = {key: value for key, value in new.items() if key != "columns"} == {
            key: value for key, value in old.items() if key != "columns"
        }
        kept = {name: _decided(column) for name, column in new["columns"].items() if name not in added}
        whole = kept == {name: _decided(column) for name, column in old["columns"].items()}
        if same and whole and set(new["columns"]) == {*old["columns"], *added}:
            return
    except tomllib.TOMLDecodeError:
        pass
    raise DefinitionError(
        f"{source.origin.name}: columns: cannot be completed as it is written: put each column into one line below "
        f"[columns], as `publisher add` does. To add by hand: {', '.join(added) or 'the statutes'}"
    )


def _decided(column: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in column.items() if key != "statute" or not str(value).startswith(MARK)} | {
        "statute": None
    }
