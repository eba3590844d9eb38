"""Health checks: whether the portal is running, and whether it can do its work."""

from __future__ import annotations

import logging
import sqlite3
import tempfile
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from publisher.portal.answers.access import portal

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.portal.store.store import PortalStore

ROOM = 1 << 20
"""The bytes that must fit on the disk."""

logger = logging.getLogger(__name__)


async def alive(_request: Request) -> Response:
    """GET /health: 200 if the process answers."""
    return JSONResponse({"status": "ok"})


def ready(request: Request) -> Response:
    """GET /health/ready: 200 if the catalog can be read and the disk written, otherwise 503; says which one failed."""
    store = portal(request).store
    found = {"catalog": _catalog_answers(store), "disk": _disk_takes_a_file(store)}
    well = all(found.values())
    body = {"status": "ok" if well else "unavailable"} | {
        name: "ok" if each else "unavailable" for name, each in found.items()
    }
    return JSONResponse(body, 200 if well else 503, {"Cache-Control": "no-store"})


def _catalog_answers(store: PortalStore) -> bool:
    try:
        with store.catalog.connected() as connection:
            connection.execute("SELECT count(*) FROM datasets").fetchone()
    except sqlite3.Error as error:
        logger.warning("the catalog cannot be read: %s", type(error).__name__)
        return False
    return True


def _disk_takes_a_file(store: PortalStore) -> bool:
    try:
        with tempfile.TemporaryFile(dir=store.root) as file:
            file.write(bytes(ROOM))
            file.flush()
    except OSError as error:
        logger.warning("the disk cannot be written: %s", type(error).__name__)
        return False
    return True


ROUTES = [Route("/health", alive), Route("/health/ready", ready)]
