"""Files that cannot be used: one message, what to do, an exit code, and nothing half there."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from desk import AREAS, CANARY, HEADER, QUARTER, Desk, csv, dated, objects, rows, zipped

from publisher.cli import main

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("Ann Smith", "Juan Lopez", "Mary Jones", "Peter Miller", "Rosa Garcia", "John Davis", "Linda Young")
PEOPLE = [[f"{NAMES[n % 7]} {chr(65 + n % 26)}", f"{n}", f"2024-01-{n % 28 + 1:02d}"] for n in range(200)]
SORTS = [[f"{CANARY} {'abc'[n % 3]}", ("open", "closed")[n % 2]] for n in range(60)]
ELSEWHERE = [[*row[:6], f"{float(row[6]) + 100}", row[7], row[8]] for row in rows()]
ZIPPED = zipped("a.csv", csv(rows()))
MIXED = [
    f"{n % 28 + 1:02d}/{n % 12 + 1:02d}/2024" if n % 2 else f"{n % 12 + 1:02d}/{n % 28 + 1:02d}/2024"
    for n in range(300)
]


@pytest.mark.usefixtures("processes")  # a workbook is read in a child
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "", "a.csv: is empty"),
        ("a.csv", " \n\n", "a.csv: is empty"),
        ("a.csv", HEADER + "\n", "a header and no record below it"),
        ("a.csv", bytes(range(256)) * 20, "a.csv: is not text"),
        ("a.csv", b"PK\x03\x04" + bytes(100), "is an archive or a document: unpack it"),
        ("a.csv.gz", b"\x1f\x8b" + b"torn" * 20, "a.csv.gz: cannot be read"),
        ("a.xlsx", "id,opened\n", "a.xlsx: is not what its name says"),
        ("a.xlsx", b"PK\x03\x04" + bytes(100), "a.xlsx: cannot be read as a workbook"),
        ("a.parquet", b"PAR1" + bytes(100), "a.parquet: cannot be read as Parquet"),
        ("a.csv", csv([["1"] * 40] * 20, ",".join(["value"] * 40)), "several columns have the same name (value)"),
        ("a.csv", csv(rows()[1:], ",".join(rows()[0])), "the first line looks like a record"),
        ("a.csv", csv(SORTS[1:], ",".join(SORTS[0])), "(see column 1)"),
        ("a.csv", csv(PEOPLE[1:], "Anthony Allen Q,number,opened"), "(see column 1)"),
        ("a.csv", csv([[row[2], row[1]] for row in PEOPLE[1:]], "2024-01-01,number"), "(see column 1)"),
        ("a.zip", ZIPPED, "is an archive or a document: unpack it"),
        ("a.csv", csv([[f"{n}", "soon"] for n in range(50)], "id,opened"), "no column has dates that can be read"),
        ("a.csv", dated(MIXED), "opened: some dates read only with the month first"),
        ("a.json", "[1, 2", "a.json: has no objects that can be read"),
        ("a.json", json.dumps({"data": objects(20)}), "its records are inside another object"),
        ("a.csv", csv(ELSEWHERE), "hardly a point is inside areas.geojson"),
    ],
    ids=(
        "empty blank bare binary archive torn text book parquet twins headless "
        "sorts people day zip undated mixed json inner far"
    ).split(),
)
def test_a_file_that_cannot_be_added(desk: Desk, name: str, content: str | bytes, words: str) -> None:
    """One message without any value, exit code 5, and nothing is there afterward but what tells that it was read."""
    desk.put(name, content)
    code, said = desk.run("add", "requests", name, *AREAS, "--yes")
    assert (code, len(told(said))) == (5, 1), said
    assert words in said
    assert CANARY not in said
    assert desk.written() == {}
    assert {path.name for path in (desk.root / "state" / "private").iterdir()} == {"key", "owner", "journal.jsonl"}


@pytest.mark.usefixtures("processes")  # a workbook is read in a child
@pytest.mark.parametrize("there", [False, True], ids=["new", "there"])
@pytest.mark.parametrize("name", ["empty.csv", "headless.csv", "book.xlsx"])
def test_a_workspace_is_made_with_its_source_or_not_at_all(tmp_path: Path, there: bool, name: str) -> None:
    """init --from leaves nothing of its own behind if the file cannot be used, and nothing else is touched."""
    contents = {"headless.csv": csv(rows()[1:], ",".join(rows()[0])).encode(), "book.xlsx": b"PK\x03\x04" + bytes(100)}
    (tmp_path / name).write_bytes(contents.get(name, b""))
    folder = tmp_path / "city"
    if there:
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
    answer = CliRunner().invoke(main, ["init", str(folder), "--from", str(tmp_path / name), "--yes"])
    assert (answer.exit_code, len(answer.output.splitlines())) == (5, 1), answer.output
    assert CANARY not in answer.output
    assert ([path.name for path in folder.iterdir()] if there else folder.exists()) == (
        ["notes.txt"] if there else False
    )


def told(said: str) -> list[str]:
    """The lines, without those of a slow machine on how far it is."""
    return [line for line in said.splitlines() if "still reading" not in line]


def test_a_header_that_comes_again_is_one(desk: Desk) -> None:
    """Files that were put together have their header in the middle; that is no sign of a record."""
    body = csv(rows())
    assert list(desk.add(desk.put("a.csv", body + body))["columns"]) == HEADER.split(",")


HALF = [
    [*row[:1], f"{row[1]}" if n % 2 else f"2024.{n % 28 + 1:02d}.01 noon", *row[2:]] for n, row in enumerate(rows())
]
SPOILED: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "requests.csv: is empty"),
    "binary": (bytes(range(256)) * 20, "requests.csv: "),
    "twins": (csv([["1"] * 40] * 20, ",".join(["value"] * 40)), "requests.csv: "),
    "headless": (csv(rows()[1:], ",".join(rows()[0])), "requests.csv: "),
    "zip": (ZIPPED, "requests.csv: "),
    "half": (csv(HALF), "refused at landing"),
    "elsewhere": (csv(ELSEWHERE), "refused at landing"),
}


def test_a_spoiled_file_is_not_landed(desk: Desk) -> None:
    """One message without any value, exit code 5, and nothing is landed; the sound file is, afterward."""
    desk.add(desk.put("requests.csv", csv(rows())), more=AREAS)
    desk.fill(first=QUARTER)
    for content, words in SPOILED.values():
        desk.put("requests.csv", content)
        code, said = desk.run("land")
        assert (code, len(told(said))) == (5, 1), said
        assert words in said
        assert CANARY not in said
        assert not list((desk.root / "state/private").glob("landed/*/*"))
        desk.put("requests.csv", csv(rows()))
        code, said = desk.run("land")
        assert (code, said.splitlines()[-1]) == (0, "requests: 1 new files, 0 known")
        shutil.rmtree(desk.root / "state")
