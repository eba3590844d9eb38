"""`publisher tune`: what was measured, and what it proposes, as tables for people."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import click

from publisher.commands.terminal import print_table
from publisher.pipeline.measurement import loss_words
from publisher.planning.advice import QUANTITIES, bins_of, plain
from publisher.privacy.tuning import spread_of

if TYPE_CHECKING:
    from publisher.definitions.dataset import Measure
    from publisher.planning.advice import Advice
    from publisher.privacy.tuning import Candidate, NoisyHistogram


def print_advice(advice: Advice) -> None:
    """Print the noisy histograms, the trade-off for each measured table, and the lines to paste."""
    found = advice.found
    words = loss_words(found.currency, Fraction(found.loss))
    click.echo(f"{found.dataset} {found.period}: {words} on each of {len(found.blocks)} block(s)")
    for each in found.histograms:
        title = QUANTITIES[each.quantity] + (f": {each.measure}" if each.measure else "")
        if rows := _sketch(each, advice.resolution(each)):
            print_table(title, ("from … to", f"units, ±{each.margin:,}", ""), rows)
    for measure, choices in advice.candidates():
        print_table(f"{measure.name}, in {measure.unit}", *_trade_off(measure, choices))
    for line in (*advice.toml(), *advice.notes()):
        click.echo(line)


def _sketch(histogram: NoisyHistogram, resolution: Fraction) -> list[tuple[str, int, str]]:
    """The bins up to the last that is more than noise, with a bar each; bins below zero if there are any."""
    spread, size = spread_of(histogram), len(histogram.tops) + 1
    used = len(spread.counts) if spread else 0
    bins = bins_of(histogram, resolution)
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
