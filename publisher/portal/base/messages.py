"""Texts of the pages that stand in code."""

from __future__ import annotations


def message(text: str) -> str:
    """Mark a text in code that is translated where a page shows it."""
    return text
