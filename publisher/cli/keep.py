"""Keep: this machine and this workspace in order."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from publisher.cli.root import agree, command, json_option, main, say, workspace_of

if TYPE_CHECKING:
    from collections.abc import Sequence


@command()
@click.option("--backup-days", type=click.IntRange(1), default=7, show_default=True, help="An older backup is too old.")
@click.option("--strict", is_flag=True, help="Exit with code 5 for a warning too.")
@json_option
@click.pass_obj
def doctor(folder: Path, *, backup_days: int, strict: bool, as_json: bool) -> None:
    """Check this machine and this workspace.

    Checks versions, definitions, the private folder, encryption, spilling, file modes, users, backups, clock, core
    dumps, ledger, its head outside the state folder, noise, portal and notices. Exits with the highest code of what
    failed; a warning is none, but for --strict.

    \b
    Examples:
      publisher doctor
      publisher doctor --strict --backup-days 2
    """
    from publisher.commands.doctor import checkup
    from publisher.commands.terminal import print_json, print_table
    from publisher.errors import SourceError

    findings = list(checkup(workspace_of(folder), backup_days))
    if as_json:
        print_json([{"what": each.what, "finding": each.words, "status": each.status} for each in findings])
    else:
        print_table("", ("what", "finding", "status"), [(each.what, each.words, each.status) for each in findings])
    warned = SourceError.exit_code if strict and any(each.risky for each in findings) else 0
    sys.exit(max((each.exit_code for each in findings), default=0) or warned)


@command()
@click.argument("sources", nargs=-1)
@click.option("--dry-run", "dry", is_flag=True, help="Say what would be purged, and what stops it. Deletes nothing.")
@click.option("--yes", is_flag=True, help="Purge without asking.")
@click.pass_obj
def purge(folder: Path, sources: Sequence[str], *, dry: bool, yes: bool) -> None:
    """Delete landed records beyond their retention, and closed cases.

    Each source says how long its records are kept, and whether `publisher run` purges by itself. Records wait for a
    release of them that is still due, up to the source's deadline; nothing is purged under a legal hold. Releases, the
    ledger and first receipts stay. The journal keeps a certificate of what was deleted. Without a source named, cases
    that were closed longer ago than [cases] retention_months are deleted too, with their letters.

    \b
    Examples:
      publisher purge --dry-run
      publisher purge stlouis-311
    """
    from publisher.commands.case_retention import planned_cases, purge_cases
    from publisher.commands.purge import planned, purge_sources

    def asked(words: str) -> None:
        agree(words, yes=yes, undone="Nothing was purged.")

    workspace = workspace_of(folder)
    chosen = [workspace.source(name) for name in sources or workspace.sources]
    for line in planned(workspace, chosen) if dry else purge_sources(workspace, chosen, asked):
        say(line)
    if not sources:
        for line in planned_cases(workspace) if dry else purge_cases(workspace, asked):
            say(line)


@main.group(invoke_without_command=True, context_settings={"max_content_width": 100})
@json_option
@click.pass_context
def keys(ctx: click.Context, as_json: bool) -> None:
    """Show what is encrypted, and with which key.

    Landed records, first receipts and private reports are, where publisher.toml has [encryption]. docs/keys.md says how
    to begin, and how to change the key.
    """
    if ctx.invoked_subcommand is not None:
        return
    from publisher.commands.keys import NO_KEY, keys_standing
    from publisher.commands.terminal import print_json, print_table

    standing = keys_standing(workspace_of(ctx.obj))
    if as_json:
        print_json(standing.fields if standing is not None else None)
    elif standing is None:
        say(NO_KEY)
    else:
        print_table("", ("what", "finding"), standing.rows)


@keys.command("rotate")
@click.pass_obj
def keys_rotate(folder: Path) -> None:
    """Encrypt everything with the key of publisher.toml.

    Set `key` under [encryption] to the new key and `previous` to the one before it. Files that are not encrypted yet
    are encrypted too. If it is stopped, run it again: nothing is lost.
    """
    from publisher.commands.keys import rotate

    say(rotate(workspace_of(folder)))


@keys.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def keys_show(folder: Path, file: Path) -> None:
    """Print a private report, FILE, that is encrypted.

    It has exact counts, for the data team only. The journal tells that it was read.

    \b
    Example:
      publisher keys show permits/landing-1f0c5d.json
    """
    from publisher.commands.keys import report_text

    click.echo(report_text(workspace_of(folder), file), nl=False)


@command()
@click.argument("target", metavar="FOLDER", type=click.Path(path_type=Path, file_okay=False))
@click.option("--with-records", is_flag=True, help="Also copy landed records. Then the key is left out.")
@click.option("--without-key", is_flag=True, help="Leave out the key for pseudonyms, which you keep elsewhere.")
@click.pass_obj
def backup(folder: Path, target: Path, *, with_records: bool, without_key: bool) -> None:
    """Back up everything that cannot be made again.

    That is the ledger, the key, the journal, releases and what belongs to them. Each backup is a new folder in FOLDER,
    named by its time (UTC) and there only once it is whole. Waits for a run that is at work. Only you can read it.

    \b
    Examples:
      publisher backup /mnt/backup/open-data
      publisher backup /mnt/backup/records --with-records
    """
    from publisher.backup.making import back_up
    from publisher.commands.backup import made_words

    place, about = back_up(workspace_of(folder), target, records=with_records, key=not without_key)
    for line in made_words(place, about):
        say(line)


@command()
@click.argument("target", metavar="FOLDER", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--offline", is_flag=True, help="Do not ask the portal: nothing was published after the backup.")
@click.pass_obj
def restore(folder: Path, target: Path, *, offline: bool) -> None:
    """Bring back what is missing from a backup.

    FOLDER is one backup, or the folder of several: then the newest is used. It is checked first, file by file. Never
    puts an older ledger, journal or approval over a newer one (4): what was spent since would be spent again. On a
    machine that does not remember the ledger, the portal is asked what was published since.

    \b
    Example:
      publisher restore /mnt/backup/open-data
    """
    from publisher.commands.backup import bring_back, restored_words
    from publisher.commands.terminal import print_error
    from publisher.errors import SourceError

    done = bring_back(workspace_of(folder), target, offline=offline)
    for line in restored_words(done):
        say(line)
    for words in done.left_out:
        print_error(words)
    sys.exit(SourceError.exit_code if done.left_out else 0)
