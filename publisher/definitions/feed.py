"""`[feed]`: where the raw records of a source come from, by its `kind`, and what may be odd about them."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from publisher.definitions.model import Exact, Model, RuleError, Text

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _relative(path: str) -> str:
    if path.startswith(("/", "~")) or ".." in path.split("/"):
        raise ValueError(f"{path!r} must be inside the data folder: write it relative to that folder")
    return path


DataPath = Annotated[Text, AfterValidator(_relative)]
Share = Annotated[Exact, Field(ge=0, le=1)]


class Accept(Model):
    """What may be odd about a file of this feed without stopping the run, and why."""

    undated: Share = Decimal("0.2")
    """The largest share of a file's records without a date that can be read."""
    unplaced: Share = Decimal("0.5")
    """The largest share of a file's records without a place, for each level of place."""
    rejected: Share = Decimal("0.2")
    """The largest share of a file's rows that cannot be read."""
    repeated: Share = Decimal("0.5")
    """The largest share of a file's rows whose record came before, in this file or an earlier one."""
    empty: tuple[Text, ...] = ()
    """Columns that may be empty in a whole file."""
    payment: tuple[Text, ...] = ()
    """Columns that are read although they hold what looks like numbers of cards or bank accounts."""
    reason: Text
    """Why these limits differ from the defaults."""


def accept_all(columns: Iterable[str]) -> Accept:
    """Limits that nothing is beyond, for generated records."""
    every = Decimal(1)
    return Accept(
        undated=every,
        unplaced=every,
        rejected=every,
        repeated=every,
        empty=tuple(columns),
        payment=tuple(columns),
        reason="the records are generated",
    )


class FileFormat(Model):
    """How raw files are written, wherever they are."""

    format: Literal["csv", "parquet", "json", "excel"] = "csv"
    delimiter: str = Field(",", min_length=1, max_length=1)
    encoding: Text = "utf-8"
    nulls: tuple[str, ...] = ()
    """Texts that mean missing, in addition to the empty text."""
    sheet: Text | None = None
    """The sheet of an Excel workbook. Default: the first."""
    accept: Accept | None = None
    """What may be odd about a file. Default: the limits of Accept, with no reason needed."""

    deliveries: ClassVar[tuple[str, ...]] = ("append", "snapshot", "changes")

    def basis(self) -> dict[str, Any]:
        """What decides how a file of the feed is landed."""
        return self.model_dump(include={"format", "delimiter", "encoding", "nulls", "sheet"})


class FileFeed(FileFormat):
    """The raw files, as the city publishes them, in the data folder."""

    kind: Literal["files"] = "files"
    path: DataPath
    """Relative to the data folder; may be a folder or contain wildcards."""

    @property
    def place(self) -> tuple[str, ...]:
        """Where the records come from: feeds share records if one's place is, or is inside, the other's. The path up
        to its first wildcard."""
        parts = (part for part in self.path.split("/") if part not in {"", "."})
        return ("files", *takewhile(lambda part: not set(part) & set("*?["), parts))


