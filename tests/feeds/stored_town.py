"""A workspace whose one source is fetched from a database or an object store, and what docs/feeds.md says of both."""

from __future__ import annotations

import re
from pathlib import Path

from fetched_town import SETTINGS, FetchedTown

PAGE = Path(__file__).parents[2] / "docs" / "feeds.md"

SOURCE = """title = "Permits"
description = "Permits of an invented town."
purpose = "Tests."
population = "town"
timezone = "UTC"
retention_months = 12
delivery = "{delivery}"
record_id = ["id"]

[privacy]
unit = "record"
window = "day"
budget = 1

[feed]
{feed}

[event]
column = "day"
formats = ["%Y-%m-%d", "%Y-%m-%d %H:%M:%S"]

[columns]
"""


def town(root: Path, feed: str, *, delivery: str, columns: str = "id day what -owner") -> FetchedTown:
    """Write the definitions; a column with a dash is not read."""
    (root / "pipelines").mkdir(parents=True)
    (root / "data").mkdir()
    (root / "publisher.toml").write_text(SETTINGS)
    lines = [
        f'{name.lstrip("-")} = {{ class = "public", statute = "s. 1"{", read = false" if name[0] == "-" else ""} }}'
        for name in columns.split()
    ]
    text = SOURCE.format(feed=feed, delivery=delivery) + "\n".join(lines) + "\n"
    (root / "pipelines" / "requests.toml").write_text(text)
    (root / "pipelines" / "requests.sql").write_text("SELECT 1 AS one FROM raw\n")
    return FetchedTown(root)


def holds(place: FetchedTown, there: list[tuple[str, str]], fault: str) -> None:
    """What is landed is what is there: no record lost or twice, as the page says of this fault."""
    landed = place.rows("id, what")
    lost, twice = len(set(there) - set(landed)), len(landed) - len({key for key, _ in landed})
    assert (lost, twice, landed) == (0, 0, there)
    assert f"| {fault} | {lost}, {twice} |" in PAGE.read_text(encoding="utf-8")
    assert place.raw_files() == []


def documented(what: str) -> list[str]:
    """Every fault that the page has in the table of what happens."""
    table = PAGE.read_text(encoding="utf-8").partition(f"| what happens to {what} |")[2].partition("\n\n")[0]
    return re.findall(r"^\| (.+) \| \d+, \d+ \|$", table, re.MULTILINE)


def shown_by(module: str) -> list[str]:
    """Every fault that a test file shows."""
    text = (Path(__file__).parent / module).read_text(encoding="utf-8")
    return re.findall(r"^ +holds\(.*\"([^\"]+)\"\)$", text, re.MULTILINE)


def example(kind: str, root: Path, **changed: str) -> FetchedTown:
    """The complete source of the page, in a workspace, with the addresses of a test."""
    text = PAGE.read_text(encoding="utf-8").partition(f"<!-- {kind} -->\n```toml\n")[2].partition("```")[0]
    for old, new in changed.items():
        assert len(re.findall(rf"^{old} = .*$", text, re.MULTILINE)) == 1
        text = re.sub(rf"^{old} = .*$", f"{old} = {new}", text, flags=re.MULTILINE)
    made = town(root, "", delivery="append")
    made.path.write_text(text)
    made.path.with_suffix(".sql").write_text("SELECT type FROM raw\n")
    return made
