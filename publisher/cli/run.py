"""Run: land and release what is due."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from publisher.cli.root import command, datasets_of, json_option, nothing_defined, say, workspace_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


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
@click.option("--rehearse", is_flag=True, help="Try everything on generated records. Nothing is charged or pushed.")
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
    as_json: bool,
) -> None:
    """Land, release, validate and push what is due.

    Safe to repeat: each release is drawn and charged once.

    \b
    Examples:
      publisher run
      publisher run stlouis-requests --period 2018-W03 --no-push
      publisher run --from 2015-01 --to 2015-06 --json
    """
    from publisher.commands.choice import redrawn, selection
    from publisher.commands.terminal import print_report, watching
    from publisher.push.sync import report_notes
    from publisher.run import run as run_all

    workspace = workspace_of(folder)
    chosen = datasets_of(workspace, datasets)
    asked = selection(chosen, period=period, first=first, last=last, named=bool(datasets))
    again = redrawn(chosen, redraw, named=bool(datasets))
    if nothing_defined(workspace, as_json=as_json):
        return
    if rehearse:
        from publisher.commands.rehearsal import rehearsal_of
        from publisher.durable import private_files

        click.get_current_context().with_resource(private_files())  # its public folder too is inside the private one
        workspace = rehearsal_of(workspace, chosen)
        chosen = [workspace.dataset(dataset.name) for dataset in chosen]
    with watching(yes=yes or rehearse, quiet=as_json) as observer:
        report = run_all(workspace, chosen, asked, observer, push=not (no_push or rehearse), redraw=again)
    print_report(report, as_json=as_json)
    if not as_json:
        for line in report_notes(workspace, chosen, rehearsal=rehearse, pushed=not (no_push or rehearse)):
            say(line)
    sys.exit(report.exit_code)


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
