"""What is done about a case: each step writes its letter, tells the journal once, and charges nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.cases.case import OUTCOMES, Case, CaseStep
from publisher.cases.letters import letter
from publisher.cases.register import DELETED
from publisher.commands.cases import WHAT, register_of, rule_words, today_of
from publisher.definitions.clock import OWN_RULE
from publisher.definitions.period import parse
from publisher.errors import DefinitionError, PortalError, SourceError
from publisher.identifiers import IDENTIFIERS
from publisher.journal.entry import Fact
from publisher.journal.journal import read_entries
from publisher.pipeline.journaling import journal_of
from publisher.pipeline.session import opened
from publisher.push.shown import differing
from publisher.push.sync import portal_addresses
from publisher.release.structure import with_article

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from publisher.cases.case import Outcome
    from publisher.cases.register import CaseRegister
    from publisher.definitions.clock import AnswerClock, CaseKind
    from publisher.definitions.settings import CaseSettings
    from publisher.pipeline.catalog import Standing
    from publisher.workspace import DatasetFile, Workspace

LONGEST_REASON = 1000
LETTERS = "letters"
"""The workspace's folder of its own letters."""


@dataclass(frozen=True)
class CaseOpening:
    """What is known of a letter that came."""

    kind: CaseKind
    received: date | None = None
    letter: Path | None = None
    """The file of what the person wrote."""
    to: str = ""
    dataset: str = ""
    period: str = ""


@dataclass(frozen=True)
class CaseAnswer:
    """How a case is answered."""

    outcome: Outcome
    reason: str = ""
    authority: str = ""


@dataclass(frozen=True)
class Office:
    """Who answers: the settings of cases, the register, and today."""

    workspace: Workspace
    settings: CaseSettings
    register: CaseRegister
    today: date

    def clock(self, kind: CaseKind) -> AnswerClock:
        """How long an answer may take: by the workspace, by its law, or by the usual rule."""
        from publisher.classify.law import read_law

        law = read_law(self.settings.law).clocks if self.settings.law is not None else {}
        return self.settings.clocks.get(kind) or law.get(kind) or OWN_RULE[kind]

    def take(
        self,
        case: Case,
        step: CaseStep,
        name: str | None = None,
        values: Mapping[str, str] | None = None,
        came: Mapping[str, bytes] | None = None,
    ) -> list[str]:
        """Take a step: tell the journal, write the letter `name` and what `came`, then the case. Says what is next."""
        number = len(case.steps) + 1
        files = dict(came or {})
        if name is not None:
            step = step.model_copy(update={"letter": f"{number}-{name}.txt"})
        after = case.then(step)
        if step.letter is not None and name is not None:
            text = letter(name, self._values(after) | dict(values or {}), self.workspace.root / LETTERS, LETTERS)
            files[step.letter] = text.encode()
        self._tell(after, number)
        self.register.write(after, files)
        return list(self._said(after))

    def _tell(self, case: Case, number: int) -> None:
        """Tell the journal of the newest step, unless a command that was interrupted has just told it."""
        step = case.steps[-1]
        fact = Fact(
            "case",
            dataset=step.dataset or case.dataset,
            period=step.period or case.period,
            edition=step.edition if step.edition is not None else case.edition,
            reference=f"case {case.number}, step {number}",
            reason=f"{case.kind}: {step.what}{f', {step.outcome}' if step.outcome is not None else ''}",
        )
        journal = journal_of(self.workspace)
        newest = journal.newest()
        if newest is None or newest.fact != fact:
            journal.tell(fact)

    def _values(self, case: Case) -> dict[str, str]:
        """What every letter may say."""
        settings = self.workspace.settings
        return {
            "organization": settings.organization,
            "contact": settings.contact,
            "signed": self.settings.signed or settings.organization,
            "to": case.to,
            "today": long_day(self.today),
            "number": case.number,
            "received": long_day(case.received),
            "clock": case.clock.words,
            "due": long_day(case.due) if case.due is not None else "",
            "rule": rule_words(case),
            "appeal": case.clock.appeal or "",
            "period": case.period,
            "contested": str(case.edition or ""),
        }

    def _said(self, case: Case) -> Sequence[str]:
        step = case.steps[-1]
        due = f"; an answer is due by {long_day(case.due)} ({rule_words(case)})" if case.due is not None else ""
        lines = [f"case {case.number}: {step.what}{due}"]
        if step.letter is not None:
            path = self.workspace.shown(self.register.path(case, step.letter))
            lines.append(f"The letter is in {path}: read it, and send it.")
        return lines


def office_of(workspace: Workspace) -> Office:
    """Who answers. Raises DefinitionError without [cases], SourceError without a private folder."""
    settings = workspace.settings.cases
    if settings is None:
        words = 'no cases are kept: add [cases] with law = "minnesota" (or another) and holidays = "US-MN"'
        raise DefinitionError(f"publisher.toml: {words}")
    if not workspace.private.is_dir():
        raise SourceError(f"{workspace.private} does not exist yet: run `publisher init` or `publisher run` first")
    return Office(workspace, settings, register_of(workspace), today_of(workspace))


