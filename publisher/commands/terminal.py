"""Output to the terminal: tables, progress, and colors if a person is looking."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import asdict
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

import click

from publisher.errors import FAULT, STOPPED, UNREAD, PublisherError, RefusedAtLandingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.pipeline.report import RunReport
    from publisher.records.landing import Landing
    from publisher.workspace import SourceFile

COLORS = {
    "published": "green",
    "ready": "green",
    "ok": "green",
    "superseded": "bright_black",
    "retracted": "yellow",
    "held": "yellow",
    "warning": "yellow",
    "unchecked": "yellow",
    "refused": "red",
    "refused at landing": "red",
    "failed": "red",
    "wrong": "red",
}


def print_json(value: object) -> None:
    """Print JSON for machines, on standard output only."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; columns of numbers are right-aligned, statuses colored."""
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
    with console.capture() as drawn:  # rich would end the process itself where nobody reads on
        console.print(table)
    click.echo(drawn.get(), nl=False)


@contextmanager
def ending() -> Iterator[None]:
    """Turn whatever ends a command early into one message, or none, and its documented exit code."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here and not when Python ends, where nobody could catch what goes wrong
    except PublisherError as error:
        print_private(error)
        print_error(str(error))
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped", err=True)
        sys.exit(STOPPED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        sys.exit(UNREAD)
    except (click.ClickException, click.exceptions.Exit):
        raise
    except Exception as error:  # noqa: BLE001 - what nobody foresaw: its message, or a traceback, may quote a record
        _print_fault(error)
        sys.exit(FAULT)


def print_landed(source: SourceFile, landing: Landing, *, quiet: bool = False) -> None:
    """Print what was landed on standard error: with its exact counts on a terminal, otherwise only where they are.

    With `quiet`, nothing off a terminal.
    """
    if landing.report is None:
        return
    from publisher.records.judgement import tables

    if sys.stderr.isatty():
        click.echo("\n".join(tables(source, landing.batches)), err=True)
    elif quiet:
        return
    click.echo(f"{source.name}: the private report is in {landing.report.parent}", err=True)


def print_private(error: PublisherError) -> None:
    """Print what only the person who lands may see, if standard error is a terminal: a log is for others too."""
    if isinstance(error, RefusedAtLandingError) and sys.stderr.isatty():
        click.echo(error.private, err=True)


def print_error(words: str) -> None:
    """Print one message on standard error."""
    click.secho(f"error: {words}", err=True, fg="red")


def _print_fault(error: Exception) -> None:
    """Print the kind of error and its place; with PUBLISHER_TRACE also the calls that led there. Never its message."""
    traced = bool(os.environ.get("PUBLISHER_TRACE"))
    more = "the calls that led there are below" if traced else "PUBLISHER_TRACE=1 lists the calls that led there"
    print_error(
        f"a bug in publisher itself: {type(error).__name__} at {_place(error)}. Its own message is not shown because "
        f"it may quote a record; {more}, without any value. Please report it with them."
    )
    if traced:
        for line in _calls(error):
            click.echo(f"  {line}", err=True)


def _place(error: Exception) -> str:
    """The innermost line of publisher's own."""
    own = [(name, line) for name, line, _ in _frames(error) if name.startswith("publisher.")]
    return "{}:{}".format(*own[-1]) if own else "?"


def _calls(error: BaseException) -> Iterator[str]:
    """Every call on the way to an error, and before it those to the errors that it came from."""
    before = error.__cause__ or error.__context__
    if before is not None:
        yield from _calls(before)
    yield type(error).__name__
    for name, line, function in _frames(error):
        yield f"  {name}:{line} in {function}"


def _frames(error: BaseException) -> Iterator[tuple[str, int, str]]:
    """Module, line and function of every call on the way to an error."""
    for frame, line in walk_tb(error.__traceback__):
        yield str(frame.f_globals.get("__name__")), line, frame.f_code.co_name


def print_report(report: RunReport, *, as_json: bool) -> None:
    """Print the table of a run's outcomes, or one JSON array."""
    if as_json:
        print_json([asdict(each) for each in report.outcomes])
        return
    if not report.outcomes:
        if not report.errors:
            click.echo("Nothing is due yet: no period of these datasets has ended.")
        return
    headings = ("dataset", "period", "edition", "cells", "suppressed", "margin (95%)", "cost per block", "status")
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

    def __init__(self, progress: Any, *, yes: bool = False, quiet: bool = False) -> None:
        self._progress = progress
        self._quiet = quiet
        self._yes = yes
        self._task: Any = None

    def total(self, steps: int) -> None:
        """Set the number of steps."""
        self._task = self._progress.add_task("starting", total=steps)

    def step(self, words: str) -> None:
        """Begin the next step."""
        started = self._progress.tasks[0].fields.get("started", False)
        self._progress.update(self._task, description=words, advance=1 if started else 0, started=True)

    def warn(self, error: PublisherError) -> None:
        """Show an error; the run goes on where it can."""
        if isinstance(error, RefusedAtLandingError):
            self._progress.stop()
            print_private(error)
            self._progress.start()
        self._progress.console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)

    def note(self, words: str) -> None:
        """Say what the run goes on without."""
        self._progress.console.print(f"note: {words}", markup=False, highlight=False, soft_wrap=True)

    def landed(self, source: SourceFile, landing: Landing) -> None:
        """Show what was landed."""
        self._progress.stop()
        print_landed(source, landing, quiet=self._quiet)
        self._progress.start()

    def agree(self, question: str) -> bool:
        """Whether a person agrees. Without a terminal, only `yes` given beforehand counts as agreement."""
        if self._yes or not sys.stdin.isatty():
            return self._yes
        self._progress.stop()
        agreed = click.confirm(f"{question} Continue?", err=True)
        self._progress.start()
        return agreed


@contextmanager
def watching(*, yes: bool = False, quiet: bool = False) -> Iterator[Watch]:
    """A progress display for the length of a run; `yes` agrees to every question, `quiet` is for a run with --json."""
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
        yield Watch(progress, yes=yes, quiet=quiet)


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
