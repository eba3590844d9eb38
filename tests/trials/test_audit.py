"""The audit passes on the product as it is, and fails on each fault that is planted into a copy of its own code.

A fault is a unified diff in `faults/` (see `tests/planting.py`).
The commands are real ones, each in a process of its own that has imported everything but publisher, two at a time.

A sound product fails the bound on the loss by chance, at 99 % for each of two rates: about once in seven thousand
audits. So an audit of the sound product whose bound alone fails is made once more, and the test fails when that fails
too: once in fifty million. The other looks compare exact numbers.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest
from apart import ROOT
from burgh import settle
from forking import Forks
from planting import FAULTS, PACKAGE, plant

from publisher.audit.bound import clopper_pearson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path

QUICK = ("--json", "--units", "15", "--releases", "60000")
HASTY = (*QUICK[:-1], "4000")
"""Where the bound on the loss is not what must fail."""
AT_ONCE = 2

pytestmark = pytest.mark.xdist_group("audit")  # all commands are started at once, by one process

CAUGHT_BY = {
    "addresses-from-the-records": ("placed", "landing"),
    "budget-checked-on-the-first-block-only": ("rolled-up", "every block pays"),
    "charge-after-the-noise": ("plain", "charge before noise"),
    "charge-of-the-first-block-only": ("rolled-up", "every block pays"),
    "cells-added-up": ("pure", "totals over time"),
    "clamps-skipped": ("plain", "worst-case neighbors"),
    "coverage-beside-the-loss": ("rolled-up", "noise on paper"),
    "coarser-tables-as-the-finest": ("rolled-up", "worst-case neighbors"),
    "drawn-again-until-it-passes": ("plain", "same release, same bytes"),
    "editions-bounded-apart": ("late", "worst-case neighbors or neighbors among the records"),
    "exact-count-in-the-manifest": ("plain", "post-processing"),
    "float-sums": ("plain", "order of the worst case"),
    "half-the-noise-on-large-numbers": ("plain", "noise of its own"),
    "ids-shared-across-units": ("plain", "landing"),
    "keys-from-the-records": ("plain", "worst-case neighbors"),
    "no-noise-in-empty-cells": ("pure", "bound on the loss"),
    "noise-cut-in-the-scale": ("pure", "noise on paper"),
    "noise-cut-where-it-is-drawn": ("plain", "bound on the loss"),
    "noise-from-a-fixed-seed": ("plain", "noise of its own"),
    "one-group-too-many": ("plain", "worst-case neighbors"),
    "one-noise-for-all-tables-of-a-scale": ("rolled-up", "noise of its own"),
    "one-noise-for-every-release": ("plain", "noise of its own"),
    "priority-by-row-number": ("plain", "order of the worst case"),
    "rows-of-a-unit-apart": ("plain", "engine"),
    "records-without-cap": ("plain", "worst-case neighbors"),
    "selection-threshold-too-low": ("found", "discovered keys"),
    "share-of-twice-the-wider-total": ("rolled-up", "share that counts"),
    "sensitivity-without-root-k": ("plain", "worst-case neighbors"),
    "threshold-on-true-counts": ("plain", "post-processing"),
    "units-by-a-short-hash": ("plain", "order of the worst case"),
    "wider-totals-as-the-bounded": ("rolled-up", "worst-case neighbors"),
}
"""Of each planted fault the dataset of the burgh by whose audit it is caught, and one of the looks that fail."""

SHOWS_IN = {
    "addresses-from-the-records": {"placed"},
    "budget-checked-on-the-first-block-only": {"rolled-up", "pure"},
    "charge-after-the-noise": {"plain", "rolled-up", "late", "pure", "placed"},
    "charge-of-the-first-block-only": {"rolled-up", "pure"},
    "cells-added-up": {"pure"},
    "clamps-skipped": {"plain"},
    "coverage-beside-the-loss": {"rolled-up"},
    "coarser-tables-as-the-finest": {"rolled-up"},
    "drawn-again-until-it-passes": {"plain", "rolled-up", "found", "late", "pure", "placed"},
    "editions-bounded-apart": {"late"},
    "exact-count-in-the-manifest": {"plain", "rolled-up", "found", "late", "pure", "placed"},
    "float-sums": {"plain"},
    "half-the-noise-on-large-numbers": {"plain", "rolled-up", "found", "late", "pure", "placed"},
    "ids-shared-across-units": {"plain", "rolled-up", "found", "late", "placed"},
    "keys-from-the-records": {"plain", "rolled-up", "found", "late", "pure", "placed"},
    "no-noise-in-empty-cells": {"plain", "rolled-up", "found", "late", "pure", "placed"},
    "noise-cut-in-the-scale": {"plain", "rolled-up", "found", "late", "pure", "placed"},
    "noise-cut-where-it-is-drawn": {"plain", "rolled-up", "found", "late", "pure", "placed"},
    "noise-from-a-fixed-seed": {"plain", "rolled-up", "found", "late", "pure", "placed"},
    "one-group-too-many": {"plain", "rolled-up", "found", "late", "placed"},
    "one-noise-for-all-tables-of-a-scale": {"rolled-up", "pure"},
    "one-noise-for-every-release": {"plain", "rolled-up", "found", "late", "pure", "placed"},
    "priority-by-row-number": {"plain", "rolled-up", "found", "late", "placed"},
    "rows-of-a-unit-apart": {"plain", "rolled-up", "found", "late", "placed"},
    "records-without-cap": {"plain", "rolled-up", "found", "late", "placed"},
    "selection-threshold-too-low": {"found"},
    "share-of-twice-the-wider-total": {"rolled-up"},
    "sensitivity-without-root-k": {"plain", "rolled-up", "found", "late", "placed"},
    "threshold-on-true-counts": {"plain", "rolled-up", "found", "late", "pure", "placed"},
    "units-by-a-short-hash": {"plain", "rolled-up", "found", "late", "placed"},
    "wider-totals-as-the-bounded": {"rolled-up"},
}
"""Of each fault all datasets of the burgh whose releases go through it."""

SOUND = ("plain", "rolled-up", "found", "late", "placed", "pure")
OTHERS = [
    pytest.param(
        source, dataset, period, marks=pytest.mark.evidence("audits of every shipped dataset on its real records")
    )
    for source, dataset, period in (
        ("alicante-water", "alicante-water", "2016-07"),
        ("boston-311", "boston-requests", "2015-02"),
        ("boston-311-closed", "boston-closed-within-a-week", "2015-03"),
        ("boston-311-closed", "boston-days-to-close", "2015-03"),
        ("seattle-energy", "seattle-energy", "2016"),
        ("seattle-energy", "seattle-energy-city", "2016"),
        ("stlouis-311", "stlouis-neighborhood-requests", "2018-01"),
        ("stlouis-311", "stlouis-requests", "2018-W03"),
        ("stlouis-311-closed", "stlouis-closed-within-a-week", "2018-01"),
        ("stlouis-311-closed", "stlouis-days-to-close", "2018-01"),
        ("syracuse-permits", "syracuse-permit-kinds", "2013-Q3"),
    )
]
BY_CHANCE = {"bound on the loss"}
NARROW = "noise-cut-where-it-is-drawn"
"""The fault that `publisher doctor` finds as well."""


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def failed(self) -> set[str]:
        """The looks of an audit that failed."""
        rows: list[dict[str, Any]] = json.loads(self.out)
        return {row["what"] for row in rows if row["status"] == "failed"}


Order = tuple[str, tuple[str, ...]]
"""The fault, none where it is empty, and the arguments of the command."""


def obey(order: Order, burgh: Path, folder: Path) -> Answer:
    """Runs one command of the patched package in a workspace of its own."""
    fault, arguments = order
    package = plant(fault, folder / "package")
    shutil.copytree(burgh, folder / "burgh")
    return ran(arguments, folder / "burgh", package)


def ran(arguments: tuple[str, ...], workspace: Path, package: Path, **environment: str) -> Answer:
    """The command line of the package at that path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PUBLISHER_", "COV_"))}
    forks = idle().get()
    try:
        return Answer(*forks.run(list(arguments), workspace, kept | environment, package))
    finally:
        idle().put(forks)


