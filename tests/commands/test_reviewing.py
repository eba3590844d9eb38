"""What people do after a run: look, compare, take back, ask the ledger, query."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
from contextlib import closing
from typing import Any

import duckdb
import pyarrow.parquet
import pytest
from township import CANARY, COMMAND, Town

from publisher.duck import open_file

ANALYSTS = "state/public/open_data.duckdb"


def _statuses(town: Town) -> dict[str, str]:
    rows = town.publisher("releases", "requests", "--json").rows
    return {f"{row['period']}/{row['edition']}": row["status"] for row in rows}


def _current(town: Town) -> list[tuple[str, int]]:
    with duckdb.connect(str(town.root / ANALYSTS), read_only=True) as connection:
        query = "SELECT DISTINCT period, edition FROM requests ORDER BY period"
        return [(period, edition) for period, edition in connection.execute(query).fetchall()]


def test_rollback_puts_the_edition_before_back(released: Town) -> None:
    """The last edition is retracted and the one before is current, until it is undone; nothing is refunded."""
    released.edit("datasets/requests.toml", "threshold = 5", "threshold = 8")
    assert released.run("requests", "--period", "2024-02").code == 0
    charges, files = released.charges(), released.tree("state/public/releases")
    assert _current(released) == [("2024-01", 1), ("2024-02", 2), ("2024-03", 1)]
    answer = released.publisher(
        "rollback", "requests", "--reason", "A file was missing", "--period", "2024-02", "--no-push"
    )
    assert (answer.code, answer.out) == (0, "requests/2024-02/2: retracted; 2024-02: edition 1 is current\n")
    assert _current(released) == [("2024-01", 1), ("2024-02", 1), ("2024-03", 1)]
    assert _statuses(released) == {
        "2024-01/1": "ready",
        "2024-02/1": "ready",
        "2024-02/2": "retracted",
        "2024-03/1": "ready",
    }
    again = released.run("requests", "--period", "2024-02")
    assert [(row["edition"], row["status"]) for row in again.rows] == [(2, "retracted")]
    answer = released.publisher("rollback", "requests", "--reason", "A file was missing", "--undo", "--no-push")
    assert (answer.code, answer.out) == (0, "requests/2024-02/2: restored; 2024-02: edition 2 is current\n")
    assert _statuses(released)["2024-02/1"] == "superseded"
    assert _current(released) == [("2024-01", 1), ("2024-02", 2), ("2024-03", 1)]
    assert (released.charges(), released.tree("state/public/releases")) == (charges, files)


def test_rollback_of_the_only_edition_leaves_none(released: Town) -> None:
    """The last period released is meant unless one is named; what is not there cannot be taken back."""
    answer = released.publisher("rollback", "requests", "--reason", "A file was missing", "--no-push")
    assert "requests/2024-03/1: retracted; 2024-03: no edition is current" in answer.out
    assert _current(released) == [("2024-01", 1), ("2024-02", 1)]
    for arguments in (["--period", "2024-03"], ["--undo", "--period", "2024-01"], ["--period", "1999-01"]):
        assert (
            released.publisher("rollback", "requests", "--reason", "A file was missing", "--no-push", *arguments).code
            == 2
        )


def test_undo_gives_the_release_retracted_last_back(released: Town) -> None:
    """Whatever its period is; what was retracted before it stays retracted until it is its turn."""
    for period in ("2024-02", "2024-03", "2024-01"):
        assert (
            released.publisher(
                "rollback", "requests", "--reason", "A file was missing", "--period", period, "--no-push"
            ).code
            == 0
        )
    given = [
        released.publisher("rollback", "requests", "--reason", "A file was missing", "--undo", "--no-push").out.split(
            ":"
        )[0]
        for _ in range(3)
    ]
    assert given == ["requests/2024-01/1", "requests/2024-03/1", "requests/2024-02/1"]
    assert released.publisher("rollback", "requests", "--reason", "A file was missing", "--undo", "--no-push").code == 2


def test_rollback_takes_the_release_made_last(released: Town) -> None:
    """Another edition of an old period is newer than the release of the last period."""
    released.edit("datasets/requests.toml", "threshold = 5", "threshold = 8")
    assert released.run("requests", "--period", "2024-01").code == 0
    taken = [
        released.publisher("rollback", "requests", "--reason", "A file was missing", "--no-push").out.split(":")[0]
        for _ in range(2)
    ]
    assert taken == ["requests/2024-01/2", "requests/2024-03/1"]


@pytest.mark.parametrize("name", ["data.csv", "measurements.parquet", "guarantee.md"])
def test_verify_finds_a_changed_byte(released: Town, name: str) -> None:
    """Release and file are named; as long as nothing was changed, all is well."""
    whole = released.publisher("verify", "--offline")
    assert (whole.code, whole.err) == (0, "")
    assert re.search(r"water: releases +releases: 3 +ok", whole.out)
    place = released.kept if name == "measurements.parquet" else released.releases
    path = place / "water" / "2024-02" / "1" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    answer = released.publisher("verify", "--offline")
    assert answer.code == 5
    assert f"water/2024-02/1: changed since it was written: {name}" in answer.err


def test_a_release_that_is_gone_is_never_drawn_again(released: Town) -> None:
    """The run says which folder must be restored, and charges nothing."""
    shutil.rmtree(released.releases / "water" / "2024-02")
    answer = released.run("water")
    assert answer.code == 5
    assert "water/2024-02/1" in answer.err
    assert "never drawn twice" in answer.err
    assert not (released.releases / "water" / "2024-02").exists()
    assert len(released.charges()) == 6
    assert released.publisher("verify", "--offline").code == 5


TAMPERING = {
    "a changed loss": ["UPDATE entries SET payload = replace(payload, '1/10', '1/20') WHERE sequence = 5"],
    "a changed hash": ["UPDATE entries SET hash = substr(hash, 2) || '0' WHERE sequence = 5"],
    "a changed time": ["UPDATE entries SET at = '2020-01-01T00:00:00+00:00' WHERE sequence = 2"],
    "a payload that cannot be read": ["UPDATE entries SET payload = 'x' WHERE sequence = 3"],
    "forgotten spending": ["DELETE FROM spending WHERE block = '2024-01-05'"],
    "a removed entry": ["DELETE FROM spending WHERE sequence = 2", "DELETE FROM entries WHERE sequence = 2"],
    "a cut tail": ["DELETE FROM spending WHERE sequence > 8", "DELETE FROM entries WHERE sequence > 8"],
}


@pytest.mark.parametrize("fault", TAMPERING)
def test_the_ledger_finds_tampering(released: Town, fault: str) -> None:
    """Exit code 4, whether an entry was changed, removed or cut off, or the spending does not agree."""
    released.ledger(*TAMPERING[fault])
    answer = released.publisher("verify", "--offline")
    assert answer.code == 4
    assert re.search(r" wrong$", answer.out, re.MULTILINE)
    assert all(line.startswith("error: ") for line in answer.err.splitlines())


def test_the_ledger_finds_a_restored_backup(released: Town) -> None:
    """A ledger of yesterday with its own head: the releases of today remember more."""
    private = released.state / "private"
    backup = {name: (private / name).read_bytes() for name in ("ledger.sqlite", "ledger.head")}
    released.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    assert released.redraw("water", "--period", "2024-01").code == 0
    assert released.publisher("verify", "--offline").code == 0
    for name, content in backup.items():
        (private / name).write_bytes(content)
    answer = released.publisher("verify", "--offline")
    assert answer.code == 4
    assert "water/2024-01/2 remembers entry" in answer.err


def test_a_damaged_ledger_is_one_message(released: Town) -> None:
    """A file that is no database any more: exit code 4 or 5, and no run goes on with it."""
    path = released.state / "private" / "ledger.sqlite"
    path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])
    for command in (["verify", "--offline"], ["run", "--no-push"]):
        answer = released.publisher(*command)
        assert answer.code in (4, 5)
        assert len(answer.err.splitlines()) == 1
        assert answer.err.startswith("error: ")


def test_the_analysts_file_describes_itself(released: Town) -> None:
    """A table per dataset, and those that describe them; every column has a description."""
    with duckdb.connect(str(released.root / ANALYSTS), read_only=True) as connection:
        names = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        assert {name for name in names if not name.startswith("_")} == {"requests", "water"}
        assert {"_tables", "_releases", "_columns", "_guarantees", "_keys", "_boundaries"} <= names
        described = connection.execute("SELECT name FROM _columns WHERE dataset = 'water' ORDER BY position").fetchall()
        columns = connection.execute("SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'water'")
        found = columns.fetchall()
        assert [name for (name,) in described] == [name for name, _ in found]
        assert all(comment for _, comment in found)
        losses = connection.execute("SELECT DISTINCT currency, loss FROM _guarantees").fetchall()
        assert losses == [("zcdp", "1/10")]
        counted = connection.execute("SELECT sum(rows), count(*) FROM _releases").fetchone()
        assert counted == (36, 6)


def test_queries(released: Town) -> None:
    """Answers as a table; what cannot be answered is one message; nothing can be written."""
    answer = released.publisher("sql", "SELECT dataset, count(*) AS n FROM _releases GROUP BY ALL ORDER BY ALL")
    assert (answer.code, answer.err) == (0, "")
    assert "water" in answer.out
    before = (released.root / ANALYSTS).read_bytes()
    for query in (
        "SELECT nothing FROM water",
        "SELEC 1",
        "DROP TABLE water",
        "SELECT * FROM elsewhere",
        "SELECT 1/'a'",
    ):
        refused = released.publisher("sql", query)
        assert refused.code == 2, query
        assert len(refused.err.splitlines()) == 1
        assert "Traceback" not in refused.err
    assert (released.root / ANALYSTS).read_bytes() == before


def test_answers_for_machines(released: Town) -> None:
    """--csv and --json have every row; they need a query and exclude each other; macros work under the locks."""
    query = "SELECT table_name, rows, first_day FROM _tables ORDER BY ALL"
    answer = released.publisher("sql", "--csv", query)
    assert (answer.code, answer.out.splitlines()[0]) == (0, "table_name,rows,first_day")
    answer = released.publisher("sql", query, "--json")
    assert [row["table_name"] for row in json.loads(answer.out)] == ["requests", "water"]
    answer = released.publisher("sql", "--json", "FROM margin_of_sum('water', 'accounts', 'true; DROP TABLE water')")
    assert "by key columns only" in json.loads(answer.out)[0]["reason"]
    for wrong in (["--csv"], ["--csv", "--json", query]):
        assert released.publisher("sql", *wrong).code == 2


@pytest.mark.parametrize(
    "query", ["", ";", "-- nothing", "SELECT 1 AS one; SELECT 2 AS two", "SELECT 1; DROP TABLE water"]
)
def test_one_query_at_a_time(released: Town, query: str) -> None:
    """None, or several of which only the last would be answered, is one message."""
    refused = released.publisher("sql", query)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("error: ask one query at a time")
    assert len(refused.err.splitlines()) == 1
    assert "one" in released.publisher("sql", "SELECT 1 AS one; -- and no more").out


def test_a_damaged_analysts_file_is_written_again(released: Town) -> None:
    """Until the next run it is one message."""
    (released.root / ANALYSTS).write_bytes(b"junk" * 5000)
    answer = released.publisher("sql", "SELECT 1")
    assert (answer.code, len(answer.err.splitlines())) == (5, 1)
    assert answer.err.startswith("error: open_data.duckdb: ")
    assert "`publisher run` writes the file again" in answer.err
    assert released.run().code == 0
    assert released.publisher("sql", "SELECT 1").code == 0


def test_control_c_ends_the_prompt(released: Town) -> None:
    """With 130 and one word."""
    command = ["env", "--default-signal=INT", str(COMMAND), "sql"]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(
        command, cwd=released.root, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}, **pipes
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Tables: ")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "stopped\n")


def test_control_c_in_duckdb_is_control_c(released: Town) -> None:
    """DuckDB makes a RuntimeError of it, which is no fault of publisher's; any other stays one."""
    with pytest.raises(KeyboardInterrupt), open_file(released.root / ANALYSTS, "asking", read_only=True):
        raise RuntimeError("Query interrupted")
    with pytest.raises(RuntimeError, match="otherwise"), open_file(released.root / ANALYSTS, "asking", read_only=True):
        raise RuntimeError("otherwise")


