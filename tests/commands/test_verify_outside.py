"""What is public verifies by itself, on any machine: each thing that someone changed in it is named."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from publisher.approvals.keys import SigningKey
from publisher.approvals.witness import TreeHead, Witness, witnessed
from publisher.commands.verify_outside import verified_folder
from publisher.errors import SourceError
from publisher.privacy.chain import entry_hash, payload_hash
from publisher.release.manifest import hash_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from township import Answer, Town


@pytest.fixture
def public(released: Town) -> Path:
    """The public folder of a town that has released everything, on another machine."""
    target = released.root / "elsewhere" / "public"
    shutil.copytree(released.state / "public", target)
    shutil.rmtree(released.state)
    return target


def verify(town: Town, place: Path | str, *options: str) -> Answer:
    """The command, in a folder without a workspace."""
    return town.publisher("-C", str(town.root / "elsewhere"), "verify", str(place), "--json", *options)


def entries(public: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (public / "ledger.jsonl").read_text().splitlines()]


def write(public: Path, lines: list[dict[str, object]]) -> None:
    text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
    (public / "ledger.jsonl").write_text(text)


def test_what_is_public_verifies_elsewhere(released: Town, public: Path) -> None:
    """Without the workspace: the ledger, every release with its proof, and one release alone."""
    answer = verify(released, public)
    assert answer.code == 0, answer.err
    rows = {row["what"]: (row["checked"], row["result"]) for row in answer.rows}
    assert rows["water: releases"] == ("releases: 3, with a proof: 3", "ok")
    assert {result for _, result in rows.values()} == {"ok"}
    one = verify(released, public / "releases" / "water" / "2024-02" / "1")
    assert (one.code, [row["result"] for row in one.rows]) == (0, ["ok", "ok", "ok"])
    (public / "ledger.jsonl").unlink()
    alone = verify(released, public / "releases" / "water" / "2024-02" / "1")
    assert (alone.code, alone.rows[0]["result"]) == (0, "warning")
    ledger = next(verified_folder(public, [], []))
    assert (ledger.result, ledger.exit_code) == ("wrong", 4)  # nothing else would tell that a release is gone


def a_table(public: Path) -> None:
    path = public / "releases" / "water" / "2024-02" / "1" / "data.csv"
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))


def a_manifest(public: Path) -> None:
    path = public / "releases" / "water" / "2024-02" / "1" / "manifest.json"
    path.write_bytes(path.read_bytes() + b" ")


def a_loss(public: Path) -> None:
    path = public / "releases" / "water" / "2024-02" / "1" / "manifest.json"
    says = json.loads(path.read_bytes())
    says["charge"]["loss"] = "1/20"
    path.write_text(json.dumps(says))


def a_proof(public: Path) -> None:
    path = public / "releases" / "water" / "2024-02" / "1" / "manifest.json"
    says = json.loads(path.read_bytes())
    says["proof"]["path"] = says["proof"]["path"][1:]
    path.write_text(json.dumps(says))


def an_entry(public: Path) -> None:
    lines = entries(public)
    (charge,) = [line for line in lines if line["kind"] == "charge" and '"2024-02"' in str(line["payload"])][:1]
    charge["payload"] = str(charge["payload"]).replace('"loss":"1/10"', '"loss":"1/20"')
    write(public, lines)


def a_hidden_entry(public: Path) -> None:
    lines = entries(public)
    hidden = next(line for line in lines if line["kind"] == "validation")
    hidden["sha256"] = "0" * 64
    write(public, lines)


def a_charge_that_is_hidden(public: Path) -> None:
    lines = entries(public)
    charge = next(line for line in lines if line["kind"] == "charge")
    charge["payload"] = None
    write(public, lines)


def a_charge_less(public: Path) -> None:
    write(public, [line for line in entries(public) if line["sequence"] != 3])


def a_release_less(public: Path) -> None:
    shutil.rmtree(public / "releases" / "water" / "2024-02")


CHANGES: dict[Callable[[Path], None], tuple[int, str, str]] = {
    a_table: (5, "water: releases", "water/2024-02/1: data.csv was changed or is missing"),
    a_manifest: (5, "water: releases", "water/2024-02/1: manifest.json was changed: the ledger has another one"),
    a_loss: (5, "water: releases", "water/2024-02/1: it was charged something else than it claims: loss"),
    a_proof: (5, "water: releases", "water/2024-02/1: its proof does not lead to the root of the ledger"),
    an_entry: (4, "ledger", "was changed"),
    a_hidden_entry: (5, "water: releases", "of the ledger is not as it was when the release was paid for"),
    a_charge_that_is_hidden: (4, "ledger", "does not show what an entry of its kind shows"),
    a_charge_less: (4, "ledger", "ledger entry 3 is missing"),
    a_release_less: (5, "released editions", "water/2024-02/1: the release is gone"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_found_by_its_name(released: Town, public: Path, change: Callable[[Path], None]) -> None:
    """A row is wrong, a line says what, and the exit code is that of what is wrong."""
    code, what, words = CHANGES[change]
    change(public)
    answer = verify(released, public)
    wrong = {row["what"]: row["faults"] for row in answer.rows if row["result"] == "wrong"}
    assert any(words in fault for fault in wrong[what]), wrong
    assert answer.code == code


def forged(public: Path, number: int, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what an entry says, and the hashes after it, as someone who makes up a whole ledger can."""
    lines = entries(public)
    for line, after in zip(lines[number - 1 :], [*lines[number:], None], strict=True):
        if line is lines[number - 1]:
            says = json.loads(str(line["payload"]))
            change(says)
            line["payload"] = json.dumps(says)
            line["sha256"] = payload_hash(line["payload"])
        if line["payload"] is None or after is None:
            break
        after["previous"] = entry_hash(
            int(str(line["sequence"])), str(line["kind"]), str(line["at"]), str(line["payload"]), str(line["previous"])
        )
    write(public, lines)


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [("charge", "source", []), ("charge", "parallel", "many"), ("charge", "blocks", 3), ("release", "edition", "one")],
)
def test_a_ledger_that_no_one_can_read_is_said_to_be_wrong(public: Path, kind: str, key: str, value: object) -> None:
    """Whoever verifies does not know who made the files: whatever is in them is a finding, never a crash."""
    number = next(int(str(each["sequence"])) for each in entries(public) if each["kind"] == kind)
    forged(public, number, lambda says: says.update({key: value}))
    faults = [fault for row in verified_folder(public, [], []) for fault in row.faults]
    assert any("cannot be read" in fault for fault in faults), faults


