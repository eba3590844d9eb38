"""The guarantee says what the ledger and the definitions say, in three forms, and never more."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest
from guarantee_examples import (
    EXAMPLES,
    GOLDEN,
    charged_again,
    discover,
    facts,
    frozen,
    increment,
    privacy,
    rollups,
    utility,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from regenerate_goldens import texts

from publisher.release import composition, odds
from publisher.release import sentences as say
from publisher.release.chances import belief_here, right_guess_here
from publisher.release.guarantee import guarantee
from publisher.release.guarantee_inputs import WindowSpending
from publisher.release.guarantee_page import page
from publisher.release.statement import household_sizes, statement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.release.guarantee_inputs import GuaranteeInputs

SCHEMA = json.loads(files("publisher.release").joinpath("guarantee.schema.json").read_text("utf-8"))
LOSSES = st.fractions(Fraction(1, 10_000), Fraction(2, 5), max_denominator=10**7)


def percents(text: str) -> list[Fraction]:
    return [Fraction(each) / 100 for each in re.findall(r"([0-9.]+)%", text)]


def section(text: str, title: str) -> str:
    return text.split(f"## {title}\n")[1].split("\n## ", maxsplit=1)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of a section's table without its head."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return lines[2:]


@pytest.mark.parametrize("ending", ["json", "md", "html"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_golden_texts(name: str, ending: str) -> None:
    """Byte by byte what was read and approved; `python tests/release/regenerate_goldens.py` writes it again."""
    assert texts(name)[ending].encode() == (GOLDEN / f"{name}.{ending}").read_bytes()


def test_every_golden_text_has_its_example() -> None:
    """No file is left over from an example that went."""
    assert {path.name for path in GOLDEN.iterdir()} == {f"{n}.{e}" for n in EXAMPLES for e in ("json", "md", "html")}


@pytest.mark.parametrize("name", EXAMPLES)
def test_json_meets_the_schema(name: str) -> None:
    """Every guarantee is valid by the schema that is shipped, which is itself a valid schema."""
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(guarantee(EXAMPLES[name]()))))


def paths(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Every key of every object inside."""
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(value, dict):
            yield (*path, key)
        yield from paths(each, *path, key)


def without(value: Any, path: tuple[str | int, ...]) -> Any:
    """A copy without that key."""
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return copy


def test_the_schema_misses_nothing() -> None:
    """A guarantee without any one of its keys, or with a strange one, is refused; only what people add is free."""
    whole = guarantee(rollups())
    free = {"data_curators", "data_product_region", "publication_date", "epsilon", "delta", "rho"}
    validator = Draft202012Validator(SCHEMA)
    for path in paths(whole):
        parameters = len(path) > 1 and path[-2] == "privacy_parameters"
        loose = path[-1] in free and ("basic" in path or parameters)
        assert validator.is_valid(without(whole, path)) is loose, path
    assert not validator.is_valid(whole | {"strange": 1})
    assert not validator.is_valid(whole | {"budget": whole["budget"] | {"amount": "0.5"}})


REGISTRY = {
    "basic": "name data_curators description intended_use data_product_type data_product_region data_product_sector "
    "publication_date",
    "dp_variant": "variant_name data_domain unprotected_quantities",
    "privacy_loss": "privacy_unit privacy_unit_details number_of_privacy_units privacy_parameters "
    "privacy_parameters_details",
    "deployment_model": "model_name model_name_details trust_assumptions actors release_type release_type_details "
    "data_source_type data_source_type_details access_type access_type_details",
    "implementation": "preprocessing_and_hyperparameter_tuning mechanisms composition post_processing justification "
    "utility additional_information",
    "administrative": "evidence_sources status registry_authors tier",
}
"""The fields of opendp/deployments-registry-data, tests/good_deployments/template.yaml."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_registry_entry_speaks_the_registry_s_words(name: str) -> None:
    """Each section and field of the entry is one of the registry's template."""
    entry = guarantee(EXAMPLES[name]())["registry"]
    assert set(entry) == {"url_slug", "deployment"}
    assert set(entry["deployment"]) == set(REGISTRY)
    for part, fields in entry["deployment"].items():
        assert set(fields) <= set(REGISTRY[part].split()), part


