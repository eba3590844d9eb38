"""Jurisdiction packs: what the open-records law of a state says of each kind of data, for a lawyer to confirm."""

from __future__ import annotations

from pathlib import Path
from typing import Self, get_args

from pydantic import Field, model_validator

from publisher.classify.kinds import KINDS, Kind
from publisher.definitions.clock import AnswerClock, CaseKind
from publisher.definitions.model import Model, Text
from publisher.definitions.settings import LawName
from publisher.definitions.source import Class
from publisher.definitions.toml import build, read_toml

LAWS = get_args(LawName)
_FOLDER = Path(__file__).parent / "laws"


class LawRule(Model):
    """What the law says of some kinds of data."""

    kinds: tuple[Kind, ...]
    class_: Class = Field(alias="class")
    statute: Text
    note: Text
    """What a lawyer should look at."""


class Law(Model):
    """The open-records law of one state."""

    title: Text
    open: Text
    """By what records are open in general."""
    rules: tuple[LawRule, ...]
    clocks: dict[CaseKind, AnswerClock] = Field(default_factory=dict)
    """How long an answer may take, where the law says so."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        covered = [kind for rule in self.rules for kind in rule.kinds]
        if sorted(covered) != sorted(KINDS):
            raise ValueError("each kind needs exactly one rule")
        return self

    def rule(self, kind: Kind) -> LawRule:
        """The rule for a kind of data."""
        return next(rule for rule in self.rules if kind in rule.kinds)


def read_law(name: str) -> Law:
    """The pack of one state."""
    return build(Law, *read_toml(_FOLDER / f"{name}.toml", f"{name}.toml"))
