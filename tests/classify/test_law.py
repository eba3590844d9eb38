"""Jurisdiction packs."""

from __future__ import annotations

from typing import get_args

import pytest

from publisher.classify.kinds import KINDS
from publisher.classify.law import LAWS, read_law
from publisher.classify.proposal import proposals
from publisher.cli import main
from publisher.definitions.settings import LawName

CITED = {"minnesota": "Minn. Stat. § 13.", "missouri": "RSMo 610.0", "new-york": "Public Officers Law § ", "washington": "RCW 42.56."}  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("name", LAWS)
def test_each_pack_cites_its_law_for_every_kind(name: str) -> None:
    """Each kind has one rule with a citation of that law and a note of what a lawyer should look at."""
    law = read_law(name)
    assert law.open.startswith(CITED[name])
    for kind in KINDS:
        rule = law.rule(kind)
        assert rule.statute.startswith(CITED[name])
        assert rule.note


def test_the_command_line_offers_what_there_is() -> None:
    """Its choices are the packs."""
    (option,) = (each for each in main.commands["classify"].params if each.name == "law")
    assert tuple(option.type.choices) == LAWS == get_args(LawName)  # type: ignore[attr-defined]


def test_a_proposal_follows_its_pack() -> None:
    """Class and statute are those of the pack; nothing is read that is personal; without a pack there is no statute."""
    columns = {"ssn": ["219-09-9999"], "ward": ["1", None]}
    ssn, ward = proposals(columns, read_law("washington"))
    assert (ssn.kind, ssn.class_, ssn.statute, ssn.read) == ("government-id", "private", "RCW 42.56.230(5)", False)
    assert (ward.kind, ward.class_, ward.statute, ward.read) == (None, "public", "RCW 42.56.070", None)
    assert [each.statute for each in proposals(columns)] == [None, None]
