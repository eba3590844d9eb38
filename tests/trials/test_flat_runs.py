"""What a run does for past releases: each manifest and each result is read once, and nothing else of them."""

from __future__ import annotations

import os
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from publisher.commands.verify import verified
from publisher.pipeline.session import locked, opened
from publisher.run import PeriodSelection, run

if TYPE_CHECKING:
    from types import ModuleType

    from publisher.workspace import Workspace

DAYS = 40


class Watch:
    """Counts what is opened in a folder, and the statements that the ledger's database gets."""

    def __init__(self) -> None:
        self.folder = ""
        self.opened: Counter[str] = Counter()
        self.statements = 0
        sys.addaudithook(self._hook)
        sa.event.listen(sa.Engine, "before_cursor_execute", self._statement)

    def _hook(self, event: str, arguments: Any) -> None:
        if event == "open" and self.folder and str(arguments[0]).startswith(self.folder):
            self.opened[str(arguments[0]).removeprefix(self.folder)] += 1

    def _statement(self, *_: Any) -> None:
        self.statements += 1


@pytest.fixture(scope="module")
def watch() -> Watch:
    """Audit hooks stay for good: there is one."""
    return Watch()


@pytest.fixture
def made(years: ModuleType, tmp_path: Path) -> Any:
    """A town in which nothing has happened yet."""
    return years.Town(tmp_path, ("calls",))


def live(made: Any, watch: Watch) -> tuple[Counter[str], int]:
    """A day without a portal: the files below `state/public` that were opened, and the ledger's statements."""
    made.arrive()
    watch.opened, watch.statements = Counter(), 0
    watch.folder = f"{made.folder}/state/public/"
    workspace = made.workspace
    try:
        report = run(workspace, list(workspace.datasets.values()), PeriodSelection(None, made.day), Quiet(), push=False)
    finally:
        watch.folder = ""
    assert {each.status for each in report.outcomes} == {"ready"}
    return watch.opened, watch.statements


class Quiet:
    """Watches a run, and fails with it."""

    def total(self, steps: int) -> None:
        """Of no interest."""

    def step(self, words: str) -> None:
        """Of no interest."""

    def doing(self, words: str) -> None:
        """Of no interest."""

    def note(self, words: str) -> None:
        """Of no interest."""

    def landed(self, *_: Any) -> None:
        """Of no interest."""

    def agree(self, _: str) -> bool:
        """Always."""
        return True

    def warn(self, error: Exception) -> None:
        """Nothing may go wrong."""
        raise error


def test_a_run_reads_what_is_known_of_a_past_release_once(made: Any, watch: Watch) -> None:
    """After 40 more days the ledger gets as many statements as before, and no file of an old release is read twice."""
    made.fill(3)
    live(made, watch)
    _, few = live(made, watch)
    made.fill(DAYS)
    live(made, watch)  # the analyst file gets them all
    opened, many = live(made, watch)
    assert many == few
    old = Counter({path: n for path, n in opened.items() if _of_past(path, made)})
    assert {Path(path).name for path in old} <= {"manifest.json", "1.json", "guarantee.json"}
    assert max(n for path, n in old.items() if path.startswith("releases")) == 1
    assert max(n for path, n in old.items() if path.startswith("validations")) == 1


def _of_past(path: str, made: Any) -> bool:
    """Whether the file is of a release of at least two days ago: a new one is compared with the one before it."""
    parts = path.split("/")
    recent = {str(made.day - timedelta(days=days)) for days in (1, 2)}
    return parts[0] in ("releases", "validations") and len(parts) > 3 and parts[2] not in recent


@pytest.mark.usefixtures("processes")
def test_what_a_killed_run_left_is_removed_by_the_next(made: Any) -> None:
    """A lock that no one gave back says so; after a run that ended by itself nothing has to be looked for."""
    made.fill(1)
    workspace: Workspace = made.workspace
    left = workspace.public / "releases/calls/.staging-2016-01-02-77"
    assert (workspace.private / "lock").read_bytes() == b"at rest"
    child = os.fork()
    if child == 0:
        with locked(workspace):
            left.mkdir()
            os._exit(0)  # as if killed
    os.waitpid(child, 0)
    assert (workspace.private / "lock").read_bytes() == b""
    assert left.is_dir()
    with locked(workspace):
        assert not left.exists()
    assert (workspace.private / "lock").read_bytes() == b"at rest"


def test_a_run_that_ends_with_an_error_is_tidied_up_after(made: Any) -> None:
    """Nobody knows what it left."""
    made.fill(1)

    def broken() -> None:
        with locked(made.workspace):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert (made.workspace.private / "lock").read_bytes() == b""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("releases/calls/2016-01-02/1/data.csv", "calls/2016-01-02/1: changed since it was written: data.csv"),
        (
            "releases/calls/2016-01-02/1/manifest.json",
            "calls/2016-01-02/1: changed since it was written: manifest.json",
        ),
        ("validations/calls/2016-01-02/1.json", "calls/2016-01-02/1.json was changed after it was written"),
    ],
)
def test_verification_still_names_every_old_file_that_changed(made: Any, watch: Watch, name: str, words: str) -> None:
    """Runs go on beside an old file that they have no reason to read; `publisher verify` reads all of them."""
    made.fill(3)
    live(made, watch)
    path = made.folder / "state/public" / name
    path.write_bytes(path.read_bytes() + b" ")
    workspace = made.workspace
    with opened(workspace) as catalog:
        found = list(verified(workspace, catalog, list(workspace.datasets.values()), offline=True))
    assert words in "; ".join(fault for row in found for fault in row.faults)
