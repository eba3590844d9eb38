"""The candidates of a key column whose keys are not public: how many units have each. Exact, in memory only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.duck import safely
from publisher.engine.bounding import rank_within
from publisher.engine.input import make_table
from publisher.engine.order import chained, halves, seeds, word_of

if TYPE_CHECKING:
    from publisher.engine.input import BoundedInput


UNFIT = r"^\s*$|^[=+@-]|[[:cntrl:]]"
"""Texts that are never keys and count as `other`: empty, with control characters, or a spreadsheet formula."""


def candidates(rows: BoundedInput, ordering_key: int) -> dict[str, int]:
    """The number of units by key; one unit in one window counts for at most `max_groups` keys, once for each.

    Which keys of a unit count depends only on its own rows and the ordering key.
    """
    key = rows.dataset.definition.discovered
    if key is None:
        return {}
    text = f'CAST("{key.name}" AS VARCHAR)'
    values = f"SELECT {text} AS key{', _unit, _window' if rows.people else ''} FROM records"
    known = f"FROM ({values}) WHERE key IS NOT NULL AND key <> ? AND NOT regexp_matches(key, '{UNFIT}')"
    with safely(f"{rows.dataset.name} {rows.period.label}: finding keys"):
        rows.load()
        if not rows.people:
            found = rows.run(f"SELECT key, count(*) {known} GROUP BY key", key.other).fetchall()
            return {str(name): int(units) for name, units in found}
        into = "CREATE OR REPLACE TEMP TABLE keys_of_units AS "
        rows.run(f"SELECT DISTINCT key, _unit, _window {known}", key.other, into=into)
        return _bounded(rows, ordering_key)


def _bounded(rows: BoundedInput, ordering_key: int) -> dict[str, int]:
    """The same from the table `keys_of_units`: the first keys of each unit in the keyed order."""
    import numpy as np

    run, most = rows.connection.execute, rows.dataset.definition.bounds.max_groups
    texts = sorted(text for (text,) in run("SELECT DISTINCT key FROM keys_of_units").fetchall())
    make_table(rows.connection, "numbered_keys", {"key": texts, "code": np.arange(len(texts), dtype=np.int64)})
    found = run(f"SELECT {halves('_unit', 'unit')}, _window, code FROM keys_of_units JOIN numbered_keys USING (key)")
    high, low, window, code = (np.asarray(column) for column in found.fetchnumpy().values())
    words = np.array([word_of(text, ordering_key) for text in texts], dtype=np.uint64)
    priority = chained(seeds(ordering_key, high, low), words[code])
    order = np.lexsort((code, priority, window, low, high))  # where two priorities are equal, the lower text is first
    high, low, window, code = high[order], low[order], window[order], code[order]
    begins = np.ones(len(code), dtype=bool)
    begins[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1]) | (window[1:] != window[:-1])
    kept = rank_within(np.cumsum(begins)) < most
    units = np.bincount(code[kept], minlength=len(texts)).tolist()
    return {text: count for text, count in zip(texts, units, strict=True) if count}