def test_the_registry_entry_names_the_variant() -> None:
    """ρ is zero-concentrated, ε pure, and ρ with a δ is said as the (ε, δ) that it implies."""
    found = {name: guarantee(EXAMPLES[name]())["registry"]["deployment"] for name in EXAMPLES}
    variants = {name: entry["dp_variant"]["variant_name"] for name, entry in found.items()}
    assert variants["record-rollups"] == "Zero-concentrated DP"
    assert variants["meter-pure-15-15"] == "Pure DP"
    assert variants["applicant-discover"] == "Approximate DP"
    assert found["meter-pure-15-15"]["privacy_loss"]["privacy_parameters"] == {"epsilon": 0.5}
    parameters = found["applicant-discover"]["privacy_loss"]["privacy_parameters"]
    assert (parameters["rho"], parameters["delta"]) == (0.02, 2e-06)


@settings(max_examples=80, deadline=None)
@given(loss=LOSSES, example=st.sampled_from([rollups, increment, utility, discover]))
def test_no_number_is_rounded_in_its_favor(loss: Fraction, example: Any) -> None:
    """Every loss and chance of words and file is the exact one or a little more."""
    made = spending(example(), loss)
    text, file = statement(made), guarantee(made)
    account, currency = made.account, made.account.currency
    household = composition.household_in_this_dataset(made, household_sizes(made)[1])
    chances = [Decimal("0.5"), right_guess_here(made), Decimal("0.5"), belief_here(made), right_guess_here(made, 2)]
    chances += [composition.in_this_dataset(made, 1).guess_bound, household.guess_bound]
    chances += [odds.guess_bound(account.budget, currency, account.delta), Decimal(1)]
    said = percents(section(text, "In odds"))
    for part, true in zip(said, chances, strict=True):
        assert 0 <= part - Fraction(true) < Fraction(11, 10_000)
    for cells in rows(section(text, "In a household")):
        units = int(cells[0])
        budget = composition.household(currency, account.budget, account.delta, units)
        never_less(cells[1:], [composition.household_here(made, units), budget])
    counts = (1, *composition.IN_YEARS[account.window].values())
    for windows, cells in zip(dict.fromkeys(counts), rows(section(text, "Over the years")), strict=True):
        never_less(cells[1:], [composition.in_this_dataset(made, windows), composition.in_this_source(made, windows)])
    epsilon = made.epsilon if currency == "zcdp" else loss
    assert (
        Fraction(epsilon) <= Fraction(repr(file["approximate"]["epsilon"])) <= Fraction(epsilon) * Fraction("1.00001")
    )
    assert Fraction(file["loss"]["amount"]) == loss
    true = {
        ("release", len(made.charge.blocks)): composition.in_this_release(made),
        **{("dataset", n): composition.in_this_dataset(made, n) for n in counts},
        **{("budget", n): composition.in_this_source(made, n) for n in counts},
    }
    for each in file["windows"]:
        assert Decimal(repr(each["guess_at_most"])) >= true[each["of"], each["count"]].guess_bound


def spending(made: GuaranteeInputs, loss: Fraction) -> GuaranteeInputs:
    """The same release with another loss, and noise as wide as that needs."""
    factor = Fraction(made.charge.loss) / loss
    wider = float(factor) if made.account.currency == "pure" else math.sqrt(factor)
    tables = tuple(each.model_copy(update={"scale": float(odds.up(each.scale * wider))}) for each in made.charge.tables)
    charge = made.charge.model_copy(update={"loss": str(loss), "tables": tables})
    return replace(made, charge=charge, epsilon=float(loss) * 3.7, spent=loss)


