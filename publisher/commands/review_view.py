"""`publisher review`: what a reviewer decides by, for the terminal and for a page. It signs nothing."""

from __future__ import annotations

import difflib
import json
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.commands.approvals import UNDECIDED, approved_text, definition_text, subject_now, undecided
from publisher.commands.benefit_risk import form_words
from publisher.commands.terminal import print_table, say
from publisher.definitions import period as civil
from publisher.errors import DefinitionError, SourceError
from publisher.pipeline.automatic import objections
from publisher.pipeline.job import Job, identity_of
from publisher.pipeline.report import loss_words, next_step
from publisher.pipeline.reviews import definition_state
from publisher.planning.chances import PlannedOdds, odds_words, planned_odds, spent_before
from publisher.planning.pace import pace_of, spent_of
from publisher.privacy.account import blocks_of
from publisher.privacy.ledger import decimal
from publisher.push.provenance import odds_facts
from publisher.release.changes import changes, withheld_by_place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.approvals.approval import Approval
    from publisher.pipeline.catalog import Catalog, Standing
    from publisher.pipeline.reviews import ReviewState
    from publisher.privacy.account import ChargeLine
    from publisher.release.changes import Change, PlaceWithheld
    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile, Workspace

MOST_CHANGES, MOST_PLACES = 12, 20
"""The most rows of a table that are shown."""


@dataclass(frozen=True)
class Waiting:
    """Something that waits for a reviewer; the fields of `publisher review --json`."""

    what: str
    waits_for: str
    command: str


@dataclass(frozen=True)
class ViewPart:
    """One part of what a reviewer sees: sentences, then a table or a comparison of texts."""

    title: str
    lines: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    diff: str = ""
    markdown: str = ""
    """A text that is too long for a terminal; the page shows it."""


@dataclass(frozen=True)
class ReviewView:
    """What a reviewer decides by; the fields of `publisher review DATASET --json`."""

    subject: str
    hash: str
    """What a signature is over: of the release's manifest, or of the definition."""
    statistical_hash: str
    status: str
    parts: tuple[ViewPart, ...]
    commands: tuple[str, ...]
    """What approves or rejects it."""


def waiting(workspace: Workspace, catalog: Catalog) -> list[Waiting]:
    """Every definition and release that waits for reviewers."""
    if workspace.review is None:
        return []
    found = []
    for dataset in workspace.datasets.values():
        try:
            state = definition_state(workspace, catalog.ledger, identity_of(workspace, dataset))
        except SourceError as error:
            found.append(Waiting(f"{dataset.name}: definition", str(error), f"publisher check {dataset.name}"))
            continue
        if state is not None and state.state != "approved":
            found.append(Waiting(f"{dataset.name}: definition", _wanted(state), f"publisher review {dataset.name}"))
        for each in _undecided(catalog, dataset):
            says = each.release.manifest
            state = each.review
            if state is not None:
                command = f"publisher review {says.dataset} {says.period}"
                found.append(Waiting(says.name, _wanted(state), command))
    return found


def _undecided(catalog: Catalog, dataset: DatasetFile) -> Iterator[Standing]:
    """The releases that wait, but for those that a later edition has replaced."""
    newest = {each.release.manifest.period: each for each in catalog.standings(dataset.name)}
    return (each for each in newest.values() if each.status in UNDECIDED)


def _wanted(state: ReviewState) -> str:
    return state.words or ("an approval" if state.required == 1 else f"{state.required} approvals")


