"""Answer: people who contest a number or ask for summary data, and outside preparers."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from publisher.cli.root import json_option, main, say, workspace_of

if TYPE_CHECKING:
    from datetime import date, datetime

    from publisher.cases.case import Outcome
    from publisher.definitions.clock import CaseKind

_DAY = click.DateTime(["%Y-%m-%d"])
_number = click.argument("number")


@main.group(invoke_without_command=True, context_settings={"max_content_width": 100})
@click.option("--all", "every", is_flag=True, help="Also list closed cases.")
@json_option
@click.pass_context
def cases(ctx: click.Context, *, every: bool, as_json: bool) -> None:
    """Answer people who contest a number or ask for summary data.

    Without a command, lists what is open and by when an answer is due. A case has a clock by your law, writes its
    letters from templates, and is told to the journal. What people wrote stays private, and no case charges anything.
    docs/requests.md explains it.

    \b
    Examples:
      publisher cases
      publisher cases open summary --received 2026-11-02 --letter letter.txt
      publisher cases estimate 2026-001 requests-by-ward --hours 3
      publisher cases answer 2026-001 delivered
    """
    if ctx.invoked_subcommand is not None:
        return
    from dataclasses import asdict

    from publisher.commands.cases import HEADINGS, rows_of, today_of
    from publisher.commands.terminal import print_json, print_table

    workspace = workspace_of(ctx.obj)
    rows = rows_of(workspace, every=every)
    if as_json:
        print_json([asdict(each) for each in rows])
    elif rows:
        print_table("", HEADINGS, [each.row(today_of(workspace)) for each in rows])
    else:
        say("No case." if every else "No case is open.")


@cases.command("open")
@click.argument("kind", type=click.Choice(["accuracy", "summary"]))
@click.argument("dataset", required=False)
@click.argument("period", required=False)
@click.option("--received", type=_DAY, metavar="DAY", help="The day on which the letter came (default: today).")
@click.option("--letter", type=click.Path(path_type=Path, dir_okay=False), help="What they wrote. It is kept private.")
@click.option("--to", default="", metavar="TEXT", help="Who the letters are for, if they said so.")
@click.pass_obj
def cases_open(
    folder: Path,
    kind: CaseKind,
    dataset: str | None,
    period: str | None,
    received: datetime | None,
    letter: Path | None,
    to: str,
) -> None:
    """Open a case, and start its clock.

    KIND is accuracy if someone says that the numbers of PERIOD of DATASET are not right, and summary if someone asks
    for summary data. Nothing is charged.

    \b
    Examples:
      publisher cases open accuracy requests-by-ward 2026-10
      publisher cases open summary --received 2026-11-02 --letter letter.pdf
    """
    from publisher.commands.case_steps import CaseOpening, open_case

    if (kind == "accuracy") != (period is not None):
        raise click.UsageError("accuracy needs DATASET and PERIOD; summary has none, until it is estimated")
    asked = CaseOpening(kind, _day(received), letter, to, dataset or "", period or "")
    _tell(open_case(workspace_of(folder), asked))


@cases.command("show")
@_number
@click.pass_obj
def cases_show(folder: Path, number: str) -> None:
    """Show a case with its steps and letters."""
    from publisher.commands.cases import lines_of, register_of

    workspace = workspace_of(folder)
    _tell(list(lines_of(workspace, register_of(workspace).case(number))))


@cases.command("estimate")
@_number
@click.argument("dataset")
@click.option("--hours", required=True, metavar="HOURS", help="How many hours of work it takes.")
@click.pass_obj
def cases_estimate(folder: Path, number: str, dataset: str, hours: str) -> None:
    """Write the estimate of a request: budget, rows, hours and fee.

    DATASET is the definition that answers the request. Reads no record and charges nothing.

    \b
    Example:
      publisher cases estimate 2026-001 requests-by-ward --hours 2.5
    """
    from publisher.commands.case_estimate import estimate_case

    try:
        amount = Decimal(hours)
    except ArithmeticError:
        raise click.UsageError(f"--hours: {hours!r} is not a number such as 2.5") from None
    _tell(estimate_case(workspace_of(folder), number, dataset, amount))


@cases.command("delay")
@_number
@click.option("--until", type=_DAY, required=True, metavar="DAY", help="The day by which you will answer.")
@click.option("--reason", required=True, metavar="TEXT", help="Why it takes longer. The notice says it.")
@click.pass_obj
def cases_delay(folder: Path, number: str, until: datetime, reason: str) -> None:
    """Write a notice of delay, with its reason.

    \b
    Example:
      publisher cases delay 2026-001 --until 2026-12-04 \\
        --reason "The records of October come on December 1"
    """
    from publisher.commands.case_steps import delay_case

    _tell(delay_case(workspace_of(folder), number, until.date(), reason))


@cases.command("answer")
@_number
@click.argument("outcome", type=click.Choice(["corrected", "retracted", "believed-correct", "delivered", "declined"]))
@click.option("--reason", default="", metavar="TEXT", help="Why, or what you did. The letter says it.")
@click.option("--authority", default="", metavar="TEXT", help="Of declined: the law that says so, with its section.")
@click.pass_obj
def cases_answer(folder: Path, number: str, outcome: Outcome, reason: str, authority: str) -> None:
    """Answer a case, which ends its clock, and write the letter.

    A contested number is corrected (a later edition is current), retracted, or believed-correct. A request is delivered
    (all of the estimated dataset is released) or declined. What is corrected, retracted or delivered has to be on the
    portal, whose feed tells everyone who has taken the earlier numbers.

    \b
    Examples:
      publisher cases answer 2026-001 delivered
      publisher cases answer 2026-002 believed-correct \\
        --reason "The feed and the permits on paper agree"
    """
    from publisher.commands.case_steps import CaseAnswer, answer_case

    _tell(answer_case(workspace_of(folder), number, CaseAnswer(outcome, reason, authority.strip())))


@cases.command("appeal")
@_number
@click.pass_obj
def cases_appeal(folder: Path, number: str) -> None:
    """Note that the person appealed your answer."""
    from publisher.commands.case_steps import appeal_case

    _tell(appeal_case(workspace_of(folder), number))


@cases.command("close")
@_number
@click.option("--reason", default="", metavar="TEXT", help="Why, if it was not answered. It stays private.")
@click.pass_obj
def cases_close(folder: Path, number: str, reason: str) -> None:
    """Close a case."""
    from publisher.commands.case_steps import close_case

    _tell(close_case(workspace_of(folder), number, reason))


@cases.command("delete")
@_number
@click.pass_obj
def cases_delete(folder: Path, number: str) -> None:
    """Delete a closed case with its letters."""
    from publisher.commands.case_steps import delete_case

    _tell(delete_case(workspace_of(folder), number))


def _day(given: datetime | None) -> date | None:
    return given.date() if given is not None else None


def _tell(lines: list[str]) -> None:
    for line in lines:
        say(line)


@main.group(invoke_without_command=True, context_settings={"max_content_width": 100})
@click.option("--all", "every", is_flag=True, help="Also list grants that are over.")
@json_option
@click.pass_context
def grants(ctx: click.Context, *, every: bool, as_json: bool) -> None:
    """Give outside preparers noisy numbers, never a record.

    Without a command, lists the grants that are in force. A grant names people, purpose, agreement, datasets and its
    last day; the journal tells of each, and one that is over opens nothing. docs/requests.md says what it does not
    stop.

    \b
    Examples:
      publisher grants
      publisher grants add transit-study requests-by-ward \\
        --person "Ana Ruiz" --until 2027-03-31 --agreement "DPA 2026-14" \\
        --purpose "To place bus stops"
      publisher grants open transit-study ~/transit-study
    """
    if ctx.invoked_subcommand is not None:
        return
    from publisher.commands.cases import today_of
    from publisher.commands.grants import HEADINGS, for_machines, grants_of, row_of
    from publisher.commands.terminal import print_json, print_table

    workspace = workspace_of(ctx.obj)
    found, today = grants_of(workspace, every=every), today_of(workspace)
    if as_json:
        print_json([for_machines(each, today) for each in found])
    elif found:
        print_table("", HEADINGS, [row_of(each, today) for each in found])
    else:
        say("No grant." if every else "No grant is in force.")


@grants.command("add")
@click.argument("name")
@click.argument("datasets", nargs=-1, required=True)
@click.option("--person", "people", multiple=True, required=True, metavar="NAME", help="Who. Can be repeated.")
@click.option("--purpose", required=True, metavar="TEXT", help="What for. The journal tells it.")
@click.option("--agreement", required=True, metavar="TEXT", help="The agreement not to disclose that they signed.")
@click.option("--until", type=_DAY, required=True, metavar="DAY", help="The last day.")
@click.pass_obj
def grants_add(
    folder: Path,
    name: str,
    datasets: tuple[str, ...],
    people: tuple[str, ...],
    purpose: str,
    agreement: str,
    until: datetime,
) -> None:
    """Record grant NAME to DATASETS."""
    from publisher.commands.grants import add_grant

    given = {"name": name, "datasets": datasets, "people": people, "purpose": purpose, "agreement": agreement}
    say(add_grant(workspace_of(folder), given | {"until": until.date()}))


@grants.command("open")
@click.argument("name")
@click.argument("into", metavar="FOLDER", type=click.Path(path_type=Path))
@click.pass_obj
def grants_open(folder: Path, name: str, into: Path) -> None:
    """Write what grant NAME opens into a new FOLDER.

    That is every edition of its datasets, also what is held, retracted or left out because it is small, the noisy
    answers of `publisher tune`, and the definitions. Only you can read the folder: how it reaches them is up to you.
    """
    from publisher.commands.grants import open_grant

    say(open_grant(workspace_of(folder), name, into))


@grants.command("end")
@click.argument("name")
@click.option("--reason", required=True, metavar="TEXT", help="Why. It stays private.")
@click.pass_obj
def grants_end(folder: Path, name: str, reason: str) -> None:
    """End grant NAME before its last day."""
    from publisher.commands.grants import end_grant

    say(end_grant(workspace_of(folder), name, reason))
