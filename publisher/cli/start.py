"""Start: from raw files to definitions that are right."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from publisher.cli.root import agree, command, json_option, refuse_together, say, workspace_of

if TYPE_CHECKING:
    from collections.abc import Callable


law_option = click.option(
    "--law",
    type=click.Choice(("minnesota", "missouri", "new-york", "washington")),
    metavar="STATE",
    help="Propose class and statute by the law of minnesota, missouri, new-york, or washington.",
)


def _adding(drafting: Callable[..., Any]) -> Callable[..., Any]:
    """The options of commands that draft a source."""
    options = (
        click.option("--boundaries", metavar="FILE", type=click.Path(path_type=Path), help="GeoJSON of the areas."),
        click.option("--key", metavar="PROPERTY", help="The property that is the key of an area."),
        click.option("--label", metavar="PROPERTY", help="The property that names an area, if its key is a code."),
        click.option("--sheet", metavar="NAME", help="The sheet of a workbook. Default: the first that is a table."),
        law_option,
        click.option("--yes", is_flag=True, help="Take every guess without asking."),
    )
    for option in reversed(options):
        drafting = option(drafting)
    return drafting


@command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@click.option(
    "--from", "files", multiple=True, metavar="FILE", type=click.Path(path_type=Path), help="Also add this raw file."
)
@_adding
def init(folder: Path, files: tuple[Path, ...], **given: Any) -> None:
    """Create a workspace in FOLDER.

    It gets a settings file, empty folders for definitions, and the key of this installation. With --from, a source is
    drafted from raw files, as `publisher add` does, under the name of the first one.

    \b
    Examples:
      publisher init my-city
      publisher init my-city --from permits.csv \\
        --boundaries neighborhoods.geojson --key name
    """
    from publisher.commands.init import all_or_nothing, scaffold

    if any(":/" in str(file) for file in files):
        raise click.UsageError("--from takes raw files here: init first, then publisher add SOURCE --from URL")
    if not files:
        for line in scaffold(folder):
            say(line)
        return
    from publisher.commands.add import NewSource, source_name
    from publisher.commands.add import add as add_source
    from publisher.workspace import find_workspace

    files = tuple(file.absolute() if file.exists() else file for file in files)
    new = NewSource(source_name(files[0]), files, **given)
    with all_or_nothing(folder):
        lines = [*scaffold(folder), *add_source(find_workspace(folder, drafts=True), new)]
    for line in lines:
        say(line)


@command()
@click.argument("source")
@click.argument("files", nargs=-1, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--from", "address", metavar="URL", help="The address of a server, instead of files.")
@click.option("--table", metavar="NAME", help="The table or view, if the address is a database.")
@click.option("--token", metavar="WHERE", help="Variable or file with the server's token.")
@click.option("--user", metavar="WHERE", help="Variable or file with the account of a Socrata dataset.")
@click.option("--password", metavar="WHERE", help="Variable or file with its password, or a database's.")
@_adding
@click.pass_obj
def add(
    folder: Path,
    /,
    source: str,
    files: tuple[Path, ...],
    address: str | None,
    table: str | None,
    token: str | None,
    user: str | None,
    password: str | None,
    **given: Any,
) -> None:
    """Draft the definitions of SOURCE from raw files or a server.

    Reads a sample of each FILE and writes pipelines/SOURCE.toml and .sql, and a first dataset: how the files are
    written, which date and place a record has, what tells records apart, who is protected. On a terminal it asks, one
    question at a time; Enter takes the guess. What only people can know, such as a statute or a budget, is marked TODO:
    `publisher check` lists it, and the source is left out until it is filled in. The files hold no value and no count
    of records. With several files it compares them to see how they follow each other.

    With --from it asks a server for its columns and one answer of records: a Socrata dataset, an Open311 endpoint, a
    SeeClickFix place, or a table of a database. Tokens and passwords are named, by a variable of the environment or the
    full path of a file, and never given.

    \b
    Examples:
      publisher add permits ~/downloads/permits.csv
      publisher add permits permits/*.csv --yes \\
        --boundaries neighborhoods.geojson --key name
      publisher add requests --from https://seeclickfix.com/example-city
      publisher add permits --from postgresql://reader@db.example.gov/city \\
        --table public.permits --password PERMITS_PASSWORD
    """
    from publisher.commands.add import NewSource
    from publisher.commands.add import add as add_source
    from publisher.drafting.address import ServerAddress
    from publisher.workspace import find_workspace

    if address is None and any((table, token, user, password)):
        raise click.UsageError(
            "--table, --token, --user, --password: belong to the address of a server: add --from URL"
        )
    server = ServerAddress(address, table, token, user, password) if address is not None else None
    new = NewSource(source, files, server, **given)
    for line in add_source(find_workspace(folder, drafts=True), new):
        say(line)


@command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--rows", default=200_000, show_default=True, help="Number of service requests.")
@click.option("--seed", default=20_180_101, show_default=True, help="The same seed gives the same files.")
def sample(folder: Path, rows: int, seed: int) -> None:
    """Write the raw files of a made-up city into FOLDER.

    They are stand-ins, in the layouts in which cities publish their data.

    \b
    Example:
      publisher sample sample-city --rows 1000000
      PUBLISHER_DATA=sample-city publisher run
    """
    from publisher.sample import write_sample

    write_sample(folder, rows=rows, seed=seed, progress=lambda words: say(words, err=True))


@command()
@click.argument("name")
@click.option(
    "--from", "origin", metavar="FILE|URL", required=True, help="The public list: a file, or a dataset's address."
)
@click.option("--key", metavar="NAME", help="The property, attribute or column that has the keys.")
@click.option("--label", metavar="NAME", help="The one with a name for each key, if the keys are codes.")
@click.option("--replace", is_flag=True, help="Replace the keyset, after showing what changes.")
@click.option("--yes", is_flag=True, help="Replace its keys without asking.")
@click.pass_obj
def keyset(folder: Path, name: str, origin: str, key: str | None, label: str | None, replace: bool, yes: bool) -> None:
    """Write a keyset from a public list, never from records.

    Writes datasets/keysets/NAME.csv from boundaries (GeoJSON), the services of an Open311 server (services.json), codes
    (CSV), or a column of a public Socrata dataset. The file says where its keys come from. A raw file of a source is
    refused. docs/keysets.md has more.

    \b
    Examples:
      publisher keyset neighborhoods --from neighborhoods.geojson \\
        --key NHD_NUM --label NHD_NAME
      publisher keyset services --from services.json
      publisher keyset permit-types --from codes.csv --key code --label meaning
      publisher keyset wards --key ward \\
        --from https://data.example.gov/resource/abcd-1234
    """
    from publisher.commands.keyset import write_keyset

    for line in write_keyset(
        workspace_of(folder),
        name,
        origin,
        key=key,
        label=label,
        replace=replace,
        agree=lambda words: agree(words, yes=yes, undone="Nothing was written."),
    ):
        say(line)


@command()
@click.argument("source")
@click.argument("file", required=False)
@click.option(
    "--map", "picture", metavar="FILE.svg", type=click.Path(path_type=Path, dir_okay=False), help="Draw the map as SVG."
)
@click.pass_obj
def preview(folder: Path, source: str, file: str | None, picture: Path | None) -> None:
    """Show a raw file as it would be counted. The output is private.

    Shows how dates were read, the first rows that the SELECT gives, the places on a map, and how many rows have no
    date, no place or a key that is not in the keyset. FILE defaults to the last file of the feed. Nothing is charged,
    landed or kept.

    \b
    Examples:
      publisher preview stlouis-311
      publisher preview stlouis-311 ~/downloads/requests.csv --map places.svg
    """
    from publisher.commands.preview import preview as look
    from publisher.workspace import find_workspace

    workspace = find_workspace(folder, drafts=True)
    for line in look(workspace, workspace.source(source), file, picture):
        say(line)


@command()
@click.argument("target", metavar="SOURCE|FILE")
@law_option
@click.option("--write", "writing", is_flag=True, help="Fill in what the definition of SOURCE does not have yet.")
@json_option
@click.pass_obj
def classify(folder: Path, target: str, law: str | None, *, writing: bool, as_json: bool) -> None:
    """Guess which columns hold personal content.

    Looks at a sample of FILE, or of the last file of SOURCE, for names, e-mails, phones, government IDs, card and bank
    numbers, accounts, addresses, parcels, birth dates, license plates, coordinates, links, and free text. Four signals
    speak for a guess: the column's name, values that match (by check digits where there are any), uniqueness, and
    shape. It is a proposal for a person to confirm, and no value is ever shown; shares of values are shown on a
    terminal only.

    With --write, columns that the definition does not have are added as not read, and statutes that are still marked
    TODO are filled in. What a person decided stays as it is. Nothing is charged, landed or kept.

    \b
    Examples:
      publisher classify ~/downloads/permits.csv
      publisher classify permits --law new-york
      publisher classify permits --law new-york --write
    """
    from publisher.commands.classify import as_json as for_machines
    from publisher.commands.classify import classified, lines, write
    from publisher.commands.terminal import print_json
    from publisher.workspace import find_workspace

    refuse_together({"--json": as_json, "--write": writing})
    workspace = find_workspace(folder, drafts=True)
    if writing and (law is None or target not in workspace.sources):
        raise click.UsageError("--write needs --law and the name of a SOURCE. Nothing was written.")
    found = classified(workspace, target, law)
    if as_json:
        print_json(for_machines(found, private=sys.stdout.isatty()))
        return
    for line in (*lines(found), *(("", *write(workspace, found)) if writing else ())):
        say(line)


@command()
@click.option("--data", is_flag=True, help="Also check whether the files in the data folder fit.")
@json_option
@click.pass_obj
def check(folder: Path, data: bool, as_json: bool) -> None:
    """Check every definition without reading a record.

    Checks definitions, SELECTs, keysets and expectation suites. With --data it also looks at the headers of raw files,
    their encoding, boundaries with their properties, and address lists, and lists what exists when a name is wrong.

    \b
    Examples:
      publisher check
      publisher check --data
    """
    from publisher.commands.check import inspect_workspace, print_checks

    workspace = workspace_of(folder)
    if data or as_json:
        sys.exit(print_checks(workspace, data=data, as_json=as_json))
    for line in inspect_workspace(workspace):
        say(line)


@command()
@click.argument("kind", type=click.Choice(["workspace", "source", "dataset"]))
def schema(kind: str) -> None:
    """Print the JSON Schema of a kind of definition file.

    Editors use it to complete and check keys.

    \b
    Example:
      publisher schema dataset > dataset.schema.json
    """
    from publisher.commands.terminal import print_json
    from publisher.definitions.schema import schema_of

    print_json(schema_of(kind))
