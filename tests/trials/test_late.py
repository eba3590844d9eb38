"""Late and corrected records, policy by policy: requests arrive in batches, some of them late, some wrong at first.

Every edition is drawn on its day; what it counts and costs is compared with what its policy promises.

Once on the invented town; once more, as evidence, on the real requests of Boston, whose late share is invented.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pytest
from apart import DATA, ROOT
from town import Town, borrow, settle

from publisher.definitions import period as civil
from publisher.definitions.vintage import vintages_of
from publisher.duck import connect
from publisher.errors import BudgetError, DefinitionError, SourceError
from publisher.pipeline.job import Job
from publisher.pipeline.session import opened
from publisher.records.places import boundaries_fingerprint
from publisher.records.reader import raw
from publisher.release.table import measured_of
from publisher.run import PeriodSelection, run
from publisher.workspace import SourceFile, find_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.definitions.period import Period
    from publisher.errors import PublisherError
    from publisher.pipeline.report import RunReport
    from publisher.records.landing import Landing
    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile, Workspace

Policy = Literal["freeze", "increment", "charge"]
REAL = pytest.mark.evidence("late and corrected records among the real requests of Boston")
LOSS = 5
"""So large that the noise is small beside the late share; three editions that spend again fit the budget exactly."""
LATENESS = (0.88, 0.05, 0.04, 0.03)
"""The parts of the records that arrive in time, one, two and three batches later; the last of them come too late."""
CORRECTED = 0.04
"""The part of the records that come once more, one batch later, with another kind, and every other one on a day of the
next period."""


@dataclass(frozen=True)
class Feed:
    """How one source writes its records, and when its batches come."""

    dataset: str
    source: str
    number: str
    opened: str
    form: str
    kind: str
    folder: str
    periods: tuple[str, ...]
    received: tuple[date, ...]
    draws: tuple[date, ...]
    after_days: tuple[int, ...]


TOWN = Feed(
    "town-calls", "calls", "ID", "OPENED", "%Y-%m-%d %H:%M", "KIND", "calls", ("2018-W02", "2018-W03"),
    tuple(date(2018, 1, 16) + timedelta(days=7 * n) for n in range(4)),
    tuple(date(2018, 1, 18) + timedelta(days=7 * n) for n in range(4)), (3, 10, 17),
)  # fmt: skip
BOSTON = Feed(
    "boston-requests", "boston-311", "CASE_ENQUIRY_ID", "OPEN_DT", "%m/%d/%Y %I:%M:%S %p", "REASON", "boston-late",
    ("2015-01", "2015-02"),
    tuple(date(2015, month, 3) for month in (2, 3, 4, 5)),
    tuple(date(2015, month, 8) for month in (2, 3, 4, 5)), (5, 35, 65),
)  # fmt: skip


@dataclass(frozen=True)
class Version:
    """One row of one batch, as the test understands it."""

    record: str
    day: date
    kind: str


@dataclass(frozen=True)
class History:
    """A feed that was released edition by edition under one policy."""

    feed: Feed
    policy: Policy
    workspace: Workspace
    batches: tuple[tuple[date, tuple[Version, ...]], ...]
    written: dict[str, bytes]
    """Every file of every release, as it was on the day on which it appeared."""

    @property
    def dataset(self) -> DatasetFile:
        return self.workspace.dataset(self.feed.dataset)

    @property
    def periods(self) -> tuple[Period, ...]:
        return tuple(map(civil.parse, self.feed.periods))

    def releases(self, period: Period) -> list[Release]:
        """Its editions, oldest first."""
        with opened(self.workspace) as catalog:
            return catalog.store.editions(self.feed.dataset, period.label)

    def cutoffs(self, period: Period) -> tuple[date, ...]:
        late = self.dataset.source.definition.late
        assert late is not None
        return vintages_of(late, period)[0].cutoffs

    def exact(self, period: Period, number: int) -> Counter[str]:
        """How many records of each kind an edition counts by the words of its policy, worked out from the batches."""
        cutoffs = self.cutoffs(period)
        first: dict[str, tuple[date, date]] = {}
        for received, versions in self.batches:
            for each in versions:
                first.setdefault(each.record, (received, each.day))
        counted: Counter[str] = Counter()
        for vintage in range(1, number + 1):
            if self.policy == "charge" and vintage < number:
                continue
            since = cutoffs[vintage - 2] if vintage > 1 and self.policy == "increment" else date.min
            stood = {
                each.record: each for received, versions in self.batches if received < cutoffs[vintage - 1]
                for each in versions
            }  # fmt: skip
            for each in stood.values():
                received, day = first[each.record]
                when = {"freeze": received, "increment": day, "charge": each.day}[self.policy]
                counted[each.kind] += period.start <= when < period.end and since <= received
        return counted


def _cut(feed: Feed, rows: pd.DataFrame, chance: random.Random) -> list[pd.DataFrame]:
    """The rows of each batch: those of its period, late ones of earlier periods, corrections of the batch before."""
    when = pd.to_datetime(rows[feed.opened], format=feed.form)
    ends = [civil.parse(label).end for label in feed.periods]
    own = when.map(lambda moment: sum(moment.date() >= end for end in ends))
    arrives = own + [chance.choices(range(len(LATENESS)), LATENESS)[0] for _ in range(len(rows))]
    wrong = pd.Series([chance.random() < CORRECTED for _ in range(len(rows))], rows.index)
    corrected = rows[wrong].copy()
    corrected[feed.kind] = corrected[feed.kind].sample(frac=1, random_state=chance.randrange(9)).to_numpy()
    length = ends[-1] - civil.parse(feed.periods[-1]).start
    moved = corrected.index[::2]
    corrected.loc[moved, feed.opened] = (when[moved] + length).dt.strftime(feed.form)
    return [
        pd.concat([rows[arrives == n], corrected[arrives[wrong] == n - 1]]) for n in range(len(feed.received))
    ]  # fmt: skip


def _versions(feed: Feed, batch: pd.DataFrame) -> tuple[Version, ...]:
    reasons = _column("boston-reasons", "reason", "category") if feed is BOSTON else {}
    listed = _column("boston-categories", "key", "key") if feed is BOSTON else {"Lamp", "Pothole"}
    named = [reasons.get(text, text) for text in batch[feed.kind]]
    kinds = [kind if kind in listed else "Other" for kind in named]
    days = [datetime.strptime(text, feed.form).date() for text in batch[feed.opened]]  # noqa: DTZ007 - civil time
    return tuple(map(Version, batch[feed.number], days, kinds))


def _column(keyset: str, key: str, value: str) -> dict[str, str]:
    table = pd.read_csv(ROOT / "datasets" / "keysets" / f"{keyset}.csv", dtype="str", keep_default_na=False)
    return dict(zip(table[key], table[value], strict=True))


def _settle_town(folder: Path) -> tuple[Town, pd.DataFrame]:
    town = settle(
        folder, "http://127.0.0.1:9", records=1500, first=TOWN.periods[0], last=TOWN.periods[-1], rho=str(LOSS)
    )
    whole = folder / "data" / "calls" / "january.csv"
    rows = pd.read_csv(whole, dtype="str", keep_default_na=False)
    whole.unlink()
    return town, rows


def _settle_boston(folder: Path) -> tuple[Town, pd.DataFrame]:
    town = borrow(folder, ROOT, "http://127.0.0.1:9", {BOSTON.dataset: (BOSTON.periods[0], BOSTON.periods[-1])})
    (folder / "data" / BOSTON.folder).mkdir(parents=True)
    (folder / "data" / "boston-boundaries").symlink_to(DATA / "boston-boundaries")
    (path,) = (DATA / "boston-311").glob("*.csv.gz")
    rows = pd.read_csv(path, dtype="str", keep_default_na=False)
    when = pd.to_datetime(rows[BOSTON.opened], format=BOSTON.form)
    return town, rows[when < pd.Timestamp(civil.parse(BOSTON.periods[-1]).end)]


def _change(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for before, after in changes:
        assert re.search(before, text), f"{path.name} does not say {before}"
        text = re.sub(before, after, text)
    path.write_text(text)


def _declare(folder: Path, feed: Feed, policy: Policy) -> Workspace:
    """Gives the source its policy and the dataset its loss."""
    source = folder / "pipelines" / f"{feed.source}.toml"
    if feed is BOSTON:
        _change(
            source, (r"(?m)^delivery = .*\n", ""), (r'(?m)^path = "boston-311/.*$', f'path = "{feed.folder}/*.csv"')
        )
    _change(source, (r"\A", 'delivery = "changes"\n'), (r"budget = \S+", f"budget = {3 * LOSS}"))
    days = [0] if policy == "freeze" else list(feed.after_days)
    with source.open("a") as file:
        file.write(f'\n[late]\npolicy = "{policy}"\nreceived = "%Y-%m-%d.csv"\nafter_days = {days}\n')
    _change(folder / "datasets" / f"{feed.dataset}.toml", (r"rho = \S+", f"rho = {LOSS}"))
    return replace(find_workspace(folder), data=folder / "data", state=folder / "state")


class _Watcher:
    """Nobody watches, but nothing may go wrong unseen."""

    def total(self, steps: int) -> None:
        pass

    def step(self, words: str) -> None:
        pass

    def doing(self, words: str) -> None:
        pass

    def landed(self, source: SourceFile, landing: Landing) -> None:
        pass

    def agree(self, question: str) -> bool:  # noqa: ARG002 -- there is no one to ask
        """Always."""
        return True

    def note(self, words: str) -> None:
        pass

    def warn(self, error: PublisherError) -> None:
        raise error


def _run(workspace: Workspace, dataset: str, today: date) -> RunReport:
    """A real run, on that day."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SourceFile, "today", lambda _: today)
        return run(workspace, [workspace.dataset(dataset)], PeriodSelection(), _Watcher(), push=False)


