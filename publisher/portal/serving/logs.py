"""Logging, as text or JSON: what happened and where, never a value, a query, or a person."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from traceback import walk_tb
from typing import Any

LOGGERS = ("publisher", "uvicorn", "asyncio")
REQUEST = "request"
"""The attribute of a log record with the fields of a request."""


def configure(form: str, worker: int = 0) -> None:
    """Log to standard error; `form` is text or json, `worker` is the number of this process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(worker) if form == "json" else _Text(worker))
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.INFO)


def place(error: BaseException) -> str:
    """The innermost line of our own code that an error came from, or of other code if there is none."""
    found = [(str(frame.f_globals.get("__name__")), line) for frame, line in walk_tb(error.__traceback__)]
    own = [(name, line) for name, line in found if name.startswith("publisher.")] or found
    return "{}:{}".format(*own[-1]) if own else "?"


class _Text(logging.Formatter):
    """`2026-05-01T12:00:00.000Z INFO 1 GET /resource/{name} 200 5120 B 4.2 ms 6f1c…`."""

    def __init__(self, worker: int) -> None:
        super().__init__("%(asctime)s %(levelname)s %(worker)s %(message)s", defaults={"worker": worker})

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        """The time in UTC, to the millisecond."""
        return _moment(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The type and place of an error, without its message, which may quote values."""
        return _error(ei)


class _Json(logging.Formatter):
    """One JSON object per line: time, level, worker, and either the fields of a request or a message."""

    def __init__(self, worker: int) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """The log line."""
        line: dict[str, Any] = {"time": _moment(record), "level": record.levelname.lower(), "worker": self._worker}
        fields = getattr(record, REQUEST, None)
        line |= fields if fields is not None else {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["error"] = _error(record.exc_info)
        return json.dumps(line)


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(found: Any) -> str:
    error = found[1]
    return f"{type(error).__name__} at {place(error)}" if isinstance(error, BaseException) else ""
