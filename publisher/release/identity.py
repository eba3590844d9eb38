"""What makes two releases the same draw, and the same finish of a draw.

The statistical hash covers everything that decides the noisy draw; a change makes a new, charged release.
The finishing hash covers what is done after the draw; a change finishes the same draw again and costs nothing.
Titles and descriptions are in neither.
"""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from publisher.grades import LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from publisher.definitions.dataset import Dataset, Key, Measure, Suppression
    from publisher.definitions.keyset import Keyset
    from publisher.definitions.source import Source
    from publisher.definitions.totals import TotalOverTime
    from publisher.workspace import CoarserFile, DatasetFile, SourceFile


def statistical_hash(dataset: DatasetFile, fingerprint: str, order: str = "") -> str:
    """The hash over unit, window, feed, late records, places (`fingerprint` of their files), SQL, keys, bounds,
    measures, rollups, losses and the keyed order (empty: none is needed, or the one of the first version).

    The same draw, for any `dataset`: another title, or the same SELECT written in another way.

    >>> from dataclasses import replace
    >>> before = statistical_hash(dataset, "")
    >>> def changed(**values):
    ...     return replace(dataset, definition=dataset.definition.model_copy(update=values))
    >>> statistical_hash(changed(title="Another title"), "") == before
    True
    >>> again = replace(dataset.source, sql=dataset.source.sql.lower() + " -- a comment")
    >>> statistical_hash(replace(dataset, source=again), "") == before
    True

    Another release period, or boundaries with other content, make a new draw.

    >>> statistical_hash(changed(period="year"), "") == before
    False
    >>> statistical_hash(dataset, "other boundaries") == before
    False
    """
    value = {"source": _source(dataset.source, fingerprint), "dataset": _dataset(dataset)}
    return _hash(value | {"order": order} if order else value)


def statistical_parts(dataset: DatasetFile, fingerprint: str) -> dict[str, str]:
    """A short hash of each part that the statistical hash covers, so that people can see which one was edited."""
    parts = _source(dataset.source, fingerprint) | _dataset(dataset)
    losses = [each.pop(_LOSS) for each in parts["measures"]]
    parts["shares"] = [str(Fraction(loss) / dataset.definition.loss.amount) for loss in losses]
    return {name: _hash(value)[:16] for name, value in parts.items()}


def finishing_hash(dataset: DatasetFile) -> str:
    """The hash over suppression, the limits of the grades, published measures and tables, and the names of the keys."""
    definition = dataset.definition
    value: dict[str, Any] = {
        "suppression": _suppression(definition.suppression),
        "grades": [*LIMITS, "uncut"],  # a margin cut to nothing was ok before
        "measures": [_finished(measure) for measure in definition.measures],
        "labels": [keyset.labels for keyset in dataset.keysets],
    }
    if dataset.coarser:
        value["coarser"] = [each.keyset.labels for each in dataset.coarser]
    if definition.publish_measurements:
        value["publish_measurements"] = "in units"  # older releases had them in whole steps
    if hidden := [rollup.name for rollup in definition.rollups if not rollup.publish]:
        value["hidden"] = hidden
    return _hash(value)


def conditions_hash(dataset: DatasetFile, suites: Mapping[str, bytes]) -> str:
    """The hash over the conditions of automatic approval, what people expect of each table, and the finish."""
    rule = dataset.definition.automatic_approval
    numbers = [_exact(rule.most_change), _exact(rule.most_withheld)] if rule is not None else []
    expected = {name: hashlib.sha256(content).hexdigest() for name, content in suites.items()}
    return _hash([numbers, expected, finishing_hash(dataset)])


def total_hash(dataset: DatasetFile, total: TotalOverTime) -> str:
    """The hash over what decides how a total over time is computed and finished."""
    return _hash([finishing_hash(dataset), total.grain, total.level])


def totals_hash(dataset: DatasetFile) -> str:
    """The hash over what decides all its totals over time; empty if there are none."""
    totals = dataset.definition.totals
    return _hash([[each.name, total_hash(dataset, each)] for each in totals]) if totals else ""


def same_counts(dataset: DatasetFile, fingerprint: str, parts: Mapping[str, str]) -> bool:
    """Whether a release with these parts counts what this definition counts: it may have spent another loss, or
    measured in addition how much its bounds let count."""
    own = statistical_parts(dataset, fingerprint)
    return all(parts.get(name) == value for name, value in own.items() if name not in ("loss", "shares", "coverage"))


