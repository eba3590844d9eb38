"""`publisher accept` and the reasons that people give: recorded, public, and for one edition alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from publisher.pipeline.session import opened
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from township import Town

WHY = "The fee went up in February"


@pytest.fixture(scope="module")
def held_town(new_town: Town, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A town whose requests of January are held: people expect at most one; nobody changes it."""
    town = new_town.copy(tmp_path_factory.mktemp("held") / "town")
    town.expect("requests", 1)
    answer = town.run("requests", "--period", "2024-01")
    assert answer.code == 3
    assert 'run `publisher accept requests 2024-01 --reason "..."`' in answer.err
    return town


@pytest.fixture
def held(held_town: Town, tmp_path: Path) -> Town:
    return held_town.copy(tmp_path / "town")


def accept(town: Town, *arguments: str) -> Any:
    return town.publisher("accept", "requests", "2024-01", "--no-push", *arguments)


def status(town: Town) -> list[tuple[int, str]]:
    return [(row["edition"], row["status"]) for row in town.publisher("releases", "requests", "--json").rows]


def entries(town: Town, kind: str) -> list[dict[str, Any]]:
    return [json.loads(text) for (text,) in town.ledger(f"SELECT payload FROM entries WHERE kind = '{kind}'")]


def test_a_legitimate_jump_is_accepted(held: Town) -> None:
    """The same bytes become current with the reason in the ledger, in the result of the check and in `show`; nothing is
    drawn or charged, and another check or run changes nothing."""
    released, charges = held.tree("state/public/releases"), held.charges()
    answer = accept(held, "--reason", WHY, "--yes")
    assert (answer.code, answer.out) == (0, "requests/2024-01/1: accepted; 2024-01: edition 1 is current\n"), answer.err
    (entry,) = entries(held, "acceptance")
    assert (entry["dataset"], entry["period"], entry["edition"], entry["reason"]) == ("requests", "2024-01", 1, WHY)
    assert entry["by"]
    (although,) = entry["although"]
    assert "expected at most 1 (expectations/requests.json)" in although
    validation = json.loads((held.state / "public/validations/requests/2024-01/1.json").read_text())
    assert (validation["passed"], validation["accepted"]) == (False, WHY)
    assert f": {WHY}" in held.publisher("show", "requests").out
    assert held.publisher("revalidate", "requests").code == 0
    assert [row["status"] for row in held.run("requests", "--period", "2024-01").rows] == ["ready"]
    assert held.publisher("sql", "SELECT * FROM requests").code == 0
    assert (held.tree("state/public/releases"), held.charges()) == (released, charges)
    assert held.publisher("ledger", "verify").code == 0
    again = accept(held, "--reason", WHY, "--yes")
    assert (again.code, "no release of 2024-01 is held" in again.err) == (2, True)


def test_a_later_edition_is_judged_for_itself(held: Town) -> None:
    """The same draw with another threshold is held again, and the accepted edition stays current."""
    assert accept(held, "--reason", WHY, "--yes").code == 0
    held.edit("datasets/requests.toml", "threshold = 5", "threshold = 8")
    assert held.run("requests", "--period", "2024-01").code == 3
    assert status(held) == [(1, "ready"), (2, "held")]


def test_nothing_is_accepted_unasked(held: Town) -> None:
    """Without a terminal it takes --yes; a reason is needed that everyone may read. Nothing changes before."""
    before = held.tree("state/private/ledger.sqlite")
    for arguments, words in (
        (["--reason", WHY], "add --yes to agree"),
        (["--yes"], "Missing option '--reason'"),
        (["--reason", " ", "--yes"], "write one sentence"),
        (["--reason", "Ask jane.doe@example.com", "--yes"], "has what looks like an e-mail address"),
    ):
        answer = accept(held, *arguments)
        assert answer.code == 2
        assert words in answer.err
        assert "jane" not in answer.err
    assert held.tree("state/private/ledger.sqlite") == before
    assert status(held) == [(1, "held")]


