"""Keep: this machine and this workspace in order."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from publisher.cli.root import agree, command, say, workspace_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@command()
@click.pass_obj
def doctor(folder: Path) -> None:
    """Check this machine and this workspace.

    Checks versions, definitions, folders, key, ledger, portal and noise.
    """
    from publisher.commands.doctor import checkup
    from publisher.commands.terminal import print_table

    findings = list(checkup(workspace_of(folder)))
    print_table("", ("what", "finding", "status"), [(each.what, each.words, each.status) for each in findings])
    worst = max((each.exit_code for each in findings), default=0)
    sys.exit(worst)


@command()
@click.argument("sources", nargs=-1)
@click.option("--dry-run", "dry", is_flag=True, help="Say what would be purged, and what stops it. Deletes nothing.")
@click.option("--yes", is_flag=True, help="Purge without asking.")
@click.pass_obj
def purge(folder: Path, sources: Sequence[str], *, dry: bool, yes: bool) -> None:
    """Delete landed records beyond their retention.

    Each source says how long its records are kept, and whether `publisher run` purges by itself. Records wait for a
    release of them that is still due, up to the source's deadline; nothing is purged under a legal hold. Releases, the
    ledger and first receipts stay. The journal keeps a certificate of what was deleted.

    \b
    Examples:
      publisher purge --dry-run
      publisher purge stlouis-311
    """
    from publisher.commands.purge import planned, purge_sources

    workspace = workspace_of(folder)
    chosen = [workspace.source(name) for name in sources or workspace.sources]
    for line in (
        planned(workspace, chosen)
        if dry
        else purge_sources(workspace, chosen, lambda words: agree(words, yes=yes, undone="Nothing was purged."))
    ):
        say(line)
