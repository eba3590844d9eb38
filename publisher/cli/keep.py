"""Keep: this machine and this workspace in order."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from publisher.cli.root import command, workspace_of

if TYPE_CHECKING:
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
