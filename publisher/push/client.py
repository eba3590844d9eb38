"""The only way to sodapy: a Socrata portal as a few typed calls that retry if that may help and fail in one line."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from publisher.errors import PortalError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from requests import Response
    from sodapy import Socrata

    from publisher.push.target import Target

T = TypeVar("T")
Fields = dict[str, Any]

PAGE = 20_000
"""Rows requested at once."""
CHUNK = 8_000_000
"""Bytes of JSON sent at once."""
MARKER = "Publisher"
"""The set of custom fields that marks a dataset as ours."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request is tried, and how the pauses grow, in seconds."""

    attempts: int = 5
    first: float = 0.5
    longest: float = 30.0

    def pause(self, attempt: int, asked: float = 0.0) -> float:
        """Seconds to wait after that failed attempt: exponential, with jitter, never less than the portal asked for."""
        full = min(self.longest, self.first * 2.0**attempt)
        return max(min(asked, self.longest), full * random.uniform(0.5, 1.0))  # noqa: S311 - spread, not secrecy


@dataclass(frozen=True)
class View:
    """A dataset's metadata as the portal returns it."""

    id: str
    fields: Fields

    @property
    def ours(self) -> str | None:
        """The dataset's name if we made it."""
        name = self.custom.get("dataset")
        return name if isinstance(name, str) else None

    @property
    def custom(self) -> Fields:
        """Our custom fields."""
        fields = (self.fields.get("metadata") or {}).get("custom_fields") or {}
        return fields.get(MARKER) or {}

    @property
    def attachments(self) -> list[Fields]:
        """The files attached to the rows, as the portal lists them."""
        listed = (self.fields.get("metadata") or {}).get("attachments")
        return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []

    @property
    def assets(self) -> dict[str, str]:
        """The id of each listed file, by name."""
        return {str(entry.get("filename")): str(entry["assetId"]) for entry in self.attachments if "assetId" in entry}

    @property
    def held(self) -> dict[str, str]:
        """The SHA-256 of each listed file that we sent, by name."""
        try:
            told = json.loads(self.custom.get("files") or "{}")
        except ValueError:
            return {}
        return {name: digest for name, digest in told.items() if name in self.assets}

    @property
    def published(self) -> bool:
        """False while it is a working copy."""
        return self.fields.get("publicationStage") == "published"

    @property
    def public(self) -> bool:
        """Whether anyone may read it."""
        return any("public" in (grant.get("flags") or ()) for grant in self.fields.get("grants") or ())

    @property
    def columns(self) -> dict[str, Fields]:
        """The columns by field name, without the portal's own."""
        columns = self.fields.get("columns") or ()
        return {column["fieldName"]: column for column in columns if not column["fieldName"].startswith(":")}


@dataclass(frozen=True)
class Receipt:
    """What the portal counted for one write; `repeated` if an earlier try may also have been carried out."""

    errors: int
    done: int
    repeated: bool


class MissingError(PortalError):
    """The portal does not have this dataset."""


class DeletedError(PortalError):
    """The portal had this dataset, and no longer does."""


class UnreachableError(PortalError):
    """No portal answers: further requests would wait just as long, for nothing."""


class _Unsettled(Exception):  # noqa: N818 - it may pass
    """A reply that is not an answer yet: the request should be tried again."""


