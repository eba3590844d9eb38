"""Look: at where everything stands, and at everything that is released."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from publisher.cli.root import command, datasets_of, json_option, main, nothing_defined, refuse_together, workspace_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@command()
@click.argument("datasets", nargs=-1)
@click.option("--check", "checking", is_flag=True, help="Exit with a code other than 0 if anything needs a person.")
@click.option("--due", "due_alone", is_flag=True, help="Show only what is due now, and what comes out next.")
@click.option("--public", is_flag=True, help="Show only what everyone is told: what happened to each period.")
@click.option("--offline", is_flag=True, help="Leave the portal out.")
@json_option
@click.pass_obj
def status(
    folder: Path,
    datasets: Sequence[str],
    *,
    checking: bool,
    due_alone: bool,
    public: bool,
    offline: bool,
    as_json: bool,
) -> None:
    """Show where every dataset stands and what needs a person.

    One row for each dataset: its last release and its state, when the next one is due, how long the budget lasts if all
    goes on as defined, and whether the portal shows what was released. Below it, everything that needs a person, with
    the command to type, and the last file of each source. Reads no record and changes nothing.

    With --check the exit code is that of the first of these: 5 a release is late, 4 the budget refuses what is due, 6
    the portal does not answer or does not show what was released, 3 a release is held, or a letter has to be answered
    (`publisher cases`), 2 an edited definition would draw released periods again.

    With --due: the schedule of each dataset, the periods that a run would release now, and when the next one comes
    out.

    With --public: the schedule of each dataset and what happened to each period that was due, in the fixed words that
    the portal shows. Reads definitions and the files in state/public/schedules alone, which the last run, push or
    decision wrote; what is due since then is late by the calendar.

    \b
    Examples:
      publisher status
      publisher status --due
      publisher status --public --json
      publisher status --check || mail -s "Look at the releases" data@example.gov
    """
    from publisher.commands.status import overview, print_overview
    from publisher.commands.terminal import print_json
    from publisher.push.shown import PATIENT, SECONDS

    workspace = workspace_of(folder)
    chosen = datasets_of(workspace, datasets)
    refuse_together({"--check": checking, "--due": due_alone, "--public": public})
    if nothing_defined(workspace, as_json=as_json):
        return None
    if public:
        from publisher.commands.public_status import print_schedules, schedules_of

        told = schedules_of(workspace, chosen)
        return print_json([each.model_dump(mode="json") for each in told]) if as_json else print_schedules(told)
    if due_alone:
        from publisher.commands.due import due_of, print_due

        due = due_of(workspace, chosen)
        return print_json([asdict(each) for each in due]) if as_json else print_due(due, chosen)
    found = overview(workspace, chosen, offline=offline, seconds=PATIENT if checking else SECONDS)
    if as_json:
        print_json(asdict(found))
    else:
        print_overview(found, max(each.source.today() for each in chosen))
    sys.exit(found.exit_code if checking else 0)


@main.command(context_settings={"max_content_width": 100, "ignore_unknown_options": True})  # SQL has -- comments
@click.argument("query", required=False)
@click.option("--csv", "as_csv", is_flag=True, help="Print all rows as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print all rows as a JSON array.")
@click.pass_obj
def sql(folder: Path, query: str | None, *, as_csv: bool, as_json: bool) -> None:
    """Query everything that is released.

    Runs one QUERY, or reads queries from a prompt. A table has what fits the screen and says what it
    leaves out; --csv and --json have everything.

    \b
    Examples:
      publisher sql "SELECT table_name, title FROM _tables"
      publisher sql "SELECT sum(requests) FROM stlouis_requests"
      publisher sql --csv "FROM _values WHERE measure = 'requests'" > values.csv
    """
    from publisher.commands.answers import show, write_csv, write_json
    from publisher.commands.sql import prompt, run_query

    refuse_together({"--csv": as_csv, "--json": as_json})
    workspace = workspace_of(folder)
    if query is None and (as_csv or as_json):
        raise click.UsageError("--csv and --json need a QUERY")
    if query is None:
        prompt(workspace.public)
    else:
        run_query(workspace.public, query, write_csv if as_csv else write_json if as_json else show)
