"""Static files that every page loads: style sheets and a small script, at addresses that change with the content."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from publisher.portal.answers.freshness import has

if TYPE_CHECKING:
    from starlette.requests import Request

HERE = Path(__file__).parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A static file."""

    name: str
    content: bytes
    digest: str

    @property
    def address(self) -> str:
        """The address of this content, which never changes."""
        return f"/static/{self.name}?v={self.digest}"


def _read(path: Path) -> bytes:
    """The content that is sent: a style sheet is sent without unneeded white space."""
    if path.suffix != ".css":
        return path.read_bytes()
    closed = re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL))
    return re.sub(r";? ?([{};]) ?|([:,]) ", r"\1\2", closed).strip().encode()


@cache
def files() -> dict[str, StaticFile]:
    """All static files by name, read once."""
    read = {path.name: _read(path) for path in HERE.iterdir() if path.suffix in TYPES}
    return {name: StaticFile(name, content, hashlib.sha256(content).hexdigest()[:16]) for name, content in read.items()}


def serve(request: Request) -> Response:
    """GET /static/{name}."""
    file = files().get(request.path_params["name"])
    if file is None:
        raise HTTPException(404)
    current = request.query_params.get("v") == file.digest
    headers = {"Cache-Control": FOREVER if current else "no-cache", "ETag": f'"{file.digest}"'}
    if has(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=TYPES[Path(file.name).suffix], headers=headers)


ROUTES = [Route("/static/{name}", serve)]
