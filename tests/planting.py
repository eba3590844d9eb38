"""Faults that tests plant into a copy of the package: unified diffs against its own code in `trials/faults/`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import publisher

PACKAGE = Path(publisher.__file__).parent
FAULTS = Path(__file__).parent / "trials" / "faults"


def patched(text: str, patch: str) -> str:
    """The text with the hunks of a unified diff applied; each must fit, exactly and once."""
    for hunk in re.split(r"(?m)^@@.*@@.*\n", patch)[1:]:
        lines = hunk.splitlines(keepends=True)
        before, after = ("".join(line[1:] for line in lines if line[0] in kinds) for kinds in (" -", " +"))
        assert text.count(before) == 1, f"the diff no longer fits the code:\n{hunk}"
        text = text.replace(before, after)
    return text


def changed(fault: str) -> dict[str, str]:
    """The text of each file that the fault changes, by its path below the top level."""
    parts = re.split(r"(?m)^--- a/.*\n", (FAULTS / f"{fault}.patch").read_text())[1:]
    files = {name.removeprefix("+++ b/"): hunks for name, hunks in (part.split("\n", 1) for part in parts)}
    return {name: patched((PACKAGE.parent / name).read_text(), hunks) for name, hunks in files.items()}


def plant(fault: str, folder: Path) -> Path:
    """A copy of the package with the fault in it, if one is named; byte code of what is unchanged stays good."""
    shutil.copytree(PACKAGE, folder / "publisher")
    for name, text in (changed(fault) if fault else {}).items():
        (folder / name).write_text(text)
    return folder
