"""Output to the terminal: tables, progress, and colors if a person is looking."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from threading import Event, Thread
from time import monotonic
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

import click

from publisher.commands.layout import table, width_of, wrapped
from publisher.errors import FAULT, STOPPED, UNREAD, PublisherError, RefusedAtLandingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.progress import Progress

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
    "HELD": "yellow",
    "warning": "yellow",
    "unchecked": "yellow",
    "waiting for approval": "yellow",
    "definition not approved": "yellow",
    "rejected": "red",
    "refused": "red",
    "refused at landing": "red",
    "failed": "red",
    "wrong": "red",
}

EVERY = 10.0
"""Seconds between two lines of progress where no bar can be drawn."""


def print_json(value: object) -> None:
    """Print JSON for machines, on standard output only."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def say(words: str = "", *, err: bool = False, **style: Any) -> None:
    """Print words for people, broken at blanks where a line is wider than who reads it."""
    click.secho(fitted(words, err=err), err=err, **style)


def fitted(words: str, *, err: bool = False) -> str:
    """Words as `say` prints them, for a question."""
    return wrapped(harmless(words), width_of(sys.stderr if err else sys.stdout))


def harmless(words: str) -> str:
    """Words without what a terminal would obey: names of columns, files and portals come from others.

    >>> harmless("ok\\x1b[2K\\rwrong")
    'ok·[2K·wrong'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else "·" for c in words)


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; columns of numbers are right-aligned, statuses colored."""
    if title:
        say(title)
    numeric = [
        bool(rows) and all(isinstance(row[n], int | float) and not isinstance(row[n], bool) for row in rows)
        for n in range(len(headings))
    ]
    cells = [[harmless(shown(value)) for value in row] for row in rows]
    for line in table(headings, cells, width_of(sys.stdout), _styled, numeric):
        click.echo(line)


def _styled(part: str, cell: str | None) -> str:
    """A part of a cell in the color of its status, or of a heading (None), in bold."""
    if cell is None:
        return click.style(part, bold=True) if part else part
    return click.style(part, fg=COLORS[cell]) if cell in COLORS and part else part


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
    except click.ClickException as error:
        words = fitted(f"Error: {error.format_message()}", err=True).removeprefix("Error: ")
        vars(error)["format_message"] = lambda: words
        raise
    except click.exceptions.Exit:
        raise
    except Exception as error:  # noqa: BLE001 - what nobody foresaw: its message, or a traceback, may quote a record
        _print_fault(error)
        sys.exit(FAULT)


def print_landed(
    source: SourceFile, landing: Landing, told: Callable[..., None] | None, *, quiet: bool = False
) -> None:
    """Print what was landed on standard error: with its exact counts on a terminal, otherwise only where they are.

    `told` hears it before a person sees exact counts. With `quiet`, nothing off a terminal.
    """
    if landing.report is None:
        return
    from publisher.records.judgement import tables

    if sys.stderr.isatty():
        if told is not None:
            told(source=source.name)
        click.echo("\n".join(tables(source, landing.batches)), err=True)
    elif quiet:
        return
    say(f"{source.name}: the private report is in {landing.report.parent}", err=True)


def print_private(error: PublisherError) -> None:
    """Print what only the person who lands may see, if standard error is a terminal: a log is for others too."""
    if isinstance(error, RefusedAtLandingError) and sys.stderr.isatty():
        click.echo(error.private, err=True)


def print_error(words: str) -> None:
    """Print one message on standard error."""
    say(f"error: {words}", err=True, fg="red")


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
            say("Nothing is due yet: no period of these datasets has ended.")
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
    if waiting := [each for each in report.outcomes if each.status == "waiting for approval"]:
        first = waiting[0]
        say(
            f"{len(waiting):,} {'release waits' if len(waiting) == 1 else 'releases wait'} for approval and "
            f"{'is' if len(waiting) == 1 else 'are'} not public: `publisher review {first.dataset} {first.period}`."
        )
    for dataset, url in {each.dataset: each.portal_url for each in report.outcomes if each.portal_url}.items():
        say(f"{dataset}: {url}")


