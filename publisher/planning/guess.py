"""What a person guesses of the records: "3,000 requests a month in 79 neighborhoods", "at most 2 permits in each of 2
areas". It comes from public reports or experience, never from looking at the records."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING

from publisher.errors import DefinitionError
from publisher.planning.phrases import NUMBER, any_of, grain_of, grain_pattern, number, said_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from publisher.definitions.period import Grain
    from publisher.planning.phrases import Said, Vocabulary

DAYS: dict[Grain, float] = {"day": 1.0, "week": 7.0, "month": 365.25 / 12, "quarter": 365.25 / 4, "year": 365.25}
"""How many days each time step has on average."""

USUAL = 1.0
"""The spread that is assumed of cells where no one says it: the standard deviation of their logarithms. One cell in ten
is then below a sixth of the average, as areas and kinds of request usually are."""

_EIGHT_IN_TEN = 2 * NormalDist().inv_cdf(0.9)


@dataclass(frozen=True)
class SizeGuess:
    """How much there is of one measure in one time step: in all, or in each cell of the keys named."""

    measure: str
    amount: float
    """The average."""
    grain: Grain
    each: tuple[str, ...] = ()
    """The keys of whose cells each has so much; empty for all of them together."""
    cells: tuple[str, int] | None = None
    """A key column, and how many of its keys have any, if that was said."""
    spread: float = USUAL


@dataclass(frozen=True)
class BoundGuess:
    """What is ordinary for one unit: at most so many records in each of so many cells."""

    max_groups: int
    max_per_group: int


@dataclass(frozen=True)
class Guesses:
    """Everything that was guessed."""

    sizes: tuple[SizeGuess, ...] = ()
    bounds: BoundGuess | None = None

    def size(self, measure: str) -> SizeGuess | None:
        """What was guessed of one measure."""
        return next((each for each in self.sizes if each.measure == measure), None)


def parse_guesses(texts: Iterable[str], words: Vocabulary, measure: str, grain: Grain) -> Guesses:
    """What the texts say; `measure` and `grain` are meant where they name none. Raises DefinitionError."""
    sizes, bounds = [], None
    for text in texts:
        found = said_in("--guess", text, _patterns(words), _hint(words))
        bound = next((each for each in found if each.kind == "bound"), None)
        if bound is not None:
            bounds = _bound(bound, found)
        else:
            sizes.append(_size(text, found, words, measure, grain))
    return Guesses(tuple(sizes), bounds)


def _patterns(words: Vocabulary) -> list[tuple[str, str]]:
    keys, measures = any_of(words.keys), any_of(words.measures)
    return [
        ("bound", rf"at most {NUMBER}(?: (?:records|{measures}))?"),
        ("groups", rf"(?:in )?each of (?:at most )?{NUMBER}(?: (?:cells|{keys}))?"),
        ("range", rf"(?:from |about |between )?{NUMBER} (?:to|–|and) {NUMBER}"),
        ("within", rf"(?:in|across|over|and|,|×|x) {NUMBER} ({keys})"),
        ("each", rf"(?:(?:in|for) )?(?:each|every|per|by|a|and|,) (?:the )?({keys})"),
        ("grain", grain_pattern()),
        ("amount", rf"(?:about |around |some )?{NUMBER}"),
        ("measure", rf"({measures})"),
        ("", r"in the whole city|in the city|city ?wide|,|in all|of|in|has|have|files?|there are|records|one|an?|the"),
        ("", any_of(words.unit)),
    ]


def _hint(words: Vocabulary) -> str:
    total, each, bounds = words.examples()
    return (
        f"A guess is like '{total}', '{each}' (eight in ten are between), or '{bounds}' for what one person has. Here "
        f"it can say: {words.possible()}."
    )


def _bound(bound: Said, found: Sequence[Said]) -> BoundGuess:
    groups = next((each for each in found if each.kind == "groups"), None)
    pair = (number(groups.parts[0] or "") if groups is not None else 1.0, number(bound.parts[0] or ""))
    if any(each < 1 or each != int(each) for each in pair):
        raise DefinitionError(f"--guess: '{bound.text}' must be in whole numbers from 1 on")
    return BoundGuess(int(pair[0]), int(pair[1]))


def _size(text: str, found: Sequence[Said], words: Vocabulary, measure: str, grain: Grain) -> SizeGuess:
    """The guess of one measure. Raises DefinitionError without a number, or with two."""
    amounts = [each for each in found if each.kind in ("amount", "range")]
    if len(amounts) != 1:
        raise DefinitionError(f"--guess {text!r}: say one number, or two as in 10 to 200. {_hint(words)}")
    named = next((words.measures[each.parts[0] or ""] for each in found if each.kind == "measure"), measure)
    step = next((grain_of(each) for each in found if each.kind == "grain"), grain)
    within = [each for each in found if each.kind == "within"]
    each = tuple(words.keys[one.parts[0] or ""] for one in found if one.kind == "each")
    if each and within:
        raise DefinitionError(f"--guess {text!r}: in each of them, or in all of them? Say one")
    amount, spread = _amount(text, amounts[0])
    if spread is not None and not each:
        raise DefinitionError(f"--guess {text!r}: for two numbers, say of what, such as 'in each neighborhood'")
    cells = (words.keys[within[0].parts[1] or ""], int(number(within[0].parts[0] or ""))) if within else None
    return SizeGuess(named, amount, step, each, cells, spread if spread is not None else USUAL)


def _amount(text: str, said: Said) -> tuple[float, float | None]:
    """The average, and the spread if two numbers say it: eight in ten cells are between them."""
    low = number(said.parts[0] or "")
    if said.kind == "amount":
        if low <= 0:
            raise DefinitionError(f"--guess {text!r}: must be above 0")
        return low, None
    high = number(said.parts[1] or "")
    if not 0 < low < high:
        raise DefinitionError(f"--guess {text!r}: the first number must be above 0 and below the second")
    spread = (log(high) - log(low)) / _EIGHT_IN_TEN
    return sqrt(low * high) * exp(spread**2 / 2), spread
