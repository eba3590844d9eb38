"""The audit passes on the product as it is, and fails on each fault that is planted into a copy of its own code.

A fault is a unified diff in `faults/`. One that no longer applies fails its test: it must be kept in step with the
code.
The commands are real ones, each in a process of its own, two at a time.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from apart import ROOT
from burgh import settle

import publisher
from publisher.audit.bound import clopper_pearson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

PACKAGE = Path(publisher.__file__).parent
FAULTS = Path(__file__).with_name("faults")
QUICK = ("--json", "--units", "15", "--releases", "60000")
HASTY = (*QUICK[:-1], "4000")
"""Where the bound on the loss is not what must fail."""

pytestmark = pytest.mark.xdist_group("audit")  # all commands are started at once, by one process

CAUGHT_BY = {
    "charge-after-the-noise": ("plain", "charge before noise"),
    "clamps-skipped": ("plain", "worst-case neighbors"),
    "coarser-tables-as-the-finest": ("rolled-up", "worst-case neighbors"),
    "drawn-again-until-it-passes": ("plain", "same release, same bytes"),
    "editions-bounded-apart": ("late", "worst-case neighbors or neighbors among the records"),
    "float-sums": ("plain", "order of the worst case"),
    "keys-from-the-records": ("plain", "worst-case neighbors"),
    "no-noise-in-empty-cells": ("pure", "bound on the loss"),
    "noise-cut-in-the-scale": ("pure", "noise on paper"),
    "noise-cut-where-it-is-drawn": ("plain", "bound on the loss"),
    "one-group-too-many": ("plain", "worst-case neighbors"),
    "priority-by-row-number": ("plain", "order of the worst case"),
    "records-without-cap": ("plain", "worst-case neighbors"),
    "selection-threshold-too-low": ("found", "discovered keys"),
    "sensitivity-without-root-k": ("plain", "worst-case neighbors"),
    "threshold-on-true-counts": ("plain", "post-processing"),
    "units-by-a-short-hash": ("plain", "order of the worst case"),
}
"""Of each planted fault the dataset of the burgh by whose audit it is caught, and one of the looks that fail."""

SOUND = ("plain", "rolled-up", "found", "late", "pure")
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


def patched(text: str, patch: str) -> str:
    """The text with the hunks of a unified diff applied; each must fit, exactly and once."""
    for hunk in re.split(r"(?m)^@@.*@@.*\n", patch)[1:]:
        lines = hunk.splitlines(keepends=True)
        before, after = ("".join(line[1:] for line in lines if line[0] in kinds) for kinds in (" -", " +"))
        assert text.count(before) == 1, f"the diff no longer fits the code:\n{hunk}"
        text = text.replace(before, after)
    return text


def plant(fault: str, folder: Path) -> Path:
    """A copy of the package with the fault in it; byte code of what is unchanged stays good."""
    shutil.copytree(PACKAGE, folder / "publisher")
    for part in re.split(r"(?m)^--- a/.*\n", (FAULTS / f"{fault}.patch").read_text())[1:] if fault else ():
        name, hunks = part.split("\n", 1)
        path = folder / name.removeprefix("+++ b/")
        path.write_text(patched(path.read_text(), hunks))
    return folder


def obey(order: Order, burgh: Path, folder: Path) -> Answer:
    """Runs one command of the patched package in a workspace of its own."""
    fault, arguments = order
    package = plant(fault, folder / "package")
    shutil.copytree(burgh, folder / "burgh")
    return ran(arguments, folder / "burgh", package)


def ran(arguments: tuple[str, ...], workspace: Path, package: Path, **environment: str) -> Answer:
    """The command line of the package at that path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PUBLISHER_", "COV_"))}
    script = "from publisher.cli import main; main(prog_name='publisher')"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=workspace,
        env=kept | environment | {"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def tried(fault: str) -> Order:
    """The audit by which a planted fault is caught."""
    dataset, look = CAUGHT_BY[fault]
    return fault, ("audit", dataset, *(QUICK if look == "bound on the loss" else HASTY))


@pytest.fixture(scope="module")
def burgh(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    with ThreadPoolExecutor(2) as pool:
        yield {order: pool.submit(obey, order, burgh, tmp_path_factory.mktemp("fault")) for order in orders}


@pytest.mark.parametrize("dataset", SOUND)
def test_the_product_keeps_its_promise(dataset: str, answers: dict[Order, Future[Answer]]) -> None:
    """Without a fault every look of the audit passes: people, rollups, discovered keys, late records, pure ε."""
    answer = answers["", ("audit", dataset, *QUICK)].result()
    assert (answer.code, answer.failed) == (0, set()), answer.out


@pytest.mark.parametrize("fault", CAUGHT_BY)
def test_a_planted_fault_is_caught(fault: str, answers: dict[Order, Future[Answer]]) -> None:
    """The audit of the patched product ends with exit code 4, and the look that was made for the fault fails."""
    _, look = CAUGHT_BY[fault]
    answer = answers[tried(fault)].result()
    assert answer.code == 4, answer.out + answer.err
    assert answer.failed & set(look.split(" or ")), answer.out


@pytest.mark.parametrize(("fault", "code"), [("", 0), (NARROW, 4)])
def test_the_doctor_sees_narrow_noise(fault: str, code: int, answers: dict[Order, Future[Answer]]) -> None:
    """`publisher doctor` passes as it is, and ends with exit code 4 where a tenth of the noise is missing."""
    answer = answers[fault, ("doctor",)].result()
    assert answer.code == code, answer.out + answer.err


def test_every_fault_is_tried() -> None:
    """The folder holds the faults that are tried, no other."""
    assert {path.stem for path in FAULTS.glob("*.patch")} == set(CAUGHT_BY)


def test_a_diff_that_does_not_fit_is_refused() -> None:
    """A hunk whose lines are not there, or stand there twice, is an error and no silent pass."""
    hunk = "@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    assert patched("a\nb\nd\n", hunk) == "a\nc\nd\n"
    for text in ("a\nx\nd\n", "a\nb\na\nb\n"):
        with pytest.raises(AssertionError):
            patched(text, hunk)


def test_nothing_is_left_and_nothing_is_spent(burgh: Path, tmp_path: Path) -> None:
    """After an audit the state is as it was, byte for byte: no charge, no release, no folder of the audit."""
    shutil.copytree(burgh, tmp_path / "burgh")
    state = tmp_path / "burgh" / "state"

    def tree() -> dict[str, bytes]:
        return {str(path.relative_to(state)): path.read_bytes() for path in state.rglob("*") if path.is_file()}

    before, folders = tree(), sorted(path for path in state.rglob("*") if path.is_dir())
    answer = ran(("audit", "pure", *QUICK), tmp_path / "burgh", PACKAGE.parent)
    assert answer.code == 0, answer.out + answer.err
    assert tree() == before
    assert sorted(path for path in state.rglob("*") if path.is_dir()) == folders


@pytest.mark.parametrize(("source", "dataset", "period"), [("syracuse-permits", "syracuse-permits", "2013-Q3")])
def test_real_records_keep_the_promise(source: str, dataset: str, period: str, real: Path, tmp_path: Path) -> None:
    """On real records, of applicants with many permits and some without a name, every look of the audit passes."""
    folders = {"PUBLISHER_DATA": str(real), "PUBLISHER_STATE": str(tmp_path / "state")}
    for arguments in (("land", source), ("audit", dataset, "--period", period, "--json", "--units", "60")):
        answer = ran(arguments, ROOT, PACKAGE.parent, **folders)
        assert answer.code == 0, answer.out + answer.err
    assert answer.failed == set()


@pytest.mark.parametrize("arguments", [("--period", "2023-Q4"), ("--period", "yesterday")])
def test_a_period_must_be_one_of_the_dataset(arguments: tuple[str, ...], burgh: Path) -> None:
    """Another period is refused with those that there are."""
    answer = ran(("audit", "rolled-up", *arguments), burgh, PACKAGE.parent)
    assert answer.code == 2
    assert "2024-Q1" in answer.err or "is not a period" in answer.err


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