class Watch:
    """Shows a run's progress on standard error: a bar on a terminal, elsewhere a line now and then."""

    def __init__(
        self,
        progress: Any,
        *,
        yes: bool = False,
        quiet: bool = False,
        notes: bool = True,
        told: Callable[..., None] | None = None,
    ) -> None:
        self._progress = progress
        self._told = told
        self._quiet = quiet
        self._notes = notes
        self._yes = yes
        self._task: Any = None

    def total(self, steps: int) -> None:
        """Set the number of steps."""
        self._task = self._progress.add_task("starting", total=steps)

    def step(self, words: str) -> None:
        """Begin the next step."""
        started = self._progress.tasks[0].fields.get("started", False)
        self._progress.update(self._task, description=words, advance=1 if started else 0, started=True)

    def doing(self, words: str) -> None:
        """Say what takes long in this step, if a step has begun."""
        if self._task is not None:
            self._progress.update(self._task, description=words)

    def warn(self, error: PublisherError) -> None:
        """Show an error; the run goes on where it can."""
        if isinstance(error, RefusedAtLandingError):
            self._progress.stop()
            print_private(error)
            self._progress.start()
        words = fitted(f"error: {error}", err=True)
        self._progress.console.print(words, style="red", markup=False, highlight=False, soft_wrap=True)

    def note(self, words: str) -> None:
        """Say what the run goes on without."""
        if self._notes:
            self._progress.console.print(f"note: {words}", markup=False, highlight=False, soft_wrap=True)

    def landed(self, source: SourceFile, landing: Landing) -> None:
        """Show what was landed."""
        self._progress.stop()
        print_landed(source, landing, self._told, quiet=self._quiet)
        self._progress.start()

    def agree(self, question: str) -> bool:
        """Whether a person agrees. Without a terminal, only `yes` given beforehand counts as agreement."""
        if self._yes or not sys.stdin.isatty():
            return self._yes
        self._progress.stop()
        agreed = click.confirm(fitted(f"{question} Continue?", err=True), err=True)
        self._progress.start()
        return agreed


@contextmanager
def watching(
    *, yes: bool = False, quiet: bool = False, notes: bool = True, told: Callable[..., None] | None = None
) -> Iterator[Watch]:
    """A progress display for the length of a run; `yes` agrees to every question, `quiet` is for a run with --json,
    and without `notes` only errors are told. `told` hears it before a private report is shown."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(file=sys.stderr)
    drawn = sys.stderr.isatty() and not console.is_dumb_terminal
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with (
        Progress(*columns, console=console, transient=True, disable=not drawn) as progress,
        nullcontext() if drawn or quiet else now_and_then(lambda: _so_far(progress)),
    ):
        yield Watch(progress, yes=yes, quiet=quiet, notes=notes, told=told)


@contextmanager
def working(words: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """The same as `now_and_then`; what is yielded changes the words. With `quiet`, which is for --json, no line."""
    latest = [words]
    with nullcontext() if quiet else now_and_then(lambda: latest[-1]):
        yield latest.append


@contextmanager
def now_and_then(words: Callable[[], str]) -> Iterator[None]:
    """While the work goes on, a line on standard error every few seconds: in a log, nothing can be redrawn."""
    ended, began = Event(), monotonic()

    def tell() -> None:
        while not ended.wait(EVERY):
            say(f"{words()}, after {monotonic() - began:,.0f} s", err=True)

    teller = Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _so_far(progress: Progress) -> str:
    """How far a run is, in one line."""
    if not progress.tasks:
        return "starting"
    task = progress.tasks[0]
    return f"{task.description}: {task.completed:.0f} of {task.total or 0:.0f} steps done"


def shown(value: object) -> str:
    """A value for people: whole numbers with commas, and yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
