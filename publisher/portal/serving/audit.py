"""The audit log: which account changed which dataset, and when; never a value, a query, or an address of a person."""

from __future__ import annotations

import json
import logging
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Scope

logger = logging.getLogger(__name__)

NAME = "audit.jsonl"
"""The log in the portal's folder: one JSON object in each line, the latest at the end."""
_CHANGING = frozenset(("POST", "PUT", "PATCH", "DELETE"))
_ASKING = "/api/v3/views/"
_DATASET = re.compile(r"([0-9a-z]{4}-[0-9a-z]{4})(?:\.[a-z]+)?")


def note(scope: Scope, status: int, identifier: str) -> None:
    """Write a line for a request with which an account has changed something, or has tried to."""
    account = scope.get("state", {}).get("account")
    if account is None or scope["method"] not in _CHANGING or scope["path"].startswith(_ASKING):
        return
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "account": account.username,
        "did": f"{scope['method']} {getattr(scope.get('route'), 'path', 'none')}",
        "dataset": _dataset(scope),
        "status": status,
        "request": identifier,
    }
    try:
        _append(scope["app"].state.portal.store.root / NAME, line)
    except OSError as error:
        logger.error("request %s is not in the audit log: %s", identifier, error.strerror)


def _dataset(scope: Scope) -> str | None:
    """The 4x4 in the address, or the one that the request has made."""
    made: str | None = scope["state"].get("dataset")
    parameters = scope.get("path_params", {})
    found = _DATASET.fullmatch(str(parameters.get("id") or parameters.get("name") or ""))
    return found[1] if found else made


def _append(file: Path, line: dict[str, Any]) -> None:
    """Add one line in one piece, because several processes write to the file."""
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, json.dumps(line).encode() + b"\n")
    finally:
        os.close(handle)
