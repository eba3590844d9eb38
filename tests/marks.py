"""Which tests run when, and in which order (a pytest plugin).

`process`: the test starts a process. It has the mark because it uses the fixture `processes`, itself or through a
fixture that starts one. There is no other way to the mark, and a test that starts a process without it fails.
`make check` leaves these tests out.

`trial`: the test is one of `tests/trials`, which take minutes together, or of a module in LENGTHY; `make check` leaves
these out, too.

`evidence("what it shows")`: the test repeats, over more cases or for longer, what another test shows once; its
docstring says why. It is left out unless it is asked for: `make evidence` runs these tests and no others.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from real_records import WHY

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parent
STARTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.exec", "os.system"})
"""Audit events of starting a process."""
LENGTHY = frozenset(
    {
        "analyst/test_analyst_privacy.py",
        "analyst/test_extended_file.py",
        "analyst/test_macros.py",
        "classify/test_guess.py",
        "commands/test_add.py",
        "commands/test_bad_files.py",
        "commands/test_drafts.py",
        "commands/test_goal.py",
        "engine/test_aggregate.py",
        "engine/test_contributions.py",
        "engine/test_levels.py",
        "executors/test_encrypted_towns.py",
        "feeds/test_add_server.py",
        "feeds/test_any_faults.py",
        "feeds/test_faults.py",
        "feeds/test_fetch.py",
        "feeds/test_hostile_servers.py",
        "feeds/test_web.py",
        "feeds/test_windows.py",
        "portal/test_portal_connection.py",
        "portal/test_portal_keysets.py",
        "portal/test_portal_versions.py",
        "privacy/test_counted_shares.py",
        "privacy/test_lattice.py",
        "privacy/test_lattice_margins.py",
        "privacy/test_noise_check.py",
        "privacy/test_ratio.py",
        "privacy/test_reader_sums.py",
        "privacy/test_rollups.py",
        "privacy/test_rollups_benchmark.py",
        "privacy/test_sampler.py",
        "privacy/test_tuning.py",
        "records/test_feed.py",
        "records/test_intake.py",
        "records/test_judgement.py",
        "records/test_places.py",
        "records/test_receipts.py",
        "release/test_acceptance.py",
        "release/test_in_turn.py",
        "release/test_loss_distribution.py",
        "release/test_validation.py",
        "release/test_worst_shifts.py",
    }
)
"""Modules that start no process and take more than half of the time: statistics of many draws, invented records
landed or counted in many ways, servers with every fault, real columns and files read whole, and Great Expectations."""
LONGEST_FIRST = ("audit", "test_crash", "canary", "attacks", "test_two_years")
"""Groups of tests that take minutes begin first, so that no worker is left with one of them at the end."""


@pytest.fixture(scope="session")
def processes() -> Iterator[None]:
    """Needed by whatever starts a process; however the test run ends, its processes end with it."""
    command = [sys.executable, str(TESTS / "leftovers.py"), os.environ["TESTS_SESSION"]]
    # A session of its own: Ctrl-C does not reach it.
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True):
        yield


def pytest_configure(config: pytest.Config) -> None:
    for name in ("COLUMNS", "LINES"):  # readline, which pytest loads, sets them for workers and for what they start
        os.environ.pop(name, None)
    os.environ["TESTS_SESSION"] = secrets.token_hex(8)  # what this process starts has it, too
    config.addinivalue_line("markers", "process: starts a process; set by the fixture `processes`, never by hand")
    config.addinivalue_line("markers", "trial: tried at length; set for tests/trials and the modules in LENGTHY")
    config.addinivalue_line("markers", "evidence(what): repeats what another test shows once; `make evidence` runs it")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Names stay short: some values are hundreds of thousands of characters long."""
    return f"{val[:40]!r} and more" if isinstance(val, str | bytes) and len(val) > 200 else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks, groups and sorts: before pytest selects by marks and xdist names the groups."""
    for item in items:
        if TESTS / "trials" in item.path.parents or any(TESTS / name == item.path for name in LENGTHY):
            item.add_marker("trial")
        if "processes" in getattr(item, "fixturenames", ()):
            item.add_marker("process")
            if item.get_closest_marker("xdist_group") is None:
                # What a module starts, it starts once.
                item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """Long groups in their order, other groups, then single tests, which fill what is left on either worker."""
    group = item.get_closest_marker("xdist_group")
    if group is None:
        return len(LONGEST_FIRST) + 1
    return LONGEST_FIRST.index(group.args[0]) if group.args[0] in LONGEST_FIRST else len(LONGEST_FIRST)


class _Watch:
    """Looks at what the running test starts."""

    def __init__(self) -> None:
        self.test: pytest.Item | None = None
        self.started = ""

    def __call__(self, event: str, _: object) -> None:
        if event in STARTS and self.test is not None:
            self.started = event
            raise RuntimeError("a test that starts a process needs the fixture `processes`")


_watch = _Watch()
sys.addaudithook(_watch)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """An unmarked test starts nothing, not even where the failure to do so would be caught."""
    _watch.test, _watch.started = (None if item.get_closest_marker("process") else item), ""
    try:
        return (yield)
    finally:
        _watch.test = None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """It fails there, too, where the product takes the refusal for another error."""
    yield
    if _watch.started:
        pytest.fail(f"{_watch.started}: a test that starts a process needs the fixture `processes`")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line on the trials that had no real records."""
    skipped = [each for each in terminalreporter.stats.get("skipped", ()) if WHY in str(each.longrepr)]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} trials on real records were skipped: {WHY}", yellow=True)
