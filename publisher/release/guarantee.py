"""The guarantee of a release: for machines as JSON, for people as Markdown with odds. All of it from the ledger."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Context
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from publisher.release.manifest import Charge
    from publisher.workspace import DatasetFile

HOUSEHOLDS = (1, 5, 20)
TINY = 1e-6
"""The probability that the belief bound leaves aside under zCDP, and the δ of the displayed ε."""


NOT_PROTECTED = (
    "What the release teaches about everybody (a trend, a neighbourhood) can be applied to you too.",
    "What the city or you have published elsewhere, for example a public list of requests.",
    "The public keys: which places, categories and periods are listed was never secret.",
    "Totals over published cells can narrow a suppressed cell; its protection is the noise.",
    "This statement covers this release only, not other disclosures that the law allows or orders.",
)


def guarantee(dataset: DatasetFile, period: str, charge: Charge, epsilon: float, *, stand_in: bool) -> dict[str, Any]:
    """The guarantee as JSON values; `epsilon` is the loss as (ε, 10⁻⁶)-differential privacy, or ε itself when pure."""
    source, privacy = dataset.source, dataset.source.definition.privacy
    bounds = dataset.definition.bounds
    loss = Fraction(charge.loss)
    return {
        "format": 1,
        "dataset": dataset.name,
        "period": period,
        "stand_in": stand_in,
        "privacy_unit": privacy.unit if privacy.unit == "record" else "identifier",
        "unit_column": None if privacy.unit == "record" else privacy.unit,
        "window": privacy.window,
        "neighbouring": "add or remove all records of one unit inside one window",
        "missing_identifier": privacy.missing,
        "population": source.definition.population,
        "model": "central",
        "definition": "zero-concentrated differential privacy"
        if charge.currency == "zcdp"
        else "pure differential privacy",
        "loss": {"currency": "rho" if charge.currency == "zcdp" else "epsilon", "amount": charge.loss},
        "approximate": {"epsilon": _up(epsilon, 6), "delta": TINY if charge.currency == "zcdp" else 0},
        "blocks": list(charge.blocks),
        "bounds": {"max_groups": bounds.max_groups, "max_per_group": bounds.max_per_group},
        "clamps": {
            each.name: {"lower": str(each.lower), "upper": str(each.upper), "unit": each.unit}
            for each in dataset.definition.measures
            if each.kind == "sum"
        },
        "mechanisms": [table.model_dump(mode="json") for table in charge.tables],
        "records_of_one_household": {str(m): str(_household(loss, charge.currency, m)) for m in HOUSEHOLDS},
        "odds": {"presence_at_most": _up(_presence(loss, charge.currency), 6)},
        "post_processing": [
            "cut at zero",
            "suppression and status on noisy values",
            "margins from the noise's quantiles",
            *(["customer rule on noisy values"] if dataset.definition.suppression.customers is not None else []),
        ],
        "not_protected": list(NOT_PROTECTED),
    }


def statement(dataset: DatasetFile, period: str, charge: Charge, epsilon: float, *, stand_in: bool) -> str:
    """The guarantee in plain words, as Markdown."""
    privacy, definition = dataset.source.definition.privacy, dataset.definition
    loss = Fraction(charge.loss)
    symbol = "ρ" if charge.currency == "zcdp" else "ε"
    label = "**These numbers were made from generated sample records, not from real ones.**\n\n" if stand_in else ""
    tables = "\n".join(
        f"- {table.measure}: {table.mechanism} noise of scale {table.scale:.4g} "
        f"(sensitivity {table.sensitivity}), {symbol} = {_short(Fraction(table.loss))}"
        for table in charge.tables
    )
    household = ", ".join(f"{m}: {symbol} ≤ {_short(_household(loss, charge.currency, m))}" for m in HOUSEHOLDS)
    limits = "\n".join(f"- {sentence}" for sentence in NOT_PROTECTED)
    return f"""# How privacy is protected in {definition.title}, {period}

{label}Random noise was added to every number before it was published, also to cells in which nothing happened. \
What is protected is {_unit_words(privacy.unit, privacy.window)}: the published numbers look nearly the same whether \
or not {_presence_words(privacy.unit)}.

## In odds

Someone who is at 50 % on whether {_presence_words(privacy.unit)}, and knows everybody else's, can guess right at most \
{_percent(_presence(loss, charge.currency))} of the time after reading this release. {_belief(loss, charge.currency)}

## In numbers

This release spends {symbol} = {_short(loss)} on each {privacy.window} that it covers \
({len(charge.blocks)} in all){_approximately(charge.currency, epsilon)}. All releases of this source together may \
spend at most {symbol} = {_short(Fraction(privacy.budget))} on one {privacy.window}, by its definition on the day of \
this release.

