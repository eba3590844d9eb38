"""The errors that the API answers with, in the shapes that Socrata's clients read."""

from __future__ import annotations

from typing import Any


class SodaError(Exception):
    """A refused request: an HTTP status and the JSON body that explains it."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(body["message"])
        self.status = status
        self.body = body
        self.headers = headers or {}


def problem(status: int, code: str, message: str, **data: Any) -> SodaError:
    """An error of the common shape: `code`, `error`, `message` and, where there is any, `data`."""
    body: dict[str, Any] = {"code": code, "error": True, "message": message}
    if data:
        body["data"] = data
    return SodaError(status, body)


def dataset_missing(identifier: str) -> SodaError:
    """404: there is no such dataset."""
    return problem(404, "dataset.missing", "Not found", id=identifier)


def row_missing(identifier: str) -> SodaError:
    """404: the dataset has no such row."""
    return problem(404, "row.missing", "Cannot find row", id=identifier)


def login_required() -> SodaError:
    """403: the dataset is private, or the request would change something."""
    return SodaError(403, {"message": "You must be logged in to access this resource", "error": True})


def role_required() -> SodaError:
    """403: the account may read but not change anything."""
    return problem(403, "permission_denied", "This account may not change anything here")


def token_refused() -> SodaError:
    """403: the app token is none that this portal has given out."""
    return problem(403, "permission_denied", "Invalid app_token specified")


def login_refused() -> SodaError:
    """401: the name or password is wrong."""
    body = {"code": "authentication_required", "error": True, "message": "Invalid username or password"}
    return SodaError(401, body, {"WWW-Authenticate": 'Basic realm="Open data portal", charset="UTF-8"'})


def throttled(seconds: int) -> SodaError:
    """429: too many failed logins; `seconds` until the next may be tried."""
    error = problem(429, "throttled", f"Too many failed logins; try again in {seconds} seconds")
    error.headers["Retry-After"] = str(seconds)
    return error


def logins_waiting(seconds: int) -> SodaError:
    """503: too many passwords are being checked; `seconds` until it is worth trying again."""
    error = problem(503, "busy", f"Too many logins are being checked; try again in {seconds} seconds")
    error.headers["Retry-After"] = str(seconds)
    return error


def changing(seconds: int) -> SodaError:
    """503: the publisher is changing the rows; `seconds` until it is worth asking again."""
    error = problem(503, "dataset.changing", f"The dataset is being changed; ask again in {seconds} seconds")
    error.headers["Retry-After"] = str(seconds)
    return error


def too_many_requests(seconds: int) -> SodaError:
    """429: the client asks too often; `seconds` until the next request is answered."""
    error = problem(429, "throttled", f"Too many requests; try again in {seconds} seconds, or use an app token")
    error.headers["Retry-After"] = str(seconds)
    return error


def invalid(message: str, **data: Any) -> SodaError:
    """400: the request itself is not as it should be."""
    return problem(400, "invalid_request", message, **data)


def no_rows() -> SodaError:
    """400: the dataset is a file."""
    return invalid("This dataset is a file and has no rows")


def too_large(limit: int) -> SodaError:
    """413: the body is longer than `limit` bytes."""
    return problem(413, "req.body.too-large", f"The request body is larger than {limit} bytes", limit=limit)


def column_not_found(field: str) -> SodaError:
    """400: a row names a column that the dataset does not have."""
    return problem(400, "soda.row.column-not-found", f"No such column: {field}", column=field)


def column_maltyped(field: str, kind: str, row: int) -> SodaError:
    """400: a cell cannot be read as its column's type; `row` counts from 0. The value is not repeated."""
    message = f"Cannot read the value of column {field} in row {row} as {kind}"
    return problem(400, "soda.column.maltyped", message, column=field, type=kind, row_index=row)


def malformed(query: str, line: int, column: int, reason: str) -> SodaError:
    """400: the SoQL text does not parse."""
    shown = query if len(query) <= 1000 else query[:1000] + "…"
    message = f'Could not parse SoQL query "{shown}" at line {line} character {column}: {reason}'
    position = {"row": line, "column": column, "line": _line(shown, line)}
    return problem(400, "query.compiler.malformed", message, query=shown, position=position)


def semantic(kind: str, reason: str, **data: Any) -> SodaError:
    """400: the SoQL text parses but means nothing here; `kind` is Socrata's word, e.g. no-such-column."""
    code = f"query.soql.{kind}"
    message = f"Query coordinator error: {code}; {reason}"
    return SodaError(400, {"errorCode": code, "error": True, "message": message, "data": data})


def execution(kind: str, reason: str) -> SodaError:
    """400: the query is right but cannot be carried out, e.g. it takes too long."""
    code = f"query.execution.{kind}"
    body = {"errorCode": code, "error": True, "message": f"Query coordinator error: {code}; {reason}", "data": {}}
    return SodaError(400, body)


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return lines[number - 1] if 0 < number <= len(lines) else ""
