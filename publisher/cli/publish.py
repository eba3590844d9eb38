"""Publish: the portal, and who can use it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

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
from publisher.errors import PortalError
from publisher.portal.serving.options import options as serving_options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@command()
@click.argument("datasets", nargs=-1)
@click.option("--metadata-only", is_flag=True, help="Send texts, license and files, and no row.")
@click.option("--rebuild", is_flag=True, help="Make tables again that were deleted on the portal.")
@click.pass_obj
def push(folder: Path, datasets: Sequence[str], metadata_only: bool, rebuild: bool) -> None:
    """Bring the portal up to date with the current releases.

    Sends rows that are new or different, and no others. Pushing again changes nothing. What someone else has changed on
    the portal since the last push is printed, then set back; `publisher drift` shows it before.

    \b
    Examples:
      publisher push
      publisher push --metadata-only stlouis-requests
      publisher push --rebuild stlouis-requests
    """
    from publisher.commands.terminal import print_error, working
    from publisher.errors import SourceError
    from publisher.pipeline.schedules import refresh_schedule
    from publisher.pipeline.session import locked
    from publisher.push.sync import deliver, map_notes, portal_of, redescribe, telling

    refuse_together({"--metadata-only": metadata_only, "--rebuild": rebuild})
    workspace = workspace_of(folder)
    chosen = datasets_of(workspace, datasets)
    if nothing_defined(workspace):
        return
    damaged = None
    with locked(workspace) as catalog, portal_of(workspace) as client:
        for number, dataset in enumerate(chosen):
            try:
                with telling(chosen[number:]), working(f"pushing {dataset.name}"):
                    refresh_schedule(workspace, catalog, dataset)
                    if metadata_only:
                        url = redescribe(workspace, catalog, client, dataset, _note)
                    else:
                        url = deliver(workspace, catalog, client, dataset, _note, rebuild=rebuild)
            except SourceError as error:  # what is damaged of one dataset does not stop the others
                if damaged is not None:
                    print_error(str(damaged))
                damaged = error
            else:
                say(f"{dataset.name}: {url or 'nothing to publish yet'}")
    for line in map_notes(workspace, chosen):
        say(line)
    if damaged is not None:
        raise damaged


def _note(words: str) -> None:
    say(f"note: {words}", err=True)


@command()
@click.argument("datasets", nargs=-1)
@json_option
@click.pass_obj
def drift(folder: Path, datasets: Sequence[str], as_json: bool) -> None:
    """Show where the portal differs from what it should say.

    Compares releases, rows, columns, texts, license, attached files and who may read. Changes nothing, and reads
    releases and definitions, never a record. "changed" says where: "there" is by someone else since the last push, and
    the next push sets it back; "here" is what that push will bring.

    Exits with code 6 if something differs. --json prints an array whose elements have table, page, what, there, here,
    changed and ids (of the first rows that differ).

    \b
    Examples:
      publisher drift
      publisher drift stlouis-requests --json
    """
    from publisher.commands.drift import HEADINGS, Drift, drifts
    from publisher.commands.terminal import print_json, print_table, working

    workspace = workspace_of(folder)
    chosen = datasets_of(workspace, datasets)
    if nothing_defined(workspace, as_json=as_json):
        return
    with working("comparing", quiet=as_json):
        found: list[Drift] = drifts(workspace, chosen)
    if as_json:
        print_json([each.fields for each in found])
    elif found:
        print_table("", HEADINGS, [each.row for each in found])
    else:
        say("The portal says what it should.")
    sys.exit(PortalError.exit_code if found else 0)


@command()
@serving_options
@click.pass_obj
def serve(folder: Path, /, **given: Any) -> None:
    """Serve the embedded portal until you stop it.

    Its port comes from publisher.toml, unless you give --port.

    \b
    Examples:
      publisher serve
      publisher serve --host 0.0.0.0 --port 443 --workers 4 \\
        --public-url https://data.example.gov \\
        --tls-certificate chain.pem --tls-key key.pem
      publisher serve --public-url https://data.example.gov \\
        --trusted-proxy 127.0.0.1 --log-format json
    """
    from publisher.portal.server import serve as serve_portal
    from publisher.portal.serving.options import Serving

    workspace = workspace_of(folder)
    if workspace.settings.portal.kind != "embedded":
        raise PortalError(
            "publisher.toml: portal.kind is socrata, so there is no embedded portal to serve; set it to embedded"
        )
    if given["port"] is None:
        given["port"] = workspace.settings.portal.port
    serve_portal(workspace.portal, Serving.of(**given))


@main.group(context_settings={"max_content_width": 100})
def accounts() -> None:
    """Manage who can read and write on the embedded portal.

    You can use it while the portal runs.

    \b
    Examples:
      publisher accounts add anna --role publisher
      publisher accounts token api-key --account anna --label nightly --days 365
      publisher accounts token app-token --label "bus app"
    """


@accounts.command("list")
@json_option
@click.pass_obj
def accounts_list(folder: Path, as_json: bool) -> None:
    """List accounts, keys and tokens, without their secrets."""
    from publisher.commands.accounts import ACCOUNTS, CREDENTIALS, accounts_listed, credentials_listed
    from publisher.commands.terminal import print_json, print_table

    people, keys = accounts_listed(workspace_of(folder).portal), credentials_listed(workspace_of(folder).portal)
    if as_json:
        accounts = [dict(zip(ACCOUNTS, row, strict=True)) for row in people]
        print_json({"accounts": accounts, "credentials": [dict(zip(CREDENTIALS, row, strict=True)) for row in keys]})
        return
    print_table("Accounts", ACCOUNTS, people)
    print_table("Keys and tokens", CREDENTIALS, keys)


@accounts.command("add")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["viewer", "publisher", "administrator"]),
    default="publisher",
    metavar="ROLE",
    help="viewer (reads private data), publisher (also writes; the default) or administrator.",
)
@click.option("--ask", is_flag=True, help="Ask for a password (default: create a random one and show it once).")
@click.pass_obj
def accounts_add(folder: Path, name: str, role: str, ask: bool) -> None:
    """Create an account, or give it a new role and password."""
    from publisher.commands.accounts import add

    password = click.prompt("Password", hide_input=True, confirmation_prompt=True) if ask else None
    given = add(workspace_of(folder).portal, name, role, password)
    click.echo(f"{given.name} is {role}" if ask else f"{given.name} is {role}; password, shown once: {given.secret}")


@accounts.command("remove")
@click.argument("name")
@click.pass_obj
def accounts_remove(folder: Path, name: str) -> None:
    """Remove account NAME with its keys and tokens."""
    from publisher.commands.accounts import remove

    remove(workspace_of(folder).portal, name)
    say(f"{name} is removed")


@accounts.command("token")
@click.argument("use", type=click.Choice(["app-token", "api-key", "bearer"]))
@click.option("--account", help="The account it belongs to. An app token needs none.")
@click.option("--label", default="", help="What it is for.")
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires (default: valid until revoked).")
@click.pass_obj
def accounts_token(folder: Path, use: str, account: str | None, label: str, days: int | None) -> None:
    """Create a key or token and show its secret once."""
    from publisher.commands.accounts import issue

    given = issue(workspace_of(folder).portal, use, account, label, days)
    click.echo(f"id: {given.name}\nsecret: {given.secret}" if given.name else given.secret)


@accounts.command("revoke")
@click.argument("identifier")
@click.pass_obj
def accounts_revoke(folder: Path, identifier: str) -> None:
    """Revoke a key or token by its id.

    `publisher accounts list` shows the ids.
    """
    from publisher.commands.accounts import revoke

    revoke(workspace_of(folder).portal, identifier)
    say(f"{identifier} is revoked; the portal may accept an app token for five more seconds")


@main.group("portal", context_settings={"max_content_width": 100})
def portal_group() -> None:
    """Look after the embedded portal's own files.

    \b
    Examples:
      publisher portal verify
    """


@portal_group.command("verify")
@click.pass_obj
def portal_verify(folder: Path) -> None:
    """Check that the portal's files are as they were written.

    Reads the rows and stored files of every dataset again and compares their SHA-256. It can run while the portal runs.
    Exit code 6 if one is missing or damaged: publish that dataset again.
    """
    from publisher.commands.portal_files import verified

    say(verified(workspace_of(folder).portal))
