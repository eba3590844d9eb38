"""Which datasets a visitor's words find, in which order, and what to suggest if they find nothing.

Searched are titles, categories, tags, places, the names in key columns (neighborhoods, kinds), labels and descriptions
of columns and measures, in English and in every language that the publisher's texts are translated to.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING

from publisher.portal.answers.access import portal
from publisher.portal.contract import about
from publisher.portal.discovery.names import names_of
from publisher.portal.discovery.vocabulary import STOP_WORDS, Synonyms, forms, spelled, synonyms
from publisher.portal.soql.search import stems

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from starlette.requests import Request

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.contract import PublisherMetadata

MOST_WORDS = 20
"""How many different words are searched for (the first ones)."""
LONGEST_WORD = 50
"""How many characters of a word count."""
BEGINNING = 3
"""So many letters at least are taken as the beginning of a longer word."""
GUESSED = 5
"""For how many of the words a spelling is suggested."""
ALIKE = 0.75
"""How alike a suggested spelling is at least, as difflib counts it."""
TITLE, LABEL, NAME, TEXT, COLUMN = 27, 9, 9, 3, 1
"""How much a word counts: in the title; in category, tags or place; in key columns; in the description; elsewhere."""
_MARK = re.compile(r"^\[\w+\] ")
"""What a title begins with if its data is generated, and its translation does not."""
KEPT = 2_000
_known: OrderedDict[str, tuple[PortalDataset, _Searched]] = OrderedDict()


@dataclass(frozen=True)
class _Searched:
    """The words of a dataset by how much they count, each as it is compared and as it is written."""

    fields: tuple[tuple[int, Mapping[str, str]], ...]

    @cached_property
    def forms(self) -> tuple[tuple[int, frozenset[str]], ...]:
        """The same with the plurals folded."""
        return tuple((weight, frozenset().union(*map(forms, words))) for weight, words in self.fields)

    @cached_property
    def stems(self) -> tuple[tuple[int, frozenset[str]], ...]:
        """The same as English stems."""
        return tuple((weight, _stems(words)) for weight, words in self.fields)


@dataclass(frozen=True, slots=True)
class Match:
    """How well each word matches a dataset; 0 is no match."""

    scores: tuple[int, ...]
    title: int = 0
    """How many words the title has."""

    def enough(self, words: int) -> int:
        """The rank, if so many words match, of two alike higher for the shorter title; otherwise 0.

        No words match everything alike.
        """
        if not self.scores:
            return 1
        return 100 * sum(self.scores) - min(self.title, 99) if sum(map(bool, self.scores)) >= words else 0


def words_of(text: str) -> list[str]:
    """The words to search for: all but stop words, unless there are no others; signs alone are a word of no dataset."""
    every = [word[:LONGEST_WORD] for word in spelled(text) or text.split()]
    return ([word for word in every if word not in STOP_WORDS] or every)[:MOST_WORDS]


def matches(request: Request, datasets: Sequence[PortalDataset], words: Sequence[str]) -> dict[str, Match]:
    """By 4x4, how the words match each dataset.

    A word that no dataset has is looked for by its stem, and then as the beginning of other words.
    """
    if not words:
        return {dataset.id: Match(()) for dataset in datasets}
    searched = [_searched(request, dataset) for dataset in datasets]
    known = synonyms(portal(request).store.root)
    columns = [_scores(searched, word, known) for word in words]
    return {
        each.id: Match(tuple(column[at] for column in columns), len(searched[at].fields[0][1]))
        for at, each in enumerate(datasets)
    }


def matching(request: Request, datasets: Sequence[PortalDataset], words: str) -> list[PortalDataset]:
    """The datasets that have all the words, the most relevant first."""
    wanted = words_of(words)
    return _ranked(datasets, matches(request, datasets, wanted), len(wanted))


def matching_most(request: Request, datasets: Sequence[PortalDataset], words: str) -> list[PortalDataset]:
    """The datasets that have more of the words than others, and at least half of them."""
    wanted = words_of(words)
    found = matches(request, datasets, wanted)
    best = max((sum(map(bool, match.scores)) for match in found.values()), default=0)
    return _ranked(datasets, found, best) if 2 * best >= len(wanted) > 0 else []


def _ranked(datasets: Sequence[PortalDataset], found: Mapping[str, Match], words: int) -> list[PortalDataset]:
    scored = [(found[dataset.id].enough(words), dataset) for dataset in datasets]
    return [dataset for score, dataset in sorted(scored, key=lambda pair: -pair[0]) if score]


def suggestions(request: Request, datasets: Sequence[PortalDataset], words: str) -> list[str]:
    """Searches that differ in the spelling of one word and do find something, if these words find nothing."""
    wanted = words_of(words)[:GUESSED]
    found = matches(request, datasets, wanted)
    vocabulary = _vocabulary(request, datasets)
    unknown = [at for at, _ in enumerate(wanted) if not any(match.scores[at] for match in found.values())]
    tried = [
        " ".join((*wanted[:at], other, *wanted[at + 1 :]))
        for at in unknown or range(len(wanted))
        for other in _alike(wanted[at], vocabulary)
    ]
    return [each for each in dict.fromkeys(tried) if matching(request, datasets, each)][:4]


def _alike(word: str, vocabulary: Mapping[str, str]) -> list[str]:
    """The words that are spelled almost like it, as they are written."""
    near = [
        other
        for other in vocabulary
        if abs(len(other) - len(word)) <= 2 and (other[0] == word[0] or other[-2:] == word[-2:])
    ]
    return [vocabulary[each] for each in get_close_matches(word, near, n=2, cutoff=ALIKE)]


def _vocabulary(request: Request, datasets: Sequence[PortalDataset]) -> dict[str, str]:
    """The words of titles, labels and names that may be suggested."""
    return {
        word: written
        for dataset in datasets
        for weight, words in _searched(request, dataset).fields
        if weight >= NAME
        for word, written in words.items()
        if word not in STOP_WORDS and len(word) >= BEGINNING
    }


def _scores(searched: Sequence[_Searched], word: str, known: Synonyms) -> list[int]:
    """How well the word matches each: itself twice as much as a synonym."""
    own, others = forms(word), known.of(word)
    found = [_weighed(each.forms, own) * 2 or _weighed(each.forms, others) for each in searched]
    if not any(found):
        stem = _stems([word])
        found = [_weighed(each.stems, stem) for each in searched]
    if not any(found) and len(word) >= BEGINNING:
        found = [
            sum(weight for weight, words in each.fields if any(other.startswith(word) for other in words))
            for each in searched
        ]
    return found


def _weighed(fields: Iterable[tuple[int, frozenset[str]]], words: frozenset[str]) -> int:
    return sum(weight for weight, known in fields if not known.isdisjoint(words))


def _stems(words: Iterable[str]) -> frozenset[str]:
    return frozenset(stems(" ".join(words)).split())


def _searched(request: Request, dataset: PortalDataset) -> _Searched:
    """The dataset's words; kept until its rows or metadata change."""
    kept = _known.get(dataset.id)
    if kept and (kept[0] is dataset or kept[0] == dataset):
        return kept[1]
    names = names_of(portal(request).store, dataset)
    made = _Searched(_fields(dataset, about(dataset), names or ()))
    if names is not None:
        _known[dataset.id] = (dataset, made)
        while len(_known) > KEPT:
            _known.popitem(last=False)
    return made


def _fields(
    dataset: PortalDataset, known: PublisherMetadata, names: Iterable[str]
) -> tuple[tuple[int, dict[str, str]], ...]:
    shape, place = known.shape, known.coverage.name if known.coverage else ""
    keys = shape.keys if shape else ()
    measures = shape.measures if shape else ()
    labels = (dataset.category, *dataset.tags, place, *(key.label for key in keys))
    columns = [text for each in dataset.columns for text in (each.name, each.field, each.description)]
    weighed = (
        (TITLE, (_MARK.sub("", dataset.name),)),
        (LABEL, labels),
        (NAME, names),
        (TEXT, (dataset.description, dataset.attribution, *(each.label for each in measures))),
        (COLUMN, columns),
    )
    return tuple((weight, _words(texts, known)) for weight, texts in weighed)


def _words(texts: Iterable[str], known: PublisherMetadata) -> dict[str, str]:
    """The words of the texts in every language, and of their paragraphs, which are translated one by one."""
    parts = [part for text in texts for part in text.split("\n\n") if part]
    others = [own[part] for own in known.translations.values() for part in parts if part in own]
    return {word: written for text in (*parts, *others) for word, written in spelled(text).items()}