def never_less(cells: list[str], bearings: list[composition.Bearing]) -> None:
    """(loss, chance) twice: at or above what is exact, by less than a millionth part or a tenth of a percent."""
    for n, bearing in enumerate(bearings):
        loss, chance = Fraction(cells[2 * n].replace(",", "")), percents(cells[2 * n + 1])[0]
        assert 0 <= loss - bearing.loss <= bearing.loss / 10**5
        assert 0 <= chance - Fraction(bearing.guess_bound) < Fraction(11, 10_000)


def test_known_odds() -> None:
    """At ρ = 0.1 presence is guessed at most 58.9% of the time, and a household of five records bears 2.5."""
    text = statement(rollups())
    assert "they guess right at most 58.9% of the time" in text
    assert "stays below 91%" in text
    assert "they guess right at most 67.3% of the time" in text
    assert "for a household with 5 records in it, at most 86.9%" in text
    assert "whole budget of one day, it is right at most 75% of the time" in text
    assert "| 5 | 2.5 | 86.9% | 12.5 | 100% |" in text
    assert "(ε = 2.15, δ = 10⁻⁶)" in text
    assert "ρ = 0.1 on each day that it covers (91 days in all)" in text


def test_it_says_who_is_protected() -> None:
    """Unit, window, bounds, bins, blocks and mechanisms are those of the definition and the charge."""
    file, text = guarantee(increment()), statement(increment())
    assert file["privacy_unit"] == {
        "kind": "identifier",
        "column": "who",
        "window": "month",
        "neighboring": "add or remove all records of one unit inside one window",
        "missing_identifier": "own-unit",
        "population": "households",
    }
    assert file["bounds"] == {"max_groups": 4, "max_per_group": 3}
    assert file["bins"] == {"days": ["0", "1", "3", "7", "14", "30"]}
    assert file["blocks"] == ["2024-03"]
    assert [(each["measure"], each["loss"]) for each in file["mechanisms"]] == [
        ("households", "1/20"),
        ("days", "1/20"),
    ]
    assert "at most 4 cells per month, with at most 3 records in each" in text
    assert "6 bins, from 0 to 30 days or more. The bins are public" in text
    assert "(1 + a)² ρ: 0.4 for a = 1 and 3.6 for a = 5" in text


TENTH = WindowSpending(Fraction(1, 10), Fraction(0))


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_redraw_adds_what_was_drawn_before(name: str) -> None:
    """Numbers, odds and households count both draws, and nothing says that records were counted once."""
    once = EXAMPLES[name]()
    again = replace(once, earlier=TENTH, edited=TENTH, dataset_spent=TENTH)
    file, text, before = guarantee(again), statement(again), guarantee(once)
    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(file)))
    assert "counted once" not in text
    assert "Records of this period were counted before, under an earlier definition" in text
    assert "Earlier definitions of this table had already spent up to" in text
    assert "After reading this release and the earlier numbers for the same time" in text
    assert file["earlier"]["amount"] == "1/10"
    assert file["odds"]["release"]["guess_at_most"] >= before["odds"]["release"]["guess_at_most"]
    assert Fraction(file["household"][0]["loss"]) == once.loss + Fraction(1, 10)
    of_window = {each["of"]: each for each in file["windows"] if each["count"] == len(once.charge.blocks)}
    least = (once.loss + Fraction(1, 10)) * len(once.charge.blocks)
    assert Fraction(of_window["release"]["loss"]) >= least
    assert json.dumps(before).count("earlier definition") == statement(once).count("earlier definition") == 0


def test_a_dataset_bears_what_its_earlier_definitions_spent() -> None:
    """A window that was redrawn has both losses, within what the source may spend; one that was not has the larger."""
    once = replace(facts(privacy("record", "day", "0.5"), {}, "2024-01"))
    assert composition.in_this_dataset(once, 1).loss == Fraction(1, 10)
    larger = WindowSpending(Fraction(3, 10), Fraction(0))
    assert composition.in_this_dataset(replace(once, dataset_spent=larger), 1).loss == Fraction(3, 10)
    redrawn = replace(once, edited=larger, dataset_spent=larger)
    assert composition.in_this_dataset(redrawn, 1).loss == Fraction(4, 10)
    most = WindowSpending(Fraction(9, 10), Fraction(0))
    assert composition.in_this_dataset(replace(once, edited=most, dataset_spent=most), 1).loss == Fraction(1, 2)