def release_view(workspace: Workspace, catalog: Catalog, dataset: DatasetFile, period: str) -> ReviewView:
    """What a reviewer of a release decides by. Raises DefinitionError if nothing of the period was released."""
    release = undecided(catalog, dataset, period)
    if release is None:
        there = [each.release for each in catalog.standings(dataset.name) if each.release.manifest.period == period]
        if not there:
            raise DefinitionError(
                f"{dataset.name}: no release of {period} yet; `publisher releases` lists what there is"
            )
        release = there[-1]
    catalog.refuse_if_changed(release)
    standing, says = catalog.standing(release), release.manifest
    before = catalog.compared_with(release)
    if before is not None:
        catalog.refuse_if_changed(before)
    parts = (
        _changed(before, release),
        _withheld(before, release),
        ViewPart("Validation", tuple(_validation(standing))),
        ViewPart("Odds for one person", (_odds(dataset, release),)),
        _budget(catalog, dataset, release),
        _definition_changes(workspace, catalog, dataset),
        *_automatic(workspace, catalog, dataset, release),
        *_decisions(standing.review),
        ViewPart(
            "Guarantee", (f"`publisher show {says.dataset} {says.period}` prints it.",), markdown=release.statement
        ),
    )
    name = f"{says.dataset} {says.period}"
    return ReviewView(
        subject=says.name,
        hash=catalog.store.sha256(says.name),
        statistical_hash=says.statistical_hash,
        status=standing.status,
        parts=parts,
        commands=_commands(name) if standing.status in UNDECIDED else (),
    )


def definition_view(workspace: Workspace, catalog: Catalog, dataset: DatasetFile) -> ReviewView:
    """What a reviewer of a definition decides by."""
    identity = identity_of(workspace, dataset)
    state = definition_state(workspace, catalog.ledger, identity)
    status: str = state.state if state is not None else "no review asked for"
    odds = odds_words(dataset, planned_odds(workspace, dataset, spent_before(workspace, catalog, dataset)))
    parts = (
        _definition_changes(workspace, catalog, dataset),
        ViewPart("What it spends", tuple(_spends(workspace, catalog, dataset))),
        ViewPart("Odds for one person", (odds,)),
        ViewPart("Benefit-risk form", (form_words(workspace, dataset),)),
        *_decisions(state),
    )
    subject, _ = subject_now(workspace, dataset)
    commands = _commands(dataset.name, " --edited-by NAME") if status in UNDECIDED else ()
    return ReviewView(f"{dataset.name}: definition", subject.hash, subject.statistical_hash, status, parts, commands)


def _commands(name: str, more: str = "") -> tuple[str, ...]:
    return (
        f'publisher approve {name} --by NAME{more} --reason "..."',
        f'publisher reject {name} --by NAME --reason "..."',
    )


def _changed(before: Release | None, now: Release) -> ViewPart:
    if before is None:
        return ViewPart("Changes for readers", ("This is the first release: there is nothing to compare it with.",))
    found = changes(before, now)
    far = sum(each.margins > 1 for each in found)
    lines = [
        f"Compared with {before.manifest.name}, in margins of the difference: up to 1, noise alone explains it.",
        f"{len(found):,} numbers differ, {far:,} of them by more than one margin.",
    ]
    if len(found) > MOST_CHANGES:
        lines.append(f"The {MOST_CHANGES} largest:")
    headings = ("table", "number", "cell", "before", "now", "margins")
    return ViewPart("Changes for readers", tuple(lines), headings, tuple(map(_change, found[:MOST_CHANGES])))


def _change(each: Change) -> tuple[str, ...]:
    margins = f"{each.margins:.1f}" if math.isfinite(each.margins) else "no noise"
    return each.table, each.measure, each.cell, f"{each.before:,.10g}", f"{each.now:,.10g}", margins


