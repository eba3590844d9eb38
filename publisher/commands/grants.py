"""`publisher grants`: outside preparers, who get releases and noisy reports of their datasets, never a record."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from publisher.commands.cases import today_of
from publisher.commands.standing import counted, day_words
from publisher.definitions.fault_words import words_of
from publisher.durable import new_folder, private_files
from publisher.errors import DefinitionError, SourceError
from publisher.grants.grant import ENDED, Grant, GrantRegister
from publisher.identifiers import IDENTIFIERS
from publisher.journal.entry import Fact
from publisher.pipeline.journaling import journal_of
from publisher.pipeline.session import opened
from publisher.pipeline.tuning import newest
from publisher.release.manifest import MANIFEST
from publisher.release.structure import with_article

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date
    from pathlib import Path

    from publisher.pipeline.catalog import Catalog, Standing
    from publisher.workspace import DatasetFile, Workspace

HEADINGS = ("grant", "people", "datasets", "until", "state")
LONGEST = 300


def register_of(workspace: Workspace) -> GrantRegister:
    """The workspace's grants."""
    return GrantRegister(workspace.private / "grants")


def grants_of(workspace: Workspace, *, every: bool) -> list[Grant]:
    """The grants that are in force, or every one."""
    today = today_of(workspace)
    return [each for each in register_of(workspace).grants() if every or each.state(today) == "in force"]


def row_of(grant: Grant, today: date) -> tuple[str, ...]:
    """The row of the table, by HEADINGS."""
    until = day_words(grant.until, today)
    return (grant.name, ", ".join(grant.people), ", ".join(grant.datasets), until, grant.state(today))


def for_machines(grant: Grant, today: date) -> dict[str, Any]:
    """A grant for `--json`."""
    return grant.model_dump(mode="json") | {"state": grant.state(today)}


def add_grant(workspace: Workspace, given: dict[str, Any]) -> str:
    """Record a grant. Raises DefinitionError for one that would open nothing, or is there already."""
    _need_private(workspace)
    today, register = today_of(workspace), register_of(workspace)
    for name in given["datasets"]:
        workspace.dataset(name)
    _check_purpose(given["purpose"])
    for option, texts in (("--person", given["people"]), ("--agreement", (given["agreement"],))):
        if not all(text.isprintable() and len(text) <= LONGEST for text in texts):
            raise DefinitionError(f"{option}: write one line of at most {LONGEST} characters")
    try:
        grant = Grant(**given, since=today)
    except ValidationError as error:
        fault = error.errors()[0]
        raise DefinitionError(f"{fault['loc'][0]}: {words_of(fault)}") from None
    if grant.until < today:
        raise DefinitionError(f"--until: {grant.until} is over: give the last day on which they may see anything")
    if any(each.name == grant.name for each in register.grants()):
        raise DefinitionError(f"there is a grant {grant.name} already: end it, and give another name")
    _tell(workspace, grant, "added: ")
    register.write(grant)
    return (
        f"{grant.name}: in force until {grant.until}. `publisher grants open {grant.name} FOLDER` writes what it opens."
    )


def end_grant(workspace: Workspace, name: str, reason: str) -> str:
    """End a grant before its last day. Raises DefinitionError."""
    register, today = register_of(workspace), today_of(workspace)
    grant = register.grant(name)
    _refuse_closed(grant, today)
    ended = grant.model_copy(update={"ended": today, "reason": reason})
    _tell(workspace, ended, ENDED)
    register.write(ended)
    return f"{name}: ended. Ask for copies that were given under it to be deleted."


