"""What the portal gets about a table in addition to its rows: source, editions, odds and coverage, each as JSON.

All of it comes from definitions, manifests and guarantees, never from records.
"""

from __future__ import annotations

import json
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from publisher.pipeline.accounts import released_yet
from publisher.portal.contract import (
    CountedShare,
    CoverageFacts,
    DecisionFacts,
    Odds,
    ReleaseFacts,
    SourceColumn,
    SourceFacts,
)
from publisher.privacy.chain import Head
from publisher.privacy.tuning import counted_share, proposal
from publisher.release import odds
from publisher.release.manifest import GUARANTEE, csv_file
from publisher.release.table import rollup_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.definitions.dataset import Dataset
    from publisher.definitions.source import Currency
    from publisher.pipeline.catalog import Standing
    from publisher.pipeline.tuning import Tuned
    from publisher.portal.contract import Reason
    from publisher.push.client import View
    from publisher.release.guarantee_inputs import Tuning
    from publisher.release.manifest import Manifest, Release, Shape
    from publisher.workspace import DatasetFile, SourceFile

RELEASED = ("ready", "superseded", "retracted")
"""What happened to every edition that was ever fit to be public."""

_NAMES = {
    2: ("presence_at_most", "belief_except_with_probability"),
    3: ("guess_at_most", "posterior_except_with_probability"),
}
"""The names of the two odds in each format of the guarantee."""

_COUNTED = TypeAdapter(tuple[CountedShare, ...])
_RELEASES = TypeAdapter(tuple[ReleaseFacts, ...])


def source_facts(source: SourceFile) -> str:
    """The collected data: every declared column, whether it is read or not."""
    definition = source.definition
    columns = [
        SourceColumn(
            name=name,
            classification=column.class_,
            authority=column.statute,
            read=column.read,
            identifier=column.identifier,
            description=column.description or "",
        )
        for name, column in definition.columns.items()
    ]
    months = definition.retention_months
    facts = SourceFacts(
        name=source.name,
        title=definition.title,
        purpose=definition.purpose,
        unit=definition.privacy.unit,
        window=definition.privacy.window,
        retention=f"{months} month{'s' if months > 1 else ''}",
        minors=definition.minors,
        columns=columns,
    )
    return facts.model_dump_json(exclude_defaults=True)


def release_facts(standings: Sequence[Standing], level: str) -> str:
    """Every edition of every period that was fit to be public and has this table, latest first."""
    released = [each for each in standings if each.status in RELEASED and level in each.release.tables]
    facts = []
    for n, each in enumerate(released):
        before = released[n - 1].release.manifest if n else None
        facts.append(_edition(each, level, before))
    return _RELEASES.dump_json(tuple(facts[::-1]), exclude_defaults=True).decode()


def _edition(standing: Standing, level: str, before: Manifest | None) -> ReleaseFacts:
    says = standing.release.tables[level].manifest
    file = standing.release.manifest.files.get(csv_file(level))
    return ReleaseFacts(
        period=says.period,
        edition=says.edition,
        created=says.created,
        rows=says.rows,
        suppressed=says.suppressed,
        unreliable=says.unreliable,
        caution=says.caution,
        final=says.final,
        current=standing.status == "ready",
        retracted=standing.status == "retracted",
        reason=_reason(says, before) if before is not None and before.period == says.period else "",
        decisions=[
            DecisionFacts(what=each.what, at=each.at, reason=each.reason, although=list(each.although))
            for each in standing.decisions
        ],
        sha256=file.sha256 if file is not None else "",
        entry=says.ledger.sequence,
        entry_hash=says.ledger.hash,
    )


def heads_on(view: View, url: str) -> list[Head]:
    """The ledger entries that a portal's dataset says its releases were paid with; none if it does not say."""
    told = _told(view)
    named = {(each.entry, each.entry_hash): f"{url}, release {each.period}/{each.edition}," for each in told}
    return [Head(who, sequence, digest) for (sequence, digest), who in named.items() if sequence]


def editions_on(view: View) -> set[tuple[str, int]]:
    """Period and edition of each release whose rows a portal's dataset has; none if it does not say, or is just being
    written."""
    return {(each.period, each.edition) for each in _told(view) if each.current and "unfinished" not in view.custom}


def _told(view: View) -> tuple[ReleaseFacts, ...]:
    """The releases that a portal's dataset says it has."""
    releases = view.custom.get("releases")
    return _read(releases) if isinstance(releases, str) else ()


@lru_cache(maxsize=8)
def _read(releases: str) -> tuple[ReleaseFacts, ...]:
    """Read once: a push asks several times what the portal says of thousands."""
    try:
        return _RELEASES.validate_json(releases)
    except ValueError:
        return ()


def _reason(says: Manifest, before: Manifest) -> Reason:
    """Why there is another edition: the difference from the one before."""
    if says.statistical_hash != before.statistical_hash:
        return "new definition"
    return "late records" if says.vintage != before.vintage else "new finish"