class SocrataClient:
    """A session with the portal, for use in a `with` block. Every method raises PortalError when the portal fails."""

    def __init__(self, target: Target, patience: RetryPolicy | None = None, *, chunk: int = CHUNK) -> None:
        self.target = target
        self.chunk = chunk
        self._patience = patience or RetryPolicy()
        self._writer = _session(target, target.username, target.password)
        self._reader = _session(target, None, None)

    def __enter__(self) -> SocrataClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()
        self._reader.close()

    def link(self, identifier: str) -> str:
        """The permanent address of the dataset's page."""
        return f"{self.target.url}/d/{identifier}"

    def view(self, identifier: str) -> View | None:
        """The dataset's metadata; None if the portal does not have the dataset."""
        try:
            return self._try("read the dataset", lambda _: _view(self._writer.get_metadata(identifier)))
        except MissingError:
            return None

    def find(self, name: str, title: str) -> View | None:
        """Our dataset with that name among those that this account can see, published or not."""
        assets = self._try("list the datasets", lambda _: self._writer.datasets(only=["dataset"]))
        for asset in assets:
            resource = asset["resource"]
            if resource.get("name") == title or _marked(asset, name):
                view = self.view(resource["id"])
                if view is not None and view.ours == name:
                    return view
        return None

    def listed(self, names: Collection[str] | None = None) -> list[str]:
        """The ids of all our datasets that everyone can see, or of those with one of these names."""
        assets = self._try("list the datasets", lambda _: self._reader.datasets(only=["dataset"]))
        marked = [(asset["resource"]["id"], _marks(asset)) for asset in assets]
        return [identifier for identifier, ours in marked if ours and (names is None or not {*ours}.isdisjoint(names))]

    def create(self, name: str, fields: Fields, before: str | None = None) -> View:
        """Create a private working copy, with the id that it had `before` where the portal gives it back, as ours does;
        Socrata makes a new one. If an answer was lost, look for what it made: no name is used twice."""
        title = fields["name"]
        rest = {key: value for key, value in fields.items() if key != "name"}
        if before is not None and not self.target.public:
            rest["id"] = before

        def once(repeated: bool) -> View:
            found = self.find(name, title) if repeated else None
            return found or _view(self._writer.create(title, **rest, new_backend=True))

        return self._try("create the dataset", once)

    def rows(
        self, identifier: str, columns: Sequence[str], *, where: str | None = None, anonymous: bool = False
    ) -> Iterator[Fields]:
        """Every row, or those that meet a condition, page by page; null values are absent. `anonymous` reads without an
        account, as the public does."""
        session = self._reader if anonymous else self._writer
        for offset in count(0, PAGE):
            page = self._try("read the rows", partial(_page, session, identifier, ",".join(columns), where, offset))
            yield from page
            if len(page) < PAGE:
                return

    def count(self, identifier: str) -> int:
        """How many rows the dataset has."""

        def once(_: bool) -> int:
            reply = self._writer.get(identifier, select="count(*) AS rows")
            if not isinstance(reply, list) or len(reply) != 1 or not str(reply[0].get("rows")).isdigit():
                raise _Unsettled("the rows are not ready yet")
            return int(reply[0]["rows"])

        return self._try("count the rows", once)

    def add_column(self, identifier: str, column: Fields) -> None:
        """Add a column that is empty in every row, unless an earlier try has added it."""

        def once(repeated: bool) -> None:
            there = repeated and column["fieldName"] in _view(self._writer.get_metadata(identifier)).columns
            if not there:
                # sodapy has no call for this, but its session signs and checks the request.
                self._writer._perform_update("post", f"/api/views/{identifier}/columns.json", column)

        self._try("add a column", once)

    def upsert(self, identifier: str, rows: list[Fields]) -> Receipt:
        """Create, change and delete rows by id, all in one request."""

        def once(repeated: bool) -> Receipt:
            reply = self._writer.upsert(identifier, rows)
            if not isinstance(reply, dict) or "Errors" not in reply:
                raise _Unsettled("the rows are accepted but not stored yet")
            done = sum(int(reply.get(f"Rows {what}", 0)) for what in ("Created", "Updated", "Deleted"))
            return Receipt(int(reply["Errors"]), done, repeated)

        return self._try("write the rows", once, quiet=True)

    def publish(self, identifier: str) -> None:
        """Make the working copy the published dataset; returns when that is done."""

        def published() -> bool:
            return _view(self._writer.get_metadata(identifier)).published

        def once(repeated: bool) -> None:
            if repeated and published():
                return
            self._writer.publish(identifier)
            if not published():
                raise _Unsettled("it is still a working copy")

        self._try("publish the dataset", once)

    def update(self, identifier: str, fields: Fields) -> View:
        """Set those metadata fields, each as a whole; the dataset's metadata since."""
        return self._try("update the metadata", lambda _: _view(self._writer.update_metadata(identifier, fields)))

    def attach(self, name: str, content: bytes, media_type: str) -> str:
        """Send a file and return its id. It appears once a dataset's metadata lists it."""

        def once(_: bool) -> str:
            # sodapy has no call for files; its session is logged in.
            reply = self._writer.session.post(
                f"{self.target.url}/api/assets",
                files={"file": (name, content, media_type)},
                timeout=self._writer.timeout,
            )
            told = _told(reply)
            if not isinstance(told, dict) or "id" not in told:
                raise _Unsettled("the answer has no file id")
            return str(told["id"])

        return self._try("send a file", once)

    def attached(self, identifier: str, asset: str, *, anonymous: bool = False) -> bytes:
        """The bytes of a file that the dataset lists."""
        session = self._reader if anonymous else self._writer

        def once(_: bool) -> bytes:
            address = f"{self.target.url}/api/views/{identifier}/files/{asset}"
            reply = session.session.get(address, timeout=session.timeout)
            _check(reply)
            return bytes(reply.content)

        return self._try("read a file", once)

    def open(self, identifier: str, *, public: bool) -> None:
        """Let everyone read the dataset, or no one."""
        permission = "public" if public else "private"
        self._try("set the permission", lambda _: self._writer.set_permission(identifier, permission))

    def _try(self, what: str, call: Callable[[bool], T], *, quiet: bool = False) -> T:
        """The call's result. The call gets to know whether an earlier try was made, which may have been carried out."""
        attempt = 0
        while True:
            try:
                return call(attempt > 0)
            except PortalError:
                raise
            except Exception as error:  # noqa: BLE001 - sodapy raises bare Exceptions
                attempt += 1
                if attempt >= self._patience.attempts or not _passing(error):
                    raise _kind(error)(f"{self.target.url}: cannot {what}: {_words(error, quiet)}") from None
                pause = self._patience.pause(attempt - 1, _asked(error))
            time.sleep(pause)


