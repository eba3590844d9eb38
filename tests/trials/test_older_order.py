"""A new keyed order redraws and charges nothing that was charged under the order of the first version."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from burgh import settle

from publisher.engine.order import ORDER
from publisher.errors import BudgetError
from publisher.pipeline import publish
from publisher.pipeline.accounts import SourceAccounts
from publisher.pipeline.session import opened
from publisher.run import PeriodSelection, run
from publisher.workspace import SourceFile, find_workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from publisher.errors import PublisherError
    from publisher.pipeline.report import RunReport
    from publisher.records.landing import Landing
    from publisher.release.manifest import Release
    from publisher.workspace import Workspace

FIRST = ""
"""The order of the first version, which had no name."""
JANUARY, FEBRUARY = "2024-01", "2024-02"


class StoppedError(Exception):
    """What stops a draw after its charge."""


class Watcher:
    """Nobody watches; whatever would be asked is refused."""

    def total(self, steps: int) -> None:
        pass

    def step(self, words: str) -> None:
        pass

    def doing(self, words: str) -> None:
        pass

    def landed(self, source: SourceFile, landing: Landing) -> None:
        pass

    def agree(self, question: str) -> bool:  # noqa: ARG002 -- whatever it is
        return False

    def note(self, words: str) -> None:
        pass

    def warn(self, error: PublisherError) -> None:
        pass


@pytest.fixture
def burgh(tmp_path: Path) -> Workspace:
    """The burgh, in which nothing has happened yet."""
    settle(tmp_path)
    return replace(find_workspace(tmp_path), data=tmp_path / "data", state=tmp_path / "state")


def edited(workspace: Workspace, dataset: str, before: str, after: str) -> Workspace:
    path = workspace.root / "datasets" / f"{dataset}.toml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    return replace(find_workspace(workspace.root), data=workspace.data, state=workspace.state)


def released(workspace: Workspace, dataset: str, order: str = ORDER, today: date = date(2024, 9, 1)) -> RunReport:
    """A run of that dataset on that day, by a version with that order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("publisher.pipeline.job.ORDER", order)
        patch.setattr(SourceFile, "today", lambda _: today)
        return run(workspace, [workspace.dataset(dataset)], PeriodSelection(), Watcher(), push=False)


def editions(workspace: Workspace, dataset: str, period: str = JANUARY) -> list[Release]:
    with opened(workspace) as catalog:
        return catalog.store.editions(dataset, period)


def charges(workspace: Workspace) -> list[str]:
    with opened(workspace) as catalog:
        return [entry.payload["statistical_hash"] for entry in catalog.ledger.entries("charge")]


def files(workspace: Workspace) -> dict[Path, str]:
    paths = (path for path in (workspace.public / "releases").rglob("*") if path.is_file())
    return {path: sha256(path.read_bytes()).hexdigest() for path in paths}


def test_released_periods_stay_and_new_ones_have_the_new_order(burgh: Workspace) -> None:
    """The same definition: the same bytes, no charge and no question. Only a period never drawn before has the new
    order, in its manifest and its statistical hash."""
    released(burgh, "plain", FIRST)
    before, paid = files(burgh), charges(burgh)
    report = released(burgh, "plain")
    assert ([each.edition for each in report.outcomes], report.errors) == ([1], ())
    assert (files(burgh), charges(burgh)) == (before, paid)
    later = edited(burgh, "plain", 'last = "2024-01"', 'last = "2024-02"')
    report = released(later, "plain")
    assert ([each.edition for each in report.outcomes], report.errors) == ([1, 1], ())
    old, new = (editions(later, "plain", period)[-1].manifest for period in (JANUARY, FEBRUARY))
    assert (old.order, new.order) == (FIRST, ORDER)
    assert [old.statistical_hash, new.statistical_hash] == charges(later)
    assert old.statistical_hash != new.statistical_hash
    assert released(later, "plain").errors == ()
    assert len(charges(later)) == 2
    with opened(later) as catalog:  # both are charges of today's definition, so the account knows its tables
        assert SourceAccounts(later, catalog.ledger).account(later.source("visits")).span is not None


def test_another_finish_of_an_old_draw_is_free(burgh: Workspace) -> None:
    """It stays a draw of the order it was drawn with."""
    released(burgh, "plain", FIRST)
    paid = charges(burgh)
    report = released(edited(burgh, "plain", "threshold = 5", "threshold = 50"), "plain")
    assert ([each.edition for each in report.outcomes], report.errors) == ([2], ())
    assert [each.manifest.order for each in editions(burgh, "plain")] == [FIRST, FIRST]
    assert charges(burgh) == paid


def test_a_charge_without_a_release_is_resumed(burgh: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that was stopped after its charge has paid for the one draw that the next version makes."""

    def stopped(*_: object) -> None:
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(publish, "add_noise", stopped)
        with pytest.raises(StoppedError):
            released(burgh, "plain", FIRST)
    paid = charges(burgh)
    assert len(paid) == 1
    assert released(burgh, "plain").errors == ()
    assert [(each.manifest.order, each.manifest.statistical_hash) for each in editions(burgh, "plain")] == [
        (ORDER, *paid)
    ]
    assert charges(burgh) == paid


@pytest.mark.parametrize("change", [lambda w: w, lambda w: edited(w, "late", "threshold = 5", "threshold = 6")])
def test_orders_are_never_mixed_in_one_series(burgh: Workspace, change: Callable[[Workspace], Workspace]) -> None:
    """An edition that would be added to one of another order is refused before it is charged, with what to do; another
    finish of the first does not hide it. The dataset's other periods go on."""
    burgh = edited(burgh, "late", 'last = "2024-01"', 'last = "2024-02"')
    released(burgh, "late", FIRST, date(2024, 2, 5))
    assert len(charges(burgh)) == 1
    burgh = change(burgh)
    report = released(burgh, "late")
    (error,) = report.errors
    assert isinstance(error, BudgetError)
    assert "2024-01: edition" in str(error)
    assert "nothing was charged" in str(error)
    assert "set the dataset's `first` to a later period" in str(error)
    assert {each.manifest.vintage for each in editions(burgh, "late")} == {1}
    assert [each.manifest.order for each in editions(burgh, "late", FEBRUARY)] == [ORDER, ORDER]
    assert len(charges(burgh)) == 3
    assert released(edited(burgh, "late", 'first = "2024-01"', 'first = "2024-02"'), "late").errors == ()
    with opened(burgh) as catalog:
        assert [each.manifest.period for each in catalog.current("late")] == [JANUARY, FEBRUARY]
