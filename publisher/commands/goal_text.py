"""The answer to a goal: what was understood, what it takes, and what three kinds of readers would see."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from publisher.definitions import period as civil
from publisher.definitions.ceilings import most_a_release
from publisher.grades import STATUSES, grade, margin_percent
from publisher.planning.chances import odds_words
from publisher.planning.goal import HALF, in_ten
from publisher.privacy.charge import decimal
from publisher.records.judgement import WIDTH, wrapped
from publisher.workspace import OPEN_BUDGET

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.definitions.dataset import Measure
    from publisher.planning.forecast import Forecast
    from publisher.planning.goal_plan import GoalAnswer, GoalFit

STEPS = (1.0, 0.5, 0.2, 0.1)
"""The parts of the most that a release may spend which are shown where no size is known."""

WITHHELD = "too few to show"


def lines(answer: GoalAnswer) -> Iterator[str]:
    """The answer for people, at most 80 columns wide."""
    found = answer.found
    yield from wrapped(found.goal.understood(_measures(found)))
    if not found.sized:
        yield from _start(answer)
        return
    yield from wrapped(_sizes(answer))
    yield from ("", *wrapped(_verdict(answer)), *_larger(answer), *_proposal(answer))
    yield from ("", *_resident(answer), "", *_planner(answer), "", *_officer(answer))


def as_json(answer: GoalAnswer, changes: Sequence[str]) -> dict[str, Any]:
    """Everything, for machines."""
    found, ceiling, plan = answer.found, answer.found.ceiling, answer.plan
    definition = found.dataset.definition
    return {
        "dataset": found.dataset.name,
        "goal": asdict(found.goal) | {"words": found.goal.words()},
        "known_from": plan.known.origin,
        "met": found.met and found.sized,
        "reached": found.reached if found.sized else None,
        "currency": definition.loss.currency,
        "loss": float(found.loss),
        "loss_needed": float(found.needed) if found.sized else None,
        "ceiling": {
            "release": float(ceiling.loss),
            "block": float(ceiling.allowed),
            "releases_a_block": ceiling.charges,
            "others_a_block": float(ceiling.others),
        },
        "shares": {level or "": float(definition.share_of(level)) for level in _levels(answer)},
        "bounds": definition.bounds.model_dump(),
        "cut": found.cut,
        "threshold": definition.suppression.threshold,
        "tables": [_table_json(each) for each in plan.tables],
        "odds": asdict(plan.odds),
        "last_paid": plan.pace.last,
        "first_refused": plan.pace.refused,
        "alternatives": [{"goal": each.goal.words(), "loss": float(each.loss)} for each in answer.alternatives],
        "redrawn": [period.label for period in answer.redraw.periods] if answer.redraw is not None else [],
        "changes": list(changes),
    }


def _table_json(table: Forecast) -> dict[str, Any]:
    kept = ("table", "level", "measure", "cells_a_release", "half_width", "half_width_most", *STATUSES)
    return {name: value for name, value in asdict(table).items() if name in kept}


def _start(answer: GoalAnswer) -> Iterator[str]:
    """What is possible where no one knows how large the numbers are, and what to say."""
    found, sign = answer.found, _sign(answer)
    measure = next(each for each in _measures(found) if each.name not in found.values)
    margin, goal = found.margins[measure.name], found.goal
    yield ""
    yield from wrapped(
        [f"It is not known how large the numbers of {measure.title} are, and records are not looked at:"]
    )
    for part in STEPS:
        wide = margin / (part**0.5 if sign == "ρ" else part)
        loss = f"{sign} {float(found.ceiling.loss) * part:<6.3g}"
        yield f"  with {loss} a number is ±{_number(wide)}: {goal.exact} from {_number(wide / goal.within)} on"
    what = f"{measure.unit} a {goal.grain}"
    each = f" or '10 to 200 {what} in each {goal.keys[0].replace('_', ' ')}'" if goal.keys else ""
    yield from wrapped([f"Say what you know from elsewhere: --guess '3,000 {what}'{each}."])
    tunable = _unit(answer) != "record" or measure.kind == "sum"
    if tunable and not answer.search.draft.open:
        yield from wrapped(
            [f"Or measure it with noise: --tune {answer.search.dataset.definition.first} asks, then charges."]
        )


def _sizes(answer: GoalAnswer) -> Iterator[str]:
    """How large numbers are taken to be, and why."""
    found, goal = answer.found, answer.found.goal
    measures = {each.name: each for each in _measures(found)}
    known = [f"{_number(value)} {measures[name].unit}" for name, value in found.values.items()]
    if not known:
        return
    which = "a typical number is" if goal.share == HALF else f"{in_ten(goal.share)} numbers are at least"
    yield f"Sizes ({answer.plan.known.origin}): {which} {' and '.join(known)}."
    sizes, levels = answer.search.sizes(found.dataset), found.dataset.levels(answer.plan.release)
    level = next(each for each in levels if each.name == found.table.level)
    if any(sizes.assumed(level, measure) for measure in measures.values()):
        guess = f"10 to 200 a {goal.grain} in each {goal.keys[0].replace('_', ' ')}"
        yield f"Assumed: one cell in ten has less than a sixth of the average. --guess '{guess}' says it better."


def _verdict(answer: GoalAnswer) -> Iterator[str]:
    """Whether the goal is met; if not, by how much it is missed, and what would meet it."""
    found, sign, reach = answer.found, _sign(answer), answer.found.within_reach
    if found.met:
        yield f"The goal is met with {sign} {found.loss:f} per release (the most here: {sign} {found.ceiling.loss:f})."
        return
    if found.hides and found.needed <= found.loss:
        yield (
            f"The goal is missed: with {sign} {found.loss:f}, numbers are {found.goal.exact}, but {found.withheld:.0%} "
            "of them are withheld by the threshold or the customer rule. Goals that could be met:"
        )
    else:
        exact = reach.exact if reach is not None else "less than their noise"
        yield (
            f"The goal is missed: with {sign} {found.loss:f}, the most for a release here, numbers are {exact}, not "
            f"{found.goal.exact}. Goals that could be met:"
        )
    for each in answer.alternatives:
        yield f"  {sign} {each.loss:<6f} {each.goal.words()}"
    if reach is not None and not found.hides:
        yield f"  {sign} {found.loss:<6f} {reach.words()}"


def _larger(answer: GoalAnswer) -> Iterator[str]:
    """The loss that would meet a missed goal, and why it is not proposed."""
    larger = answer.larger
    if larger is not None:
        ceiling, odds = answer.found.ceiling, f"{100 * larger.odds.dataset:.0f}%"
        why = f"guesses about one {_unit(answer)} would be right up to {odds} of the time"
        minors = answer.found.dataset.source.definition.minors
        if larger.loss <= most_a_release(answer.search.currency, minors=minors):
            why = f"{ceiling.charges} releases and the other datasets share what a block may spend"
        yield from _hanging(f"{_sign(answer)} {larger.loss:<6f}", f"the goal as it is; not proposed, since {why}", 9)


def _proposal(answer: GoalAnswer) -> Iterator[str]:
    """The settings, each with what it is now if it differs."""
    found, old, new = answer.found, answer.search.draft.values, answer.found.table.values
    name = "rho" if _sign(answer) == "ρ" else "epsilon"
    yield f"  {name:<14}{_changed(old.get('loss', {}).get(name), found.loss)}"
    shares = [
        f"{level or 'own table'} {float(found.dataset.definition.share_of(level)):g}" for level in _levels(answer)
    ]
    if len(shares) > 1:
        yield from _hanging("shares", ", ".join(shares), 14)
    for bound in ("max_groups", "max_per_group") if "bounds" in new else ():
        yield f"  {bound:<14}{_changed(old.get('bounds', {}).get(bound), new['bounds'].get(bound))}"
    before = {each["name"]: each for each in old.get("measures", ())}
    for each in new["measures"]:
        if "upper" in each and each["upper"] != before[each["name"]]["upper"]:
            yield f"  upper         {_changed(before[each['name']]['upper'], each['upper'])}, of {each['name']}"
    now, threshold = (values["suppression"]["threshold"] for values in (old, new))
    why = "" if now == threshold else "; the noise alone makes smaller numbers unreliable"
    yield f"  threshold     {_changed(now, threshold)}{why}"
    yield from wrapped(_cut(answer))


def _cut(answer: GoalAnswer) -> Iterator[str]:
    """What the bounds cut of the goal's measures, as far as it was measured."""
    found = answer.found
    if "bounds" not in found.table.values:
        return
    if not found.cut:
        yield "What these bounds cut was not measured for these cells; `publisher tune` does, for a charge."
    for measure in _measures(found):
        if measure.name in found.cut:
            cut = f"about {100 * found.cut[measure.name]:.0f}%" if found.cut[measure.name] >= 0.01 else "less than 1%"
            yield f"These bounds cut {cut} of {measure.title}; that is part of {found.goal.exact}."