def test_a_guarantee_of_another_form_is_a_finding(public: Path) -> None:
    """Also one that its manifest knows."""
    folder = public / "releases" / "water" / "2024-02" / "1"
    (folder / "guarantee.json").write_text('{"budget": "none"}')
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"]["guarantee.json"] = hash_of(folder / "guarantee.json").model_dump()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    faults = [fault for row in verified_folder(public, [], []) for fault in row.faults]
    assert "water/2024-02/1: its guarantee, or a charge in the ledger, cannot be read" in faults


def test_names_in_a_ledger_lead_nowhere_else(public: Path) -> None:
    """An approval is read in its folder alone, and what is no file is not read at all."""
    said = {"place": "../..", "reviewer": "secret", "sha256": "0", "owner": "1"}
    (public.parent / "secret.json").write_text("{}")
    text = json.dumps(said)
    last = entries(public)[-1]
    line = {"sequence": int(str(last["sequence"])) + 1, "kind": "approval", "at": last["at"], "payload": text}
    write(public, [*entries(public), line | {"sha256": payload_hash(text), "previous": "0" * 64}])
    faults = [fault for row in verified_folder(public, [], []) for fault in row.faults]
    assert "../../secret.json: the approval is gone, or cannot be read" in faults
    (public / "releases" / "endless").symlink_to("/dev/zero")
    with pytest.raises(SourceError, match="endless: is neither a file nor a folder"):
        list(verified_folder(public, [], []))


def test_a_witness_keeps_the_ledger_as_it_was(released: Town, public: Path) -> None:
    """A ledger that was made up anew fits its own releases, and not the head that a library has signed."""
    key = SigningKey(Ed25519PrivateKey.generate())
    head = TreeHead(organization="Town", size=4, root="0" * 64, entry="0", at="2026-01-01T00:00:00+00:00")
    path = released.root / "library.json"

    def seen(made: Witness, *options: str) -> tuple[int, str]:
        path.write_bytes(made.content)
        answer = verify(released, public, "--witness", str(path), *options)
        return answer.code, answer.err

    made = witnessed(key, head, "library", "2026-02-01T00:00:00+00:00")
    assert seen(made) == (4, "error: library: an entry up to 4 of the ledger is not as it was when it was witnessed\n")
    code, words = seen(made.model_copy(update={"witness": "other"}))
    assert (code, "the signature is not that of its key" in words) == (4, True)
    far = witnessed(key, head.model_copy(update={"size": 999}), "library", "2026-02-01T00:00:00+00:00")
    code, words = seen(far)
    assert (code, "it was cut, or is older" in words) == (4, True)


def test_a_head_is_signed_outside_and_checked_everywhere(released: Town) -> None:
    """The city prints it, a library signs it with its own key, and workspace and public folder are both compared."""
    printed = released.publisher("ledger", "head")
    assert printed.code == 0, printed.err
    head = TreeHead.model_validate_json(printed.out)
    key = SigningKey(Ed25519PrivateKey.generate())
    path = released.root / "library.json"
    path.write_bytes(witnessed(key, head, "library", "2026-02-01T00:00:00+00:00").content)
    for place in ((), (str(released.state / "public"),)):
        options = ("--witness", str(path), "--witness-key", key.public, "--json")
        answer = released.publisher("verify", *place, *options, *(() if place else ("--offline",)))
        assert answer.code == 0, answer.err
        assert answer.rows[-1]["result"] == "ok"
    other = SigningKey(Ed25519PrivateKey.generate()).public
    answer = released.publisher("verify", "--offline", "--witness", str(path), "--witness-key", other)
    assert answer.code == 4
    assert "none of the keys that you gave" in answer.err


def test_the_public_ledger_shows_no_more_than_it_must(released: Town) -> None:
    """Each entry of it is the ledger's; it is added to, and written again where someone changed it."""
    path = released.state / "public" / "ledger.jsonl"
    before = path.read_bytes()
    hidden = {line["kind"] for line in entries(path.parent) if line["payload"] is None}
    assert hidden == {"key", "validation"}
    path.write_bytes(before.replace(b"1/10", b"1/20", 1))
    answer = released.publisher("verify", "--offline")
    assert answer.code == 5
    assert "ledger.jsonl: line 2 is not the ledger's" in answer.err
    path.write_bytes(before[:-10])
    assert released.publisher("land").code == 0
    assert path.read_bytes() == before
    released.edit("datasets/water.toml", "rho = 0.1", "rho = 0.05")
    assert released.redraw("water", "--period", "2024-01").code == 0
    assert path.read_bytes().startswith(before)
    assert len(path.read_bytes()) > len(before)
