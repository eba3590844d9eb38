"""Run: land and release what is due."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

import click

from publisher.cli.root import (
    command,
    datasets_of,
    json_option,
    main,
    nothing_defined,
    refuse_together,
    say,
    workspace_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from publisher.commands.schedule import Scheduler


@command()
@click.argument("datasets", nargs=-1)
@click.option("--period", help="One period, such as 2018-W03, or a longer one that covers several.")
@click.option("--from", "first", help="The first period.")
@click.option("--to", "last", help="The last period.")
@click.option(
    "--redraw", metavar="PERIOD[..PERIOD]", help="Draw these again with the edited definition, and charge them again."
)
@click.option("--yes", is_flag=True, help="Answer yes to every question, such as many periods at once or a redraw.")
@click.option("--no-push", is_flag=True, help="Release and validate without updating the portal.")
@click.option(
    "--rehearse",
    is_flag=True,
    help="Try it on generated records. Nothing is charged or pushed.",
)
@click.option("--quiet", is_flag=True, help="Print only what needs a person; for schedulers.")
@json_option
@click.pass_obj
def run(
    folder: Path,
    datasets: Sequence[str],
    period: str | None,
    first: str | None,
    last: str | None,
    redraw: str | None,
    yes: bool,
    no_push: bool,
    rehearse: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Land, release, validate and push what is due.

    Safe to repeat, even every minute: each release is drawn and charged once, and not before the time that the
    dataset's schedule says. `publisher schedule export` prints the entry of a scheduler. With --rehearse it tries the
    newest period of each dataset, unless you ask for others.

    \b
    Examples:
      publisher run
      publisher run stlouis-requests --period 2018-W03 --no-push
      publisher run --from 2015-01 --to 2015-06 --json
    """
    from publisher.commands.choice import redrawn, selection
    from publisher.commands.notices import after_run, told_if_stopped
    from publisher.commands.terminal import print_error, print_report, watching
    from publisher.errors import LockedError
    from publisher.pipeline.journaling import tell_reading
    from publisher.push.sync import report_notes
    from publisher.release.judging import judging
    from publisher.run import run as run_all

    workspace = workspace_of(folder)
    chosen = datasets_of(workspace, datasets)
    asked = selection(chosen, period=period, first=first, last=last, named=bool(datasets))
    again = redrawn(chosen, redraw, named=bool(datasets))
    refuse_together({"--quiet": quiet, "--json": as_json})
    if nothing_defined(workspace, as_json=as_json):
        return
    if rehearse:
        from publisher.commands.rehearsal import rehearsal_of, rehearsed
        from publisher.durable import private_files

        click.get_current_context().with_resource(private_files())  # its public folder too is inside the private one
        asked = rehearsed(asked)
        workspace = rehearsal_of(workspace, chosen, asked)
        chosen = [workspace.dataset(dataset.name) for dataset in chosen]
    pushes = not (no_push or rehearse)
    told = partial(tell_reading, workspace, "private report")
    with (
        watching(yes=yes or rehearse, quiet=as_json or quiet, notes=not quiet, told=told) as observer,
        judging() as judges,
    ):
        try:
            with nullcontext() if rehearse else told_if_stopped(workspace):
                report = run_all(workspace, chosen, asked, observer, push=pushes, redraw=again, judging=judges)
        except LockedError as error:
            if quiet:  # the run before is still at work, which needs no one
                sys.exit(error.exit_code)
            raise
    untold = None if rehearse else after_run(workspace, chosen, report, offline=no_push)
    if not quiet:
        print_report(report, as_json=as_json)
    if not (as_json or quiet):
        for line in report_notes(workspace, chosen, rehearsal=rehearse, pushed=pushes):
            say(line)
    if untold is not None:
        print_error(str(untold))
    sys.exit(report.exit_code or (untold.exit_code if untold is not None else 0))


@command()
@click.argument("sources", nargs=-1)
@click.pass_obj
def land(folder: Path, sources: Sequence[str]) -> None:
    """Read raw files into the private store.

    Landing the same file again changes nothing. A file that is not as its source says is refused, with the likely
    cause. Counts and causes are private: they are shown on a terminal only, and kept in the private report.
    """
    from publisher.commands.land import land_sources

    workspace = workspace_of(folder)
    for line in land_sources(workspace, [workspace.source(name) for name in sources or workspace.sources]):
        say(line)


@command()
@click.argument("datasets", nargs=-1)
@click.option("--test", "trial", is_flag=True, help="Send a trial to every address.")
@click.option("--offline", is_flag=True, help="Leave the portal out.")
@click.pass_obj
def notify(folder: Path, datasets: Sequence[str], *, trial: bool, offline: bool) -> None:
    """Tell people what needs them, by e-mail or in a chat.

    `publisher run` does so at its end; run this once a day beside it, to hear of it when nothing runs at all. Each
    thing is told once, and told again only if it was over in between. A notice says which dataset and why, in fixed
    words: no number and nothing of a record. The addresses are under [notices] in publisher.toml.

    \b
    Examples:
      publisher notify --test
      publisher notify
    """
    from publisher.commands.notices import send, tell

    workspace = workspace_of(folder)
    if trial:
        error = send(workspace, [])
        if error is not None:
            raise error
        return say("A trial was sent to every address.")
    if workspace.settings.notices is None:
        send(workspace, [])  # says what is missing
    told = tell(workspace, datasets_of(workspace, datasets), offline=offline)
    for notice in told:
        say(notice.words)
    if not told:
        say("There is nothing to tell that was not told before.")
    return None


@main.group(context_settings={"max_content_width": 100})
def schedule() -> None:
    """Have a scheduler run publisher.

    When releases come out, each dataset says itself, under [schedule]; `publisher status --due` shows it.
    """


@schedule.command("export")
@click.argument("scheduler", type=click.Choice(["cron", "systemd", "windows", "github", "airflow", "dagster"]))
@click.option("--every", default=15, show_default=True, help="Minutes between two runs; a divisor of 60.")
@click.pass_obj
def schedule_export(folder: Path, scheduler: Scheduler, every: int) -> None:
    """Print the entry of a scheduler that runs publisher.

    A run that finds nothing due takes a moment, and two never overlap, so run it often: what was missed while the
    machine was off is caught up with. The entry has the paths of this machine; it changes nothing by itself.

    \b
    Examples:
      publisher schedule export cron >> entries
      publisher schedule export systemd --every 5
    """
    from publisher.commands.schedule import entry

    click.echo(entry(workspace_of(folder), scheduler, every), nl=False)