{tables}

{_bounds_words(dataset)}

A household with several {_units_word(privacy.unit)} in this release bears more: {household}. \
{_anonymous_words(privacy.missing, charge.currency)}A table whose cells add up s windows costs a unit with records in \
W windows at most W·s times as much. All of this is said of this release alone: other releases that cover the same \
{privacy.window}, and other sources about the same people ({dataset.source.definition.population}; one unit of each \
source assumed for a household), add up with it.

## What was done after the noise

Negative counts are shown as zero. Cells below {definition.suppression.threshold} (on the noisy value) are \
suppressed; values with a wide margin are marked unreliable. {_customer_words(dataset)}The margins hold for 95 % of \
cells before suppression, not among those that survive it. None of this weakens the guarantee, which does not rest \
on suppression.

## What is not protected

{limits}
"""


def _unit_words(unit: str, window: str) -> str:
    if unit == "record":
        return "each single record, such as one request"
    span = "in all time" if window == "lifetime" else f"in one {window}"
    return f"everything that one {unit.lower()} contributed {span}"


def _presence_words(unit: str) -> str:
    return "your record is in it" if unit == "record" else "your records are in it"


def _bounds_words(dataset: DatasetFile) -> str:
    privacy, bounds = dataset.source.definition.privacy, dataset.definition.bounds
    if privacy.unit == "record":
        words = "A record counts in exactly one cell. "
    else:
        words = (
            f"In this release one {privacy.unit.lower()} counts in at most {bounds.max_groups} cells a "
            f"{privacy.window}, with at most {bounds.max_per_group} records in each. "
        )
    clamps = [
        f"{each.title}: a total is cut to {each.lower} to {each.upper} {each.unit}"
        for each in dataset.definition.measures
        if each.kind == "sum"
    ]
    return words + ("; ".join(clamps) + ". The margins do not cover what is cut off." if clamps else "")


def _units_word(unit: str) -> str:
    return "records" if unit == "record" else f"units ({unit.lower()})"


def _anonymous_words(missing: str | None, currency: str) -> str:
    if missing != "own-unit":
        return ""
    return (
        f"Records without a name are units of their own: somebody with a of them beside named ones bears up to "
        f"{'(1 + a)² ρ' if currency == 'zcdp' else '(1 + a) ε'}. "
    )


def _customer_words(dataset: DatasetFile) -> str:
    rule = dataset.definition.suppression
    if rule.customers is None or rule.largest_share is None:
        return ""
    return (
        f"Cells are suppressed too unless, with 97.5 % confidence for each, they hold at least {rule.customers} "
        f"customers and none above {float(rule.largest_share):.0%} of the total. "
    )


def _approximately(currency: str, epsilon: float) -> str:
    return f", which implies (ε = {_up(epsilon, 3):.3g}, δ = 10⁻⁶)-differential privacy" if currency == "zcdp" else ""


def _household(loss: Fraction, currency: str, records: int) -> Fraction:
    """Group privacy: m²ρ under zCDP, mε under pure differential privacy."""
    return loss * (records**2 if currency == "zcdp" else records)


def _presence(loss: Fraction, currency: str) -> float:
    """The best guesser's chance: ½ + ½·TV; TV ≤ √(ρ/2) by Pinsker, or (e^ε − 1)/(e^ε + 1)."""
    amount = float(loss)
    if currency == "zcdp":
        return min(1.0, 0.5 + 0.5 * math.sqrt(amount / 2))
    return 1 / (1 + math.exp(-amount))


def _belief(loss: Fraction, currency: str) -> str:
    if currency == "pure":
        return f"This holds outright: their belief never rises above {_percent(_presence(loss, currency))}."
    epsilon = float(loss) + 2 * math.sqrt(float(loss) * math.log(1 / TINY))
    belief = 1 / (1 + math.exp(-epsilon))
    swap = min(1.0, 0.5 + 0.5 * math.sqrt(2 * float(loss)))
    return (
        f"Except with probability 10⁻⁶ their belief stays below {_percent(belief)}. Which of two records you filed "
        f"could be guessed right at most {_percent(swap)} of the time."
    )


def _up(number: float, digits: int) -> float:
    """Rounded up to that many significant digits: the guarantee is never said stronger than it is."""
    return float(Context(prec=digits, rounding=ROUND_CEILING).create_decimal(number))


def _percent(part: float) -> str:
    """Rounded up, for the same reason."""
    return f"{math.ceil(part * 1000) / 10:.1f} %"


def _short(amount: Fraction) -> str:
    text = f"{float(amount):.6g}"
    return text if Fraction(text) == amount else f"{amount.numerator}/{amount.denominator}"
