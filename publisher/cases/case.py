"""A case: a letter that came, what was done about it since, and by when something is due."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal, get_args

from publisher.definitions.clock import AnswerClock, CaseKind
from publisher.definitions.model import Model

StepKind = Literal["opened", "estimated", "delayed", "answered", "appealed", "closed"]
Outcome = Literal["corrected", "retracted", "believed-correct", "delivered", "declined"]
OUTCOMES: dict[CaseKind, tuple[Outcome, ...]] = {
    "accuracy": ("corrected", "retracted", "believed-correct"),
    "summary": ("delivered", "declined"),
}
"""How a case of each kind is answered."""
KINDS: tuple[CaseKind, ...] = get_args(CaseKind)
State = Literal["open", "answered", "appealed", "closed"]
_STATES: dict[StepKind, State] = {"answered": "answered", "appealed": "appealed", "closed": "closed"}


class CostEstimate(Model):
    """What preparing the summary data takes, by a plan: nothing is charged by it."""

    dataset: str
    first: str
    """The first period."""
    last: str
    releases: int
    rows: int
    """In all releases together, by the public keys."""
    loss: str
    """What each release spends on each block that it covers, such as ρ 0.05."""
    budget: str
    """What all releases of the source together may spend on a block."""
    hours: Decimal
    rate: Decimal
    """Dollars an hour."""

    @property
    def fee(self) -> Decimal:
        """Dollars, to the cent."""
        return (self.hours * self.rate).quantize(Decimal("0.01"))


class CaseStep(Model):
    """One thing that was done, and by when the next is due."""

    what: StepKind
    day: date
    due: date | None = None
    """The last day to answer; None if nothing is due."""
    outcome: Outcome | None = None
    reason: str = ""
    """What the office wrote; it is private."""
    dataset: str = ""
    period: str = ""
    edition: int | None = None
    """The edition that corrects the contested one, or the one that was retracted."""
    estimate: CostEstimate | None = None
    letter: str | None = None
    """The file of the letter or notice, beside the case."""


class Case(Model):
    """A contested number or a request for summary data. It holds nothing of a record."""

    number: str
    kind: CaseKind
    received: date
    clock: AnswerClock
    """As it was when the case was opened."""
    dataset: str = ""
    """Of a contested number."""
    period: str = ""
    edition: int | None = None
    """The edition that was contested."""
    to: str = ""
    """Who the letters are for, if they said so."""
    steps: tuple[CaseStep, ...] = ()

    @property
    def state(self) -> State:
        """Where it stands."""
        return _STATES.get(self.steps[-1].what, "open")

    @property
    def due(self) -> date | None:
        """The last day to answer; None if nothing is due from the office."""
        return self.steps[-1].due

    @property
    def estimate(self) -> CostEstimate | None:
        """The newest estimate."""
        return next((each.estimate for each in reversed(self.steps) if each.estimate is not None), None)

    @property
    def about(self) -> str:
        """What it is about, for lists and the journal: names of datasets and periods alone."""
        if self.kind == "summary":
            return self.estimate.dataset if self.estimate is not None else ""
        return f"{self.dataset} {self.period} edition {self.edition}"

    def then(self, step: CaseStep) -> Case:
        """The case with one more step."""
        return self.model_copy(update={"steps": (*self.steps, step)})
