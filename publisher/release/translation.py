"""A guarantee in another language: the published text itself, sentence by sentence, by a catalog (`translations/*.po`).

Releases stay as they were written, in English. So a translation is made of the very words of a release, whenever it was
made: numbers are carried over as they stand there. A text with a sentence that the catalog does not have is not
translated at all: no half of a promise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from publisher.definitions.model import Model, in_other_languages
from publisher.release.sentences import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from publisher.workspace import DatasetFile

TRANSLATIONS = Path(__file__).parent / "translations"
SENTENCE = ""
"""The kind of what stands by itself: a sentence or a heading. Every other kind is a part of one."""
CELL = "cell"
OWN = frozenset({"title", "titles", "unit", "amount", "amounts", "population", "other", "name", "reason"})
"""Parts in the words of the definitions, or of people's decisions."""
OWN_COLUMNS = frozenset({"Table", "What is counted", "Source"})
"""Columns of tables whose cells may be such words."""

_SLOT = re.compile(r"\{(\w+)\}")
_LETTER = "[ρε]"
_NUMBER = r"[-\d√][\d.,/·⁻⁰¹²³⁴⁵⁶⁷⁸⁹WQE+-]*"
"""A number, a date or a period, as guarantees write them."""
_END = re.compile(r"(?<=[.:*])(?: |$)")


@dataclass(frozen=True)
class Phrase:
    """What one form of words is in the other language."""

    form: re.Pattern[str]
    other: str
    slots: tuple[str, ...]


@dataclass(frozen=True)
class SentenceCatalog:
    """All forms of each kind, those with more words of their own first."""

    kinds: Mapping[str, tuple[Phrase, ...]]

    def said(self, kind: str, text: str, own: Mapping[str, str]) -> str | None:
        """The text, which is of that kind, in the other language; None if the catalog does not have it."""
        for entry in self.kinds[kind]:
            if (found := entry.form.fullmatch(text)) is not None:
                parts = {slot: self._part(slot, found[slot], own) for slot in entry.slots}
                if None not in parts.values():
                    return entry.other.format(**parts)
        return None

    def paragraph(self, text: str, own: Mapping[str, str]) -> str | None:
        """One sentence after the other."""
        if not text:
            return ""
        for end in _END.finditer(text):
            first = self.said(SENTENCE, text[: end.start()], own)
            rest = self.paragraph(text[end.end() :], own) if first is not None else None
            if first is not None and rest is not None:
                return f"{first} {rest}".rstrip()
        return self.said(SENTENCE, text, own)

    def row(self, cells: Sequence[str], head: Sequence[str], own: Mapping[str, str]) -> str | None:
        """A line of a table."""
        said = [self._cell(cell, title, own) for cell, title in zip(cells, head, strict=True)]
        known = [cell for cell in said if cell is not None]
        return f"| {' | '.join(known)} |" if len(known) == len(said) else None

    def _cell(self, cell: str, title: str, own: Mapping[str, str]) -> str | None:
        if not cell or set(cell) == {"-"}:
            return cell
        found = self.said(CELL, cell, own)
        return _own(cell, own) if found is None and title in OWN_COLUMNS else found

    def _part(self, slot: str, text: str, own: Mapping[str, str]) -> str | None:
        if slot in self.kinds:
            return self.said(slot, text, own) if text else ""
        return _own(text, own) if slot in OWN else text


def in_language(code: str, text: str, own: Mapping[str, str]) -> str | None:
    """A guarantee's Markdown in that language; None if the catalog does not have all of its sentences.

    `own` is what the texts of the definition are in the language, as `words_of` finds them.
    """
    known = catalog(code)
    words = {plain(english): plain(other) for english, other in own.items()}
    said: list[str] = []
    for line in _lines(text, known, words):
        if line is None:
            return None
        said.append(line)
    return "\n".join(said) + "\n"


def words_of(dataset: DatasetFile, code: str) -> dict[str, str]:
    """What each English text of the dataset is in that language, where its definition says so.

    One text is one thing in a dataset: where two settings have the same words, the last one that is translated counts.
    """
    said = ((text, in_other_languages(text).get(code)) for text in _texts(dataset.definition))
    found = {text: other for text, other in said if other is not None}
    labels = (*dataset.keysets, *(each.keyset for each in dataset.coarser))
    return found | {label: other for keyset in labels for label, other in keyset.in_language(code).items()}


def _texts(value: object) -> Iterator[str]:
    """Every text in a definition."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, Model):
        for name in type(value).model_fields:
            yield from _texts(getattr(value, name))


def _lines(text: str, known: SentenceCatalog, own: Mapping[str, str]) -> Iterator[str | None]:
    head: Sequence[str] = ()
    for line in text.splitlines():
        if line.startswith("|"):
            cells = line.removeprefix("| ").removesuffix(" |").split(" | ")
            head = head or cells
            yield known.row(cells, head, own)
            continue
        head = ()
        words = line.lstrip("#- ")
        found = known.paragraph(words, own)
        yield None if found is None else line[: len(line) - len(words)] + found


def _own(text: str, own: Mapping[str, str]) -> str:
    """The words of a definition in the other language where it has them; of a list of them, each."""
    if text in own:
        return own[text]
    for between in ("”, “", ", "):
        if between in text:
            return between.replace("”, “", "», «").join(_own(part, own) for part in text.split(between))
    number, _, unit = text.partition(" ")
    return f"{number} {own[unit]}" if unit in own and re.fullmatch(_NUMBER, number) else text


@cache
def catalog(code: str) -> SentenceCatalog:
    """The catalog of a language."""
    from babel.messages.pofile import read_po

    with (TRANSLATIONS / f"{code}.po").open("rb") as file:
        read = [(each.context or SENTENCE, str(each.id), str(each.string)) for each in read_po(file) if each.id]
    read.sort(key=lambda each: -len(_SLOT.sub("", each[1])))
    forms: dict[str, list[str]] = {}
    for kind, english, _ in read:
        forms.setdefault(kind, []).append(english)
    return SentenceCatalog(
        {
            of: tuple(
                Phrase(re.compile(_form(english, forms)), other, tuple(dict.fromkeys(_SLOT.findall(english))))
                for kind, english, other in read
                if kind == of
            )
            for of in forms
        }
    )


def _form(english: str, forms: Mapping[str, Sequence[str]], *, inner: bool = False) -> str:
    """The words as a pattern with a group for each part; a part that comes again is the same. Parts of parts have no
    group."""
    literals, slots = _SLOT.split(english)[::2], _SLOT.findall(english)
    said, pieces = set[str](), [re.escape(literals[0])]
    for slot, literal in zip(slots, literals[1:], strict=True):
        pattern = _pattern(slot, forms)
        if not inner:
            pattern = f"(?P={slot})" if slot in said else f"(?P<{slot}>{pattern})"
        said.add(slot)
        pieces += [pattern, re.escape(literal)]
    return "".join(pieces)


def _pattern(slot: str, forms: Mapping[str, Sequence[str]]) -> str:
    if slot in forms:
        inner = "|".join(_form(each, forms, inner=True) for each in forms[slot])
        return f"(?:{inner})?" if slot.startswith("and_") else f"(?:{inner})"
    return ".+?" if slot in OWN else _LETTER if slot == "letter" else _NUMBER
