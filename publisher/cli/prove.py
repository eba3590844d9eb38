"""Prove: that the promise holds, and that nothing was changed."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from publisher.cli.root import agree, command, datasets_of, json_option, main, nothing_defined, say, workspace_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.commands.verify import VerificationRow


@command()
@click.argument("dataset")
@click.option("--period", help="The period whose records to use (default: the last one that is due).")
@click.option("--units", default=200, show_default=True, help="Number of neighbors to try.")
@click.option(
    "--releases", default=200_000, show_default=True, help="Least number of releases for the bound on the loss."
)
@click.option("--only", multiple=True, metavar="CHECK", help="Make this check alone. Can be repeated.")
@json_option
@click.pass_obj
def audit(
    folder: Path, dataset: str, period: str | None, units: int, releases: int, only: Sequence[str], as_json: bool
) -> None:
    """Try to break the privacy guarantee of DATASET.

    Uses a private copy of its records and generated worst cases. Charges nothing, shows no exact value, and writes only
    to a private folder that it deletes afterwards. Exits with code 4 if any check fails. docs/audit.md says what each
    check proves and what it cannot.

    \b
    Examples:
      publisher audit stlouis-requests
      publisher audit syracuse-permits --period 2013-Q3 --units 500
      publisher audit alicante-water --only landing --only "bound on the loss"
      publisher audit alicante-water --json
    """
    from publisher.commands.audit import audit as look
    from publisher.commands.terminal import print_json, print_table, watching
    from publisher.errors import BudgetError

    workspace = workspace_of(folder)
    with watching() as observer:
        findings = look(
            workspace,
            workspace.dataset(dataset),
            period=period,
            units=units,
            releases=releases,
            only=only,
            observer=observer,
        )
    rows = [{"what": each.what, "finding": each.words, "status": each.status} for each in findings]
    if as_json:
        print_json(rows)
    else:
        print_table("", ("what", "finding", "status"), [tuple(row.values()) for row in rows])
        if only:
            click.echo("This is a part of the audit: without --only, every check is made.")
    sys.exit(0 if all(each.passed for each in findings) else BudgetError.exit_code)


@command()
@click.argument("datasets", nargs=-1, metavar="[DATASETS|PLACE]...")
@click.option("--offline", is_flag=True, help="Leave the portal out.")
@click.option("--no-portal", is_flag=True, hidden=True)
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A head of the ledger that someone outside has signed. Can be repeated.",
)
@click.option("--witness-key", "keys", multiple=True, help="The public key of a witness. Can be repeated.")
@json_option
@click.pass_obj
def verify(
    folder: Path,
    datasets: Sequence[str],
    offline: bool,
    no_portal: bool,
    witnesses: Sequence[Path],
    keys: Sequence[str],
    as_json: bool,
) -> None:
    """Check that everything is as it was written.

    Checks the ledger and everything that remembers its entries, the key, the files and validation results of releases,
    and what the portal shows. Changes nothing. Exits with the code of the first row that is wrong.

    With a PLACE, checks what is public, on any machine and without a workspace: the path of a copy of state/public, the
    path of a release in it, or a portal's address. A path has a slash.

    \b
    Examples:
      publisher verify
      publisher verify ./public --witness library.json
      publisher verify ./public/releases/stlouis-requests/2018-W03/1
      publisher verify https://data.example.gov
    """
    places = [each for each in datasets if "/" in each]
    if places and len(datasets) > 1:
        raise click.UsageError(f"{places[0]}: give one place alone")
    if places:
        _verify_outside(places[0], witnesses, keys, as_json=as_json)
    else:
        _verify(folder, datasets, offline=offline or no_portal, witnesses=witnesses, keys=keys, as_json=as_json)


def _verify_outside(place: str, witnesses: Sequence[Path], keys: Sequence[str], *, as_json: bool) -> None:
    from publisher.commands.verify_outside import read_witness, verified_folder
    from publisher.commands.verify_portal import verified_portal

    seen = [read_witness(path) for path in witnesses]
    if place.startswith(("http://", "https://")):
        _print_findings(list(verified_portal(place, seen)), as_json=as_json)
    else:
        _print_findings(list(verified_folder(Path(place), seen, keys)), as_json=as_json)


def _verify(
    folder: Path,
    datasets: Sequence[str],
    *,
    offline: bool,
    as_json: bool,
    witnesses: Sequence[Path] = (),
    keys: Sequence[str] = (),
) -> None:
    from publisher.commands.verify import verified
    from publisher.commands.verify_outside import read_witness, witness_of_ledger
    from publisher.pipeline.session import opened

    workspace = workspace_of(folder)
    chosen = datasets_of(workspace, datasets)
    with opened(workspace) as catalog:
        findings = list(verified(workspace, catalog, chosen, offline=offline))
        findings += [witness_of_ledger(read_witness(path), catalog.ledger, keys) for path in witnesses]
    _print_findings(findings, as_json=as_json)


def _print_findings(findings: Sequence[VerificationRow], *, as_json: bool) -> None:
    from publisher.commands.terminal import print_error, print_json, print_table
    from publisher.commands.verify import HEADINGS

    if as_json:
        print_json([each.fields for each in findings])
    else:
        print_table("", HEADINGS, [(each.what, each.checked, each.result) for each in findings])
    for each in findings:
        for fault in each.faults:
            print_error(fault) if each.exit_code else say(f"warning: {fault}", err=True)
    sys.exit(next((each.exit_code for each in findings if each.result == "wrong"), 0))


@main.group(invoke_without_command=True, context_settings={"max_content_width": 100})
@json_option
@click.pass_context
def ledger(ctx: click.Context, as_json: bool) -> None:
    """Show what each source has spent and what is left.

    `publisher verify` checks the ledger for tampering.
    """
    if ctx.invoked_subcommand is not None:
        return
    from publisher.commands.ledger import HEADINGS, statement
    from publisher.commands.terminal import print_json, print_table
    from publisher.pipeline.session import opened

    workspace = workspace_of(ctx.obj)
    with opened(workspace) as catalog:
        accounts = statement(workspace, catalog.ledger)
    if not accounts and nothing_defined(workspace, as_json=as_json):
        return
    if as_json:
        print_json([asdict(each) for each in accounts])
    elif accounts:
        print_table("", HEADINGS, [each.row for each in accounts])
    else:
        say("Nothing is spent yet. `publisher plan` shows what releases will cost.")


@ledger.command("amend")
@click.argument("source")
@click.option("--reason", required=True, help="Why dates were read wrongly. The guarantee shows it.")
@click.option("--yes", is_flag=True, help="Record it without asking.")
@click.pass_obj
def ledger_amend(folder: Path, source: str, reason: str, yes: bool) -> None:
    """Record that a source's dates were read wrongly.

    Correct the definition first. What was spent stays spent.

    \b
    Example:
      publisher ledger amend permits --reason "Day and month were swapped"
    """
    from publisher.commands.amend import amendment
    from publisher.pipeline.session import locked

    workspace = workspace_of(folder)
    with locked(workspace) as catalog:
        asked = amendment(workspace.source(source), catalog.ledger, reason)
        agree(asked.words(), yes=yes)
        catalog.ledger.record("amendment", asked.payload)
    say(f"{source}: recorded. `publisher plan` shows what is left.")


@ledger.command("allow")
@click.argument("source")
@click.argument("blocks")
@click.option("--more", required=True, help="How much more than the budget, in rho or epsilon.")
@click.option("--delta", default="0", help="How much more δ.  [default: 0]")
@click.option("--reason", required=True, help="Why. The guarantee shows it.")
@click.option("--yes", is_flag=True, help="Record it without asking.")
@click.pass_obj
def ledger_allow(folder: Path, source: str, blocks: str, more: str, delta: str, reason: str, yes: bool) -> None:
    """Allow more than the budget on some blocks of a source.

    BLOCKS is a period, or the first and the last one: 2024-01..2024-05. People in them get less protection.

    \b
    Example:
      publisher ledger allow permits 2024-01..2024-05 --more 0.1 \\
        --reason "Council decision 2024-17"
    """
    from publisher.commands.amend import allowance
    from publisher.pipeline.session import locked

    start, _, end = blocks.partition("..")
    workspace = workspace_of(folder)
    with locked(workspace) as catalog:
        asked = allowance(workspace.source(source), catalog.ledger, start, end or start, more, delta, reason)
        agree(asked.words(), yes=yes)
        catalog.ledger.record("allowance", asked.payload)
    say(f"{source}: recorded.")


@ledger.command("head")
@click.pass_obj
def ledger_head(folder: Path) -> None:
    """Print how far the ledger has come, for someone outside to sign.

    It is the size and the root of the Merkle tree over its entries (RFC 9162), and says nothing of records.

    \b
    Example:
      publisher ledger head > head.json
    """
    from publisher.commands.heads import head_of
    from publisher.pipeline.session import opened

    workspace = workspace_of(folder)
    with opened(workspace) as catalog:
        click.echo(head_of(catalog.ledger, workspace.settings.organization).content, nl=False)


@ledger.command("witness")
@click.argument("head", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--name", required=True, help="The name under which people know you, such as public-library.")
@click.option(
    "--key",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of your private key, made with `publisher reviewers key NAME`.",
)
def ledger_witness(head: Path, name: str, key: Path) -> None:
    """Sign a HEAD as a witness outside the city.

    Needs no workspace. Publish what it prints, and your public key, where everyone finds them: from then on nobody can
    be shown another ledger up to that entry.

    \b
    Example:
      publisher ledger witness head.json --name library --key key.pem > out.json
    """
    from publisher.commands.heads import sign_head

    def passphrase() -> str:
        return str(click.prompt("Passphrase of your key", hide_input=True, err=True))

    click.echo(sign_head(head, name, key, passphrase).content, nl=False)


@ledger.command("verify", hidden=True)
@click.pass_obj
def ledger_verify(folder: Path) -> None:
    """The same as `publisher verify --offline`."""
    say("`publisher ledger verify` is now `publisher verify --offline`, which also checks releases.", err=True)
    _verify(folder, (), offline=True, as_json=False)


@command()
@click.argument("dataset")
@click.argument("period", required=False)
@click.pass_obj
def registry(folder: Path, dataset: str, period: str | None) -> None:
    """Print a release's entry for the registry of deployments.

    The Differential Privacy Deployments Registry (https://registry.opendp.org) takes such entries as YAML; this is
    JSON, which is YAML too. It comes from the release's guarantee: the unit, the loss, the mechanisms and the
    implementation. Add what only people know, such as why this loss was chosen. PERIOD defaults to the last one.

    \b
    Example:
      publisher registry stlouis-requests > stlouis-requests.yaml
    """
    from publisher.commands.registry import registry_entry
    from publisher.commands.terminal import print_json
    from publisher.pipeline.session import opened

    workspace = workspace_of(folder)
    with opened(workspace) as catalog:
        print_json(registry_entry(catalog, workspace.dataset(dataset).name, period))


@command()
@click.option("--source", help="Only entries about this source itself.")
@click.option("--dataset", help="Only entries about this dataset.")
@click.option("--from", "first", metavar="DAY", help="Only entries from this day on (UTC).")
@click.option("--to", "last", metavar="DAY", help="Only entries up to this day (UTC).")
@click.option("--kind", "kinds", multiple=True, help="Only entries of this kind, such as charge. Can be repeated.")
@json_option
@click.pass_obj
def journal(
    folder: Path,
    source: str | None,
    dataset: str | None,
    first: str | None,
    last: str | None,
    kinds: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show who did what: landed, read, charged, decided, pushed.

    It has no value and no count of records. `publisher verify` checks that no entry was changed or removed. A name in
    PUBLISHER_USER stands before that of the operating system's user.

    \b
    Examples:
      publisher journal --kind read --from 2026-11-01
      publisher journal --dataset stlouis-requests --json
    """
    from publisher.commands.journal import KINDS, JournalFilter, chosen, day_of, lines
    from publisher.commands.terminal import print_json

    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise click.UsageError(f"--kind: {unknown[0]!r} is none of {', '.join(KINDS)}")
    wanted = JournalFilter(source, dataset, day_of(first, "--from"), day_of(last, "--to"), kinds)
    entries = chosen(workspace_of(folder), wanted)
    if as_json:
        print_json([each.fields for each in entries])
        return
    for line in lines(entries):
        click.echo(line)
    if not entries:
        say("The journal has no such entry.")
