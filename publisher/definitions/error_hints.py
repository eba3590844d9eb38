"""What to do about a refused setting: it was renamed, or it would be taken from the records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.grades import LIMITS

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_BOUNDS = ("max_groups", "max_per_group")
_CLAMPS = ("lower", "upper", "resolution", "bins")
_RULES = ("threshold", "customers", "largest_share")
_EXACT = ("on", "basis", "true", "true_count", "exact", "exact_count", "raw_threshold", "min_true_count")

TUNE = "`publisher tune` measures what fits, with noise, and charges the budget"


_RENAMED = {"organisation": "organization", "licence": "license", "licence_url": "license_url"}
_FORMER = {old: f"is now called {new}: rename the key" for old, new in _RENAMED.items()} | {
    "unreliable": f"is no longer a setting: every dataset has the same limits, {LIMITS[0]}% and {LIMITS[1]}% of the "
    "value (docs/privacy.md). Delete this line. Released periods get a new edition of the same draw, at no cost"
}
"""Settings of older workspaces, and what to do about each."""


def refusal(fault: ErrorDetails) -> str | None:
    """What to do, if a plain message would not say it; None for other faults."""
    names = [part for part in fault["loc"] if isinstance(part, str) and part != "function-after"]
    last = names[-1] if names else ""
    if fault["type"] == "extra_forbidden" and (said := _FORMER.get(last)):
        return said
    if "suppression" in names and fault["type"] == "extra_forbidden" and last in _EXACT:
        return (
            "a threshold on true counts is not allowed: one record would decide what is shown, and the guarantee would "
            "not hold. Use `threshold`, which compares the noisy value and costs nothing"
        )
    if not isinstance(fault["input"], str) or fault["type"] == "extra_forbidden":
        return None
    if last in (*_BOUNDS, *_CLAMPS):
        return (
            f"must be a number that people choose: one taken from the records would reveal something about them. {TUNE}"
        )
    if last in _RULES:
        return "must be a number that people choose: one taken from the records would reveal something about them"
    return None
