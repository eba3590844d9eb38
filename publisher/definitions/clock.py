"""How long an answer to a person may take: by law, or by the office's own rule."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

from pydantic import Field

from publisher.definitions.model import Model, Text
from publisher.definitions.schedule import business_day

CaseKind = Literal["accuracy", "summary"]
"""accuracy: someone says that a published number is wrong; summary: someone asks for summary data."""


class AnswerClock(Model):
    """How long an answer may take, and by what rule."""

    days: int = Field(ge=1, le=365)
    """Days to answer, from the day after the letter came."""
    business: bool = False
    """True: only business days count."""
    statute: Text | None = None
    """The law that says so. Default: your own rule."""
    appeal: Text | None = None
    """What the letter says to a person who does not agree: how to appeal, and by what law."""
    note: Text | None = None
    """What a lawyer should look at."""

    def due(self, received: date, holidays: str) -> date:
        """The last day to answer.

        >>> AnswerClock(days=10, business=True).due(date(2026, 11, 16), "US")
        datetime.date(2026, 12, 1)
        >>> AnswerClock(days=30).due(date(2026, 11, 16), "US")
        datetime.date(2026, 12, 16)
        """
        if self.business:
            return business_day(received, self.days, holidays)
        return received + timedelta(days=self.days)

    @property
    def words(self) -> str:
        """Its length, such as 10 business days."""
        kind = "business day" if self.business else "day"
        return f"{self.days} {kind}{'' if self.days == 1 else 's'}"


OWN_RULE: dict[CaseKind, AnswerClock] = {
    "accuracy": AnswerClock(days=30, business=False),
    "summary": AnswerClock(days=10, business=True),
}
"""Where neither the workspace nor its law says anything."""
