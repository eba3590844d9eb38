"""What was charged, read from the chain alone: each entry is read once and verified then."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from publisher.privacy.account import TERMS, ChargeLine
from publisher.privacy.chain import GENESIS, Head, changed, entry_of, follows
from publisher.privacy.charge import line_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from publisher.privacy.chain import Row


class _Charge(NamedTuple):
    """One charge: its amount for each block, and the blocks."""

    line: ChargeLine
    blocks: tuple[str, ...]


@dataclass
class History:
    """The charges up to the last entry read; it remembers them even if the database loses them later."""

    sequence: int = 0
    hash: str = GENESIS
    _charges: dict[str, list[_Charge]] = field(default_factory=lambda: defaultdict(list))
    """By source."""
    _series: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The sequences of the charges of each series."""
    _terms: dict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    """By source, each term as the first charge that names it has it."""

    def follow(self, rows: Iterable[Row]) -> None:
        """Add the entries after the last one. Raises BudgetError where the chain breaks."""
        for row in rows:
            if not follows(row, self.sequence, self.hash):
                raise changed()
            if row.kind == "charge":
                self._add(row)
            self.sequence, self.hash = row.sequence, row.hash

    @property
    def heads(self) -> list[Head]:
        """The last entry read, if any."""
        return [Head("this run", self.sequence, self.hash)] if self.sequence else []

    def series(self, series: str) -> list[int]:
        """The sequences of the charges of a series."""
        return self._series.get(series, [])

    def terms(self, source: str) -> Mapping[str, Any]:
        """The terms of the source's first charges; empty if it was never charged."""
        return self._terms.get(source, {})

    def lines(self, source: str, blocks: Collection[str]) -> list[ChargeLine]:
        """What was charged on the blocks of a source, oldest first."""
        return self._where(source, frozenset(blocks).__contains__)

    def after(self, source: str, block: str) -> list[ChargeLine]:
        """What was charged on the blocks of a source that follow this one, oldest first; labels sort as time does."""
        return self._where(source, lambda other: other > block)

    def size(self, source: str) -> int:
        """How many lines the source has in total."""
        return sum(len(charge.blocks) for charge in self._charges.get(source, []))

    def _where(self, source: str, wanted: Callable[[str], bool]) -> list[ChargeLine]:
        return [
            charge.line._replace(block=block)
            for charge in self._charges.get(source, [])
            for block in charge.blocks
            if wanted(block)
        ]

    def _add(self, row: Row) -> None:
        payload = entry_of(row).payload
        try:
            line = ChargeLine(row.sequence, block="", **line_of(payload))
            blocks = tuple(map(sys.intern, payload["blocks"]))  # the same few thousand days again and again
        except (KeyError, TypeError):
            raise changed() from None
        self._charges[line.source].append(_Charge(line, blocks))
        self._series[line.series].append(row.sequence)
        terms = self._terms[line.source]
        for name in TERMS:
            if name in payload:
                terms.setdefault(name, payload[name])
