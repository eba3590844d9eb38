"""Plain words for `publisher plan --goal` and `--guess`: a small grammar. A word that it does not know stops it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from publisher.engine.guard import guarded
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from publisher.definitions.period import Grain
    from publisher.workspace import DatasetFile, Workspace

ADVERBS: dict[Grain, str] = {
    "day": "daily",
    "week": "weekly",
    "month": "monthly",
    "quarter": "quarterly",
    "year": "yearly",
}
"""How a goal says each time step."""

MOST = 10**12

NUMBER = r"(\d[\d,]*(?:\.\d+)?)"
_DIGITS = dict(zip("one two three four five six seven eight nine ten".split(), map(str, range(1, 11)), strict=True))
_SAME = (("±", " ± "), ("+/-", " ± "), ("plus or minus", "±"), ("per cent", "%"), ("percent", "%"), ("%", " % "))
_EACH = r"(?:by|per|each|every|for (?:each|every)|in (?:each|every)|a|and)"


@dataclass(frozen=True)
class Vocabulary:
    """What the key columns and measures of a dataset are called, by every phrase for each."""

    keys: Mapping[str, str]
    """Of this dataset, and of others of the same source; coarser ones too."""
    measures: Mapping[str, str]
    unlisted: Mapping[str, str] = field(default_factory=dict)
    """Columns and places of the source that no dataset has keys for."""
    unit: tuple[str, ...] = ()
    """What the privacy unit is called."""
    units: tuple[str, ...] = ()
    """What the counts of this dataset count."""

    def examples(self) -> tuple[str, str, str]:
        """Guesses in the words of this dataset: a total, a range, and bounds."""
        measure, key = next(iter(self.units), "records"), next(iter(self.keys), "cell")
        total, each = f"3,000 {measure} a month", f"10 to 200 {measure} a month in each {key}"
        return total, each, f"at most 2 {measure} in each of 2 {plural(key)}"

    def possible(self) -> str:
        """Every word that a goal can use, for people."""
        keys = ", ".join(dict.fromkeys(self.keys.values())) or "none"
        measures = ", ".join(dict.fromkeys(self.measures.values()))
        return f"time steps: {', '.join(ADVERBS.values())}; keys: {keys}; measures: {measures}"


@dataclass(frozen=True)
class Said:
    """One thing that was said: its kind, and the groups of its pattern."""

    kind: str
    parts: tuple[str | None, ...]
    text: str


def vocabulary_of(workspace: Workspace, dataset: DatasetFile) -> Vocabulary:
    """The words for one dataset, from its definition and those of its source's other datasets."""
    siblings = [each for each in workspace.datasets.values() if each.source.name == dataset.source.name]
    keys: dict[str, str] = {}
    for each in (dataset, *siblings):
        named = [(key.name, key.title) for key in each.definition.keys]
        named += [(key.name, key.title) for key in each.definition.coarser] if each is dataset else []
        for name, title in named:
            keys |= {phrase: name for phrase in phrases(name, title) if phrase not in keys}
    measures: dict[str, str] = {}
    for measure in dataset.definition.measures:
        said = phrases(measure.name, measure.title.partition(",")[0], measure.unit)
        measures |= {phrase: measure.name for phrase in said if phrase not in measures}
    columns = (*dataset.source.definition.places, *guarded(dataset.source).columns)
    unlisted = {phrase: name for name in columns if name not in keys.values() for phrase in phrases(name)}
    unlisted = {phrase: name for phrase, name in unlisted.items() if phrase not in measures}
    units = tuple(each.unit for each in dataset.definition.measured if each.kind == "count")
    return Vocabulary(keys, measures, unlisted, tuple(phrases(dataset.source.definition.privacy.unit)), units)


def phrases(*names: str) -> Iterator[str]:
    """Each name as it is said, and its plurals."""
    for name in names:
        said = " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
        first, _, rest = said.partition(" ")
        yield from (said, plural(said), said.removesuffix("s"))
        if rest.startswith(("of ", "in ", "to ")):
            yield f"{plural(first)} {rest}"


def plural(word: str) -> str:
    """Several of them."""
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    return word if word.endswith("s") else f"{word}{'es' if word.endswith(('x', 'ch')) else 's'}"


def grain_pattern() -> str:
    """Matches a time step; the word for it is in the first or second group."""
    adverbs = "|".join((*ADVERBS.values(), "annually", "annual"))
    return rf"({adverbs})\b|{_EACH} (?:the )?({'|'.join(ADVERBS)})s?\b"


def grain_of(said: Said) -> Grain:
    """The time step that was said."""
    word = next(part for part in said.parts if part)
    return next((grain for grain, adverb in ADVERBS.items() if word in (grain, adverb)), "year")


def any_of(known: Iterable[str]) -> str:
    """A pattern for the longest of these phrases; without any, for nothing."""
    found = sorted(known, key=len, reverse=True)
    return "|".join(map(re.escape, found)) if found else r"(?!)"


def said_in(option: str, text: str, patterns: Sequence[tuple[str, str]], hint: str) -> list[Said]:
    """Everything that a text says, in order. Raises DefinitionError naming all words that no pattern knows.

    `patterns` are tried in order at each place; those of the kind "" are only filling.
    """
    rest, found, unknown = _plain(text), [], []
    compiled = [(kind, re.compile(rf"(?:{pattern})(?![a-z0-9])")) for kind, pattern in patterns]
    while rest:
        kind, match = next(((kind, match) for kind, each in compiled if (match := each.match(rest))), ("", None))
        if match is None or not match[0]:
            word, _, rest = rest.partition(" ")
            unknown.append(word)
            continue
        if kind:
            found.append(Said(kind, match.groups(), match[0].strip()))
        rest = rest[match.end() :].lstrip()
    if unknown:
        raise DefinitionError(f"{option}: {_named(unknown)} not understood. {hint}")
    return found


def _plain(text: str) -> str:
    """The text in small letters, its signs and number words written one way."""
    text = text.casefold()
    for sign, instead in _SAME:
        text = text.replace(sign, instead)
    text = re.sub(r",(?!\d{3}(?!\d))", " , ", text.replace(";", " , "))
    return " ".join(_DIGITS.get(word, word) for word in text.replace("_", " ").replace("-", " ").split())


def _named(words: Sequence[str]) -> str:
    shown = ", ".join(f"'{word}'" for word in dict.fromkeys(words))
    return f"{shown} {'is' if len(set(words)) == 1 else 'are'}"


def number(text: str) -> float:
    """The number that was written. Raises DefinitionError for one that nothing in a city has."""
    found = float(text.replace(",", ""))
    if found > MOST:
        raise DefinitionError(f"--goal and --guess take numbers up to {MOST:,}")
    return found
