"""Pages as a reader gets them, and a family of datasets that has everything a page can show."""

from __future__ import annotations

import json
from datetime import date, timedelta
from functools import cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import requests

if TYPE_CHECKING:
    from portal_process import Running
    from sodapy import Socrata

GUARANTEE = "# Promise\n\nSome **words**.\n\n<script>alert(1)</script>\n\n![x](https://evil.example/x.png)\n"
MEASURE = {
    "name": "requests",
    "label": "Requests",
    "kind": "count",
    "unit": "requests",
    "low": "requests_low",
    "high": "requests_high",
    "status": "requests_status",
}
DAYS = {"name": "days", "label": "Days to close", "kind": "mean", "unit": "days"}
SOURCE = {
    "name": "calls",
    "title": "Calls to the city",
    "purpose": "To plan crews",
    "unit": "record",
    "window": "day",
    "retention": "36 months",
    "minors": True,
    "columns": [
        {"name": "NAME", "classification": "private", "authority": "Minn. Stat. § 13.82", "description": "Who called"},
        {"name": "ZONE", "classification": "public", "authority": "Minn. Stat. § 13.03", "read": True},
        {"name": "CASE", "classification": "public", "authority": "=SUM(A1)", "read": True, "identifier": True},
    ],
}
RELEASES = [
    {"period": "2020-W02", "edition": 2, "created": "2020-03-01T10:00:00Z", "rows": 2, "suppressed": 0,
     "unreliable": 1, "caution": 2, "reason": "late records", "sha256": "b" * 64,
     "decisions": [{"what": "accepted", "at": "2020-03-02T10:00:00Z", "reason": "The <fee> went up",
                    "although": ["the total is 9 (give or take 2); expected at most 1"]}]},
    {"period": "2020-W02", "edition": 1, "created": "2020-02-01T10:00:00Z", "rows": 2, "suppressed": 1,
     "unreliable": 0, "current": False, "sha256": "a" * 64,
     "decisions": [{"what": "retracted", "at": "2020-02-03T10:00:00Z", "reason": "A file was missing"},
                   {"what": "restored", "at": "2020-02-04T10:00:00Z"}]},
    {"period": "2020-W01", "edition": 1, "created": "2020-01-20T10:00:00Z", "rows": 2, "suppressed": 1,
     "unreliable": 0},
]  # fmt: skip
SCHEDULE = {
    "dataset": "calls", "title": "Calls", "when": "Mondays at 6:00", "holidays": "US", "timezone": "America/Chicago",
    "periods": [
        {"period": "2998-W52", "due": "2999-01-01", "state": "not due yet", "edition": 0},
        {"period": "2020-W10", "due": "2020-03-09", "state": "not due yet", "edition": 0},
        {"period": "2020-W09", "due": "2020-03-02", "state": "refused at landing", "since": "2020-03-04",
         "reason": "feed refused", "edition": 0},
        {"period": "2020-W08", "due": "2020-02-24", "state": "held", "since": "2020-02-24", "reason": "under review",
         "edition": 1},
        {"period": "2020-W07", "due": "2020-02-17", "since": "2020-02-18", "edition": 2},
        *({"period": f"2020-W0{week}", "due": "2020-02-01", "since": "2020-02-01"} for week in (6, 5, 4, 3)),
        {"period": "2020-W02", "due": "2020-01-13", "state": "not released", "since": "2023-02-01",
         "reason": "retention", "edition": 0},
        *({"period": f"2019-W{week}", "due": "2020-01-01", "since": "2020-01-01"} for week in range(52, 9, -1)),
        *({"period": f"2018-W{week}", "due": "2020-01-01", "since": "2020-01-01"} for week in range(52, 0, -1)),
    ],
}  # fmt: skip
"""Of the family; the second period is over by now, and no one has said so."""
UNPUBLISHED = [
    {"dataset": "water", "title": "Water <b>used</b>", "periods": [
        {"period": "2020-01", "due": "2020-02-01", "state": "under review", "since": "2020-02-02",
         "reason": "under review", "edition": 0}]},
]  # fmt: skip
ODDS = {
    "unit": "record", "period": "a day", "before": 0.5, "after": 0.6119, "household_units": 5,
    "household": 0.9293, "source": 1.0, "posterior_bound": 0.921, "exception": 1e-6,
    "loss": "ρ = 0.1",
}  # fmt: skip
WEEKS = 120
FIRST = date(2020, 1, 6)


