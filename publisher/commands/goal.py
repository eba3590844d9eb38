"""`publisher plan DATASET --goal`: what a goal takes, what three readers would see, and the lines for the file."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from publisher.commands.goal_text import as_json, lines
from publisher.commands.terminal import print_json, working
from publisher.definitions.toml import marks, parse_toml
from publisher.definitions.toml_edit import rewritten
from publisher.durable import write_file
from publisher.engine.guard import guarded
from publisher.engine.input import check_columns
from publisher.errors import DefinitionError
from publisher.pipeline.measurement import measurement
from publisher.pipeline.tuning import measured
from publisher.planning.forecast import public
from publisher.planning.goal import parse_goal
from publisher.planning.goal_plan import GoalAnswer, GoalSearch
from publisher.planning.goal_table import draft_of
from publisher.planning.guess import parse_guesses
from publisher.planning.phrases import vocabulary_of
from publisher.records.judgement import wrapped
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from publisher.workspace import DatasetFile

TUNE_LOSS = {"zcdp": ("rho", "0.01"), "pure": ("epsilon", "0.05")}
"""What `--tune` charges: about a tenth of what a release may spend at most."""


@dataclass(frozen=True)
class GoalRequest:
    """What the command line asks for."""

    dataset: str
    goal: str
    guesses: tuple[str, ...] = ()
    tune: str | None = None
    write: bool = False
    as_json: bool = False


def plan_goal(folder: Path, asked: GoalRequest, agree: Callable[[str, str], None]) -> None:
    """Answer, and write the lines if that was asked for. Raises DefinitionError, BudgetError and SourceError.

    `agree` says what will happen and asks; its second text says what has not happened if no one agrees.
    """
    workspace = find_workspace(folder, drafts=True)
    draft = draft_of(workspace, asked.dataset)
    dataset = draft.dataset()
    words = vocabulary_of(workspace, dataset)
    goal = parse_goal(asked.goal, words, dataset.definition)
    guesses = parse_guesses(asked.guesses, words, goal.measures[0], goal.grain)
    if asked.tune is not None:
        _tune(folder, asked, asked.tune, dataset, agree)
    facts = public(workspace, [dataset])
    answer = GoalSearch(draft, dataset, facts, guesses, facts.tuned.get(dataset.name)).answer(goal)
    text = rewritten(draft.text, draft.values, answer.found.table.values)
    if parse_toml(text, draft.origin.name)[0] != answer.found.table.values:
        raise DefinitionError(
            f"{draft.origin.name}: cannot be changed as it is written: give each key a line of its own"
        )
    check_columns(answer.found.dataset, guarded(dataset.source))
    changes = _changes(draft.text, text)
    if asked.as_json:
        print_json(as_json(answer, changes))
    else:
        click.echo("\n".join(lines(answer)))
    if asked.write:
        _write(answer, text, changes, agree)
    elif not asked.as_json and answer.found.met:
        click.echo("\n".join(["", *wrapped([f"Next: add --write to put this into {draft.origin.name}."])]))


def _tune(
    folder: Path, asked: GoalRequest, period: str, dataset: DatasetFile, agree: Callable[[str, str], None]
) -> None:
    """Measure what units have, after a person agreed to the charge."""
    sums = any(each.kind == "sum" for each in dataset.definition.measured)
    if dataset.source.definition.privacy.unit == "record" and not sums:
        raise DefinitionError("--tune: a record counts once in one cell, so there is nothing to measure: use --guess")
    name, loss = TUNE_LOSS[dataset.source.definition.privacy.currency]
    given = {name: loss}
    workspace = find_workspace(folder)  # no draft is charged
    question = measurement(workspace, dataset.source.name, dataset=dataset.name, period=period, **given)
    if not question.known:
        agree("\n".join(wrapped([question.words()])), "Nothing was charged.")
    with working(f"measuring {dataset.name}", quiet=asked.as_json) as progress:
        measured(question, progress)


def _changes(before: str, after: str) -> list[str]:
    """The lines that are taken out of a file and put into it."""
    found = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in found if not line.startswith(("---", "+++", "@@"))]


def _write(answer: GoalAnswer, text: str, changes: list[str], agree: Callable[[str, str], None]) -> None:
    """Write the file, after a person saw what changes and what it does to released periods."""
    draft = answer.search.draft
    if not answer.found.met:
        raise DefinitionError("--write: the goal is missed, so nothing was written: choose one that can be met")
    if not changes:
        click.echo(f"{draft.origin.name} says so already; nothing was changed.", err=True)
        return
    agree("\n".join(_asked(answer, changes)), "Nothing was written.")
    write_file(draft.workspace.root / "datasets" / f"{draft.name}.toml", text.encode())
    for line in wrapped(_written(answer, text)):
        click.echo(line, err=True)


def _asked(answer: GoalAnswer, changes: list[str]) -> Iterator[str]:
    """What a person agrees to: the lines, and which released periods they would draw again."""
    redraw = answer.redraw
    yield ""
    yield f"Changes in {answer.search.draft.origin.name}:"
    yield from (f"  {line}" for line in changes)
    if redraw is not None and redraw.periods:
        yield from wrapped([f"Before you agree: {redraw.words()}"])
    now, wanted = answer.search.dataset.definition.period, answer.found.dataset.definition.period
    released = answer.search.facts.pace(answer.search.dataset).released
    if released and now != wanted:
        said = f"{released} released {now}s stay as they are; each {wanted} is drawn and charged in addition"
        yield from wrapped([f"Before you agree: {said}, also for the same days."])


def _written(answer: GoalAnswer, text: str) -> Iterator[str]:
    draft = answer.search.draft
    yield f"Wrote {draft.origin.name}. Its titles and comments are as they were: read them again."
    open_ = marks(*parse_toml(text, draft.origin.name))
    yield from (f"Still open: {line}" for line in open_)
    yield f"Next: publisher check{'' if open_ else f', then publisher plan {draft.name}'}"