def test_a_lowered_budget_does_not_undo_what_was_spent() -> None:
    """Where a window has spent more than the budget is now, the worst case is what was spent."""
    made = facts(privacy("record", "day", "0.5"), {}, "2024-01")
    account = composition.account_of(made.dataset.source, [made.dataset], WindowSpending(Fraction(2), Fraction(0)))
    lowered = replace(made, others=(account,))
    assert "may spend at most ρ = 0.5 on one day" in statement(lowered)
    assert "More than that was spent or allowed on some of them: up to ρ = 2. “Whole budget”" in statement(lowered)
    assert "spent or allowed" not in statement(made)
    file = guarantee(lowered)
    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(file)))
    assert (file["budget"]["amount"], file["budget"]["declared"]["amount"]) == ("2", "1/2")
    assert file["sources"]["together"]["loss"]["amount"] == "2"


def test_a_decision_that_people_are_others_is_said() -> None:
    """The reason stands in the text and in the file; without a decision neither mentions one."""
    made = facts(privacy("record", "day", "0.5"), {}, "2024-01")
    apart = replace(made, apart={"trees": "Trees have no household"})
    assert "The source trees reads the same files, but by a decision of the publisher" in statement(apart)
    assert guarantee(apart)["sources"]["apart"] == {"trees": "Trees have no household"}
    assert "reads the same files" not in statement(made)


def test_records_about_minors_are_said() -> None:
    """With what it means for the budget and the keys; of other records neither text nor file says anything of it."""
    made = facts(privacy("record", "day", "0.25") | {"minors": True}, {"loss": {"rho": Decimal("0.05")}}, "2024-01")
    assert "The records are about minors, so the budget of each day is at most ρ = 0.25" in statement(made)
    file = json.loads(json.dumps(guarantee(made)))
    Draft202012Validator(SCHEMA).validate(file)
    assert file["privacy_unit"]["minors"] is True
    other = facts(privacy("record", "day", "0.5"), {}, "2024-01")
    assert "minors" not in statement(other)
    assert "minors" not in guarantee(other)["privacy_unit"]


def test_nothing_says_that_there_is_no_other_source() -> None:
    """What others publish is unknown, so no text says that nothing else is about the same people."""
    for name in EXAMPLES:
        text = statement(EXAMPLES[name]())
        assert "What others publish about them is not counted" in text
        assert "No other source here" not in text


def test_a_pure_epsilon_is_the_loss_itself() -> None:
    """ε of 0.1 stays 0.1 in the file: its float, a little more than a tenth, is not rounded up."""
    made = utility()
    made = replace(made, charge=made.charge.model_copy(update={"loss": "1/10"}), epsilon=0.1)
    assert guarantee(made)["approximate"] == {"epsilon": 0.1, "delta": 0.0}


def test_meters_have_clamps_differences_and_their_rule() -> None:
    """Clamps, the register's step and the 15/15 rule are said; nobody without identifier is counted."""
    text = statement(utility())
    assert "one unit's total in one cell is limited to between 0 and 900 kWh" in text
    assert "Meter readings were turned into differences" in text
    assert "at least 15 customers and no customer has more than 15% of the total" in text
    assert "A record without that identifier is not counted." in text
    assert "belief never rises above 62.3%" in text
    assert "(1 + a)" not in text
    assert guarantee(utility())["clamps"] == {"energy": {"lower": "0", "upper": "900", "unit": "kWh"}}


