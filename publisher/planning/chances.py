"""The odds that the guarantees of a dataset will state, from its definition and what the ledger says was spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.definitions import period as civil
from publisher.definitions.vintage import vintages_of
from publisher.errors import SourceError
from publisher.pipeline.accounts import DatasetDraws, SourceAccounts
from publisher.pipeline.charges import mechanisms_of, tables_of
from publisher.pipeline.job import jobs_of
from publisher.release import composition
from publisher.release.composition import account_of
from publisher.release.guarantee_inputs import NOTHING, GuaranteeInputs
from publisher.release.manifest import Charge
from publisher.release.odds import up
from publisher.release.sentences import percent
from publisher.release.statement import household_sizes

if TYPE_CHECKING:
    from decimal import Decimal

    from publisher.pipeline.catalog import Catalog
    from publisher.release.guarantee_inputs import SourceAccount
    from publisher.workspace import DatasetFile, Workspace


NO_DRAWS = DatasetDraws(NOTHING, NOTHING, NOTHING)


@dataclass(frozen=True)
class PlannedOdds:
    """How often a guess is right at most (0.5 without any release), for one window; part of `publisher plan --json`."""

    dataset: float
    """Whether one unit is in the data, after everything that the dataset publishes."""
    household_units: int
    household: float
    """The same for a household with that many units."""
    source: float
    """The same for one unit once all releases of the source have spent the whole budget."""


@dataclass(frozen=True)
class SpentBefore:
    """What the ledger says: the source's account, and what the dataset has spent."""

    account: SourceAccount
    draws: DatasetDraws = NO_DRAWS

    def redefined(self) -> SpentBefore:
        """The same for another definition of the dataset: all of its draws are earlier ones."""
        draws = self.draws
        if not draws.released:
            return self  # measurements for the bounds are the same for every definition
        return SpentBefore(self.account, DatasetDraws(NOTHING, draws.most, draws.most, one_definition=False))


def nothing_spent(workspace: Workspace, dataset: DatasetFile) -> SpentBefore:
    """Before there is a ledger."""
    siblings = [each for each in workspace.datasets.values() if each.source.name == dataset.source.name]
    return SpentBefore(account_of(dataset.source, siblings))


def spent_before(workspace: Workspace, catalog: Catalog, dataset: DatasetFile) -> SpentBefore:
    """By the ledger. Where the files that decide places are missing, all draws count as those of other definitions."""
    source = dataset.source.name
    if not catalog.ledger.lines(source) and not catalog.ledger.allowed(source):
        return nothing_spent(workspace, dataset)
    accounts = SourceAccounts(workspace, catalog.ledger)
    account = accounts.account(dataset.source)
    try:
        (job, *_) = jobs_of(workspace, catalog, dataset, [civil.parse(dataset.definition.first)])
    except SourceError:
        return SpentBefore(account, accounts.draws(dataset, "", ())).redefined()
    return SpentBefore(account, accounts.draws(dataset, job.statistical_hash, ()))


def planned_odds(workspace: Workspace, dataset: DatasetFile, before: SpentBefore) -> PlannedOdds:
    """The odds by the definition as it is given."""
    definition, source = dataset.definition, dataset.source.definition
    period = civil.parse(definition.first)
    charge = Charge(
        currency=source.privacy.currency,
        loss=str(definition.loss.amount),
        blocks=tuple(block.label for block in period.cut(source.privacy.window)),
        tables=tables_of(mechanisms_of(dataset, workspace.settings)),
        delta=str(definition.delta),
        selection=str(definition.selection_loss),
    )
    facts = GuaranteeInputs(
        dataset=dataset,
        period=period.label,
        charge=charge,
        epsilon=0.0,
        others=(before.account,),
        spent=definition.loss.amount,
        edited=before.draws.edited,
        dataset_spent=before.draws.most,
        tunings=before.draws.tunings,
        one_definition=before.draws.one_definition,
        vintages=len(vintages_of(source.late, period)) if source.late is not None else 1,
    )
    units = household_sizes(facts)[1]
    return PlannedOdds(
        dataset=_number(composition.in_this_dataset(facts, 1).guess_bound),
        household_units=units,
        household=_number(composition.household_in_this_dataset(facts, units).guess_bound),
        source=_number(composition.in_this_source(facts, 1).guess_bound),
    )


def odds_words(dataset: DatasetFile, odds: PlannedOdds) -> str:
    """The odds as a sentence."""
    privacy = dataset.source.definition.privacy
    one = "" if privacy.window == "lifetime" else f" in one {privacy.window}"
    who = "one record is" if privacy.unit == "record" else f"the records of one {privacy.unit}{one} are"
    units = "records" if privacy.unit == "record" else f"units ({privacy.unit})"
    after, household, source = (_percent(each) for each in (odds.dataset, odds.household, odds.source))
    return (
        f"Someone who guesses whether {who} in the data is right at most {after} of the time after reading this "
        f"dataset (a coin: 50%), {source} after everything that this source may release. For a household with "
        f"{odds.household_units} {units}: {household} after this dataset."
    )


def _number(chance: Decimal) -> float:
    return float(up(chance))


def _percent(chance: float) -> str:
    return percent(up(chance))
