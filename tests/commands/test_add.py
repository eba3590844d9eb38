"""`publisher add`: definitions drafted from how files are written, with nothing of what is in them."""

from __future__ import annotations

import gzip
import io
import json
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from desk import AREAS, CANARY, HEADER, QUARTER, Desk, csv, dated, objects, rows

from publisher.cli import main

COMMAND = Path(sys.executable).with_name("publisher")


def test_the_definitions_hold_nothing_of_the_records(desk: Desk) -> None:
    """No value and no count is in the files or in what a log keeps; other records of the same layout give the same."""
    desk.put("requests.csv", csv(rows()))
    code, said = desk.run("add", "requests", "requests.csv", *AREAS, "--yes")
    assert code == 0
    before = desk.written()
    assert set(before) == {
        "pipelines/requests.toml",
        "pipelines/requests.sql",
        "datasets/requests-by-month.toml",
        "datasets/keysets/requests-area.csv",
    } - {"datasets/requests-by-month.toml"} | {"datasets/requests-by-quarter.toml"}
    for text in (*before.values(), said):
        assert CANARY not in text
        assert not {"300", "299", "97", "150", "pothole"} & set(re.findall(r"\w+", text))
    for name in before:
        (desk.root / name).unlink()
    desk.put("requests.csv", csv(rows(480, "Other", 70_000)))
    desk.add("requests.csv", more=AREAS)
    assert desk.written() == before
    assert not list((desk.root / "state" / "private").glob(".preview*"))


def test_what_values_say_is_not_written(desk: Desk) -> None:
    """Classes are by the names of columns alone: e-mails in a column called Extra, or colors, give the same draft."""
    written = []
    for extra in ("red", "ann@example.org"):
        desk.put(
            "a.csv", csv([[f"{n}", f"2024-01-{n % 28 + 1:02d}", f"{n}{extra}"] for n in range(200)], "id,opened,Extra")
        )
        found = desk.add("a.csv")
        assert found["columns"]["Extra"] == {"class": "public", "statute": "TODO", "read": False}
        written.append(desk.written())
        for name in written[-1]:
            (desk.root / name).unlink()
    assert written[0] == written[1]


def test_what_is_guessed(desk: Desk) -> None:
    """Columns in order, the date of opening, the point, the id, who is protected; what is personal is not read."""
    found = desk.add(desk.put("requests.csv", csv(rows())), more=AREAS)
    assert list(found["columns"]) == HEADER.split(",")
    assert found["event"] == {"column": "Opened_Date", "formats": ["%m/%d/%Y %I:%M %p"]}
    assert found["places"]["area"]["point"] == {"x": "Longitude", "y": "Latitude"}
    assert found["record_id"] == ["Request_ID"]
    assert (found["privacy"]["unit"], found["timezone"], found["delivery"]) == (
        "Applicant_Name",
        "America/Chicago",
        "append",
    )
    read = {name for name, column in found["columns"].items() if column.get("read", True)}
    assert read == {"Request_ID", "Opened_Date", "Service_Type", "Applicant_Name", "Longitude", "Latitude"}
    assert {name for name, column in found["columns"].items() if column.get("identifier")} == {
        "Request_ID",
        "Applicant_Name",
    }
    text = (desk.root / "pipelines/requests.toml").read_text()
    assert "# Guess: it protects a person. Other choices: record (each record by itself)" in text
    private = {name for name, column in found["columns"].items() if column["class"] == "private"}
    assert private == {"Applicant_Name", "Email", "Longitude", "Latitude", "Notes"}
    assert (desk.root / "datasets/keysets/requests-area.csv").read_text().splitlines()[1:] == [
        "# From: areas.geojson, property NUM, labels from NAME",
        "key,label",
        "0,Area 0",
        "1,Area 1",
    ]