def test_a_second_suppressed_cell_is_said_where_there_is_one() -> None:
    """Complementary suppression stands in words and file; without it neither speaks of another cell."""
    words = "another one is suppressed too"
    for complementary in (True, False):
        rule = {"suppression": {"measure": "requests", "threshold": 10, "complementary": complementary}}
        made = facts(privacy("record", "day", "0.5"), rule, "2024-01")
        assert (words in statement(made)) is complementary
        assert (words in " ".join(guarantee(made)["post_processing"])) is complementary


def test_totals_over_time_are_said_where_there_are_some() -> None:
    """They come from the same noisy numbers and cost nothing; words and file say so, and say the same otherwise."""
    total = {"name": "year", "title": "By year", "grain": "year"}
    with_totals, without = (
        facts(privacy("record", "day", "0.5"), each, "2024-01") for each in ({"totals": (total,)}, {})
    )
    (said,) = set(guarantee(with_totals)["post_processing"]) - set(guarantee(without)["post_processing"])
    assert said.startswith("Totals over time are computed from the same noisy numbers")
    assert "They cost nothing" in said
    assert statement(with_totals).replace(f"- {said}\n", "") == statement(without)


def test_records_are_called_records() -> None:
    """For the unit record the words speak of one record, and nothing is said of missing names."""
    file, text = guarantee(rollups()), statement(rollups())
    assert (file["privacy_unit"]["kind"], file["privacy_unit"]["column"]) == ("record", None)
    assert "A record counts in exactly one cell" in text
    assert "(1 + a)" not in text


def test_levels_and_their_shares_are_said() -> None:
    """Each rollup stands with its share and the windows that one of its cells spans; tables with their losses."""
    levels = guarantee(rollups())["levels"]
    assert [(each["name"], each["share"], each["windows_in_a_cell"]) for each in levels] == [
        ("town", "1/10", 92),
        ("places", "3/10", 31),
        ("", "3/5", 31),
    ]
    text = statement(rollups())
    assert "| The whole town | Requests | discrete gaussian | 7.0711 | Δ₁ = 1, Δ₂ = 1 | 0.01 |" in text
    assert "published counts and totals add up exactly" in text
    assert "s = 31 and 92" in text


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (rollups, "Records that arrive later do not change"),
        (frozen, "on the day it was received"),
        (increment, "scheduled edition 2 of 3 for this period; it is provisional"),
        (increment, "is the largest loss of any of these editions, not their sum"),
        (charged_again, "scheduled edition 2 of 2 for this period; it is final"),
        (charged_again, "spend up to ρ = 2 × 0.1 = 0.2 on each day for this period"),
    ],
)
def test_late_records_are_explained(example: Any, words: str) -> None:
    """Each policy says what late records do to the release and to the guarantee."""
    assert words in say.late(example())


def test_draws_of_several_editions_are_one_line() -> None:
    """Tables that were drawn once for each batch, with the same noise, stand once."""
    made = increment()
    twice = made.charge.model_copy(update={"tables": made.charge.tables * 2})
    assert statement(replace(made, charge=twice)) == statement(made)


def test_keys_that_were_found_are_explained() -> None:
    """The loss and δ of finding keys are said in words, in the table and in the file."""
    file, text = guarantee(discover()), statement(discover())
    assert "a key that only one unit has is shown with a probability of at most 10⁻⁶" in text
    assert "| Finding keys | Units per key | noisy threshold |  |  | 0.005 |" in text
    assert file["loss"] == {"currency": "rho", "amount": "1/50", "delta": "1/1000000", "selection": "1/200"}
    assert file["approximate"]["delta"] == 2e-06


@pytest.mark.parametrize("sampler", ["opendp", "numpy"])
def test_who_drew_is_said(sampler: str) -> None:
    """OpenDP or publisher's own sampler, never the wrong one."""
    made = rollups()
    tables = tuple(table.model_copy(update={"sampler": sampler}) for table in made.charge.tables)
    text = statement(replace(made, charge=made.charge.model_copy(update={"tables": tables})))
    assert ("drawn by OpenDP" in text) is (sampler == "opendp")
    assert ("publisher's own exact sampler" in text) is (sampler == "numpy")
    mixed = (tables[0].model_copy(update={"sampler": "opendp"}), tables[1].model_copy(update={"sampler": "numpy"}))
    text = statement(replace(made, charge=made.charge.model_copy(update={"tables": mixed})))
    assert "own exact sampler, and by OpenDP where" in text


