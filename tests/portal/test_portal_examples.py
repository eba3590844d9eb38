"""The lines to copy from a dataset's page: each one is run as it stands there, and gives the answer it promises."""

from __future__ import annotations

import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import duckdb
import pytest
import requests
from fsspec import AbstractFileSystem
from page_reading import family, loaded

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Secure
    from portal_process import Running


@pytest.fixture(scope="module")
def code(portal: Running) -> dict[str, str]:
    """The examples of the page by name."""
    text = loaded(portal, f"/d/{family(portal)['main']}/api").text
    found = re.findall(r'<pre tabindex="0" id="example-([\w-]+)"><code>(.*?)</code></pre>', text, re.DOTALL)
    return {name: html.unescape(lines) for name, lines in found}


@pytest.fixture(scope="module")
def totals(portal: Running, web: requests.Session) -> dict[str, str]:
    """The answer: the total of each period, as the API gives it."""
    asked = {"$select": "period,sum(requests) AS total", "$group": "period", "$limit": "1000"}
    rows = web.get(f"{portal.address}/resource/{family(portal)['main']}.json", params=asked).json()
    assert len(rows) == 120
    return {row["period"]: row["total"] for row in rows}


def run(command: list[str]) -> str:
    """What a command writes; it must succeed."""
    environment = os.environ | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def needs(program: str) -> str:
    """The program, or skip."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def test_the_question_sums_what_may_be_summed_and_says_why_not_count(portal: Running) -> None:
    """sum(requests), because count(*) counts cells; a mean is named as what cannot be added up."""
    said = loaded(portal, f"/d/{family(portal)['main']}/api").words
    assert "count(*) counts cells" in said
    assert "For totals, use sum(requests)" in said
    assert "Values of “Days to close” cannot be added up or averaged across cells" in said


def test_curl(code: dict[str, str], totals: dict[str, str]) -> None:
    """From a terminal."""
    answer = json.loads(run([needs("bash"), "-c", f"{code['curl']} --silent --fail"]))
    assert {row["period"]: row["total"] for row in answer} == totals


def test_sodapy(code: dict[str, str], totals: dict[str, str]) -> None:
    """The client that city teams use; it needs the note on plain HTTP here."""
    code["sodapy"].index("http://")
    said = run([sys.executable, "-c", code["sodapy"]])
    for period, total in totals.items():
        assert f"'period': '{period}', 'total': '{total}'" in said


def test_pandas(code: dict[str, str], totals: dict[str, str]) -> None:
    """As a table: the last total is printed with its period."""
    said = run([sys.executable, "-c", code["pandas"]])
    last = max(totals)
    assert re.search(rf"{last}\s+{totals[last]}", said)


class _Fetched(AbstractFileSystem):  # type: ignore[misc]
    """HTTP for DuckDB where its own extension cannot be installed: an address is fetched whole."""

    protocol = "http"

    def info(self, path: str, **_more: object) -> dict[str, object]:
        """Its size is all that is asked for."""
        return {"name": path, "size": len(self._get(path)), "type": "file"}

    def modified(self, _path: str) -> datetime:
        """No address is read twice."""
        return datetime.now(UTC)

    def glob(self, path: str, **_more: object) -> list[str]:
        """A question mark in an address is no pattern."""
        return [path]

    def _open(self, path: str, *_given: object, **_more: object) -> io.BytesIO:
        return io.BytesIO(self._get(path))

    def _get(self, path: str) -> bytes:
        address = path if path.startswith("http://") else f"http://{path}"
        answer = requests.get(address, timeout=60)
        answer.raise_for_status()
        return answer.content


def test_duckdb(code: dict[str, str], totals: dict[str, str]) -> None:
    """The whole file, added up by DuckDB itself."""
    with duckdb.connect() as connection:
        connection.register_filesystem(_Fetched())
        rows = connection.execute(code["duckdb"]).fetchall()
    assert {period: str(int(total)) for period, total in rows} == totals


def test_javascript(code: dict[str, str], totals: dict[str, str], tmp_path: Path) -> None:
    """With nothing but what Node and browsers bring along."""
    node, script = needs("node"), tmp_path / "question.mjs"
    lines = code["fetch"].replace(
        "console.log(await answer.json())", "console.log(JSON.stringify(await answer.json()))"
    )
    script.write_text(lines)
    assert lines != code["fetch"]
    assert {row["period"]: row["total"] for row in json.loads(run([node, str(script)]))} == totals


def test_r(code: dict[str, str], totals: dict[str, str], tmp_path: Path) -> None:
    """With base R alone."""
    rscript, script = needs("Rscript"), tmp_path / "question.R"
    script.write_text(code["r"])
    said = run([rscript, str(script)])
    last = max(totals)
    assert re.search(rf"{last}\s+{totals[last]}", said)


def test_rsocrata(code: dict[str, str], totals: dict[str, str], tmp_path: Path) -> None:
    """The package that R users have for Socrata."""
    rscript, script = needs("Rscript"), tmp_path / "question.R"
    installed = subprocess.run([rscript, "-e", "library(RSocrata)"], capture_output=True, check=False)
    if installed.returncode != 0:
        pytest.skip("the R package RSocrata is not installed")
    script.write_text(code["rsocrata"])
    assert max(totals) in run([rscript, str(script)])


def test_soda_js(portal: Running, secure: Secure, totals: dict[str, str], tmp_path: Path) -> None:
    """The client of Socrata's own makers speaks HTTPS alone, so only a page that was asked for so shows it."""
    node, script = needs("node"), tmp_path / "question.cjs"
    environment = os.environ | {"NODE_EXTRA_CA_CERTS": str(secure.certificate)}
    missing = subprocess.run([node, "-e", 'require("soda-js")'], capture_output=True, env=environment, check=False)
    if missing.returncode != 0:
        pytest.skip("the npm package soda-js is not installed (NODE_PATH says where it is)")
    identifier = family(portal)["main"]
    page = requests.get(f"{secure.running.address}/d/{identifier}/api", verify=str(secure.certificate), timeout=60).text
    lines = re.search(r'id="example-soda-js"><code>(.*?)</code>', page, re.DOTALL)
    assert lines is not None
    script.write_text(html.unescape(lines[1]).replace("console.log(rows)", "console.log(JSON.stringify(rows))"))
    done = subprocess.run([node, str(script)], capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert {row["period"]: row["total"] for row in json.loads(done.stdout)} == totals
