"""Words as a search compares them: accents, case, plurals and British spelling folded; synonyms; words to skip."""

from __future__ import annotations

import logging
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

logger = logging.getLogger(__name__)

SYNONYMS = "synonyms.txt"
SHIPPED = Path(__file__).parent / SYNONYMS
STOP_WORDS = frozenset(
    "a about an and are at by data database dataset datasets do does for from get how i in is it many much my near of"
    " on or our show that the take their there this to was were what when where which who why with your"
    " al algo como con cual cuales cuando cuanta cuantas cuanto cuantos dato datos de del desde donde e el en es esta"
    " hay la las lo los mi mis o para por que se son su sus un una unas unos y".split()
)
"""Words that say nothing about a dataset, in English and Spanish, folded."""
_WORD = re.compile(r"[^\W_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}][^\W_]+)*")
_BRITISH = (
    (re.compile(r"(neighb|col|harb|lab|fav|behavi|hon|hum|rum|vap|od|arm|parl|endeav)our"), r"\1or"),
    (re.compile(r"(cent|met|lit|theat|fib|calib)re(s?)$"), r"\1er\2"),
    (re.compile(r"([a-z]{3}|[aeiou][a-z])is(e|es|ed|er|ing|ation|ations)$"), r"\1iz\2"),
    (re.compile(r"^(licen|defen|offen)ce"), r"\1se"),
    (re.compile(r"(travel|cancel|label|model|fuel)l(ed|er|ers|ing)$"), r"\1\2"),
    (re.compile(r"^kerb"), "curb"),
    (re.compile(r"^tyre"), "tire"),
    (re.compile(r"^grey"), "gray"),
    (re.compile(r"^plough"), "plow"),
    (re.compile(r"^mould"), "mold"),
    (re.compile(r"^(program)me"), r"\1"),
    (re.compile(r"^(catalog)ue"), r"\1"),
    (re.compile(r"^aluminium"), "aluminum"),
)
"""British endings and words as American ones. Both sides of a comparison are folded, so one too many does no harm."""


def folded(text: str) -> str:
    """The text in lower case, without accents."""
    spread = unicodedata.normalize("NFD", text.lower())
    return "".join(letter for letter in spread if not unicodedata.combining(letter))


@lru_cache(maxsize=50_000)
def plain(word: str) -> str:
    """A word as it is compared: folded, in American spelling, without apostrophes."""
    found = re.sub("['\N{RIGHT SINGLE QUOTATION MARK}]", "", folded(word))
    for british, american in _BRITISH:
        found = british.sub(american, found)
    return found


def spelled(text: str) -> dict[str, str]:
    """The words of a text: as they are compared, and as they are written, in lower case."""
    return {plain(word): word.lower() for word in _WORD.findall(text)}


@lru_cache(maxsize=50_000)
def forms(word: str) -> frozenset[str]:
    """The word with what it may be the plural of, in English and Spanish (calles is never call)."""
    found = {word}
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        found.add(word[:-1])
        if word.endswith("ies"):
            found.add(f"{word[:-3]}y")
        if word.endswith("ces"):
            found.add(f"{word[:-3]}z")
        if re.search(r"(?:[sxz]|[cs]h|[aeiou][dlnrsz])es$", word):
            found.add(word[:-2])
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Synonyms:
    """Words by the other words of their groups, all as they are compared."""

    groups: Mapping[str, frozenset[str]]

    def of(self, word: str) -> frozenset[str]:
        """The forms of all words that mean the same as the word; empty if no group has it."""
        return frozenset().union(*(self.groups.get(form, frozenset()) for form in forms(word)))


def synonyms(folder: Path) -> Synonyms:
    """The shipped synonyms, changed by the file in the portal's folder, if there is one; read again when it changes."""
    own = folder / SYNONYMS
    try:
        status = own.stat()
    except OSError:
        return _read(None, (0, 0))
    return _read(own, (status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=4)
def _read(own: Path | None, _changed: tuple[int, int]) -> Synonyms:
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    try:
        added = own.read_text(encoding="utf-8-sig").splitlines() if own else []
    except (OSError, UnicodeDecodeError):
        logger.warning("%s cannot be read as UTF-8 text: searches use the shipped synonyms alone", own)
        added = []
    return _grouped(lines, added)


def _grouped(shipped: Iterable[str], own: Iterable[str]) -> Synonyms:
    """Groups by their words; a line of the city's own that begins with - takes its words out of the shipped ones."""
    kept = [line for line in own if not line.startswith("-")]
    dropped = {word for line in own if line.startswith("-") for word in _group(line[1:])}
    found: dict[str, set[str]] = {}
    for group in (*(_group(line) - dropped for line in shipped), *(_group(line) for line in kept)):
        forms_of_all = set().union(*(forms(word) for word in group))
        for form in forms_of_all:
            found.setdefault(form, set()).update(forms_of_all)
    return Synonyms({word: frozenset(others) for word, others in found.items()})


def _group(line: str) -> set[str]:
    text = line.partition("#")[0]
    return {plain(word) for part in text.split(",") for word in _WORD.findall(part)}