def _session(target: Target, username: str | None, password: str | None) -> Socrata:
    from requests.adapters import HTTPAdapter
    from sodapy import Socrata

    scheme, domain = target.url.split("://")
    adapter = {"prefix": "http://", "adapter": HTTPAdapter()} if scheme == "http" else None
    session = Socrata(domain, target.app_token, username, password, session_adapter=adapter, timeout=target.timeout)
    # sodapy asks for one number; requests takes a second one for connecting, which must not wait as long as a write.
    session.timeout = (min(10.0, target.timeout), target.timeout)
    # A proxy from the environment is for Socrata, never for the portal on this machine.
    session.session.trust_env = target.public
    return session


def _check(reply: Response) -> None:
    from sodapy.utils import raise_for_status

    raise_for_status(reply)


def _told(reply: Response) -> Any:
    _check(reply)
    try:
        return reply.json()
    except ValueError:
        raise _Unsettled("the answer is not JSON") from None


def _view(fields: Any) -> View:
    if not isinstance(fields, dict) or "id" not in fields:
        raise _Unsettled("the answer is not a dataset")
    return View(fields["id"], fields)


def _page(session: Socrata, identifier: str, fields: str, where: str | None, offset: int, _: bool) -> list[Fields]:
    page = session.get(identifier, select=fields, where=where, order=":id", limit=PAGE, offset=offset)
    if not isinstance(page, list):
        raise _Unsettled("the rows are not ready yet")
    return page


def _marked(asset: Fields, name: str) -> bool:
    return name in _marks(asset)


def _marks(asset: Fields) -> list[str]:
    """The name by which an asset is ours, if it is."""
    held = (asset.get("classification") or {}).get("domain_metadata") or ()
    return [each.get("value", "") for each in held if each.get("key") == f"{MARKER}_dataset"]


def _response(error: Exception) -> Response | None:
    return getattr(error, "response", None)


def _status(error: Exception) -> int | None:
    response = _response(error)
    return None if response is None else response.status_code


def _kind(error: Exception) -> type[PortalError]:
    """The kind of error: a connection never made, or a timeout, affects every dataset; the rest only this one."""
    from requests import exceptions
    from urllib3.exceptions import MaxRetryError

    if _status(error) == 404:
        return MissingError
    unmade = isinstance(error, exceptions.ConnectionError) and isinstance(next(iter(error.args), None), MaxRetryError)
    return UnreachableError if unmade or isinstance(error, exceptions.Timeout) else PortalError


def _passing(error: Exception) -> bool:
    """Whether another try may succeed: connections, timeouts, 429 and 5xx."""
    from requests import exceptions

    status = _status(error)
    if status is not None and isinstance(error, exceptions.HTTPError):
        return status == 429 or status >= 500
    lost = (exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError, _Unsettled)
    return isinstance(error, lost) and not isinstance(error, exceptions.SSLError)


def _asked(error: Exception) -> float:
    """The seconds of a Retry-After header, 0 without one."""
    response = _response(error)
    asked = "" if response is None else response.headers.get("Retry-After", "")
    return float(asked) if asked.isdigit() else 0.0


def _words(error: Exception, quiet: bool) -> str:
    """The reason in our own words and, unless they could quote a row, the portal's; never the request's."""
    from requests import exceptions

    if (response := _response(error)) is not None:
        return _refusal(response, quiet)
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (exceptions.SSLError, "its certificate is not trusted"),
        (exceptions.Timeout, "it did not answer in time"),
        (exceptions.ConnectionError, "it cannot be reached, or it closed the connection: check that it is running"),
        (exceptions.ChunkedEncodingError, "it closed the connection"),
        (_Unsettled, str(error)),
    )
    return next((words for kind, words in kinds if isinstance(error, kind)), "its answer could not be understood")


def _refusal(response: Response, quiet: bool) -> str:
    try:
        body = response.json()
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    said = body.get("code") or body.get("errorCode") if quiet else body.get("message")
    refused = response.status_code in (401, 403)
    hint = ": check SOCRATA_USERNAME, SOCRATA_PASSWORD and SOCRATA_APP_TOKEN" if refused else ""
    return f"HTTP {response.status_code} {str(said or response.reason)[:300]}{hint}"
