"""The publisher's own words on a page: in its language where the definitions have them, in English otherwise."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from publisher.portal.base.messages import message
from publisher.portal.contract import about

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.contract import TableShape

LISTED, JOINED = (" · ", " × "), ", "
"""What stands between keys that are shown as one, of which one may be a name; and between the words of a title."""

COLUMNS = {
    "low": message("%(measure)s, low"),
    "high": message("%(measure)s, high"),
    "margin in percent": message("%(measure)s, margin in percent"),
    "status": message("%(measure)s, status"),
    "reason": message("%(measure)s, reason"),
    "range": message("%(measure)s, range"),
}
NAMES = message("%(key)s name")
SAMPLE = message("[Sample] ")
"""What the titles of generated data begin with."""
OTHERS = (
    message("Row"),
    message("Starts"),
    message("Edition"),
    message("Day"),
    message("Week"),
    message("Month"),
    message("Quarter"),
    message("Year"),
)
"""Titles that the publisher gives to columns of every dataset."""

DESCRIPTIONS = (
    message("Identifies the cell; never changes."),
    message("The day of the records."),
    message("First day of the day."),
    message("The week of the records."),
    message("First day of the week."),
    message("The month of the records."),
    message("First day of the month."),
    message("The quarter of the records."),
    message("First day of the quarter."),
    message("The year of the records."),
    message("First day of the year."),
    message(
        "Low end of the 95% margin of error of the noise; before suppression, and without what bounding and "
        "clamping cut off."
    ),
    message(
        "High end of the 95% margin of error of the noise; before suppression, and without what bounding and "
        "clamping cut off."
    ),
    message(
        "Half the margin of error in percent of the value, rounded up: 12 means probably within 12%. Empty "
        "where the value is suppressed or zero, where its margin has no upper end, and in releases made "
        "before this column was added."
    ),
    message(
        "ok (half the margin is at most 33% of the value), caution (at most 65%: use it with its margin), "
        "unreliable (more, or no percentage can be given), or suppressed (value and margin are empty)."
    ),
    message(
        "Why it is suppressed: threshold (too few), customer rule (too few customers, or one may have too "
        "large a share), or complementary (so that another suppressed cell does not follow from the totals). "
        "Empty if it is not suppressed, and in releases made before this column was added."
    ),
    message("Goes up each time the period is published again."),
)
"""What the publisher says of columns that every dataset has."""
NAME_OF = message("The name of the %(key)s.")

_words: ContextVar[Mapping[str, str]] = ContextVar("words")


@contextmanager
def speaking(code: str, say: Callable[[str], str], datasets: Iterable[PortalDataset]) -> Iterator[None]:
    """For the time of a page in that language: the words of the datasets that it may show, the last one's first."""
    words: dict[str, str] = {}
    for each in datasets:
        known = about(each)
        own = known.translations.get(code, {})
        if own:
            words |= {**_lowered(own), **own, **_titles(known.shape, own, say)}
        if known.stand_in and (title := own.get(each.name.removeprefix(SAMPLE))) is not None:
            words[each.name] = say(SAMPLE) + title
    token = _words.set(words)
    try:
        yield
    finally:
        _words.reset(token)


def translated(text: str) -> str | None:
    """The text in the page's language; None if it is only known in English."""
    words = _words.get({})
    if text in words or not words:
        return words.get(text)
    for sign in LISTED:
        if sign in text and any(part in words for part in text.split(sign)):
            return sign.join(said(part) for part in text.split(sign))
    parts = text.split(JOINED)
    return JOINED.join(words[part] for part in parts) if all(part in words for part in parts) else None


def said(text: str) -> str:
    """The text in the page's language, or as it is."""
    found = translated(text)
    return text if found is None else found


def _lowered(own: Mapping[str, str]) -> dict[str, str]:
    """The words as they stand inside a sentence."""
    return {text.lower(): other.lower() for text, other in own.items()}


def _titles(shape: TableShape | None, own: Mapping[str, str], say: Callable[[str], str]) -> dict[str, str]:
    """The titles and descriptions that the publisher gives to columns, by itself or from measures and keys."""
    titles = {each: say(each) for each in (*OTHERS, *DESCRIPTIONS)}
    for measure in shape.measures if shape is not None else ():
        label = own.get(measure.label)
        if label is not None:
            titles |= {f"{measure.label}, {end}": say(form) % {"measure": label} for end, form in COLUMNS.items()}
    for key in shape.keys if shape is not None else ():
        label = own.get(key.label)
        if label is not None:
            titles[f"{key.label} name"] = say(NAMES) % {"key": label}
            titles[NAME_OF % {"key": key.label.lower()}] = say(NAME_OF) % {"key": label.lower()}
    return titles