def odds_facts(release: Release, more: Fraction = Fraction(0)) -> str:
    """The odds for everything that the dataset publishes about one window of one unit, from the release's guarantee;
    `more` is what was spent on measurements for its bounds after the guarantee was written."""
    promised = guarantee_of(release)
    own = [each for each in promised.get("windows", ()) if each["of"] == "dataset" and each["count"] == 1]
    if not own:
        return ""  # guarantees of the first format do not have it
    after, exception = _NAMES.get(promised["format"], _NAMES[3])
    unit, currency = promised["privacy_unit"], release.manifest.charge.currency
    loss = Fraction(own[0]["loss"]) + more
    belief = promised["odds"]["release"].get("posterior_below")
    if belief is None or loss != Fraction(promised["loss"]["amount"]):  # more than this release was drawn
        belief = float(odds.up(odds.posterior_bound(loss, currency)))
    household = [each for each in promised["household"] if each["of"] == "dataset" and each["count"] > 1]
    source = [each for each in promised["windows"] if each["of"] == "budget" and each["count"] == 1]
    facts = Odds(
        unit=unit["column"] or "record",
        period="all time" if unit["window"] == "lifetime" else f"a {unit['window']}",
        after=_guess(own[0], after, currency, more),
        household_units=household[0]["count"] if household else 0,
        household=_guess(household[0], after, currency, more) if household else 0.0,
        source=source[0][after] if source else 0.0,
        posterior_bound=belief,
        exception=promised["odds"]["budget"][exception],
        loss=f"{'ρ' if currency == 'zcdp' else 'ε'} = {float(odds.up(loss)):g}",
    )
    return facts.model_dump_json()


def _guess(promised: dict[str, Any], name: str, currency: Currency, more: Fraction) -> float:
    """How often the best guesser is right, as the guarantee promises it, or after more was spent on each unit: the
    smaller of two bounds, since losses add up, and so do statistical distances."""
    if not more:
        return float(promised[name])
    added = odds.group(more, currency, promised["count"])
    together = odds.guess_bound(Fraction(promised["loss"]) + added, currency)
    apart = Fraction(promised[name]) + Fraction(odds.guess_bound(added, currency)) - Fraction(1, 2)
    return float(odds.up(min(Fraction(together), apart, Fraction(1))))


def tuned_since(release: Release, dataset: DatasetFile, tunings: Sequence[Tuning]) -> Fraction:
    """What measurements for the dataset's bounds add to the most that it spends on one window, by the release's
    guarantee: those that it does not count. Of a window that the dataset never releases, what exceeds that."""
    promised = guarantee_of(release)
    counted = {each["entry"] for each in promised.get("tunings", ())}
    own = [each for each in promised.get("windows", ()) if each["of"] == "dataset" and each["count"] == 1]
    most = Fraction(own[0]["loss"]) if own else Fraction(0)
    added = [Fraction(0)]
    for block in {block for each in tunings if each.entry not in counted for block in each.blocks}:
        spent = {each.entry: each.loss for each in tunings if block in each.blocks}
        new = sum((loss for entry, loss in spent.items() if entry not in counted), Fraction(0))
        added.append(new if released_yet(dataset, block) else sum(spent.values(), Fraction(0)) - most)
    return max(added)


def counted_shares(
    dataset: DatasetFile,
    shape: Shape,
    tuned: Tuned | None,
    *,
    stand_in: bool,
    level: str = "",
    newest: Manifest | None = None,
) -> tuple[CountedShare, ...]:
    """How much of each bounded total counts: by the newest release, if it measured that, or else by the newest
    measurement of the same kind of records."""
    rollup = rollup_of(dataset.definition, level) is not None
    if newest is not None and newest.counted:
        return shape.known_shares(newest.counted, rollup=rollup)
    if tuned is None or tuned.found.stand_in != stand_in or dataset.definition.discovered is not None:
        return ()
    found = proposal(tuned.found.histograms, 1.0)
    facts = []
    for measure in dataset.definition.measured:
        share = counted_share(found, dataset.definition, measure)
        if share is not None:
            low, high = share
            facts.append(CountedShare(measure=measure.name, low=low, high=high, period=tuned.found.period, at=tuned.at))
    return shape.known_shares(facts, rollup=rollup)


def counted_facts(shares: Sequence[CountedShare]) -> str:
    """The same as the portal reads it."""
    return _COUNTED.dump_json(tuple(shares)).decode() if shares else ""


def coverage_facts(definition: Dataset) -> str:
    """The area that the whole dataset covers, if declared."""
    coverage = definition.portal.coverage
    return CoverageFacts(**coverage.model_dump()).model_dump_json() if coverage is not None else ""


def guarantee_of(release: Release) -> dict[str, Any]:
    """The release's machine-readable guarantee."""
    promised: dict[str, Any] = json.loads(release.content(GUARANTEE))
    return promised
