"""The publisher's own words in other languages, which the portal's pages in these languages show instead."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from publisher.definitions.model import LANGUAGES, Model, in_other_languages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.workspace import DatasetFile


def translations_of(dataset: DatasetFile) -> str:
    """By language, what each English text of the dataset is in it, as JSON; empty if it has no translation.

    One text is one thing in a dataset: where two settings have the same words, the last one that is translated counts.
    """
    found: dict[str, dict[str, str]] = {code: {} for code in LANGUAGES[1:]}
    for text in _texts(dataset.definition):
        for code, other in in_other_languages(text).items():
            found[code][text] = other
    for keyset in (*dataset.keysets, *(each.keyset for each in dataset.coarser)):
        found = {code: known | keyset.in_language(code) for code, known in found.items()}
    used = {code: known for code, known in found.items() if known}
    return json.dumps(used, ensure_ascii=False, sort_keys=True) if used else ""


def _texts(value: object) -> Iterator[str]:
    """Every text in a definition."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, Model):
        for name in type(value).model_fields:
            yield from _texts(getattr(value, name))