def test_a_table_that_nobody_reads_to_its_end(released: Town) -> None:
    """As with `publisher releases | head -1`: nothing on standard error."""
    with subprocess.Popen(
        [str(COMMAND), "releases"], cwd=released.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (141, b"")


@pytest.mark.parametrize("content", ["{", '{"passed": "perhaps"}', "\udcff", "[" * 5000])
def test_a_damaged_validation_is_one_message(released: Town, content: str) -> None:
    """It names the file and the way out, and after that the release is what it was."""
    path = released.state / "public" / "validations" / "water" / "2024-02" / "1.json"
    path.write_text(content, errors="surrogateescape")
    for command in (["releases"], ["run", "--no-push", "water"], ["plan", "water"]):
        answer = released.publisher(*command)
        assert answer.code == 5
        assert len(answer.err.splitlines()) == 1
        assert "water/2024-02/1.json is damaged: delete it, then run `publisher revalidate`" in answer.err
    path.unlink()
    assert released.publisher("revalidate", "water").code == 0
    assert released.publisher("releases").code == 0


def test_show(released: Town) -> None:
    """The last period unless one is named: status, guarantee and a glimpse of the rows."""
    answer = released.publisher("show", "water")
    assert answer.code == 0
    assert answer.out.startswith("water/2024-03/1: ready\n")
    assert all(words in answer.out for words in ("Upper zone", "How privacy is protected", "ρ = 0.1"))
    assert re.search(r"^A +Upper zone +[0-9]+ \([0-9]+–[0-9]+\)  ", answer.out, re.MULTILINE), "a number with its range"
    assert not set(answer.out) & set("*|#"), "marks of Markdown"
    assert "Accounts: Counts one account in one cell a month" in " ".join(answer.out.split())
    found = json.loads(released.publisher("show", "water", "2024-01", "--json").out)
    assert (found["name"], found["status"], len(found["rows"])) == ("water/2024-01/1", "ready", 3)
    for arguments in (["water", "1999-01"], ["nothing"]):
        assert released.publisher("show", *arguments).code == 2


def test_before_anything_was_released(town: Town) -> None:
    """Every command that looks at the state says that there is none yet, and makes none."""
    looks = (["releases"], ["show", "water"], ["ledger"], ["verify"], ["verify", "--offline"])
    for command in looks:
        answer = town.publisher(*command)
        assert (answer.code, len(answer.err.splitlines())) == (5, 1), command
    assert town.publisher("sql", "SELECT 1").code == 2
    assert not town.state.exists()


def test_plan_needs_neither_records_nor_state(town: Town) -> None:
    """What releases will cost comes from the definitions alone."""
    shutil.rmtree(town.data)
    rows = town.publisher("plan", "--json").rows
    assert [(row["dataset"], row["measure"]) for row in rows] == [
        ("requests", "requests"),
        ("water", "accounts"),
        ("water", "used"),
    ]
    assert [row["blocks_a_release"] for row in rows] == [31, 1, 1]
    assert {row["left_on_fullest_block"] for row in rows} == {"0.25 of 0.25"}
    assert {row["loss_a_block"] for row in rows} == {"ρ 0.1"}
    assert rows[0]["margin"] == "±4 requests"
    assert town.publisher("plan").code == 0
    assert not town.state.exists()


def test_plan_says_when_everything_is_drawn(released: Town) -> None:
    """A block that is spent and a schedule that is done are no contradiction."""
    released.edit("pipelines/meters.toml", "budget = 0.25", "budget = 0.1")
    said = " ".join(released.publisher("plan", "water").out.split())
    assert "The fullest block of past periods has 0 of 0.1 left: not enough for another release" in said
    assert "Every release up to the last, 2024-03, is drawn." in said
    assert "lasts" not in said


def test_plan_knows_what_was_spent(released: Town) -> None:
    """The fullest block of the periods ahead."""
    before = released.tree()
    rows = released.publisher("plan", "water", "--json").rows
    assert {row["left_on_fullest_block"] for row in rows} == {"0.15 of 0.25"}
    assert released.tree() == before


def test_landing_twice_changes_nothing(town: Town) -> None:
    """Files are counted, rows never; exact counts stand in the private report that is named."""
    first = town.publisher("land")
    before = town.tree("state/private/landed")
    second = town.publisher("land", "requests")
    assert (first.code, second.code) == (0, 0)
    assert "requests: 1 new files, 0 known\n" in first.out
    assert f"requests: the private report is in {town.state / 'private/reports/requests'}\n" in first.err
    assert second.out == "requests: 0 new files, 1 known\n"
    assert town.tree("state/private/landed") == before
    assert "900" not in first.out
    assert CANARY not in first.out + first.err


def test_private_is_private(released: Town) -> None:
    """The private folder and everything in it is for its owner alone."""
    private = released.state / "private"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    open_to_others = [path for path in private.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    assert not open_to_others


def test_doctor(released: Town) -> None:
    """All is well, until the private folder is open to others or the ledger was changed."""
    well = released.publisher("doctor")
    assert (well.code, well.err) == (0, "")
    assert "failed" not in well.out
    (released.state / "private").chmod(0o755)
    assert released.publisher("doctor").code == 5
    (released.state / "private").chmod(0o700)
    with closing(sqlite3.connect(released.state / "private" / "ledger.sqlite")) as connection, connection:
        connection.execute("UPDATE entries SET kind = 'x' WHERE sequence = 2")
    ill = released.publisher("doctor")
    assert ill.code == 4
    assert "failed" in ill.out


def test_no_suite_is_needed(town: Town) -> None:
    """A dataset without a file in expectations/ is valid, and `check` writes none."""
    assert not (town.root / "expectations").exists()
    assert town.publisher("check").code == 0
    assert not (town.root / "expectations").exists()
    shown = town.publisher("show", "water", "--suite", "--json").rows
    assert {row["origin"] for row in shown} == {"definition", "last release"}
    assert {"table", "origin", "words", "expectation", "file"} == set(shown[0])
    refused = town.publisher("show", "water", "2024-01", "--suite")
    assert (refused.code, "cannot be used together" in refused.err) == (2, True)


ROLLUPS = """\
[[rollups]]
name = "town"
title = "Requests in the town"

[[rollups]]
name = "districts"
title = "Requests by district"
keys = ["district"]

[[measures]]"""


def test_rollups_are_released_with_their_dataset(town: Town) -> None:
    """From records to the analysts' file: every level is a table, they add up, and another threshold costs nothing."""
    town.edit("datasets/requests.toml", "[[measures]]", ROLLUPS)
    town.edit("datasets/requests.toml", "threshold = 5", "threshold = 0")
    assert town.publisher("check").code == 0
    assert town.run("requests", "--period", "2024-01").code == 0
    with duckdb.connect(str(town.root / ANALYSTS), read_only=True) as connection:
        levels = [f"SELECT district, sum(requests) FROM {name} GROUP BY ALL ORDER BY ALL"
                  for name in ("requests", "requests_districts")]  # fmt: skip
        by_sort, by_district = (connection.execute(query).fetchall() for query in levels)
        (total,) = connection.execute("SELECT id, requests FROM requests_town").fetchall()
    assert by_sort == by_district
    assert total == ("2024-01", sum(count for _, count in by_district))
    charges = town.charges()
    town.edit("datasets/requests.toml", "threshold = 0", "threshold = 800")
    assert town.run("requests", "--period", "2024-01").code == 0
    first, second = (town.releases / "requests" / "2024-01" / edition for edition in "12")
    for name in ("measurements.parquet", "measurements-town.parquet", "measurements-districts.parquet"):
        kept = [town.kept / "requests" / "2024-01" / edition / name for edition in "12"]
        assert pyarrow.parquet.read_table(kept[0]).equals(pyarrow.parquet.read_table(kept[1]))
    for name in ("data.parquet", "rollup-town.parquet", "rollup-districts.parquet"):
        found = [pyarrow.parquet.read_table(edition / name)["requests_status"] for edition in (first, second)]
        assert "suppressed" not in found[0].to_pylist()
        assert set(found[1].to_pylist()) == {"suppressed"}
    assert town.charges() == charges
    answer = town.publisher("verify", "--offline")
    assert (answer.code, answer.err) == (0, "")


LATTICE = """\
[[rollups]]
name = "sorts"
title = "Requests by sort"
keys = ["sort"]
share = 0.2

[[rollups]]
name = "districts"
title = "Requests by district"
keys = ["district"]
share = 0.2

[[rollups]]
name = "town"
title = "Requests in the town"
share = 0.1
publish = false

[[measures]]"""


def test_rollups_that_are_no_chain_are_released_and_finished_again(town: Town) -> None:
    """By place and by kind, and a measured table that is not published: everything published adds up, and a later
    edition has the whole numbers of the first."""
    town.edit("datasets/requests.toml", "[[measures]]", LATTICE)
    town.edit("datasets/requests.toml", "threshold = 5", "threshold = 0")
    checked = town.publisher("check")
    assert (checked.code, checked.err) == (0, "")
    assert "rolled up to sorts, districts, town (not published)" in checked.out
    planned = town.publisher("plan", "requests")
    assert "not published" in planned.out
    assert town.publisher("plan", "requests", "--split").code == 0
    assert town.run("requests", "--period", "2024-01").code == 0
    with duckdb.connect(str(town.root / ANALYSTS), read_only=True) as connection:
        tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        for key in ("sort", "district"):
            query = f"SELECT {key}, sum(requests) FROM {{}} GROUP BY ALL ORDER BY ALL"
            found, wanted = (
                connection.execute(query.format(name)).fetchall() for name in (f"requests_{key}s", "requests")
            )
            assert found == wanted
    assert {"requests", "requests_sorts", "requests_districts"} <= tables
    assert "requests_town" not in tables
    charges = town.charges()
    town.edit("datasets/requests.toml", "threshold = 0", "threshold = 800")
    assert town.run("requests", "--period", "2024-01").code == 0
    assert town.charges() == charges
    kept = [town.kept / "requests" / "2024-01" / edition for edition in "12"]
    for name in ("measurements.parquet", "measurements-town.parquet", "measurements_whole.parquet"):
        assert pyarrow.parquet.read_table(kept[0] / name).equals(pyarrow.parquet.read_table(kept[1] / name))
    guarantee = json.loads((town.releases / "requests" / "2024-01" / "1" / "guarantee.json").read_text())
    assert [(level["name"], level.get("published", True)) for level in guarantee["levels"]] == [
        ("sorts", True), ("districts", True), ("town", False), ("", True),
    ]  # fmt: skip
    answer = town.publisher("verify", "--offline")
    assert (answer.code, answer.err) == (0, "")