def _withheld(before: Release | None, now: Release) -> ViewPart:
    found = withheld_by_place(before, now)
    some = sorted((each for each in found if each.withheld), key=lambda each: -each.withheld / each.numbers)
    worse = [each for each in some if each.before is not None and each.withheld > each.before]
    withheld, numbers = sum(each.withheld for each in found), sum(each.numbers for each in found)
    lines = [f"{withheld:,} of {numbers:,} numbers are withheld ({withheld / max(numbers, 1):.0%})."]
    if before is not None:
        names = ", ".join(dict.fromkeys(each.place or each.table for each in worse[:MOST_PLACES]))
        lines.append(
            f"More is withheld than before in: {names}." if worse else "No place has more withheld than before."
        )
    if len(some) > MOST_PLACES:
        lines.append(f"The {MOST_PLACES} places with the largest share:")
    headings = ("table", "place", "withheld", "share", "before")
    return ViewPart("Withheld, by place", tuple(lines), headings, tuple(map(_place, some[:MOST_PLACES])))


def _place(each: PlaceWithheld) -> tuple[str, ...]:
    before = "-" if each.before is None else f"{each.before:,}"
    return (
        each.table,
        each.place or "(the whole table)",
        f"{each.withheld:,} of {each.numbers:,}",
        f"{each.withheld / each.numbers:.0%}",
        before,
    )


def _validation(standing: Standing) -> Iterator[str]:
    found = standing.validation
    if found is None:
        yield "Not checked yet."
    elif found.passed:
        yield "Everything is as expected."
    else:
        yield from (f"Failed: {words}." for words in found.words)
        for each in standing.decisions:
            if each.what == "accepted":
                yield f"Accepted by {each.by or 'someone'} on {each.at[:10]}: {each.reason}"
        if standing.status == "held":
            yield next_step(f"{standing.release.manifest.dataset} {standing.release.manifest.period}", found)


def _odds(dataset: DatasetFile, release: Release) -> str:
    """The odds as the release's guarantee states them."""
    told = odds_facts(release)
    if not told:
        return "The guarantee of this release is of an earlier form: it says them in its own words."
    said = json.loads(told)
    odds = PlannedOdds(said["after"], said["household_units"], said["household"], said["source"])
    return odds_words(dataset, odds)


def _budget(catalog: Catalog, dataset: DatasetFile, release: Release) -> ViewPart:
    """What the source has spent on the release's blocks, without and with it."""
    source, says = dataset.source.name, release.manifest
    lines = catalog.ledger.lines(source)
    charged = set(says.charge.blocks)
    now = _fullest([each for each in lines if each.block in charged])
    before = _fullest([each for each in lines if each.block in charged and each.sequence != says.ledger.sequence])
    allowed = catalog.ledger.allowed(source)
    budget = Fraction(dataset.source.definition.privacy.budget)
    more = max((allowed[block].loss for block in charged if block in allowed), default=Fraction(0))
    letter = loss_words(dataset).split(" ")[0]
    words = (
        f"On the fullest block of {source}, of the {len(charged):,} that it charges: {letter} {decimal(before)} "
        f"before, {decimal(now)} with this release, of {decimal(budget)}"
    )
    return ViewPart("Budget", (f"{words}{f' and {decimal(more)} more by decision' if more else ''}.",))


def _fullest(lines: Sequence[ChargeLine]) -> Fraction:
    return max((Fraction(block.spent.loss) for block in blocks_of(lines).values()), default=Fraction(0))


def _definition_changes(workspace: Workspace, catalog: Catalog, dataset: DatasetFile) -> ViewPart:
    """The definition as it is now, compared with the one that was approved last."""
    before, now = approved_text(workspace, catalog, dataset), definition_text(workspace, dataset)
    title = "Changes of the definition since its last approval"
    if not before:
        files = [line.removeprefix("==== ") for line in now.splitlines() if line.startswith("==== ")]
        return ViewPart(title, ("No definition of it was approved before. It is all in:", *files))
    if before == now:
        last = catalog.reviews(dataset.name).last_definition()
        same = last is None or last.statistical_hash == identity_of(workspace, dataset).hashes[0]
        unseen = (
            "None in what people wrote, but the files that decide places are others, or publisher counts otherwise."
        )
        return ViewPart(title, ("None." if same else unseen,))
    lines = difflib.unified_diff(before.splitlines(), now.splitlines(), "approved", "now", lineterm="")
    return ViewPart(title, diff="\n".join(map(_visible, lines)))