@cache
def idle() -> SimpleQueue[Forks]:
    """The forking processes that have nothing to do."""
    queue: SimpleQueue[Forks] = SimpleQueue()
    for _ in range(AT_ONCE):
        queue.put(Forks(without=True))
    return queue


def tried(fault: str) -> Order:
    """The check by which a planted fault is caught, alone: that the sound product passes every check is shown by whole
    audits, and which others a fault fails is evidence."""
    dataset, check = CAUGHT_BY[fault]
    only = [f"--only={each}" for each in check.split(" or ")]
    return fault, ("audit", dataset, *only, *(QUICK if check == "bound on the loss" else HASTY))


def whole(fault: str, dataset: str) -> Order:
    """The whole audit of a planted fault."""
    _, check = CAUGHT_BY[fault]
    return fault, ("audit", dataset, *(QUICK if check == "bound on the loss" else HASTY))


@pytest.fixture(scope="module")
def burgh(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose records have been landed; nobody changes it."""
    folder = tmp_path_factory.mktemp("burgh") / "burgh"
    settle(folder)
    answer = ran(("land",), folder, PACKAGE.parent)
    assert answer.code == 0, answer.err
    return folder


@pytest.fixture(scope="module")
def answers(burgh: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Order, Future[Answer]]]:
    """All commands of this module, started at once, two at a time."""
    orders: list[Order] = [("", ("audit", dataset, *QUICK)) for dataset in SOUND]
    orders += [tried(fault) for fault in CAUGHT_BY]
    orders += [("", ("doctor",)), (NARROW, ("doctor",))]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {order: pool.submit(obey, order, burgh, tmp_path_factory.mktemp("fault")) for order in orders}


@pytest.mark.parametrize("dataset", SOUND)
def test_the_product_keeps_its_promise(
    dataset: str, burgh: Path, answers: dict[Order, Future[Answer]], tmp_path: Path
) -> None:
    """Without a fault every look of the audit passes: people, rollups, discovered keys, late records, pure ε."""
    order = ("", ("audit", dataset, *QUICK))
    answer = answers[order].result()
    if answer.failed == BY_CHANCE:
        answer = obey(order, burgh, tmp_path)
    assert (answer.code, answer.failed) == (0, set()), answer.out


@pytest.mark.parametrize("fault", CAUGHT_BY)
def test_a_planted_fault_is_caught(fault: str, answers: dict[Order, Future[Answer]]) -> None:
    """The audit of the patched product ends with exit code 4: the look that was made for the fault fails."""
    _, look = CAUGHT_BY[fault]
    answer = answers[tried(fault)].result()
    assert answer.code == 4, answer.out + answer.err
    assert answer.failed & set(look.split(" or ")), answer.out


@pytest.mark.evidence("every planted fault on every dataset of the trial town")
@pytest.mark.parametrize("dataset", SOUND)
@pytest.mark.parametrize("fault", CAUGHT_BY)
def test_a_planted_fault_shows_wherever_it_can(fault: str, dataset: str, burgh: Path, tmp_path: Path) -> None:
    """The whole audit fails on every dataset whose releases go through the fault, and passes on the others. That its
    check catches the fault is shown by one dataset; that it does so whatever else the dataset has is evidence."""
    order = whole(fault, dataset)
    answer = obey(order, burgh, tmp_path / "first")
    shows = dataset in SHOWS_IN[fault]
    if not shows and answer.failed == BY_CHANCE:
        answer = obey(order, burgh, tmp_path / "second")
    assert answer.code == (4 if shows else 0), answer.out + answer.err


@pytest.mark.parametrize(("fault", "code"), [("", 0), (NARROW, 4)])
def test_the_doctor_sees_narrow_noise(fault: str, code: int, answers: dict[Order, Future[Answer]]) -> None:
    """`publisher doctor` passes as it is, and ends with exit code 4 where a tenth of the noise is missing."""
    answer = answers[fault, ("doctor",)].result()
    assert answer.code == code, answer.out + answer.err


def test_every_fault_is_tried() -> None:
    """The folder holds the faults that are tried, no other."""
    assert {path.stem for path in FAULTS.glob("*.patch")} == set(CAUGHT_BY)


def test_nothing_is_left_and_nothing_is_spent(burgh: Path, tmp_path: Path) -> None:
    """After an audit the state is as it was, byte for byte: no charge, no release, no folder of the audit. The journal
    tells that records were read."""
    shutil.copytree(burgh, tmp_path / "burgh")
    state = tmp_path / "burgh" / "state"

    def tree() -> dict[str, bytes]:
        return {str(path.relative_to(state)): path.read_bytes() for path in state.rglob("*") if path.is_file()}

    before, folders = tree(), sorted(path for path in state.rglob("*") if path.is_dir())
    answer = ran(("audit", "pure", *QUICK), tmp_path / "burgh", PACKAGE.parent)
    # The bound may fail by chance; what is looked at here is the state.
    assert answer.failed <= BY_CHANCE, answer.out + answer.err
    after, journal = tree(), "private/journal.jsonl"
    told = after.pop(journal).removeprefix(before.pop(journal)).splitlines()
    assert [(json.loads(line)["kind"], json.loads(line)["reason"]) for line in told] == [("read", "audit")]
    assert after == before
    assert sorted(path for path in state.rglob("*") if path.is_dir()) == folders


@pytest.mark.parametrize(
    ("source", "dataset", "period"), [("syracuse-permits", "syracuse-permits", "2013-Q3"), *OTHERS]
)
@pytest.mark.usefixtures("processes")
def test_real_records_keep_the_promise(source: str, dataset: str, period: str, real: Path, tmp_path: Path) -> None:
    """On real records, of applicants with many permits and some without a name, every look of the audit passes. Other
    shipped datasets have no other kind of unit: they are evidence."""
    folders = {"PUBLISHER_DATA": str(real), "PUBLISHER_STATE": str(tmp_path / "state")}
    answer = ran(("land", source), ROOT, PACKAGE.parent, **folders)
    assert answer.code == 0, answer.out + answer.err
    for _ in range(2):
        answer = ran(("audit", dataset, "--period", period, "--json", "--units", "60"), ROOT, PACKAGE.parent, **folders)
        if answer.failed != BY_CHANCE:
            break
    assert (answer.code, answer.failed) == (0, set()), answer.out + answer.err


@pytest.mark.parametrize("arguments", [("--period", "2023-Q4"), ("--period", "yesterday")])
def test_a_period_must_be_one_of_the_dataset(arguments: tuple[str, ...], burgh: Path) -> None:
    """Another period is refused with those that there are."""
    answer = ran(("audit", "rolled-up", *arguments), burgh, PACKAGE.parent)
    assert answer.code == 2
    assert "2024-Q1" in answer.err or "is not a period" in answer.err


def test_a_check_must_be_one_of_the_audit(burgh: Path) -> None:
    """Another name is refused with those that there are."""
    answer = ran(("audit", "rolled-up", "--only", "noise"), burgh, PACKAGE.parent)
    assert answer.code == 2
    assert "noise of its own" in answer.err


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (5, 10), (10, 10), (500, 1000), (999, 1000)])
def test_intervals_are_those_of_clopper_and_pearson(successes: int, trials: int) -> None:
    """The beta quantiles without SciPy invert the binomial tails, added up term by term."""
    low, high = clopper_pearson(successes, trials, 0.005)
    assert (low == 0) == (successes == 0)
    assert (high == 1) == (successes == trials)
    if successes:
        assert tail(range(successes, trials + 1), trials, low) == pytest.approx(0.005, rel=1e-6)
    if successes < trials:
        assert tail(range(successes + 1), trials, high) == pytest.approx(0.005, rel=1e-6)


def tail(counts: range, trials: int, chance: float) -> float:
    """The chance that a binomial count is one of these."""
    return math.fsum(math.comb(trials, n) * chance**n * (1 - chance) ** (trials - n) for n in counts)
