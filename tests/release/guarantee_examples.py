"""Invented datasets, one for each kind of guarantee: what the golden texts are made from."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from publisher.definitions import period as civil
from publisher.definitions.dataset import Dataset
from publisher.definitions.source import Source
from publisher.definitions.toml import Origin, build
from publisher.privacy.mechanism import epsilon_of
from publisher.release.composition import account_of
from publisher.release.guarantee_inputs import GuaranteeInputs, SourceAccount
from publisher.release.manifest import Charge, TableCharge
from publisher.release.odds import up
from publisher.workspace import DatasetFile, SourceFile

if TYPE_CHECKING:
    from publisher.definitions.dataset import Measure

GOLDEN = Path(__file__).parent / "golden"
COLUMNS = ("id", "who", "opened", "place", "kind", "amount")
COUNT = {"name": "requests", "title": "Requests", "kind": "count", "unit": "requests"}
PLACE = {"name": "place", "title": "Neighborhood", "keyset": "places", "other": "Unknown"}


def dataset_file(source: dict[str, Any], dataset: dict[str, Any]) -> DatasetFile:
    """Definitions in memory, checked like those of a workspace; `source` and `dataset` say what is not ordinary."""
    defined = {
        "title": "Requests to the town of Example",
        "description": "Records of an invented town.",
        "purpose": "Residents see what was asked for and where.",
        "population": "households",
        "timezone": "America/Chicago",
        "retention_months": 12,
        "record_id": ("id",),
        "feed": {"path": "raw"},
        "event": {"column": "opened", "formats": ("%Y-%m-%d",)},
        "columns": {name: {"class": "private", "statute": "s. 1", "identifier": name == "who"} for name in COLUMNS},
    } | source
    published = {
        "title": "Requests by neighborhood",
        "description": "How many requests were opened in each neighborhood of an invented town.",
        "source": "requests",
        "period": "month",
        "first": "2024-01",
        "loss": {"rho": Decimal("0.1")},
        "keys": (PLACE,),
        "measures": (COUNT,),
        "suppression": {"measure": "requests", "threshold": 10},
        "portal": {"category": "Tests"},
    } | dataset
    origin = Origin("made up", {})
    file = SourceFile("requests", build(Source, defined, origin), "SELECT 1", {}, origin)
    return DatasetFile("requests-by-place", build(Dataset, published, origin), file, (), origin)


def facts(source: dict[str, Any], dataset: dict[str, Any], period: str, **more: Any) -> GuaranteeInputs:
    """The facts of one release of such a dataset, charged as its definition says, `known` as the only one or not."""
    file = dataset_file(source, dataset)
    definition, privacy = file.definition, file.source.definition.privacy
    loss = definition.loss.amount
    levels = (*(rollup.name for rollup in definition.rollups), "")
    tables = tuple(_table(file, measure, level) for level in levels for measure in definition.measured)
    blocks = tuple(each.label for each in civil.parse(period).cut(privacy.window))
    charge = Charge(
        currency=privacy.currency,
        loss=str(loss),
        blocks=blocks,
        tables=tables,
        delta=str(definition.delta),
        selection=str(definition.selection_loss),
    )
    epsilon = epsilon_of(loss, 1e-6) if privacy.currency == "zcdp" else float(loss)
    mine = account_of(file.source, (file,) if more.pop("known", True) else ())
    others = (mine, *more.pop("others", ()))
    return GuaranteeInputs(file, period, charge, epsilon, others, more.pop("spent", loss), **more)


def _table(file: DatasetFile, measure: Measure, level: str) -> TableCharge:
    """The noise on paper: Δ₂ / √(2ρ) or Δ₁ / ε, written with six digits."""
    k, c = file.definition.bounds.max_groups, file.definition.bounds.max_per_group
    reach = {"count_units": 1, "sum": max(map(abs, measure.clamps)) if measure.kind == "sum" else 0}.get(
        measure.kind, c
    )
    l1, squared = k * reach, (k * reach) ** 2 if level else k * reach**2
    loss = file.definition.loss_of(measure, level)
    zcdp = file.definition.loss.currency == "zcdp"
    root = math.isqrt(squared)
    scale = math.sqrt(squared / (2 * loss)) if zcdp else float(l1 / loss)
    return TableCharge(
        measure=measure.name,
        mechanism="discrete gaussian" if zcdp else "discrete laplace",
        scale=float(up(scale)),
        sensitivity=f"Δ₁ = {l1}, Δ₂ = {root if root**2 == squared else f'√{squared}'}",
        loss=str(loss),
        level=level,
        sampler="numpy" if zcdp else "opendp",
    )


def privacy(unit: str, window: str, budget: str, **more: Any) -> dict[str, Any]:
    """The privacy section of a source."""
    missing = {} if unit == "record" else {"missing": "own-unit"}
    return {"privacy": {"unit": unit, "window": window, "budget": Decimal(budget)} | missing | more}


def rollups() -> GuaranteeInputs:
    """Records under zCDP, with coarser tables, beside sources of other currencies about the same people."""
    dataset = {
        "title": "Requests by neighborhood and kind",
        "period": "quarter",
        "grain": "month",
        "first": "2024-Q1",
        "keys": (PLACE, {"name": "kind", "title": "Kind of request", "keyset": "kinds", "other": "Other"}),
        "rollups": (
            {"name": "town", "title": "The whole town", "grain": "quarter", "share": Decimal("0.1")},
            {"name": "places", "title": "Neighborhoods", "keys": ("place",), "share": Decimal("0.3")},
        ),
    }
    others = (
        SourceAccount("permits", "applicant", "year", "zcdp", Fraction(1, 2)),
        SourceAccount("water", "account", "month", "pure", Fraction(1)),
    )
    made = facts(privacy("record", "day", "0.5"), dataset, "2024-Q1", others=others, spent=Fraction(3, 10))
    return replace(made, organization="Town of Example", jurisdiction="Example, USA", charged="2024-04-02")


def increment() -> GuaranteeInputs:
    """Accounts under zCDP, a median, and editions that add what came late."""
    measures = (
        {"name": "households", "title": "Households", "kind": "count_units", "unit": "households"},
        {
            "name": "days", "title": "Days to close, in bins", "kind": "histogram", "unit": "days", "column": "amount",
            "bins": tuple(Decimal(edge) for edge in (0, 1, 3, 7, 14, 30)),
        },
        {
            "name": "median_days", "title": "Median days to close", "kind": "quantile", "unit": "days",
            "histogram": "days", "probability": Decimal("0.5"),
        },
    )  # fmt: skip
    dataset = {
        "title": "Days to close",
        "measures": measures,
        "bounds": {"max_groups": 4, "max_per_group": 3},
        "suppression": {"measure": "households", "threshold": 15},
    }
    late = {"late": {"policy": "increment", "after_days": (0, 30, 90)}}
    return facts(privacy("who", "month", "0.4") | late, dataset, "2024-03", vintage=2, vintages=3)


def utility() -> GuaranteeInputs:
    """Meters under pure ε, with the 15/15 rule and differences of a register."""
    measures = (
        {
            "name": "customers", "title": "Customers", "kind": "count_units", "unit": "customers",
            "share": Decimal("0.25"),
        },
        {
            "name": "energy", "title": "Electricity", "kind": "sum", "unit": "kWh", "column": "amount",
            "lower": Decimal(0), "upper": Decimal(900), "resolution": Decimal(1), "share": Decimal("0.75"),
        },
        {"name": "mean_energy", "title": "Mean", "kind": "mean", "unit": "kWh", "sum": "energy", "count": "customers"},
    )  # fmt: skip
    rule = {"measure": "customers", "threshold": 15, "customers": 15, "largest_share": Decimal("0.15")}
    dataset = {
        "title": "Electricity by neighborhood",
        "loss": {"epsilon": Decimal("0.5")},
        "measures": measures,
        "bounds": {"max_groups": 1, "max_per_group": 1},
        "suppression": rule,
    }
    source = privacy("who", "month", "1.5", currency="pure", missing="drop")
    source |= {"register": {"reading": "reading", "consumption": "amount"}}
    return facts(source, dataset, "2024-03", spent=Fraction(1))


def discover() -> GuaranteeInputs:
    """Applicants under zCDP, keys that a noisy selection finds, twelve releases in one window."""
    found = {"share": Decimal("0.25"), "delta": Decimal("0.000001")}
    keys = (PLACE, {"name": "kind", "title": "Kind of permit", "discover": found, "other": "Other"})
    dataset = {
        "title": "Permits by kind",
        "keys": keys,
        "loss": {"rho": Decimal("0.02")},
        "bounds": {"max_groups": 2, "max_per_group": 5},
    }
    source = privacy("who", "year", "0.5", delta=Decimal("0.00002"))
    return facts(source, dataset, "2024-03", spent=Fraction(3, 50))


def frozen() -> GuaranteeInputs:
    """A lifetime's budget, records that count on the day they were received, and generated records."""
    source = privacy("who", "lifetime", "2", missing="drop") | {"late": {"policy": "freeze"}}
    dataset = {"bounds": {"max_groups": 3, "max_per_group": 1}, "loss": {"rho": Decimal("0.05")}}
    return facts(source, dataset, "2024-03", spent=Fraction(1, 20), stand_in=True)


def charged_again() -> GuaranteeInputs:
    """Records in weeks, each edition counted again and charged again."""
    source = privacy("record", "day", "1") | {"late": {"policy": "charge", "after_days": (0, 60)}}
    dataset = {"period": "week", "first": "2024-W01"}
    return facts(source, dataset, "2024-W10", vintage=2, vintages=2, spent=Fraction(1, 5), known=False)


EXAMPLES = {
    "record-rollups": rollups,
    "account-median-increment": increment,
    "meter-pure-15-15": utility,
    "applicant-discover": discover,
    "lifetime-freeze-stand-in": frozen,
    "record-charge": charged_again,
}
