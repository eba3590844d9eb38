"""A charge: the draw that is requested, what it spends, and on which blocks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class DrawKey(NamedTuple):
    """A draw is charged once for the same dataset, period, statistical hash and vintage."""

    dataset: str
    period: str
    statistical_hash: str
    vintage: int


@dataclass(frozen=True)
class ChargeRequest:
    """A requested draw: `loss` for each of `blocks`, at most `budget` in all on any of them."""

    source: str
    dataset: str
    period: str
    statistical_hash: str
    currency: str
    unit: str
    window: str
    loss: Fraction
    budget: Fraction
    blocks: tuple[str, ...]
    measurements: tuple[str, ...]
    """The serialized OpenDP measurements, one per measured table."""
    event: str
    """The column and clock that put records into blocks."""
    records: str
    """What makes a record, and how a row without an identifier counts."""
    vintage: int = 1
    """The number of the scheduled edition under the policy for late records, starting at one."""
    parallel: bool = False
    """Whether the vintages of this draw count disjoint records: a block is then charged the largest, not the sum."""
    delta: Fraction = Fraction(0)
    """δ of a partition selection, in addition to ρ."""
    delta_budget: Fraction = Fraction(0)
    clock: str = ""
    """The formats and time zone for the texts of the event column; old charges do not say."""
    formats: tuple[str, ...] = ()
    """The same formats one by one."""
    sampler: str = "opendp"
    """Which sampler drew, with its version; for our own, the serialized measurements are the OpenDP equivalents."""

    def __post_init__(self) -> None:
        if self.loss < 0 or self.delta < 0:
            raise ValueError("a charge cannot be negative")
        if self.vintage < 1:
            raise ValueError("vintages start at one")
        if not self.blocks or len(set(self.blocks)) != len(self.blocks):
            raise ValueError("a charge must name its blocks, each of them once")

    @property
    def key(self) -> DrawKey:
        """What is charged once."""
        return DrawKey(self.dataset, self.period, self.statistical_hash, self.vintage)

    @property
    def series(self) -> str:
        """The draw without its vintage."""
        return series_of(self.key._asdict())

    def payload(self) -> dict[str, Any]:
        """What the ledger keeps; amounts are exact texts."""
        return {
            "source": self.source,
            "dataset": self.dataset,
            "period": self.period,
            "statistical_hash": self.statistical_hash,
            "currency": self.currency,
            "unit": self.unit,
            "window": self.window,
            "loss": str(self.loss),
            "budget": str(self.budget),
            "blocks": list(self.blocks),
            "measurements": [json.loads(text) for text in self.measurements],
            "event": self.event,
            "clock": self.clock,
            "formats": list(self.formats),
            "records": self.records,
            "vintage": self.vintage,
            "parallel": self.parallel,
            "delta": str(self.delta),
            "delta_budget": str(self.delta_budget),
            "sampler": self.sampler,
        }


def series_of(payload: Mapping[str, Any]) -> str:
    """The series of a charge: every vintage of one dataset, period and statistical hash. Raises KeyError."""
    return f"{payload['dataset']} {payload['period']} {payload['statistical_hash']}"


def lines_of(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a charge puts on each of its blocks. Raises KeyError."""
    line = line_of(payload)
    return [line | {"block": block} for block in payload["blocks"]]


def line_of(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What a charge puts on any of its blocks. Raises KeyError. Old charges name no vintage and no δ."""
    return {
        "source": payload["source"],
        "loss": payload["loss"],
        "series": series_of(payload),
        "parallel": int(payload.get("parallel", False)),
        "delta": payload.get("delta", "0"),
    }


def decimal(amount: Fraction) -> str:
    """The amount for people: exact if it is a short decimal, otherwise a fraction."""
    text = f"{float(amount):.6g}"
    return text if Fraction(text) == amount else f"{amount} (about {text})"