def open_case(workspace: Workspace, asked: CaseOpening) -> list[str]:
    """Open a case, which starts its clock. Raises DefinitionError."""
    office = office_of(workspace)
    received = asked.received or office.today
    if received > office.today:
        raise DefinitionError(f"--received: {received} is in the future: give the day on which the letter came")
    clock = office.clock(asked.kind)
    due = clock.due(received, office.settings.holidays)
    step = CaseStep(what="opened", day=office.today, due=due)
    came = {f"letter{asked.letter.suffix}": _content(asked.letter)} if asked.letter is not None else {}
    with office.register.changing():
        number = office.register.next_number(received, _told_numbers(workspace))
        case = Case(number=number, kind=asked.kind, received=received, clock=clock, to=_to(asked.to))
        values = {}
        if asked.kind == "accuracy":
            dataset = workspace.dataset(asked.dataset)
            edition = _contested(workspace, dataset, asked.period)
            about = {"dataset": dataset.name, "period": asked.period, "edition": edition}
            case = case.model_copy(update=about)
            values = {"title": dataset.definition.title}
        return office.take(case, step, f"received-{asked.kind}", values, came)


def delay_case(workspace: Workspace, number: str, until: date, reason: str) -> list[str]:
    """Tell the person who asked that it takes longer, why, and until when. Raises DefinitionError."""
    office = office_of(workspace)
    with office.register.changing():
        case = _at_work(office.register.case(number))
        if case.kind != "summary":
            raise DefinitionError(f"case {number}: a contested number has to be answered by {case.due}: no delay")
        if case.due is not None and until <= max(case.due, office.today):
            raise DefinitionError(f"--until: {until} is not after {max(case.due, office.today)}: give a later day")
        step = CaseStep(what="delayed", day=office.today, due=until, reason=letter_reason(reason))
        return office.take(case, step, "delay", {"reason": step.reason})


def answer_case(workspace: Workspace, number: str, answer: CaseAnswer) -> list[str]:
    """Answer a case: only with what is so, and what everyone can read already. Raises DefinitionError, PortalError."""
    office = office_of(workspace)
    with office.register.changing():
        case = _at_work(office.register.case(number))
        if answer.outcome not in OUTCOMES[case.kind]:
            allowed = ", ".join(OUTCOMES[case.kind])
            raise DefinitionError(f"case {number}: {WHAT[case.kind]} is answered with one of {allowed}")
        if answer.outcome == "declined" and not answer.authority:
            raise DefinitionError("--authority: name the law by which it is declined, with its section")
        needed = answer.outcome != "delivered"
        reason = letter_reason(answer.reason) if needed or answer.reason else ""
        step = CaseStep(what="answered", day=office.today, outcome=answer.outcome, reason=reason)
        values = {"reason": reason, "authority": answer.authority}
        if answer.outcome == "delivered":
            step, more = _delivered(workspace, case, step)
        else:
            step, more = _about_a_number(workspace, case, step)
        return office.take(case, step, answer.outcome, values | more)


def appeal_case(workspace: Workspace, number: str) -> list[str]:
    """Note that the person appealed: what comes of it is decided elsewhere. Raises DefinitionError."""
    office = office_of(workspace)
    with office.register.changing():
        case = office.register.case(number)
        if case.state != "answered" or case.steps[-1].outcome not in ("believed-correct", "declined"):
            raise DefinitionError(f"case {number}: only the answers believed-correct and declined are appealed")
        return office.take(case, CaseStep(what="appealed", day=office.today))


def close_case(workspace: Workspace, number: str, reason: str) -> list[str]:
    """Close a case. One that was not answered needs a reason, such as that it was withdrawn. Raises DefinitionError."""
    office = office_of(workspace)
    with office.register.changing():
        case = office.register.case(number)
        if case.state == "closed":
            raise DefinitionError(f"case {number} is closed already")
        if case.state != "answered" and not reason.strip():
            raise DefinitionError(f"case {number} was not answered: say in --reason why it is closed")
        return office.take(case, CaseStep(what="closed", day=office.today, reason=reason.strip()))


def delete_case(workspace: Workspace, number: str) -> list[str]:
    """Delete a closed case with its letters; the journal keeps that there was one. Raises DefinitionError."""
    office = office_of(workspace)
    with office.register.changing():
        case = office.register.case(number)
        if case.state != "closed":
            raise DefinitionError(f"case {number} is {case.state}: only a closed case can be deleted")
        fact = Fact("case", dataset=case.dataset, reference=f"case {number}", reason=f"{case.kind}{DELETED}")
        journal_of(workspace).tell(fact)
        office.register.delete(case)
    return [f"case {number}: deleted with its letters"]


