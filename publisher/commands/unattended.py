"""A run that no one watches: what schedulers in Python call, and how its progress gets into their logs."""

from __future__ import annotations

from dataclasses import asdict
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

from publisher.commands.notices import after_run, told_if_stopped
from publisher.pipeline.report import most_serious
from publisher.release.judging import judging
from publisher.run import PeriodSelection, run
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from os import PathLike

    from publisher.errors import PublisherError
    from publisher.records.landing import Landing
    from publisher.workspace import SourceFile


class Logged:
    """Watches a run; its steps go to the logger `publisher`, what was landed nowhere, and no question is answered."""

    def __init__(self) -> None:
        self._log = getLogger("publisher")

    def total(self, steps: int) -> None:
        """Nothing: a log has no bar."""

    def step(self, words: str) -> None:
        """Log the next step."""
        self._log.info("%s", words)

    def doing(self, words: str) -> None:
        """Log what takes long."""
        self._log.info("%s", words)

    def warn(self, error: PublisherError) -> None:
        """Log an error; the run goes on where it can."""
        self._log.error("%s", error)

    def note(self, words: str) -> None:
        """Log what the run goes on without."""
        self._log.info("%s", words)

    def landed(self, source: SourceFile, landing: Landing) -> None:
        """Nothing: what was landed is private."""

    def agree(self, question: str) -> bool:
        """No: there is no one to ask."""
        self._log.info("not agreed to, since no one could be asked: %s", question)
        return False


def run_due(folder: str | PathLike[str]) -> list[dict[str, Any]]:
    """Land, release, validate and push what is due in the workspace, as `publisher run` does where no one can be asked.

    Returns the outcomes with the fields of `publisher run --json`. Raises the most serious PublisherError when all else
    is done.
    """
    workspace = find_workspace(Path(folder))
    datasets = [*workspace.datasets.values()]
    with told_if_stopped(workspace), judging() as judges:
        report = run(workspace, datasets, PeriodSelection(), Logged(), push=True, judging=judges)
    untold = after_run(workspace, datasets, report, offline=False)
    errors = (*report.errors, *([untold] if untold is not None else ()))
    worst = most_serious(error.exit_code for error in errors)
    for error in errors:
        if error.exit_code == worst:
            raise error
    return [asdict(each) for each in report.outcomes]
