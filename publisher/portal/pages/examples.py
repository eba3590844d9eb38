"""Code examples to copy: one query that fits the dataset, for a terminal and for libraries in several languages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from publisher.grades import OK
from publisher.portal.contract import ADDITIVE

if TYPE_CHECKING:
    from publisher.portal.base.model import PortalDataset
    from publisher.portal.contract import ShapeMeasure, TableShape

MOST = 10_000_000
"""A limit that no dataset reaches, to get all rows."""


@dataclass(frozen=True, slots=True)
class CodeExample:
    """A code example; its id on the page is `example-` and `name`."""

    name: str
    title: str
    code: str


@dataclass(frozen=True, slots=True)
class Examples:
    """The query, the measure it sums (if any), a measure that cannot be summed (if any), and the examples."""

    clauses: dict[str, str]
    summed: ShapeMeasure | None
    measured: ShapeMeasure | None
    listed: list[CodeExample]
    resource: str

    @property
    def address(self) -> str:
        """The query as an address to open in a browser."""
        return f"{self.resource}.json?{urlencode(self.clauses)}"


def examples(base: str, dataset: PortalDataset, shape: TableShape | None) -> Examples:
    """The examples for a dataset on the portal at `base`."""
    summed = next((each for each in shape.measures if each.kind in ADDITIVE), None) if shape else None
    measured = next((each for each in shape.measures if each.kind not in ADDITIVE), None) if shape else None
    clauses = _question(shape, summed)
    resource = f"{base}/resource/{dataset.id}"
    listed = [
        CodeExample("curl", "curl", _curl(resource, clauses)),
        CodeExample("sodapy", "Python · sodapy", _sodapy(base, dataset.id, clauses)),
        CodeExample("pandas", "Python · pandas", _pandas(resource, clauses)),
        CodeExample("duckdb", "DuckDB", _duckdb(resource, shape, summed)),
        CodeExample("r", "R", _r(resource, clauses)),
        CodeExample("rsocrata", "R · RSocrata", _rsocrata(resource, clauses)),
        CodeExample("fetch", "JavaScript · fetch", _fetch(resource, clauses)),
    ]
    if urlsplit(base).scheme == "https":
        listed.append(CodeExample("soda-js", "JavaScript · soda-js", _soda_js(base, dataset.id, clauses)))
    return Examples(clauses, summed, measured, listed, resource)


def _question(shape: TableShape | None, summed: ShapeMeasure | None) -> dict[str, str]:
    """Totals by period if a measure can be summed; otherwise the latest reliable cells; otherwise some rows."""
    if shape is None:
        return {"$limit": "5"}
    if summed is not None:
        total = f"{shape.period}, sum({summed.name}) AS total"
        return {"$select": total, "$group": shape.period, "$order": shape.period}
    measure = shape.leading
    fields = [shape.period, *(key.names or key.name for key in shape.keys), *measure.fields]
    where = {"$where": f"{measure.status} = '{OK}'"} if measure.status else {}
    return {"$select": ", ".join(dict.fromkeys(fields)), **where, "$order": f"{shape.time} DESC", "$limit": "5"}


def _curl(resource: str, clauses: dict[str, str]) -> str:
    lines = [f"curl --get '{resource}.json'"]
    lines += ["  --data-urlencode '" + f"{name}={text}".replace("'", "'\\''") + "'" for name, text in clauses.items()]
    return " \\\n".join(lines)


def _sodapy(base: str, identifier: str, clauses: dict[str, str]) -> str:
    address = urlsplit(base)
    lines = ["from sodapy import Socrata"]
    more = ""
    if address.scheme != "https":
        lines += ["from requests.adapters import HTTPAdapter"]
        more = ', session_adapter={"prefix": "http://", "adapter": HTTPAdapter()}'
    asked = "".join(f",\n    {name[1:]}={_python(name, text)}" for name, text in clauses.items())
    lines += [
        "",
        f'client = Socrata("{address.netloc}", None{more})',
        f'rows = client.get("{identifier}"{asked})',
        "print(rows)",
    ]
    return "\n".join(lines)


def _python(name: str, text: str) -> str:
    return text if name == "$limit" else json.dumps(text)


def _pandas(resource: str, clauses: dict[str, str]) -> str:
    asked = "".join(f'    "{name}": {json.dumps(text)},\n' for name, text in clauses.items())
    return (
        "from urllib.parse import urlencode\n\nimport pandas\n\n"
        f"question = {{\n{asked}}}\n"
        f'table = pandas.read_csv("{resource}.csv?" + urlencode(question))\nprint(table)'
    )


def _duckdb(resource: str, shape: TableShape | None, summed: ShapeMeasure | None) -> str:
    source = f"read_csv('{resource}.csv?$limit={MOST}')"
    if shape is None or summed is None:
        return f"SELECT *\nFROM {source};"
    period = shape.period
    return f"SELECT {period}, sum({summed.name}) AS total\nFROM {source}\nGROUP BY {period}\nORDER BY {period};"


def _r_question(resource: str, clauses: dict[str, str], form: str) -> str:
    asked = ",\n".join(f"  `{name}` = {json.dumps(text)}" for name, text in clauses.items())
    return (
        f"question <- c(\n{asked}\n)\n"
        "encoded <- sapply(question, URLencode, reserved = TRUE)\n"
        f'address <- paste0("{resource}.{form}?", paste0(names(question), "=", encoded, collapse = "&"))\n'
    )


def _r(resource: str, clauses: dict[str, str]) -> str:
    return _r_question(resource, clauses, "csv") + "table <- read.csv(address)\nprint(table)"


def _rsocrata(resource: str, clauses: dict[str, str]) -> str:
    return "library(RSocrata)\n\n" + _r_question(resource, clauses, "json") + "print(read.socrata(address))"


def _fetch(resource: str, clauses: dict[str, str]) -> str:
    asked = "".join(f"  {json.dumps(name)}: {json.dumps(text)},\n" for name, text in clauses.items())
    return (
        f"const question = new URLSearchParams({{\n{asked}}});\n"
        f'const answer = await fetch("{resource}.json?" + question);\n'
        "console.log(await answer.json());"
    )


def _soda_js(base: str, identifier: str, clauses: dict[str, str]) -> str:
    asked = "".join(f"\n  .{name[1:]}({_python(name, text)})" for name, text in clauses.items())
    return (
        'const soda = require("soda-js");\n\n'
        f'new soda.Consumer("{urlsplit(base).netloc}").query()\n  .withDataset("{identifier}"){asked}\n'
        '  .getRows()\n  .on("success", (rows) => console.log(rows))\n  .on("error", (error) => console.error(error));'
    )
