"""The benefit-risk form of a dataset: the five steps of the Future of Privacy Forum's model analysis for open data.

What definitions, odds and the last release say is filled in; what only people can say is marked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.definitions.toml import MARK
from publisher.durable import write_file
from publisher.errors import DefinitionError
from publisher.planning.chances import odds_words, planned_odds, spent_before
from publisher.release.changes import withheld_by_place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.pipeline.catalog import Catalog
    from publisher.workspace import DatasetFile, Workspace

SCALE = "very low, low, moderate, high or very high"

_MOST_PLACES = 10


def form_path(workspace: Workspace, dataset: DatasetFile) -> Path:
    """Where a dataset's form is; people keep it, like its definition."""
    return workspace.root / "reviews" / f"{dataset.name}.md"


def write_form(workspace: Workspace, catalog: Catalog, dataset: DatasetFile) -> str:
    """Write the form as far as it can be filled in; says where. Raises DefinitionError if there is one already."""
    path = form_path(workspace, dataset)
    if path.exists():
        raise DefinitionError(f"{workspace.shown(path)}: is there already: delete it to begin again")
    text = "\n".join(_lines(workspace, catalog, dataset)) + "\n"
    write_file(path, text.encode())
    return f"Wrote {workspace.shown(path)}: {text.count(MARK)} answers are marked {MARK}."


def open_answers(workspace: Workspace, dataset: DatasetFile) -> int | None:
    """How many answers of the form are still marked; None if there is no form."""
    path = form_path(workspace, dataset)
    return read_text(path).count(MARK) if path.is_file() else None


def read_text(path: Path) -> str:
    """What people wrote. Raises DefinitionError if it is no UTF-8."""
    try:
        return path.read_text("utf-8")
    except ValueError:
        raise DefinitionError(f"{path}: is not written in UTF-8: save it as such") from None


def form_words(workspace: Workspace, dataset: DatasetFile) -> str:
    """Whether there is a form, in words."""
    shown, left = workspace.shown(form_path(workspace, dataset)), open_answers(workspace, dataset)
    if left is None:
        return f"None. `publisher review {dataset.name} --form` writes one to fill in."
    return f"{shown}, {f'in which {left} answers are marked {MARK}' if left else 'filled in'}."


def _lines(workspace: Workspace, catalog: Catalog, dataset: DatasetFile) -> Iterator[str]:
    definition = dataset.definition
    yield f"# Benefits and risks of {definition.title}"
    yield ""
    yield "After the Future of Privacy Forum's model open data benefit-risk analysis (City of Seattle, 2018)."
    yield "Answer what is marked, and take the marks out. Whoever approves the definition signs this form with it."
    yield from _information(dataset)
    yield from _benefits(dataset)
    yield from _risks(workspace, catalog, dataset)
    yield from _weighing(workspace)


def _information(dataset: DatasetFile) -> Iterator[str]:
    source, definition = dataset.source.definition, dataset.definition
    privacy = source.privacy
    window = "" if privacy.window == "lifetime" else f" in one {privacy.window}"
    yield from ("", "## 1. What information it contains", "")
    yield f"- Source: {source.title}. {source.description} Purpose: {source.purpose} About: {source.population}."
    yield f"- Protected: {'each record' if privacy.unit == 'record' else f'all records of one {privacy.unit}{window}'}."
    keys = ", ".join(key.title for key in definition.keys) or "nothing: one number"
    measures = ", ".join(each.title for each in definition.measures)
    yield f"- Published: {measures}, by {keys}, each {definition.cell_grain}. No record, only totals, each with noise."
    yield "- Keys come from public lists." if definition.discovered is None else "- Keys are found with noise."
    yield ""
    yield "| column of the source | class | statute | |"
    yield "|---|---|---|---|"
    for name, column in source.columns.items():
        use = "not read" if not column.read else "pseudonym, never published" if column.identifier else "read"
        yield f"| {name.replace('|', '/')} | {column.class_} | {column.statute.replace('|', '/')} | {use} |"
    yield ""
    yield f"- Columns that are sensitive for some people, and why: {MARK}"
    yield f"- Other public data that it can be linked with: {MARK}"
    yield f"- How people came to be in it (by duty, by choice, unknowingly): {MARK}"


def _benefits(dataset: DatasetFile) -> Iterator[str]:
    yield from ("", "## 2. Benefits of releasing it", "")
    yield f"- What it says, in its own words: {dataset.definition.description}"
    yield f"- Who has asked for it, and who is likely to use it: {MARK}"
    yield f"- Value of the benefits ({SCALE}): {MARK}"
    yield f"- How likely they are ({SCALE}): {MARK}"


def _risks(workspace: Workspace, catalog: Catalog, dataset: DatasetFile) -> Iterator[str]:
    definition = dataset.definition
    odds = odds_words(dataset, planned_odds(workspace, dataset, spent_before(workspace, catalog, dataset)))
    yield from ("", "## 3. Risks of releasing it", "", "Someone is found, or something about them is learned:", "")
    yield f"- {odds}"
    yield f"- Result of `publisher audit {dataset.name}`, and its day: {MARK}"
    yield f"- Who would be harmed most, and how badly ({SCALE}): {MARK}"
    yield f"- How likely that is ({SCALE}): {MARK}"
    yield from ("", "Numbers are wrong, or are read wrongly:", "")
    rule, bounds = definition.suppression, definition.bounds
    yield f"- Counts of {rule.measure} whose noisy value is below {rule.threshold} are withheld."
    if dataset.source.definition.privacy.unit != "record":
        yield f"- One {dataset.source.definition.privacy.unit} counts in at most {bounds.max_groups} cells of a window."
    yield from (f"- {each}" for each in definition.limitations)
    yield f"- What a wrong reading could lead to: {MARK}"
    yield from ("", "It is unfair to some:", "")
    yield from (f"- {each}" for each in _most_withheld(catalog, dataset))
    yield f"- Places or groups that the records leave out, or that a release could stigmatize: {MARK}"
    yield from ("", "The public's trust:", "")
    yield f"- What people were told when their data was collected: {MARK}"


def _most_withheld(catalog: Catalog, dataset: DatasetFile) -> Iterator[str]:
    """Which places the last release says least about."""
    released = [each.release for each in catalog.standings(dataset.name) if each.status != "retracted"]
    if not released:
        yield "Nothing is released yet: which places lose data by what is withheld will be seen then."
        return
    found = [each for each in withheld_by_place(None, released[-1]) if each.withheld]
    worst = sorted(found, key=lambda each: -each.withheld / each.numbers)[:_MOST_PLACES]
    named = ", ".join(f"{each.place or each.table} ({each.withheld / each.numbers:.0%})" for each in worst)
    yield f"Most is withheld of {named}." if named else f"{released[-1].manifest.name} withholds nothing."


def _weighing(workspace: Workspace) -> Iterator[str]:
    yield from ("", "## 4. Benefits against risks", "")
    yield f"- Release it openly, release it to some, or not at all: {MARK}"
    yield f"- What else lowers the risk (a smaller loss, coarser keys, a longer period): {MARK}"
    yield from ("", "## 5. What else counts", "")
    yield f"- Law: {workspace.settings.jurisdiction}. What it demands or forbids here: {MARK}"
    yield f"- Reasons to decide otherwise than step 4 says: {MARK}"
    yield f"- Decision, by, and on which day: {MARK}"