def _visible(line: str) -> str:
    """The line without what a terminal obeys or what turns letters around: it could hide a change."""
    return "".join(each if each.isprintable() or each == "\t" else ascii(each)[1:-1] for each in line)


def _spends(workspace: Workspace, catalog: Catalog, dataset: DatasetFile) -> Iterator[str]:
    siblings = [each for each in workspace.datasets.values() if each.source.name == dataset.source.name]
    today = dataset.source.today()
    pace = pace_of(dataset, siblings, spent_of(catalog.ledger), today)
    privacy, letter = dataset.source.definition.privacy, loss_words(dataset).split(" ")[0]
    window = "the whole source" if privacy.window == "lifetime" else f"each {privacy.window}"
    yield (
        f"Each release spends {loss_words(dataset)} on {window} of {dataset.source.name} that it covers, of a budget "
        f"of {letter} {decimal(Fraction(privacy.budget))}; {pace.blocks:,} block(s) a {dataset.definition.period}."
    )
    open_periods = len(pace.ended) - pace.released
    yield f"{pace.released:,} period(s) are charged already, {open_periods:,} that have ended are not yet."
    yield f"The budget refuses {pace.refused}." if pace.refused else "The budget lasts if all goes on as defined."
    rule = dataset.definition.automatic_approval
    if rule is not None:
        yield (
            f"Its releases need no reviewer if everything is as expected, no number differs from the last release by "
            f"more than {rule.most_change} margins, and no table withholds more than {float(rule.most_withheld):.0%}."
        )


def _automatic(workspace: Workspace, catalog: Catalog, dataset: DatasetFile, release: Release) -> Iterator[ViewPart]:
    """Why a release was not approved automatically, where its dataset declares that."""
    waits = catalog.standing(release).status == "waiting for approval"
    if dataset.definition.automatic_approval is not None and waits:
        identity = identity_of(workspace, dataset)
        period = civil.parse(release.manifest.period)
        job = Job(workspace, catalog, dataset, period, identity.fingerprint, of_all=identity)
        why = objections(job, release) or ["it meets every condition: the next run approves it"]
        yield ViewPart("Automatic approval", tuple(f"{each[:1].upper()}{each[1:]}." for each in why))


def _decisions(state: ReviewState | None) -> Iterator[ViewPart]:
    if state is None:
        return
    if state.automatic and not state.required:
        lines = ["It was made before review was asked for, and needs no approval."]
    else:
        lines = [_decision(each) for each in (*state.approvals, *state.rejections)]
        lines += ["Approved automatically, by its dataset's conditions."] if state.automatic else []
        lines += [f"{each[:1].upper()}{each[1:]}." for each in state.doubts]
        lines.append(f"{len(state.approvals)} of {state.required} approval(s) that are needed.")
    yield ViewPart("Decisions so far", tuple(lines))


def _decision(made: Approval) -> str:
    subject = made.subject
    edited = f"; edited by {subject.editor}" if subject.kind == "definition" and subject.editor else ""
    return f"{made.decision} by {made.reviewer} on {made.at[:10]}: {made.reason}{edited}"


def present(found: ReviewView) -> None:
    """Print what a reviewer decides by."""
    say(f"{found.subject}: {found.status}", bold=True)
    say(f"  signed over {found.hash}")
    for part in found.parts:
        say()
        say(part.title, bold=True)
        for line in part.lines:
            say(f"  {_visible(line)}")
        if part.rows:
            print_table("", part.headings, [tuple(map(_visible, row)) for row in part.rows])
        for line in part.diff.splitlines():
            say(line, fg=_color(line))
    if found.commands:
        say()
        say("Decide with:", bold=True)
    for command in found.commands:
        say(f"  {command}")


def _color(line: str) -> str | None:
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