def _resident(answer: GoalAnswer) -> Iterator[str]:
    """A number as a page shows it."""
    found, goal = answer.found, answer.found.goal
    where = " and ".join((*goal.keys, goal.grain)).replace("_", " ") if goal.keys else goal.grain
    yield f"A resident reads, of a {'typical' if goal.share == HALF else 'rather small'} {where}:"
    for measure in _measures(found):
        margin, value = found.margins[measure.name], found.values.get(measure.name)
        yield f"  {measure.title.partition(',')[0]}: {_read(answer, measure, value, margin)}"


def _read(answer: GoalAnswer, measure: Measure, value: float | None, margin: float) -> str:
    """One number with its range and grade."""
    if value is None:
        return f"any number, give or take {_number(margin)} {measure.unit}"
    rule = answer.found.dataset.definition.suppression
    if measure.name == rule.measure and value < rule.threshold:
        return WITHHELD
    shown, low, high = (Decimal(round(each)) for each in (value, max(0.0, value - margin), value + margin))
    reliable = f"{grade(shown, low, high)}: probably within {margin_percent(shown, low, high)}%"
    return f"{shown:,} ({low:,}–{high:,}) · {reliable}"


def _planner(answer: GoalAnswer) -> Iterator[str]:
    """Every table: its cells, a typical number with its margin, and the shares of each grade."""
    plan, found = answer.plan, answer.found
    title = "A planner sees"
    for measure in _measures(found):
        yield f"{title:<21}{'cells':>7}{'typical':>12}{'margin':>11}  ok/caution/unrel./withheld"
        title = ""
        for table in plan.tables:
            if table.measure == measure.name and found.dataset.definition.shows(table.level):
                yield _planned(answer, table, measure)


