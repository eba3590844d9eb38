"""`publisher verify` by someone outside: a public folder or a portal, without the workspace, its key or its records."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from publisher.approvals.approval import Approval, ReleaseSubject
from publisher.approvals.witness import Witness
from publisher.commands.verify import VerificationRow
from publisher.errors import BudgetError, DefinitionError, SourceError
from publisher.pipeline.outside_reading import PublicLedger, read_public_ledger
from publisher.pipeline.public_ledger import FILE
from publisher.pipeline.reviews import FOLDER, KINDS, TERMS
from publisher.privacy.chain import entry_hash, leaf_of_hash, payload_hash
from publisher.privacy.merkle import leaf_hash, root_of
from publisher.release.manifest import GUARANTEE, MANIFEST, is_private
from publisher.release.store import ReleaseStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from publisher.pipeline.outside_reading import Payload
    from publisher.pipeline.public_ledger import PublicEntry
    from publisher.privacy.ledger import Ledger
    from publisher.release.manifest import LedgerProof, Manifest, Release

_NOWHERE = Path("/nonexistent")
"""Where the private files of releases are, for someone outside."""


class PublicPlace(NamedTuple):
    """A public folder, or a release in it."""

    public: Path
    name: str
    """Of the release; empty for all."""


def public_place(path: Path) -> PublicPlace:
    """What a path leads to. Raises DefinitionError."""
    path = path.resolve()
    if (path / "releases").is_dir():
        return PublicPlace(path, "")
    for above in path.parents:
        if above.name == "releases" and (path / MANIFEST).is_file():
            return PublicPlace(above.parent, str(path.relative_to(above)))
    raise DefinitionError(
        f"{path}: is neither a public folder, which has the folder `releases`, nor a release in one, which has "
        f"{MANIFEST}"
    )


def read_witness(path: Path) -> Witness:
    """A witnessed head in a file. Raises SourceError."""
    try:
        return Witness.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        raise SourceError(f"{path}: is not a witnessed head, as `publisher ledger witness` makes it") from None


def verified_folder(path: Path, witnesses: Sequence[Witness], keys: Sequence[str]) -> Iterator[VerificationRow]:
    """Every check of a public folder, or of one release in it; nothing else is read. Raises DefinitionError."""
    place = public_place(path)
    _refuse_no_files(place.public)
    store = ReleaseStore(place.public, _NOWHERE, indexed=False)
    try:
        ledger = read_public_ledger((place.public / FILE).read_bytes())
        yield VerificationRow("ledger", f"entries: {ledger.size}", tuple(ledger.faults), BudgetError.exit_code)
    except OSError:
        ledger = PublicLedger(())
        alone = f"{place.public / FILE}: is missing: only what the release itself says can be checked"
        whole = f"{place.public / FILE}: is missing: what was spent, and whether a release is gone, cannot be checked"
        yield VerificationRow(
            "ledger", "", (alone if place.name else whole,), 0 if place.name else BudgetError.exit_code
        )
    names = [place.name] if place.name else list(store.names())
    for dataset in dict.fromkeys(name.partition("/")[0] for name in names):
        own = [name for name in names if name.partition("/")[0] == dataset]
        yield _releases(store, ledger, dataset, own)
    yield from _gone(ledger, set(names)) if not place.name else ()
    yield _approvals(place, ledger, names)
    yield from (witness_row(each, ledger, keys) for each in witnesses)


def _refuse_no_files(public: Path) -> None:
    """Raise SourceError for what is no file and no folder, such as a link to a device: reading it might never end."""
    for path in sorted(public.rglob("*")):
        if not (path.is_file() or path.is_dir()):
            raise SourceError(f"{path}: is neither a file nor a folder: nothing was checked")


def _releases(store: ReleaseStore, ledger: PublicLedger, dataset: str, names: Sequence[str]) -> VerificationRow:
    faults: list[str] = []
    proven = 0
    for name in names:
        try:
            release = store.named(name)
        except SourceError as error:
            faults.append(str(error))
            continue
        changed = [each for each in release.manifest.files if not is_private(each) and not _intact(release, each)]
        faults += [f"{name}: {each} was changed or is missing" for each in changed]
        faults += manifest_faults(release.manifest, store.sha256(name), ledger)
        if GUARANTEE in release.manifest.files and GUARANTEE not in changed:
            try:
                faults += guarantee_faults(release.manifest, json.loads(release.content(GUARANTEE)), ledger)
            except (BudgetError, ValueError, KeyError, TypeError, AttributeError):
                faults.append(f"{name}: its guarantee, or a charge in the ledger, cannot be read")
        proven += release.manifest.proof is not None
    words = f"releases: {len(names)}, with a proof: {proven}"
    return VerificationRow(f"{dataset}: releases", words, tuple(faults), SourceError.exit_code)


def _intact(release: Release, name: str) -> bool:
    try:
        return release.hash_of(name) == release.manifest.files[name]
    except (OSError, SourceError):
        return False


def manifest_faults(manifest: Manifest, sha256: str, ledger: PublicLedger) -> Iterator[str]:
    """What is wrong with a manifest: with its own proof, and by the ledger, if there is one."""
    name = manifest.name
    yield from (f"{name}: {words}" for words in proof_faults(manifest))
    if not ledger.size:
        return
    entered = [
        said for _, said in ledger.of("release") if f"{said['dataset']}/{said['period']}/{said['edition']}" == name
    ]
    if not entered:
        yield f"{name}: the release is not in the ledger"
    elif entered[-1].get("manifest") != sha256:
        yield f"{name}: {MANIFEST} was changed: the ledger has another one"
    if manifest.ledger.sequence > ledger.size:
        yield f"{name}: was paid for by entry {manifest.ledger.sequence}, which the ledger does not have"
        return
    paid = ledger.entries[manifest.ledger.sequence - 1]
    if paid.kind != "charge" or ledger.hash_of(paid) != manifest.ledger.hash:
        yield f"{name}: entry {paid.sequence} of the ledger is not the charge that paid for it"
    elif manifest.proof is not None and ledger.tree.root(paid.sequence).hex() != manifest.proof.root:
        yield f"{name}: an entry up to {paid.sequence} of the ledger is not as it was when the release was paid for"


def proof_faults(manifest: Manifest) -> list[str]:
    """What is wrong with a manifest by its own proof, if it has one."""
    try:
        return list(_proof_faults(manifest, manifest.proof)) if manifest.proof is not None else []
    except (ValueError, KeyError, TypeError):
        return ["its proof cannot be read"]


def _proof_faults(manifest: Manifest, proof: LedgerProof) -> Iterator[str]:
    """Whether the entry in the manifest is the one it names, is in the tree, and is the charge that it claims."""
    number, charge = manifest.ledger.sequence, manifest.charge
    if entry_hash(number, proof.kind, proof.at, proof.payload, proof.previous) != manifest.ledger.hash:
        yield f"the entry in its proof is not entry {number} of the ledger"
        return
    leaf = leaf_hash(leaf_of_hash(number, proof.kind, proof.at, payload_hash(proof.payload), proof.previous))
    root = root_of(leaf, number - 1, number, [bytes.fromhex(each) for each in proof.path])
    if root is None or root.hex() != proof.root:
        yield "its proof does not lead to the root of the ledger that it names"
    said: Payload = json.loads(proof.payload)
    claimed = {
        "dataset": manifest.dataset == said["dataset"],
        "source": manifest.source == said["source"],
        "period": manifest.period == said["period"],
        "statistical hash": manifest.statistical_hash == said["statistical_hash"],
        "currency": charge.currency == said["currency"],
        "loss": Fraction(charge.loss) == Fraction(said["loss"]),
        "δ": Fraction(charge.delta) == Fraction(said.get("delta", "0")),
        "blocks": list(charge.blocks) == said["blocks"],
    }
    wrong = [what for what, same in claimed.items() if not same]
    if proof.kind != "charge" or wrong:
        yield f"it was charged something else than it claims: {', '.join(wrong) or 'the entry is no charge'}"


def guarantee_faults(manifest: Manifest, promised: Payload, ledger: PublicLedger) -> Iterator[str]:
    """Whether the guarantee says what was spent on the blocks of its release, as the ledger has it."""
    name, blocks = manifest.name, set(manifest.charge.blocks)
    if promised.get("blocks") != list(manifest.charge.blocks):
        yield f"{name}: its guarantee names other blocks than its charge"
    entered = [
        entry.sequence
        for entry, said in ledger.of("release")
        if f"{said['dataset']}/{said['period']}/{said['edition']}" == name
    ]
    claimed = (promised.get("budget") or {}).get("spent")
    if not entered or claimed is None or manifest.proof is None:
        return
    own, paid = json.loads(manifest.proof.payload).get("owner"), manifest.ledger.sequence

    def before(entry: PublicEntry, said: Payload) -> bool:
        """Another state folder on the same ledger may have charged while the release was made."""
        ours = entry.kind != "charge" or said.get("owner") == own
        return entry.sequence <= paid or (ours and entry.sequence < entered[0])

    spent = [each.loss for block, each in ledger.spent(manifest.source, before).items() if block in blocks]
    if spent and Fraction(claimed) < max(spent):
        yield f"{name}: its guarantee says that {claimed} was spent on its blocks; the ledger has {max(spent)}"


def _gone(ledger: PublicLedger, there: set[str]) -> Iterator[VerificationRow]:
    """Releases that the ledger has, and the folder does not."""
    known = [f"{said['dataset']}/{said['period']}/{said['edition']}" for _, said in ledger.of("release")]
    faults = tuple(f"{name}: the release is gone" for name in dict.fromkeys(known) if name not in there)
    yield VerificationRow("released editions", f"{len(set(known))} in the ledger", faults, SourceError.exit_code)


def _approvals(place: PublicPlace, ledger: PublicLedger, names: Sequence[str]) -> VerificationRow:
    """The last decision of each reviewer about each release and definition: recorded, signed, and about these bytes."""
    last = {
        (said["place"], said["reviewer"]): (entry, said)
        for entry, said in ledger.of(*KINDS)
        if not place.name or said["place"] in names
    }
    faults = [
        f"{file}/{reviewer}.json: {words}"
        for (file, reviewer), (entry, said) in sorted(last.items())
        if (words := approval_fault(_read(place.public / FOLDER, f"{file}/{reviewer}.json"), entry, said, ledger))
    ]
    return VerificationRow("approvals", f"decisions: {len(last)}", tuple(faults), SourceError.exit_code)


def _read(folder: Path, name: str) -> bytes:
    """A file in a folder; empty if it is not there, or if the name leads elsewhere."""
    path = folder / name
    try:
        return path.read_bytes() if path.resolve().is_relative_to(folder.resolve()) else b""
    except (OSError, ValueError):
        return b""


def approval_fault(content: bytes, entry: PublicEntry, said: Payload, ledger: PublicLedger) -> str:
    """What is wrong with a reviewer's decision, by its file and by the entry that recorded it."""
    try:
        found = Approval.model_validate_json(content)
    except ValueError:
        return "the approval is gone, or cannot be read"
    if hashlib.sha256(content).hexdigest() != said["sha256"]:
        return "the approval was changed after it was recorded"
    terms = [each for at, each in ledger.of(TERMS) if at.sequence < entry.sequence and each["owner"] == said["owner"]]
    if not terms or terms[-1]["reviewers"].get(found.reviewer) != found.public_key or not found.genuine:
        return f"the signature is not {found.reviewer}'s"
    if isinstance(found.subject, ReleaseSubject) and found.subject.manifest != _manifest_of(found.subject, ledger):
        return "the approval is about a release with other content"
    return ""


