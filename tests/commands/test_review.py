"""Review: nothing is charged without an approved definition, nothing is public without an approved release."""

from __future__ import annotations

import json
import re
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.client import HTTPConnection
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from reviewed import PASSPHRASE, Reviewers, statuses
from township import CANARY, Answer, Town

from publisher.approvals.approval import Approval, ReleaseSubject, signed
from publisher.approvals.keys import read_key
from publisher.cli import main
from publisher.commands.approvals import new_key, subject_now
from publisher.commands.review_page import ReviewPage, page_of
from publisher.commands.review_view import ReviewView, ViewPart, definition_view, present, release_view
from publisher.errors import ApprovalError, DefinitionError, PublisherError, SourceError
from publisher.pipeline.job import identity_of
from publisher.pipeline.reviews import (
    definition_subject,
    record_decision,
    record_terms,
    refuse_unapproved,
    release_subject,
    reviews_of,
    terms_of,
)
from publisher.pipeline.session import locked, opened
from publisher.pipeline.totals import totals_of, withheld
from publisher.privacy.checkpoints import Checkpoints
from publisher.privacy.database import sqlite
from publisher.privacy.ledger import Ledger, open_ledger
from publisher.privacy.outside import OutsideHead
from publisher.push.metadata import listing_of, tables_of
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.workspace import Workspace

WAITING = ["waiting for approval"] * 3