def _files(workspace: Workspace) -> dict[str, bytes]:
    releases = workspace.public / "releases"
    return {str(path.relative_to(releases)): path.read_bytes() for path in releases.rglob("*") if path.is_file()}


def _history(folder: Path, feed: Feed, policy: Policy) -> History:
    """Delivers a batch, runs, delivers the next."""
    town, rows = _settle_boston(folder) if feed is BOSTON else _settle_town(folder)
    batches, days, draws = _cut(feed, rows, random.Random(11)), feed.received, feed.draws
    if policy == "freeze":  # part of the first batch comes inside the first period, which counts what came in it
        early = civil.parse(feed.periods[0]).end - timedelta(days=1)
        batches, days = [batches[0][::2], batches[0][1::2], *batches[1:]], (early, *days)
        draws = (early + timedelta(days=1), *draws)
    workspace = _declare(folder, feed, policy)
    written: dict[str, bytes] = {}
    for received, batch, today in zip(days, batches, draws, strict=True):
        batch.to_csv(town.folder / "data" / feed.folder / f"{received}.csv", index=False)
        report = _run(workspace, feed.dataset, today)
        assert report.exit_code == 0
        written = _files(workspace) | written
    known = tuple((day, _versions(feed, batch)) for day, batch in zip(days, batches, strict=True))
    return History(feed, policy, workspace, known, written)


