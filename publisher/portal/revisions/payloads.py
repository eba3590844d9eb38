"""The bodies that clients send about revisions, sources, and configurations."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class ActionPayload(BaseModel):
    """What a revision does."""

    type: Literal["update", "replace", "delete", "metadata"] = "update"
    permission: Literal["public", "private"] | None = None
    error_behavior: Literal["import_null", "reject_row"] = "import_null"


class RevisionPayload(BaseModel):
    """A revision to open or change; members not sent stay unchanged."""

    action: ActionPayload = Field(default_factory=ActionPayload)
    metadata: dict[str, Any] | None = None
    config: str | None = None
    output_schema_id: int | None = Field(None, ge=0, lt=2**63)
    notes: str | None = Field(None, max_length=100_000)


class SourcePayload(BaseModel):
    """A source to add or change."""

    source_type: dict[str, Any] = Field(default_factory=dict)
    parse_options: dict[str, Any] | None = None


class ConfigPayload(BaseModel):
    """A configuration, with the settings for revisions and sources made with it."""

    name: str = Field("", max_length=200, pattern=r"^[^/{}]*$")
    data_action: Literal["update", "replace", "delete"] = "replace"
    parse_options: dict[str, Any] | None = None
    columns: list[dict[str, Any]] | None = None


class _Membership(BaseModel):
    fourfour: str
    revision_seq: int


class MembershipPayload(BaseModel):
    """The revision that a source is added to."""

    revision: _Membership


class ContentPayload(BaseModel):
    """The type of an upload."""

    content_type: str = Field(max_length=200)
