"""The command line: parse, call, print. Heavy modules are imported by the command that needs them."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from publisher import __version__
from publisher.confined import no_core_dumps
from publisher.errors import HeldError, PortalError
from publisher.portal.serving.options import options as serving_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from publisher.workspace import DatasetFile, Workspace

EXIT_CODES = """\b
Exit codes:
  0   done
  2   a definition or the command line is wrong
  3   a release is held by validation
  4   the privacy budget refuses, or the ledger does not verify
  5   a source is missing or not as declared, or the state cannot be written
  6   the portal cannot be reached or does not have what was sent
  70  a bug in publisher itself
  75  another run holds the lock
  130 stopped with Ctrl-C, or by a "no" to a question
  141 the program reading the output (such as head) stopped
"""

SECTIONS = {
    "Start": ("init", "add", "sample", "keyset", "preview", "classify", "check", "schema"),
    "Plan": ("plan", "tune"),
    "Run": ("run", "land"),
    "Review": ("releases", "show", "revalidate", "accept", "rollback"),
    "Prove": ("audit", "verify", "ledger"),
    "Publish": ("push", "serve", "accounts"),
    "Look": ("sql",),
    "Keep": ("doctor",),
}
"""Commands by what people do with them, in the order of `publisher --help`."""

ONE_LINE = 80
"""The width of a terminal; the first sentence of every command's help is shorter than that."""

EPILOG = f"{EXIT_CODES}\nWords: docs/glossary.md"

NOTHING_DEFINED = (
    "No dataset is defined yet. `publisher add SOURCE FILE` drafts pipelines/<source>.toml and .sql and a dataset in "
    "datasets/<dataset>.toml; then run `publisher check`."
)


class _Commands(click.Group):
    """Lists commands by what people do with them; turns whatever ends one early into a message and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        from publisher.commands.terminal import ending

        with ending():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write every command under its section."""
        widest = max(map(len, self.list_commands(ctx)))
        for section, names in SECTIONS.items():
            with formatter.section(section):
                rows = [(name.ljust(widest), self.commands[name].get_short_help_str(limit=ONE_LINE)) for name in names]
                formatter.write_dl(rows)


@click.group(
    cls=_Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="publisher")
@click.option(
    "-C", "folder", type=click.Path(path_type=Path), default=Path(), help="Work in this folder (default: here)."
)
@click.pass_context
def main(ctx: click.Context, folder: Path) -> None:
    """Turn a city's records into differentially private open data.

    \b
    Examples:
      publisher check     check every definition
      publisher plan      see what releases will cost
      publisher run       land, release, validate and push what is due
      publisher serve     start the embedded portal
    """
    no_core_dumps()
    os.umask(os.umask(0o077) | 0o022)  # whatever it was, no one else can write to the files of this process
    ctx.obj = folder


