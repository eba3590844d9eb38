"""The table of evidence tells what ran, and nothing that did not."""

from __future__ import annotations

from pathlib import Path

import pytest
from evidence import NEVER, Row, declared, written

PAGE = Path(__file__).parents[1] / "docs" / "evidence.md"


def phase(test: str, when: str, outcome: str, seconds: float = 1.0) -> pytest.TestReport:
    """What pytest reports of one phase of one test."""
    return pytest.TestReport(test, (test, 0, test), {}, outcome, None, when, duration=seconds)  # type: ignore[arg-type]


def test_the_page_has_a_row_for_each_mark() -> None:
    """docs/evidence.md names what the marks in the tests name; `pytest -m evidence --evidence=docs/evidence.md
    --collect-only` writes rows that are new."""
    assert sorted(written(PAGE.read_text(encoding="utf-8"))) == sorted(declared())


def test_make_evidence_names_its_page_in_one_word() -> None:
    """Without the `=`, pytest would take the page for the tests to run, and know no such option."""
    assert "--evidence=docs/evidence.md" in PAGE.parents[1].joinpath("Makefile").read_text(encoding="utf-8")


def test_a_row_counts_tests_by_their_worst_phase() -> None:
    """A test that fails while it ends has failed, one that is skipped has not passed, and all seconds count."""
    row = Row()
    for when in ("setup", "call", "teardown"):
        row.add(phase("sound", when, "passed"))
        row.add(phase("leaking", when, "failed" if when == "teardown" else "passed"))
    row.add(phase("absent", "setup", "skipped", 0.25))
    row.add(phase("absent", "teardown", "passed", 0.25))
    row.add(phase("broken", "setup", "failed"))
    row.add(phase("broken", "teardown", "passed"))
    assert row.told(False, "2031-01-02", "abc") == "| 4 | 1 | 2 | 1 | 8 | 2031-01-02 | abc |"
    assert row.told(True, "2031-01-02", "abc").startswith("| 4 (a part) |")


def test_a_page_is_read_as_it_was_written() -> None:
    """A row that did not run keeps what an earlier run wrote."""
    told = Row({"a": "passed"}, 3.2).told(False, "2031-01-02", "abc")
    page = f"# Evidence\n\n| what | tests |\n|---|--:|\n| many kills {told}\n| long fuzzing {NEVER}\n"
    assert written(page) == {"many kills": told, "long fuzzing": NEVER}
