"""The JSON Schema of each kind of file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from publisher.definitions.dataset import Dataset
from publisher.definitions.settings import Settings
from publisher.definitions.source import Source

if TYPE_CHECKING:
    from publisher.definitions.model import Model

KINDS: dict[str, type[Model]] = {"workspace": Settings, "source": Source, "dataset": Dataset}


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of publisher.toml, pipelines/<source>.toml or datasets/<dataset>.toml."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | KINDS[kind].model_json_schema(by_alias=True)
