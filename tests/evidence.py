"""The table of evidence (a pytest plugin): `pytest -m evidence --evidence=docs/evidence.md`.

The `=` is needed: the option is known only once the tests are found, and a word of its own would name the tests to run.

Each `evidence("what it shows")` is a row. A run writes the rows that it has run, with its date and commit; the other
rows stay as they are, and a row that has never been run says so. `--row TEXT` runs the rows whose words have the text:
`pytest -m evidence --row audits --evidence=docs/evidence.md`. A run of tests chosen in another way marks its rows as a
part.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parent
INTRODUCTION = """\
# Evidence

`make test` shows each mechanism once. `make evidence` repeats it over every case, or for longer, before a release, and
writes this table: up to three hours on two cores. Seconds are those of all workers together. A row that says *not yet
run* has not been run, and proves nothing.

| what | tests | passed | failed | skipped | seconds | date | commit |
|---|--:|--:|--:|--:|--:|---|---|
"""
NEVER = "| not yet run | | | | | | |"


@dataclass
class Row:
    """What came of the tests of one row."""

    outcomes: dict[str, str] = field(default_factory=dict)
    """By test: passed, failed or skipped."""
    seconds: float = 0.0

    def add(self, report: pytest.TestReport) -> None:
        """Add one phase of one test: a failure in any phase is a failure, a skip is no pass."""
        self.seconds += report.duration
        if report.outcome != "passed" or report.when == "call":
            worse = self.outcomes.get(report.nodeid) == "failed"
            self.outcomes[report.nodeid] = "failed" if worse else report.outcome

    def told(self, part: bool, date: str, commit: str) -> str:
        """The cells after the first."""
        counts = Counter(self.outcomes.values())
        tests = f"{len(self.outcomes)}{' (a part)' if part else ''}"
        numbers = (counts["passed"], counts["failed"], counts["skipped"], round(self.seconds))
        return f"| {tests} | {' | '.join(map(str, numbers))} | {date} | {commit} |"


class Evidence:
    """The rows of one run."""

    def __init__(self, page: Path, part: bool) -> None:
        self.page, self.part = page, part
        self.rows: defaultdict[str, Row] = defaultdict(Row)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, what in report.user_properties:
            if name == "evidence":
                self.rows[str(what)].add(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
        """Write the page, and show it."""
        date, part = datetime.now(UTC).date().isoformat(), self.part or exitstatus == pytest.ExitCode.INTERRUPTED
        ran = {what: row.told(part, date, commit()) for what, row in self.rows.items()}
        before = written(self.page.read_text(encoding="utf-8")) if self.page.exists() else {}
        lines = [f"| {what} {(before | ran).get(what, NEVER)}" for what in declared()]
        text = INTRODUCTION + "\n".join(lines) + "\n"
        self.page.write_text(text, encoding="utf-8")
        terminalreporter.section(str(self.page))
        terminalreporter.write(text)


def written(page: str) -> dict[str, str]:
    """What a page says of each row."""
    return {what: rest for what, rest in re.findall(r"(?m)^\| (.+?) (\|.*\|)$", page) if not what.startswith("what")}


def declared() -> list[str]:
    """The rows that the tests have, in the order of the files."""
    found: dict[str, None] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        found |= dict.fromkeys(_rows_in(ast.parse(path.read_text(encoding="utf-8"))))
    return list(found)


def _rows_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.evidence":
            yield ast.literal_eval(node.args[0])


def commit() -> str:
    """The commit that ran; `+` where files had been changed since."""
    head, changed = (
        subprocess.run(["git", *words], cwd=TESTS, capture_output=True, text=True, check=False).stdout.strip()
        for words in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
    )
    return (head or "unknown") + ("+" if changed else "")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--evidence", type=Path, metavar="PAGE", help="write the table of evidence into this Markdown file"
    )
    parser.addoption("--row", default="", metavar="TEXT", help="of the evidence, run rows whose words have the text")


def pytest_configure(config: pytest.Config) -> None:
    page = config.getoption("--evidence")
    if page is not None and not hasattr(config, "workerinput"):
        part = bool(config.option.keyword) or config.args_source is not pytest.Config.ArgsSource.TESTPATHS
        config.pluginmanager.register(Evidence(page, part))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    row = config.getoption("--row", "")
    for item in items:
        for mark in item.iter_markers("evidence"):
            item.user_properties.append(("evidence", mark.args[0]))
    if row:
        asked = {item for item in items if any(row in str(what) for _, what in item.user_properties)}
        config.hook.pytest_deselected(items=[item for item in items if item not in asked])
        items[:] = [item for item in items if item in asked]