def _suppression(rule: Suppression) -> dict[str, Any]:
    """The rule as the first version wrote it, plus the later settings that are set."""
    first = {"measure", "threshold", "customers", "largest_share"}
    later = rule.model_dump(mode="json", exclude=first, exclude_defaults=True)
    return rule.model_dump(mode="json", include=first) | later


def _finished(measure: Measure) -> dict[str, Any]:
    value = {"name": measure.name, "kind": measure.kind, "publish": measure.publish}
    value |= {"sum": measure.sum_, "count": measure.count}
    if measure.kind == "mean":
        value |= {"range": "joint"}  # older releases had that of two ranges, of the sum and the count
    if measure.kind == "quantile":
        value |= {"histogram": measure.histogram, "probability": _exact(measure.probability)}
        value |= {"interpolated": _exact(measure.resolution) or "anywhere"}  # older releases had the bin's end
    return value


def _source(source: SourceFile, fingerprint: str) -> dict[str, Any]:
    definition: Source = source.definition
    fields = {"timezone", "delivery", "privacy", "record_id", "event", "register_", "feed", "late"}
    # Defaults are left out: a key that a later version adds must not make every release a new one.
    values = definition.model_dump(mode="json", include=fields, exclude_defaults=True)
    values["privacy"].pop("budget")
    values["privacy"].pop("delta", None)
    feed = definition.feed  # neither where files lie nor how a server is asked decides what is in a release
    values["feed"] = feed.model_dump(mode="json", include=set(feed.basis()), exclude_defaults=True)
    return values | {
        "columns": {name: definition.columns[name].identifier for name in definition.landed},
        "lookups": {name: [lookup.columns, sorted(lookup.rows)] for name, lookup in source.lookups.items()},
        "places": fingerprint,
        "sql": _words(source.sql),
    }


def _dataset(dataset: DatasetFile) -> dict[str, Any]:
    definition: Dataset = dataset.definition
    pairs = zip(definition.keys, dataset.keysets, strict=True)
    value: dict[str, Any] = {
        "period": definition.period,
        "grain": definition.cell_grain,
        "keys": [[key.name, _keys(key, keyset), key.other] for key, keyset in pairs],
        "bounds": definition.bounds.model_dump(include={"max_groups", "max_per_group"}),
        "loss": [definition.loss.currency, str(definition.loss.amount)],
        "measures": [_measured(definition, each) for each in definition.measured],
    }
    # What a definition does not use is left out: a part that a later version adds must not make every release new.
    if definition.covered:
        wider = definition.bounds.wider
        uppers = {each.name: _exact(each.wider.upper) for each in definition.covered}
        value["coverage"] = [str(definition.coverage_loss), wider.max_groups, wider.max_per_group, uppers]
    if definition.rollups:
        value["rollups"] = [
            [each.name, each.keys, each.grain or definition.cell_grain, str(definition.share_of(each.name))]
            for each in definition.rollups
        ]
    if dataset.coarser:
        value["coarser"] = [_coarser(each) for each in dataset.coarser]
    return value


def _keys(key: Key, keyset: Keyset) -> object:
    """The public keys, or how the others are found."""
    if key.discover is None:
        return list(keyset.keys)
    return {"discover": [_exact(key.discover.share), _exact(key.discover.delta)]}


def _coarser(key: CoarserFile) -> list[object]:
    definition = key.definition
    return [definition.name, definition.of, sorted(key.mapping.rows), key.keyset.keys, definition.other]


_LOSS = 6
"""The position of the loss in what is hashed for a measure."""


def _measured(definition: Dataset, measure: Measure) -> list[object]:
    """The loss is that of the finest table; those of rollups follow from the shares."""
    clamps = map(_exact, (measure.lower, measure.upper, measure.resolution))
    bins = [[_exact(edge) for edge in measure.bins]] if measure.bins is not None else []
    return [measure.name, measure.kind, measure.column, *clamps, str(definition.loss_of(measure)), *bins]


def _exact(number: Decimal | None) -> str | None:
    """The number, no matter how it was written: 1, 1.0 and 1e0 are the same."""
    return str(Fraction(number)) if number is not None else None


def _words(sql: str) -> list[str]:
    """The statement without comments, line breaks and the case of bare words; 'who', "who" and who are three words."""
    import sqlglot

    strings = ("STRING", "HEREDOC_STRING", "BYTE_STRING", "RAW_STRING", "UNICODE_STRING", "NATIONAL_STRING")
    quotes = dict.fromkeys(strings, "'") | {"IDENTIFIER": '"'}
    tokens = [(quotes.get(each.token_type.name), each.text) for each in sqlglot.tokenize(sql, dialect="duckdb")]
    return [text.lower() if quote is None else quote + text for quote, text in tokens]


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
