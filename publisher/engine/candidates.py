"""The candidates of a key column whose keys are not public: how many units have each. Exact, in memory only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.duck import safely

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
        found = rows.run(
            f"SELECT key, count(*) FROM (SELECT key, row_number() OVER (PARTITION BY _unit, _window "
            f"ORDER BY hash(_unit, key, ?::UBIGINT), key) AS place FROM (SELECT DISTINCT key, _unit, _window {known})) "
            f"WHERE place <= ? GROUP BY key",
            ordering_key,
            key.other,
            rows.dataset.definition.bounds.max_groups,
        ).fetchall()
        return {str(name): int(units) for name, units in found}
