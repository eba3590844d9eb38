"""Review: what was released, and what a person decides about it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
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
from publisher.errors import HeldError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.approvals.approval import DecisionKind
    from publisher.commands.review_view import ReviewView


@command()
@click.argument("datasets", nargs=-1)
@json_option
@click.pass_obj
def releases(folder: Path, datasets: Sequence[str], as_json: bool) -> None:
    """List every release with its status."""
    from publisher.commands.terminal import print_json, print_table
    from publisher.pipeline.session import opened

    workspace = workspace_of(folder)
    chosen = datasets_of(workspace, datasets)
    if nothing_defined(workspace, as_json=as_json):
        return
    with opened(workspace) as catalog:
        standings = [each for dataset in chosen for each in catalog.standings(dataset.name)]
    rows = [
        {
            "dataset": each.release.manifest.dataset,
            "period": each.release.manifest.period,
            "edition": each.release.manifest.edition,
            "final": each.release.manifest.final,
            "status": each.status,
            "cells": each.release.manifest.rows,
            "suppressed": each.release.manifest.suppressed,
            "created": each.release.manifest.created,
        }
        for each in standings
    ]
    if as_json:
        print_json(rows)
    elif rows:
        print_table("", list(rows[0]), [list(row.values()) for row in rows])
    else:
        say("Nothing is released yet. `publisher run` releases what is due.")


@command()
@click.argument("dataset")
@click.argument("period", required=False)
@click.option(
    "--table", metavar="ROLLUP", help="Show the table of this rollup or total (default: the dataset's own table)."
)
@click.option("--suite", is_flag=True, help="Show what is expected of every release, instead of a release.")
@click.option(
    "--language",
    type=click.Choice(["en", "es"]),
    default="en",
    show_default=True,
    help="The language of the guarantee.",
)
@json_option
@click.pass_obj
def show(
    folder: Path, dataset: str, period: str | None, table: str | None, suite: bool, language: str, as_json: bool
) -> None:
    """Show a release: its status, first rows and guarantee.

    If the release is held, also shows which expectations failed. PERIOD defaults to the last one released.

    \b
    Examples:
      publisher show stlouis-requests 2018-W03
      publisher show stlouis-requests --table city
      publisher show stlouis-requests --language es
      publisher show stlouis-requests --suite
    """
    from publisher.commands.show import expected, present, present_expected, presented
    from publisher.commands.terminal import print_json
    from publisher.pipeline.session import opened

    workspace = workspace_of(folder)
    if suite:
        refuse_together({"PERIOD": period, "--suite": suite})
        rules = expected(workspace, workspace.dataset(dataset), table)
        if as_json:
            print_json([asdict(each) for each in rules])
        else:
            present_expected(rules)
        return
    with opened(workspace) as catalog:
        found = presented(catalog, workspace.dataset(dataset), period, table, language)
    if as_json:
        print_json(asdict(found) | {"folder": str(found.folder)})
    else:
        present(found)


@command()
@click.argument("datasets", nargs=-1)
@click.pass_obj
def revalidate(folder: Path, datasets: Sequence[str]) -> None:
    """Check held releases again after you fix the expectations.

    The bytes stay the same: nothing is drawn again.
    """
    from publisher.commands.review import revalidate as again

    workspace = workspace_of(folder)
    checked, held = 0, []
    for line, passed in again(workspace, datasets_of(workspace, datasets)):
        say(line)
        checked += 1
        held += [] if passed else [line]
    if not checked:
        say("Nothing is held.")
    if held:
        raise HeldError(
            f"{len(held)} still held. Fix the expectations, then run `publisher revalidate` again; if the numbers are "
            f"right, `publisher accept` publishes them."
        )


@command()
@click.argument("dataset")
@click.argument("period")
@click.option("--reason", required=True, metavar="TEXT", help="Why the numbers are right. Everyone can read it.")
@click.option("--yes", is_flag=True, help="Accept it without asking.")
@click.option("--no-push", is_flag=True, help="Do not update the portal; the next push does.")
@click.pass_obj
def accept(folder: Path, dataset: str, period: str, reason: str, yes: bool, no_push: bool) -> None:
    """Publish a held release whose unusual numbers are right.

    Nothing is drawn again. The reason goes into the ledger and onto the portal, with what was expected. Only what
    people expect in expectations/ and the comparison with the last release can be accepted (otherwise exit code 3), and
    only for this edition: a later one is checked again.

    \b
    Example:
      publisher accept syracuse-permits 2023-Q3 \\
        --reason "The fee went up in October, so many applied before"
    """
    from publisher.commands.review import accept as publish_held
    from publisher.commands.terminal import fitted

    def agree(question: str) -> None:
        if not (yes or sys.stdin.isatty()):
            raise click.UsageError(f"{question} There is no terminal to ask on: add --yes to agree. Nothing changed.")
        if not yes:
            click.confirm(fitted(question, err=True), abort=True, err=True)

    workspace = workspace_of(folder)
    say(publish_held(workspace, workspace.dataset(dataset), period, reason, agree, push=not no_push))


@command()
@click.argument("dataset")
@click.option("--period", help="The period to retract (default: the one released last).")
@click.option("--reason", metavar="TEXT", help="Why. Everyone can read it. Without it, asks on a terminal.")
@click.option("--undo", is_flag=True, help="Restore the release that was retracted.")
@click.option("--no-push", is_flag=True, help="Do not update the portal; the next push does.")
@click.pass_obj
def rollback(folder: Path, dataset: str, period: str | None, reason: str | None, undo: bool, no_push: bool) -> None:
    """Retract the current edition and restore the one before it.

    The reason goes into the ledger and onto the portal. The budget that the retracted edition spent stays spent.

    \b
    Examples:
      publisher rollback stlouis-requests --period 2018-W03 \\
        --reason "A file was missing"
      publisher rollback stlouis-requests --undo \\
        --reason "The file was complete after all"
    """
    from publisher.commands.review import rollback as retract

    workspace = workspace_of(folder)
    file = workspace.dataset(dataset)
    if reason is None:
        if not sys.stdin.isatty():
            raise click.UsageError("--reason is missing, and there is no terminal to ask on. Nothing changed.")
        reason = str(click.prompt("Why? Everyone can read this on the portal", err=True))
    say(retract(workspace, file, period, reason, undo=undo, push=not no_push))


@command()
@click.argument("dataset", required=False)
@click.argument("period", required=False)
@click.option("--page", is_flag=True, help="Show it in a browser on this machine, until Ctrl-C.")
@click.option("--form", is_flag=True, help="Write DATASET's benefit-risk form to reviews/DATASET.md, to be filled in.")
@json_option
@click.pass_obj
def review(folder: Path, dataset: str | None, period: str | None, page: bool, form: bool, as_json: bool) -> None:
    """Show what waits for approval, and what to decide by.

    Without DATASET, lists what waits. With it, shows its definition: what it spends, and what has changed since the
    last approval. With PERIOD too, shows a release: what has changed for readers, what is withheld where, its checks,
    guarantee and odds, and the budget before and after. Signs nothing: `publisher approve` and `publisher reject` do.

    \b
    Examples:
      publisher review
      publisher review syracuse-permits
      publisher review syracuse-permits 2023-Q3
      publisher review syracuse-permits 2023-Q3 --page
    """
    refuse_together({"--page": page, "--form": form, "--json": as_json})
    refuse_together({"PERIOD": period, "--form": form})
    if (page or form) and dataset is None:
        raise click.UsageError(f"{'--page' if page else '--form'} is about one dataset: name it")
    from publisher.commands.benefit_risk import write_form
    from publisher.commands.review_view import definition_view, present, release_view, waiting
    from publisher.commands.terminal import print_json, print_table
    from publisher.pipeline.session import opened

    workspace = workspace_of(folder)
    with opened(workspace) as catalog:
        if dataset is not None and form:
            return say(write_form(workspace, catalog, workspace.dataset(dataset)))
        if dataset is None:
            rows = waiting(workspace, catalog)
        else:
            file = workspace.dataset(dataset)
            found = (
                release_view(workspace, catalog, file, period) if period else definition_view(workspace, catalog, file)
            )
    if dataset is not None and page:
        _serve(found)
    elif dataset is not None:
        print_json(asdict(found)) if as_json else present(found)
    elif as_json:
        print_json([asdict(each) for each in rows])
    elif rows:
        print_table("", ("what", "waits for", "next"), [(each.what, each.waits_for, each.command) for each in rows])
    else:
        say("Nothing waits for approval.")
    return None


def _serve(found: ReviewView) -> None:
    """Serve the page until Ctrl-C."""
    from publisher.commands.review_page import ReviewPage, page_of

    with ReviewPage(page_of(found)) as server:
        click.echo(f"Open {server.address}")
        say("It works once, on this machine. Ctrl-C ends it.", err=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("The page is closed.", err=True)


def _decide(
    folder: Path,
    dataset: str,
    period: str | None,
    by: str,
    key: Path | None,
    decision: DecisionKind,
    reason: str,
    *,
    editor: str = "",
    push: bool,
) -> None:
    """Ask, sign and record."""
    from publisher.commands.approvals import Decided, Reviewer, decide, keys_folder
    from publisher.commands.terminal import fitted

    def agree(question: str) -> None:
        click.confirm(fitted(question, err=True), abort=True, err=True)

    def passphrase() -> str:
        return str(click.prompt(f"Passphrase of {by}'s key", hide_input=True, err=True))

    workspace = workspace_of(folder)
    who = Reviewer(by, key if key is not None else keys_folder() / f"{by}.pem", passphrase)
    what = Decided(decision, reason, editor)
    say(decide(workspace, workspace.dataset(dataset), period, who, what, agree, push=push))


_by = click.option("--by", required=True, metavar="NAME", help="Your name as a reviewer in publisher.toml.")
_key = click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of your private key (default: NAME.pem in ~/.config/publisher/keys).",
)


@command()
@click.argument("dataset")
@click.argument("period", required=False)
@_by
@click.option("--reason", required=True, metavar="TEXT", help="Why. Everyone can read it.")
@click.option("--edited-by", "editor", default="", metavar="NAME", help="Of a definition: who edited it last.")
@_key
@click.option("--no-push", is_flag=True, help="Do not update the portal; the next push does.")
@click.pass_obj
def approve(
    folder: Path, dataset: str, period: str | None, by: str, reason: str, editor: str, key: Path | None, no_push: bool
) -> None:
    """Approve a definition, or a release, with your signature.

    Asks for the passphrase of your key, which is the only thing that signs. Without PERIOD, approves the definition:
    what it may spend. With it, the release that waits for approval, byte for byte. You cannot approve what you have
    edited. `publisher review` shows what to decide by.

    \b
    Examples:
      publisher approve syracuse-permits --by ana --edited-by ben \\
        --reason "Half the loss of last year"
      publisher approve syracuse-permits 2023-Q3 --by ana \\
        --reason "As expected after the fee went up"
    """
    _decide(folder, dataset, period, by, key, "approved", reason, editor=editor, push=not no_push)


@command()
@click.argument("dataset")
@click.argument("period", required=False)
@_by
@click.option("--reason", required=True, metavar="TEXT", help="Why. Everyone can read it.")
@_key
@click.pass_obj
def reject(folder: Path, dataset: str, period: str | None, by: str, reason: str, key: Path | None) -> None:
    """Reject a definition, or a release, with your signature.

    A rejection stands until you approve the same. Nothing is drawn again and nothing is refunded; what is public
    already is retracted with `publisher rollback`.

    \b
    Example:
      publisher reject syracuse-permits 2023-Q3 --by ana \\
        --reason "A week is missing in the feed"
    """
    _decide(folder, dataset, period, by, key, "rejected", reason, push=False)


@main.group(context_settings={"max_content_width": 100})
def reviewers() -> None:
    """Make the keys of reviewers."""


@reviewers.command("key")
@click.argument("name")
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to put the private key (default: NAME.pem in ~/.config/publisher/keys).",
)
@click.pass_obj
def reviewers_key(folder: Path, name: str, file: Path | None) -> None:
    """Make a key pair for reviewer NAME.

    The private key stays with its reviewer: in a file that no one else can read, opened by a passphrase. Prints the
    public key as a line for publisher.toml.

    \b
    Example:
      publisher reviewers key ana
    """
    from publisher.commands.approvals import new_key

    def passphrase() -> str:
        return str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True))

    for line in new_key(workspace_of(folder), name, file, passphrase):
        click.echo(line)
