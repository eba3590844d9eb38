"""The terminal as a person sees it: tables, progress, colors only where somebody looks."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.errors import PublisherError
    from publisher.pipeline.report import RunReport

COLORS = {
    "published": "green",
    "ready": "green",
    "ok": "green",
    "superseded": "bright_black",
    "retracted": "yellow",
    "held": "yellow",
    "unchecked": "yellow",
    "refused": "red",
    "failed": "red",
}


def print_json(value: object) -> None:
    """JSON for machines, on standard output alone."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table; columns of numbers are right-aligned, words of status colored."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", header_style="bold")
    for number, heading in enumerate(headings):
        numeric = bool(rows) and all(isinstance(row[number], int | float) for row in rows)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(value), style=COLORS.get(str(value), "")) for value in row))
    console = Console()
    # A pipe or a file has no width: give the table all it needs.
    console = console if console.is_terminal else Console(width=220)
    console.print(table)


def print_error(error: PublisherError) -> None:
    """One message on standard error."""
    click.secho(f"error: {error}", err=True, fg="red")


def print_report(report: RunReport, *, as_json: bool) -> None:
    """The closing table of a run, or one JSON array."""
    if as_json:
        print_json([asdict(each) for each in report.outcomes])
        return
    headings = ("dataset", "period", "edition", "cells", "suppressed", "margin (95 %)", "loss a block", "status")
    rows = [
        (
            each.dataset,
            each.period,
            f"{each.edition} (provisional)" if each.final is False else each.edition or "",
            each.cells,
            each.suppressed,
            each.margin,
            each.loss,
            each.status,
        )
        for each in report.outcomes
    ]
    print_table("", headings, rows)
    for dataset, url in {each.dataset: each.portal_url for each in report.outcomes if each.portal_url}.items():
        click.echo(f"{dataset}: {url}")


class Watch:
    """Shows a run's progress on standard error: a bar on a terminal, nothing elsewhere but errors."""

    def __init__(self, progress: Any, *, yes: bool = False) -> None:
        self._progress = progress
        self._yes = yes
        self._task: Any = None

    def total(self, steps: int) -> None:
        """How many steps are ahead."""
        self._task = self._progress.add_task("starting", total=steps)

    def step(self, words: str) -> None:
        """The next step begins."""
        started = self._progress.tasks[0].fields.get("started", False)
        self._progress.update(self._task, description=words, advance=1 if started else 0, started=True)

    def warn(self, error: PublisherError) -> None:
        """Something went wrong; the run goes on where it can."""
        self._progress.console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)

    def agree(self, question: str) -> bool:
        """Whether a person agrees; off a terminal only `yes`, said beforehand, is agreement."""
        if self._yes or not sys.stdin.isatty():
            return self._yes
        self._progress.stop()
        agreed = click.confirm(f"{question} Continue?", err=True)
        self._progress.start()
        return agreed


@contextmanager
def watching(*, yes: bool = False) -> Iterator[Watch]:
    """A progress display for the length of a run; `yes` agrees to whatever is asked."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(file=sys.stderr)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Watch(progress, yes=yes)


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
