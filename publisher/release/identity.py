"""What makes two releases the same draw, and the same finish of a draw.

The statistical hash covers everything that decides the noisy draw; a change makes a new, charged release.
The finishing hash covers what is done afterwards; a change finishes the same draw again and costs nothing.
Titles and descriptions are in neither.
"""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decimal import Decimal

    from publisher.definitions.dataset import Dataset
    from publisher.definitions.source import Source
    from publisher.workspace import DatasetFile, SourceFile


def statistical_hash(dataset: DatasetFile, fingerprint: str) -> str:
    """The hash over unit, window, feed, places (`fingerprint` of their files), SQL, keys, bounds, measures, losses."""
    return _hash({"source": _source(dataset.source, fingerprint), "dataset": _dataset(dataset)})


def finishing_hash(dataset: DatasetFile) -> str:
    """The hash over suppression, published measures and the names of the keys."""
    definition = dataset.definition
    return _hash(
        {
            "suppression": definition.suppression.model_dump(mode="json"),
            "measures": [
                {"name": each.name, "kind": each.kind, "publish": each.publish, "sum": each.sum_, "count": each.count}
                for each in definition.measures
            ],
            "labels": [keyset.labels for keyset in dataset.keysets],
        }
    )


def _source(source: SourceFile, fingerprint: str) -> dict[str, Any]:
    definition: Source = source.definition
    fields = {"timezone", "delivery", "privacy", "record_id", "event", "register_", "feed"}
    # Defaults are left out: a key that a later version adds must not make every release a new one.
    values = definition.model_dump(mode="json", include=fields, exclude_defaults=True)
    values["privacy"].pop("budget")
    values["feed"].pop("path")
    return values | {
        "columns": {name: definition.columns[name].identifier for name in definition.landed},
        "lookups": {name: [lookup.columns, sorted(lookup.rows)] for name, lookup in source.lookups.items()},
        "places": fingerprint,
        "sql": _words(source.sql),
    }


def _dataset(dataset: DatasetFile) -> dict[str, Any]:
    definition: Dataset = dataset.definition
    pairs = zip(definition.keys, dataset.keysets, strict=True)
    return {
        "period": definition.period,
        "grain": definition.cell_grain,
        "keys": [[key.name, list(keyset.keys), key.other] for key, keyset in pairs],
        "bounds": definition.bounds.model_dump(),
        "loss": [definition.loss.currency, str(definition.loss.amount)],
        "measures": [
            [each.name, each.kind, each.column, *map(_exact, (each.lower, each.upper, each.resolution)),
             str(definition.loss_of(each))]
            for each in definition.measured
        ],
    }  # fmt: skip


def _exact(number: Decimal | None) -> str | None:
    """The number however it was written: 1, 1.0 and 1e0 are the same."""
    return str(Fraction(number)) if number is not None else None


def _words(sql: str) -> list[str]:
    """The statement without comments, line breaks and the case of bare words; 'who', "who" and who are three words."""
    import sqlglot

    quotes = {"STRING": "'", "IDENTIFIER": '"'}
    tokens = [(quotes.get(each.token_type.name), each.text) for each in sqlglot.tokenize(sql, dialect="duckdb")]
    return [text.lower() if quote is None else quote + text for quote, text in tokens]


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