def _manifest_of(subject: ReleaseSubject, ledger: PublicLedger) -> str:
    """The SHA-256 of the manifest that the ledger has of a release."""
    wanted = (subject.dataset, subject.period, subject.edition)
    found = [
        said["manifest"]
        for _, said in ledger.of("release")
        if (said["dataset"], said["period"], said["edition"]) == wanted
    ]
    return str(found[-1]) if found else ""


def witness_row(witness: Witness, ledger: PublicLedger, keys: Sequence[str]) -> VerificationRow:
    """Whether the public ledger is the one that someone outside has seen."""
    return _witnessed(witness, ledger.size, ledger.tree.root, keys)


def witness_of_ledger(witness: Witness, ledger: Ledger, keys: Sequence[str]) -> VerificationRow:
    """Whether the workspace's own ledger is. Raises BudgetError when it was changed."""
    return _witnessed(witness, ledger.newest(), lambda size: ledger.root(size)[1], keys)


def _witnessed(witness: Witness, entries: int, root: Callable[[int], bytes], keys: Sequence[str]) -> VerificationRow:
    head = witness.head
    what, words = f"witness: {witness.witness}", f"entry {head.size}, {witness.at[:10]}"
    fault = ""
    if not witness.genuine:
        fault = "the signature is not that of its key, or the head was changed after it was signed"
    elif keys and witness.public_key not in keys:
        fault = f"it was signed with {witness.public_key}, which is none of the keys that you gave"
    elif not 0 < head.size <= entries:
        fault = f"the ledger ends with entry {entries}, and entry {head.size} was witnessed: it was cut, or is older"
    elif root(head.size).hex() != head.root:
        fault = f"an entry up to {head.size} of the ledger is not as it was when it was witnessed"
    if fault:
        return VerificationRow(what, words, (f"{witness.witness}: {fault}",), BudgetError.exit_code)
    unknown = f"{witness.witness}: signed with {witness.public_key}: compare it with the witness's own key"
    return VerificationRow(what, words, () if keys else (unknown,))
