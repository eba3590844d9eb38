"""The guarantee in Spanish: every sentence that can be said, each with the same numbers, or none of it."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from guarantee_examples import COUNT, EXAMPLES, charged_again, facts, increment, privacy, rollups, utility

from publisher.definitions.dataset import WIDER
from publisher.definitions.model import Translated
from publisher.push.metadata import relation
from publisher.release import composition, sentences
from publisher.release import statement as statement_module
from publisher.release.guarantee_inputs import Decision, Tuning, WindowSpending
from publisher.release.sentences import plain
from publisher.release.statement import statement
from publisher.release.translation import SENTENCE, catalog, in_language, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from publisher.release.guarantee_inputs import GuaranteeInputs

TENTH = WindowSpending(Fraction(1, 10), Fraction(1, 10**6))
ENGLISH = re.compile(r"\b(the|of|is|are|that|which|with|and|for|this|one|each|records?|release|noise|most)\b", re.I)
"""Words that no Spanish text has."""


def redrawn() -> GuaranteeInputs:
    """What an earlier definition spent, and a measurement for the bounds."""
    once = increment()
    tuning = Tuning(3, "2024-03", Fraction(1, 10), once.charge.blocks)
    return replace(once, earlier=TENTH, edited=TENTH, dataset_spent=TENTH, tunings=(tuning,))


def tuned() -> GuaranteeInputs:
    """A measurement for the bounds alone, of a release of several windows; OpenDP drew a part of its noise."""
    once = rollups()
    tuning = Tuning(3, "2024-Q1", Fraction(1, 10), once.charge.blocks)
    first, *others = once.charge.tables
    charge = once.charge.model_copy(update={"tables": (first.model_copy(update={"sampler": "opendp"}), *others)})
    return replace(once, charge=charge, earlier=TENTH, tunings=(tuning,), redefined=False)


def edited() -> GuaranteeInputs:
    """An earlier definition alone."""
    return replace(charged_again(), earlier=TENTH, edited=TENTH, dataset_spent=TENTH)


def lowered() -> GuaranteeInputs:
    """A lowered budget, with the decisions that people took; reasons have whole sentences."""
    made = facts(privacy("record", "day", "0.5", delta=Decimal("0.00001")), {}, "2024-01")
    account = composition.account_of(made.dataset.source, [made.dataset], WindowSpending(Fraction(2), Fraction(1, 10)))
    decisions = (
        Decision("allowance", "2026-01-31", "A storm. Everyone asked: why"),
        Decision("amendment", "2026-02-28", "Days and months were mixed up. They no longer are"),
    )
    apart = {"trees": "Trees have no household. They have no phone"}
    return replace(made, others=(account,), decisions=decisions, apart=apart)


def minors() -> GuaranteeInputs:
    """Records about minors, with totals over time and published measurements."""
    dataset = {
        "loss": {"rho": Decimal("0.05")},
        "totals": ({"name": "year", "title": "By year", "grain": "year"},),
        "publish_measurements": True,
    }
    return facts(privacy("record", "day", "0.25") | {"minors": True}, dataset, "2024-01")


def covered() -> GuaranteeInputs:
    """Totals within wider bounds, counts of units in coarser tables, late rows that may move."""
    measures = (
        {"name": "people", "title": "People", "kind": "count_units", "unit": "people"},
        {"name": "requests", "title": "Requests", "kind": "count", "unit": "requests"},
        {
            "name": "paid", "title": "Paid, in all", "kind": "sum", "unit": "USD", "column": "amount",
            "lower": Decimal(0), "upper": Decimal(1500), "wider_upper": Decimal(4500), "resolution": Decimal(1),
        },
    )  # fmt: skip
    dataset = {
        "measures": measures,
        "rollups": ({"name": "town", "title": "The whole town", "share": Decimal("0.1"), "publish": False},),
        "bounds": {
            "max_groups": 1, "max_per_group": 1, "wider_groups": 3, "wider_per_group": 2,
            "coverage_share": Decimal("0.1"),
        },
        "suppression": {"measure": "people", "threshold": 1000, "complementary": True},
    }  # fmt: skip
    made = facts(privacy("who", "week", "0.5") | {"delivery": "changes"}, dataset, "2024-01")
    wider = made.charge.tables[-1].model_copy(update={"level": WIDER})
    return replace(made, charge=made.charge.model_copy(update={"tables": (*made.charge.tables, wider)}))


def pure() -> GuaranteeInputs:
    """Records without an identifier under pure ε."""
    source = privacy("who", "month", "1.5", currency="pure")
    return facts(source, {"loss": {"epsilon": Decimal("0.5")}}, "2024-03")


def unpublished() -> GuaranteeInputs:
    """A table that is measured and not published."""
    made = rollups()
    first, *others = made.dataset.definition.rollups
    kept = (first.model_copy(update={"publish": False}), *others)
    return replace(
        made, dataset=replace(made.dataset, definition=made.dataset.definition.model_copy(update={"rollups": kept}))
    )


MADE: dict[str, Callable[[], GuaranteeInputs]] = {
    **EXAMPLES,
    **{each.__name__: each for each in (redrawn, tuned, edited, lowered, minors, covered, pure, unpublished)},
}


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """All of them in English."""
    return {name: statement(made()) for name, made in MADE.items()}


def translated(text: str, own: dict[str, str] | None = None) -> str:
    """In Spanish; a text that is not has its first unknown paragraph in the failure."""
    found = in_language("es", text, own or {})
    assert found is not None, next(part for part in text.split("\n\n") if in_language("es", part, own or {}) is None)
    return found


def numbers(line: str) -> list[str]:
    """Every number of a line, with what belongs to it, in any order."""
    return sorted(re.findall(r"[√-]?\d[\d.,/·⁻⁰¹²³⁴⁵⁶⁷⁸⁹-]*\d|\d[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]*|[a-zΔρε]?[²₁₂]", line))


@pytest.mark.parametrize("name", MADE)
def test_every_line_has_the_same_numbers(texts: dict[str, str], name: str) -> None:
    """Line by line, Spanish and English have the same numbers and percentages, and the same marks of Markdown."""
    english, spanish = texts[name].splitlines(), translated(texts[name]).splitlines()
    assert len(english) == len(spanish)
    for line, other in zip(english, spanish, strict=True):
        assert numbers(line) == numbers(other), (line, other)
        assert line.count("%") == other.count("%"), (line, other)
        assert [line.count(mark) for mark in ("|", "**", "#")] == [other.count(mark) for mark in ("|", "**", "#")]
        assert line.startswith("- ") == other.startswith("- ")


@pytest.mark.parametrize("name", MADE)
def test_no_english_is_left(texts: dict[str, str], name: str) -> None:
    """Once what the definitions and people's reasons say is in Spanish, too, no English word is there."""
    made = MADE[name]()
    own = [
        made.dataset.definition.title, "households", "Requests", "requests", "Neighborhoods", "The whole town",
        "Requests by neighborhood and kind", "Kind of permit", *made.apart.values(),
        *(each.reason for each in made.decisions),
    ]  # fmt: skip
    spanish = translated(texts[name], {text: f"«{number}»" for number, text in enumerate(own)})
    assert ENGLISH.findall(spanish) == []
    assert "“" not in spanish


