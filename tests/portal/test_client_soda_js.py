"""soda-js, Socrata's own library for JavaScript, against the running portal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from portal_process import publish

if TYPE_CHECKING:
    from conftest import Secure
    from portal_process import Running

pytestmark = pytest.mark.xdist_group("secure")

SCRIPT = Path(__file__).parent / "clients" / "soda_js.js"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which npm has installed soda-js."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("npm")
    install = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--loglevel=error", "soda-js@0.2.3"]
    ended = subprocess.run(install, capture_output=True, text=True, timeout=120, check=False)
    if ended.returncode:
        pytest.skip(f"npm cannot install soda-js: {(ended.stderr.strip() or 'no reason').splitlines()[0]}")
    return folder / "node_modules"


@pytest.fixture(scope="module")
def told(library: Path, secure: Secure, portal: Running, cells: list[dict[str, Any]]) -> dict[str, Any]:
    """What soda-js handed over in each step of the script."""
    with portal.client() as client:
        identifier = publish(client, "For soda-js", cells)
    variables = os.environ | {"NODE_PATH": str(library), "NODE_EXTRA_CA_CERTS": str(secure.certificate)}
    command = ["node", "--no-deprecation", str(SCRIPT), secure.host, identifier, *portal.login]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=variables)
    assert ended.returncode == 0, ended.stderr
    steps: dict[str, Any] = json.loads(ended.stdout)
    return steps


def test_soda_js_reads(told: dict[str, Any], cells: list[dict[str, Any]]) -> None:
    """Its query builder: filters, comparisons, groups with having, pages, search and SoQL as a text."""
    many = [row for row in cells if row["zone"] == "Süd" and float(row["requests"] or 0) > 100]
    assert [row["id"] for row in told["filtered"]["success"]] == [row["id"] for row in many[:3]]
    zones = sorted({row["zone"] for row in cells}, reverse=True)
    assert told["grouped"]["success"] == [{"zone": zone, "count": "40"} for zone in zones]
    assert told["paged"]["success"] == [{"id": row["id"]} for row in cells[5:7]]
    assert {row["zone"] for row in told["searched"]["success"]} == {"Nord"}
    most = max(float(row["requests"]) for row in cells if row["open"] and row["requests"])
    assert float(told["soql"]["success"][0]["most"]) == most


def test_soda_js_hears_why_a_query_is_refused(told: dict[str, Any]) -> None:
    """The error event has Socrata's body."""
    assert told["refused"]["error"]["errorCode"] == "query.soql.no-such-column"


def test_soda_js_writes(told: dict[str, Any]) -> None:
    """Its producer: rows added, upserted, changed, replaced and deleted; one that is not there is not."""
    assert told["added"]["success"]["Rows Created"] == 1
    counters = told["upserted"]["success"]
    assert (counters["Rows Created"], counters["Rows Updated"]) == (1, 1)
    assert told["written"]["success"] == [
        {"id": "js-1", "zone": "Nörd", "requests": "8", "open": True},
        {"id": "js-2", "zone": "Nord", "requests": "9"},
    ]
    assert told["replaced"]["success"]["Rows Updated"] == 1
    assert told["anew"]["success"] == [{"id": "js-2", "zone": "Süd", "open": False}]
    assert told["nowhere"]["error"]["code"] == "row.missing"
    assert told["left"]["success"] == [{"id": "js-2"}]
