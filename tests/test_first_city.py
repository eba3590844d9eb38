"""docs/first-city.md does what it says: its commands run, and its files are checked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "first-city.md"


def put(path: Path, content: str) -> None:
    """Write a file of the page, or fill in the marked places of one that is there."""
    if not path.exists():
        path.write_text(content)
        return
    text = path.read_text()
    for line in content.splitlines():
        key = line.partition(" = ")[0]
        text, found = re.subn(
            rf'^{key} = (?:"TODO"|\{{.*"TODO" \}}).*$', lambda _, new=line: new, text, flags=re.MULTILINE
        )
        assert found == 1, line
    path.write_text(text)


@pytest.mark.usefixtures("processes")
def test_the_first_city(tmp_path: Path) -> None:
    """Every command of the page succeeds in its order, with the edits between, and a release comes of it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PUBLISHER_")}
    environment |= {
        "XDG_STATE_HOME": str(tmp_path / "heads"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    before: list[str] = []
    said = ""
    for kind, block in re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        if kind != "console":
            head, _, content = block.partition("\n")
            put(tmp_path / "my-city" / head.strip("#- "), content)
            continue
        commands = [line.removeprefix("$ ") for line in block.splitlines()]
        script = "\n".join(["set -e", *before, *commands])
        ran = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        before += [line for line in commands if line.startswith(("cd ", "export "))]
        said += ran.stdout
    assert "everything is in order" in said
    assert re.search(r"requests-by-month │ 2018-01 .*ready", said)
    assert "dataset trees-by-month: trees by ward" in said
