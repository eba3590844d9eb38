"""What `publisher add` asks a person, one question at a time, with the guess as the default.

With `yes`, it asks nothing and takes every guess.
"""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

import click

from publisher.definitions.toml import MARK
from publisher.drafting import dates, identity, points
from publisher.errors import SourceError
from publisher.records.judgement import WIDTH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.drafting.dates import DateColumn
    from publisher.drafting.identity import UnitGuess
    from publisher.drafting.points import AreaFile, PointColumns
    from publisher.drafting.sample import Sample


def date_of(sample: Sample, found: Sequence[DateColumn], *, yes: bool) -> DateColumn:
    """The date of a record. Raises SourceError if no column has one that can be read."""
    usable = [each for each in found if not each.torn and each.readable >= dates.READABLE]
    if not usable and any(each.torn for each in found):
        torn = next(each for each in found if each.torn)
        raise SourceError(
            f"{torn.column}: some dates read only with the month first, others only with the day first, so most could "
            "be either: export the column in one format, such as 2024-12-31"
        )
    if not usable:
        raise SourceError(
            "no column has dates that can be read: every record needs one, in a usual format such as 2024-12-31"
        )
    options = [
        f"{each.column}   such as {_example(sample, each.column)}   {each.readable * each.filled:.1%} readable"
        for each in usable[:9]
    ]
    return usable[_choose("Which date decides when a record counts?", options, yes=yes)]


def place_of(sample: Sample, areas: AreaFile | None, *, yes: bool) -> tuple[PointColumns | None, str | None]:
    """The coordinates of a record, or the code of its area. Raises SourceError if nothing fits the areas."""
    pairs = points.point_columns(sample)
    if areas is None:
        return (points.located(sample, pairs[0], None) if pairs else None), None
    found, fault = [], None
    for pair in pairs:
        try:
            found.append(points.located(sample, pair, areas))
        except SourceError as error:
            fault = fault or error
    codes = points.code_columns(sample, areas)
    path = areas.boundaries.path
    if not found and not codes:
        raise fault or SourceError(
            f"no column has coordinates, or keys of {path}: leave --boundaries out, or export coordinates too"
        )
    options = [
        f"{each.x}, {each.y}   {each.crs}   {each.inside or 0:.0%} inside{' (x and y swapped)' if each.swapped else ''}"
        for each in found
    ]
    options += [f"{name}   {share:.0%} are keys of {Path(path).name}" for name, share in codes]
    chosen = _choose("Place of each record?", options, yes=yes)
    return (found[chosen], None) if chosen < len(found) else (None, codes[chosen - len(found)][0])


def unit_of(found: Sequence[UnitGuess], *, yes: bool) -> str:
    """Who is protected."""
    guess = next((n for n, each in enumerate(found) if each.usual), 0)
    options = [
        f"{each.unit}   {each.distinct:,} of them; one has {each.largest:,} records   protects {each.protects}"
        if each.distinct
        else "nobody in particular   protects each record by itself"
        for each in found
    ]
    return found[_choose("Who is each record about?", options, guess, yes=yes)].unit


def delivery_of(sample: Sample, named: Sequence[str], files: int, *, yes: bool) -> identity.Delivery:
    """How files follow each other."""
    found, repeated = identity.delivery(sample, files, named)
    kinds: list[identity.Delivery] = ["append", "snapshot", "changes"]
    say = ("each file holds new records", "each file holds everything", "later records replace earlier ones")
    why = f" ({repeated:.0%} of a file's records are in the one before)" if files > 1 else ""
    options = [f"{kind}   {each}" for kind, each in zip(kinds, say, strict=True)]
    return kinds[_choose(f"How do files follow each other?{why}", options, kinds.index(found), yes=yes)]


def zone_of(guess: str | None, *, yes: bool) -> str | None:
    """The time zone of the city, None if no one says it."""
    if yes:
        return guess
    while True:
        said = str(click.prompt("Time zone of the city, such as America/Chicago", default=guess or MARK, err=True))
        if said == MARK:
            return None
        if said in available_timezones():
            return said
        click.echo(f"{said} is not the name of a time zone", err=True)


def machine_zone() -> str | None:
    """The time zone that this machine is set to, unless it is a server's."""
    try:
        name = os.environ.get("TZ") or str(Path("/etc/localtime").readlink()).partition("zoneinfo/")[2]
    except OSError:
        return None
    return name if name in available_timezones() and "/" in name and not name.startswith("Etc/") else None


def _choose(question: str, options: Sequence[str], guess: int = 0, *, yes: bool) -> int:
    """The number of the option chosen; the guess where no one is asked."""
    if yes:
        return guess
    alone = len(options) == 1
    click.echo(f"\n{question}{' There is one answer:' if alone else ''}", err=True)
    for n, each in enumerate(options, 1):
        lines = textwrap.wrap(clean(each), WIDTH - 5, replace_whitespace=False, break_on_hyphens=False)
        click.echo("\n".join(f"  {'' if m else n:>1}  {line}" for m, line in enumerate(lines)), err=True)
    if alone:
        return guess
    return int(click.prompt("Choose", type=click.IntRange(1, len(options)), default=guess + 1, err=True)) - 1


def _example(sample: Sample, column: str) -> str:
    cell = sample.cell(column)
    (found,) = sample.numbers(f"min({cell})")
    return str(found)[:26]


def clean(text: str) -> str:
    """A value without what a terminal would obey."""
    return "".join(c if c.isprintable() else "·" for c in text)
