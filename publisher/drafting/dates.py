"""Which columns are dates, how they are written, and which of them is the date of the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.drafting.words import personal, says, words
from publisher.duck import literal
from publisher.records.diagnosis import FORMATS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.drafting.sample import Sample

FIRST = 200
"""So many rows say which formats are tried at all."""
TRIED = 4_000
"""So many rows are tried."""
MOST = 60
"""So many columns are tried."""
READABLE = 0.8
"""So many of a date's values must be readable: what a source accepts."""
CLEAR = 0.98
"""With so many read, no other format is looked for."""
_DATED = r"^\d{1,4}[-/. ]\d{1,2}[-/. ]\d{1,4}|^\d{1,2}[- ][A-Za-z]{3}|^[A-Za-z]{3,9} \d|^(19|20)\d{6}"
_WHOLE = tuple(form for form in FORMATS if form not in ("%Y", "%Y-%m"))
_BEGINS = {
    *("created", "opened", "open", "issued", "issue", "received", "reported", "requested", "filed", "start", "begin"),
    *("entered", "applied", "submitted", "occurred", "init", "datetimeinit", "fecha", "inicio", "creado", "emision"),
}
_ENDS = {
    *("closed", "close", "completed", "complete", "updated", "update", "modified", "expires", "expiration", "target"),
    *("due", "resolved", "cancel", "end", "finaled", "cierre", "datetimeclosed", "approved", "service"),
}


@dataclass(frozen=True)
class DateColumn:
    """A column of dates: the formats that read it, most frequent first."""

    column: str
    formats: tuple[str, ...]
    readable: float
    """The share of its values that they read."""
    filled: float
    """The share of records that have a value."""
    torn: bool = False
    """True if some values read only with the day first, others only with the month first."""
    either: bool = False
    """True if every value reads with the day first and with the month first."""


def date_columns(sample: Sample) -> list[DateColumn]:
    """The columns of dates, the likeliest date of the record first."""
    if not sample.columns:
        return []
    where = sample.spread(TRIED)
    there = sample.of_each("count({})", sample.columns, where)
    looks = _DATED.replace("{", "{{").replace("}", "}}")
    like = sample.of_each(f"count(*) FILTER (regexp_matches({{}}, '{looks}'))", sample.columns, where)
    named = zip(sample.columns, like, there, strict=True)
    likely = [name for name, dated, count in named if count and dated > 0.5 * count and personal(name) != "birth-date"]
    found = [each for name in likely[:MOST] if (each := _read(sample, name)) is not None]
    found = found or _years(sample, where)
    return sorted(found, key=lambda each: (-_rank(each), sample.columns.index(each.column)))


def _years(sample: Sample, where: str) -> list[DateColumn]:
    """Columns that say that they are years, and are."""
    called = [name for name in sample.columns if set(words(name)) & {"year", "yr", "ano"}]
    shares = [f"count(*) FILTER ({_reads(sample.cell(each), '%Y')}) / count(*)" for each in called]
    read = sample.numbers(", ".join(shares), where) if called else ()
    named = zip(called, read, strict=True)
    return [DateColumn(name, ("%Y",), share, 1.0) for name, share in named if share >= READABLE]


def _rank(date: DateColumn) -> int:
    readable = 4 * (date.readable * date.filled >= READABLE) - 4 * date.torn
    return readable + 2 * says(date.column, _BEGINS) - 2 * says(date.column, _ENDS)


def _read(sample: Sample, column: str) -> DateColumn | None:
    cell, where = sample.cell(column), sample.spread(TRIED)
    forms = [form for form, read in _counted(sample, cell, _WHOLE, sample.spread(FIRST)).items() if read]
    if not forms:
        return None
    rows, there = sample.numbers(f"count(*), count({cell})", where)
    counts = _counted(sample, cell, forms, where)
    first = max(counts, key=lambda form: counts[form])
    formats, read, torn = [first], counts[first], False
    if read < CLEAR * there:
        more = _counted(sample, cell, forms, f"{where} AND NOT {_reads(cell, first)}")
        second = max(more, key=lambda form: more[form])
        if more[second] > 0.02 * there:
            torn = _day_first(first) != _day_first(second) and "/" in first and "/" in second
            formats, read = ([first] if torn else [first, second]), read + (0 if torn else more[second])
    either = any(counts[form] >= read and _day_first(form) != _day_first(first) for form in forms if form != first)
    return DateColumn(column, tuple(formats), read / there, there / rows, torn, either)


def _counted(sample: Sample, cell: str, forms: Sequence[str], where: str) -> dict[str, int]:
    """How many values each format reads."""
    counts = sample.numbers(", ".join(f"count(*) FILTER ({_reads(cell, form)})" for form in forms), where)
    return dict(zip(forms, counts, strict=True))


def _reads(cell: str, form: str) -> str:
    read = f"try_strptime({cell}, {literal(form)})"
    return f"coalesce(year({read}) BETWEEN 1900 AND 2199, false)"


def _day_first(form: str) -> bool:
    return form.startswith("%d")
