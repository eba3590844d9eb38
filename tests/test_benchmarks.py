"""Benchmarks whose numbers stand in the documentation still end well."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from real_records import real_records

from publisher.workspace import find_workspace

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def ran(*command: str) -> None:
    """Run a benchmark, whose exit code says whether its claims hold."""
    done = subprocess.run([sys.executable, *command], cwd=BENCHMARKS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}{done.stderr}"


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            "attacks",
            marks=pytest.mark.evidence("benchmark: attacks on published numbers, with and without the guarantee"),
        ),
        pytest.param(
            "budgets", marks=pytest.mark.evidence("benchmark: fifty monthly releases, and what the ledger says")
        ),
        pytest.param(
            "crossed", marks=pytest.mark.evidence("benchmark: tables that are no chain, 20,000 releases of three towns")
        ),
        pytest.param(
            "fair", marks=pytest.mark.evidence("benchmark: one address that abuses the portal beside another one")
        ),
        pytest.param(
            "fuzz", marks=pytest.mark.evidence("benchmark: random questions and requests to a portal of its own")
        ),
        pytest.param("landing", marks=pytest.mark.evidence("benchmark: landing beside DuckDB's own copy")),
        pytest.param("lattice", marks=pytest.mark.evidence("benchmark: the largest lattice of tables")),
        pytest.param("noise", marks=pytest.mark.evidence("benchmark: the sampler of the noise")),
        pytest.param("order", marks=pytest.mark.evidence("benchmark: the order of records")),
        pytest.param(
            "release", marks=pytest.mark.evidence("benchmark: releases of ten million records beside a plain query")
        ),
        pytest.param("rollups", marks=pytest.mark.evidence("benchmark: chains of tables")),
        pytest.param("years", marks=pytest.mark.evidence("benchmark: daily runs for years")),
    ],
)
def test_a_benchmark_ends_well(name: str) -> None:
    """They repeat for minutes what tests show in seconds; what they print belongs into the documentation."""
    ran(f"{name}.py")


@pytest.mark.usefixtures("processes")
def test_clients_are_run_and_told(tmp_path: Path) -> None:
    """The benchmark of clients, with the quickest of them; tests/portal has what each client is expected to do."""
    ran("clients.py", "--rows", "500", "--only", "cfasodapy", "--only", "pandas", "--json", str(tmp_path / "told"))
    told = json.loads((tmp_path / "told").read_text())
    assert [each["ok"] for each in told] == [True] * 4
    assert {each["client"].split()[0] for each in told} == {"cfasodapy", "pandas"}


@pytest.mark.evidence("benchmark: the clients that people use, each against a real portal")
@pytest.mark.usefixtures("processes")
def test_every_client_does_its_steps() -> None:
    """It takes minutes, most of which socrata-py sleeps; what it prints belongs into docs/portal.md."""
    ran("clients.py")


@pytest.mark.evidence("every executor counts the same bits of 300,000 records, and what that costs")
@pytest.mark.usefixtures("processes")
def test_every_executor_counts_the_same(tmp_path: Path) -> None:
    """Real sizes take minutes on each executor; it fails where bits differ."""
    ran("engines.py", "--rows", "300000", "--repeats", "1", "--folder", str(tmp_path))


@pytest.mark.evidence("every period of every shipped dataset on the real records")
@pytest.mark.usefixtures("processes")
def test_every_release_of_the_real_records_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests release some periods of each dataset; all periods take many minutes."""
    monkeypatch.setenv("PUBLISHER_DATA", str(real_records("stlouis-311")))
    ran("sources.py")


def test_datasets_without_bounds_can_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark of real records compares each dataset with itself without bounds, which the engine must accept."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    sources = import_module("sources")
    for dataset in find_workspace(BENCHMARKS.parent).datasets.values():
        bounds = sources._unbounded(dataset).definition.bounds
        assert bounds.wider == bounds


def test_fairness_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark of fairness fails where the other address waits far longer than alone, or is refused."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    fair = import_module("fair")

    def line(abuse: str, p50: float, refused: int = 0) -> object:
        return fair.Waited(abuse, 100, p50, 2 * p50, 3 * p50, refused, {})

    found = [line("nothing", 200), line("lexer", 900), line("self-join", 1100), line("upload", 20, refused=1)]
    assert fair.unfair(found) == ["self-join", "upload"]
