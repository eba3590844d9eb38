"""`publisher tune`: what is common, what bounds cut, what noise costs, the one proposal, and what to type next."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import click

from publisher.commands.terminal import print_table
from publisher.planning.advice import QUANTITIES, bins_of, plain
from publisher.privacy.tuning import spread_of
from publisher.records.judgement import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.definitions.dataset import Measure
    from publisher.planning.advice import Advice
    from publisher.privacy.tuning import Candidate, NoisyHistogram, Spread

HALF, MOST = 0.5, 0.9
"""The shares of units by which it is said what is common."""

UNSURE = 0.05
"""The share of units that the noise may hide from which on a person is told of it."""


def print_advice(advice: Advice, *, details: bool = False) -> None:
    """Print what a person decides by; with `details` also the noisy histograms and every choice."""
    for line in lines(advice):
        click.echo(line)
    if details:
        _print_details(advice)


def lines(advice: Advice) -> Iterator[str]:
    """The answer in lines of at most 80 columns."""
    found = advice.found
    if found.stand_in:
        yield "Measured on generated records; real ones will differ."
    privacy = advice.asked.dataset.source.definition.privacy
    unit = "record" if privacy.unit == "record" else f"{privacy.unit} and {privacy.window}"
    yield f"{f'{found.period}, of one {unit}:'[:41]:<41}{'half have':>12}{'9 in 10':>12}{'the most':>12}".rstrip()
    for each in found.histograms:
        yield from _common(advice, each)
    rows = [row for measure, choices in advice.candidates() for row in _compared(measure, choices)]
    if rows:
        yield f"{'In an average cell':<54}{'cut':>10}{'noise':>7}{'error':>7}"
    yield from rows
    yield from wrapped(_next(advice))
    yield from (f"  {line}" for line in advice.toml() if _new(advice))
    yield "Noisy and paid for: you may show it to anyone. --details lists every choice."


def _common(advice: Advice, histogram: NoisyHistogram) -> Iterator[str]:
    """What half of the units have at most, what nine in ten have, and the most that the noise lets be seen."""
    spread, step = spread_of(histogram), advice.resolution(histogram)
    measure = next((each for each in advice.asked.sums if each.name == histogram.measure), None)
    what = {"cells": "cells it is in", "records": "records in its fullest cell"}.get(histogram.quantity)
    what = what or f"{measure.unit if measure is not None else ''} in its largest cell, at most"
    if spread is None:
        yield f"  {what[:37]:<39}{'hidden by the noise: spend more':>36}"
        return
    told = [f"{float(top * step):,.10g}" for top in (_top(spread, HALF), _top(spread, MOST))]
    above = "" if spread.most is not None else "> "
    most = f"{above}{float((spread.most or spread.tops[-1]) * step):,.10g}"
    yield f"  {what[:37]:<39}{told[0]:>12}{told[1]:>12}{most:>12}"
    if spread.hidden / spread.units >= UNSURE:
        hidden = f"{spread.hidden / spread.units:.0%}"
        yield f"    (the noise may hide {hidden} that have more: spend more, or a longer period)"


def _top(spread: Spread, part: float) -> int:
    """The smallest end of a bin that this share of the units is within."""
    return next((top for top in spread.tops if spread.within(top) >= part), spread.tops[-1])


def _compared(measure: Measure, choices: list[Candidate]) -> Iterator[str]:
    """The bounds in use and those proposed, with what they cut and what their noise costs."""
    chosen = [row for row in choices if row.current or row.proposed]
    for row in sorted(chosen, key=lambda row: not row.current):
        when = "now, and proposed" if row.current and row.proposed else "now" if row.current else "proposed"
        bounds = f"{row.max_groups} cell{'s' if row.max_groups > 1 else ''}"
        if row.amount:
            to = float(row.amount * Fraction(measure.resolution or 1))
            bounds += f", to {to:,.10g}" if measure.kind == "sum" else f", {row.amount} each"
        bias = "–".join(dict.fromkeys(f"{each:.0%}" for each in row.bias or ())) or "?"
        numbers = f"{bias:>10}{_share(row.noise_share):>7}{_share(row.total):>7}"
        yield f"  {measure.name[:15]:<16}{when:<18}{bounds:<18}{numbers}"


def _new(advice: Advice) -> bool:
    """Whether something else is proposed than what the file has."""
    return advice.asked.new or not all(row.current for _, rows in advice.candidates() for row in rows if row.proposed)


def _next(advice: Advice) -> Iterator[str]:
    """The one proposal, and what to type."""
    name = advice.found.dataset
    if not advice.toml():
        yield "Nothing can be proposed: the noise hides everything. Spend more, or take a period with more units."
    elif not _new(advice):
        yield f"The bounds are as proposed. Next: publisher plan {name} --goal WORDS finds the loss."
    else:
        by = "the smallest error" if advice.proposal.least is not None else f"{advice.proposal.keep:.0%} of units uncut"
        yield f"Proposed ({by}). Put this into datasets/{name}.toml, then type: publisher check"


def _print_details(advice: Advice) -> None:
    """The noisy histograms, the trade-off for each measured table, and the notes."""
    for each in advice.found.histograms:
        title = QUANTITIES[each.quantity] + (f": {each.measure}" if each.measure else "")
        if rows := _sketch(each, advice):
            print_table(title, ("from … to", f"units, ±{each.margin:,}", ""), rows)
    for measure, choices in advice.candidates():
        print_table(f"{measure.name}, in {measure.unit}", *_trade_off(measure, choices))
    for line in wrapped(advice.notes()):
        click.echo(line)


def _sketch(histogram: NoisyHistogram, advice: Advice) -> list[tuple[str, int, str]]:
    """The bins up to the last that is more than noise, with a bar each; bins below zero if there are any."""
    spread, size = spread_of(histogram), len(histogram.tops) + 1
    used = len(spread.counts) if spread else 0
    bins = bins_of(histogram, advice.resolution(histogram))
    rows = bins[:used] + (bins[size : size + used] if spread and spread.negatives else [])
    most = max((count for _, count in rows), default=1)
    return [(name, count, "█" * round(30 * max(count, 0) / max(most, 1))) for name, count in rows]


def _trade_off(measure: Measure, rows: list[Candidate]) -> tuple[list[str], list[list[object]]]:
    """Headings and rows; a count of units has no second bound."""
    second = {"sum": ["upper"], "count_units": []}.get(measure.kind, ["max_per_group"])
    headings = ["max_groups", *second, "units whole", "cut", "noise", "total", ""]
    return headings, [_row(row, measure, bounded=bool(second)) for row in rows]


def _row(row: Candidate, measure: Measure, *, bounded: bool) -> list[object]:
    amount: list[object] = []
    if bounded:
        amount = [plain(row.amount, measure) if measure.kind == "sum" and row.amount is not None else row.amount or ""]
    known = [each for each in (row.within_groups, row.within_amount) if each is not None]
    whole = " · ".join(f"{each:.0%}" for each in known)
    bias = " … ".join(dict.fromkeys(f"{each:.0%}" for each in row.bias or ()))
    marks = ", ".join(["proposed"] * row.proposed + ["now"] * row.current)
    return [row.max_groups, *amount, whole, bias, _share(row.noise_share), _share(row.total), marks]


def _share(part: float | None) -> str:
    return f"{part:.0%}" if part is not None else "?"