def letter_reason(text: str) -> str:
    """What the office writes in a letter. Raises DefinitionError if it is empty, or has what looks like someone's."""
    reason = " ".join(text.split())
    if not reason or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise DefinitionError(f"--reason: write why, in at most {LONGEST_REASON:,} characters; the letter says it")
    for thing, regex in IDENTIFIERS.items():
        if re.search(regex, reason):
            words = f"has what looks like {with_article(thing)}: a letter tells nothing of a record"
            raise DefinitionError(f"--reason: {words}")
    return reason


def long_day(day: date) -> str:
    """A day as a letter writes it, such as November 30, 2026."""
    return f"{day:%B} {day.day}, {day.year}"


def _to(text: str) -> str:
    return "\n".join(line.strip() for line in text.replace("\\n", "\n").splitlines())


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from None


def _told_numbers(workspace: Workspace) -> list[str]:
    """The number of every case that the journal tells of."""
    facts = [entry.fact for entry in read_entries(journal_of(workspace)) if entry.fact.kind == "case"]
    return [each.reference.partition(",")[0].removeprefix("case ") for each in facts]


def _at_work(case: Case) -> Case:
    """The case, if it can still be answered; after an appeal it can be answered again."""
    if case.state not in ("open", "appealed"):
        raise DefinitionError(f"case {case.number} is {case.state}: `publisher cases show {case.number}` shows it")
    return case


def _contested(workspace: Workspace, dataset: DatasetFile, period: str) -> int:
    """The edition that is public now."""
    public = [each for each in _standings(workspace, dataset, period) if each.status == "ready"]
    if not public:
        words = f"no edition of {period or 'a PERIOD'} is current; `publisher releases {dataset.name}` shows each one"
        raise DefinitionError(f"{dataset.name}: {words}")
    return public[-1].release.manifest.edition


def _standings(workspace: Workspace, dataset: DatasetFile, period: str) -> list[Standing]:
    with opened(workspace) as catalog:
        return [each for each in catalog.standings(dataset.name) if period in ("", each.release.manifest.period)]


def _about_a_number(workspace: Workspace, case: Case, step: CaseStep) -> tuple[CaseStep, dict[str, str]]:
    """The edition that answers a contested number, and what the letter says of it."""
    if case.kind != "accuracy":
        return step, {}
    dataset = workspace.dataset(case.dataset)
    values = {"title": dataset.definition.title}
    if step.outcome == "believed-correct":
        return step, values
    standings = _standings(workspace, dataset, case.period)
    wanted = "ready" if step.outcome == "corrected" else "retracted"
    editions = [each.release.manifest.edition for each in standings if each.status == wanted]
    found = [each for each in editions if case.edition is not None and _answers(step, each, case.edition)]
    if not found:
        words = (
            f"no later edition of {case.period} than {case.edition} is current: release one"
            if step.outcome == "corrected"
            else f"edition {case.edition} of {case.period} is not retracted: see `publisher rollback`"
        )
        raise DefinitionError(f"{case.dataset}: {words}. docs/how-to/corrections.md says how")
    page = _page(workspace, dataset, {case.period})
    step = step.model_copy(update={"dataset": case.dataset, "period": case.period, "edition": found[-1]})
    return step, values | {"edition": str(found[-1]), "page": page, "feed": f"{page}/feed.atom"}


def _answers(step: CaseStep, edition: int, contested: int) -> bool:
    return edition > contested if step.outcome == "corrected" else edition == contested


def _delivered(workspace: Workspace, case: Case, step: CaseStep) -> tuple[CaseStep, dict[str, str]]:
    """The dataset that answers a request, if all of it is public."""
    estimate = case.estimate
    if estimate is None:
        words = f"no estimate was sent: `publisher cases estimate {case.number} DATASET` writes it"
        raise DefinitionError(f"case {case.number}: {words}")
    dataset = workspace.dataset(estimate.dataset)
    first, last = parse(estimate.first).start, parse(estimate.last).end
    periods = {each.label for each in dataset.definition.periods_until(last) if each.start >= first}
    ready = {each.release.manifest.period for each in _standings(workspace, dataset, "") if each.status == "ready"}
    if missing := sorted(periods - ready):
        raise DefinitionError(f"{dataset.name}: {missing[0]} is not released yet: `publisher run {dataset.name}`")
    page = _page(workspace, dataset, periods)
    step = step.model_copy(update={"dataset": dataset.name})
    costs = {"hours": f"{estimate.hours:f}", "rate": f"{estimate.rate:,.2f}", "fee": f"{estimate.fee:,.2f}"}
    named = {"title": dataset.definition.title, "first": estimate.first, "last": estimate.last, "page": page}
    return step, named | costs


def _page(workspace: Workspace, dataset: DatasetFile, periods: set[str]) -> str:
    """The dataset's address on the portal, if it shows these periods as they are. Raises PortalError."""
    behind = differing(workspace, dataset, _standings(workspace, dataset, ""))
    addresses = portal_addresses(workspace, dataset)
    if behind & periods or "" not in addresses:
        words = f"the portal does not show it as it is: `publisher push {dataset.name}`, then answer"
        raise PortalError(f"{dataset.name}: {words}")
    return addresses[""][1]
