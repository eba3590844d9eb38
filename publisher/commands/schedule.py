"""`publisher schedule export`: the entry of a scheduler that runs publisher often enough."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from xml.sax.saxutils import escape

from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from publisher.workspace import Workspace

Scheduler = Literal["cron", "systemd", "windows", "github", "airflow", "dagster"]
SCHEDULERS: tuple[Scheduler, ...] = ("cron", "systemd", "windows", "github", "airflow", "dagster")

TEMPLATES = Path(__file__).parent / "templates" / "schedule"

DIVIDES = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
"""Minutes that divide an hour: the others would not come at even distances."""


def entry(workspace: Workspace, scheduler: Scheduler, every: int) -> str:
    """The text for the scheduler. Raises DefinitionError for minutes that do not divide an hour, and for a folder that
    the scheduler cannot name."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    if every not in DIVIDES:
        raise DefinitionError(f"--every {every} does not divide an hour: use one of {', '.join(map(str, DIVIDES))}")
    folder, command = str(workspace.root.resolve()), str(Path(sys.executable).with_name("publisher"))
    if "\n" in folder + command:
        raise DefinitionError(f"no scheduler can name the folder {folder!r}: rename it")
    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701 - no HTML
    # Each scheduler has characters of its own that mean something in a command.
    environment.filters |= {
        "cron": lambda text: text.replace("%", "\\%"),
        "unit": lambda text: text.replace("%", "%%").replace("$", "$$"),
        "xml": escape,
        "yaml": lambda text: "'" + text.replace("'", "''") + "'",
        "repr": repr,
    }
    run = f"{_quoted(command, scheduler)} -C {_quoted(folder, scheduler)}"
    return environment.get_template(scheduler).render(
        every=every,
        folder=folder,
        command=command,
        run=run,
        log=_quoted(str(Path(folder) / "run.log"), scheduler),
        python=sys.executable,
    )


def _quoted(text: str, scheduler: Scheduler) -> str:
    """A path as one word: systemd has quotes of its own, the others use a shell."""
    if scheduler != "systemd":
        return shlex.quote(text)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if escaped != text or " " in text or "'" in text else text
