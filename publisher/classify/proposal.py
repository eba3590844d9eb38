"""Proposals: what each column of a sample seems to hold, and what its law would make of it, for a person to confirm.

`proposals` is all that others need of this room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.classify.column import SampledColumn
from publisher.classify.guess import Guess, guess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.classify.kinds import Kind
    from publisher.classify.law import Law
    from publisher.definitions.source import Class


@dataclass(frozen=True)
class ColumnProposal:
    """What is proposed for one column. Nothing in it is a value; only `share` depends on how many records are which."""

    column: str
    kind: Kind | None
    """The kind of personal content, or None."""
    signals: tuple[str, ...]
    """Which of the four signals speak for it: name, values, uniqueness, shape."""
    class_: Class
    statute: str | None
    """By the pack, for a lawyer to confirm; None without a pack."""
    note: str | None
    """What the lawyer should look at."""
    read: bool | None
    """False: propose not to read it. None: a person decides by what the pipeline needs."""
    share: float | None
    """The share of sampled values that match: private, for the terminal alone."""


def proposals(columns: Mapping[str, Sequence[str | None]], law: Law | None = None) -> tuple[ColumnProposal, ...]:
    """A proposal for each column, from its name and a sample of its values in the order of the file."""
    return tuple(
        _proposal(column, guess(SampledColumn(column, tuple(value or "" for value in sample))), law)
        for column, sample in columns.items()
    )


def _proposal(column: str, found: Guess, law: Law | None) -> ColumnProposal:
    if found.kind is None:
        return ColumnProposal(column, None, (), "public", law.open if law else None, None, None, None)
    rule = law.rule(found.kind) if law else None
    return ColumnProposal(
        column,
        found.kind,
        found.signals,
        rule.class_ if rule else "private",
        rule.statute if rule else None,
        rule.note if rule else None,
        read=False,
        share=found.share,
    )
