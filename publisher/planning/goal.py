"""What numbers should be good for, in plain words: "monthly by neighborhood, within 20%, at least 9 in 10 cells"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.errors import DefinitionError
from publisher.planning.phrases import ADVERBS, NUMBER, Vocabulary, any_of, grain_of, grain_pattern, number, said_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.definitions.dataset import Dataset, Measure
    from publisher.definitions.period import Grain
    from publisher.planning.phrases import Said

EXAMPLE = "monthly by neighborhood, within 20%"
LEAST = 0.001
"""The closest that numbers can be asked for."""

HALF = 0.5
"""The share of the cells that have to be as exact as the goal says, where it does not say how many: a typical cell, the
middle one, is as exact or better."""


@dataclass(frozen=True)
class Goal:
    """A table, and how exact its numbers should be."""

    grain: Grain
    keys: tuple[str, ...]
    measures: tuple[str, ...]
    within: float
    """How far a number may be from the real one, with 95% certainty: a share of it, or an amount."""
    relative: bool
    share: float = HALF
    """The least share of the cells that have to be so exact."""
    taken: tuple[str, ...] = ()
    """What it does not say and the dataset's file does."""

    @property
    def exact(self) -> str:
        """How exact, in words."""
        amount = 100 * self.within if self.relative else self.within
        return f"within {amount:,.6g}{'%' if self.relative else ''}"

    def words(self) -> str:
        """The goal as it can be typed again."""
        by = f" by {' and '.join(key.replace('_', ' ') for key in self.keys)}" if self.keys else " in the whole city"
        share = f", at least {in_ten(self.share)} cells" if self.share != HALF else ""
        said = f"{' and '.join(self.measures)} {ADVERBS[self.grain]}" if "measures" not in self.taken else ""
        return f"{said or ADVERBS[self.grain]}{by}, {self.exact}{share}"

    def understood(self, measures: Sequence[Measure]) -> Iterator[str]:
        """What was understood, in sentences."""
        titles = " and ".join(each.title.partition(",")[0] for each in measures)
        cell = " and ".join((*self.keys, self.grain)).replace("_", " ")
        where = f"each {cell}" if self.keys else f"the whole city in each {self.grain}"
        how = "a typical number (half are larger)" if self.share == HALF else f"{in_ten(self.share)} numbers"
        yield f"Understood: {titles} for {where}; {how} {self.exact} of the real one, with 95% certainty."
        taken = [name for name in self.taken if name != "measures"]
        if taken:
            yield f"Not said, so as in the file: {' and '.join(taken)}."

    def allowed(self, value: float, cut: float) -> float:
        """The widest margin that meets the goal for a number of that size, of which bounds cut off the share `cut`."""
        return (self.within - cut) * value if self.relative else self.within - cut * value


def in_ten(share: float) -> str:
    """A share of cells, in words."""
    return f"{10 * share:.0f} in 10" if round(10 * share) == 10 * share else f"{100 * share:g} in 100"


def parse_goal(text: str, words: Vocabulary, definition: Dataset) -> Goal:
    """The goal that a text states. Raises DefinitionError with everything that is possible."""
    found = said_in("--goal", text, _patterns(words), _hint(words))
    _refuse_unlisted(found, words)
    grain = _once(found, "grain")
    exact = _once(found, "within")
    if exact is None:
        raise DefinitionError(f"--goal: how exact? Add within N% or ±N, as in --goal {EXAMPLE!r}")
    measures = tuple(dict.fromkeys(words.measures[each.parts[0] or ""] for each in found if each.kind == "measure"))
    keys = tuple(dict.fromkeys(words.keys[each.parts[0] or ""] for each in found if each.kind == "key"))
    whole = any(each.kind == "city" for each in found)
    if whole and keys:
        raise DefinitionError(f"--goal: by {' and '.join(keys)}, or in the whole city? Give two goals, one at a time")
    taken = [name for name, said in (("time step", grain), ("keys", keys or whole), ("measures", measures)) if not said]
    return Goal(
        grain=grain_of(grain) if grain else definition.cell_grain,
        keys=keys if keys or whole else tuple(key.name for key in definition.keys),
        measures=_measured(measures or (_leading(definition),), definition),
        within=_amount(exact),
        relative=exact.parts[1] is not None,
        share=_share(_once(found, "cells", "percent")),
        taken=tuple(taken),
    )


