"""Quote names and texts for SQL, SoQL, and OData filters."""

from __future__ import annotations


def quoted(name: str) -> str:
    """The name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as a quoted string."""
    return "'" + text.replace("'", "''") + "'"
