"""The errors that the API returns, in the formats that Socrata's clients read."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from typing import Any

_FULL = (errno.ENOSPC, errno.EDQUOT)
_LONGEST_LINE = 1000
"""The most characters of a query's line in an error."""


class SodaError(Exception):
    """A refused request: the HTTP status and the JSON body that explains it."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(body["message"])
        self.status = status
        self.body = body
        self.headers = headers or {}


def problem(status: int, code: str, message: str, **data: Any) -> SodaError:
    """An error in the common format: `code`, `error`, `message`, and `data` if there is any."""
    body: dict[str, Any] = {"code": code, "error": True, "message": message}
    if data:
        body["data"] = data
    return SodaError(status, body)


def dataset_missing(identifier: str) -> SodaError:
    """404: the dataset does not exist."""
    return problem(404, "dataset.missing", "Not found", id=identifier)


def row_missing(identifier: str) -> SodaError:
    """404: the row does not exist."""
    return problem(404, "row.missing", "Cannot find row", id=identifier)


def login_required() -> SodaError:
    """403: the dataset is private, or the request needs an account."""
    return SodaError(403, {"message": "You must be logged in to access this resource", "error": True})


def role_required() -> SodaError:
    """403: the account may read but not make changes."""
    return problem(
        403, "permission_denied", "This account cannot make changes. Ask an administrator for the publisher role."
    )


def token_refused() -> SodaError:
    """403: this portal did not issue the app token."""
    return problem(403, "permission_denied", "Invalid app_token specified")


def login_refused() -> SodaError:
    """401: the name or password is wrong."""
    body = {"code": "authentication_required", "error": True, "message": "Invalid username or password"}
    return SodaError(401, body, {"WWW-Authenticate": 'Basic realm="Open data portal", charset="UTF-8"'})


def throttled(seconds: int) -> SodaError:
    """429: too many failed logins; the client may try again in `seconds`."""
    error = problem(429, "throttled", f"Too many failed logins. Try again in {seconds} seconds.")
    error.headers["Retry-After"] = str(seconds)
    return error


def logins_waiting(seconds: int) -> SodaError:
    """503: too many passwords are being checked; `seconds` until it is worth trying again."""
    error = problem(503, "busy", f"Too many logins are being checked; try again in {seconds} seconds")
    error.headers["Retry-After"] = str(seconds)
    return error


def changing(seconds: int) -> SodaError:
    """503: the publisher is changing the rows; the client should try again in `seconds`."""
    error = problem(503, "dataset.changing", f"The dataset is being updated. Try again in {seconds} seconds.")
    error.headers["Retry-After"] = str(seconds)
    return error


def too_many_requests(seconds: int) -> SodaError:
    """429: too many requests; the client may try again in `seconds`."""
    error = problem(429, "throttled", f"Too many requests. Try again in {seconds} seconds, or use an app token.")
    error.headers["Retry-After"] = str(seconds)
    return error


def invalid(message: str, **data: Any) -> SodaError:
    """400: the request is invalid."""
    return problem(400, "invalid_request", message, **data)


CHANGED = "dataset.changed"
"""The error code if a version's files were removed because newer ones have replaced them."""


def changed() -> SodaError:
    """503: the version that was being read is gone."""
    return problem(503, CHANGED, "The dataset changed while it was being read. Try again.")


def damaged() -> SodaError:
    """503: a file of the dataset is missing or not as it was written."""
    words = "Rows of this dataset are missing or damaged on the portal's disk. Its publisher has to send them again."
    return problem(503, "dataset.damaged", words)


def disk_full() -> SodaError:
    """507: there is no room on the portal's disk."""
    words = "The portal's disk is full, and nothing was changed. Try again once there is room."
    return problem(507, "storage.full", words)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that there is no room on the disk."""
    while error is not None:
        if getattr(error, "errno", None) in _FULL or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return True
        if any(os.strerror(number) in str(error) for number in _FULL):  # DuckDB's have no number
            return True
        error = error.__cause__ or error.__context__
    return False


def no_rows() -> SodaError:
    """400: the dataset is a file and has no rows."""
    return invalid("This dataset is a file and has no rows")


def too_large(limit: int) -> SodaError:
    """413: the body is larger than `limit` bytes."""
    return problem(413, "req.body.too-large", f"The request body is larger than {limit} bytes", limit=limit)


def query_too_large(limit: int) -> SodaError:
    """413: the query of a visitor without an account is longer than `limit` bytes."""
    words = f"The query is longer than {limit} bytes. Sign in with an account to ask longer ones."
    return problem(413, "query.too-large", words, limit=limit)


def column_not_found(field: str) -> SodaError:
    """400: a row names a column that the dataset does not have."""
    return problem(400, "soda.row.column-not-found", f"No such column: {field}", column=field)


def column_maltyped(field: str, kind: str, row: int) -> SodaError:
    """400: a cell cannot be read as its column's type; `row` counts from 0. The value is not repeated."""
    message = f"Cannot read the value of column {field} in row {row} as {kind}"
    return problem(400, "soda.column.maltyped", message, column=field, type=kind, row_index=row)


def malformed(query: str, line: int, column: int, reason: str) -> SodaError:
    """400: the SoQL cannot be parsed."""
    shown = query if len(query) <= 1000 else query[:1000] + "…"
    message = f'Could not parse SoQL query "{shown}" at line {line} character {column}: {reason}'
    return problem(400, "query.compiler.malformed", message, query=shown, position=position(query, line, column))


def semantic(kind: str, reason: str, **data: Any) -> SodaError:
    """400: the SoQL can be parsed but not used here; `kind` is Socrata's word, such as no-such-column."""
    code = f"query.soql.{kind}"
    message = f"Query coordinator error: {code}; {reason}"
    if "position" in data:
        row, column, line = (data["position"][name] for name in ("row", "column", "line"))
        shown = json.dumps(line, ensure_ascii=False)
        message += f"; position: Map(row -> {row}, column -> {column}, line -> {shown})"
    return SodaError(400, {"errorCode": code, "error": True, "message": message, "data": data})


def execution(kind: str, reason: str) -> SodaError:
    """400: the query is valid but cannot be run, for example because it takes too long."""
    code = f"query.execution.{kind}"
    body = {"errorCode": code, "error": True, "message": f"Query coordinator error: {code}; {reason}", "data": {}}
    return SodaError(400, body)


def position(text: str, row: int, column: int) -> dict[str, Any]:
    """A place in a query, as Socrata's errors give it: its line, and below it a caret at the place."""
    lines = text.split("\n")
    line = lines[row - 1] if 0 < row <= len(lines) else ""
    caret = f"\n{' ' * (column - 1)}^" if column <= _LONGEST_LINE else ""
    return {"row": row, "column": column, "line": line[:_LONGEST_LINE] + caret}