def _planned(answer: GoalAnswer, table: Forecast, measure: Measure) -> str:
    import numpy as np

    cells = answer.plan.known.cells.get((table.level, measure.name))
    typical = _number(float(np.median(cells.values))) if cells is not None else "?"
    name = table.level or "own table"
    name = name if len(name) <= 18 else f"{name[:17]}…"
    shares = [getattr(table, status) for status in STATUSES]
    told = " / ".join(_percent(max(0.0, each)) for each in shares) + "%" if None not in shares else "unknown"
    return f"  {name:<19}{table.cells_a_release or 0:>7,}{typical:>12}{'±' + _number(table.half_width):>11}  {told}"


def _officer(answer: GoalAnswer) -> Iterator[str]:
    """The odds, and the budget."""
    found, plan, sign = answer.found, answer.plan, _sign(answer)
    ceiling, window = found.ceiling, found.dataset.source.definition.privacy.window
    yield "A privacy officer sees"
    spent = ceiling.charges * found.dataset.definition.loss.amount
    times = f" in {ceiling.charges} releases" if ceiling.charges > 1 else ""
    block = "In all time" if window == "lifetime" else f"Each {window}"
    said = [
        odds_words(found.dataset, plan.odds),
        (
            f"{block}, this dataset spends {sign} {decimal(spent)}{times}, and the source's other datasets "
            f"{decimal(ceiling.others)}; all together may spend {decimal(ceiling.allowed)}."
        ),
        _lasting(answer),
    ]
    if answer.search.draft.budget_open:
        said.append(f"The budget of {found.dataset.source.name} is not decided yet; {OPEN_BUDGET} is assumed.")
    yield from (f"  {line}" for each in said for line in wrapped([each], 78))


def _lasting(answer: GoalAnswer) -> str:
    """How long the budget lasts."""
    pace, today = answer.plan.pace, answer.found.dataset.source.today()
    if pace.refused is None:
        last = answer.found.dataset.definition.last
        return f"Budget: enough for every release{f' up to the last, {last}' if last else ', with no end in sight'}."
    if pace.last is None:
        return f"Budget: nothing is left; {pace.refused} would be refused."
    years = max(0.0, (civil.parse(pace.last).end - today).days / 365.25)
    return f"Budget: {years:.1f} years are left; {pace.last} is the last release that it covers."


def _levels(answer: GoalAnswer) -> list[str]:
    return [*(rollup.name for rollup in answer.found.dataset.definition.rollups), ""]


def _measures(found: GoalFit) -> list[Measure]:
    return [each for each in found.dataset.definition.measures if each.name in found.goal.measures]


def _sign(answer: GoalAnswer) -> str:
    return "ρ" if answer.search.currency == "zcdp" else "ε"


def _unit(answer: GoalAnswer) -> str:
    return answer.found.dataset.source.definition.privacy.unit


def _changed(before: object, after: object) -> str:
    now = f"{after:f}" if isinstance(after, Decimal) else str(after)
    return now if before is None or before == after else f"{now} (now {before})"


def _hanging(name: str, said: str, width: int) -> Iterator[str]:
    """A name, and beside it what is said of it, in as many lines as it takes."""
    first, *rest = wrapped([said], WIDTH - 2 - width)
    yield f"  {name:<{width}}{first}"
    yield from (f"{'':<{width + 2}}{line}" for line in rest)


def _number(amount: float) -> str:
    return f"{amount:,.1f}" if amount < 9.95 and amount != round(amount) else f"{amount:,.0f}"


def _percent(part: float) -> str:
    return "<1" if 0 < part < 0.005 else f"{100 * part:.0f}"
