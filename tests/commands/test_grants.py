"""`publisher grants`: outside preparers see releases and noisy reports of their purpose, and never a record."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest
from test_cases import day, done, refused, typed
from township import CANARY

if TYPE_CHECKING:
    from pathlib import Path

    from township import Town

GRANT = (
    "grants", "add", "study", "requests", "--person", "Ana Ruiz", "--person", "Ben Ode",
    "--purpose", "To place bus stops", "--agreement", "DPA 2026-14", "--until",
)  # fmt: skip


@pytest.fixture
def granted(released: Town) -> Town:
    """The town that has released everything, and lets two people see its requests until tomorrow."""
    done(typed(released, *GRANT, day(-1)))
    return released


def told(town: Town) -> list[tuple[str, str, str]]:
    entries = json.loads(done(typed(town, "journal", "--json", "--kind", "grant")))
    return [(each["dataset"], each["reference"].split(",")[0], each["reason"]) for each in entries]


def test_a_grant_opens_noisy_numbers_of_its_datasets(granted: Town, tmp_path: Path) -> None:
    """Every edition with its measurements, also what is retracted, and what has to be known; no record, and nothing of
    another dataset. Only who opened it can read it."""
    done(typed(granted, "rollback", "requests", "--reason", "A week was missing", "--no-push"))
    said = done(typed(granted, "grants", "open", "study", str(tmp_path / "out")))
    assert "3 releases, for Ana Ruiz, Ben Ode alone, until" in said
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    definitions = ("datasets/requests.toml", "pipelines/requests.toml", "pipelines/requests.sql")
    assert {"README.txt", *(f"requests/{name}" for name in definitions)} <= names
    for name in definitions:  # the dataset and its source have the same name
        assert (tmp_path / "out" / "requests" / name).read_bytes() == (granted.root / name).read_bytes()
    assert {f"requests/releases/2024-0{n}/1/{name}" for n in (1, 2, 3) for name in FILES} <= names
    assert (tmp_path / "out/requests/releases/2024-03/1/status.txt").read_text() == "retracted\n"
    assert not [name for name in names if "water" in name or "meters" in name]
    for path in (tmp_path / "out").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
        assert path.is_dir() or CANARY.encode() not in path.read_bytes()
    readme = (tmp_path / "out" / "README.txt").read_text()
    assert "To place bus stops" in readme
    assert "DPA 2026-14" in readme
    assert told(granted) == [
        ("requests", "grant study", "added: To place bus stops"),
        ("requests", "grant study", "opened: To place bus stops"),
    ]
    assert "Ruiz" not in (granted.state / "private" / "journal.jsonl").read_text()


FILES = ("manifest.json", "data.csv", "guarantee.md", "measurements.parquet")


def test_a_grant_that_is_over_opens_nothing(granted: Town, tmp_path: Path) -> None:
    """Neither after its last day nor after it was ended; both are still listed with --all."""
    file = granted.state / "private" / "grants" / "study.json"
    says = json.loads(file.read_text())
    file.write_text(json.dumps(says | {"until": day(2)}))
    refused(typed(granted, "grants", "open", "study", str(tmp_path / "out")), 2, "the grant study expired on")
    file.write_text(json.dumps(says))
    done(typed(granted, "grants", "end", "study", "--reason", "The study is over"))
    refused(typed(granted, "grants", "open", "study", str(tmp_path / "out")), 2, "the grant study was ended on")
    refused(typed(granted, "grants", "end", "study", "--reason", "x"), 2, "was ended on")
    assert not (tmp_path / "out").exists()
    assert "No grant is in force." in done(typed(granted, "grants"))
    (row,) = json.loads(done(typed(granted, "grants", "--all", "--json")))
    assert (row["state"], row["people"]) == ("ended", ["Ana Ruiz", "Ben Ode"])
    assert [reason for _, _, reason in told(granted)] == ["added: To place bus stops", "ended: To place bus stops"]


def test_what_is_wrong_with_a_grant_is_said(granted: Town, tmp_path: Path) -> None:
    """With what to do, before anything is told or written."""
    before = told(granted)
    refused(typed(granted, *GRANT, day(-1)), 2, "there is a grant study already")
    refused(typed(granted, *GRANT, day(2)), 2, "is over: give the last day")
    other = [*GRANT, day(-1)]
    other[2], other[3] = "Study!", "requests"
    refused(typed(granted, *other), 2, "name: must be lowercase letters, digits and hyphens")
    other[2], other[3] = "more", "nothing"
    refused(typed(granted, *other), 2, "there is no dataset 'nothing'")
    other[3], other[9] = "requests", "Call 612-555-0123"
    refused(typed(granted, *other), 2, "--purpose: the journal tells it, and it has what looks like a phone number")
    other[9], other[5] = "To place bus stops", "Ana Ruiz\nUntil: 2099-12-31"
    refused(typed(granted, *other), 2, "--person: write one line of at most 300 characters")
    refused(typed(granted, "grants", "open", "nobody", str(tmp_path / "out")), 2, "there are: study")
    for folder in (tmp_path, granted.state / "out"):
        refused(typed(granted, "grants", "open", "study", str(folder)), 2, "give a folder that is not there yet")
    assert told(granted) == before