class Secret(Model):
    """A password or token: it is read where it is needed and written nowhere."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_itself(cls, value: object) -> object:
        if isinstance(value, str):
            raise ValueError('is never in a definition: write { env = "NAME" } or { file = "/full/path" }')
        return value

    env: Text | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The variable of the environment that holds it."""
    file: Text | None = Field(None, pattern=r"^/")
    """The file that holds it, by its full path."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("give exactly one of env, the name of a variable, and file, a full path")
        return self


class TableFeed(Model):
    """Records that publisher fetches itself, each column as text, and writes as its own private files."""

    nulls: tuple[str, ...] = ()
    """Texts that mean missing, in addition to the empty text."""
    accept: Accept | None = None
    """What may be odd about what is fetched. Default: the limits of Accept, with no reason needed."""

    format: ClassVar[Literal["parquet"]] = "parquet"
    deliveries: ClassVar[tuple[str, ...]] = ("changes",)
    never: ClassVar[frozenset[str]] = frozenset()
    """Columns that are never read: who reported it, names, pictures and free text."""
    names: ClassVar[str] = r".+"
    """What the names of columns are like."""


def _domain(domain: str) -> str:
    """A host, with a port if it has one. Raises ValueError."""
    known = re.fullmatch(r"[A-Za-z0-9.-]+(?::(\d{1,5}))?", domain)
    if known is None or not 0 < int(known[1] or 443) < 1 << 16:
        raise ValueError("is not a domain such as data.example.gov, without account and path")
    return domain.lower()


def _url(url: str) -> str:
    """An address without an account, a query or an end; strangers cannot read along. Raises ValueError."""
    try:
        parts = urlsplit(url)
        known = parts.hostname and parts.port != 0 and not (parts.query or parts.fragment or parts.username)
    except ValueError:  # a port that is none
        known = False
    if not known or "@" in url or re.search(r"\s", url):
        raise ValueError("is not an address such as https://example.gov/open311/v2, without account and query")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise ValueError("must begin with https://, so that no one can read or change the records on their way")
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    return host in _LOOPBACK


def web_address(domain: str) -> str:
    """The address of a domain: https, but for this machine."""
    return f"{'http' if is_loopback(urlsplit(f'//{domain}').hostname or '') else 'https'}://{domain}"


def _server_of(url: str) -> str:
    """Host, port and path of an address, however they are written."""
    parts = urlsplit(url)
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.hostname}{port}{parts.path}"


def _zoned(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError("has no time zone: write it such as 2024-01-01T00:00:00Z")
    return time


Url = Annotated[Text, AfterValidator(_url)]
Start = Annotated[datetime, AfterValidator(_zoned)]


class WebFeed(TableFeed):
    """Records that a server on the web gives out page by page."""

    token: Secret | None = None
    """The server's token for applications, if it wants one."""
    overlap_minutes: int = Field(60, ge=1, le=44_640)
    """How far a fetch reaches back before the beginning of the one before, for changes that the server shows late."""
    requests_per_second: Exact = Field(Decimal(2), gt=0, le=50)
    """At most so many requests are sent in a second."""
    attempts: int = Field(5, ge=1, le=20)
    """How often one request is tried before the fetch stops."""
    timeout: int = Field(60, ge=1, le=3600)
    """Seconds that one answer may take as a whole."""
    longest_wait: int = Field(300, ge=0, le=86_400)
    """The longest pause in seconds before another try; a server that asks for a longer one ends the fetch."""
    page_size: int = Field(1000, ge=1, le=1000)
    """Records in one answer."""
    user_agent: Text | None = Field(None, pattern=r"^[\x20-\x7e]+$")
    """How publisher names itself to the server, best with an address for questions. Default: its name and version."""


class SocrataFeed(WebFeed):
    """A dataset of a Socrata portal, by the time of each row's last change."""

    kind: Literal["socrata"]
    domain: Annotated[Text, AfterValidator(_domain)]
    """Such as data.example.gov."""
    dataset: Text = Field(pattern=r"^[a-z0-9]{4}-[a-z0-9]{4}$")
    """Its id, the last part of the dataset's address."""
    user: Secret | None = None
    """The account, or the id of an API key, for a dataset that is not public."""
    password: Secret | None = None
    """Its password, or the key's secret."""
    page_size: int = Field(1000, ge=1, le=50_000)
    """Rows in one answer."""

    names: ClassVar[str] = r"[a-z_][a-z0-9_]*(\..+)?"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("give both user and password, or neither")
        return self

    @property
    def place(self) -> tuple[str, ...]:
        """Where the records come from."""
        return (self.kind, _server_of(web_address(self.domain)), self.dataset)

    def basis(self) -> dict[str, Any]:
        """What decides what is fetched and how it is landed."""
        return self.model_dump(include={"kind", "domain", "dataset", "nulls"})


_REPORTER = "email device_id account_id first_name last_name phone phone_number contact name user username screen_name"
_PEOPLE = "reporter reporter_name witty_title assignee civic_points"
_WORDS = "description summary comments comment notes note status_notes service_notice html_url"
_PICTURES = "media media_url media_urls image image_url images photo photos photo_url avatar"
_NEVER = frozenset(f"{_REPORTER} {_PEOPLE} {_WORDS} {_PICTURES}".split())