def _patterns(words: Vocabulary) -> list[tuple[str, str]]:
    keys, measures = any_of(words.keys), any_of(words.measures)
    leader = r"(?:by|per|for (?:each|every)|in (?:each|every)|each|every) (?:the )?"
    cells = rf"(?: (?:cells|numbers|{'|'.join(f'{step}s' for step in ADVERBS)}|{keys}|{measures}))?"
    return [
        ("within", rf"(?:to )?(?:within ±?|±|give or take) ?{NUMBER}(?: ?(%))?"),
        ("cells", rf"(?:in |for )?(?:at least )?(\d+) (?:in|of|out of) (\d+){cells}"),
        ("percent", rf"(?:in |for )?(?:at least )?{NUMBER} % of (?:the |all )?(?:cells|numbers|{keys})"),
        ("city", r"(?:by|in|for|of)? ?(?:the )?(?:whole |entire )?city(?: ?wide)?"),
        ("grain", grain_pattern()),
        ("key", rf"{leader}({keys})"),
        ("unlisted", rf"{leader}({any_of(words.unlisted)})"),
        ("measure", rf"({measures})"),
        ("key", rf"({keys})"),
        ("", r",|and|the|of|in|for|with|×|x|numbers?(?: of)?|counts?(?: of)?|how many|show|publish"),
        ("", r"all|by|per|each|every"),
    ]


def _hint(words: Vocabulary) -> str:
    return (
        f"A goal is like {EXAMPLE!r}, or 'weekly in the whole city, ±50, at least 9 in 10 cells'. Here it can say: "
        f"{words.possible()}."
    )


def _refuse_unlisted(found: Sequence[Said], words: Vocabulary) -> None:
    for each in found:
        if each.kind == "unlisted":
            name = words.unlisted[each.parts[0] or ""]
            raise DefinitionError(
                f"--goal: there is no public list of keys for {name} yet: write one with `publisher keyset` and add "
                f"[[keys]] for it to a dataset of this source. Possible now: {words.possible()}"
            )


def _once(found: Sequence[Said], *kinds: str) -> Said | None:
    """The one thing said of these kinds. Raises DefinitionError if two differ."""
    said = [each for each in found if each.kind in kinds]
    if len({each.text for each in said}) > 1:
        both = " or ".join(f"'{each.text}'" for each in said)
        raise DefinitionError(f"--goal: {both}? Say one of them")
    return said[0] if said else None


def _amount(said: Said) -> float:
    amount = number(said.parts[0] or "") / (100 if said.parts[1] else 1)
    if amount <= 0 or (said.parts[1] and not LEAST <= amount < 1):
        limits = f"from {100 * LEAST:g}% to below 100%" if said.parts[1] else "above 0"
        raise DefinitionError(f"--goal: '{said.text}' must be {limits}")
    return amount


def _share(said: Said | None) -> float:
    if said is None:
        return HALF
    first = number(said.parts[0] or "")
    share = first / 100 if said.kind == "percent" else first / max(number(said.parts[1] or ""), 1)
    if not 0 < share < 1:
        raise DefinitionError(f"--goal: '{said.text}' must be more than none and fewer than all, such as 9 in 10")
    return share


def _leading(definition: Dataset) -> str:
    """The measure that leads: the headline if noise is drawn for it, otherwise the first one shown."""
    shown = [each.name for each in definition.measured if each.shown]
    if not shown:
        raise DefinitionError("--goal: this dataset publishes no count and no sum, so a goal cannot be planned for it")
    headline = definition.portal.headline
    return headline if headline in shown else shown[0]


def _measured(names: tuple[str, ...], definition: Dataset) -> tuple[str, ...]:
    """The names, if each is a published count or sum. Raises DefinitionError."""
    known = [each.name for each in definition.measured if each.shown]
    for name in names:
        if name not in known:
            raise DefinitionError(
                f"--goal: {name} is computed from other measures or not published: name a count or a sum "
                f"({', '.join(known)})"
            )
    return names
