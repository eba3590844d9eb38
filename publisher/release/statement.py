"""The guarantee in plain words, as Markdown, with odds."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.definitions.dataset import WIDER
from publisher.release import composition, odds
from publisher.release import sentences as say
from publisher.release.chances import belief_here, right_guess_here
from publisher.release.guarantee_inputs import WindowSpending
from publisher.release.sentences import amount, percent, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from publisher.release.guarantee_inputs import GuaranteeInputs, SourceAccount


def statement(facts: GuaranteeInputs) -> str:
    """The whole text of the guarantee as Markdown."""
    sections = {
        "In odds": _odds(facts),
        "In numbers": _numbers(facts),
        "What one unit can change": _list(say.bounds(facts)),
        "Over the years": _years(facts),
        "In a household": _household(facts),
        "With other sources": _sources(facts),
        "Late and corrected records": say.late(facts),
        "What was done after the noise": _after(facts),
        "What is not protected": _list(say.NOT_PROTECTED),
        "What the words mean": _words(facts),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"# {title(facts)}\n\n{_introduction(facts)}\n\n{body}\n"


def title(facts: GuaranteeInputs) -> str:
    """The heading, as Markdown."""
    return f"How privacy is protected in {plain(facts.dataset.definition.title)}, {facts.period}"


def _introduction(facts: GuaranteeInputs) -> str:
    label = (
        "**These numbers were made from generated sample records, not from real ones.**\n\n" if facts.stand_in else ""
    )
    account = facts.account
    return (
        f"{label}Random noise was added to every number before it was published. The noise protects "
        f"{say.protected(account.unit, account.window)}: the published numbers look nearly the same whether or not "
        f"{say.present(facts)}. {say.neighboring(facts)}{say.minors(facts)}"
    )


def _odds(facts: GuaranteeInputs) -> str:
    account, present = facts.account, say.present(facts)
    currency, units = account.currency, household_sizes(facts)[1]
    this = percent(right_guess_here(facts))
    dataset = percent(composition.in_this_dataset(facts, 1).guess_bound)
    household = percent(composition.household_in_this_dataset(facts, units).guess_bound)
    whole = percent(odds.guess_bound(account.budget, currency, account.delta))
    return (
        f"Imagine someone who knows everyone else's records and thinks it is 50% likely that {present}. After reading "
        f"{_read(facts)}, they guess right at most {this} of the time; a coin toss is right 50% of the time. "
        f"{_belief(facts)}\n\n"
        f"If they know that {_either(facts)}, and have to tell which, they guess right at most "
        f"{percent(right_guess_here(facts, 2))} of the time.\n\n"
        f"A guess about whether {present} is right at most {dataset} of the time after everything that this dataset "
        f"may publish about {_a_window(account)}; for a household with {units} {_units(account)} in it, at most "
        f"{household}. Once all releases of this source together have spent the whole budget of {_a_window(account)}, "
        f"it is right at most {whole} of the time. 100% means that nothing is promised."
    )


def _read(facts: GuaranteeInputs) -> str:
    return "this release and the earlier numbers for the same time" if any(facts.earlier) else "this release"


def _either(facts: GuaranteeInputs) -> str:
    if facts.account.unit == "record":
        return "you filed one of two particular records"
    return "one of two particular versions of those records is the true one"


def _belief(facts: GuaranteeInputs) -> str:
    belief = percent(belief_here(facts))
    if facts.account.currency == "pure":
        return f"Whatever the release shows, their belief never rises above {belief}."
    return (
        f"Except with a probability of {say.delta_words(facts)}, their belief stays below {belief}, whatever the "
        "release shows."
    )


def _numbers(facts: GuaranteeInputs) -> str:
    account, letter = facts.account, say.symbol(facts.account.currency)
    window, blocks = account.window, len(facts.charge.blocks)
    covered = "" if window == "lifetime" else f" that it covers ({say.windows(blocks, window)} in all)"
    delta = f" and δ = {say.tiny(facts.delta)}" if facts.delta else ""
    declared = account.declared or WindowSpending(account.budget, account.delta)
    budget = f"{letter} = {amount(declared.loss)}"
    budget += f" and δ = {say.tiny(declared.delta)}" if declared.delta else ""
    spends = (
        f"This release spends {letter} = {amount(facts.loss)}{delta} on {say.each_window(window)}{covered}"
        f"{_approximately(facts)}. By the source's definition on the day of this release, all of its releases together "
        f"may spend at most {budget} on {_a_window(account)}. With this release included, the most that has been spent "
        f"on {_any(account)} is {letter} = {amount(facts.spent)}.{say.lowered(facts)}{say.drawn_before(facts)}"
        f"{say.amended(facts)}"
    )
    return f"{spends}\n\n{_tables(facts)}\n\n{say.sampling(facts)}"


def _approximately(facts: GuaranteeInputs) -> str:
    if facts.account.currency == "pure":
        return ""
    epsilon = odds.up(facts.epsilon, 3)
    return f", which implies (ε = {epsilon.normalize():f}, δ = {say.delta_words(facts)})-differential privacy"


def _tables(facts: GuaranteeInputs) -> str:
    """The measured tables; draws of several editions are on one line."""
    titles = {
        each.name: f"{plain(each.title)}{'' if each.publish else ' (not published)'}"
        for each in facts.dataset.definition.rollups
    }
    titles[WIDER] = "Total within wider bounds"
    measures = {each.name: plain(each.title) for each in facts.dataset.definition.measures}
    rows = {
        (each.level, each.measure, each.scale): (
            titles.get(each.level, "Finest table"),
            measures.get(each.measure, each.measure),
            each.mechanism,
            f"{odds.up(each.scale, 5).normalize():,f}",
            re.sub(r"\d{4,}", lambda digits: f"{int(digits[0]):,}", each.sensitivity),
            amount(Fraction(each.loss)),
        )
        for each in facts.charge.tables
    }
    found = Fraction(facts.charge.selection)
    selection = [("Finding keys", "Units per key", "noisy threshold", "", "", amount(found))] if found else []
    letter = say.symbol(facts.account.currency)
    head = ("Table", "What is counted", "Noise", "Scale", "Most that one unit changes", letter)
    return _table(head, [*rows.values(), *selection])


def _years(facts: GuaranteeInputs) -> str:
    account = facts.account
    unit = "someone with one record" if account.unit == "record" else "a unit with records"
    if account.window == "lifetime":
        words = (
            "One budget protects each unit for all time: once it is spent, nothing more is published about this source."
        )
        counts = [("all time", 1)]
    else:
        words = (
            f"Each {account.window} has its own budget. For {unit} in each of many {account.window}s, the losses add "
            f"up. {_spans(facts)}"
        )
        years = composition.IN_YEARS[account.window]
        rows = {1: f"1 {account.window}"} | {n: f"{y} year{'s' if y > 1 else ''}" for y, n in years.items()}
        plural = account.window != "year"
        counts = [
            (f"{name} ({say.windows(n, account.window)})" if plural and n > 1 else name, n) for n, name in rows.items()
        ]
    head = ("Records in every window of", *_columns(facts, "This table alone"), *_columns(facts, "Whole budget"))
    rows_ = [
        (name, *_bearing(composition.in_this_dataset(facts, n)), *_bearing(composition.in_this_source(facts, n)))
        for name, n in counts
    ]
    return f"{words}\n\n{_table(head, rows_)}\n\n{_alone(facts)}{_COLUMNS}"


def _spans(facts: GuaranteeInputs) -> str:
    window = facts.account.window
    if facts.account.currency == "pure":
        return f"Over W {window}s the loss is W·ε."
    spans = sorted({s for _, s in composition.spans(facts)})
    if spans == [1]:
        return f"No cell of this dataset spans two {window}s, so over W {window}s the loss is W·ρ."
    several = " and ".join(str(s) for s in spans)
    return (
        f"A cell that spans s {window}s adds up the records of all s {window}s, so over W {window}s a table's part of "
        f"the loss counts W·s times (with s counted as at most W). The tables of this dataset have s = {several}."
    )


def _alone(facts: GuaranteeInputs) -> str:
    blocks = len(facts.charge.blocks)
    if blocks == 1:
        return ""
    bearing = composition.in_this_release(facts)
    unit = "someone with one record" if facts.account.unit == "record" else "a unit with records"
    alone = (
        "By this release and the earlier numbers for the same time" if any(facts.earlier) else "In this release alone"
    )
    return (
        f"{alone}, the loss for {unit} in each of its {say.windows(blocks, facts.account.window)} is at "
        f"most {say.symbol(facts.account.currency)} = {amount(bearing.loss)}. "
    )


_COLUMNS = (
    "“This table alone” counts every release that the definition plans. “Whole budget” is the worst case: all releases "
    "of the source have spent everything that they are allowed to spend."
)


def _household(facts: GuaranteeInputs) -> str:
    account, currency = facts.account, facts.account.currency
    rule = "m² times the loss" if currency == "zcdp" else "m times the loss"
    units = _units(account)
    time = "" if account.window == "lifetime" or account.unit == "record" else f" in one {account.window}"
    name = "This time, all draws" if any(facts.earlier) else "This release"
    head = (f"{units[0].upper()}{units[1:]}", *_columns(facts, name), *_columns(facts, "Whole budget"))
    rows = [
        (
            str(m),
            *_bearing(composition.household_here(facts, m)),
            *_bearing(composition.household(currency, account.budget, account.delta, m)),
        )
        for m in household_sizes(facts)
    ]
    words = f"For a household with m {units}{time}, the loss is up to {rule} of one."
    return f"{words}\n\n{_table(head, rows)}" + (f"\n\n{say.anonymous(facts)}" if say.anonymous(facts) else "")


def household_sizes(facts: GuaranteeInputs) -> tuple[int, ...]:
    """m: records come in larger numbers than people or accounts."""
    return (1, 5, 20) if facts.account.unit == "record" else (1, 2, 5)


def _sources(facts: GuaranteeInputs) -> str:
    population = plain(facts.dataset.source.definition.population)
    accounts = facts.others
    if len(accounts) == 1:
        return (
            f"No other source is declared here to be about the same people (“{population}”). If one is, its losses "
            f"add to these. What others publish about them is not counted.{say.apart(facts)}"
        )
    currency, all_of_them = composition.together(accounts)
    rows = [
        (
            plain(each.name),
            f"one {plain(each.unit)}",
            _one(each),
            f"{say.symbol(each.currency)} = {amount(each.budget)}",
        )
        for each in accounts
    ]
    total = f"{say.symbol(currency)} = {amount(all_of_them.loss)}"
    converted = " (ε counts as ε²/2)" if currency == "zcdp" and any(a.currency == "pure" for a in accounts) else ""
    return (
        f"Other sources count as about the same people (“{population}”), because they say so or read the same files, "
        "and what they spend adds up. The sum below assumes "
        "one household with one unit of each source, in one window of each, with all budgets spent.\n\n"
        f"{_table(('Source', 'Unit', 'Window', 'Budget'), rows)}\n\n"
        f"Together that is at most {total}{converted}: a guess about whether this household is in any of them is right "
        f"at most {percent(all_of_them.guess_bound)} of the time. With more units or windows, the loss is larger: see "
        f"the tables above. What others publish about them is not counted.{say.apart(facts)}"
    )


def _after(facts: GuaranteeInputs) -> str:
    return (
        f"{_list(say.post_processing(facts))}\n\nAll of this uses only published or noisy values. It does not weaken "
        "the guarantee, and the guarantee does not depend on suppression."
    )


def _words(facts: GuaranteeInputs) -> str:
    pure = facts.account.currency == "pure"
    loss = (
        "**ε**, the privacy loss: one unit makes any result at most e^ε times more likely or less likely (pure "
        "differential privacy). Losses add up."
        if pure
        else "**ρ**, the privacy loss of zero-concentrated differential privacy: the smaller it is, the more noise "
        "there is, and the less can be seen of one unit. Losses add up."
    )
    words = [
        loss,
        (
            "**Window** and **budget**: time is divided into windows, and each has a budget: the most that all "
            "releases together may spend on it."
        ),
        "**Scale**: how wide the noise of a table is; "
        + ("its typical size." if pure else "about two thirds of all draws are within it, and 95% within twice that."),
        (
            "**Δ₁ and Δ₂**: the most that one unit can change a whole table: the changes of all numbers added up (Δ₁), "
            "and as a straight-line distance (Δ₂)."
        ),
        (
            "**Right guess at most**: for this dataset's own tables, computed from the exact distribution of their "
            "noise wherever that is known, and rounded up; everywhere else, such as for the whole budget or together "
            f"with earlier numbers, from {say.symbol(facts.account.currency)} alone, which gives a larger number."
        ),
    ]
    if facts.delta:
        words.append("**δ**: the probability with which a promise may fail; here it is very small.")
    return _list(words)


def _columns(facts: GuaranteeInputs, name: str) -> tuple[str, str]:
    return f"{name}: {say.symbol(facts.account.currency)} at most", f"{name}: right guess at most"


def _bearing(bearing: composition.Bearing) -> tuple[str, str]:
    return amount(bearing.loss), percent(bearing.guess_bound)


def _units(account: SourceAccount) -> str:
    return "records" if account.unit == "record" else f"units (“{plain(account.unit)}”)"


def _one(account: SourceAccount) -> str:
    return "window" if account.window == "lifetime" else account.window


def _any(account: SourceAccount) -> str:
    return "that window" if account.window == "lifetime" else f"any {account.window} that it covers"


def _a_window(account: SourceAccount) -> str:
    return say.ALL_TIME if account.window == "lifetime" else f"one {account.window}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
