"""The plan for people: what releases cost, how long the budget lasts, and how accurate each table will be."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from publisher.commands.terminal import print_table, say
from publisher.grades import CAUTION, LIMITS, STATUSES, UNRELIABLE
from publisher.pipeline.consent import spanned
from publisher.pipeline.report import loss_words
from publisher.planning.bounds_known import bounds_known, coverage_planned, error_shares
from publisher.planning.chances import odds_words
from publisher.planning.comparison import toml_of
from publisher.planning.forecast import margin_words
from publisher.privacy.charge import decimal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.definitions.dataset import Measure
    from publisher.planning.comparison import Alternative, Split
    from publisher.planning.forecast import Forecast, Plan

BAR = 20
"""The length of a bar in characters."""

MARKS = dict(zip(STATUSES, "█▓▒░", strict=True))
"""The part of a bar for each grade."""

UNKNOWN = "unknown"


def print_plans(plans: Sequence[Plan]) -> None:
    """One paragraph and one table for each dataset, then how to read them."""
    for plan in plans:
        say(f"{plan.dataset.name}: {plan.dataset.definition.title}", bold=True)
        known = bounds_known(plan.dataset, plan.tuned, plan.release)
        for line in (*_paragraph(plan), *_free(plan), *_edited(plan), *known):
            say(f"  {line}")
        headings = ("table", "measure", "cells", "loss", "margin (95%)", "ok from", f"cells {plan.known.origin}")
        print_table("", headings, [_row(plan, table) for table in plan.tables])
        say()
    if any(
        table.suppressed is None and plan.dataset.definition.shows(table.level)
        for plan in plans
        for table in plan.tables
    ):
        say("unknown: nothing is released yet. Guess a cell's value with --typical 25 or --typical MEASURE=25.")
    say(
        "margin: of one cell, after the tables are made to add up. ok from: half the margin of smaller values is more "
        f"than {LIMITS[0]}% of them ({CAUTION}), or more than {LIMITS[1]}% ({UNRELIABLE})."
    )
    marks = " / ".join(f"{mark} {status}" for status, mark in MARKS.items())
    say(f"cells: {marks}. No record was read and nothing was spent.")


def for_machines(plan: Plan) -> list[dict[str, Any]]:
    """Every measured table of a plan, with what bounds cut of it."""
    measures = {each.name: each for each in plan.dataset.definition.measured}
    return [
        asdict(table)
        | asdict(error_shares(plan.dataset, plan.tuned, measures[table.measure]))
        | asdict(coverage_planned(plan.dataset, measures[table.measure]))
        for table in plan.tables
    ]


def print_candidates(plan: Plan, found: Sequence[Alternative]) -> None:
    """One table for each measure: a row for each combination, with the tables side by side."""
    for measure in plan.dataset.definition.measured:
        if not measure.shown and measure.name != plan.dataset.definition.suppression.measure:
            continue
        rows = [_compared(each, measure) for each in found]
        levels = [table.level or table.dataset for table in found[0].tables if table.measure == measure.name]
        headings = ("settings", *levels, "releases left", "on a new block")
        title = f"{plan.dataset.name}: {measure.title}: margin (95%) · {'/'.join(STATUSES)} ({plan.known.origin})"
        print_table(title, headings, rows)


def print_split(found: Split, plan: Plan) -> None:
    """The suggested shares next to those in use, then the lines to paste."""
    measures = {each.name: each for each in plan.dataset.definition.measured}
    headings = ["table", "weight", "share now", "suggested"]
    headings += [f"{each.title}: {when}" for each in measures.values() for when in ("now", "suggested")]
    rows = []
    for part in found.parts:
        row = [part.level, part.weight, _percent(part.share), _percent(part.suggested)]
        for name, measure in measures.items():
            row += [margin_words(part.margins[name], measure), margin_words(part.suggested_margins[name], measure)]
        rows.append(row)
    print_table(f"{found.dataset}: the split with the smallest weighted error", headings, rows)
    if found.gain < 0.005:
        say("The shares in use are as good as any.")
        return
    say(f"The weighted error falls by {_percent(found.gain)}. Shares for datasets/{found.dataset}.toml:\n")
    click.echo(toml_of(found, plan.dataset.definition))


def _paragraph(plan: Plan) -> Iterator[str]:
    dataset, pace = plan.dataset, plan.pace
    definition, privacy = dataset.definition, dataset.source.definition.privacy
    grain, window = definition.period, privacy.window
    last = f" to {definition.last}" if definition.last else " on"
    ended = f"{pace.released} of {len(pace.ended)} past periods are drawn" if pace.ended else "no period has ended yet"
    yield f"One release per {grain}, from {definition.first}{last}; {ended}."
    blocks = f"each of {pace.blocks} {window} blocks" if pace.blocks > 1 else f"one {window} block"
    extra = f" and δ {decimal(definition.delta)} to find keys" if definition.delta else ""
    yield f"A release spends {loss_words(dataset)}{extra} on {blocks} of {dataset.source.name} (unit: {privacy.unit})."
    delta = f" and δ {decimal(pace.delta_left)} of {privacy.delta}" if definition.delta else ""
    left = f"{decimal(pace.left)} of {privacy.budget}{delta} left: {_room(pace.releases_left)}"
    which = "The fullest block of past periods" if pace.ended else "Each block"
    yield f"{which} has {left}. {_lasting(plan)}"
    yield odds_words(dataset, plan.odds)


def _free(plan: Plan) -> Iterator[str]:
    """The tables that cost nothing."""
    names = [plan.dataset.named(total.name) for total in plan.dataset.definition.totals]
    if names:
        yield f"At no cost: totals over time in {', '.join(names)}, from the noisy numbers of the releases."


def _edited(plan: Plan) -> Iterator[str]:
    """What the edited definition would charge again, and what it changes for free."""
    if plan.edited is None:
        return
    if plan.edited.periods:
        yield plan.edited.words()
    if plan.edited.refinished:
        yield f"At no cost: {spanned(plan.edited.refinished)} would get a new edition from the same draw."


def _room(releases: int) -> str:
    if releases == 0:
        return "not enough for another release"
    return f"enough for {releases:,} more release{'' if releases == 1 else 's'}"


def _lasting(plan: Plan) -> str:
    pace, definition = plan.pace, plan.dataset.definition
    if pace.refused is None:
        if pace.last is None and pace.released:
            return f"Every release up to the last, {definition.last}, is drawn."
        end = f"up to the last, {definition.last}" if definition.last else "with no end in sight at this pace"
        return f"Releases to come have enough budget on their own blocks, {end}."
    paid = f"{pace.last} is the last release it covers" if pace.last else "it covers no release"
    return f"At this pace the budget runs out: {paid}, and {pace.refused} will be refused."


def _row(plan: Plan, table: Forecast) -> list[object]:
    definition = plan.dataset.definition
    measure = next(each for each in definition.measures if each.name == table.measure)
    loss = f"{float(definition.loss_of(measure, table.level)):.4g}"
    share = f" ({_percent(float(definition.share_of(table.level)))})" if definition.rollups else ""
    published = measure.shown and definition.shows(table.level)
    return [
        table.level or table.dataset,
        measure.title,
        table.cells_a_release if table.cells_a_release is not None else "as found",
        f"{loss}{share}",
        table.margin,
        f"{math.ceil(table.ok_from):,}" if published else "",
        _bar(table) if published else "not published",
    ]


def _bar(table: Forecast) -> str:
    """The cells of each grade as one bar with its numbers."""
    shares = _shares(table)
    if not shares:
        return UNKNOWN
    ends = [round(BAR * sum(shares[: n + 1])) for n in range(len(shares))]
    lengths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    bar = "".join(mark * length for mark, length in zip(MARKS.values(), lengths, strict=True))
    return f"{bar} {' / '.join(map(_percent, shares))}"


def _shares(table: Forecast) -> list[float]:
    """The expected share of each grade, in order; empty if unknown."""
    shares = [getattr(table, status) for status in STATUSES]
    return [max(0.0, share) for share in shares] if None not in shares else []


def _compared(each: Alternative, measure: Measure) -> list[object]:
    tables = [table for table in each.tables if table.measure == measure.name]
    first = tables[0]
    return [
        ", ".join(f"{name} {value}" for name, value in each.settings.items()),
        *(f"{table.margin.split()[0]} · {_shortly(_shares(table))}" for table in tables),
        first.releases_left,
        each.releases_a_block,
    ]


def _shortly(shares: list[float]) -> str:
    return "/".join(_percent(share).rstrip("%") for share in shares) + "%" if shares else UNKNOWN


def _percent(part: float) -> str:
    return "<1%" if 0 < part < 0.005 else f"{100 * part:.0f}%"
