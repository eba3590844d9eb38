"""What an audit finds, and how it watches the product: the product's functions, replaced for a moment."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Finding:
    """One thing that was checked. Its words have no exact value: shares of the sensitivity, yes or no, bounds."""

    what: str
    words: str
    passed: bool = True

    @property
    def status(self) -> str:
        """ok or failed."""
        return "ok" if self.passed else "failed"


@contextmanager
def replaced(module: Any, name: str, function: Any) -> Iterator[Any]:
    """The module with something else under that name; yields what was there before."""
    before = getattr(module, name)
    setattr(module, name, function)
    try:
        yield before
    finally:
        setattr(module, name, before)