class Open311Feed(WebFeed):
    """The service requests of an Open311 GeoReport v2 server, in windows of the time of request."""

    kind: Literal["open311"]
    url: Url
    """The endpoint, such as https://example.gov/open311/v2: requests.json is below it."""
    jurisdiction_id: Text | None = None
    """Needed where one server serves several jurisdictions."""
    start: Start
    """The time from which requests are fetched, with its zone, such as 2024-01-01T00:00:00Z."""
    revisit_days: int = Field(90, ge=1, le=3660)
    """How many days back every fetch reads again, since the standard cannot ask for what has changed."""
    window_days: int = Field(30, ge=1, le=89)
    """The days that one answer covers at first; a window with too many requests is halved."""
    page_size: int = Field(1000, ge=2, le=1000)
    """The most requests that the server puts in one answer."""

    never: ClassVar[frozenset[str]] = _NEVER

    @property
    def place(self) -> tuple[str, ...]:
        """Where the records come from; without a jurisdiction they may be of any."""
        return (self.kind, _server_of(self.url), *([self.jurisdiction_id] if self.jurisdiction_id else []))

    def basis(self) -> dict[str, Any]:
        """What decides what is fetched and how it is landed."""
        return self.model_dump(include={"kind", "url", "jurisdiction_id", "start", "nulls"}, mode="json")


class SeeClickFixFeed(WebFeed):
    """The issues of one place in SeeClickFix, in windows of the time of creation, by the time of the last change."""

    kind: Literal["seeclickfix"]
    url: Url = "https://seeclickfix.com/api/v2"
    place_url: Text = Field(pattern=r"^[a-z0-9_-]+$")
    """The place, as in the address of its page: minneapolis in seeclickfix.com/minneapolis."""
    start: Start
    """The time from which issues are fetched, with its zone, such as 2024-01-01T00:00:00Z."""
    page_size: int = Field(100, ge=2, le=1000)
    """Issues in one answer: the public server gives at most 100."""

    never: ClassVar[frozenset[str]] = _NEVER

    @property
    def place(self) -> tuple[str, ...]:
        """Where the records come from."""
        return (self.kind, _server_of(self.url), self.place_url)

    def basis(self) -> dict[str, Any]:
        """What decides what is fetched and how it is landed."""
        return self.model_dump(include={"kind", "url", "place_url", "start", "nulls"}, mode="json")


_DATABASE = re.compile(
    r"[a-z][a-z0-9_]*(?:\+[a-z][a-z0-9_]*)?://(?:[^:/?#@\s]+@)?(?:[^:/?#@\s\[\]]*|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?"
    r"(?:/[^?#@\s]*)?(?:\?[^#@\s]*)?"
)
"""The URL of a database. Stricter than its readers, so that no password is taken for a part of it."""
_PASSWORD = re.compile(r"pass|pwd|secret|token", re.IGNORECASE)
_BUCKET = re.compile(
    r"(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]|abfs://[a-z0-9][a-z0-9-]{1,61}[a-z0-9]@[a-z0-9]{3,24})/[^?#\s]+"
)


def _database(url: str) -> str:
    """The URL of a database, without a password, which no message shows. Raises ValueError."""
    if not _DATABASE.fullmatch(url) or _PASSWORD.search(unquote(url.partition("?")[2])):
        raise ValueError(
            "must be a database URL without a password, such as postgresql+psycopg://reader@db.example.gov/permits: "
            "`password` says where the password is"
        )
    return url


def stored_address(url: str) -> None:
    """Raises ValueError for a kind of store that publisher does not know."""
    scheme, known, _ = url.partition("://")
    if known and scheme not in ("s3", "abfs"):
        raise ValueError(
            f"{scheme}:// is not a store that publisher was tried with: it knows s3://, of Amazon S3 and stores with "
            "the same interface, and abfs://, of Azure"
        )


def _objects(url: str) -> str:
    """Names in a bucket. Raises ValueError."""
    stored_address(url)
    if not _BUCKET.fullmatch(url) or "**" in url or {"", ".."} & set(url.split("/")[3:]):
        raise ValueError(
            "must be s3://bucket/ or abfs://container@account/ and a pattern of names, such as "
            "s3://city-exports/permits/*.csv"
        )
    return url