@pytest.fixture(scope="session")
def reviewers(tmp_path_factory: pytest.TempPathFactory) -> Reviewers:
    return Reviewers.made(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def approved_town(new_town: Town, reviewers: Reviewers, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A town that asks ana and ben for one approval, has one of the requests, and has released them; nobody changes
    it."""
    town = new_town.copy(tmp_path_factory.mktemp("approved") / "town")
    reviewers.ask(town, "ana", "ben")
    reviewers.decide(town, "requests")
    answer = town.run("requests")
    assert answer.code == 0, answer.err
    assert [row["status"] for row in answer.rows] == WAITING
    return town


@pytest.fixture
def validated(approved_town: Town, tmp_path: Path) -> Town:
    """The same, to be changed at will."""
    return approved_town.copy(tmp_path / "town")


def workspace_of(town: Town) -> Workspace:
    return find_workspace(town.root)


def verify(town: Town) -> Answer:
    """`publisher verify --offline`, here."""
    answer = CliRunner().invoke(main, ["-C", str(town.root), "verify", "--offline"])
    return Answer(answer.exit_code, answer.stdout, answer.stderr)


def current(town: Town, dataset: str = "requests") -> list[str]:
    """The releases that a push would send, and the analyst file has."""
    workspace = workspace_of(town)
    with opened(workspace) as catalog:
        standings = catalog.standings(dataset)
        listing = listing_of(workspace, workspace.dataset(dataset), "", standings)
        found = [each.manifest.name for each in tables_of(standings, "")]
    told = [f"{dataset}/{each['period']}/{each['edition']}" for each in json.loads(listing.facts["releases"])]
    assert sorted(told) == found
    return found


def test_a_key_stays_with_its_reviewer(town: Town, tmp_path: Path) -> None:
    """The private key is in a file of its owner's alone, outside the workspace and behind a passphrase, and is never
    replaced; what is printed is the public one."""
    file = tmp_path / "mine" / "ana.pem"

    def made(*more: str, passphrase: str = PASSPHRASE) -> tuple[int, str]:
        typed = f"{passphrase}\n{passphrase}\n"
        answer = CliRunner().invoke(main, ["-C", str(town.root), "reviewers", "key", "ana", *more], input=typed)
        return answer.exit_code, answer.output

    code, said = made("--file", str(file))
    assert code == 0, said
    key = read_key(file, lambda: PASSPHRASE)
    assert said.splitlines()[-1] == f'ana = "{key.public}"'
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in file.read_bytes()
    assert PASSPHRASE not in said
    assert made("--file", str(file))[0] == 2
    assert made("--file", str(town.state / "ana.pem"))[0] == 2
    assert made("--file", str(tmp_path / "short.pem"), passphrase="short")[0] == 2
    assert not (tmp_path / "short.pem").exists()
    with pytest.raises(DefinitionError, match="is no name for a reviewer"):
        new_key(workspace_of(town), "../ana", None, lambda: pytest.fail("asked"))


def test_a_key_that_others_can_read_signs_nothing(reviewers: Reviewers, tmp_path: Path) -> None:
    """Neither does one without a passphrase, nor with a wrong one; the passphrase is asked for after that is known."""
    file = tmp_path / "ana.pem"
    file.write_bytes((reviewers.folder / "ana.pem").read_bytes())
    for mode in (0o640, 0o604, 0o660):
        file.chmod(mode)
        with pytest.raises(SourceError, match="others can read this private key"):
            read_key(file, lambda: pytest.fail("asked"))
    file.chmod(0o600)
    with pytest.raises(DefinitionError, match="passphrase is wrong"):
        read_key(file, lambda: "another passphrase")
    assert read_key(file, lambda: PASSPHRASE).public == reviewers.public("ana")
    file.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n")
    with pytest.raises(SourceError, match="is not a key with a passphrase"):
        read_key(file, lambda: pytest.fail("asked"))


def test_an_unapproved_definition_is_not_charged(town: Town, reviewers: Reviewers) -> None:
    """The run says what to type and exits with 3; nothing was landed or charged, neither by a measurement for bounds. A
    rehearsal needs no approval."""
    reviewers.ask(town, "ana", "ben")
    answer = town.run()
    assert answer.code == 3
    assert {row["status"] for row in answer.rows} == {"definition not approved"}
    for name in ("requests", "water"):
        assert f"{name}: its definition is not approved, so nothing is charged" in answer.err
        assert f"`publisher review {name}`" in answer.err
    assert town.publisher("tune", "meters", "--period", "2024-01", "--rho", "0.01", "--yes").code == 3
    assert town.charges() == []
    assert not (town.state / "private" / "landed").exists()
    assert town.publisher("run", "water", "--rehearse", "--json").code == 0
    assert town.publisher("status", "--offline", "--check").code in (3, 5)
    reviewers.decide(town, "requests", decision="rejected")
    answer = town.run("requests")
    assert (answer.code, "its definition is rejected (ana rejected it: It looks right)" in answer.err) == (3, True)


def test_a_validated_release_waits_for_its_reviewer(validated: Town, reviewers: Reviewers) -> None:
    """It is on no list for the portal and not in the analyst file until it is approved; a rejected one stays out of
    both until the same reviewer approves it; another run neither draws again nor fails."""
    assert current(validated) == []
    charges, releases = validated.charges(), validated.tree("state/public/releases")
    assert "It can be published" in reviewers.decide(validated, "requests", "2024-01", by="ben")
    assert current(validated) == ["requests/2024-01/1"]
    reviewers.decide(validated, "requests", "2024-02", decision="rejected")
    assert statuses(validated) == ["ready", "rejected", "waiting for approval"]
    answer = validated.run("requests")
    assert (answer.code, [row["status"] for row in answer.rows]) == (0, ["ready", "rejected", "waiting for approval"])
    assert (validated.charges(), validated.tree("state/public/releases")) == (charges, releases)
    with pytest.raises(DefinitionError, match="no release of 2024-01 waits"):
        reviewers.decide(validated, "requests", "2024-01")
    reviewers.decide(validated, "requests", "2024-02")
    assert current(validated) == ["requests/2024-01/1", "requests/2024-02/1"]
    status = validated.publisher("status", "requests", "--offline", "--json")
    assert '"approval wanted"' in status.out
    assert "`publisher review requests 2024-03`" in status.out


def test_two_pairs_of_eyes_are_two_keys(validated: Town, reviewers: Reviewers) -> None:
    """One person cannot approve twice, nor under another's name, nor what they edited; what was made while one approval
    was enough still needs one."""
    reviewers.ask(validated, "ana", "ben", "eve", required=2)
    reviewers.decide(validated, "requests", "2024-01")
    assert statuses(validated)[0] == "ready"
    workspace = workspace_of(validated)
    identity = identity_of(workspace, workspace.dataset("requests"))
    with locked(workspace) as catalog, pytest.raises(ApprovalError, match="1 of 2 approvals"):
        refuse_unapproved(workspace, catalog.ledger, identity)
    validated.edit("datasets/requests.toml", "threshold = 5", "threshold = 6")
    assert validated.run("requests", "--period", "2024-02").code == 0
    reviewers.decide(validated, "requests", "2024-02", by="ben")
    assert "still needs another approval: 1 of 2" in reviewers.decide(validated, "requests", "2024-02", by="ben")
    with pytest.raises(DefinitionError, match="is not the key that"):
        reviewers.decide(validated, "requests", "2024-02", by="ana", key="ben")
    with pytest.raises(DefinitionError, match="ben edited the definition, so another"):
        reviewers.decide(validated, "requests", by="ben", editor="ben")
    reviewers.decide(validated, "requests", by="ana", editor="eve")
    with pytest.raises(DefinitionError, match="eve edited its definition"):
        reviewers.decide(validated, "requests", "2024-02", by="eve")
    assert statuses(validated)[2] == "waiting for approval"
    assert "It can be published" in reviewers.decide(validated, "requests", "2024-02", by="ana")
    with pytest.raises(DefinitionError, match="say with --edited-by"):
        reviewers.decide(validated, "requests", editor="")
    for name in ("Ben", "ben ", "ben@example.org"):
        with pytest.raises(DefinitionError, match="is no name: write it"):
            reviewers.decide(validated, "requests", by="ben", editor=name)
    with pytest.raises(DefinitionError, match="carl is not a reviewer; the reviewers are ana, ben, eve"):
        reviewers.decide(validated, "requests", by="carl", key="ana")


def test_an_editors_own_approval_does_not_count(validated: Town, reviewers: Reviewers) -> None:
    """Neither of the definition nor of its releases, though it was signed and recorded without the command."""
    workspace = workspace_of(validated)
    assert workspace.review is not None
    key = read_key(reviewers.folder / "ben.pem", lambda: PASSPHRASE)
    identity = identity_of(workspace, workspace.dataset("requests"))
    at = datetime.now(UTC).isoformat()
    with locked(workspace) as catalog:
        wanted = definition_subject(workspace, identity, editor="ben")
        follows = catalog.reviews("requests").follows(wanted.place, "ben")
        catalog.review(signed(key, wanted, "approved", "Mine", "ben", at, follows))
        state = catalog.reviews("requests").of_definition(wanted, workspace.review, datetime.now(UTC))
        assert [each.reviewer for each in state.approvals] == ["ana"]
        assert state.doubts == ("the approval of ben, who edited it, does not count",)
        release = catalog.standings("requests")[0].release
        subject = release_subject(release, catalog.store.sha256(release.manifest.name))
        catalog.review(signed(key, subject, "approved", "Mine", "ben", at, follows))
        assert catalog.standing(release).status == "waiting for approval"
        found = catalog.standing(release).review
        assert found is not None
        assert found.doubts == ("the approval of ben, who edited the definition, does not count",)


def test_an_approval_of_a_definition_ends(validated: Town, reviewers: Reviewers) -> None:
    """After the declared days, or when the source may spend more, nothing more is charged; what is public stays so.
    Words for readers need no approval."""
    reviewers.decide(validated, "requests", "2024-01")
    validated.edit("datasets/requests.toml", "How many requests were made.", "Requests, by where they were made.")
    workspace = workspace_of(validated)
    assert workspace.review is not None
    identity = identity_of(workspace, workspace.dataset("requests"))
    with locked(workspace) as catalog:
        refuse_unapproved(workspace, catalog.ledger, identity)
        wanted = definition_subject(workspace, identity)
        for days, state in ((364, "approved"), (366, "waiting for approval")):
            found = catalog.reviews("requests").of_definition(
                wanted, workspace.review, datetime.now(UTC) + timedelta(days=days)
            )
            assert found.state == state
        assert re.fullmatch(r"0 of 1.*|the approval of ana expired on 20\d\d-\d\d-\d\d", found.words)
    validated.edit("pipelines/requests.toml", "budget = 0.25", "budget = 0.3")
    workspace = workspace_of(validated)
    identity = identity_of(workspace, workspace.dataset("requests"))
    with opened(workspace) as catalog, pytest.raises(ApprovalError, match="another budget, which was smaller"):
        refuse_unapproved(workspace, catalog.ledger, identity)
    validated.edit("datasets/requests.toml", "rho = 0.1", "rho = 0.05")
    answer = validated.redraw("requests")
    assert (answer.code, len(validated.charges())) == (3, 3)
    assert current(validated) == ["requests/2024-01/1"]


def test_review_takes_nothing_back(released: Town, reviewers: Reviewers) -> None:
    """What was published before review was asked for stays public, and so does what someone approved who is no longer a
    reviewer; without review everything is as before."""
    reviewers.ask(released, "ana", "ben")
    assert released.run("requests").code == 0
    assert statuses(released) == ["ready"] * 3
    released.edit("datasets/requests.toml", "threshold = 5", "threshold = 6")
    released.run("requests", "--period", "2024-02")
    assert statuses(released) == ["ready", "ready", "waiting for approval", "ready"]
    reviewers.decide(released, "requests", "2024-02")
    reviewers.ask(released, "ben")
    assert statuses(released) == ["ready", "superseded", "ready", "ready"]
    assert verify(released).code == 0
    released.edit("publisher.toml", "[review]", "[notreview]")
    settings = released.root / "publisher.toml"
    settings.write_text(settings.read_text().partition("\n[notreview]")[0])
    released.edit("datasets/requests.toml", "threshold = 6", "threshold = 7")
    assert released.run("requests", "--period", "2024-03").code == 0
    assert statuses(released)[-1] == "ready"


def _changed(approval: Approval, reviewers: Reviewers) -> bytes:
    del reviewers
    return approval.model_copy(update={"reason": "Someone else's words"}).content


def _forged(approval: Approval, reviewers: Reviewers) -> bytes:
    """Signed with another key, under the reviewer's name and public key."""
    forger = read_key(reviewers.folder / "eve.pem", lambda: PASSPHRASE)
    return approval.model_copy(update={"signature": forger.sign(approval.message)}).content


def _foreign(approval: Approval, reviewers: Reviewers) -> bytes:
    """Signed with the key of someone who is no reviewer here."""
    other = read_key(reviewers.folder / "eve.pem", lambda: PASSPHRASE)
    made = approval.model_copy(update={"public_key": other.public})
    return made.model_copy(update={"signature": other.sign(made.message)}).content


@pytest.mark.parametrize(
    ("tamper", "recorded", "words"),
    [
        (_changed, False, "the approval was changed after it was written"),
        (_changed, True, "the signature is not ana's"),
        (_forged, True, "the signature is not ana's"),
        (_foreign, True, "signed with a key that was not ana's"),
        (None, False, "the approval is gone"),
    ],
)
def test_verify_finds_a_wrong_approval(
    validated: Town,
    reviewers: Reviewers,
    tamper: object,
    recorded: bool,
    words: str,
) -> None:
    """Changed, forged, foreign or gone, it is named, and the release is not public, even where the ledger was told of
    it too."""
    reviewers.decide(validated, "requests", "2024-01")
    file = validated.state / "public/approvals/requests/2024-01/1/ana.json"
    if callable(tamper):
        content = tamper(Approval.model_validate_json(file.read_bytes()), reviewers)
        if recorded:
            with locked(workspace_of(validated)) as catalog:
                facts = {"dataset": "requests", "place": "requests/2024-01/1", "reviewer": "ana"}
                catalog.ledger.record("approval", facts | {"sha256": sha256(content).hexdigest()})
        file.write_bytes(content)
    else:
        file.unlink()
    answer = verify(validated)
    assert answer.code == 5
    assert "approvals/requests/2024-01/1/ana.json" in answer.err
    assert words in answer.err
    assert statuses(validated) == WAITING


def test_verify_finds_an_approval_of_something_else(validated: Town, reviewers: Reviewers) -> None:
    """One that was copied to another release, also with the ledger told of it, and one that was never recorded."""
    reviewers.decide(validated, "requests", "2024-01")
    content = (validated.state / "public/approvals/requests/2024-01/1/ana.json").read_bytes()
    copied = validated.state / "public/approvals/requests/2024-02/1/ana.json"
    copied.parent.mkdir(parents=True)
    copied.write_bytes(content)
    answer = verify(validated)
    assert (answer.code, "2024-02/1/ana.json: is an approval that was never recorded" in answer.err) == (5, True)
    with locked(workspace_of(validated)) as catalog:
        facts = {"dataset": "requests", "place": "requests/2024-02/1", "reviewer": "ana"}
        catalog.ledger.record("approval", facts | {"sha256": sha256(content).hexdigest()})
    answer = verify(validated)
    assert (answer.code, "2024-02/1/ana.json: the approval is about something else" in answer.err) == (5, True)
    assert statuses(validated) == ["ready", *WAITING[1:]]


def test_a_rejection_stands_though_its_file_is_gone(validated: Town, reviewers: Reviewers) -> None:
    """Who removes the file, or ends the command before it is there, lifts no rejection: of a release, a definition."""
    workspace = workspace_of(validated)
    identity = identity_of(workspace, workspace.dataset("requests"))
    reviewers.decide(validated, "requests", by="ben", decision="rejected")
    reviewers.decide(validated, "requests", "2024-01", by="ben", decision="rejected")
    reviewers.decide(validated, "requests", "2024-01")
    for file in (validated.state / "public/approvals/requests").rglob("ben.json"):
        file.unlink()
    assert statuses(validated) == ["rejected", *WAITING[1:]]
    with opened(workspace) as catalog, pytest.raises(ApprovalError, match=r"is rejected \(.*the approval is gone"):
        refuse_unapproved(workspace, catalog.ledger, identity)
    reviewers.decide(validated, "requests", "2024-01", by="ben")
    assert statuses(validated) == ["ready", *WAITING[1:]]


def put_back(town: Town, content: bytes) -> None:
    """Restore an earlier approval of the definition of requests, and tell the ledger."""
    subject = Approval.model_validate_json(content).subject
    file = town.state / "public/approvals" / subject.place / "ana.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    with locked(workspace_of(town)) as catalog:
        facts = {"dataset": "requests", "place": subject.place, "reviewer": "ana"}
        catalog.ledger.record("approval", facts | {"sha256": sha256(content).hexdigest()})
    file.write_bytes(content)


def test_an_approval_cannot_be_put_back(validated: Town, new_town: Town, reviewers: Reviewers, tmp_path: Path) -> None:
    """After its reviewer rejected the same, or in another workspace that asks the same people, an approval that was
    once signed does not count, though the ledger was told of it."""
    (file,) = (validated.state / "public/approvals/requests/definition").rglob("ana.json")
    content = file.read_bytes()
    reviewers.decide(validated, "requests", decision="rejected")
    town = new_town.copy(tmp_path / "other")
    reviewers.ask(town, "ana", "ben")
    for place in (validated, town):
        put_back(place, content)
        workspace = workspace_of(place)
        identity = identity_of(workspace, workspace.dataset("requests"))
        with opened(workspace) as catalog, pytest.raises(ApprovalError, match="and was put back: it does not count"):
            refuse_unapproved(workspace, catalog.ledger, identity)
        assert "ana.json: the approval was signed for another workspace" in " ".join(verify(place).err.split())
    reviewers.decide(town, "requests")
    workspace = workspace_of(town)
    with opened(workspace) as catalog:
        refuse_unapproved(workspace, catalog.ledger, identity_of(workspace, workspace.dataset("requests")))


def test_who_shares_a_ledger_has_reviewers_of_their_own(validated: Town, reviewers: Reviewers, tmp_path: Path) -> None:
    """Another state folder that asks for no review does not end that of the first, nor is the ledger told in turn; what
    is rejected there is not rejected here."""
    settings = workspace_of(validated).review
    folders = (tmp_path / "one", tmp_path / "two")
    for folder in folders:
        folder.mkdir()
    ours, theirs = (open_ledger(folder) for folder in folders)
    theirs.close()
    shared = Ledger(sqlite(folders[0] / "ledger.sqlite"), Checkpoints(()), OutsideHead(None, folders[1]), "another")
    for _ in range(2):
        record_terms(ours, settings)
        record_terms(shared, None)
    assert [each.required for each in terms_of(ours)] == [1]
    assert (terms_of(shared), len(ours.entries("reviewers"))) == ((), 1)
    subject = ReleaseSubject(dataset="requests", period="2024", edition=1, manifest="", statistical_hash="")
    key = read_key(reviewers.folder / "ana.pem", lambda: PASSPHRASE)
    record_decision(shared, tmp_path, signed(key, subject, "rejected", "No", "ana", "", ""))
    found = [reviews_of(ledger, tmp_path, "requests").entries for ledger in (ours, shared)]
    assert [len(each) for each in found] == [0, 1]
    ours.close()
    shared.close()


def test_the_second_reviewer_sees_what_the_first_saw(validated: Town, reviewers: Reviewers) -> None:
    """The first of two approvals is nothing to compare with; what could hide a change in a terminal is spelled out; and
    the hash that is signed covers what the statistical hash does not."""
    reviewers.ask(validated, "ana", "ben", required=2)
    validated.edit("datasets/requests.toml", "rho = 0.1", "rho = 0.05 # \u202e")

    def view() -> tuple[str, str]:
        workspace = workspace_of(validated)
        with opened(workspace) as catalog:
            found = definition_view(workspace, catalog, workspace.dataset("requests"))
        return found.hash, found.parts[0].diff

    reviewers.decide(validated, "requests")
    before, diff = view()
    assert "+rho = 0.05 # \\u202e" in diff.splitlines()
    validated.edit("pipelines/requests.toml", "budget = 0.25", "budget = 0.3")
    assert view()[0] != before


def test_the_view_hides_no_change(validated: Town, reviewers: Reviewers, capsys: pytest.CaptureFixture[str]) -> None:
    """What a terminal would obey is spelled out, in any part of the view; and where the draw is another though no text
    is, as with other boundaries, it says so."""
    present(ReviewView("a", "", "", "", (ViewPart("b", ("c\x1b[2Kd",), ("e",), (("f\x1b[2Kg",),)),), ()))
    shown = capsys.readouterr().out
    assert (shown.count("\\x1b[2K"), "\x1b[2K" in shown) == (2, False)
    workspace = workspace_of(validated)
    dataset = workspace.dataset("requests")
    subject, _ = subject_now(workspace, dataset, "carl")
    other = subject.model_copy(update={"statistical_hash": "0"})
    key = read_key(reviewers.folder / "ana.pem", lambda: PASSPHRASE)
    with locked(workspace) as catalog:
        assert definition_view(workspace, catalog, dataset).parts[0].lines == ("None.",)
        follows = catalog.reviews("requests").follows(other.place, "ana")
        catalog.review(signed(key, other, "approved", "Right", "ana", "2026-01-01T00:00:00+00:00", follows))
        assert (
            "the files that decide places are others" in definition_view(workspace, catalog, dataset).parts[0].lines[0]
        )


TOTALS = '[[totals]]\nname = "quarter"\ntitle = "Requests by quarter"\ngrain = "quarter"\n\n[portal]'


def test_totals_over_time_need_an_approved_definition(validated: Town, reviewers: Reviewers) -> None:
    """Nobody reviews a total: one that was declared after the approval, or would be finished in another way, is not
    written before the definition is approved with it; what was public stays so."""
    for month in ("2024-01", "2024-02", "2024-03"):
        reviewers.decide(validated, "requests", month)
    validated.edit("datasets/requests.toml", "[portal]", TOTALS)

    def made() -> list[str]:
        assert validated.run("requests").code == 0
        return sorted(path.parent.name for path in (validated.state / "public/totals").rglob("manifest.json"))

    assert made() == []
    workspace = workspace_of(validated)
    with opened(workspace) as catalog:
        (table,) = totals_of(catalog, workspace.dataset("requests"))
        assert list(withheld(workspace, table)) == ["Withheld: 2024-Q1, because it is under review."]
    assert "with another set of totals over time" in validated.publisher("review").out
    reviewers.decide(validated, "requests")
    assert made() == ["1"]
    validated.edit("datasets/requests.toml", "threshold = 5", "threshold = 4")
    assert made() == ["1"]
    reviewers.decide(validated, "requests")
    assert made() == ["1", "2"]


AUTOMATIC = "[automatic_approval]\nmost_change = 100\nmost_withheld = 0.9\n\n[portal]"


@pytest.fixture
def automatic(town: Town, reviewers: Reviewers) -> Town:
    """A town whose approved definition of requests declares when its releases need no reviewer; the first is made and
    approved by a person."""
    town.edit("datasets/requests.toml", "[portal]", AUTOMATIC)
    reviewers.ask(town, "ana", "ben")
    reviewers.decide(town, "requests")
    assert [row["status"] for row in town.run("requests", "--period", "2024-01").rows] == WAITING[:1]
    reviewers.decide(town, "requests", "2024-01")
    return town


def test_automatic_approval_needs_its_conditions(automatic: Town, reviewers: Reviewers) -> None:
    """The first release waits for a person; a later one that meets every declared condition is approved by them, one
    that does not waits, and so does one whose conditions, finish or expectations were edited after their approval."""
    assert [row["status"] for row in automatic.run("requests", "--period", "2024-02").rows] == ["ready"]
    for name, before, after in (
        ("datasets/requests.toml", "most_change = 100", "most_change = 101"),
        ("datasets/requests.toml", "threshold = 5", "threshold = 6"),
    ):
        automatic.edit(name, before, after)
        assert [row["status"] for row in automatic.run("requests", "--period", "2024-03").rows] == WAITING[:1]
        assert "is not approved with these conditions" in _view(automatic, "2024-03")
    reviewers.decide(automatic, "requests")
    automatic.expect("requests", 10**6)
    assert [row["status"] for row in automatic.run("requests", "--period", "2024-03").rows] == WAITING[:1]
    for before, after, words in (
        ("most_change = 101", "most_change = 0.001", "A number differs by"),
        ("most_withheld = 0.9", "most_withheld = 0.01", "A table withholds"),
    ):
        automatic.edit("datasets/requests.toml", before, after)
        reviewers.decide(automatic, "requests")
        assert [row["status"] for row in automatic.run("requests", "--period", "2024-03").rows] == WAITING[:1]
        assert words in _view(automatic, "2024-03")
    automatic.edit("datasets/requests.toml", "most_change = 0.001", "most_change = 100")
    automatic.edit("datasets/requests.toml", "most_withheld = 0.01", "most_withheld = 1")
    reviewers.decide(automatic, "requests")
    assert [row["status"] for row in automatic.run("requests", "--period", "2024-03").rows] == ["ready"]
    reviewers.ask(automatic, "ben")
    assert set(statuses(automatic)) <= {"ready", "superseded", "waiting for approval"}
    assert current(automatic)[1:] == ["requests/2024-02/1", "requests/2024-03/2"]


def _view(town: Town, period: str | None = None) -> str:
    """What a reviewer is shown, as one text."""
    workspace = workspace_of(town)
    with opened(workspace) as catalog:
        dataset = workspace.dataset("requests")
        found = (
            release_view(workspace, catalog, dataset, period)
            if period
            else definition_view(workspace, catalog, dataset)
        )
    return repr(found)


def test_the_view_shows_what_to_decide_by(validated: Town, reviewers: Reviewers) -> None:
    """Changes in margins, what is withheld by place, checks, odds, the budget before and after, the definition's
    changes, and what to type; no value of a record."""
    reviewers.decide(validated, "requests", "2024-01")
    validated.edit("datasets/requests.toml", "rho = 0.1", "rho = 0.05")
    answer = validated.publisher("review", "requests", "2024-02")
    assert answer.code == 0, answer.err
    for words in (
        "requests/2024-02/1: waiting for approval",
        "Compared with requests/2024-01/1",
        "table     number    cell",
        "numbers are withheld",
        "Everything is as expected.",
        "guesses whether one record is in the data is right at most",
        "ρ 0 before, 0.1 with this release, of 0.25",
        "-rho = 0.1",
        "+rho = 0.05",
        "publisher approve requests 2024-02 --by NAME",
    ):
        assert words in answer.out
    assert CANARY not in answer.out
    first = validated.publisher("review", "requests", "2024-01")
    assert "This is the first release" in first.out
    assert "approved by ana" in first.out
    listed = [row["what"] for row in validated.publisher("review", "--json").rows]
    assert listed == ["requests: definition", "requests/2024-02/1", "requests/2024-03/1", "water: definition"]


def test_a_decision_is_asked_for(validated: Town, reviewers: Reviewers) -> None:
    """The passphrase signs and not a yes alone; "no" changes nothing; a reason that names a person is refused."""

    def approve(typed: str, reason: str = "Looks right") -> tuple[int, str]:
        words = ["approve", "requests", "2024-01", "--by", "ana", "--key", str(reviewers.folder / "ana.pem")]
        answer = CliRunner().invoke(
            main, ["-C", str(validated.root), *words, "--reason", reason, "--no-push"], input=typed
        )
        return answer.exit_code, answer.output

    assert approve("wrong passphrase!\ny\n")[0] == 2
    assert approve(f"{PASSPHRASE}\nn\n")[0] == 130
    assert approve(f"{PASSPHRASE}\ny\n", "ask ana@example.org")[0] == 2
    assert statuses(validated) == WAITING
    code, said = approve(f"{PASSPHRASE}\ny\n")
    assert (code, PASSPHRASE in said) == (0, False), said
    assert statuses(validated)[0] == "ready"
    assert (validated.state / "public/approvals/requests/2024-01/1/ana.json").is_file()


def test_the_page_opens_once_and_signs_nothing(validated: Town, reviewers: Reviewers) -> None:
    """Its address works once, and for one browser; no other name leads to it, nothing can be sent to it, and markup in
    a reason is text. It has the guarantee too."""
    reviewers.decide(validated, "requests", "2024-01")
    workspace = workspace_of(validated)
    with opened(workspace) as catalog:
        view = release_view(workspace, catalog, workspace.dataset("requests"), "2024-02")
    marked = replace(view, parts=(*view.parts, ViewPart("Decisions", ("rejected by ben: <script>alert(1)</script>",))))
    with ReviewPage(page_of(marked)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        parts = urlsplit(server.address)
        assert parts.hostname == "127.0.0.1"

        def ask(path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
            connection = HTTPConnection("127.0.0.1", parts.port or 0, timeout=10)
            connection.request(method, path, headers=headers)
            reply = connection.getresponse()
            return reply.status, dict(reply.headers), reply.read().decode()

        assert ask("/")[0] == ask("/wrong")[0] == ask(parts.path, Host="rebound.example")[0] == 403
        code, headers, _ = ask(parts.path)
        place = headers["Location"]
        assert (code, len(place) > 20) == (303, True)
        cookie = headers["Set-Cookie"].partition(";")[0]
        # A browser sends a cookie to every server on this machine, unless it belongs to a path that they do not have.
        assert f"HttpOnly; SameSite=Strict; Path={place}" in headers["Set-Cookie"]
        assert ask("/", Cookie=cookie)[0] == ask(place)[0] == 403
        assert ask(parts.path)[0] == 403
        code, headers, page = ask(place, Cookie=cookie)
        assert code == 200
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        for words in (
            "requests/2024-02/1",
            "Withheld, by place",
            "publisher approve requests 2024-02",
            "In a household",
        ):
            assert words in page
        assert "&lt;script&gt;" in page
        assert "<script" not in page
        assert CANARY not in page
        assert ask(place, "POST", Cookie=cookie)[0] == ask(place, "PUT", Cookie=cookie)[0] == 501
        assert ask(place, Cookie=cookie.replace("=", "=x"))[0] == 403
        server.shutdown()
    assert statuses(validated)[1] == "waiting for approval"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("required = 2", "asks for 2 approvals of 1 reviewer"),
        ('reviewers.ben = "{ana}"', "has the key of another reviewer"),
        ('reviewers.ben = "{again}"', "is not a public key"),
        ('reviewers.ben = "ed25519:AAAA"', "is not a public key"),
        ("required = 0", "required"),
    ],
)
def test_bad_settings_are_named(town: Town, reviewers: Reviewers, lines: str, words: str) -> None:
    """Too few reviewers, one key twice, also written in another way, and what is no key are refused with their line."""
    settings = town.root / "publisher.toml"
    ana = reviewers.public("ana")
    again = f"{ana[:-2]}{chr(ord(ana[-2]) + 1)}="  # the last bits of the base64 are of no byte
    lines = lines.format(ana=ana, again=again)
    settings.write_text(settings.read_text() + f'\n[review]\nreviewers.ana = "{ana}"\n{lines}\n')
    with pytest.raises(PublisherError, match=words):
        find_workspace(town.root)


def test_the_form_is_signed_with_the_definition(town: Town, reviewers: Reviewers) -> None:
    """It has the five steps, what definitions and odds say, and marks for the rest; where it is asked for, no
    definition is approved before all is answered, and what was approved is kept: a later change of it is seen."""
    reviewers.ask(town, "ana", "ben")
    town.edit("publisher.toml", "required = 1", "required = 1\nform = true")
    town.run("requests")
    with pytest.raises(DefinitionError, match="--form` writes one"):
        reviewers.decide(town, "requests")
    answer = town.publisher("review", "requests", "--form")
    assert answer.code == 0, answer.err
    path = town.root / "reviews/requests.md"
    text = path.read_text()
    assert f"Wrote reviews/requests.md: {text.count('TODO')} answers" in answer.out
    assert re.findall(r"^## (\d)", text, re.MULTILINE) == list("12345")
    for words in ("| caller | private | Town Code 2 | not read |", "right at most 59%", "below 5 are withheld"):
        assert words in text
    assert town.publisher("review", "requests", "--form").code == 2
    with pytest.raises(DefinitionError, match="answers are marked TODO"):
        reviewers.decide(town, "requests")
    path.write_text(text.replace("TODO", "said"))
    reviewers.decide(town, "requests")
    path.write_text(text.replace("TODO", "something else"))
    assert "+- Reasons to decide otherwise than step 4 says: something else" in _view(town)
    path.write_bytes(text.replace("TODO", "said").encode("utf-16"))
    assert "reviews/requests.md: is not written in UTF-8" in town.publisher("review", "requests").err