def test_steps_are_named_in_their_order(desk: Desk) -> None:
    """First what is marked, then a plan from guesses, which is free; a measurement, which is charged, comes last."""
    desk.put("requests.csv", csv(rows()))
    code, said = desk.run("add", "requests", "requests.csv", *AREAS, "--yes")
    assert code == 0
    steps = ("publisher preview requests", "publisher check", "publisher plan requests-by-quarter --goal")
    assert [*map(said.index, steps)] == sorted(map(said.index, steps))
    assert "publisher tune" not in said
    note = " ".join((desk.root / "datasets/requests-by-quarter.toml").read_text().replace("\n# ", " ").split())
    assert "--guess 'at most 2 requests in each of 1 area' --write`" in note
    desk.fill(rho='"TODO"', max_groups='"TODO"', max_per_group='"TODO"', first='"2024-Q1"\nlast = "2024-Q1"')
    guesses = ("--guess", "at most 2 requests in each of 1 area", "--guess", "40,000 requests a quarter in 2 areas")
    plan = ("plan", "requests-by-quarter", "--goal", "quarterly by area, within 20%", *guesses, "--write", "--yes")
    code, planned = desk.run(*plan)
    assert (code, '= "TODO"' in "".join(desk.written().values())) == (0, False), planned
    assert desk.run("check")[0] == 0
    assert note.index("When all else is filled in, `publisher plan --goal`") < note.index(
        "Last, where guesses do not do"
    )


def test_nothing_runs_while_something_is_marked(desk: Desk) -> None:
    """Every command names each marked place with its line and exits with 2; only the preview looks at a draft."""
    desk.add(desk.put("requests.csv", csv(rows())), more=AREAS)
    for command in (["check"], ["run", "--no-push", "--yes"], ["land"], ["plan"], ["run", "--rehearse"], ["push"]):
        code, said = desk.run(*command)
        assert code == 2, said
        for place in (
            "publisher.toml:2: organization: is marked TODO",
            "pipelines/requests.toml:21: privacy.budget: is marked TODO",
            "columns.Request_ID.statute: is marked TODO (and 8 more like it): fill it in",
            "datasets/requests-by-quarter.toml:7: first: is marked TODO",
            "loss.rho: is marked TODO",
            "bounds.max_per_group: is marked TODO",
        ):
            assert place in said
    code, said = desk.run("preview", "requests")
    assert code == 0, said
    assert "300 rows read" in said
    desk.fill()
    for left, key in (('statute = "TODO"', "statute"), ('source = "TODO"', "source")):
        path = desk.root / "pipelines/requests.toml"
        whole = path.read_text()
        path.write_text(re.sub(rf'{key} = "[^"]*"', left, whole, count=1))
        assert desk.run("land")[0] == 2
        path.write_text(whole)


