"""What tells records apart, who they may be about, and whether files repeat one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from publisher.drafting import words
from publisher.records import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.drafting.sample import Sample

Delivery = Literal["append", "snapshot", "changes"]

DISTINCT = 0.999
"""A record id tells so many records apart."""
MOST = 6
"""A record id has at most so many columns."""
NAMED = 0.95
"""A column that is called an id tells so many records apart; the others are repeated."""
_MEASURED = {"reading", "read", "type", "status", "size", "value", "lectura"}
"""What is measured or said of an account is not the account."""
SOME = 20
"""With fewer values a column says who works on records, not who they are about."""
MANY = 200
"""A column with more values has no kinds."""
_UNITS = (
    ("a person", words.PERSON),
    ("a person's account", words.ACCOUNT),
    ("a firm", words.FIRM),
    ("whoever owns or lives there", words.PARCEL),
    ("everyone at an address", words.ADDRESS),
)


@dataclass(frozen=True)
class UnitGuess:
    """Who the guarantee may protect: `record`, or a column, and in words what that protects."""

    unit: str
    protects: str
    usual: bool
    """Whether it is the guess, if it is the first that is."""
    distinct: int = 0
    largest: int = 0
    """The most records of one of them: for the terminal alone."""


def record_id(sample: Sample, dates: Sequence[str], without: Sequence[str]) -> tuple[tuple[str, ...], float]:
    """The columns that tell records apart, as few as possible, and the share they do tell apart.

    A date is never enough alone.
    """
    candidates = [name for name in sample.columns if name not in (*dates, *without) and not _written(name)]
    if not candidates:
        return (), 0.0
    counts = sample.of_each("count(DISTINCT {})", candidates)
    distinct = dict(zip(candidates, counts, strict=True))
    wanted = DISTINCT * sample.rows
    alone = [name for name in candidates if distinct[name] >= (NAMED * sample.rows if _like_id(name) else wanted)]
    if alone:
        return (max(alone, key=_like_id),), distinct[max(alone, key=_like_id)] / sample.rows
    return _together(sample, sorted(candidates, key=lambda name: (-_like_id(name), -distinct[name])), dates, wanted)


def _together(
    sample: Sample, candidates: Sequence[str], dates: Sequence[str], wanted: float
) -> tuple[tuple[str, ...], float]:
    """The likeliest id, and columns added one by one, each time the one that tells most records apart."""
    chosen, best = [candidates[0]], 0
    candidates = [*candidates[:20], *dates]
    while best < wanted and len(chosen) < MOST:
        rest = [name for name in candidates if name not in chosen]
        if not rest:
            break
        counts = [int(sample.numbers(f"count(DISTINCT {_row(sample, [*chosen, name])})")[0]) for name in rest]
        if max(counts) <= best:
            break
        best = max(counts)
        chosen.append(rest[counts.index(best)])
    for name in sorted(chosen, key=lambda name: not words.personal(name)):  # what is personal goes first
        rest = [each for each in chosen if each != name]
        if rest and int(sample.numbers(f"count(DISTINCT {_row(sample, rest)})")[0]) >= DISTINCT * best:
            chosen = rest
    (told,) = sample.numbers(f"count(DISTINCT {_row(sample, chosen)})")
    return tuple(sorted(chosen, key=sample.columns.index)), int(told) / sample.rows


def units(sample: Sample) -> list[UnitGuess]:
    """Who records may be about: nobody in particular first, then every column that may say so."""
    found = [UnitGuess("record", "each record by itself", usual=False)]
    for protects, signs in _UNITS:
        for name in sample.columns:
            if words.says(name, signs) and not _written(name) and all(each.unit != name for each in found):
                found += _unit(sample, name, protects, signs)
    return found


def _unit(sample: Sample, name: str, protects: str, signs: set[str]) -> list[UnitGuess]:
    """The guess that records are about the values of a column, if there are enough of them."""
    cell = sample.cell(name)
    there, distinct = sample.numbers(f"count({cell}), count(DISTINCT {cell})")
    account = signs is words.ACCOUNT and distinct > 1 and not set(words.words(name)) & _MEASURED
    many = distinct > max(SOME, 0.02 * there) and not set(words.words(name)) & _MEASURED
    if there < 0.2 * sample.rows or not (account or many):
        return []
    most = f"SELECT count(*) FROM sample WHERE {cell} IS NOT NULL GROUP BY {cell} ORDER BY 1 DESC LIMIT 1"
    return [UnitGuess(name, protects, signs is not words.ADDRESS, distinct, sample.all(most)[0][0])]


def kinds(sample: Sample, without: Sequence[str]) -> list[str]:
    """Columns that sort records into a few kinds, the likeliest first."""
    likely = [
        name
        for name in sample.columns
        if name not in without and words.says(name, words.KIND) and words.personal(name) in (None, "account")
    ]
    likely.sort(key=lambda name: words.words(name)[-1:] in (("id",), ("code",), ("key",)))  # its name tells more
    counts = sample.of_each("count(DISTINCT {})", likely)
    return [name for name, count in zip(likely, counts, strict=True) if 2 <= count <= min(MANY, 0.1 * sample.rows + 2)]


def delivery(sample: Sample, files: int, id_columns: Sequence[str]) -> tuple[Delivery, float]:
    """How the next file relates to the ones before, and the largest share of a file that another one repeats."""
    if files < 2 or not id_columns:
        return "append", 0.0
    row = _row(sample, id_columns)
    shares = []
    for n in range(1, files):
        ((shared, smaller),) = sample.all(
            f"WITH a AS (SELECT DISTINCT {row} AS i FROM sample WHERE _file = {n - 1}), "
            f"b AS (SELECT DISTINCT {row} AS i FROM sample WHERE _file = {n}) "
            "SELECT (SELECT count(*) FROM a JOIN b USING (i)), "
            "least((SELECT count(*) FROM a), (SELECT count(*) FROM b))"
        )
        shares.append(shared / max(smaller, 1))
    if min(shares) > 0.9:
        return "snapshot", max(shares)
    return ("changes" if max(shares) > 0.02 else "append"), max(shares)


def _row(sample: Sample, names: Sequence[str]) -> str:
    return sql.separated(sample.cell(name) for name in names)


def _written(name: str) -> bool:
    """Whether a column seems to have texts that people write: never an id."""
    return words.personal(name) in ("text", "email", "phone", "birth-date")


def _like_id(name: str) -> int:
    said = words.words(name)
    ends = name.lower().endswith(("id", "#"))
    return 2 * bool(set(said) & words.CASE) + bool(ends or said[-1:] in (("number",), ("no",)))
