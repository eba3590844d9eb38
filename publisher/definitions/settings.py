"""`publisher.toml`: the organization, its folders, its engine's limits and its portal."""

from __future__ import annotations

import base64
import re
from decimal import Decimal
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from publisher.definitions.clock import AnswerClock, CaseKind
from publisher.definitions.feed import Endpoint, Secret, stored_address
from publisher.definitions.model import Exact, Model, RuleError, Slug, Text
from publisher.definitions.schedule import known_holidays

SERVER = re.compile(
    r"postgresql\+psycopg://(?:(?P<user>[^:/?#@\s]*)(?::(?P<password>[^:/?#@\s]*))?@)?"
    r"(?P<host>[^:/?#@\s\[\]]*|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?/(?P<database>[^/?#@\s]+)(?:\?(?P<query>[^#\s]*))?"
)
"""The address of a PostgreSQL database. Stricter than its drivers, so that no password is taken for a host."""


_FOLDER = re.compile(
    r"(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]|abfs://[a-z0-9][a-z0-9-]{1,61}[a-z0-9]@[a-z0-9]{3,24})(/[A-Za-z0-9_=-]+)+"
)
"""A bucket and a part of it."""


def address(url: str) -> str:
    """The address of a portal, unchanged. Raises ValueError if a portal cannot have it."""
    try:
        parts = urlsplit(url)
        known = re.fullmatch(r"https?://[^/?#@\s]+", url) and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none
        known = False
    if not known:
        raise ValueError("is not an address without a path, such as http://127.0.0.1:8311")
    return url


def _server(address: str) -> str:
    match = SERVER.fullmatch(address)
    if match is None:
        raise ValueError("is not of the form postgresql+psycopg://user@host:5432/database")
    if match["password"] is not None or "password" in (match["query"] or ""):
        raise ValueError("must not contain a password: put it in PGPASSWORD, ~/.pgpass or PUBLISHER_LEDGER")
    return address


Server = Annotated[str, AfterValidator(_server)]

KEY = "ed25519:"
"""What the public key of a reviewer begins with."""


def _public_key(text: str) -> str:
    try:
        raw = base64.b64decode(text.removeprefix(KEY), validate=True)
    except ValueError:
        raw = b""
    # written in another way, the same key would count as another one
    if len(raw) != 32 or text != KEY + base64.b64encode(raw).decode():
        raise ValueError("is not a public key: copy the line that `publisher reviewers key NAME` prints")
    return text


PublicKey = Annotated[str, AfterValidator(_public_key)]


class SparkSettings(Model):
    """The Spark session that counts the records; one of `master` and `remote`."""

    master: Text | None = None
    """A classic session, such as local[4], spark://host:7077 or yarn."""
    remote: Text | None = Field(None, pattern=r"^sc://[^/?#@\s]+(/.*)?$")
    """A Spark Connect server, such as sc://host:15002; Sail is one."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.master is None) == (self.remote is None):
            raise ValueError("needs one of `master` and `remote`")
        return self


class EngineSettings(Model):
    """Limits of DuckDB, and where it runs."""

    memory: Text = Field("1500MB", pattern=r"^\d+(MB|GB)$")
    """The most memory of a query, such as 1500MB or 4GB. With processes: of all workers together; with spark: of each
    task."""
    threads: int | None = Field(None, ge=1, le=256)
    """Default: all processors. With processes: how many workers there are."""
    executor: Literal["local", "processes", "spark"] = "local"
    """Where releases are counted: in this process, in worker processes on this machine, which also land raw files, or
    on Spark. The numbers are the same."""
    spark: SparkSettings | None = None
    """The Spark session of `executor = "spark"`; `publisher audit` compares with it whatever the executor is."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.executor == "spark" and self.spark is None:
            raise RuleError(("executor",), "spark needs the table [engine.spark] with `master` or `remote`")
        return self

    @property
    def memory_bytes(self) -> int:
        """The memory in bytes; M and G are powers of ten, as for DuckDB."""
        return int(self.memory[:-2]) * (10**6 if self.memory.endswith("MB") else 10**9)


