"""A workspace that pushes to the real portal, and what stands there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import requests
from push_examples import QUICK

from publisher.push.client import SocrataClient
from publisher.push.sync import check_delivery, deliver, redescribe
from publisher.workspace import DatasetFile, Workspace, find_workspace

if TYPE_CHECKING:
    from conftest import Broken, Running

    from publisher.pipeline.catalog import Catalog

TITLES = {"": "Requests by ward", "city": "Requests in the city", "districts": "Requests by district"}


class Desk:
    """A workspace with its open catalog, and the portal behind the server that counts requests."""

    def __init__(self, place: Workspace, catalog: Catalog, portal: Running, broken: Broken) -> None:
        self.place, self.catalog, self.portal, self.broken = place, catalog, portal, broken
        self.notes: list[str] = []

    @property
    def dataset(self) -> DatasetFile:
        """As it is defined now."""
        return find_workspace(self.place.root).dataset("weekly")

    def push(self, **options: bool) -> str | None:
        self.broken.requests.clear()
        self.notes.clear()
        with SocrataClient(self.portal.target(self.broken.url), QUICK) as client:
            return deliver(self.place, self.catalog, client, self.dataset, self.notes.append, **options)

    def describe(self) -> str | None:
        """Pushes the metadata alone."""
        self.broken.requests.clear()
        with SocrataClient(self.portal.target(self.broken.url), QUICK) as client:
            return redescribe(self.place, self.catalog, client, self.dataset, self.notes.append)

    def check(self) -> str | None:
        with SocrataClient(self.portal.target(self.broken.url), QUICK) as client:
            return check_delivery(self.place, self.catalog, client, self.dataset)

    def id(self, level: str) -> str:
        known = json.loads((self.place.state / "portal_ids.json").read_text())
        return str(known[f"{self.broken.url} weekly {level}".rstrip()])

    def view(self, level: str) -> dict[str, Any]:
        reply = requests.get(f"{self.portal.url}/api/views/{self.id(level)}.json", timeout=20)
        assert reply.status_code == 200, reply.text
        view: dict[str, Any] = reply.json()
        return view

    def rows(self, level: str) -> list[dict[str, str]]:
        address = f"{self.portal.url}/resource/{self.id(level)}.json"
        rows: list[dict[str, str]] = requests.get(address, params={"$order": "id"}, timeout=20).json()
        return rows

    def open(self, level: str) -> bool:
        """Whether everybody can read it."""
        address = f"{self.portal.url}/resource/{self.id(level)}.json"
        return requests.get(address, timeout=20).status_code == 200

    def edit(self, before: str, after: str) -> None:
        path = self.place.root / "datasets" / "weekly.toml"
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))

    def delete(self) -> None:
        """Takes its datasets off the portal, which all tests share."""
        path = self.place.state / "portal_ids.json"
        target = self.portal.target()
        for identifier in json.loads(path.read_text()).values() if path.is_file() else ():
            address = f"{self.portal.url}/api/views/{identifier}.json"
            requests.delete(address, auth=(target.username, target.password), timeout=20)