def _command(name: str | None = None, **options: Any) -> Callable[..., Any]:
    return main.command(name, context_settings={"max_content_width": 100}, **options)


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def _adding(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of commands that draft a source."""
    options = (
        click.option("--boundaries", metavar="FILE", type=click.Path(path_type=Path), help="GeoJSON of the areas."),
        click.option("--key", metavar="PROPERTY", help="The property that is the key of an area."),
        click.option("--label", metavar="PROPERTY", help="The property that names an area, if its key is a code."),
        click.option("--yes", is_flag=True, help="Take every guess without asking."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@_command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@click.option(
    "--from", "files", multiple=True, metavar="FILE", type=click.Path(path_type=Path), help="Also add this raw file."
)
@_adding
def init(
    folder: Path, files: tuple[Path, ...], boundaries: Path | None, key: str | None, label: str | None, yes: bool
) -> None:
    """Create a workspace in FOLDER.

    It gets a settings file, empty folders for definitions, and the key of this installation. With --from, a source is
    drafted from raw files, as `publisher add` does, under the name of the first one.

    \b
    Examples:
      publisher init my-city
      publisher init my-city --from permits.csv --boundaries neighborhoods.geojson --key name
    """
    from publisher.commands.init import scaffold

    files = tuple(file.absolute() if file.exists() else file for file in files)
    for line in scaffold(folder):
        click.echo(line)
    if files:
        from publisher.commands.add import NewSource, source_name
        from publisher.commands.add import add as add_source
        from publisher.workspace import find_workspace

        new = NewSource(source_name(files[0]), files, boundaries, key, label, yes)
        for line in add_source(find_workspace(folder, drafts=True), new):
            click.echo(line)


@_command()
@click.argument("source")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@_adding
@click.pass_obj
def add(
    folder: Path,
    source: str,
    files: tuple[Path, ...],
    boundaries: Path | None,
    key: str | None,
    label: str | None,
    yes: bool,
) -> None:
    """Draft the definitions of SOURCE from its raw files.

    Reads a sample of each FILE and writes pipelines/SOURCE.toml and .sql, and a first dataset: how the files are
    written, which date and place a record has, what tells records apart, who is protected. On a terminal it asks, one
    question at a time; Enter takes the guess. What only people can know, such as a statute or a budget, is marked TODO:
    `publisher check` lists it, and nothing runs before it is filled in. The files hold no value and no count of
    records. With several files it compares them to see how they follow each other.

    \b
    Examples:
      publisher add permits ~/downloads/permits.csv
      publisher add permits permits/*.csv --boundaries neighborhoods.geojson --key name --yes
    """
    from publisher.commands.add import NewSource
    from publisher.commands.add import add as add_source
    from publisher.workspace import find_workspace

    new = NewSource(source, files, boundaries, key, label, yes)
    for line in add_source(find_workspace(folder, drafts=True), new):
        click.echo(line)


@_command()
@click.option("--data", is_flag=True, help="Also check whether the files in the data folder fit.")
@_json_option
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

    workspace = _workspace(folder)
    if data or as_json:
        sys.exit(print_checks(workspace, data=data, as_json=as_json))
    for line in inspect_workspace(workspace):
        click.echo(line)


@_command()
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

    write_sample(folder, rows=rows, seed=seed, progress=lambda words: click.echo(words, err=True))


@_command()
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
      publisher keyset neighborhoods --from neighborhoods.geojson --key NHD_NUM --label NHD_NAME
      publisher keyset services --from services.json
      publisher keyset permit-types --from codes.csv --key code --label meaning
      publisher keyset wards --from https://data.example.gov/resource/abcd-1234 --key ward
    """
    from publisher.commands.keyset import write_keyset

    for line in write_keyset(
        _workspace(folder),
        name,
        origin,
        key=key,
        label=label,
        replace=replace,
        agree=lambda words: _agree(words, yes=yes, undone="Nothing was written."),
    ):
        click.echo(line)


@_command()
@click.argument("sources", nargs=-1)
@click.pass_obj
def land(folder: Path, sources: Sequence[str]) -> None:
    """Read raw files into the private store.

    Landing the same file again changes nothing. A file that is not as its source says is refused, with the likely
    cause. Counts and causes are private: they are shown on a terminal only, and kept in the private report.
    """
    from publisher.commands.land import land_sources

    workspace = _workspace(folder)
    for line in land_sources(workspace, [workspace.source(name) for name in sources or workspace.sources]):
        click.echo(line)


@_command()
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
        click.echo(line)


@_command()
@click.argument("target", metavar="SOURCE|FILE")
@click.option(
    "--law",
    type=click.Choice(("minnesota", "missouri", "new-york", "washington")),
    metavar="STATE",
    help="Propose class and statute by the law of minnesota, missouri, new-york, or washington.",
)
@click.option("--write", "writing", is_flag=True, help="Fill in what the definition of SOURCE does not have yet.")
@_json_option
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

    _refuse_together({"--json": as_json, "--write": writing})
    workspace = find_workspace(folder, drafts=True)
    if writing and (law is None or target not in workspace.sources):
        raise click.UsageError("--write needs --law and the name of a SOURCE. Nothing was written.")
    found = classified(workspace, target, law)
    if as_json:
        print_json(for_machines(found, private=sys.stdout.isatty()))
        return
    for line in (*lines(found), *(("", *write(workspace, found)) if writing else ())):
        click.echo(line)


@_command()
@click.argument("datasets", nargs=-1)
@click.option(
    "--typical", "guesses", multiple=True, metavar="[MEASURE=]NUMBER", help="Guess the value of a typical cell."
)
@click.option(
    "--compare", "settings", multiple=True, metavar="SETTING=VALUES", help="Compare other values side by side."
)
@click.option("--split", "splitting", is_flag=True, help="Suggest how to split the loss among the tables.")
@click.option("--weights", metavar="TABLE=NUMBER,...", help="Weight of each table in the split (default: 1).")
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Draw the margins in an SVG file.")
@_json_option
@click.pass_obj
def plan(
    folder: Path,
    datasets: Sequence[str],
    guesses: Sequence[str],
    settings: Sequence[str],
    splitting: bool,
    weights: str | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Show what releases will cost and how accurate they will be.

    Spends nothing. Reads definitions, keysets, the ledger and earlier releases, never a record.

    \b
    Examples:
      publisher plan
      publisher plan stlouis-requests --typical 25
      publisher plan stlouis-requests --compare rho=0.05,0.1 --compare threshold=5,10
      publisher plan stlouis-requests --compare share.city=0.05,0.2
      publisher plan stlouis-requests --split --weights city=1,finest=3
      publisher plan stlouis-requests --picture margins.svg
    """
    from publisher.commands.chart import write_picture
    from publisher.commands.plan import print_candidates, print_plans, print_split
    from publisher.commands.terminal import print_json
    from publisher.planning.comparison import candidates, split, the_one
    from publisher.planning.forecast import public

    _refuse_together({"--compare": settings, "--split": splitting or weights, "--picture": picture})
    _refuse_together({"--picture": picture, "--json": as_json})
    workspace = _workspace(folder)
    chosen = _datasets(workspace, datasets)
    if _nothing_defined(workspace, as_json=as_json):
        return
    facts = public(workspace, chosen, guesses)
    if settings:
        dataset = the_one(chosen, "--compare")
        found = candidates(dataset, settings, facts)
        print_json([asdict(each) for each in found]) if as_json else print_candidates(facts.plan(dataset), found)
    elif splitting or weights:
        dataset = the_one(chosen, "--split")
        best = split(dataset, weights, facts)
        print_json(asdict(best)) if as_json else print_split(best, facts.plan(dataset))
    elif picture is not None:
        write_picture(facts.plan(the_one(chosen, "--picture")), picture)
        click.echo(f"Wrote {picture}: margin of error by the value of a cell")
    elif as_json:
        print_json([asdict(table) for each in chosen for table in facts.plan(each).tables])
    else:
        print_plans([facts.plan(each) for each in chosen])
        for words in facts.warnings:
            click.echo(f"warning: {words}", err=True)


@_command()
@click.argument("source")
@click.option("--dataset", help="The dataset to measure for. Required if several use the source.")
@click.option("--period", required=True, help="One period of the dataset, or a longer one that covers several.")
@click.option("--rho", help="Privacy cost per block, if the budget is in rho.")
@click.option("--epsilon", help="Privacy cost per block, if the budget is in epsilon.")
@click.option("--column", help="Measure only the totals of this column. No measure has to sum it yet.")
@click.option("--bins", help="Where that column's bins end, such as 0,10,100,1000 (default: 1-2-5 steps).")
@click.option(
    "--keep",
    type=click.FloatRange(0.5, 1),
    help="Propose bounds that leave this share of units uncut, instead of those with the smallest total error.",
)
@click.option("--yes", is_flag=True, help="Charge the budget without asking.")
@_json_option
@click.pass_obj
def tune(
    folder: Path,
    source: str,
    dataset: str | None,
    period: str,
    rho: str | None,
    epsilon: str | None,
    column: str | None,
    bins: str | None,
    keep: float | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Measure how much units contribute, and propose bounds.

    The answer is noisy and charged to the budget. The same question is drawn and charged once; asking it again is
    free, also with another --keep.

    \b
    Examples:
      publisher tune alicante-water --period 2016 --rho 0.01
      publisher tune seattle-energy --dataset seattle-energy-city --period 2016 --rho 0.05 --keep 0.99
      publisher tune syracuse-permits --dataset syracuse-permits --period 2013 --rho 0.01
      publisher tune alicante-water --period 2016 --rho 0.01 --column consumption --bins 0,5000,10000,20000
    """
    from publisher.commands.terminal import print_json
    from publisher.commands.tune import print_advice
    from publisher.pipeline.measurement import measurement
    from publisher.pipeline.tuning import measured
    from publisher.planning.advice import advice

    asked = measurement(
        _workspace(folder), source, dataset=dataset, period=period, rho=rho, epsilon=epsilon, column=column, bins=bins
    )
    click.echo(asked.words(), err=True)
    if not (yes or asked.known):
        if not sys.stdin.isatty():
            raise click.UsageError(
                "this charges the budget, and there is no terminal to ask on: add --yes to agree. Nothing was charged."
            )
        click.confirm("Continue?", abort=True, err=True)
    advised = advice(asked, measured(asked), keep)
    if as_json:
        print_json(advised.as_json())
    else:
        print_advice(advised)


@_command()
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
@_json_option
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

    workspace = _workspace(folder)
    chosen = _datasets(workspace, datasets)
    asked = selection(chosen, period=period, first=first, last=last, named=bool(datasets))
    again = redrawn(chosen, redraw, named=bool(datasets))
    if _nothing_defined(workspace, as_json=as_json):
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
            click.echo(line)
    sys.exit(report.exit_code)


@_command()
@click.argument("datasets", nargs=-1)
@_json_option
@click.pass_obj
def releases(folder: Path, datasets: Sequence[str], as_json: bool) -> None:
    """List every release with its status."""
    from publisher.commands.terminal import print_json, print_table
    from publisher.pipeline.session import opened

    workspace = _workspace(folder)
    chosen = _datasets(workspace, datasets)
    if _nothing_defined(workspace, as_json=as_json):
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
        click.echo("Nothing is released yet. `publisher run` releases what is due.")


@_command()
@click.argument("dataset")
@click.argument("period", required=False)
@click.option(
    "--table", metavar="ROLLUP", help="Show the table of this rollup or total (default: the dataset's own table)."
)
@click.option("--suite", is_flag=True, help="Show what is expected of every release, instead of a release.")
@_json_option
@click.pass_obj
def show(folder: Path, dataset: str, period: str | None, table: str | None, suite: bool, as_json: bool) -> None:
    """Show a release: its status, first rows and guarantee.

    If the release is held, also shows which expectations failed. PERIOD defaults to the last one released.

    \b
    Examples:
      publisher show stlouis-requests 2018-W03
      publisher show stlouis-requests --table city
      publisher show stlouis-requests --suite
    """
    from publisher.commands.show import expected, present, present_expected, presented
    from publisher.commands.terminal import print_json
    from publisher.pipeline.session import opened

    workspace = _workspace(folder)
    if suite:
        _refuse_together({"PERIOD": period, "--suite": suite})
        rules = expected(workspace, workspace.dataset(dataset), table)
        if as_json:
            print_json([asdict(each) for each in rules])
        else:
            present_expected(rules)
        return
    with opened(workspace) as catalog:
        found = presented(catalog, workspace.dataset(dataset), period, table)
    if as_json:
        print_json(asdict(found) | {"folder": str(found.folder)})
    else:
        present(found)


@_command()
@click.argument("datasets", nargs=-1)
@click.pass_obj
def revalidate(folder: Path, datasets: Sequence[str]) -> None:
    """Check held releases again after you fix the expectations.

    The bytes stay the same: nothing is drawn again.
    """
    from publisher.commands.review import revalidate as again

    workspace = _workspace(folder)
    held = []
    for line, passed in again(workspace, _datasets(workspace, datasets)):
        click.echo(line)
        held += [] if passed else [line]
    if held:
        raise HeldError(
            f"{len(held)} still held. Fix the expectations, then run `publisher revalidate` again; if the numbers are "
            f"right, `publisher accept` publishes them."
        )


@_command()
@click.argument("datasets", nargs=-1)
@click.pass_obj
def push(folder: Path, datasets: Sequence[str]) -> None:
    """Bring the portal up to date with the current releases.

    Pushing again changes nothing.
    """
    from publisher.pipeline.session import locked
    from publisher.push.sync import deliver, map_notes, portal_of, telling

    workspace = _workspace(folder)
    chosen = _datasets(workspace, datasets)
    if _nothing_defined(workspace):
        return
    with locked(workspace) as catalog, portal_of(workspace) as client:
        for number, dataset in enumerate(chosen):
            with telling(chosen[number:]):
                url = deliver(workspace, catalog, client, dataset)
            click.echo(f"{dataset.name}: {url or 'nothing to publish yet'}")
    for line in map_notes(workspace, chosen):
        click.echo(line)


@_command()
@click.argument("datasets", nargs=-1)
@click.option("--offline", is_flag=True, help="Leave the portal out.")
@click.option("--no-portal", is_flag=True, hidden=True)
@_json_option
@click.pass_obj
def verify(folder: Path, datasets: Sequence[str], offline: bool, no_portal: bool, as_json: bool) -> None:
    """Check that everything is as it was written.

    Checks the ledger and everything that remembers its entries, the key, the files and validation results of releases,
    and what the portal shows. Changes nothing. Exits with the code of the first row that is wrong.
    """
    _verify(folder, datasets, offline=offline or no_portal, as_json=as_json)


def _verify(folder: Path, datasets: Sequence[str], *, offline: bool, as_json: bool) -> None:
    from publisher.commands.terminal import print_error, print_json, print_table
    from publisher.commands.verify import HEADINGS, verified
    from publisher.pipeline.session import opened

    workspace = _workspace(folder)
    chosen = _datasets(workspace, datasets)
    with opened(workspace) as catalog:
        findings = list(verified(workspace, catalog, chosen, offline=offline))
    if as_json:
        print_json([each.fields for each in findings])
    else:
        print_table("", HEADINGS, [(each.what, each.checked, each.result) for each in findings])
    for each in findings:
        for fault in each.faults:
            print_error(fault) if each.exit_code else click.echo(f"warning: {fault}", err=True)
    sys.exit(next((each.exit_code for each in findings if each.result == "wrong"), 0))


@_command()
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
      publisher accept syracuse-permits 2023-Q3 --reason "The fee went up in October, so many applied before"
    """
    from publisher.commands.review import accept as publish_held

    def agree(question: str) -> None:
        if not (yes or sys.stdin.isatty()):
            raise click.UsageError(f"{question} There is no terminal to ask on: add --yes to agree. Nothing changed.")
        if not yes:
            click.confirm(question, abort=True, err=True)

    workspace = _workspace(folder)
    click.echo(publish_held(workspace, workspace.dataset(dataset), period, reason, agree, push=not no_push))


@_command()
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
      publisher rollback stlouis-requests --period 2018-W03 --reason "A file was missing"
      publisher rollback stlouis-requests --undo --reason "The file was complete after all"
    """
    from publisher.commands.review import rollback as retract

    workspace = _workspace(folder)
    file = workspace.dataset(dataset)
    if reason is None:
        if not sys.stdin.isatty():
            raise click.UsageError("--reason is missing, and there is no terminal to ask on. Nothing changed.")
        reason = str(click.prompt("Why? Everyone can read this on the portal", err=True))
    click.echo(retract(workspace, file, period, reason, undo=undo, push=not no_push))


@main.group(invoke_without_command=True, context_settings={"max_content_width": 100})
@_json_option
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

    workspace = _workspace(ctx.obj)
    with opened(workspace) as catalog:
        accounts = statement(workspace, catalog.ledger)
    if not accounts and _nothing_defined(workspace, as_json=as_json):
        return
    if as_json:
        print_json([asdict(each) for each in accounts])
    elif accounts:
        print_table("", HEADINGS, [each.row for each in accounts])
    else:
        click.echo("Nothing is spent yet. `publisher plan` shows what releases will cost.")


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
      publisher ledger amend permits --reason "Day and month were swapped until May"
    """
    from publisher.commands.amend import amendment
    from publisher.pipeline.session import locked

    workspace = _workspace(folder)
    with locked(workspace) as catalog:
        asked = amendment(workspace.source(source), catalog.ledger, reason)
        _agree(asked.words(), yes=yes)
        catalog.ledger.record("amendment", asked.payload)
    click.echo(f"{source}: recorded. `publisher plan` shows what is left.")


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
      publisher ledger allow permits 2024-01..2024-05 --more 0.1 --reason "Council decision 2024-17"
    """
    from publisher.commands.amend import allowance
    from publisher.pipeline.session import locked

    start, _, end = blocks.partition("..")
    workspace = _workspace(folder)
    with locked(workspace) as catalog:
        asked = allowance(workspace.source(source), catalog.ledger, start, end or start, more, delta, reason)
        _agree(asked.words(), yes=yes)
        catalog.ledger.record("allowance", asked.payload)
    click.echo(f"{source}: recorded.")


def _agree(words: str, *, yes: bool, undone: str = "Nothing was recorded.") -> None:
    """Say what will happen and ask; where no one can be asked, --yes is needed."""
    click.echo(words, err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"there is no terminal to ask on: add --yes to agree. {undone}")
    click.confirm("Continue?", abort=True, err=True)


@ledger.command("verify", hidden=True)
@click.pass_obj
def ledger_verify(folder: Path) -> None:
    """The same as `publisher verify --offline`."""
    click.echo("`publisher ledger verify` is now `publisher verify --offline`, which also checks releases.", err=True)
    _verify(folder, (), offline=True, as_json=False)


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
      publisher sql "SELECT sum(requests) FROM stlouis_requests WHERE period = '2018-W03'"
      publisher sql --csv "FROM _values WHERE measure = 'requests'" > values.csv
    """
    from publisher.commands.answers import show, write_csv, write_json
    from publisher.commands.sql import prompt, run_query

    _refuse_together({"--csv": as_csv, "--json": as_json})
    workspace = _workspace(folder)
    if query is None and (as_csv or as_json):
        raise click.UsageError("--csv and --json need a QUERY")
    if query is None:
        prompt(workspace.public)
    else:
        run_query(workspace.public, query, write_csv if as_csv else write_json if as_json else show)


@_command()
@serving_options
@click.pass_obj
def serve(folder: Path, /, **given: Any) -> None:
    """Serve the embedded portal until you stop it.

    Its port comes from publisher.toml, unless you give --port.

    \b
    Examples:
      publisher serve
      publisher serve --host 0.0.0.0 --port 443 --workers 4 --tls-certificate chain.pem --tls-key key.pem
      publisher serve --public-url https://data.example.gov --trusted-proxy 127.0.0.1 --log-format json
    """
    from publisher.portal.server import serve as serve_portal
    from publisher.portal.serving.options import Serving

    workspace = _workspace(folder)
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
@_json_option
@click.pass_obj
def accounts_list(folder: Path, as_json: bool) -> None:
    """List accounts, keys and tokens, without their secrets."""
    from publisher.commands.accounts import ACCOUNTS, CREDENTIALS, accounts_listed, credentials_listed
    from publisher.commands.terminal import print_json, print_table

    people, keys = accounts_listed(_workspace(folder).portal), credentials_listed(_workspace(folder).portal)
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
    given = add(_workspace(folder).portal, name, role, password)
    click.echo(f"{given.name} is {role}" if ask else f"{given.name} is {role}; password, shown once: {given.secret}")


@accounts.command("remove")
@click.argument("name")
@click.pass_obj
def accounts_remove(folder: Path, name: str) -> None:
    """Remove account NAME with its keys and tokens."""
    from publisher.commands.accounts import remove

    remove(_workspace(folder).portal, name)
    click.echo(f"{name} is removed")


@accounts.command("token")
@click.argument("use", type=click.Choice(["app-token", "api-key", "bearer"]))
@click.option("--account", help="The account it belongs to. An app token needs none.")
@click.option("--label", default="", help="What it is for.")
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires (default: valid until revoked).")
@click.pass_obj
def accounts_token(folder: Path, use: str, account: str | None, label: str, days: int | None) -> None:
    """Create a key or token and show its secret once."""
    from publisher.commands.accounts import issue

    given = issue(_workspace(folder).portal, use, account, label, days)
    click.echo(f"id: {given.name}\nsecret: {given.secret}" if given.name else given.secret)


@accounts.command("revoke")
@click.argument("identifier")
@click.pass_obj
def accounts_revoke(folder: Path, identifier: str) -> None:
    """Revoke a key or token by its id.

    `publisher accounts list` shows the ids.
    """
    from publisher.commands.accounts import revoke

    revoke(_workspace(folder).portal, identifier)
    click.echo(f"{identifier} is revoked; the portal may accept an app token for five more seconds")


@_command()
@click.pass_obj
def doctor(folder: Path) -> None:
    """Check this machine and this workspace.

    Checks versions, definitions, folders, key, ledger, portal and noise.
    """
    from publisher.commands.doctor import checkup
    from publisher.commands.terminal import print_table

    findings = list(checkup(_workspace(folder)))
    print_table("", ("what", "finding", "status"), [(each.what, each.words, each.status) for each in findings])
    worst = max((each.exit_code for each in findings), default=0)
    sys.exit(worst)


@_command()
@click.argument("dataset")
@click.option("--period", help="The period whose records to use (default: the last one that is due).")
@click.option("--units", default=200, show_default=True, help="Number of neighbors to try.")
@click.option(
    "--releases", default=200_000, show_default=True, help="Least number of releases for the bound on the loss."
)
@_json_option
@click.pass_obj
def audit(folder: Path, dataset: str, period: str | None, units: int, releases: int, as_json: bool) -> None:
    """Try to break the privacy guarantee of DATASET.

    Uses a private copy of its records and generated worst cases. Charges nothing, shows no exact value, and writes only
    to a private folder that it deletes afterwards. Exits with code 4 if any check fails. docs/audit.md says what each
    check proves and what it cannot.

    \b
    Examples:
      publisher audit stlouis-requests
      publisher audit syracuse-permits --period 2013-Q3 --units 500
      publisher audit alicante-water --json
    """
    from publisher.commands.audit import audit as look
    from publisher.commands.terminal import print_json, print_table, watching
    from publisher.errors import BudgetError

    workspace = _workspace(folder)
    with watching() as observer:
        findings = look(
            workspace, workspace.dataset(dataset), period=period, units=units, releases=releases, observer=observer
        )
    rows = [{"what": each.what, "finding": each.words, "status": each.status} for each in findings]
    if as_json:
        print_json(rows)
    else:
        print_table("", ("what", "finding", "status"), [tuple(row.values()) for row in rows])
    sys.exit(0 if all(each.passed for each in findings) else BudgetError.exit_code)


@_command()
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


def _workspace(folder: Path) -> Workspace:
    from publisher.workspace import find_workspace

    return find_workspace(folder)


def _datasets(workspace: Workspace, names: Sequence[str]) -> list[DatasetFile]:
    return [workspace.dataset(name) for name in names or workspace.datasets]


def _nothing_defined(workspace: Workspace, *, as_json: bool = False) -> bool:
    """Whether there is no dataset yet; if so, print what to do."""
    if workspace.datasets:
        return False
    if as_json:
        click.echo("[]")
    click.echo(NOTHING_DEFINED, err=as_json)
    return True


def _refuse_together(options: Mapping[str, object]) -> None:
    """Refuse options that exclude each other."""
    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} cannot be used together: use one at a time")