def open_grant(workspace: Workspace, name: str, folder: Path) -> str:
    """Write what a grant opens into a new folder: releases with their measurements, and noisy answers of `tune`.

    The journal is told first. Raises DefinitionError for a grant that is over, or a folder that is there already.
    """
    grant, today = register_of(workspace).grant(name), today_of(workspace)
    _refuse_closed(grant, today)
    folder = folder.expanduser().absolute()
    if os.path.lexists(folder) or folder.resolve().is_relative_to(workspace.state):
        raise DefinitionError(f"{folder}: give a folder that is not there yet, outside of the state folder")
    datasets = [workspace.dataset(each) for each in grant.datasets]
    with opened(workspace) as catalog, private_files():
        _tell(workspace, grant, "opened: ")
        with new_folder(folder) as content:
            (content / "README.txt").write_text(readme(workspace, grant), encoding="utf-8")
            copied = sum(_copy(workspace, catalog, dataset, content / dataset.name) for dataset in datasets)
    return f"{folder}: {counted(copied, 'release')}, for {', '.join(grant.people)} alone, until {grant.until}."


def readme(workspace: Workspace, grant: Grant) -> str:
    """What the people who get the folder have to know."""
    people = "\n".join(f"  {each}" for each in grant.people)
    return f"""{workspace.settings.organization}: files for outside preparers

These files are for the people named here, for this purpose, and until this day:

{people}

Purpose:   {grant.purpose}
Agreement: {grant.agreement}
Until:     {grant.until}

They have no record of any person. Every number has random noise, and the
guarantee of each release says what it promises. Some of them are not published:
editions that are held or retracted, numbers that were left out because they are
small, and measurements of how much people contribute. Do not pass them on.
Delete every copy when the grant ends.

Questions: {workspace.settings.contact}
"""


def _copy(workspace: Workspace, catalog: Catalog, dataset: DatasetFile, folder: Path) -> int:
    """Copy the definitions, every edition with its measurements, and the newest answer of `tune`."""
    folder.mkdir()
    for path in (workspace.root / "datasets" / f"{dataset.name}.toml", *_source_files(workspace, dataset)):
        place = folder / path.parent.name  # a dataset and its source may have the same name
        place.mkdir(exist_ok=True)
        (place / path.name).write_bytes(path.read_bytes())
    tuned = newest(workspace, catalog.ledger, dataset)
    if tuned is not None:
        (folder / "tuning.json").write_text(tuned.found.model_dump_json(indent=2), encoding="utf-8")
    standings = catalog.standings(dataset.name)
    for standing in standings:
        _copy_release(standing, folder)
    return len(standings)


def _source_files(workspace: Workspace, dataset: DatasetFile) -> Iterator[Path]:
    for ending in ("toml", "sql"):
        yield workspace.root / "pipelines" / f"{dataset.source.name}.{ending}"


def _copy_release(standing: Standing, folder: Path) -> None:
    release = standing.release
    place = folder / "releases" / release.manifest.period / str(release.manifest.edition)
    place.mkdir(parents=True)
    for name in (MANIFEST, *release.manifest.files):
        (place / name).write_bytes(release.content(name))
    (place / "status.txt").write_text(f"{standing.status}\n", encoding="utf-8")


def _need_private(workspace: Workspace) -> None:
    if not workspace.private.is_dir():
        raise SourceError(f"{workspace.private} does not exist yet: run `publisher init` or `publisher run` first")


def _refuse_closed(grant: Grant, today: date) -> None:
    if grant.state(today) != "in force":
        day = grant.ended or grant.until
        raise DefinitionError(
            f"the grant {grant.name} {_over(grant, today)} on {day}: it opens nothing. Add another one"
        )


def _over(grant: Grant, today: date) -> str:
    return "was ended" if grant.state(today) == "ended" else "expired"


def _check_purpose(text: str) -> None:
    if not text.isprintable() or len(text) > LONGEST:
        raise DefinitionError(f"--purpose: write one sentence of at most {LONGEST} characters")
    for thing, regex in IDENTIFIERS.items():
        if re.search(regex, text):
            raise DefinitionError(f"--purpose: the journal tells it, and it has what looks like {with_article(thing)}")


def _tell(workspace: Workspace, grant: Grant, what: str) -> None:
    """One entry for each dataset, which names the grant, its purpose and its last day, and no one."""
    facts: Sequence[Fact] = [
        Fact(
            "grant",
            dataset=name,
            reference=f"grant {grant.name}, until {grant.until}",
            reason=f"{what}{grant.purpose}",
        )
        for name in grant.datasets
    ]
    journal_of(workspace).tell(*facts)
