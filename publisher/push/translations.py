"""The publisher's own words in other languages, which the portal's pages in these languages show instead."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from publisher.definitions.model import LANGUAGES
from publisher.release.translation import catalog, in_language, words_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile


def translations_of(dataset: DatasetFile, relation: str = "") -> str:
    """By language, what each English text of the dataset is in it, as JSON; empty if it has no translation.

    `relation` is what a companion says of itself after the dataset's description.
    """
    used = {
        code: known | _described(dataset, relation, code, known)
        for code in LANGUAGES[1:]
        if (known := words_of(dataset, code))
    }
    return json.dumps(used, ensure_ascii=False, sort_keys=True) if used else ""


def _described(dataset: DatasetFile, relation: str, code: str, known: Mapping[str, str]) -> dict[str, str]:
    """A companion's whole description, where all of it can be said."""
    text = dataset.definition.description
    said = catalog(code).paragraph(relation, known) if relation and text in known else None
    return {f"{text} {relation}": f"{known[text]} {said}"} if said is not None else {}


def guarantees_of(dataset: DatasetFile, release: Release) -> dict[str, str]:
    """The release's guarantee in each other language that can say all of it, as a field of its own."""
    said = {code: in_language(code, release.statement, words_of(dataset, code)) for code in LANGUAGES[1:]}
    return {f"guarantee_{code}": text for code, text in said.items() if text is not None}