@pytest.mark.usefixtures("processes")
def test_from_an_empty_folder_to_a_release(tmp_path: Path, desk: Desk) -> None:
    """init --from, what only a person knows, and the records are released; a file elsewhere is asked to be moved."""
    (tmp_path / "Requests of 2024.csv").write_text(csv(rows(1_000)))
    areas = str(desk.root / "data" / "areas.geojson")
    fresh = Desk(tmp_path / "fresh")
    answer = CliRunner().invoke(
        main,
        [
            "init",
            str(fresh.root),
            "--from",
            f"{tmp_path}/Requests of 2024.csv",
            "--boundaries",
            areas,
            *AREAS[2:],
            "--yes",
        ],
    )
    assert answer.exit_code == 0, answer.output
    assert f"into {fresh.root / 'data' / 'requests-of-2024'}/" in " ".join(answer.output.split())
    fresh.put("requests-of-2024/a.csv", csv(rows(1_000)))
    fresh.put("boundaries/areas.geojson", Path(areas).read_bytes())
    fresh.fill(first='"2024-Q1"\nlast = "2024-Q2"')
    code, said = fresh.run("check")
    assert code == 0, said
    ran = subprocess.run([COMMAND, "run", "--no-push"], cwd=fresh.root, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert fresh.run("releases")[1].count("ready") == 2


NAMED = "Número;Fecha de inicio;Tipo"
SPANISH = "\n".join([NAMED, *(f"A{n};{n % 28 + 1:02d}.05.2024;Señal {n % 3}" for n in range(200))])


@pytest.mark.parametrize(
    ("name", "content", "feed"),
    [
        ("a.csv", csv(rows()), {}),
        ("a.csv.gz", gzip.compress(csv(rows()).encode()), {}),
        ("a.txt", csv(rows(), delimiter="\t"), {"delimiter": "\t"}),
        ("a.csv", "\ufeff" + csv(rows()).replace("\n", "\r\n"), {}),
        ("a.csv", SPANISH.encode("cp1252"), {"delimiter": ";", "encoding": "cp1252"}),
        ("a.csv", SPANISH.encode("utf-16"), {"delimiter": ";", "encoding": "utf-16"}),
        ("a.json", json.dumps(objects()), {"format": "json"}),
        ("a.json", "\n".join(map(json.dumps, objects())), {"format": "json"}),
    ],
    ids=["csv", "gzip", "tabs", "mark", "windows", "wide", "array", "lines"],
)
def test_how_a_file_is_written(desk: Desk, name: str, content: str | bytes, feed: dict[str, str]) -> None:
    """Format, encoding and delimiter are found, and the file is read by what was written down."""
    found = desk.add(desk.put(name, content))
    assert found["feed"] == {"path": name} | feed
    code, said = desk.run("preview", "requests")
    assert (code, "rejected: not readable as a row 0" in " ".join(said.split())) == (0, True), said
    assert "no date 0 0.0%" in " ".join(said.split())


def test_keys_that_are_content_are_never_columns(desk: Desk) -> None:
    """Objects whose keys are the names of people: nothing is written down, and no name is in the message."""
    for content in ([{"Ann Example": "2024-01-01"}, {"Bob Example": "2024-01-02"}], [{}, {}]):
        code, said = desk.run("add", "requests", desk.put("a.json", json.dumps(content)), "--yes")
        assert code == 5
        assert "a.json: no two objects have a key in common" in said
        assert "Example" not in said
        assert not list((desk.root / "pipelines").glob("*"))


def test_keys_of_json(desk: Desk) -> None:
    """Inner objects and pairs of coordinates get names with dots; a key of few objects, perhaps a value, has none."""
    found = desk.add(desk.put("a.json", json.dumps(objects())), more=AREAS)
    assert list(found["columns"]) == [
        "service_request_id",
        "requested_datetime",
        "location.type",
        "location.coordinates.0",
        "location.coordinates.1",
    ]
    assert found["places"]["area"]["point"] == {"x": "location.coordinates.0", "y": "location.coordinates.1"}
    assert found["event"]["zone"] == "UTC"


def test_a_parquet_file(desk: Desk) -> None:
    """Times of a Parquet file are read as they are written."""
    import pyarrow as pa
    import pyarrow.parquet

    path = desk.root / "data" / "a.parquet"
    path.parent.mkdir(exist_ok=True)
    start = datetime(2024, 1, 1, 10, tzinfo=UTC).replace(tzinfo=None)
    days = [start + timedelta(hours=n) for n in range(100)]
    pa.parquet.write_table(pa.table({"id": list(range(100)), "opened": days}), path)
    found = desk.add("a.parquet")
    assert (found["feed"]["format"], found["event"]["formats"]) == ("parquet", ["%Y-%m-%d %H:%M:%S"])


@pytest.mark.parametrize(
    ("dates", "formats"),
    [
        ([f"2024-{n % 12 + 1:02d}-{n % 28 + 1:02d}T00:00:00.000" for n in range(100)], ["%Y-%m-%dT%H:%M:%S.%f"]),
        ([f"{n % 28 + 1:02d}/{n % 12 + 1:02d}/2024" for n in range(100)], ["%d/%m/%Y"]),
        ([f"{n % 12 + 1}/{n % 12 + 1}/24" for n in range(100)], ["%m/%d/%y"]),
        (["2024-05-06"] * 60 + ["5/16/2024"] * 40, ["%Y-%m-%d", "%m/%d/%Y"]),
    ],
    ids=["milliseconds", "day first", "two digits", "half and half"],
)
def test_how_dates_are_written(desk: Desk, dates: list[str], formats: list[str]) -> None:
    """The formats that read the dates; a column that is half in another one gets both."""
    assert desk.add(desk.put("a.csv", dated(dates)))["event"]["formats"] == formats


def projected(records: list[list[str]], crs: str) -> list[list[str]]:
    """The same places in another coordinate system."""
    from pyproj import Transformer

    change = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    pairs = [change.transform(float(row[6]), float(row[7])) for row in records]
    return [[*row[:6], f"{x:.2f}", f"{y:.2f}", row[8]] for row, (x, y) in zip(records, pairs, strict=True)]


def test_points_in_other_systems(desk: Desk) -> None:
    """x and y swapped and a local coordinate system are found by the boundaries; codes are found too."""
    swapped = [[*row[:6], row[7], row[6], row[8]] for row in rows()]
    found = desk.add(desk.put("a.csv", csv(swapped)), source="swapped", more=AREAS)
    assert found["places"]["area"]["point"] == {"x": "Latitude", "y": "Longitude"}
    local = csv(projected(rows(), "EPSG:26916"), HEADER.replace("Longitude", "X").replace("Latitude", "Y"))
    point = desk.add(desk.put("b.csv", local), source="local", more=AREAS)["places"]["area"]["point"]
    assert (point["x"], point["y"], point["crs"][:5]) == ("X", "Y", "EPSG:")
    coded = csv([[*row[:6], f"{n % 2}.0"] for n, row in enumerate(rows())], HEADER.partition(",Long")[0] + ",Ward")
    assert desk.add(desk.put("c.csv", coded), source="coded", more=AREAS)["places"] == {"area": {"code": "Ward"}}
    assert "boundaries = {" in (desk.root / "datasets/coded-by-quarter.toml").read_text()


@pytest.mark.parametrize(
    ("second", "delivery"),
    [
        (rows(300, shift=300), "append"),
        (rows(600), "snapshot"),
        ([*rows(100), *rows(400, shift=1_000)], "changes"),
    ],
    ids=["append", "snapshot", "changes"],
)
def test_how_files_follow_each_other(desk: Desk, second: list[list[str]], delivery: str) -> None:
    """By the records that two files share; a column that only one of them has is not declared."""
    desk.put("raw/requests-2024-01.csv", csv(rows()))
    desk.put("raw/requests-2024-02.csv", csv([[*row, "x"] for row in second], f"{HEADER},New"))
    found = desk.add("raw/requests-2024-01.csv", "raw/requests-2024-02.csv")
    assert (found["delivery"], found["feed"]["path"]) == (delivery, "raw/requests-*.csv")
    assert list(found["columns"]) == HEADER.split(",")


@pytest.mark.usefixtures("processes")  # a workbook is read in a child
def test_a_workbook(desk: Desk) -> None:
    """A sheet of Excel is drafted like CSV, and landed by what was written down."""
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (HEADER.split(","), *rows()):
        sheet.append(row)
    target = io.BytesIO()
    book.save(target)
    found = desk.add(desk.put("a.xlsx", target.getvalue()), more=AREAS)
    assert found["feed"] == {"path": "a.xlsx", "format": "excel"}
    assert (found["record_id"], found["event"]["column"]) == (["Request_ID"], "Opened_Date")
    assert not any(CANARY in text for text in desk.written().values())
    desk.fill(first=QUARTER)
    code, said = desk.run("land")
    assert (code, said.splitlines()[-1]) == (0, "requests: 1 new files, 0 known")


def book(*sheets: tuple[str, list[list[str]]]) -> bytes:
    """A workbook of these sheets."""
    from openpyxl import Workbook

    made = Workbook()
    made.remove(made.active)
    for name, cells in sheets:
        sheet = made.create_sheet(name)
        for row in cells:
            sheet.append(row)
    target = io.BytesIO()
    made.save(target)
    return target.getvalue()


PROSE = [["Requests of 2024"], [], ["Made by the data office.", ""], ["Ask us", "311"], ["before you use it"]]
TABLE = [HEADER.split(","), *rows(50)]


@pytest.mark.usefixtures("processes")
def test_the_sheet_of_a_workbook(desk: Desk) -> None:
    """The first sheet that is a table is found behind one of prose, and another can be named; both are landed by it."""
    desk.put("a.xlsx", book(("Read me", PROSE), ("Requests", TABLE), ("Codes", [["a", "b"], ["c", "d"]])))
    desk.put("b.xlsx", book(("Requests", TABLE), ("Read me", PROSE)))
    assert desk.add("a.xlsx", source="found")["feed"] == {"path": "a.xlsx", "format": "excel", "sheet": "Requests"}
    assert desk.add("b.xlsx", source="first")["feed"] == {"path": "b.xlsx", "format": "excel"}
    named = desk.add("a.xlsx", source="named", more=("--sheet", "Requests"))
    assert named["feed"]["sheet"] == "Requests"
    code, said = desk.run("preview", "found")
    assert (code, "50 rows read" in said) == (0, True), said
    before = desk.written()
    desk.put("c.csv", csv(rows()))
    for file, sheet, words in (
        ("a.xlsx", "Request", "--sheet: a.xlsx has no sheet 'Request'; do you mean Requests?"),
        ("a.xlsx", "2019", "a.xlsx has no sheet '2019'; there is: Read me, Requests, Codes"),
        ("c.csv", "Requests", "--sheet: c.csv is not a workbook: leave it out"),
    ):
        code, said = desk.run("add", "other", file, "--sheet", sheet, "--yes")
        assert (code, desk.written()) == (2, before), said
        assert words in " ".join(said.split())


def test_a_pack_proposes_statutes(desk: Desk) -> None:
    """Class and statute are those of the pack by the column's name, for a lawyer to confirm; a wrong one lists all."""
    desk.put("requests.csv", csv(rows()))
    found = desk.add("requests.csv", more=("--law", "new-york"))["columns"]
    assert found["Email"] == {
        "class": "private",
        "statute": "Public Officers Law § 87(2)(b), § 89(2)(b)",
        "read": False,
    }
    assert found["Service_Type"] == {"class": "public", "statute": "Public Officers Law § 87(2)"}
    text = (desk.root / "pipelines/requests.toml").read_text()
    columns = text.partition("[columns]")[2].splitlines()[1:]
    declared = [line for line in columns if " = { class" in line]
    assert len(declared) == len(found)
    assert all(line.endswith("a lawyer has to confirm it") for line in declared)
    code, said = desk.run("add", "other", "requests.csv", "--yes", "--law", "ohio")
    assert (code, "pipelines/other.toml" in desk.written()) == (2, False)
    assert "'ohio' is not one of 'minnesota', 'missouri', 'new-york', 'washington'" in " ".join(said.split())


def test_what_the_command_line_may_get_wrong(desk: Desk) -> None:
    """Exit code 2 and nothing written: no terminal and no --yes, names, properties; files that do not exist are 5."""
    desk.put("requests.csv", csv(rows()))
    for arguments, code, words in (
        (["requests", "requests.csv"], 2, "there is no terminal to ask on: add --yes"),
        (["Requests!", "requests.csv", "--yes"], 2, "must be lower case"),
        (["requests", "other.csv", "--yes"], 5, "other.csv: there is no such file"),
        (["requests", "requests.csv", "--yes", "--key", "NUM"], 2, "give that file too"),
        (["requests", "requests.csv", "--yes", "--boundaries", "areas.geojson"], 2, "areas.geojson has: NUM, NAME"),
        (["requests", "requests.csv", "--yes", *AREAS[:3], "NO"], 2, "no property 'NO'; areas.geojson has: NUM, NAME"),
    ):
        answer = desk.run("add", *arguments)
        assert answer[0] == code, answer
        assert words in " ".join(answer[1].split())
    assert desk.written() == {}


def test_no_definition_is_replaced_unasked(desk: Desk) -> None:
    """With --yes, which is an answer to guesses alone, a definition that is there stays."""
    desk.add(desk.put("requests.csv", csv(rows())))
    before = desk.written()
    desk.put("requests.csv", csv(rows(), HEADER.replace("Notes", "Remarks")))
    code, said = desk.run("add", "requests", "requests.csv", "--yes")
    assert (code, desk.written()) == (2, before)
    assert "pipelines/requests.toml: is there already" in said


def test_all_files_are_written_or_none(desk: Desk) -> None:
    """What stands in the way of one file keeps the others away too."""
    desk.put("requests.csv", csv(rows()))
    (desk.root / "datasets/keysets").rmdir()
    (desk.root / "datasets/keysets").write_text("in the way")
    code, said = desk.run("add", "requests", "requests.csv", *AREAS, "--yes")
    assert (code, set(desk.written())) == (5, {"datasets/keysets"}), said


def test_odd_names_of_columns(desk: Desk) -> None:
    """Whatever a column is called, the definition is read as it was meant, and so is the SELECT."""
    names = ['a "quoted" type', "C.TRACT.", "CASE#", "Straße №", "back\\slash", "rowid", "_event", "a'b"]
    records = [[str(n % 5), *(f"{n}{m}" for m in range(7)), f"2024-01-{n % 28 + 1:02d}"] for n in range(60)]
    header = ",".join(f'"{name.replace(chr(34), chr(34) * 2)}"' for name in [*names, "opened"])
    body = "\n".join(",".join(row) for row in records)
    found = desk.add(desk.put("a.csv", f"{header}\n{body}\n"))
    assert list(found["columns"]) == [*names, "opened"]
    desk.fill(keyset='"areas"')
    (desk.root / "datasets/keysets").mkdir(exist_ok=True)
    (desk.root / "datasets/keysets/areas.csv").write_text("key\n1\n")
    dataset = desk.root / "datasets/requests-by-month.toml"
    dataset.write_text(dataset.read_text().replace('name = "area"', 'name = "a_quoted_type"'))
    code, said = desk.run("check")
    assert code == 0, said


def test_only_a_part_of_a_large_file_is_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part says it all, also what is written otherwise in the middle of the file; and the answer says so."""
    from publisher.drafting import sample

    monkeypatch.setattr(sample, "MOST", 40_000)
    half = rows(2_000)
    for row in half[1_000:]:
        month, day, _ = row[1].split("/")
        row[1] = f"2024-{month}-{day}"
    desk.put("requests.csv", csv(half))
    code, said = desk.run("add", "requests", "requests.csv", "--yes")
    assert (code, "guesses from a sample of requests.csv" in said) == (0, True), said
    assert desk.source()["event"]["formats"] == ["%Y-%m-%d", "%m/%d/%Y %I:%M %p"]


def test_a_thousand_columns(desk: Desk) -> None:
    """They are all declared, in order."""
    names = ["id", "opened", *(f"field{n}" for n in range(998))]
    records = [[str(n), f"2024-01-{n % 28 + 1:02d}", *(str(n * m) for m in range(998))] for n in range(200)]
    assert list(desk.add(desk.put("a.csv", csv(records, ",".join(names))))["columns"]) == names


@pytest.mark.usefixtures("processes")
def test_on_a_terminal_it_asks(desk: Desk) -> None:
    """Question by question, where Enter takes the guess and a number another one; counts are shown there alone."""
    more = [[*row, f"{n}@example.org"] for n, row in enumerate(rows())]
    desk.put("requests.csv", csv(more, f"{HEADER},Extra"))
    master, slave = pty.openpty()
    command = [str(COMMAND), "add", "requests", "requests.csv", *AREAS]
    with subprocess.Popen(command, cwd=desk.root, stdin=slave, stderr=slave, stdout=subprocess.PIPE) as process:
        os.close(slave)
        shown = ""
        answers = {
            "Which date decides": b"\n",
            "Who is each record about?": b"1\n",
            "Time zone": b"\n",
            "How do files": b"\n",
        }
        with suppress(OSError):  # the end of a terminal
            while piece := os.read(master, 4096):
                shown += piece.decode()
                for question in [each for each in answers if each in shown and shown.rstrip().endswith("]:")]:
                    os.write(master, answers.pop(question))
                    shown += "\n"
                    break
        assert process.stdout is not None
        out = process.stdout.read().decode()
    os.close(master)
    assert process.returncode == 0, shown
    assert answers == {}
    assert "300 rows, 10 columns" in shown
    assert "Applicant_Name (name), Email (e-mail)" in shown
    assert "Personal by their values, not by their names: Extra (e-mail)." in " ".join(shown.split())
    assert "300" not in out
    assert desk.source()["privacy"]["unit"] == "record"
    assert max(len(line) for line in out.splitlines()) <= 80


def test_many_columns_of_a_parquet_file(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is packed small, so it is not its bytes but its values that are limited; the answer says that it is a part."""
    import pyarrow as pa
    import pyarrow.parquet

    from publisher.drafting import sample

    monkeypatch.setattr(sample, "CELLS", 15_000)
    path = desk.root / "data" / "a.parquet"
    path.parent.mkdir(exist_ok=True)
    days = [f"2024-01-{n % 28 + 1:02d}" for n in range(200)]
    columns = {"id": list(range(200)), "opened": days} | {f"field{n}": [n] * 200 for n in range(298)}
    pa.parquet.write_table(pa.table(columns), path)
    code, said = desk.run("add", "requests", "a.parquet", "--yes")
    assert (code, "guesses from a sample of a.parquet" in said) == (0, True), said
    assert list(desk.source()["columns"]) == list(columns)
