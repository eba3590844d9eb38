"""Look: at everything that is released."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from publisher.cli.root import main, refuse_together, workspace_of

if TYPE_CHECKING:
    from pathlib import Path


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
