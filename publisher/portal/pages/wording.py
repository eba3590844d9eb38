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
    """The titles of columns that the publisher makes of those of measures and keys."""
    titles = {each: say(each) for each in OTHERS}
    for measure in shape.measures if shape is not None else ():
        label = own.get(measure.label)
        if label is not None:
            titles |= {f"{measure.label}, {end}": say(form) % {"measure": label} for end, form in COLUMNS.items()}
    for key in shape.keys if shape is not None else ():
        label = own.get(key.label)
        if label is not None:
            titles[f"{key.label} name"] = say(NAMES) % {"key": label}
    return titles