def _stored(url: str) -> str:
    stored_address(url)
    if not _FOLDER.fullmatch(url):
        raise ValueError(
            "must be s3://bucket/prefix or abfs://container@account/prefix, such as s3://city-records/landed"
        )
    return url


class LandedSettings(Model):
    """The object store that landed records and first receipts lie in. Its keys come from the environment, never from
    this file."""

    url: Annotated[Text, AfterValidator(_stored)]
    """The bucket and the beginning of the names in it, such as s3://city-records/publisher or
    abfs://container@account/publisher. No one else may read it, and nothing else may be there."""
    endpoint: Endpoint | None = None
    """The address of a store that is not Amazon's or Azure's own, such as https://objects.example.gov:9000."""
    region: Text | None = None
    """The bucket's region, for s3. Default: what the environment says."""


class KeySource(Model):
    """Where the key of a workspace is: 32 random bytes as text, such as `openssl rand -base64 32` prints."""

    env: Text | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The variable of the environment that holds it."""
    file: Text | None = Field(None, pattern=r"^/")
    """The file that holds it, by its full path; only its owner may read it."""
    command: tuple[Text, ...] | None = Field(None, min_length=1)
    """The command that prints it, such as that of a key management service, as a list of words."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_itself(cls, value: object) -> object:
        if isinstance(value, str):
            raise ValueError(
                'is never in publisher.toml: write { env = "NAME" }, { file = "/full/path" } or { command = ["…"] }'
            )
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(each is not None for each in (self.env, self.file, self.command)) != 1:
            raise ValueError("give exactly one of env, file and command")
        return self


class EncryptionSettings(Model):
    """Encryption of landed records, first receipts and private reports where they lie."""

    key: KeySource
    """Where the workspace's key is."""
    previous: KeySource | None = None
    """Where the key before it is, until `publisher keys rotate` has written every file with the new one."""
    spill: Literal["off", "encrypted-volume"] = "off"
    """off: what does not fit into memory is not written to disk, and temporary files are made in memory.
    encrypted-volume: the state folder is on a disk that is encrypted itself, so both may be there."""


class PortalSettings(Model):
    """Where releases are published. Credentials come from the environment, never from this file."""

    kind: Literal["embedded", "socrata"] = "embedded"
    """embedded: the portal of `publisher serve`; socrata: a Socrata domain."""
    url: Annotated[Text, AfterValidator(address)] = Field("http://127.0.0.1:8311", pattern=r"^https?://[^/]+$")
    """embedded: where `publisher serve` listens. Without a port: 443 for https, 80 for http. PUBLISHER_PORTAL overrides
    it."""
    domain: Text | None = None
    """socrata: the portal's domain, such as data.example.gov."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.kind == "socrata") != (self.domain is not None):
            raise ValueError("a socrata portal needs `domain`; an embedded one must not have it")
        return self

    @property
    def port(self) -> int:
        """The port of `url`; the default of its scheme if it names none."""
        address = urlsplit(self.url)
        return address.port or (443 if address.scheme == "https" else 80)


class NoticeSettings(Model):
    """Who is told when something needs a person. Addresses contain passwords, so they are never in this file."""

    addresses: Secret
    """Where the addresses are, one on each line, such as mailto://user:password@mail.example.gov?to=data@example.gov."""
    budget_periods: int = Field(3, ge=0, le=1000)
    """So many periods before a budget refuses, it is told."""


