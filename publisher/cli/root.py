"""The root of the command line, and what its commands share: parse, call, print."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from publisher import __version__
from publisher.confined import no_core_dumps
from publisher.journal.entry import COMMAND

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from publisher.workspace import DatasetFile, Workspace

EXIT_CODES = """\b
Exit codes:
  0   done
  2   a definition or the command line is wrong
  3   a release is held by validation, or something waits for people
  4   the privacy budget refuses, or the ledger does not verify
  5   a source is missing or not as declared, or the state cannot be written
  6   the portal cannot be reached or lacks what was sent; a notice failed
  70  a bug in publisher itself
  75  another run holds the lock
  130 stopped with Ctrl-C, or by a "no" to a question
  141 the program reading the output (such as head) stopped
"""

SECTIONS = {
    "Start": ("init", "add", "sample", "keyset", "preview", "classify", "check", "schema"),
    "Plan": ("plan", "tune"),
    "Run": ("run", "land", "schedule", "notify"),
    "Review": ("releases", "show", "revalidate", "accept", "review", "approve", "reject", "rollback", "reviewers"),
    "Prove": ("audit", "verify", "ledger", "journal", "registry"),
    "Publish": ("push", "drift", "serve", "accounts", "portal"),
    "Answer": ("cases", "grants"),
    "Look": ("status", "sql"),
    "Keep": ("doctor", "purge", "backup", "restore", "keys"),
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
      publisher status    see where everything stands

    On a terminal, what is printed is as wide as it (COLUMNS overrides it). In a pipe or a file it is not wrapped: each
    message and each row of a table is one line, whatever COLUMNS says. Some pages are made for 80 columns everywhere.
    """
    no_core_dumps()
    os.umask(os.umask(0o077) | 0o022)  # whatever it was, no one else can write to the files of this process
    ctx.obj = folder
    COMMAND.set(ctx.invoked_subcommand or "")


def command() -> Callable[..., Any]:
    """Make a function a command of the root, under its own name."""
    return main.command(context_settings={"max_content_width": 100})


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def workspace_of(folder: Path) -> Workspace:
    """The workspace in or above the folder."""
    from publisher.workspace import find_workspace

    return find_workspace(folder)


def datasets_of(workspace: Workspace, names: Sequence[str]) -> list[DatasetFile]:
    """The datasets of these names, or all."""
    return [workspace.dataset(name) for name in names or workspace.datasets]


def nothing_defined(workspace: Workspace, *, as_json: bool = False) -> bool:
    """Whether there is no dataset yet; if so, print what to do."""
    if workspace.datasets:
        return False
    if as_json:
        click.echo("[]")
    say(NOTHING_DEFINED, err=as_json)
    return True


def say(words: str, *, err: bool = False) -> None:
    """Print words for people, as wide as they read."""
    from publisher.commands.terminal import say as print_words

    print_words(words, err=err)


def refuse_together(options: Mapping[str, object]) -> None:
    """Refuse options that exclude each other."""
    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} cannot be used together: use one at a time")


def agree(words: str, *, yes: bool, undone: str = "Nothing was recorded.") -> None:
    """Say what will happen and ask; where no one can be asked, --yes is needed."""
    say(words, err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"there is no terminal to ask on: add --yes to agree. {undone}")
    click.confirm("Continue?", abort=True, err=True)