def _endpoint(url: str) -> str:
    """The address of a store. Raises ValueError."""
    try:
        parts = urlsplit(url)
        known = re.fullmatch(r"https?://[^/?#@\s]+", url) and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none
        known = False
    if not known:
        raise ValueError("is not an address without a path, such as https://objects.example.gov:9000")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("must begin with https://, so that no one can read or change the records on their way")
    return url


Database = Annotated[Text, AfterValidator(_database)]
Objects = Annotated[Text, AfterValidator(_objects)]
Endpoint = Annotated[Text, AfterValidator(_endpoint)]


class SqlFeed(TableFeed):
    """A table or view of a database: all of its rows, or those that changed since the last fetch."""

    kind: Literal["sql"]
    url: Database | None = None
    """The database, as an SQLAlchemy URL without a password."""
    password: Secret | None = None
    """The password that belongs to it."""
    secret_url: Secret | None = None
    """Instead of both: the whole URL with its password."""
    table: Text
    """The table or view, with its schema if it is not the database's usual one: schema.table."""
    by: Text | None = None
    """The column with the time of a row's last change, for delivery = "changes". Default: every fetch reads all rows,
    for delivery = "snapshot"."""
    overlap_minutes: int = Field(120, ge=1, le=44_640)
    """How far a fetch reaches back before the newest change that the one before knew of: longer than any transaction
    that writes the table, and than the hour by which clocks are set back."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.url is None) == (self.secret_url is None):
            raise ValueError("give exactly one of url and secret_url")
        if self.url is None and self.password is not None:
            raise RuleError(("password",), "is in secret_url: delete it")
        return self

    @property
    def deliveries(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the fetched files are."""
        return ("changes",) if self.by else ("snapshot",)

    @property
    def place(self) -> tuple[str, ...]:
        """Where the records come from: one name of a table is one table, whatever the database is called."""
        return (self.kind, self.table.rpartition(".")[2].casefold())

    def basis(self) -> dict[str, Any]:
        """What decides what is fetched and how it is landed."""
        return self.model_dump(include={"kind", "table", "nulls"})


ServerFeed = SocrataFeed | Open311Feed | SeeClickFixFeed | SqlFeed
"""Feeds whose columns publisher chooses itself."""


class ObjectsFeed(FileFormat):
    """Raw files in an object store."""

    kind: Literal["objects"]
    url: Objects
    """The bucket and the names in it, such as s3://city-exports/permits/*.csv or
    abfs://container@account/permits/*.csv."""
    endpoint: Endpoint | None = None
    """The address of a store that is not Amazon's or Azure's own, such as https://objects.example.gov:9000."""
    region: Text | None = None
    """The bucket's region, for s3. Default: what the environment says."""
    anonymous: bool = False
    """True: the bucket is public and is read without keys; for s3."""

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        if self.anonymous and not self.url.startswith("s3://"):
            raise RuleError(("anonymous",), "is for s3:// alone: set AZURE_STORAGE_SAS_TOKEN")
        return self

    @property
    def place(self) -> tuple[str, ...]:
        """Where the records come from: up to the first wildcard."""
        parts = (part for part in self.url.partition("://")[2].split("/") if part)
        return (self.kind, *takewhile(lambda part: not set(part) & set("*?["), parts))


def _kind(feed: object) -> str | None:
    """The kind of a feed; a feed without one has files."""
    kind = feed.get("kind", "files") if isinstance(feed, dict) else getattr(feed, "kind", None)
    return kind if isinstance(kind, str) else None


KINDS: dict[str, type[FileFormat | TableFeed]] = {
    "files": FileFeed,
    "socrata": SocrataFeed,
    "open311": Open311Feed,
    "seeclickfix": SeeClickFixFeed,
    "sql": SqlFeed,
    "objects": ObjectsFeed,
}

Feed = Annotated[
    Annotated[FileFeed, Tag("files")]
    | Annotated[SocrataFeed, Tag("socrata")]
    | Annotated[Open311Feed, Tag("open311")]
    | Annotated[SeeClickFixFeed, Tag("seeclickfix")]
    | Annotated[SqlFeed, Tag("sql")]
    | Annotated[ObjectsFeed, Tag("objects")],
    Discriminator(
        _kind,
        custom_error_type="feed_kind",
        custom_error_message=f"kind must be one of {', '.join(KINDS)}",
    ),
]
"""Where the raw records of a source come from: one model for each kind."""
