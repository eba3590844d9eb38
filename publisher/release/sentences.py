"""The sentences of a guarantee, for residents first: each says one thing of one release, as Markdown."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.definitions.ceilings import most_a_block
from publisher.grades import CAUTION, LIMITS, OK, UNRELIABLE
from publisher.release.odds import TINY, up

if TYPE_CHECKING:
    from decimal import Decimal

    from publisher.definitions.period import Grain
    from publisher.definitions.source import Currency
    from publisher.release.guarantee_inputs import GuaranteeInputs

NOT_PROTECTED = (
    "What the release shows about everyone (a trend, a neighborhood) can also be applied to you.",
    "What the city, you or others have published elsewhere, such as a public list of requests.",
    "The public keys, bins and limits: which places, categories and periods are listed was never secret.",
    "What people learned from the records and then wrote into a limit, a key or a bin: no noise protects it.",
    "Groups: a household, a building or a business with many records has less protection, as the tables above show.",
    "Suppressed cells: totals and neighboring cells can narrow down their values. Only the noise protects them.",
    "Limits cut off what goes beyond them, so numbers can be too low, and no margin shows it.",
    "Whether and when a release appears: a refusal at landing or a hold for review depends on the records.",
    "How long a release took to make.",
    "What changes between two editions: late records and corrections are visible, as far as the noise allows.",
    "Data outside this source, and other disclosures that the law allows or requires.",
)

ALL_TIME = "the window that covers all time"
"""The only window of a source whose window is a lifetime."""

_MARKUP = re.compile(r"[\\`*\[\]<>|~]|(?<!\w)_|_(?!\w)|&(?=#?\w+;)")


def plain(text: str) -> str:
    """Escape the text of a definition so that it reads the same as Markdown."""
    return _MARKUP.sub(lambda match: "\\" + match[0], " ".join(text.split()))


def symbol(currency: Currency) -> str:
    """The letter for the loss."""
    return "ρ" if currency == "zcdp" else "ε"


def amount(number: Fraction) -> str:
    """The exact number if it is short, otherwise rounded up."""
    text = _digits(up(number))
    if Fraction(text.replace(",", "")) == number:
        return text
    return str(number) if number.denominator < 1000 and number.numerator < 1000 else text


def percent(part: Decimal) -> str:
    """A probability in percent, rounded up to a tenth."""
    tenths = up(Fraction(part) * 1000, 4).to_integral_value("ROUND_CEILING")
    return f"{_digits(min(tenths, type(tenths)(1000)) / 10)}%"


def tiny(number: Fraction) -> str:
    """A very small probability such as 10⁻⁶ or 1.1·10⁻⁵, rounded up."""
    rounded = up(number, 3)
    exponent = rounded.adjusted()
    mantissa = _digits(rounded.scaleb(-exponent))
    power = "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return power if mantissa == "1" else f"{mantissa}·{power}"


def count(number: int) -> str:
    """A whole number as people write it."""
    return f"{number:,}"


def windows(number: int, window: Grain) -> str:
    """A number of windows, such as 1 day or 12 months."""
    if window == "lifetime":
        return "all time"
    return _several(number, window)


def each_window(window: Grain) -> str:
    """The windows that a loss is spent on."""
    return ALL_TIME if window == "lifetime" else f"each {window}"


def protected(unit: str, window: Grain) -> str:
    """Who is protected: a record, or everything of one unit in one window."""
    if unit == "record":
        return "each single record, such as one request"
    recorded = "ever recorded" if window == "lifetime" else f"recorded in one {window}"
    return f"everything {recorded} under one “{plain(unit)}”"


def present(facts: GuaranteeInputs) -> str:
    """What an attacker would like to know."""
    if facts.account.unit == "record":
        return "your record is in the data"
    window = facts.account.window
    return f"your records{'' if window == 'lifetime' else f' from one {window}'} are in the data"


def neighboring(facts: GuaranteeInputs) -> str:
    """The neighboring relation."""
    unit, window = facts.account.unit, facts.account.window
    if unit == "record":
        words = "Two sets of records are called neighbors if they are the same except that one has one more record."
    else:
        span = "" if window == "lifetime" else f" in one {window}"
        words = (
            "Two sets of records are called neighbors if they are the same except that one has all records of one "
            f"“{plain(unit)}”{span} and the other has none of them."
        )
    missing = {
        "own-unit": " A record without that identifier counts as a unit of its own.",
        "drop": " A record without that identifier is not counted.",
        None: "",
    }
    return words + missing[facts.dataset.source.definition.privacy.missing]


def minors(facts: GuaranteeInputs) -> str:
    """That the records are about minors, and what that means; empty if they are not."""
    source = facts.dataset.source.definition
    if not source.minors:
        return ""
    letter, most = symbol(source.privacy.currency), most_a_block(source.privacy.currency, minors=True)
    return (
        f" The records are about minors, so the budget of {each_window(source.privacy.window)} is at most {letter} = "
        f"{amount(most)}, half of what is usual, and no keys are found in the records."
    )


def bounds(facts: GuaranteeInputs) -> list[str]:
    """The most that one unit can change, and where keys, bins and limits come from."""
    definition, source = facts.dataset.definition, facts.dataset.source.definition
    said = [_contribution(facts)]
    for each in definition.measures:
        if each.kind == "sum":
            said.append(
                f"{plain(each.title)}: one unit's total in one cell is limited to between {each.lower:,f} and "
                f"{each.upper:,f} {plain(each.unit)}. The margins do not cover what this cuts off."
            )
        if each.bins is not None:
            said.append(
                f"{plain(each.title)}: values are counted in {len(each.bins)} bins, from {each.bins[0]} to "
                f"{each.bins[-1]} {plain(each.unit)} or more. The bins are public and were written down in advance."
            )
    if source.register_ is not None:
        said.append(
            "Meter readings were turned into differences between one reading and the next of the same unit in the same "
            "window before these limits were applied."
        )
    return [*said, *_coverage(facts), _keys(facts)]


def _coverage(facts: GuaranteeInputs) -> list[str]:
    """What is measured of what the bounds cut, and what it costs."""
    definition = facts.dataset.definition
    if not definition.covered:
        return []
    wider, names = definition.bounds.wider, ", ".join(f"“{plain(each.title)}”" for each in definition.covered)
    sums = [f"{each.wider.upper:,f} {plain(each.unit)}" for each in definition.covered if each.kind == "sum"]
    totals = f", and a total of at most {', '.join(sums)} in a cell" if sums else ""
    loss = f"{symbol(facts.charge.currency)} = {amount(definition.coverage_loss)}"
    limits = f"{_several(wider.max_groups, 'cell')}, {_several(wider.max_per_group, 'record')} in each{totals}"
    words = f"{loss} of the loss measures how much of {names} these limits let count:"
    return [f"{words} one noisy total each for the whole period, within wider limits ({limits})."]


def _contribution(facts: GuaranteeInputs) -> str:
    limits = facts.dataset.definition.bounds
    if facts.account.unit == "record":
        return "A record counts in exactly one cell."
    time = "" if facts.account.window == "lifetime" else f" per {facts.account.window}"
    cells, records = _several(limits.max_groups, "cell"), _several(limits.max_per_group, "record")
    return (
        f"In this release, one “{plain(facts.account.unit)}” counts in at most {cells}{time}, with at most {records} "
        "in each. Anything beyond that is not counted."
    )


def _several(number: int, noun: str) -> str:
    return f"{count(number)} {noun}{'s' if number != 1 else ''}"


def _keys(facts: GuaranteeInputs) -> str:
    found = facts.dataset.definition.discovered
    public = (
        "The lists of places, categories and periods are public. Every cell got noise, including those in which "
        "nothing happened."
    )
    if found is None:
        return public
    return (
        f"There was no public list of the keys of “{plain(found.title)}”. A noisy count decided which keys are shown, "
        "so that keys with few units are left out: a key that only one unit has is shown with a probability of at most "
        f"{tiny(facts.delta)}, so if there are many such keys, a few of them may be shown. A key that only the units "
        "of one household have is shown with a higher probability than that. Records with any other key are counted "
        f"under “{plain(found.other)}”. The other keys come from public lists, and every cell of the keys that are "
        "shown got noise."
    )


def sampling(facts: GuaranteeInputs) -> str:
    """What drew the noise."""
    drawn = {table.sampler for table in facts.charge.tables}
    by = {
        frozenset({"opendp"}): "The noise was drawn by OpenDP, which also computed the losses.",
        frozenset({"numpy"}): "The noise was drawn by publisher's own exact sampler (whole numbers only, no rounding "
        "of fractions); OpenDP computed the losses for the same distribution and scale.",
    }
    mixed = (
        "The noise was drawn by publisher's own exact sampler, and by OpenDP where a scale is too large for that "
        "sampler. OpenDP computed all losses."
    )
    return by.get(frozenset(drawn), mixed)


def late(facts: GuaranteeInputs) -> str:
    """How late records are handled, and what that means for the guarantee."""
    rule = facts.dataset.source.definition.late
    if rule is None:
        once = "Records that arrive later do not change an existing release."
        return f"{_counted(facts)} {once}{_moved(facts)}"
    if rule.policy == "freeze":
        return (
            "A record counts on the day it was received, not on the day of the event that it reports. Windows, budget "
            f"and periods go by the day of receipt, and so does this guarantee. Nothing is added later.{_again(facts)}"
        )
    edition = _edition(facts)
    text = _increment(facts) if rule.policy == "increment" else _charged_again(facts) + _moved(facts)
    return f"{edition} {text}{_again(facts)}"


def _counted(facts: GuaranteeInputs) -> str:
    return _again(facts).strip() if any(facts.earlier) else "Each period is counted once."


def _again(facts: GuaranteeInputs) -> str:
    """That the records of this period were counted before; empty if they were not."""
    if not any(facts.earlier):
        return ""
    tuned = " Records of this period were also counted to choose the bounds by, with noise of its own." * facts.tuned
    if not facts.redefined:
        return f"{tuned} Both losses apply to them."
    return (
        " Records of this period were counted before, under an earlier definition of this table, and those numbers may "
        "have been published. This release counts the records again, with new noise; both losses apply to them."
        f"{tuned}"
    )


def drawn_before(facts: GuaranteeInputs) -> str:
    """What was spent on the same windows before; empty if nothing."""
    if not any(facts.earlier):
        return ""
    letter = symbol(facts.charge.currency)
    earlier, both = facts.earlier, facts.drawn
    deltas = (f" and δ = {tiny(each.delta)}" if each.delta else "" for each in (earlier, both))
    return (
        f" {_who_spent(facts)} had already spent up to {letter} = {amount(earlier.loss)}{next(deltas)} "
        f"on the same time. Together that is up to {letter} = {amount(both.loss)}{next(deltas)} on "
        f"{each_window(facts.account.window)}; the odds and tables here count all of it."
    )


def _who_spent(facts: GuaranteeInputs) -> str:
    earlier = ["Earlier definitions of this table"] * facts.redefined
    tuned = ["measuring how much units contribute to choose the bounds by"] * facts.tuned
    words = " and ".join([*earlier, *tuned])
    return f"{words[0].upper()}{words[1:]}"


def lowered(facts: GuaranteeInputs) -> str:
    """That more was spent than the budget is now; empty if not."""
    account = facts.account
    if account.declared is None:
        return ""
    letter = symbol(account.currency)
    delta = f" and δ = {tiny(account.delta)}" if account.delta else ""
    why = "".join(
        f" On {each.at} the publisher allowed more on some of them: {plain(each.reason)}."
        for each in facts.decisions
        if each.kind == "allowance"
    )
    return (
        f" More than that was spent or allowed on some of them: up to {letter} = {amount(account.budget)}{delta}. "
        f"“Whole budget” means that amount here.{why}"
    )


def amended(facts: GuaranteeInputs) -> str:
    """That dates were read differently before; empty if they were not."""
    return "".join(
        f" Until {each.at} the dates of this source were read differently: {plain(each.reason)}. What was spent until "
        "then counts here on every window into which a date could have been read."
        for each in facts.decisions
        if each.kind == "amendment"
    )


def apart(facts: GuaranteeInputs) -> str:
    """The sources over the same files that are declared to be about other people; empty if there are none."""
    return "".join(
        f" The source {plain(name)} reads the same files, but by a decision of the publisher it is about other people: "
        f"{plain(reason)}."
        for name, reason in facts.apart.items()
    )


def _edition(facts: GuaranteeInputs) -> str:
    state = "final" if facts.vintage >= facts.vintages else "provisional"
    return f"This is scheduled edition {facts.vintage} of {facts.vintages} for this period; it is {state}."


def _moved(facts: GuaranteeInputs) -> str:
    """What a corrected date does where the latest row counts."""
    window = facts.account.window
    if facts.dataset.source.definition.delivery == "append" or window == "lifetime":
        return ""
    return (
        f" If the date of a record is later corrected to another {window}, the record may count in both. What it can "
        "change is then limited in each of them, and the losses of both apply to it."
    )


def _increment(facts: GuaranteeInputs) -> str:
    limits = (
        ""
        if facts.account.unit == "record"
        else " The limits apply to all of these editions together: what one edition has counted of a unit leaves less "
        "room in the next, and no later record lowers a total."
    )
    return (
        "Each scheduled edition counts only records that no earlier one has counted, with noise of its own, and adds "
        "the result to the earlier ones; the margins include the noise of all of them. No record counts in two of "
        "these editions, so the "
        f"loss on {each_window(facts.account.window)} is the largest loss of any of these editions, not their sum."
        f"{limits} This holds as long as a record keeps its id, its date and the edition in which it was first "
        "counted. Those ids are remembered in private, records received after an edition was made wait for the next "
        "one, and every scheduled edition is made even if nothing has arrived."
    )


def _charged_again(facts: GuaranteeInputs) -> str:
    letter = symbol(facts.charge.currency)
    return (
        f"Each scheduled edition counts everything again with new noise and spends again: the "
        f"{facts.vintages} editions together spend up to {letter} = {facts.vintages} × {amount(facts.loss)} = "
        f"{amount(facts.vintages * facts.loss)} on {each_window(facts.account.window)} for this period."
    )


def post_processing(facts: GuaranteeInputs) -> list[str]:
    """What was done after the noise; none of it weakens the guarantee."""
    definition = facts.dataset.definition
    rule = definition.suppression
    said = ["Negative counts are shown as zero."]
    if definition.rollups:
        said = [_rollups(facts)]
    kinds = {each.kind for each in definition.measures}
    if "mean" in kinds:
        said.append("Means are a noisy sum divided by a noisy count.")
    if "quantile" in kinds:
        said.append(
            "Medians and other quantiles are read from noisy counts in public bins, as if the records of a bin were "
            "spread evenly over it."
        )
    said.append(
        f"Cells whose noisy count is below {count(rule.threshold)} are suppressed; the others are graded by half their "
        f"margin: {OK} up to {LIMITS[0]}% of the value, {CAUTION} up to {LIMITS[1]}%, {UNRELIABLE} beyond."
    )
    if rule.complementary:
        said.append(
            "Where only one cell of a total would be suppressed, another one is suppressed too, chosen by noisy values."
        )
    if rule.customers is not None and rule.largest_share is not None:
        said.append(
            f"Cells are also suppressed unless they have at least {rule.customers} customers and no customer has more "
            f"than {_digits(up(Fraction(rule.largest_share) * 100))}% of the total, with 97.5% confidence for each "
            "condition; both are decided from noisy values."
        )
    if definition.totals:
        said.append(
            "Totals over time are computed from the same noisy numbers, as they were before anything was cut at zero, "
            "and rounded once. They cost nothing, and do not add up with the numbers of their periods to the digit."
        )
    said.append("Margins hold for 95% of cells before suppression, not for 95% of the cells that are left after it.")
    if definition.publish_measurements:
        said.append(
            "The noisy number of every cell before all of this, of suppressed cells too, is published in files next to "
            "the tables: they show what suppression hides. This guarantee covers them: the noise is in them too."
        )
    return said


def _rollups(facts: GuaranteeInputs) -> str:
    definition = facts.dataset.definition
    words = (
        "Coarser tables of the same records were measured with noise of their own. All tables were then reconciled by "
        "weighted least squares and rounded so that published counts and totals add up exactly. Margins come from the "
        "reconciled estimate before it was rounded to whole numbers of at least zero, and they contain the published "
        "value."
    )
    if facts.account.unit != "record" and any(each.kind == "count_units" for each in definition.measures):
        words += (
            " Counts of distinct units do not add up where one unit can be in several cells; those are left as "
            "measured."
        )
    return words


def delta_words(facts: GuaranteeInputs) -> str:
    """The probability that the odds leave out."""
    return tiny(TINY + facts.delta)


def anonymous(facts: GuaranteeInputs) -> str:
    """The loss for a person who has records with and without an identifier."""
    if facts.dataset.source.definition.privacy.missing != "own-unit":
        return ""
    currency = facts.charge.currency
    terms = "(1 + a)² ρ" if currency == "zcdp" else "(1 + a) ε"
    examples = " and ".join(
        f"{amount(facts.drawn.loss * ((1 + a) ** 2 if currency == 'zcdp' else 1 + a))} for a = {a}" for a in (1, 5)
    )
    time = "" if facts.account.window == "lifetime" else f" in the same {facts.account.window}"
    return (
        "Records without an identifier count as units of their own. For someone who has identified records and also a "
        f"number a of records without an identifier{time}, the loss is up to {terms}: {examples}."
    )


def _digits(number: Decimal) -> str:
    """The number without an exponent where that is readable, and without trailing zeros."""
    short = number.normalize()
    return f"{short:,f}" if -7 < short.adjusted() < 16 else str(short)
