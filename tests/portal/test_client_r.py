"""R: the requests of RSocrata, made by httr and jsonlite as RSocrata makes them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from portal_process import publish

if TYPE_CHECKING:
    import requests
    from portal_process import Running

SCRIPT = Path(__file__).parent / "clients" / "rsocrata.R"
LIBRARIES = "quit(status = !all(sapply(c('httr', 'jsonlite'), requireNamespace, quietly = TRUE)))"


@pytest.fixture(scope="module")
def rows(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """More than one page of them."""
    return [row | {"id": f"{turn}/{row['id']}"} for turn in range(20) for row in cells]


@pytest.fixture(scope="module")
def told(portal: Running, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What R saw; `dataset` and `written` are the 4x4s."""
    rscript = shutil.which("Rscript")
    if rscript is None or subprocess.run([rscript, "-e", LIBRARIES], capture_output=True, check=False).returncode:
        pytest.skip("R with httr and jsonlite is not installed")
    with portal.client() as client:
        dataset, written = publish(client, "For R", rows), publish(client, "From R", [])
    command = [rscript, str(SCRIPT), portal.address, dataset, *portal.login, written]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found | {"dataset": dataset, "written": written}


def test_r_reads_every_page_of_a_table(told: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """CSV and JSON page by page until an empty one: every row once, numbers and dates as R wants them."""
    assert (told["csv_rows"], told["json_rows"], told["csv_pages"]) == (len(rows), len(rows), 3)
    assert sorted(told["ids"]) == sorted(row["id"] for row in rows)
    assert set(told["zones"]) == {row["zone"] for row in rows}
    expected = sum(float(row["requests"]) for row in rows if row["requests"])
    assert told["total"] == pytest.approx(expected)
    assert told["json_total"] == pytest.approx(expected)
    assert told["empty"] == sum(row["requests"] is None for row in rows)
    assert told["first_day"] == min(row["period_start"] for row in rows)[:10]


def test_r_reads_the_types(told: dict[str, Any]) -> None:
    """X-SODA2-Types beside X-SODA2-Fields names the type of each column of the table."""
    assert list(told["types"]) == told["csv_names"]
    assert told["types"]["requests"] == "number"
    assert told["types"]["period_start"] == "floating_timestamp"


def test_r_lists_the_datasets(told: dict[str, Any], portal: Running) -> None:
    """/data.json makes a table with dates that R reads."""
    assert f"{portal.address}/d/{told['dataset']}" in told["listed"]
    assert told["dated"] is True


def test_r_writes(told: dict[str, Any], portal: Running, web: requests.Session) -> None:
    """A data frame upserted, then put in the place of all rows."""
    assert (told["upserted"]["Rows Created"], told["upserted"]["Errors"]) == (2, 0)
    assert told["replaced"]["Rows Created"] + told["replaced"]["Rows Updated"] == 1
    answer = web.get(f"{portal.address}/resource/{told['written']}.json")
    assert answer.json() == [{"id": "r-1", "zone": "Süd", "requests": "1.5", "open": True}]


def test_r_hears_why_a_query_is_refused(told: dict[str, Any]) -> None:
    """The status and Socrata's code."""
    assert told["refused"]["status"] == 400
    assert told["refused"]["body"]["errorCode"] == "query.soql.no-such-column"
