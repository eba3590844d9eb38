"""A draft does not stop the rest of its workspace, unless charges were made under it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from desk import AREAS, HEADER, QUARTER, Desk, csv, rows

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def busy(processes: None, desk: Desk) -> Desk:
    """A workspace with a source that is complete, and the draft of another one."""
    desk.add(desk.put("requests.csv", csv(rows(1_000))), more=AREAS)
    desk.fill(first=QUARTER)
    desk.add(desk.put("permits.csv", csv(rows(300), HEADER.replace("Request", "Permit"))), source="permits", more=AREAS)
    return desk


def edit(path: Path, before: str, after: str) -> None:
    """Change a definition by hand."""
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_the_others_run(busy: Desk) -> None:
    """check names what is open and fails; run, plan and land say what is left out, and go on with the others."""
    code, said = busy.run("check")
    assert code == 2
    assert "source requests: " in said
    assert "pipelines/permits.toml:21: privacy.budget: is marked TODO" in said
    assert "everything is in order" not in said
    assert "requests.toml:" not in said
    for command in (["plan"], ["land"], ["run", "--no-push", "--yes"]):
        code, said = busy.run(*command)
        assert code == 0, said
        assert "pipelines/permits.toml is a draft and left out: " in " ".join(said.split())
        assert "datasets/permits-by-quarter.toml is a draft and left out: " in " ".join(said.split())
    assert busy.run("releases")[1].count("ready") == 1
    assert not (busy.root / "state/private/landed/permits").exists()


def test_the_checkup_counts_drafts(busy: Desk) -> None:
    """The source and the dataset that wait are said among the definitions."""
    assert "1 sources, 1 datasets; drafts left out: 2" in " ".join(busy.run("doctor")[1].split())


def test_a_draft_itself_is_refused(busy: Desk) -> None:
    """Who names it is told every place that is marked in it and in its source."""
    for command in (["run", "permits-by-quarter", "--no-push"], ["land", "permits"], ["plan", "permits-by-quarter"]):
        code, said = busy.run(*command)
        assert code == 2, said
        assert "pipelines/permits.toml:21: privacy.budget: is marked TODO" in said
    assert "datasets/permits-by-quarter.toml:7: first: is marked TODO" in busy.run("plan", "permits-by-quarter")[1]
    assert "requests.toml" not in said


def test_a_dataset_waits_for_its_source(busy: Desk) -> None:
    """A dataset that is complete is left out with a source that is not."""
    path = busy.root / "datasets/permits-by-quarter.toml"
    path.write_text(re.sub(r'"TODO"', "1", path.read_text().replace('first = "TODO"', 'first = "2024-Q1"')))
    code, said = busy.run("plan")
    assert code == 0, said
    assert "permits-by-quarter" not in said


@pytest.mark.parametrize("name", ["datasets/requests-by-quarter.toml", "pipelines/requests.toml"])
def test_what_has_begun_is_never_left_out(busy: Desk, name: str) -> None:
    """A mark in a definition that has landed or released stops everything: its charges must not be overlooked."""
    code, said = busy.run("run", "--no-push", "--yes")
    assert code == 0, said
    edit(busy.root / name, "rho = 0.1" if "datasets" in name else 'purpose = "Tests"', "")
    path = busy.root / name
    path.write_text(f'{"license" if "datasets" in name else "purpose"} = "TODO"\n{path.read_text()}')
    for command in (["check"], ["run", "--no-push"], ["land"], ["plan"]):
        code, said = busy.run(*command)
        assert code == 2, said
        assert f"{name}:1: " in said
        assert "is marked TODO" in said


def test_marked_settings_stop_everything(busy: Desk) -> None:
    """Who publishes must be known to every source."""
    edit(busy.root / "publisher.toml", 'contact = "a@example.org"', 'contact = "TODO"')
    code, said = busy.run("run", "--no-push", "--yes")
    assert code == 2
    assert "publisher.toml:3: contact: is marked TODO" in said