def related() -> list[str]:
    """What companions say of themselves: rollups, with and without what does not add up, and totals over time."""
    grains = ("quarter", "year", "year_to_date", "last_12_months")
    totals = tuple({"name": grain.replace("_", "-"), "title": f"By {grain}", "grain": grain} for grain in grains)
    people = {"name": "people", "title": "People", "kind": "count_units", "unit": "people"}
    dataset = {"totals": totals, "measures": (COUNT, people), "publish_measurements": True}
    over_time = facts(privacy("who", "month", "0.5"), dataset, "2024-01")
    means = utility().dataset.definition
    rollup = rollups().dataset.definition.rollups[0]
    once = covered().dataset.definition
    several = once.model_copy(update={"bounds": once.bounds.model_copy(update={"max_groups": 2})})
    only = means.model_copy(update={"measures": means.measures[2:], "rollups": (rollup,)})
    made = [(rollups().dataset.definition, "town"), (several, "town"), (only, "town")]
    made += [(over_time.dataset.definition, each["name"]) for each in totals]
    return [relation(definition, level) for definition, level in made]


def test_what_a_companion_is_is_said_whole() -> None:
    """Each sentence about rollups and totals over time, with the same numbers and no English word."""
    for text in related():
        said = catalog("es").paragraph(
            text, {"The whole town": "Todo", "Requests": "Solicitudes", "People": "Personas"}
        )
        assert said is not None, text
        assert numbers(said) == numbers(text)
    assert catalog("es").paragraph("Each row adds up the decades of one year.", {}) is None


