"""The guarantee of a release for machines: JSON that follows `guarantee.schema.json`.

`registry` is an entry of the Differential Privacy Deployments Registry in that registry's own field names, as its
template had them in autumn 2026; everything else is publisher's own, with exact losses as text.
"""

from __future__ import annotations

from dataclasses import asdict
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from publisher.release import composition, odds
from publisher.release import sentences as say
from publisher.release.chances import belief_here, right_guess_here
from publisher.release.statement import household_sizes

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from publisher.definitions.dataset import Dataset
    from publisher.definitions.source import Currency
    from publisher.release.composition import Bearing
    from publisher.release.guarantee_inputs import GuaranteeInputs

VARIANTS = {"zcdp": "Zero-concentrated DP", "pure": "Pure DP"}


def guarantee(facts: GuaranteeInputs) -> dict[str, Any]:
    """The guarantee as JSON values. Probabilities and ε are rounded up."""
    account, definition = facts.account, facts.dataset.definition
    return {
        "format": 3,
        "dataset": facts.dataset.name,
        "source": facts.dataset.source.name,
        "period": facts.period,
        "stand_in": facts.stand_in,
        "edition": {"vintage": facts.vintage, "vintages": facts.vintages, "late": _late(facts)},
        "privacy_unit": {
            "kind": "record" if account.unit == "record" else "identifier",
            "column": None if account.unit == "record" else account.unit,
            "window": account.window,
            "neighboring": "add or remove all records of one unit inside one window",
            "missing_identifier": facts.dataset.source.definition.privacy.missing,
            "population": facts.dataset.source.definition.population,
            **({"minors": True} if facts.dataset.source.definition.minors else {}),
        },
        "loss": _loss(account.currency, facts.loss, facts.delta) | {"selection": facts.charge.selection},
        "approximate": _approximate(facts),
        **({"earlier": _loss(account.currency, *facts.earlier)} if any(facts.earlier) else {}),
        **({"tunings": _tunings(facts)} if facts.tunings else {}),
        "blocks": list(facts.charge.blocks),
        "budget": _budget(facts),
        **({"decisions": [asdict(each) for each in facts.decisions]} if facts.decisions else {}),
        "bounds": {"max_groups": definition.bounds.max_groups, "max_per_group": definition.bounds.max_per_group},
        **({"coverage": _coverage(definition)} if definition.covered else {}),
        "clamps": {
            each.name: {"lower": str(each.lower), "upper": str(each.upper), "unit": each.unit}
            for each in definition.measures
            if each.kind == "sum"
        },
        "bins": {each.name: [str(edge) for edge in each.bins] for each in definition.measures if each.bins is not None},
        "mechanisms": [table.model_dump(mode="json") for table in facts.charge.tables],
        "levels": _levels(facts),
        "odds": _odds(facts),
        "windows": _windows(facts),
        "household": _household(facts),
        "sources": _sources(facts),
        "post_processing": say.post_processing(facts),
        "not_protected": list(say.NOT_PROTECTED),
        "registry": _registry(facts),
    }


def _loss(currency: Currency, loss: Fraction, delta: Fraction) -> dict[str, str]:
    return {"currency": _letter(currency), "amount": str(loss), "delta": str(delta)}


def _coverage(definition: Dataset) -> dict[str, Any]:
    wider = definition.bounds.wider
    return {
        "loss": str(definition.coverage_loss),
        "max_groups": wider.max_groups,
        "max_per_group": wider.max_per_group,
        "uppers": {each.name: str(each.wider.upper) for each in definition.covered if each.kind == "sum"},
        "measures": [each.name for each in definition.covered],
    }


def _tunings(facts: GuaranteeInputs) -> list[dict[str, Any]]:
    return [{"entry": each.entry, "period": each.period, "loss": str(each.loss)} for each in facts.tunings]


def _budget(facts: GuaranteeInputs) -> dict[str, Any]:
    account = facts.account
    most = _loss(account.currency, account.budget, account.delta) | {"spent": str(facts.spent)}
    declared = {"declared": _loss(account.currency, *account.declared)} if account.declared is not None else {}
    return most | declared


def _letter(currency: Currency) -> str:
    return "rho" if currency == "zcdp" else "epsilon"


