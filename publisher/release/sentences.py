"""The sentences of a guarantee, for residents first: each says one thing of one release, as Markdown."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.release.odds import TINY, up

if TYPE_CHECKING:
    from decimal import Decimal

    from publisher.definitions.period import Grain
    from publisher.definitions.source import Currency
    from publisher.release.guarantee_inputs import GuaranteeInputs

NOT_PROTECTED = (
    "What the release teaches about everybody (a trend, a neighborhood) can be applied to you too.",
    "What the city, you or others have published elsewhere, for example a public list of requests.",
    "The public keys, bins and limits: which places, categories and periods are listed was never secret.",
    "What people learned from the records and then wrote into a limit, a key or a bin: no noise covers it.",
    "Groups: a household, a building or a firm with many records is protected less, as the tables above say.",
    "Suppressed cells: totals and neighboring cells can narrow them. Their protection is the noise, not the gap.",
    "Limits cut off what lies beyond them: figures can be too low for that, and no margin shows it.",
    "When a release appears, how long it took, and whether there is one at all: they are not hidden.",
    "What changes between two editions: late records and corrections show, as far as the noise allows.",
    "Data outside this source, and other disclosures that the law allows or orders.",
)

_MARKUP = re.compile(r"[\\`*\[\]<>|~]|(?<!\w)_|_(?!\w)|&(?=#?\w+;)")


def plain(text: str) -> str:
    """The text of a definition as Markdown that reads the same."""
    return _MARKUP.sub(lambda match: "\\" + match[0], " ".join(text.split()))


def symbol(currency: Currency) -> str:
    """The letter of the loss."""
    return "ρ" if currency == "zcdp" else "ε"


def amount(number: Fraction) -> str:
    """Exact where that is short, else rounded up."""
    text = _digits(up(number))
    if Fraction(text) == number:
        return text
    return str(number) if number.denominator < 1000 and number.numerator < 1000 else text


def percent(part: Decimal) -> str:
    """A chance in percent, rounded up to a tenth."""
    tenths = up(Fraction(part) * 1000, 4).to_integral_value("ROUND_CEILING")
    return f"{_digits(min(tenths, type(tenths)(1000)) / 10)} %"


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
    """So many windows: 1 day, 12 months."""
    if window == "lifetime":
        return "all time"
    return _several(number, window)


def each_window(window: Grain) -> str:
    """On what a loss is spent."""
    return "the whole time" if window == "lifetime" else f"each {window}"


def protected(unit: str, window: Grain) -> str:
    """Who is protected: a record, or everything of one unit in one window."""
    if unit == "record":
        return "each single record, such as one request"
    span = "in all time" if window == "lifetime" else f"in one {window}"
    return f"everything recorded {span} under one “{plain(unit)}”"


def present(facts: GuaranteeInputs) -> str:
    """What an attacker would like to know."""
    if facts.account.unit == "record":
        return "your record is in it"
    window = facts.account.window
    return "your records are in it" if window == "lifetime" else f"your records of one {window} are in it"


def neighboring(facts: GuaranteeInputs) -> str:
    """The neighboring relation."""
    unit, window = facts.account.unit, facts.account.window
    if unit == "record":
        words = "Two sets of records are neighbors when one has one record more than the other."
    else:
        span = "" if window == "lifetime" else f" inside one {window}"
        words = (
            f"Two sets of records are neighbors when one has all records of one “{plain(unit)}”{span} and the other "
            f"has none of them."
        )
    missing = {
        "own-unit": " A record without that identifier is a unit of its own.",
        "drop": " A record without that identifier is not counted.",
        None: "",
    }
    return words + missing[facts.dataset.source.definition.privacy.missing]


def bounds(facts: GuaranteeInputs) -> list[str]:
    """What one unit can change at most, and from where keys, bins and limits come."""
    definition, source = facts.dataset.definition, facts.dataset.source.definition
    said = [_contribution(facts)]
    for each in definition.measures:
        if each.kind == "sum":
            said.append(
                f"{plain(each.title)}: the total of one unit in one cell is cut to {each.lower} to {each.upper} "
                f"{plain(each.unit)}. The margins do not cover what is cut off."
            )
        if each.bins is not None:
            said.append(
                f"{plain(each.title)}: values are counted in {len(each.bins)} bins from {each.bins[0]} to "
                f"{each.bins[-1]} {plain(each.unit)} and more. The bins are public and written down beforehand."
            )
    if source.register_ is not None:
        said.append(
            "Meter readings became differences between one reading and the next of the same unit in the same window, "
            "before they were cut."
        )
    return [*said, _keys(facts)]


def _contribution(facts: GuaranteeInputs) -> str:
    limits = facts.dataset.definition.bounds
    if facts.account.unit == "record":
        return "A record counts in exactly one cell."
    time = "" if facts.account.window == "lifetime" else f" a {facts.account.window}"
    cells, records = _several(limits.max_groups, "cell"), _several(limits.max_per_group, "record")
    return (
        f"In this release one “{plain(facts.account.unit)}” counts in at most {cells}{time}, with at most {records} in "
        "each. What lies beyond is not counted."
    )


def _several(number: int, noun: str) -> str:
    return f"{count(number)} {noun}{'s' if number != 1 else ''}"


def _keys(facts: GuaranteeInputs) -> str:
    found = facts.dataset.definition.discovered
    public = (
        "Places, categories and periods are public lists; every cell got noise, also those in which nothing happened."
    )
    if found is None:
        return public
    return (
        f"The keys of “{plain(found.title)}” had no public list. A noisy count decided which are shown, so that keys "
        "of few units stay out: a key that one unit alone has brought in is shown with probability "
        f"{tiny(facts.delta)} at most, so of many such keys a few may show. Everything else counts under "
        f"“{plain(found.other)}”. A key that the units of one household "
        "alone share is shown with a higher probability than that. The other keys are public lists, and every cell of "
        "the keys that are shown got noise."
    )


def sampling(facts: GuaranteeInputs) -> str:
    """Who drew the noise."""
    drawn = {table.sampler for table in facts.charge.tables}
    by = {
        frozenset({"opendp"}): "The noise was drawn by OpenDP, which also computed the losses.",
        frozenset({"numpy"}): "The noise was drawn by publisher's own exact sampler (whole numbers only, no rounding "
        "of fractions); OpenDP computed the losses of the same distribution and scale.",
    }
    mixed = (
        "The noise was drawn by publisher's own exact sampler, and by OpenDP where a scale is too large for it; OpenDP "
        "computed all losses."
    )
    return by.get(frozenset(drawn), mixed)


def late(facts: GuaranteeInputs) -> str:
    """What becomes of records that come late, and what that does to the guarantee."""
    rule = facts.dataset.source.definition.late
    if rule is None:
        once = "Each period is counted once. Records that arrive later change nothing in a release that stands."
        return once + _moved(facts)
    if rule.policy == "freeze":
        return (
            "A record counts on the day on which it was received, not on the day of what it reports: windows, budget "
            "and period go by the day of receipt, and so does this guarantee. Nothing is added later."
        )
    edition = _edition(facts)
    return f"{edition} {_increment(facts) if rule.policy == 'increment' else _charged_again(facts) + _moved(facts)}"


def _edition(facts: GuaranteeInputs) -> str:
    state = "final" if facts.vintage >= facts.vintages else "provisional"
    return f"This is count {facts.vintage} of {facts.vintages} scheduled for the period; it is {state}."


def _moved(facts: GuaranteeInputs) -> str:
    """What a corrected date does where the row that came last counts."""
    window = facts.account.window
    if facts.dataset.source.definition.delivery == "append" or window == "lifetime":
        return ""
    return (
        f" A record whose date is corrected later, to another {window}, may count in both: what it can change is then "
        "bounded in each of them, and it bears the loss of both."
    )


def _increment(facts: GuaranteeInputs) -> str:
    limits = (
        ""
        if facts.account.unit == "record"
        else " The limits hold for all counts of the period together: what one has counted of a unit leaves less room "
        "in the next, and no later record lowers a total."
    )
    return (
        "Each count takes only records that none before it has taken, with noise of its own, and adds them up; the "
        f"margins contain the noise of all of them. No record counts twice, so {each_window(facts.account.window)} "
        f"bears the largest loss of any count, not their sum.{limits} This holds as long as a record keeps its id, "
        "its date and the count in which it first was. Those ids are remembered in private, what is received after a "
        "count was made is left to the next, and every scheduled count is made even when nothing has arrived."
    )


def _charged_again(facts: GuaranteeInputs) -> str:
    letter = symbol(facts.charge.currency)
    return (
        f"Each count takes everything again with new noise and spends again: over all {facts.vintages} counts "
        f"{each_window(facts.account.window)} bears up to {letter} = {facts.vintages} × {amount(facts.loss)} = "
        f"{amount(facts.vintages * facts.loss)} for this period."
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
        said.append("Medians and other quantiles are read off noisy counts in public bins.")
    said.append(
        f"Cells below {count(rule.threshold)} (on the noisy value) are suppressed; values with a wide margin are "
        "marked unreliable."
    )
    if rule.customers is not None and rule.largest_share is not None:
        said.append(
            f"Cells are suppressed too unless, with 97.5 % confidence for each, they hold at least {rule.customers} "
            f"customers and none above {_digits(up(Fraction(rule.largest_share) * 100))} % of the total; both are "
            "decided on noisy values."
        )
    said.append("Margins hold for 95 % of cells before suppression, not among those that survive it.")
    return said


def _rollups(facts: GuaranteeInputs) -> str:
    definition = facts.dataset.definition
    words = (
        "Coarser tables of the same records were measured with noise of their own. All tables were then reconciled by "
        "weighted least squares and rounded, so that published counts and totals add up exactly; margins come from the "
        "reconciled estimate before it was made whole and non-negative, and contain the published value."
    )
    if facts.account.unit != "record" and any(each.kind == "count_units" for each in definition.measures):
        words += (
            " Distinct units do not add up where one unit can lie in several cells: there they are left as measured."
        )
    return words


def delta_words(facts: GuaranteeInputs) -> str:
    """The probability that the odds leave aside."""
    return tiny(TINY + facts.delta)


def anonymous(facts: GuaranteeInputs) -> str:
    """What somebody bears who has records with and without an identifier."""
    if facts.dataset.source.definition.privacy.missing != "own-unit":
        return ""
    currency = facts.charge.currency
    terms = "(1 + a)² ρ" if currency == "zcdp" else "(1 + a) ε"
    examples = " and ".join(
        f"{amount(facts.loss * ((1 + a) ** 2 if currency == 'zcdp' else 1 + a))} for a = {a}" for a in (1, 5)
    )
    time = "" if facts.account.window == "lifetime" else f" in the same {facts.account.window}"
    return (
        "Records without an identifier are units of their own. Somebody with a of them beside identified ones"
        f"{time} bears up to {terms}: {examples}."
    )


def _digits(number: Decimal) -> str:
    """Without exponent where that stays readable, and without zeros at the end."""
    short = number.normalize()
    return f"{short:f}" if -7 < short.adjusted() < 16 else str(short)