def test_sources_about_the_same_people_are_named() -> None:
    """The assumption, each budget and the sum with its odds are said; a source that is alone says so."""
    text = section(statement(rollups()), "With other sources")
    assert "one household with one unit of each source, in one window of each" in text
    assert rows(text)[2] == ["water", "one account", "month", "ε = 1"]
    assert "at most ρ = 1.5 (ε counts as ε²/2)" in text
    assert guarantee(rollups())["sources"]["together"]["loss"]["amount"] == "3/2"
    with pytest.raises(ValueError, match="account of requests itself"):
        replace(rollups(), others=rollups().others[1:])
    assert "No other source is declared here" in statement(replace(rollups(), others=rollups().others[:1]))


@pytest.mark.parametrize("stand_in", [True, False])
def test_stand_ins_are_labeled(stand_in: bool) -> None:
    """Numbers made from generated records say so in the file and at the top of the words."""
    made = replace(frozen(), stand_in=stand_in)
    assert guarantee(made)["stand_in"] is stand_in
    assert ("generated sample records" in statement(made)) is stand_in
    assert ("generated sample records" in page(made, statement(made))) is stand_in


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_not_protected_is_said(name: str) -> None:
    """The limits stand in the file, the words and the page."""
    made: GuaranteeInputs = EXAMPLES[name]()
    file, text = guarantee(made), section(statement(made), "What is not protected")
    assert [f"- {sentence}" for sentence in file["not_protected"]] == text.strip().splitlines()
    for topic in (
        "Suppressed cells",
        "Whether and when a release appears: a refusal at landing",
        "Limits cut off",
        "household",
        "outside",
        "editions",
    ):
        assert topic in text


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_stands_alone(name: str) -> None:
    """Language, title, one main heading, named tables with column heads; no script, no link, no other host."""
    made = EXAMPLES[name]()
    html = page(made, statement(made))
    assert html.startswith('<!doctype html>\n<html lang="en">')
    assert html.count("<h1>") == html.count("<title>") == html.count("<main>") == 1
    assert html.count("<table>") == html.count('role="region" tabindex="0" aria-label="Table: ')
    assert html.count("<th ") == html.count('<th scope="col">') > 0
    assert "prefers-color-scheme: dark" in html
    assert re.search(r"<script|<link|<img|src=|href=|https?:|url\(|@import", html) is None


def test_words_of_definitions_stay_words() -> None:
    """Markup in a title is shown as it was written: no link, image, emphasis, table cell or HTML comes of it."""
    title = "A *b* [c](http://x.example) | <script>d</script> `e` f_g &amp; \\h"
    made = facts(privacy("record", "day", "0.5"), {"title": title}, "2024-03")
    html = page(made, statement(made))
    heading = "A *b* [c](http://x.example) | &lt;script&gt;d&lt;/script&gt; `e` f_g &amp;amp; \\h"
    assert f"<h1>How privacy is protected in {heading}, 2024-03</h1>" in html
    assert "<script" not in html
    assert "<a " not in html


def test_a_table_that_is_not_published_is_told() -> None:
    """What was measured and not published is in the guarantee as that: its loss and its noise count."""
    made = rollups()
    definition = made.dataset.definition
    first, *others = definition.rollups
    changed = definition.model_copy(update={"rollups": (first.model_copy(update={"publish": False}), *others)})
    facts = replace(made, dataset=replace(made.dataset, definition=changed))
    found = guarantee(facts)
    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(found)))
    assert [level.get("published", True) for level in found["levels"]] == [False, *[True] * len(others), True]
    assert found["mechanisms"] == guarantee(made)["mechanisms"]
    assert f"{first.title} (not published)" in statement(facts)
