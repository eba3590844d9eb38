"""Landing is judged: what is odd about a batch, and whether it is beyond what its source accepts.

Everything here is exact, so it is only for the private report and the terminal of the person who lands. What others may
learn is the message of `RefusedAtLandingError`, which is the same whatever the records are.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.definitions.feed import Accept
from publisher.records.report import BatchReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from decimal import Decimal

    from publisher.definitions.source import Source
    from publisher.workspace import SourceFile

FEWEST = 10
"""So many rows must be affected before a share says anything: in a file of three rows, one is a third."""
USUAL = Accept(reason="the defaults")
WIDTH = 80
MANY = 5
"""With more files than this, the terminal shows their sum."""
_LABEL = 34


@dataclass(frozen=True)
class Oddity:
    """How many rows of a batch are odd in one way."""

    kind: str
    """undated, unplaced, rejected, repeated, empty, payment; or what has no limit: without unit, other."""
    words: str
    count: int
    of: int
    limit: Decimal | None = None
    level: str = ""
    """Of unplaced, the level of place; of empty and payment, the column."""

    @property
    def beyond(self) -> bool:
        """Whether it is more than the source accepts."""
        if self.kind == "payment":
            return self.count >= FEWEST
        if self.kind == "empty" or self.limit is None:
            return self.kind == "empty"
        return self.count >= FEWEST and self.count > self.limit * self.of

    @property
    def share(self) -> str:
        """The share for people."""
        return f"{self.count / self.of:.1%}" if self.of else ""


def findings(source: Source, batch: BatchReport) -> tuple[Oddity, ...]:
    """What there is to say about a batch, in the order in which its rows are read."""
    accept = source.feed.accept or USUAL
    rows, landed = batch.rows_read + batch.rejected, batch.landed
    found = [
        Oddity("rejected", "rejected: not readable as a row", batch.rejected, rows, accept.rejected),
        Oddity("repeated", "repeated: the record came before", batch.duplicates, batch.rows_read, accept.repeated),
        Oddity("undated", "no date", batch.without_event_time, landed, accept.undated),
    ]
    for level, count in batch.unlocated.items():
        found.append(Oddity("unplaced", f"no place ({level})", count, landed, accept.unplaced, level))
    if source.privacy.unit != "record":
        found.append(Oddity("without unit", f"no {source.privacy.unit}", batch.without_unit, landed))
    dated = landed - batch.without_event_time
    for dataset, keys in batch.other.items():
        of = f" ({dataset})" if len(batch.other) > 1 else ""
        found += [Oddity("other", f"{key} not in the keyset{of}", count, dated) for key, count in keys.items()]
    for column, count in batch.payment.items():
        if column not in accept.payment:
            found.append(Oddity("payment", f"card or bank numbers: {column}", count, batch.rows_read, level=column))
    if landed >= FEWEST:
        odd = [column for column in batch.empty if column not in accept.empty]
        found += [Oddity("empty", f"no value at all: {column}", landed, landed, level=column) for column in odd]
    return tuple(found)


def beyond(source: Source, batch: BatchReport) -> tuple[Oddity, ...]:
    """What is beyond what the source accepts; none if the batch is fine."""
    found = findings(source, batch)
    accept = source.feed.accept or USUAL
    if not batch.rows_read and batch.rejected and accept.rejected < 1:
        return tuple(each for each in found if each.kind == "rejected")  # however few: nothing could be read
    if source.fetched and batch.batch:
        # An hour's changes may well have no value in a column; all deliveries together are still judged.
        found = tuple(each for each in found if each.kind != "empty")
    if nothing_new(source, batch):
        return tuple(each for each in found if each.kind == "repeated" or (each.kind == "payment" and each.beyond))
    return tuple(each for each in found if each.beyond)


def together(batches: Sequence[BatchReport]) -> BatchReport:
    """Several batches as if they were one."""
    other: dict[str, dict[str, int]] = {}
    payment: dict[str, int] = {}
    for batch in batches:
        payment |= {column: payment.get(column, 0) + count for column, count in batch.payment.items()}
        for dataset, keys in batch.other.items():
            counts = other.setdefault(dataset, {})
            counts |= {key: counts.get(key, 0) + count for key, count in keys.items()}
    return BatchReport(
        batch="",
        file=f"{len(batches):,} files together",
        unlisted=(),
        rows_read=sum(batch.rows_read for batch in batches),
        rejected=sum(batch.rejected for batch in batches),
        landed=sum(batch.landed for batch in batches),
        duplicates=sum(batch.duplicates for batch in batches),
        without_event_time=sum(batch.without_event_time for batch in batches),
        without_unit=sum(batch.without_unit for batch in batches),
        unlocated={level: sum(batch.unlocated.get(level, 0) for batch in batches) for level in batches[0].unlocated},
        empty=tuple(column for column in batches[0].empty if all(column in batch.empty for batch in batches)),
        other=other,
        payment=payment,
    )


def nothing_new(source: Source, batch: BatchReport) -> bool:
    """Whether a file of a feed that only appends has no new record: perhaps corrections, which would not be read."""
    accept = source.feed.accept or USUAL
    return source.delivery == "append" and batch.rows_read > 0 and not batch.landed and accept.repeated < 1


def refusal(source: SourceFile, batches: Sequence[BatchReport]) -> Iterator[str]:
    """Lines for the terminal of the person who lands, when the last of these batches is refused."""
    yield from tables(source, batches[:-1])
    yield from table(source, batches[-1])
    yield "Stopped before anything was charged."
    yield from wrapped(batches[-1].refused)


def tables(source: SourceFile, batches: Sequence[BatchReport]) -> Iterator[str]:
    """Lines for the terminal of the person who lands: batch by batch, or their sum where there are many."""
    if len(batches) > MANY:
        batches = [together(batches)]
    for batch in batches:
        yield from table(source, batch)


def table(source: SourceFile, batch: BatchReport) -> Iterator[str]:
    """Lines for the terminal of the person who lands: what a batch has, and what is odd about it."""
    refused = beyond(source.definition, batch)
    read = f"{batch.rows_read:,} rows read"
    yield f"{_cut(f'{source.name}: {batch.file}', WIDTH - 1 - len(read))} {read}"
    for each in findings(source.definition, batch):
        limit = "" if each.limit is None else f"limit {each.limit:.0%}"
        stops = "  <- stops here" if each in refused else ""
        line = f"  {_cut(each.words, _LABEL):<{_LABEL}} {each.count:>9,} {each.share:>6} {limit:>10}"
        yield f"{line}{stops}".rstrip()


def wrapped(sentences: Iterable[str], width: int = WIDTH) -> Iterator[str]:
    """Sentences as lines of at most 80 columns, or of the width given, as far as words allow."""
    for each in sentences:
        yield from textwrap.wrap(each, width, break_long_words=False, break_on_hyphens=False)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
