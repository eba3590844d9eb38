"""Files landed in one pass: many small ones are as if landed one by one, and what was landed before is found again."""

from __future__ import annotations

import csv
import io
import json
from random import Random
from typing import TYPE_CHECKING

import duckdb
import pytest
from invented import ENGINE, HEADER, REPEATS, TODAY, City, definition

from publisher.duck import connect
from publisher.errors import RefusedAtLandingError, SourceError
from publisher.records import delimited, intake, pieces, raw_bytes, sql
from publisher.records.known import KnownRecords
from publisher.records.landing import land

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.records.delimited import Delimited

PERSON = {"unit": "who", "window": "month", "missing": "own-unit"}


def _land(city: City) -> list[str]:
    """Land, and say what was told of the progress."""
    told: list[str] = []
    land(city.source, data=city.data, private=city.private, engine=ENGINE, received=TODAY, progress=told.append)
    return told


def _put(city: City, form: str, number: int, rows: list[list[str]]) -> None:
    names = HEADER.split(",")
    if form == "json":
        content = json.dumps([dict(zip(names, row, strict=True)) for row in rows])
    else:
        content = "\n".join([HEADER, *(",".join(row) for row in rows)]) + "\n"
    city.put(content, f"raw/{number:03}.{form}")


def _drawn(random: Random) -> list[list[str]]:
    """Rows that often repeat a record of their file or of another."""
    return [
        [
            str(random.randrange(40)),
            random.choice("abc"),
            f"2018-0{random.randrange(1, 4)}-01",
            random.choice("xy"),
            "s",
        ]
        for _ in range(random.randrange(12))
    ]


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("delivery", ["append", "changes", "snapshot"])
def test_files_landed_together_are_as_if_landed_one_by_one(
    city: City, delivery: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same rows count, each file has the same private counts, and 30 files are one pass."""
    accept = {"repeated": 1, "empty": ["what"], "reason": "drawn"}
    source = definition(delivery=delivery, privacy=PERSON, feed={"format": form, "accept": accept})
    cities = [City(city.root / name, source) for name in ("together", "alone")]
    counts, rows, passes = [], [], []
    for each in cities:
        random = Random(7)
        for number in range(30):
            _put(each, form, number, [["0", "a", "2018-01-01", "x", f"s{number}"], *_drawn(random)])
        if each is cities[1]:
            (each.private).mkdir(parents=True)
            (each.private / "key").write_bytes((cities[0].private / "key").read_bytes())
            (each.private / "key").chmod(0o600)
            monkeypatch.setattr(intake, "MOST", 1)
        passes.append(len(_land(each)))
        rows.append(each.rows())
        (report,) = (each.private / "reports" / "requests").glob("landing-*.json")
        counts.append(json.loads(report.read_bytes())["batches"])
    assert passes == [1, 30]
    assert counts[0] == counts[1]
    assert rows[0] == rows[1]


def test_the_types_of_one_parquet_file_change_no_text_of_another(city: City) -> None:
    """An identifier is the same text, and so the same person, whatever types the files beside its own have."""
    city.source = definition(feed={"format": "parquet"}, privacy=PERSON)
    kinds = ["CAST(5 AS BIGINT)", "'007'", "CAST(2.5 AS DOUBLE)", "CAST(1.25 AS DECIMAL(9, 2))", "'A'::ENUM('A', 'B')"]
    (city.data / "raw").mkdir(parents=True)
    for number, kind in enumerate(kinds):
        row = f"{kind} AS id, {kind} AS who, '2018-01-01' AS \"when\", 'x' AS what, 's' AS secret"
        duckdb.sql(f"COPY (SELECT {row}) TO '{city.data}/raw/{number}.parquet' (FORMAT parquet)")
    assert len(_land(city)) == 1
    assert [id_ for (id_,) in city.rows("id")] == ["007", "1.25", "2.5", "5", "A"]
    assert len({who for (who,) in city.rows("who")}) == len(kinds)


@pytest.mark.parametrize("fault", ["", "id,who,when\n"])
def test_files_before_one_that_cannot_be_read_are_landed(city: City, fault: str) -> None:
    """As if each were landed by itself; the message names the faulty one."""
    for number in range(3):
        _put(city, "csv", number, [[str(number), "a", "2018-01-01", "x", "s"]])
    city.put(fault, "raw/002.csv")
    with pytest.raises(SourceError, match=r"002\.csv"):
        city.land()
    assert city.rows("id") == [("0",), ("1",)]
    _put(city, "csv", 2, [["2", "a", "2018-01-01", "x", "s"]])
    city.land()
    assert city.rows("id") == [("0",), ("1",), ("2",)]


def test_files_before_one_that_is_refused_are_landed(city: City) -> None:
    """The refused one and those after it are not."""
    for number in range(4):
        day = "2018-01-01" if number != 2 else "when?"
        _put(city, "csv", number, [[str(20 * number + n), "a", day, "x", "s"] for n in range(20)])
    with pytest.raises(RefusedAtLandingError):
        city.land()
    assert len(city.rows()) == 40


def test_records_are_found_again_among_all_that_were_landed(city: City) -> None:
    """However many files there were, whether they came together or day by day, and if what is known of them is lost,
    damaged, or of a file that is gone; and their ids lie in a few runs."""
    city.source = definition(feed=REPEATS)
    for number in range(40):
        _put(city, "csv", number, [[str(n), "a", "2018-01-01", "x", "s"] for n in range(number * 5, number * 5 + 10)])
        if number % 3 == 0:
            city.land()
    city.land()
    assert len(city.rows()) == 205
    runs = sorted((city.private / "known" / "requests").glob("*.ids"))
    assert 1 <= len(runs) <= 4
    runs[0].write_bytes(b"damaged")
    _put(city, "csv", 40, [["3", "a", "2018-01-01", "x", "s"], ["900", "a", "2018-01-01", "x", "s"]])
    city.land()
    assert len(city.rows()) == 206
    (city.private / "known" / "requests" / "runs.json").unlink()
    _put(city, "csv", 41, [["3", "a", "2018-01-01", "x", "s"], ["900", "a", "2018-01-01", "x", "s"]])
    city.land()
    assert len(city.rows()) == 206


def test_what_is_known_follows_the_parts_that_are_there(tmp_path: Path) -> None:
    """Ids of a part that is gone are not known, those of the others are, in whatever runs they were; long runs are
    not merged, so memory is bounded."""
    known = KnownRecords(tmp_path, "source", memory=0)
    parts: dict[str, tuple[Path, ...]] = {}
    with connect(ENGINE, tmp_path) as connection:
        for number in range(5):
            path = tmp_path / f"{number}.parquet"
            drawn = f"range({number * 9}, {number * 9 + 9}) AS _(n)"
            ids = f"SELECT CAST(md5(CAST(n AS VARCHAR)) AS UUID) AS _record FROM {drawn}"
            connection.execute(f"COPY ({ids}) TO '{path}' (FORMAT parquet)")
            parts[str(number)] = (path,)
            known.know(parts, parts.__getitem__, connection)
        everything = sql.parquet(path for paths in parts.values() for path in paths)

        def count() -> int:
            return sum(len(ids) for ids in known.among(everything, connection))

        assert count() == 45
        del parts["2"]
        known.know(parts, parts.__getitem__, connection)
        assert count() == 36
        parts.clear()
        known.know(parts, parts.__getitem__, connection)
        assert count() == 0


def test_a_line_is_a_record_only_where_the_grammar_says_so(tmp_path: Path) -> None:
    """On random texts of quotes, delimiters and line breaks: never where a quote is misplaced or a value has lines."""
    random, path, found = Random(3), tmp_path / "a.csv", 0
    for _ in range(3_000):
        cells = ["a", '"b"', '"c,d"', '"e""f"', '""', "", '"', 'g"h', '"i\nj"', ' "k"', '"l" ', "m"]
        weights = [9, 9, 9, 9, 9, 9, 1, 1, 1, 1, 1, 9]
        lines = (",".join(random.choices(cells, weights, k=2)) for _ in range(random.randrange(1, 4)))
        text = '"a","b"\n' + "\n".join(lines) + random.choice(["", "\n"])
        path.write_text(text)
        plain = delimited.read(path, ",", "a.csv", tmp_path / "copy")
        well = text.count('"') % 2 == 0 and plain.path == path and plain.rejected == 0 and "\nj" not in text
        assert raw_bytes.each_a_record(path, ",") == well, text
        found += well
    assert 500 < found < 2_900


def _read(scan: str, names: list[str], connection: duckdb.DuckDBPyConnection) -> tuple[list[tuple[str, str]], int]:
    """Every row of a file of two columns, in order, and how many lines were rejected."""
    rows = connection.execute(f"SELECT c0, c1 FROM {scan} ORDER BY ALL").fetchall()
    lines = "SELECT DISTINCT file_path, line FROM reject_errors JOIN reject_scans USING (scan_id, file_id)"
    rejected = connection.execute(f"SELECT count(*) FROM ({lines}) WHERE file_path IN {sql.array(names)}").fetchall()
    connection.execute("DELETE FROM reject_errors; DELETE FROM reject_scans")
    return rows, int(rejected[0][0])


def _pieces(table: Delimited, connection: duckdb.DuckDBPyConnection) -> tuple[str, list[str]] | None:
    """What reads the pieces of a file, and their names; None if it is read as a whole."""
    cuts = table.cuts()
    return cuts and table.in_pieces(cuts, connection)


def test_pieces_of_a_file_are_read_as_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random files with quotes, ragged rows, blank lines, byte order marks and bytes outside UTF-8, cut anywhere: each
    row once, as Python's own reader has it, and the same lines rejected."""
    random, path, cut = Random(5), tmp_path / "a.csv", 0
    cells = [
        *("a", '"b, ""c"""', "", '""', '" "",""x"', " d ", '"\'"', "\ufeffe", "é"),
        "f" * 90,
        '"' + ",g" * 40 + '"',
    ]
    with connect(ENGINE, tmp_path) as connection:
        for number in range(60):
            lines = [",".join(random.choices(cells, k=2)) for _ in range(random.randrange(1, 200))]
            for fault in ("1,2,3", "1", '"1",2,""', "", "", "\udcff,2")[: 6 * (number % 3)]:
                lines.insert(random.randrange(len(lines)), fault)
            path.write_bytes("\n".join(["n,m", *lines, *[""] * (number % 2)]).encode(errors="surrogateescape"))
            table = delimited.read(path, ",", "a.csv", tmp_path / "copy")
            assert table.by_line
            monkeypatch.setattr(pieces, "SIZE", random.choice([20, 100, 500, 4_000]))
            found = _pieces(table, connection)
            if found is None:
                continue
            cut += len(found[1]) > 1
            whole = _read(table.scan.replace(sql.FILES, sql.files([path])), [str(path)], connection)
            assert _read(*found, connection) == whole, path.read_bytes()
            if not number % 3:
                given = list(csv.reader(io.StringIO(path.read_text(), newline="")))[1:]
                assert sorted((a or "", b or "") for a, b in whole[0]) == sorted((a, b) for a, b in filter(None, given))
    assert cut > 40


def test_lines_that_are_too_long_are_rejected_in_any_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the whole, wherever a piece ends; where one would not fit into a buffer, the file is read as a whole."""
    path = tmp_path / "a.csv"
    lines = [f"{n},{'x' * 500}" for n in range(9_000)]
    for at, length in ((4_000, 3_000_000), (6_000, 1_999_994), (8_000, 1_999_996), (9_003, 2_000_000)):
        lines.insert(at, f"long,{'y' * length}")
    path.write_text("\n".join(["n,m", *lines]))
    table = delimited.read(path, ",", "a.csv", tmp_path / "copy", quoted=False)
    with connect(ENGINE, tmp_path) as connection:
        whole = _read(table.scan.replace(sql.FILES, sql.files([path])), [str(path)], connection)
        for size in (300_000, 2_000_000, 2_040_000, 5_000_000, 6_000_000):
            monkeypatch.setattr(pieces, "SIZE", size)
            found = _pieces(table, connection)
            assert found is not None
            assert _read(*found, connection) == whole
        monkeypatch.setattr(pieces, "BUFFER", 5_000_000)
        assert table.cuts() is None
    assert whole[1] >= 2


def test_files_that_begin_with_a_mark_or_a_blank_line_are_read_whole(tmp_path: Path) -> None:
    """At the beginning of a piece they would be no part of a record; so would every blank line of a single column."""
    for begin in ("\ufeff1,2\n", "\n1,2\n"):
        path = tmp_path / "a.csv"
        path.write_text("n,m\n" + begin + "1,2\n" * 3_000_000)
        assert delimited.read(path, ",", "a.csv", tmp_path / "copy", quoted=False).cuts() is None
    path.write_text("n\n" + "1\n\n" * 4_000_000)
    assert delimited.read(path, ",", "a.csv", tmp_path / "copy", quoted=False).cuts() is None


def test_a_large_file_loses_nothing(tmp_path: Path) -> None:
    """40 MB of quoted texts that look like records, in pieces, with several threads: every row is read, and the
    malformed ones are counted once. Never in parallel within a piece: there DuckDB loses rows at edges of buffers."""
    path = tmp_path / "a.csv"
    query = (
        "SELECT i AS id, 'x,\"\"y' || repeat(' \",\"', i % 5) AS a, CASE WHEN i % 3 = 0 THEN repeat('z,', 30) END AS b "
        "FROM range(700000) AS _(i)"
    )
    duckdb.sql(f"COPY ({query}) TO '{path}' (FORMAT csv)")
    with path.open("a") as file:
        file.write("1,2\n1,2,3,4\n")
    table = delimited.read(path, ",", "a.csv", tmp_path / "copy")
    with connect(ENGINE, tmp_path) as connection:
        found = _pieces(table, connection)
        assert found is not None
        scan, names = found
        assert "parallel = false" in scan
        assert len(names) > 4
        read = connection.execute(f"SELECT count(*), bit_xor(hash(c0, c1, c2)) FROM {scan}").fetchall()
        rejected = connection.execute("SELECT count(DISTINCT line) FROM reject_errors").fetchall()
    written = duckdb.sql(f"SELECT count(*), bit_xor(hash(CAST(id AS VARCHAR), a, b)) FROM ({query})").fetchall()
    assert (read, rejected) == (written, [(2,)])