def _approximate(facts: GuaranteeInputs) -> dict[str, float]:
    """(ε, δ)-differential privacy, for comparison with others."""
    if facts.account.currency == "pure":
        return {"epsilon": _number(odds.up(facts.loss)), "delta": 0.0}
    return {"epsilon": _number(odds.up(facts.epsilon)), "delta": _number(odds.up(odds.TINY + facts.delta))}


def _late(facts: GuaranteeInputs) -> str | None:
    late = facts.dataset.source.definition.late
    return late.policy if late is not None else None


def _levels(facts: GuaranteeInputs) -> list[dict[str, Any]]:
    """Everything that was measured: the rollups, then the dataset's own table."""
    definition, window = facts.dataset.definition, facts.account.window
    named = [(each.name, each.title, each.grain or definition.cell_grain) for each in definition.rollups]
    return [
        {
            "name": name,
            "title": title,
            "grain": grain,
            "share": str(definition.share_of(name)),
            "windows_in_a_cell": composition.span(grain, window),
            **({} if definition.shows(name) else {"published": False}),
        }
        for name, title, grain in [*named, ("", definition.title, definition.cell_grain)]
    ]


def _odds(facts: GuaranteeInputs) -> dict[str, Any]:
    account = facts.account
    release = (right_guess_here(facts), right_guess_here(facts, 2), belief_here(facts))
    budget = (
        odds.guess_bound(account.budget, account.currency, account.delta),
        odds.which_of_two(account.budget, account.currency, account.delta),
        odds.posterior_bound(account.budget, account.currency),
    )
    return {
        "release": _chances(account.currency, facts.drawn.delta, *release),
        "budget": _chances(account.currency, account.delta, *budget),
    }


def _chances(currency: Currency, delta: Fraction, guess: Decimal, of_two: Decimal, belief: Decimal) -> dict[str, float]:
    aside = odds.TINY + delta if currency == "zcdp" else Fraction(0)
    return {
        "guess_at_most": _chance(guess),
        "which_of_two_at_most": _chance(of_two),
        "posterior_below": _chance(belief),
        "posterior_except_with_probability": _number(odds.up(aside)),
    }


def _windows(facts: GuaranteeInputs) -> list[dict[str, Any]]:
    """One unit in many windows: in this release alone, by this dataset, and when every budget is spent."""
    window = facts.account.window
    counts = {1, *composition.IN_YEARS[window].values()} if window != "lifetime" else {1}
    alone = composition.in_this_release(facts)
    return [
        {"of": "release", **_bearing(alone)},
        *({"of": "dataset", **_bearing(composition.in_this_dataset(facts, n))} for n in sorted(counts)),
        *({"of": "budget", **_bearing(composition.in_this_source(facts, n))} for n in sorted(counts)),
    ]


def _household(facts: GuaranteeInputs) -> list[dict[str, Any]]:
    account = facts.account
    bearings: dict[str, Callable[[int], Bearing]] = {
        "release": lambda units: composition.household_here(facts, units),
        "dataset": lambda units: composition.household_in_this_dataset(facts, units),
        "budget": lambda units: composition.household(account.currency, account.budget, account.delta, units),
    }
    return [
        {"of": of, **_bearing(bearing(units))} for of, bearing in bearings.items() for units in household_sizes(facts)
    ]


def _bearing(bearing: Bearing) -> dict[str, Any]:
    return {
        "count": bearing.count,
        "loss": str(bearing.loss),
        "guess_at_most": _chance(bearing.guess_bound),
    }


def _sources(facts: GuaranteeInputs) -> dict[str, Any]:
    """Every source of the same population: one unit of each, one window of each, all budgets spent."""
    currency, total = composition.together(facts.others)
    return {
        "each": [
            {
                "name": each.name,
                "unit": each.unit,
                "window": each.window,
                "budget": _loss(each.currency, each.budget, each.delta),
            }
            for each in facts.others
        ],
        "together": {
            "loss": _loss(currency, total.loss, sum((each.delta for each in facts.others), Fraction(0))),
            "guess_at_most": _chance(total.guess_bound),
        },
        **({"apart": dict(facts.apart)} if facts.apart else {}),
    }