class ReviewSettings(Model):
    """Who approves definitions and releases. What they decided is signed with keys that only they have."""

    required: int = Field(1, ge=1, le=2)
    """How many reviewers must approve a definition before it is charged, and a release before it is published."""
    definition_days: int = Field(365, ge=1, le=3650)
    """So many days after an approval of a definition, it has to be approved again before anything else is charged."""
    form: bool = False
    """Whether a definition can be approved only with a benefit-risk form in reviews/<dataset>.md that is filled in."""
    reviewers: dict[Slug, PublicKey] = Field(min_length=1)
    """The reviewers by name, each with the public key that `publisher reviewers key NAME` prints."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.reviewers) < self.required:
            raise RuleError(("required",), f"asks for {self.required} approvals of {len(self.reviewers)} reviewer(s)")
        names = list(self.reviewers)
        for n, name in enumerate(names):
            if self.reviewers[name] in [self.reviewers[each] for each in names[:n]]:
                raise RuleError(("reviewers", name), "has the key of another reviewer: each makes a key of their own")
        return self


LawName = Literal["minnesota", "missouri", "new-york", "washington"]
"""The states whose open-records law comes with publisher."""


class CaseSettings(Model):
    """How letters from people are answered: whose law and holidays count, and what preparing summary data costs."""

    law: LawName | None = None
    """The state whose law sets the clocks. Default: none, and then your own rule: 30 days for a contested number, 10
    business days for a request."""
    clocks: dict[CaseKind, AnswerClock] = Field(default_factory=dict)
    """Clocks that take the place of the law's: accuracy for a contested number, summary for a request."""
    holidays: Annotated[Text, AfterValidator(known_holidays)] = "US"
    """Whose public holidays are no business days, such as US or US-MN."""
    warn_days: int = Field(5, ge=0, le=60)
    """So many days before an answer is due, `publisher status` and notices say so."""
    hourly_rate: Exact = Field(Decimal(0), ge=0, le=1000)
    """What an hour of preparing summary data costs the person who asked, in dollars."""
    retention_months: int | None = Field(None, ge=1, le=1200)
    """Months for which closed cases are kept with their letters; then `publisher purge` deletes them, unless a legal
    hold is in force. Default: until a person deletes them."""
    signed: Text | None = None
    """Who signs the letters: a name, an office. Default: the organization."""


class Settings(Model):
    """`publisher.toml`."""

    organization: Text
    """Who publishes, as readers see it."""
    contact: Text
    """An address that readers of the data can write to."""
    license: Text
    """The license of the published data, such as CC0 1.0."""
    license_url: Text | None = None
    """The address of the license's text."""
    jurisdiction: Text
    """The open records law that applies to you."""
    data: Text = "data"
    """The folder of the raw files; PUBLISHER_DATA overrides it."""
    state: Text = "state"
    """The folder for everything that publisher writes; PUBLISHER_STATE overrides it."""
    ledger: Server | None = None
    """A PostgreSQL database for the ledger alone, such as postgresql+psycopg://user@host/publisher; PUBLISHER_LEDGER
    overrides it. Default: a file in the private folder."""
    heads: Text | None = None
    """The folder for the ledger's newest head, outside `state`, best on another disk. Default: publisher/heads in
    $XDG_STATE_HOME, or in ~/.local/state."""
    noise: Literal["numpy", "opendp"] = "numpy"
    """What draws the noise: publisher's own exact integer sampler (numpy) or OpenDP's. OpenDP accounts for both."""
    most_periods: int = Field(24, ge=1)
    """How many new periods of one dataset a run may release without asking."""
    engine: EngineSettings = EngineSettings.model_construct(memory="1500MB", threads=None, executor="local", spark=None)
    """Limits of the engine that reads and counts the records."""
    landed: LandedSettings | None = None
    """The object store that landed records lie in. Default: the private folder."""
    encryption: EncryptionSettings | None = None
    """The key that landed records, first receipts and private reports are encrypted with. Default: they are not."""
    portal: PortalSettings = PortalSettings.model_construct(kind="embedded", url="http://127.0.0.1:8311", domain=None)
    """Where releases are published."""
    notices: NoticeSettings | None = None
    """Who is told when something needs a person. Default: no one."""
    review: ReviewSettings | None = None
    """Who approves definitions and releases. Default: no one has to."""
    cases: CaseSettings | None = None
    """How contested numbers and requests for summary data are answered. Default: publisher keeps no such cases."""

    @model_validator(mode="after")
    def _check_encryption(self) -> Self:
        if self.encryption is None:
            return self
        if self.landed is not None:
            words = "does not go with [landed]: have the store encrypt what lies in it, and remove one of the two"
            raise RuleError(("encryption",), words)
        if self.engine.executor == "spark":
            words = (
                'spark does not go with [encryption], whose key stays on this machine: set it to "local" or "processes"'
            )
            raise RuleError(("engine", "executor"), words)
        return self
