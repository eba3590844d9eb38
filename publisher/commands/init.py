"""`publisher init`: a new workspace with its folders and its key."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from publisher.durable import write_file, writing
from publisher.records.secrets import create_key
from publisher.workspace import FILE, find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOMS = ("pipelines", "datasets/keysets", "expectations")

SETTINGS = """\
# This workspace. Every key is described by `publisher schema workspace`.
organization = "TODO"  # your city
contact = "TODO"       # an address that readers of the data can write to
license = "CC0 1.0"
license_url = "https://creativecommons.org/publicdomain/zero/1.0/"
jurisdiction = "TODO"  # the open records law that applies to you
data = "data"    # the folder of the raw files; PUBLISHER_DATA overrides it
state = "state"  # everything that publisher writes; PUBLISHER_STATE overrides it

[portal]
kind = "embedded"
url = "http://127.0.0.1:8311"
"""


@contextmanager
def all_or_nothing(folder: Path) -> Iterator[None]:
    """Remove what was made in the folder, and the folder if it is new, when what follows fails."""
    before = {*folder.iterdir()} if folder.is_dir() else None
    try:
        yield
    except BaseException:
        made = [folder] if before is None else [path for path in folder.iterdir() if path not in before]
        for path in made:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        raise


def scaffold(folder: Path) -> Iterator[str]:
    """Create what is missing, leave the rest alone, and say what was created. Raises SourceError."""
    if not (folder / FILE).is_file():
        write_file(folder / FILE, SETTINGS.encode())
        yield f"wrote {folder / FILE}: fill in your organization and contact"
    with writing(str(folder)):
        for room in ROOMS:
            (folder / room).mkdir(parents=True, exist_ok=True)
    if not (folder / ".gitignore").is_file():
        write_file(folder / ".gitignore", b"state/\ndata/\nrun.log\n")
        yield f"wrote {folder / '.gitignore'}: it keeps state and raw data out of the repository"
    workspace = find_workspace(folder)
    create_key(workspace.private)
    yield f"the key is in {workspace.private}: keep a copy in a safe place, since pseudonyms depend on it"
    yield "next: `publisher add SOURCE FILE` drafts the definitions of a file; `publisher check` says what is open"
