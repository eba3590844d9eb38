"""What columns seem to hold: a proposal on the terminal, and in the definition only what it does not have yet."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from township import COMMAND, Town

from publisher.cli import main

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "pipelines/requests.toml"
HEADER = "id,opened,owner,phone,card,ward"


def rows(count: int) -> str:
    """A file of an invented city; its names are no one's."""
    cards = ("4111111111111111", "5555555555554444", "6011111111111117")
    lines = [
        f"{7_000 + n},2024-01-{n % 28 + 1:02},Person Number {chr(65 + n % 26)}. Garcia,612-555-01{n % 100:02},"
        f"{cards[n % 3]},{n % 5}"
        for n in range(count)
    ]
    return "\n".join([HEADER, *lines]) + "\n"


def seen(town: Town, *arguments: str) -> str:
    """What the command prints on a terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen([COMMAND, *arguments], cwd=town.root, stdout=slave, env=dict(os.environ)) as ran:
        os.close(slave)
        parts = []
        while part := _part(master):
            parts.append(part)
    os.close(master)
    assert ran.returncode == 0
    return b"".join(parts).decode()


def _part(master: int) -> bytes:
    try:
        return os.read(master, 4096)
    except OSError:
        return b""  # the other end is closed


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", rows(300), "From every row of a.csv."),
        ("a.csv", rows(6_000), "From about 5,000 rows, evenly spread over a.csv."),
        ("large.csv", rows(20_000), "From about 5,000 rows, evenly spread over large.csv."),
        (
            "large.json",
            "\n".join(f'{{"id": {n}, "opened": "2024-01-01"}}' for n in range(20_000)),
            "From rows at the beginning of large.json.",
        ),
    ],
    ids=["all", "some", "part", "beginning"],
)
def test_it_says_which_rows_were_looked_at(
    name: str, content: str, words: str, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All, rows from everywhere in the file, or those at its beginning: no more is claimed than is true."""
    from publisher.drafting import sample

    monkeypatch.setattr(sample, "MOST", 400_000)
    (town.data / name).write_text(content)
    answer = CliRunner().invoke(main, ["-C", str(town.root), "classify", name])
    assert answer.exit_code == 0, answer.output
    assert f"{words} These are guesses: a person decides." in " ".join(answer.output.split())


def test_a_file_is_classified_and_nothing_is_kept(town: Town) -> None:
    """Every column with its kind and signals, in 80 columns, without any value, share or count of rows; no state comes
    of it."""
    path = town.data / "permits.csv"
    path.write_text(rows(300))
    before = town.tree("")
    answer = town.publisher("classify", "permits.csv", "--law", "minnesota")
    assert (answer.code, answer.err) == (0, "")
    assert town.tree("") == before
    lines = answer.out.splitlines()
    assert max(map(len, lines)) <= 80
    words = " ".join(answer.out.split())
    assert "card card number name, values, shape private" in words
    assert "phone phone name, values, unique, shape private" in words
    assert "owner name name, values, shape public" in words
    assert "Not personal, by these signals (3): id, opened, ward" in words
    assert "From every row of permits.csv. These are guesses: a person decides." in words
    assert "- e-mail" not in words
    assert "- phone: Minn. Stat. § 13.356. To confirm: covers contact details" in words
    assert "%" not in answer.out
    for secret in ("300", "4111", "612-555", "Garcia"):
        assert secret not in answer.out


def test_shares_are_shown_on_a_terminal_alone(town: Town) -> None:
    """There with a word that it is private; elsewhere, as JSON too, they are left out."""
    (town.data / "permits.csv").write_text(rows(300))
    shown = seen(town, "classify", "permits.csv")
    assert shown.startswith("PRIVATE: ")
    assert "card number     100% name" in shown
    assert "612-555" not in shown
    answer = town.publisher("classify", "permits.csv", "--json")
    (card,) = (each for each in json.loads(answer.out)["columns"] if each["column"] == "card")
    assert card == {
        "column": "card",
        "kind": "card",
        "signals": ["name", "values", "shape"],
        "class": "private",
        "statute": None,
        "confirm": None,
        "read": False,
        "read_now": None,
    }
    assert '"share": 1.0' in seen(town, "classify", "permits.csv", "--json")


