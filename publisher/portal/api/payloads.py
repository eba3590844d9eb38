"""The bodies that clients send to create and describe a dataset; unknown members are ignored, as in Socrata."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from publisher.portal.base.kinds import SPELLINGS, Kind
from publisher.portal.base.problems import SodaError, invalid

TAKEN = frozenset({"file_row_number", "file_index"})
"""Names of DuckDB's own columns, which the store needs."""
FOUR_BY_FOUR = re.compile(r"[0-9a-z]{4}-[0-9a-z]{4}")
_FIELD = re.compile(r"[a-z_][a-z0-9_]{0,254}", re.IGNORECASE)

Text = Annotated[str, Field(max_length=100_000)]
Value = TypeVar("Value")
Payload = TypeVar("Payload", bound=BaseModel)


class ColumnPayload(BaseModel):
    """A column to add or to describe."""

    model_config = ConfigDict(populate_by_name=True)

    id: int | None = None
    field: str | None = Field(None, validation_alias=AliasChoices("fieldName", "field_name"))
    name: str | None = Field(None, max_length=1000)
    kind: Kind = Field(Kind.TEXT, validation_alias=AliasChoices("dataTypeName", "data_type"))
    description: Text | None = None
    position: int | None = Field(None, ge=0, lt=2**31)

    @field_validator("kind", mode="before")
    @classmethod
    def _known_kind(cls, value: object) -> object:
        return SPELLINGS.get(value, value) if isinstance(value, str) else value

    @field_validator("field")
    @classmethod
    def _plain_name(cls, value: str | None) -> str | None:
        if value is not None and not _FIELD.fullmatch(value):
            raise ValueError("a field name can have only letters, digits, and _")
        if value is not None and value.lower() in TAKEN:
            raise ValueError("this field name is reserved; choose another")
        return value

    @property
    def field_name(self) -> str:
        """The field name sent, or one made from the display name."""
        if self.field:
            return self.field.lower()
        made = re.sub(r"[^a-z0-9]+", "_", (self.name or "").lower()).strip("_")
        if made in TAKEN:
            return f"{made}_1"
        return made if _FIELD.fullmatch(made) else f"_{made or 'column'}"


class ViewPayload(BaseModel):
    """The members of a view that a client may set; members not sent stay unchanged."""

    model_config = ConfigDict(populate_by_name=True)

    name: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    description: Text | None = None
    category: Annotated[str, Field(max_length=1000)] | None = None
    tags: list[Annotated[str, Field(max_length=200)]] | None = None
    attribution: Text | None = None
    attribution_link: Text | None = Field(None, validation_alias=AliasChoices("attributionLink", "attribution_link"))
    license_id: Annotated[str, Field(max_length=200)] | None = Field(
        None, validation_alias=AliasChoices("licenseId", "license_id", "license")
    )
    metadata: dict[str, Any] | None = None
    columns: list[ColumnPayload] | None = None

    def attributes(self) -> dict[str, Any]:
        """The sent members as attributes of a dataset, without columns and metadata. A null empties a text."""
        sent = self.model_dump(exclude_unset=True, exclude={"id", "columns", "metadata", "custom_fields"})
        emptied = {name: ([] if name == "tags" else "") for name, value in sent.items() if value is None}
        values = sent | emptied
        if not values.get("name", "-"):
            raise invalid("A dataset needs a name")
        return values


class NewViewPayload(ViewPayload):
    """A view to create, with the 4x4 that it should have; as in Socrata, any other text there is ignored."""

    id: str | None = None

    @field_validator("id", mode="before")
    @classmethod
    def _identifier(cls, value: object) -> str | None:
        return value if isinstance(value, str) and FOUR_BY_FOUR.fullmatch(value) else None


class MetadataPayload(ViewPayload):
    """The members that the metadata API accepts."""

    custom_fields: dict[str, dict[str, Any]] | None = Field(None, validation_alias="customFields")


class AttachmentPayload(BaseModel):
    """A file attached to a dataset."""

    filename: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^/\\\x00-\x1f]+$")]
    name: Annotated[str, Field(max_length=1000)] | None = None
    asset: str | None = Field(None, validation_alias=AliasChoices("assetId", "asset_id"), max_length=64)
    blob: str | None = Field(None, validation_alias=AliasChoices("blobId", "blob_id"), max_length=64)

    @property
    def file(self) -> str | None:
        """The id of the file."""
        return self.asset or self.blob


class PermissionsPayload(BaseModel):
    """Who may read a dataset."""

    scope: str


def parsed(model: type[Payload], content: bytes) -> Payload:
    """Read the body as a payload. Raises a SodaError that names the member, never its value."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise _refused(error, "") from None


def parsed_as(kind: type[Value], value: object, where: str) -> Value:
    """Read a member of a body as this type. Raises a SodaError that names the member, never its value."""
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise _refused(error, where) from None


def _refused(error: ValidationError, where: str) -> SodaError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join([*([where] if where else []), *(str(part) for part in first["loc"])]) or "the body"
    return invalid(f"{place}: {first['msg']}")