def test_what_is_no_judgment_cannot_be_accepted(held: Town) -> None:
    """A text that a scan found stays held, with exit code 3; what passes now needs no reason."""
    scan = {"type": "expect_column_values_to_not_match_regex", "kwargs": {"column": "district", "regex": "Nor"}}
    suite = held.root / "expectations" / "requests.json"
    suite.write_text(json.dumps({"name": "requests", "expectations": [scan]}))
    answer = accept(held, "--reason", WHY, "--yes")
    assert (answer.code, "requests/2024-01/1 cannot be accepted: " in answer.err) == (3, True)
    assert "It cannot be accepted: fix what is wrong" in held.publisher("show", "requests").out
    suite.unlink()
    answer = accept(held, "--reason", WHY)
    assert (answer.code, answer.out) == (0, "requests/2024-01/1: passes now; 2024-01: edition 1 is current\n")
    assert entries(held, "acceptance") == []


def test_a_rollback_has_its_reason(released: Town) -> None:
    """Retracting and restoring are recorded with reason and person; without a terminal a reason must be given."""
    refused = released.publisher("rollback", "water", "--no-push")
    assert (refused.code, "--reason is missing" in refused.err) == (2, True)
    assert released.publisher("rollback", "water", "--reason", "A  file\nwas missing", "--no-push").code == 0
    assert released.publisher("rollback", "water", "--undo", "--reason", "It is there", "--no-push").code == 0
    for kind, reason in (("retraction", "A file was missing"), ("restoration", "It is there")):
        (entry,) = entries(released, kind)
        assert (entry["period"], entry["edition"], entry["reason"], bool(entry["by"])) == ("2024-03", 1, reason, True)
    shown = released.publisher("show", "water").out
    assert ": A file was missing" in shown
    assert ": It is there" in shown


def test_a_result_that_someone_else_wrote_counts_for_nothing(held: Town) -> None:
    """Whoever writes "passed" into the result of a check publishes nothing: the release is checked again, and held."""
    path = held.state / "public/validations/requests/2024-01/1.json"
    path.write_text(path.read_text().replace('"passed": false', '"passed": true'))
    assert status(held) == [(1, "unchecked")]
    assert held.run("requests", "--period", "2024-01").code == 3
    assert status(held) == [(1, "held")]


def test_a_result_that_the_ledger_lacks_counts_for_nothing(held: Town) -> None:
    """A result for a release that was never checked is neither believed nor entered in the ledger afterwards."""
    path = held.state / "public/validations/requests/2024-01/1.json"
    with opened(find_workspace(held.root)) as catalog:
        (release,) = catalog.store.editions("requests", "2024-01")
        assert catalog.validation(release) is not None
        assert catalog.validation(release, {"requests/2023-12/1": "0" * 64}) is None
    recorded = entries(held, "validation")
    path.with_name("2.json").write_text(path.read_text().replace('"passed": false', '"passed": true'))
    assert held.publisher("land").code == 0
    assert entries(held, "validation") == recorded


def test_a_changed_release_is_not_accepted(held: Town) -> None:
    """Not even if its manifest names the changed bytes: the ledger has the manifest's own hash."""
    folder = held.releases / "requests" / "2024-01" / "1"
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"rows": ', '"rows":  '))
    answer = accept(held, "--reason", WHY, "--yes")
    assert (answer.code, entries(held, "acceptance")) == (5, [])
    assert "manifest.json: changed since it was written" in answer.err


def test_an_acceptance_is_of_what_failed_then(held: Town) -> None:
    """Where people expect something else afterwards, the release is held again."""
    assert accept(held, "--reason", WHY, "--yes").code == 0
    held.expect("requests", 2)
    (held.state / "public/validations/requests/2024-01/1.json").unlink()
    assert held.publisher("revalidate", "requests").code == 3
    assert status(held) == [(1, "held")]