class Page(HTMLParser):
    """A page taken apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self._silent = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag."""
        self.tags.append((tag, dict(attrs)))
        self._silent += tag == "script"

    def handle_endtag(self, tag: str) -> None:
        """What stands in a script is no text."""
        self._silent -= tag == "script"

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        if not self._silent:
            self.said.append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        """The attributes of every tag of this name."""
        return [attributes for tag, attributes in self.tags if tag == name]

    @property
    def words(self) -> str:
        """All text, single-spaced."""
        return " ".join(" ".join(self.said).split())

    def section(self, identifier: str) -> Page:
        """The section of this id as a page of its own."""
        return Page(self.text.partition(f'<section id="{identifier}"')[2].partition("</section>")[0])


def loaded(portal: Running, path: str, status: int = 200, **query: Any) -> Page:
    """A page of the portal, with the headers that every page has."""
    asked = urlencode(query, doseq=True)
    answer = requests.get(f"{portal.address}{path}?{asked}", headers={"Accept": "text/html"}, timeout=60)
    assert answer.status_code == status, answer.text[:500]
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    return Page(answer.text)


@cache
def family(portal: Running) -> dict[str, str]:
    """The 4x4s of one family: two zones by 120 weeks (`main`), and the whole city (`city`)."""
    with portal.client() as client:
        return {"main": _zones(client), "city": _city(client)}


GRADES = {1: "unreliable", 2: "caution"}


def _zones(client: Socrata) -> str:
    rows = []
    for zone in ("A & <b>", "B"):
        for week in range(WEEKS):
            empty = zone == "B" and week % 3 == 0
            rows.append(
                _period(week)
                | {
                    "id": f"{zone}{week}",
                    "zone": zone,
                    "requests": None if empty else 1000 + week,
                    "requests_low": None if empty else 990 + week,
                    "requests_high": None if empty else 1010 + week,
                    "requests_margin_percent": None if empty else 1,
                    "requests_status": "suppressed" if empty else GRADES.get(week % 10, "ok"),
                    "requests_reason": "complementary" if empty else None,
                    "days": week / 2,
                }
            )
    later = {"reason": "requests_reason", "margin_percent": "requests_margin_percent"}
    shape = _shape([{"name": "zone", "label": "Zone", "names": None}], [MEASURE | later, DAYS])
    kinds = {"zone": "text", "days": "number", "requests_reason": "text", "requests_margin_percent": "number"}
    fields = {"dataset": "calls", "shape": json.dumps(shape), "companions": _named("calls-city", "Whole city")}
    fields |= {"schedule": json.dumps(SCHEDULE), "unpublished": json.dumps(UNPUBLISHED)}
    return _published(client, "Requests <i>& more</i>", rows, kinds, fields)


def _city(client: Socrata) -> str:
    rows = [
        _period(week)
        | {
            "id": str(week),
            "requests": 2000 + week,
            "requests_low": 1990,
            "requests_high": 2130,
            "requests_status": "ok",
        }
        for week in range(WEEKS)
    ]
    fields = {"dataset": "calls-city", "shape": json.dumps(_shape([], [MEASURE])), "companions": _named("calls", "All")}
    return _published(client, "Requests in the whole city", rows, {}, fields)


def _named(name: str, title: str) -> str:
    return json.dumps([{"name": name, "title": title}])


def _shape(keys: list[Any], measures: list[Any]) -> dict[str, Any]:
    return {"time": "period_start", "period": "period", "place": "zone" if keys else None} | {
        "keys": keys,
        "measures": measures,
    }


def _period(week: int) -> dict[str, str]:
    begins = FIRST + timedelta(weeks=week)
    year, number, _ = begins.isocalendar()
    return {"period": f"{year}-W{number:02}", "period_start": begins.isoformat()}


def _published(
    client: Socrata, name: str, rows: list[dict[str, Any]], more: dict[str, str], fields: dict[str, str]
) -> str:
    kinds = {"id": "text", "period": "text", "period_start": "calendar_date"} | more
    kinds |= {"requests": "number", "requests_low": "number", "requests_high": "number", "requests_status": "text"}
    fields |= {
        "guarantee": GUARANTEE,
        "stand_in": "true",
        "contact": "data@example.org",
        "license": "House license",
        "license_url": "javascript:alert(1)",
        "limitations": "One <b>limit</b>\nAnother",
        "source": json.dumps(SOURCE),
        "releases": json.dumps(RELEASES),
        "odds": json.dumps(ODDS),
    }
    view = client.create(
        name,
        columns=[
            {"fieldName": field, "name": field.title(), "dataTypeName": kind, "description": f"About {field}"}
            for field, kind in kinds.items()
        ],
        metadata={"rowIdentifier": "id", "custom_fields": {"Publisher": fields}},
        description="First part.\n\nSecond part.",
        licenseId="CC_40_BY",
        attribution="City of Nowhere",
        attributionLink="javascript:alert(1)",
        category="Calls",
        tags=["311", "calls"],
    )
    client.upsert(view["id"], rows)
    client.publish(view["id"])
    client.set_permission(view["id"], "public")
    identifier: str = view["id"]
    return identifier