def test_a_source_gets_what_it_does_not_have(town: Town) -> None:
    """A column of its file that it lacks is added as not read, in its place; marked statutes are filled in where class
    and pack agree; what a person decided stays, and a second time nothing is left to do."""
    path = next((town.data / "requests").glob("*.csv"))
    lines = path.read_text().splitlines()
    head, *body = lines
    first, rest = head.split(",", 1)
    made = [f"{first},caller e-mail,{rest}"]
    made += [f"{line.split(',', 1)[0]},p{n}@example.org,{line.split(',', 1)[1]}" for n, line in enumerate(body)]
    path.write_text("\n".join(made) + "\n")
    decided = (town.root / SOURCE).read_text()
    town.edit(
        SOURCE, 'number = { class = "public", statute = "Town Code 1"', 'number = { class = "public", statute = "TODO"'
    )
    answer = town.publisher("classify", "requests", "--law", "missouri", "--write")
    assert answer.code == 0, answer.err
    words = " ".join(answer.out.split())
    assert f"Added to {SOURCE}, not read: caller e-mail" in words
    after = (town.root / SOURCE).read_text()
    line = (
        '"caller e-mail" = { class = "private", statute = "RSMo 610.021(14)", read = false }'
        "  # looks like e-mail; a lawyer has to confirm it"
    )
    assert line in after.splitlines()
    assert f"Statutes filled in in {SOURCE}: number" in words
    assert 'number = { class = "public", statute = "RSMo 610.011"' in after
    assert town.publisher("check").code == 0
    changed = [each for each in decided.splitlines() if each not in after.splitlines()]
    assert [each.split()[0] for each in changed] == ["number"]
    again = town.publisher("classify", "requests", "--law", "missouri", "--write")
    assert "nothing was changed" in again.out
    assert (town.root / SOURCE).read_text() == after


def test_no_record_decides_what_is_written(town: Town) -> None:
    """Neighbors: with an e-mail address in one record and without it, the definition becomes the same, byte for byte;
    what values say is on the terminal."""
    path = next((town.data / "requests").glob("*.csv"))
    (head, *body), before = path.read_text().splitlines(), (town.root / SOURCE).read_text()
    made, seen_ = [], []
    for outcome in ("fine", "ann@example.org"):
        (town.root / SOURCE).write_text(before)
        path.write_text("\n".join([f"{head},outcome", f"{body[0]},{outcome}", *(f"{row},fine" for row in body[1:20])]))
        answer = town.publisher("classify", "requests", "--law", "missouri", "--write")
        assert answer.code == 0, answer.err
        made.append((town.root / SOURCE).read_text())
        seen_.append(" ".join(answer.out.split()))
    assert made[0] == made[1]
    assert 'outcome = { class = "public"' in made[0]
    words = f"What values alone say is not in {SOURCE}, which must not depend on records: write it there."
    assert [words in each for each in seen_] == [False, True]


def test_it_is_not_written_without_a_source_and_a_law(town: Town) -> None:
    """One line says what is missing, and nothing is written."""
    before = (town.root / SOURCE).read_text()
    for words in (("requests", "--write"), ("permits.csv", "--law", "missouri", "--write")):
        answer = town.publisher("classify", *words)
        assert answer.code == 2
        assert "--write needs --law and the name of a SOURCE. Nothing was written." in " ".join(answer.err.split())
    assert (town.root / SOURCE).read_text() == before


BAD = {
    "nothing": (b"", "is empty: fetch the file again"),
    "header": (b"a,b,c\n", "has a header and no record below it"),
    "binary": (bytes(range(256)) * 64, "is not text"),
    "twins": (b",".join([b"same"] * 40) + b"\n" + b",".join([b"1"] * 40) + b"\n", "several columns have the same name"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_get_one_message(town: Town, name: str) -> None:
    """What is wrong and what to do, exit code 5, and nothing on standard output."""
    content, words = BAD[name]
    (town.data / f"{name}.csv").write_bytes(content)
    answer = town.publisher("classify", f"{name}.csv")
    assert (answer.code, answer.out) == (5, "")
    assert answer.err.startswith(f"error: {name}.csv: ")
    assert words in answer.err


def test_a_name_that_is_nothing(town: Town) -> None:
    """The sources are listed."""
    answer = town.publisher("classify", "nowhere")
    assert answer.code == 5
    assert "nowhere: is neither a source nor a file here or in" in answer.err
    assert "requests" in answer.err


def test_a_thousand_columns_take_seconds(town: Town, tmp_path: Path) -> None:
    """Fewer rows of such a file are looked at, and the answer says that it is a sample."""
    head = ",".join(f"c{n}" for n in range(1_000))
    row = ",".join(str(n) for n in range(1_000))
    (town.data / "wide.csv").write_text("\n".join([head, *[row] * 1_100]) + "\n")
    answer = town.publisher("classify", "wide.csv", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert len(found["columns"]) == 1_000
    assert found["whole_file"] is False
