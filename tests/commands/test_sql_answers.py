"""What `publisher sql` prints: tables that fit the screen, whole CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from publisher.commands import answers
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from duckdb import DuckDBPyConnection

    from publisher.commands.answers import RowStream

LONG = "A text of many words that goes on and on, longer than any screen has room for beside other columns. " * 3


@pytest.fixture
def connection() -> Iterator[DuckDBPyConnection]:
    with duckdb.connect() as made:
        yield made


@pytest.fixture
def printed(
    connection: DuckDBPyConnection, capsys: pytest.CaptureFixture[str]
) -> Callable[[str, Callable[[RowStream], None]], tuple[str, str]]:
    """What an answer prints on standard output and on standard error."""

    def answer(query: str, write: Callable[[RowStream], None] = answers.show) -> tuple[str, str]:
        write(connection.execute(query))
        return capsys.readouterr()  # type: ignore[return-value]

    return answer


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns."""
    monkeypatch.setattr(answers, "PIPED", 80)
    monkeypatch.setenv("COLUMNS", "80")


def wide(columns: int) -> str:
    return ", ".join(f"'a value {n}' AS column_{n}" for n in range(columns))


@pytest.mark.usefixtures("narrow")
def test_a_wide_table_has_the_columns_that_fit(printed: Any) -> None:
    """No line is longer than the screen; the columns that are left out are named, and how to get them."""
    out, said = printed(f"SELECT range AS n, {wide(12)} FROM range(5)")
    assert max(map(len, out.splitlines())) <= 80
    assert "column_0" in out
    assert "column_11" not in out
    assert said.startswith("Too wide; not shown: column_")
    assert "column_11. Name the columns you want, or add --csv." in " ".join(said.split())
    out, said = printed("SELECT range AS n, 'short' AS word FROM range(5)")
    assert ("n" in out, said) == (True, "")


@pytest.mark.usefixtures("narrow")
def test_few_wide_rows_are_shown_whole(printed: Any) -> None:
    """Up to three rows have every column, one below the other, with long texts cut at the screen's width."""
    out, said = printed(f"SELECT {wide(12)}, '{LONG}' AS long, NULL AS nothing FROM range(2)")
    lines = out.splitlines()
    assert (lines[0], said) == ("row 1", "")
    assert lines[1] == "  column_0   a value 0"
    assert max(map(len, lines)) <= 80
    assert next(line for line in lines if "long" in line).endswith("…")
    assert "  nothing" in lines


@pytest.mark.usefixtures("narrow")
def test_long_texts_are_cut_in_tables(printed: Any) -> None:
    """A text is cut before a column is left out; lines of a text become one."""
    out, said = printed(f"SELECT range AS n, '{LONG}' AS one, 'two' || chr(10) || 'lines' AS other FROM range(6)")
    assert "A text of many words" in out
    assert "two lines" in out
    assert LONG not in out
    assert said == ""


def test_more_than_a_thousand_rows_are_said(printed: Any) -> None:
    """The table ends after a thousand; CSV and JSON go on."""
    out, said = printed("SELECT range AS n FROM range(1001)")
    assert "1,000 rows are shown" in said
    assert "1,000 " not in out.splitlines()[-2]
    out, said = printed("SELECT range AS n FROM range(25000)", answers.write_csv)
    assert (out.splitlines()[0], len(out.splitlines()), said) == ("n", 25_001, "")
    out, said = printed("SELECT range AS n FROM range(25000)", answers.write_json)
    assert (json.loads(out)[-1], said) == ({"n": 24_999}, "")


VALUES = (
    "SELECT 1 AS whole, 1.5::DOUBLE AS part, 2.50::DECIMAL(9, 2) AS exact, sum(7) AS total, DATE '2024-01-02' AS day, "
    "TIMESTAMP '2024-01-02 03:04:05' AS moment, true AS yes, NULL AS nothing, 'nan'::DOUBLE AS no_number, "
    "'\\x01\\xFF'::BLOB AS bytes, ['a', 'b'] AS list, {'one': DATE '2024-01-02'} AS record, "
    f"'{LONG}' AS long, 'say \"ü\", twice' AS quoted"
)


def test_json_is_whole_and_typed(printed: Any) -> None:
    """Numbers stay numbers, dates are ISO, nothing is null, and no text is cut."""
    (found,) = json.loads(printed(VALUES, answers.write_json)[0])
    assert found == {
        "whole": 1, "part": 1.5, "exact": 2.5, "total": 7, "day": "2024-01-02", "moment": "2024-01-02T03:04:05",
        "yes": True, "nothing": None, "no_number": None, "bytes": "01ff", "list": ["a", "b"],
        "record": {"one": "2024-01-02"}, "long": LONG, "quoted": 'say "ü", twice',
    }  # fmt: skip
    assert printed("SELECT 1 AS n WHERE false", answers.write_json)[0] == "[]\n"
    with pytest.raises(DefinitionError, match="two columns are called n: name one of them with AS"):
        printed("SELECT 1 AS n, 2 AS n", answers.write_json)


def test_csv_is_whole(printed: Any) -> None:
    """A line of headings and one for each row, quoted where needed."""
    out, _ = printed(VALUES, answers.write_csv)
    headings, row = csv.reader(io.StringIO(out))
    found = dict(zip(headings, row, strict=True))
    assert found["long"] == LONG
    assert found["quoted"] == 'say "ü", twice'
    assert (found["nothing"], found["day"], found["total"]) == ("", "2024-01-02", "7")
    assert printed("SELECT 1 AS n WHERE false", answers.write_csv)[0] == "n\n"
