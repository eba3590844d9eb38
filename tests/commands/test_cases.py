"""`publisher cases`: contested numbers and requests, from the letter that came to the letter that answers it."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from test_status import serving, words
from township import Answer

from publisher.cli import main
from publisher.commands.case_retention import planned_cases, purge_cases
from publisher.definitions.clock import OWN_RULE
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from township import Town

SETTINGS = """
[cases]
law = "minnesota"
holidays = "US-MN"
hourly_rate = 42.5
signed = "Data Practices Compliance Official"
"""
CANARY = "Zebulon Canary wrote this"


@pytest.fixture
def office(released: Town) -> Town:
    """The town that has released everything, and answers letters by the law of Minnesota."""
    settings = released.root / "publisher.toml"
    settings.write_text(settings.read_text() + SETTINGS)
    return released


def day(back: int) -> str:
    """So many days ago in the town."""
    return (datetime.now(ZoneInfo("America/Chicago")).date() - timedelta(days=back)).isoformat()


def typed(town: Town, *arguments: str) -> Answer:
    """A command in this process, which takes a moment."""
    done = CliRunner().invoke(main, ["-C", str(town.root), *arguments])
    return Answer(done.exit_code, done.stdout, done.stderr)


def done(answer: Answer) -> str:
    assert answer.code == 0, answer.err
    return words(answer)


def refused(answer: Answer, code: int, said: str) -> None:
    assert (answer.code, said in " ".join(answer.err.split())) == (code, True), answer.err


def listed(town: Town, *options: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(done(typed(town, "cases", "--json", *options)))
    return rows


def letter(town: Town, number: str, name: str) -> str:
    return " ".join((town.state / "private" / "cases" / number / name).read_text().split())


def journal(town: Town) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(done(typed(town, "journal", "--json", "--kind", "case")))
    return entries


def told(entries: Sequence[dict[str, Any]]) -> list[str]:
    return [each["reason"] for each in entries]


def outside(town: Town) -> dict[str, str]:
    """Every file of the state but the journal and the cases: what a case must leave alone."""
    return {name: mark for name, mark in town.tree().items() if "/cases/" not in name and "journal" not in name}


def test_a_contested_number_is_corrected_or_retracted(office: Town) -> None:
    """Each answer is so, and everyone can read it, before the letter says it; no case charges anything."""
    before = outside(office)
    said = done(typed(office, "cases", "open", "accuracy", "requests", "2024-01", "--to", "A. Person"))
    number = listed(office)[0]["number"]
    assert f"case {number}: opened; an answer is due by" in said
    done(typed(office, "cases", "open", "accuracy", "requests", "2024-02"))
    other = listed(office)[1]["number"]
    assert outside(office) == before
    text = letter(office, number, "1-received-accuracy.txt")
    assert "A. Person Your letter of disagreement about “Requests by district, month and sort”, 2024-01, came" in text
    assert "within 30 days" in text
    assert "(Minn. Stat. § 13.04, subd. 4)" in text
    correct = ("cases", "answer", number, "corrected", "--reason", "A district was named twice")
    retract = ("cases", "answer", other, "retracted", "--reason", "A week was missing")
    refused(typed(office, *correct), 2, "no later edition of 2024-01 than 1 is current")
    refused(typed(office, *retract), 2, "edition 1 of 2024-02 is not retracted: see `publisher rollback`")
    office.edit("datasets/requests.toml", "threshold = 5", "threshold = 6")
    assert office.run("requests", "--period", "2024-01").code == 0
    done(typed(office, "rollback", "requests", "--period", "2024-02", "--reason", "A week was missing", "--no-push"))
    refused(typed(office, *correct), 6, "the portal does not show it as it is: `publisher push requests`, then answer")
    with serving(office):
        assert office.publisher("push", "requests").code == 0
        done(typed(office, *correct))
        done(typed(office, *retract))
    text = letter(office, number, "2-corrected.txt")
    assert "edition 2 has taken the place of edition 1" in text
    assert "/feed.atom" in text
    assert "edition 1 is retracted" in letter(office, other, "2-retracted.txt")
    assert [each["state"] for each in listed(office)] == ["answered", "answered"]
    done(typed(office, "cases", "close", number))
    assert [each["number"] for each in listed(office)] == [other]
    entries = [each for each in journal(office) if each["period"] == "2024-01"]
    assert told(entries) == ["accuracy: opened", "accuracy: answered, corrected", "accuracy: closed"]
    assert (entries[1]["dataset"], entries[1]["edition"]) == ("requests", 2)
    assert entries[1]["reference"] == f"case {number}, step 2"


def test_what_is_believed_correct_can_be_appealed(office: Town) -> None:
    """The letter says how, by the law; after the appeal the case can be answered again."""
    done(typed(office, "cases", "open", "accuracy", "water", "2024-01"))
    number = listed(office)[0]["number"]
    refused(typed(office, "cases", "answer", number, "believed-correct"), 2, "--reason: write why")
    phone = ("--reason", "The clerk at 612-555-0123 looked it up")
    refused(typed(office, "cases", "answer", number, "believed-correct", *phone), 2, "a letter tells nothing of a rec")
    refused(typed(office, "cases", "answer", number, "declined", "--reason", "No"), 2, "is answered with one of corr")
    refused(typed(office, "cases", "delay", number, "--until", "2999-01-01", "--reason", "x"), 2, ": no delay")
    refused(typed(office, "cases", "appeal", number), 2, "only the answers believed-correct and declined")
    done(typed(office, "cases", "answer", number, "believed-correct", "--reason", "The readings agree"))
    text = letter(office, number, "2-believed-correct.txt")
    assert "you may appeal to the Commissioner of Administration within 60 days" in text
    done(typed(office, "cases", "appeal", number))
    assert [each["state"] for each in listed(office)] == ["appealed"]
    done(typed(office, "cases", "answer", number, "believed-correct", "--reason", "So did the judge"))
    shown = done(typed(office, "cases", "show", number))
    assert shown.count("answered: believed-correct") == 2


def test_a_request_is_estimated_delayed_and_declined(office: Town) -> None:
    """Rows, budget, hours and fee come from a plan that charges nothing; a delay has its reason and its day."""
    before = outside(office)
    wrote = office.root / "wrote.txt"
    wrote.write_text(CANARY)
    done(typed(office, "cases", "open", "summary", "--letter", str(wrote), "--received", day(1)))
    number = listed(office)[0]["number"]
    refused(typed(office, "cases", "answer", number, "delivered"), 2, "no estimate was sent")
    refused(typed(office, "cases", "estimate", number, "requests", "--hours", "x"), 2, "is not a number")
    refused(typed(office, "cases", "estimate", number, "nothing", "--hours", "1"), 2, "there is no dataset 'nothing'")
    done(typed(office, "cases", "estimate", number, "requests", "--hours", "2.5"))
    text = letter(office, number, "2-estimate.txt")
    rows = len(json.loads(done(typed(office, "sql", "--json", "FROM requests"))))
    assert f"3 release(s) from 2024-01 to 2024-03, {rows} row(s) in all" in text
    assert "ρ 0.1 on each block of time that it covers, of ρ 0.25" in text
    assert "2.5 hour(s) at $42.50, $106.25 in all" in text
    refused(typed(office, "cases", "delay", number, "--until", day(0), "--reason", "x"), 2, "give a later day")
    done(typed(office, "cases", "delay", number, "--until", "2999-01-04", "--reason", "The feed is late"))
    assert "We will answer by January 4, 2999. The reason: The feed is late" in letter(office, number, "3-delay.txt")
    refused(typed(office, "cases", "answer", number, "declined", "--reason", "x"), 2, "--authority: name the law")
    law = ("--authority", "Minn. Stat. § 13.05, subd. 7", "--reason", "The budget is used up")
    done(typed(office, "cases", "answer", number, "declined", *law))
    assert "The law: Minn. Stat. § 13.05, subd. 7" in letter(office, number, "4-declined.txt")
    refused(typed(office, "cases", "delete", number), 2, "only a closed case can be deleted")
    done(typed(office, "cases", "close", number))
    kept = office.state / "private" / "cases" / number
    assert (kept / "letter.txt").read_text() == CANARY
    done(typed(office, "cases", "delete", number))
    assert list(kept.iterdir()) == []
    assert outside(office) == before
    assert told(journal(office))[-1] == "summary: deleted"
    assert "Canary" not in (office.state / "private" / "journal.jsonl").read_text()


def test_a_request_that_the_budget_does_not_pay_for_gets_no_estimate(office: Town) -> None:
    """It is refused before anyone is told a price, with the period and the way on."""
    drafted = (office.root / "datasets" / "requests.toml").read_text()
    (office.root / "datasets" / "more.toml").write_text(drafted.replace("rho = 0.1", "rho = 0.2"))
    done(typed(office, "cases", "open", "summary"))
    number = listed(office)[0]["number"]
    asked = typed(office, "cases", "estimate", number, "more", "--hours", "1")
    refused(asked, 4, "the budget of requests does not pay for 2024-01: `publisher plan more` shows what is left")
    office.edit("datasets/requests.toml", "rho = 0.1", "rho = 0.05")
    asked = typed(office, "cases", "estimate", number, "requests", "--hours", "1")
    refused(asked, 2, "2024-01..2024-03 would be drawn and charged again")


def test_a_closed_case_is_deleted_after_its_retention(office: Town) -> None:
    """With its letters, unless a legal hold is in force; one that is open stays. No number is given twice, also where
    the folder is gone."""
    numbers = []
    for _ in range(2):
        done(typed(office, "cases", "open", "summary"))
        numbers.append(listed(office)[-1]["number"])
    done(typed(office, "cases", "close", numbers[0], "--reason", "Withdrawn"))
    cases = office.state / "private" / "cases"
    file = cases / numbers[0] / "case.json"
    file.write_text(file.read_text().replace(f'"closed","day":"{day(0)}', f'"closed","day":"{day(400)}'))
    assert list(planned_cases(find_workspace(office.root))) == []
    office.edit("publisher.toml", "[cases]", "[cases]\nretention_months = 12")
    held = '[[hold]]\nsince = 2024-01-01\nreason = "Case 7"\n\n[privacy]'
    office.edit("pipelines/meters.toml", "[privacy]", held)
    assert list(planned_cases(find_workspace(office.root))) == []
    office.edit("pipelines/meters.toml", held, "[privacy]")
    workspace = find_workspace(office.root)
    assert list(planned_cases(workspace)) == [
        f"case {numbers[0]}: closed on {day(400)}, is due to be deleted with its letters."
    ]
    agreed: list[str] = []
    assert list(purge_cases(workspace, agreed.append)) == [f"case {numbers[0]}: deleted with its letters"]
    assert agreed == [f"case {numbers[0]}: closed, beyond retention: deleted with letters."]
    assert list((cases / numbers[0]).iterdir()) == []
    (cases / numbers[0]).rmdir()
    shutil.rmtree(cases / numbers[1])
    done(typed(office, "cases", "open", "summary"))
    assert listed(office)[0]["number"] not in numbers


def test_status_says_when_an_answer_is_due(office: Town) -> None:
    """In fixed words, with the exit code for what waits for people: soon, and then overdue; nothing of what was
    written."""
    for back in (26, 31, 2):
        done(typed(office, "cases", "open", "accuracy", "requests", "2024-01", "--received", day(back), "--to", CANARY))
    soon, over, calm = sorted(each["number"] for each in listed(office))
    status = typed(office, "status", "--check", "--offline")
    assert status.code == 3
    assert f"case {soon}: a contested number has to be answered by" in words(status)
    assert f"case {over}: a contested number was to be answered by" in words(status)
    assert f"case {calm}" not in words(status)
    assert "Canary" not in status.out
    needs = json.loads(typed(office, "status", "--json", "--offline").out)["needs"]
    assert [(each["subject"], each["reason"]) for each in needs] == [
        (f"case {soon}", "answer due"),
        (f"case {over}", "answer overdue"),
    ]
    table = typed(office, "cases").out
    assert "OVERDUE" in table
    assert [each["number"] for each in listed(office)] == [over, soon, calm]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("open", "accuracy", "requests"), 2, "accuracy needs DATASET and PERIOD"),
        (("open", "summary", "requests", "2024-01"), 2, "summary has none, until it is estimated"),
        (("open", "accuracy", "requests", "1999-01"), 2, "no edition of 1999-01 is current"),
        (("open", "summary", "--received", "2999-01-01"), 2, "2999-01-01 is in the future"),
        (("open", "summary", "--letter", "nowhere.txt"), 5, "nowhere.txt: cannot be read"),
        (("show", "2026-999"), 2, "there is no case '2026-999'; open: none"),
        (("close", "../journal.jsonl"), 2, "there is no case"),
    ],
)
def test_what_is_wrong_is_said(office: Town, arguments: tuple[str, ...], code: int, said: str) -> None:
    """With what to do, and no case is opened."""
    refused(typed(office, "cases", *arguments), code, said)
    assert listed(office, "--all") == []
    assert journal(office) == []


def test_without_settings_no_case_is_kept(released: Town) -> None:
    """Who opens one is told what to add; an office with its own clocks needs no law."""
    refused(typed(released, "cases", "open", "summary"), 2, "publisher.toml: no cases are kept: add [cases] with law")
    assert "No case is open." in done(typed(released, "cases"))
    settings = released.root / "publisher.toml"
    settings.write_text(settings.read_text() + "\n[cases.clocks.accuracy]\ndays = 7\nstatute = 'Town Code 9'\n")
    said = done(typed(released, "cases", "open", "accuracy", "requests", "2024-01"))
    assert "(Town Code 9)" in said
    done(typed(released, "cases", "open", "summary"))
    ours = {each["kind"]: each["rule"] for each in listed(released)}
    assert ours == {"accuracy": "Town Code 9", "summary": "our own rule"}
    assert OWN_RULE["summary"].words == "10 business days"
    settings.write_text(settings.read_text() + "\n[cases.clocks.summary]\ndays = 0\n")
    refused(typed(released, "cases"), 2, "cases.clocks.summary.days")


def test_an_office_writes_its_own_letters(office: Town) -> None:
    """A file in the workspace is the letter; what cannot be filled in is refused by `check`, and before a step."""
    own = office.root / "letters" / "received-summary.txt"
    own.parent.mkdir()
    own.write_text("Dear $to,\nwe answer by $due.\n")
    done(typed(office, "cases", "open", "summary", "--to", "A. Person"))
    (row,) = listed(office)
    assert letter(office, row["number"], "1-received-summary.txt").startswith("Dear A. Person, we answer by")
    own.write_text("Dear $mayor,\n")
    wrong = "letters/received-summary.txt:1: there is no '$mayor' to fill in"
    refused(typed(office, "check"), 2, wrong)
    refused(typed(office, "cases", "open", "summary"), 2, wrong)
    assert listed(office) == [row]
    assert told(journal(office)) == ["summary: opened"]


def test_an_interrupted_step_is_told_once(office: Town) -> None:
    """A command that was killed after it told the journal and before the case was written: the next try tells nothing
    twice."""
    done(typed(office, "cases", "open", "summary"))
    number = listed(office)[0]["number"]
    file = office.state / "private" / "cases" / number / "case.json"
    before = file.read_bytes()
    done(typed(office, "cases", "close", number, "--reason", "Withdrawn"))
    file.write_bytes(before)
    done(typed(office, "cases", "close", number, "--reason", "Withdrawn"))
    assert told(journal(office)) == ["summary: opened", "summary: closed"]
