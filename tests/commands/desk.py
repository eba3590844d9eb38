"""A desk: a workspace with a data folder, invented raw files, and the command that drafts their definitions."""

from __future__ import annotations

import io
import json
import re
import tomllib
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from publisher.cli import main

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "Zzyzx"
HEADER = "Request_ID,Opened_Date,Closed_Date,Service_Type,Applicant_Name,Email,Longitude,Latitude,Notes"
AREAS = ("--boundaries", "areas.geojson", "--key", "NUM", "--label", "NAME")
QUARTER = '"2024-Q1"\nlast = "2024-Q1"'


@dataclass(frozen=True)
class Desk:
    """A workspace with a data folder, and the command in it."""

    root: Path

    def put(self, name: str, content: str | bytes) -> str:
        """Put a file into the data folder."""
        path = self.root / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit code, and everything that was said. No terminal is there."""
        answer = CliRunner().invoke(main, ["-C", str(self.root), *arguments])
        return answer.exit_code, answer.output

    def add(self, *files: str, source: str = "requests", more: tuple[str, ...] = ()) -> dict[str, Any]:
        """Add a source, which works, and return its definition."""
        code, said = self.run("add", source, *files, *more, "--yes")
        assert code == 0, said
        return self.source(source)

    def source(self, name: str = "requests") -> dict[str, Any]:
        """A source's definition."""
        return tomllib.loads((self.root / f"pipelines/{name}.toml").read_text())

    def written(self) -> dict[str, str]:
        """Every definition, by its path."""
        found = [path for room in ("pipelines", "datasets") for path in (self.root / room).rglob("*") if path.is_file()]
        return {str(path.relative_to(self.root)): path.read_text() for path in sorted(found)}

    def fill(self, **values: str) -> None:
        """Fill in what is marked, as a person does."""
        usual = {"organization": '"Town"', "contact": '"a@example.org"', "jurisdiction": '"Law"', "purpose": '"Tests"'}
        usual |= {
            "timezone": '"America/Chicago"',
            "budget": "0.5",
            "rho": "0.1",
            "first": '"2024-01"\nlast = "2024-01"',
        }
        usual |= {"max_groups": "1", "max_per_group": "2"}
        for path in (
            self.root / "publisher.toml",
            *self.root.glob("pipelines/*.toml"),
            *self.root.glob("datasets/*.toml"),
        ):
            text = path.read_text()
            for key, value in (usual | values).items():
                text = re.sub(rf'^{key} = "TODO"', f"{key} = {value}", text, flags=re.MULTILINE)
            path.write_text(
                text.replace('statute = "TODO"', 'statute = "Code 1"').replace('source = "TODO"', 'source = "CC0"')
            )


def prepared(root: Path) -> Desk:
    """A new workspace, with boundaries of two areas in Illinois."""
    desk = Desk(root)
    assert CliRunner().invoke(main, ["init", str(desk.root)]).exit_code == 0
    squares = [
        {
            "type": "Feature",
            "properties": {"NUM": n, "NAME": f"Area {n}"},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[-90 + n, 39], [-89 + n, 39], [-89 + n, 40], [-90 + n, 40], [-90 + n, 39]]],
            },
        }
        for n in (0, 1)
    ]
    desk.put("areas.geojson", json.dumps({"type": "FeatureCollection", "features": squares}))
    return desk


def rows(count: int = 300, canary: str = CANARY, shift: int = 0) -> list[list[str]]:
    """Records of requests; `canary` begins every text that is a record's own."""
    return [
        [
            f"{canary}-{n + shift}",
            f"{n % 12 + 1:02d}/{n % 28 + 1:02d}/2024 01:0{n % 10} PM",
            f"{n % 12 + 1:02d}/{n % 28 + 1:02d}/2024 02:00 PM",
            f"{canary} {('pothole', 'trash', 'tree')[n % 3]}",
            "" if n % 2 else f"{canary} Person {n % 97}",
            f"{canary}{n}@example.org",
            f"{-89.5 + n % 2 + n % 7 / 100}",
            f"{39.5 + n % 5 / 100}",
            f"{canary} called about it",
        ]
        for n in range(count)
    ]


def zipped(name: str, content: str) -> bytes:
    """An archive of one file."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(name, content)
    return target.getvalue()


def csv(records: list[list[str]], header: str = HEADER, delimiter: str = ",") -> str:
    """A CSV file."""
    return "\n".join(delimiter.join(row) for row in [header.split(","), *records]) + "\n"


def dated(dates: list[str]) -> str:
    """A file whose records have these dates."""
    return csv([[f"{n}", each] for n, each in enumerate(dates)], "id,opened")


def objects(count: int = 200) -> list[dict[str, Any]]:
    """Requests as an API gives them; one has a key of its own."""
    found: list[dict[str, Any]] = [
        {
            "service_request_id": n,
            "requested_datetime": f"2024-01-{n % 28 + 1:02d}T10:00:00Z",
            "location": {"type": "Point", "coordinates": [-89.5 + n % 7 / 100, 39.5]},
        }
        for n in range(count)
    ]
    found[3][CANARY] = 1
    return found