def _registry(facts: GuaranteeInputs) -> dict[str, Any]:
    """An entry for the registry; people add what only they can say, such as why a loss was chosen."""
    title = facts.dataset.definition.title
    return {
        "url_slug": f"{facts.dataset.name}-{facts.period}".lower(),
        "deployment": {
            "basic": _basic(facts, title),
            "dp_variant": _variant(facts),
            "privacy_loss": _privacy_loss(facts),
            "deployment_model": _model(facts),
            "implementation": _implementation(facts),
            "administrative": {"status": "Draft", "registry_authors": [facts.organization or "publisher"], "tier": 3},
        },
    }


def _basic(facts: GuaranteeInputs, title: str) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": f"{title}, {facts.period}",
        "description": facts.dataset.definition.description,
        "intended_use": facts.dataset.source.definition.purpose,
        "data_product_type": "Summary statistics",
        "data_product_sector": "Government",
    }
    if facts.organization:
        said |= {"data_curators": [{"data_curator_name": facts.organization, "data_curator_type": "Government"}]}
    if facts.jurisdiction:
        said |= {"data_product_region": facts.jurisdiction}
    return said | ({"publication_date": facts.charged} if facts.charged else {})


def _variant(facts: GuaranteeInputs) -> dict[str, str]:
    return {
        "variant_name": "Approximate DP" if facts.delta else VARIANTS[facts.account.currency],
        "data_domain": facts.dataset.source.definition.description,
        "unprotected_quantities": "None: every published number has noise. " + _public(facts),
    }


def _public(facts: GuaranteeInputs) -> str:
    found = facts.dataset.definition.discovered
    if found is None:
        return "Keys, bins and limits are public."
    return f"Bins and limits are public, and so are all keys except those of {found.name}, which were found with noise."


def _privacy_loss(facts: GuaranteeInputs) -> dict[str, Any]:
    account = facts.account
    unit = "Record" if account.unit == "record" else account.unit
    window = "" if account.unit == "record" or account.window == "lifetime" else f"-{account.window}"
    letter = _letter(account.currency)
    parameters = {letter: _number(odds.up(facts.loss))} | (_approximate(facts) if account.currency == "zcdp" else {})
    return {
        "privacy_unit": f"{unit}{window}-level",
        "privacy_unit_details": say.neighboring(facts),
        "privacy_parameters": parameters,
        "privacy_parameters_details": (
            f"Exactly {letter} = {facts.loss}, δ = {facts.delta} on {say.each_window(account.window)}; the budget is "
            f"{letter} = {account.budget}, δ = {account.delta}.{say.lowered(facts)}{say.drawn_before(facts)}"
            f"{say.amended(facts)}"
        ),
    }


def _model(facts: GuaranteeInputs) -> dict[str, str]:
    return {
        "model_name": "Central",
        "trust_assumptions": "The publishing organization holds the records and is trusted to run this program.",
        "actors": "The organization; the people in the records; the public, which sees only the release.",
        "release_type": "Many releases",
        "release_type_details": (
            f"One release for each {facts.dataset.definition.period}; a ledger keeps all of them within the budget of "
            f"{say.each_window(facts.account.window)}. {say.late(facts)}"
        ),
        "data_source_type": "Dynamic",
        "access_type": "Non-interactive",
    }


def _implementation(facts: GuaranteeInputs) -> dict[str, str]:
    kinds = ", ".join(sorted({table.mechanism for table in facts.charge.tables}))
    return {
        "preprocessing_and_hyperparameter_tuning": " ".join(say.bounds(facts)),
        "mechanisms": f"Mechanisms: {kinds}, on whole numbers{_selection(facts)}. {say.sampling(facts)}",
        "composition": (
            "Sequential within a window, parallel across windows of disjoint records; exact rationals in an "
            "append-only ledger, written before any noise is drawn."
        ),
        "post_processing": " ".join(say.post_processing(facts)),
    }


def _selection(facts: GuaranteeInputs) -> str:
    return "; thresholded discrete gaussian for the keys" if facts.dataset.definition.discovered is not None else ""


def _chance(part: Decimal) -> float:
    return _number(odds.up(part))


def _number(number: Decimal) -> float:
    """The number as a float: six digits survive, so the written value is the one that was rounded up."""
    return float(number)