@pytest.fixture(scope="module", params=["freeze", "increment", "charge"])
def policy(request: pytest.FixtureRequest) -> Policy:
    found: Policy = request.param
    return found


@pytest.fixture(scope="module", params=["town", pytest.param("boston", marks=REAL)])
def history(request: pytest.FixtureRequest, policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> History:
    if request.param == "boston":
        request.getfixturevalue("real")
    feed = BOSTON if request.param == "boston" else TOWN
    return _history(tmp_path_factory.mktemp(f"{request.param}-{policy}") / "late", feed, policy)


def _by_kind(history: History, period: Period, release: Release) -> dict[str, int]:
    """An edition's noisy counts of each kind in the whole city, before anything was cut or withheld."""
    grid = history.dataset.grid(period)
    table = measured_of(release)["", history.dataset.definition.measured[0].name].reshape(grid.shape)
    axis = grid.axes[-1]
    totals = table.reshape(-1, len(axis.keys)).sum(axis=0)
    return dict(zip(axis.keys, totals.tolist(), strict=True))


def test_every_edition_counts_what_its_policy_says(history: History) -> None:
    """By kind, within six standard deviations of the noise of all its draws: late records from their edition on,
    corrected ones once, those that came after the last cutoff never; without them it would be far outside, and is
    found. Sound editions fail once in ten million runs (six standard deviations, some fifty times)."""
    worst = 0.0
    for period in history.periods:
        releases, cells = history.releases(period), history.dataset.grid(period)
        for release in releases:
            draws = [each.scale for each in release.manifest.charge.tables if each.level == ""]
            assert len(draws) == (release.manifest.vintage if history.policy == "increment" else 1)
            deviation = (sum(scale**2 for scale in draws) * cells.size / len(cells.axes[-1].keys)) ** 0.5
            exact = history.exact(period, release.manifest.vintage)
            for kind, noisy in _by_kind(history, period, release).items():
                worst = max(worst, abs(noisy - exact[kind]) / deviation)
        if history.policy != "freeze":
            first, last = (sum(history.exact(period, number).values()) for number in (1, 3))
            everything = sum(period.start <= each.day < period.end for _, rows in history.batches for each in rows)
            whole = deviation * len(cells.axes[-1].keys) ** 0.5
            assert first + 10 * whole < last < everything - 10 * whole, "the late share is too small to be seen"
    assert worst < 6


def test_the_ledger_shows_what_a_policy_costs(history: History) -> None:
    """A day bears one loss when frozen, and the largest edition, which is one loss, when editions add up; when they
    count again, one loss for each edition, and no more than are scheduled."""
    with opened(history.workspace) as catalog:
        spending, charges = catalog.ledger.spending(), catalog.ledger.entries("charge")
    each_day = {"freeze": 1, "increment": 1, "charge": 3}[history.policy]
    days = [day.label for period in history.periods for day in period.cut("day")]
    assert {each.block: each.spent for each in spending} == dict.fromkeys(days, Fraction(each_day * LOSS))
    editions = 1 if history.policy == "freeze" else 3
    assert sorted((each.payload["period"], each.payload["vintage"]) for each in charges) == [
        (period, number) for period in history.feed.periods for number in range(1, editions + 1)
    ]
    report = _run(history.workspace, history.feed.dataset, history.feed.draws[-1] + timedelta(days=400))
    assert report.exit_code == 0
    with opened(history.workspace) as catalog:
        assert catalog.ledger.entries("charge") == charges


def test_editions_are_provisional_until_the_last(history: History) -> None:
    """In the manifest, the guarantee and the run's outcome; each keeps its bytes when others follow."""
    for period in history.periods:
        releases = history.releases(period)
        assert [each.manifest.final for each in releases] == [*[False] * (len(releases) - 1), True]
        assert [each.manifest.vintage for each in releases] == list(range(1, len(releases) + 1))
        if len(releases) > 1:
            assert all("provisional" in each.statement for each in releases[:-1])
            assert "it is final" in releases[-1].statement
            assert "scheduled edition 2 of 3" in releases[1].statement
        moved = "If the date of a record is later corrected to another day, the record may count in both."
        assert all((moved in each.statement) == (history.policy == "charge") for each in releases)
    report = _run(history.workspace, history.feed.dataset, history.feed.draws[-1])
    assert [(each.edition, each.final) for each in report.outcomes] == [(len(releases), True)] * len(history.periods)
    assert _files(history.workspace) == history.written


def test_no_record_counts_twice(history: History) -> None:
    """Over all editions and periods where they add up or are frozen, in one edition where each counts again; what came
    too late counts in none."""
    source, seen = history.dataset.source, Counter[Any]()
    late = source.definition.late
    assert late is not None
    with connect(history.workspace.settings.engine, history.workspace.private / "tmp") as connection:
        for period in history.periods:
            for vintage in vintages_of(late, period)[-1 if history.policy == "charge" else 0 :]:
                read = raw(source, history.workspace.private, period.start, period.end, vintage=vintage)
                new = "true" if history.policy == "charge" else f"_vintage = {vintage.number}"
                query = f"SELECT _record FROM ({read.sql}) WHERE {new}"
                seen.update(row[0] for row in connection.execute(query, read.parameters).fetchall())
    last = len(late.after_days)
    assert seen.total() == sum(history.exact(period, last).total() for period in history.periods) > 100
    if history.policy != "charge":  # there a correction may move a record to a period that is counted on another day
        assert set(seen.values()) == {1}


@pytest.fixture
def added(tmp_path: Path) -> Workspace:
    """The town whose editions add up, with every batch there and nothing released."""
    _, rows = _settle_town(tmp_path)
    for received, batch in zip(TOWN.received, _cut(TOWN, rows, random.Random(5)), strict=True):
        batch.to_csv(tmp_path / "data" / "calls" / f"{received}.csv", index=False)
    return _declare(tmp_path, TOWN, "increment")


def _numbers(workspace: Workspace) -> list[tuple[int, int, bool]]:
    """Edition, vintage and finality of the first period's releases."""
    with opened(workspace) as catalog:
        found = [each.manifest for each in catalog.store.editions(TOWN.dataset, TOWN.periods[0])]
    return [(each.edition, each.vintage, each.final) for each in found]


def _edit(workspace: Workspace, name: str, before: str, after: str) -> Workspace:
    _change(workspace.root / name, (before, after))
    return replace(find_workspace(workspace.root), data=workspace.data, state=workspace.state)


def test_editions_that_were_missed_are_drawn_in_order(added: Workspace) -> None:
    """A run that comes late draws each edition as it would have been on its day, and says what the last became."""
    report = _run(added, TOWN.dataset, date(2030, 1, 1))
    assert [(each.period, each.edition, each.final) for each in report.outcomes] == [(p, 3, True) for p in TOWN.periods]
    assert _numbers(added) == [(1, 1, False), (2, 2, False), (3, 3, True)]


def test_a_changed_threshold_finishes_all_draws_anew(added: Workspace) -> None:
    """The measurements of every draw are in the newest edition: it is finished again free of charge, and the next
    edition adds to it."""
    _run(added, TOWN.dataset, TOWN.draws[1])
    with opened(added) as catalog:
        before = catalog.store.editions(TOWN.dataset, TOWN.periods[0])[-1]
        charges = len(catalog.ledger.entries("charge"))
    changed = _edit(added, f"datasets/{TOWN.dataset}.toml", "threshold = 3", "threshold = 5000")
    _run(changed, TOWN.dataset, TOWN.draws[1])
    assert _numbers(changed) == [(1, 1, False), (2, 2, False), (3, 2, False)]
    with opened(changed) as catalog:
        after = catalog.store.editions(TOWN.dataset, TOWN.periods[0])[-1]
        assert len(catalog.ledger.entries("charge")) == charges
    assert after.manifest.charge == before.manifest.charge
    assert all((measured_of(after)[name] == table).all() for name, table in measured_of(before).items())
    assert after.manifest.suppressed > before.manifest.suppressed
    _run(changed, TOWN.dataset, TOWN.draws[2])
    assert _numbers(changed)[-1] == (4, 3, True)


def test_nothing_is_added_to_an_edition_that_was_retracted(added: Workspace) -> None:
    """The next would hold the same numbers; restored, it goes on."""
    _run(added, TOWN.dataset, TOWN.draws[0])
    with opened(added) as catalog:
        release = catalog.store.editions(TOWN.dataset, TOWN.periods[0])[-1]
        catalog.retract(release, "a trial")
        report = _run(added, TOWN.dataset, TOWN.draws[1])
        assert (report.outcomes[0].status, report.outcomes[0].edition) == ("retracted", 1)
        catalog.retract(release, "a trial", undo=True)
        report = _run(added, TOWN.dataset, TOWN.draws[1])
        assert (report.outcomes[0].status, report.outcomes[0].edition) == ("ready", 2)


def test_a_charge_without_its_draw_is_completed(added: Workspace) -> None:
    """Killed after the charge of a second edition, the next run draws it under that charge and adds it once."""
    _run(added, TOWN.dataset, TOWN.draws[0])
    dataset = added.dataset(TOWN.dataset)
    late = dataset.source.definition.late
    assert late is not None
    period = civil.parse(TOWN.periods[0])
    places = boundaries_fingerprint(dataset.source, added.data)
    with opened(added) as catalog:
        job = Job(added, catalog, dataset, period, places, vintages_of(late, period)[1])
        entry = catalog.ledger.charge(job.request)
    _run(added, TOWN.dataset, TOWN.draws[1])
    with opened(added) as catalog:
        charges = catalog.ledger.charges(TOWN.dataset, period.label)
        second = catalog.store.editions(TOWN.dataset, period.label)[-1].manifest
    assert [each.payload["vintage"] for each in charges] == [1, 2]
    assert (second.ledger.sequence, len(second.charge.tables)) == (entry.sequence, 2)


def test_a_policy_that_moves_records_to_other_days_is_refused(added: Workspace) -> None:
    """Blocks that were spent by the day of opening cannot go on by the day of receipt; nothing is read or spent."""
    _run(added, TOWN.dataset, TOWN.draws[0])
    source = "pipelines/calls.toml"
    frozen = _edit(_edit(added, source, "increment", "freeze"), source, "after_days = .*", "after_days = [0]")
    with pytest.raises(BudgetError, match="day of receipt"):
        _run(frozen, TOWN.dataset, TOWN.draws[1])
    with opened(frozen) as catalog:
        assert len(catalog.ledger.entries("charge")) == 1


def test_a_file_with_an_old_name_counts_in_the_next_edition(tmp_path: Path) -> None:
    """Its name dates it before the cutoff of an edition that was drawn without it: its records count in the next, and
    what was drawn before would be read again as it was."""
    _, rows = _settle_town(tmp_path)
    workspace = _declare(tmp_path, TOWN, "increment")
    folder = tmp_path / "data" / "calls"
    half = len(rows) // 2
    rows[:half].to_csv(folder / f"{TOWN.received[0]}.csv", index=False)
    _run(workspace, TOWN.dataset, TOWN.draws[0])
    rows[half:].to_csv(folder / f"{TOWN.received[0] + timedelta(days=1)}.csv", index=False)
    _run(workspace, TOWN.dataset, TOWN.draws[1])
    source, period = workspace.dataset(TOWN.dataset).source, civil.parse(TOWN.periods[0])
    late = source.definition.late
    assert late is not None
    read = raw(source, workspace.private, period.start, period.end, vintage=vintages_of(late, period)[1])
    with connect(workspace.settings.engine, workspace.private / "tmp") as connection:
        query = f"SELECT _vintage, count(*) FROM ({read.sql}) GROUP BY ALL"
        counts = dict(connection.execute(query, read.parameters).fetchall())
    known = History(
        TOWN, "increment", workspace,
        ((TOWN.received[0], _versions(TOWN, rows[:half])), (TOWN.draws[0], _versions(TOWN, rows[half:]))), {},
    )  # fmt: skip
    first, second = (known.exact(period, number).total() for number in (1, 2))
    assert counts == {1: first, 2: second - first}
    assert min(counts.values()) > 100
    assert _numbers(workspace) == [(1, 1, False), (2, 2, False)]
    with opened(workspace) as catalog:
        _, release = catalog.store.editions(TOWN.dataset, period.label)
    cells = measured_of(release)["", known.dataset.definition.measured[0].name]
    deviation = (sum(each.scale**2 for each in release.manifest.charge.tables if each.level == "") * cells.size) ** 0.5
    assert abs(int(cells.sum()) - second) < 6 * deviation < second - first


@pytest.mark.parametrize("policy", ["freeze", "increment", "charge"])
def test_a_past_without_files_is_not_released(tmp_path: Path, policy: Policy) -> None:
    """Where all of the past is received today, because no name says otherwise, its editions would be noise alone: the
    run says which files are missing and what to do, and nothing is charged."""
    _, rows = _settle_town(tmp_path)
    rows.to_csv(tmp_path / "data" / "calls" / "all.csv", index=False)
    workspace = _edit(_declare(tmp_path, TOWN, policy), "pipelines/calls.toml", "(?m)^received = .*\n", "")
    with pytest.raises(SourceError, match=r"calls: no file was received before 2018-0[12]-.*`first`.*`late\.received`"):
        _run(workspace, TOWN.dataset, date(2018, 3, 1))
    with opened(workspace) as catalog:
        assert not catalog.ledger.entries("charge")
        assert not catalog.store.releases(TOWN.dataset)


def test_records_are_kept_until_the_last_edition(added: Workspace) -> None:
    """A retention that ends before the last edition is refused before anything is read."""
    short = _edit(added, "pipelines/calls.toml", "retention_months = 12", "retention_months = 1")
    with pytest.raises(DefinitionError, match="retention_months"):
        _run(short, TOWN.dataset, TOWN.draws[0])