def test_every_entry_is_said_somewhere(texts: dict[str, str]) -> None:
    """No entry of the catalog is left over from a sentence that changed."""
    everything = "\n".join((*texts.values(), *related()))
    known = catalog("es").kinds
    unused = [
        entry.form.pattern
        for kind, entries in known.items()
        for entry in entries
        if kind not in ("steps", "one", "plural", "window", "and_same", "spans")  # all time steps, and lists
        and entry.form.search(everything) is None
    ]
    assert unused == []


def said_in(module: Path) -> Iterator[str]:
    """Every piece of four words or more that a module's code says, but for docstrings."""
    tree = ast.parse(module.read_text("utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            for piece in re.split(r"(?<=[.:;])\s", node.value):
                said = re.sub(r"^s\b|\bs$|[.,;:()“”]+$", "", piece.strip()).strip(" ,")  # the s of a plural
                if len(said.split()) > 3:
                    yield said


@pytest.mark.parametrize("module", [sentences, statement_module])
def test_no_sentence_of_the_code_is_missing(module: object) -> None:
    """Also those that no example here says: whatever the code can say is in the catalog."""
    from babel.messages.pofile import read_po

    path = Path(str(module.__file__))  # type: ignore[attr-defined]
    with (path.parent / "translations/es.po").open("rb") as file:
        known = "\n".join(str(each.id) for each in read_po(file))
    pieces = list(said_in(path))
    assert len(pieces) > 40
    assert [piece for piece in pieces if piece not in known] == []


def test_a_text_with_an_unknown_sentence_is_not_translated(texts: dict[str, str]) -> None:
    """No half of a promise: neither a sentence of another version nor a changed one is left in English between."""
    text = texts["record-rollups"]
    assert in_language("es", text.replace("A record counts in exactly one cell.", "A record counts twice."), {}) is None
    assert in_language("es", text.replace("| Noise |", "| Din |"), {}) is None
    assert in_language("es", text.replace("91 days in all", "many days in all"), {}) is None
    assert in_language("es", text + "\nOne more promise.\n", {}) is None


def test_words_of_definitions_come_from_the_definitions() -> None:
    """Titles, units and populations are said in Spanish where they have it, escaped as in English; lists are, too."""
    made = covered()
    definition = made.dataset.definition
    own = {
        definition.title: "Solicitudes *por* vecindario", "households": "hogares", "People": "Personas",
        "Requests": "Solicitudes", "Paid, in all": "Pagado en total", "USD": "dólares", "The whole town": "Todo",
    }  # fmt: skip
    said = translated(statement(made), own)
    assert said.startswith(f"# Cómo se protege la privacidad en {plain('Solicitudes *por* vecindario')}, 2024-01\n")
    assert "las mismas personas («hogares»)" in said
    assert "cuánto de «Personas», «Solicitudes», «Pagado en total» se cuenta" in said
    assert "un total de 4,500 dólares como máximo en una celda" in said
    assert "| Todo (no se publica) | Personas |" in said


def test_the_words_of_a_definition_are_found() -> None:
    """Only what has Spanish is among them."""
    made = utility().dataset
    title = Translated("Electricity")
    title.others = {"es": "Electricidad"}
    changed = replace(made, definition=made.definition.model_copy(update={"title": title}))
    assert words_of(changed, "es") == {"Electricity": "Electricidad"}
    assert words_of(made, "es") == {}


def test_a_reason_with_sentences_stays_whole() -> None:
    """What people wrote ends where the sentence around it ends."""
    said = translated(statement(lowered()))
    assert "quien publica permitió más en algunas de ellas: A storm. Everyone asked: why." in said
    assert "se leían de otra manera: Days and months were mixed up. They no longer are. Lo que se gastó" in said
    assert "trata de otras personas: Trees have no household. They have no phone." in said


def test_sentences_stand_alone_in_the_catalog() -> None:
    """What carries words over is complete: each part of an English form is in the Spanish one, and nothing else."""
    for kind, entries in catalog("es").kinds.items():
        for entry in entries:
            assert set(re.findall(r"\{(\w+)\}", entry.other)) == set(entry.slots), entry.other
            assert entry.other
            assert kind == SENTENCE or not entry.other.endswith(".")
