"""What was charged, read from the chain alone: each entry is read once and verified then."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from publisher.definitions.period import LIFETIME, containing, parse
from publisher.privacy.account import NOTHING, TERMS, ChargeLine, LossAmount
from publisher.privacy.amendment import ChargeMade, DateReading, around, carried
from publisher.privacy.chain import GENESIS, Head, changed, entry_of, follows, leaf_of
from publisher.privacy.charge import line_of
from publisher.privacy.merkle import MerkleTree, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from publisher.privacy.chain import Row


_AHEAD = 400
"""How many later blocks are looked at when someone wants to know the first that can pay."""


def _reading(payload: Mapping[str, Any]) -> DateReading:
    return DateReading(payload.get("event", ""), payload.get("clock", ""), tuple(payload.get("formats", ())))


@dataclass
class History:
    """The charges up to the last entry read; it remembers them even if the database loses them later."""

    sequence: int = 0
    hash: str = GENESIS
    _charges: dict[str, list[ChargeMade]] = field(default_factory=lambda: defaultdict(list))
    """By source."""
    _series: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The sequences of the charges of each series."""
    _terms: dict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    """By source, each term as the first charge that names it has it, or the last amendment."""
    _amended: dict[str, DateReading] = field(default_factory=dict)
    """By source, how dates are read since its last amendment."""
    _counted: dict[tuple[str, DateReading, int], list[ChargeLine]] = field(default_factory=dict)
    """What counts on every touched block of an amended source, after some entry."""
    _allowed: dict[str, dict[str, LossAmount]] = field(default_factory=lambda: defaultdict(dict))
    """By source and block, what decisions allow in addition to the budget."""
    _hashes: list[str] = field(default_factory=list)
    """Of every entry."""
    tree: MerkleTree = field(default_factory=MerkleTree)
    """Over the entries."""
    moved: int = 0
    """The last entry that a charge, an amendment or an allowance made: until another one, sums stay as they are."""

    def follow(self, rows: Iterable[Row]) -> None:
        """Add the entries after the last one. Raises BudgetError where the chain breaks."""
        for row in rows:
            if not follows(row, self.sequence, self.hash):
                raise changed()
            self.count(row)
            self.tree.add(leaf_hash(leaf_of(row)))
            self.sequence, self.hash = row.sequence, row.hash
            self._hashes.append(row.hash)

    def count(self, row: Row) -> None:
        """Count what an entry spends or allows, if it does. Raises BudgetError when it cannot be read."""
        if row.kind in self._KINDS:
            self._KINDS[row.kind](self, row)
            self.moved = row.sequence

    @property
    def heads(self) -> list[Head]:
        """The last entry read, if any."""
        return [Head("this run", self.sequence, self.hash)] if self.sequence else []

    def hash_of(self, sequence: int) -> str | None:
        """The hash of an entry that another one that was read comes after; None of all others."""
        return self._hashes[sequence - 1] if 0 < sequence < self.sequence else None

    def series(self, series: str) -> list[int]:
        """The sequences of the charges of a series."""
        return self._series.get(series, [])

    def terms(self, source: str) -> Mapping[str, Any]:
        """The terms of the source's first charges; empty if it was never charged."""
        return self._terms.get(source, {})

    def lines(self, source: str, blocks: Collection[str]) -> list[ChargeLine]:
        """What was charged on the blocks of a source, oldest first."""
        return self._where(source, frozenset(blocks).__contains__)

    def made(self, source: str, after: int) -> list[list[ChargeLine]]:
        """The lines of each charge of the source, but for its first ones."""
        return [
            [charge.line._replace(block=block) for block in charge.blocks]
            for charge in self._charges.get(source, [])[after:]
        ]

    def every(self, source: str, reading: DateReading | None = None) -> list[ChargeLine]:
        """What counts on every block of a source that may count anything; as in `counting`."""
        now = reading or self._amended.get(source)
        if now is None:
            return self.lines(source, self.charged(source))
        key = source, now, self.sequence
        if key not in self._counted:
            self._counted[key] = self.counting(source, self.touched(source, reading), reading)
        return self._counted[key]

    def counting(self, source: str, blocks: Collection[str], reading: DateReading | None = None) -> list[ChargeLine]:
        """What counts on the blocks of a source as its dates are read now (or by `reading`), oldest first: charges made
        under an earlier reading count on every block of which they may have counted a date elsewhere."""
        reading = reading or self._amended.get(source)
        if reading is None:
            return self.lines(source, blocks)
        made = self._charges.get(source, [])
        now = frozenset(charge.line.sequence for charge in made if charge.reading == reading)
        lines = [line for line in self.lines(source, blocks) if line.sequence in now]
        earlier = [charge for charge in made if charge.line.sequence not in now]
        return sorted([*lines, *carried(reading, earlier, frozenset(blocks))])

    def touched(self, source: str, reading: DateReading | None = None) -> set[str]:
        """The blocks of a source that may count anything: those that were charged and, if its dates were read in
        another way before, those of the same years."""
        charged = self.charged(source)
        return around(charged) if reading is not None or self.amended(source) else charged

    def charged(self, source: str) -> set[str]:
        """The blocks of a source that were ever charged."""
        return {block for charge in self._charges.get(source, []) for block in charge.blocks}

    def allowed(self, source: str) -> Mapping[str, LossAmount]:
        """By block, what recorded decisions allow in addition to the source's budget."""
        return self._allowed.get(source, {})

    def after(self, source: str, block: str) -> list[ChargeLine]:
        """What counts on the blocks of a source that follow this one, oldest first; labels sort as time does."""
        if not self.amended(source) or block == LIFETIME.label:
            return self._where(source, lambda other: other > block)
        window, following = parse(block), []
        for _ in range(_AHEAD):
            window = containing(window.end, window.grain)
            following.append(window.label)
        return self.counting(source, following)

    def amended(self, source: str) -> bool:
        """Whether charges were made under an earlier reading of its dates."""
        return source in self._amended

    def sources(self) -> list[str]:
        """Every source that was ever charged."""
        return sorted(self._charges)

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

    def _amend(self, row: Row) -> None:
        payload = entry_of(row).payload
        try:
            source, reading = payload["source"], _reading(payload)
        except KeyError:
            raise changed() from None
        self._amended[source] = reading
        self._terms[source] |= {"event": reading.event, "clock": reading.clock}

    def _allow(self, row: Row) -> None:
        payload = entry_of(row).payload
        try:
            more, allowed = LossAmount(Fraction(payload["loss"]), Fraction(payload["delta"])), payload["blocks"]
            of_source = self._allowed[payload["source"]]
        except (KeyError, ValueError):
            raise changed() from None
        for block in allowed:
            before = of_source.get(block, NOTHING)
            of_source[block] = LossAmount(before.loss + more.loss, before.delta + more.delta)

    def _add(self, row: Row) -> None:
        payload = entry_of(row).payload
        try:
            line = ChargeLine(row.sequence, block="", **line_of(payload))
            blocks = tuple(map(sys.intern, payload["blocks"]))  # the same few thousand days again and again
            reading = _reading(payload)
            charge = ChargeMade(line, blocks, reading, payload["unit"] == "record", payload["currency"] == "zcdp")
        except (KeyError, TypeError):
            raise changed() from None
        self._charges[line.source].append(charge)
        self._series[line.series].append(row.sequence)
        terms = self._terms[line.source]
        for name in TERMS:
            if name in payload:
                terms.setdefault(name, payload[name])

    _KINDS: ClassVar[dict[str, Callable[[History, Row], None]]] = {
        "charge": _add,
        "amendment": _amend,
        "allowance": _allow,
    }
