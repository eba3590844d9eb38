"""`publisher verify` of a portal, by its address alone: each table's newest release, and the entries about it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from publisher.commands.verify import VerificationRow
from publisher.commands.verify_outside import approval_fault, proof_faults
from publisher.errors import DefinitionError, PortalError
from publisher.pipeline.outside_reading import PublicLedger
from publisher.pipeline.reviews import KINDS
from publisher.privacy.chain import leaf_of_hash, payload_hash
from publisher.privacy.merkle import leaf_hash, root_of
from publisher.push.client import SocrataClient, View
from publisher.push.evidence import EVIDENCE, MOST_BYTES, ROWS, ProvenEntry, ReleaseEvidence
from publisher.push.publication import named
from publisher.push.rows import compare, read_row
from publisher.push.target import Target
from publisher.release.manifest import GUARANTEE, MANIFEST, Manifest, csv_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from publisher.approvals.witness import Witness
    from publisher.release.manifest import ColumnSpec

_PAGE = re.compile(r"/d/([0-9a-z]{4}-[0-9a-z]{4})/?")
_NEEDED = (MANIFEST, EVIDENCE)


def verified_portal(address: str, witnesses: Sequence[Witness]) -> Iterator[VerificationRow]:
    """Every check of the tables that everyone can read, or of the one whose page is given. Raises DefinitionError for
    an address that is none, and PortalError when the portal does not answer."""
    parts = urlsplit(address)
    page = _PAGE.fullmatch(parts.path)
    if not parts.hostname or (parts.path.strip("/") and page is None):
        raise DefinitionError(f"{address}: give a portal's address, or that of a page such as https://…/d/abcd-1234")
    logging.disable(logging.WARNING)  # sodapy's, about reading without an account
    target = Target(f"{parts.scheme}://{parts.netloc}", public=True, username="", password="", app_token="")
    with SocrataClient(target) as client:
        for identifier in [page[1]] if page is not None else client.listed():
            yield _table(client, identifier)
    for each in witnesses:
        words = f"{each.witness}: a portal shows single entries: check this head with the public folder's ledger.jsonl"
        yield VerificationRow(f"witness: {each.witness}", f"entry {each.head.size}", (words,))


def _table(client: SocrataClient, identifier: str) -> VerificationRow:
    view = client.view(identifier)
    if view is None:
        raise PortalError(f"{client.link(identifier)}: there is no such table")
    name = view.ours or identifier
    files = {
        file: client.attached(identifier, view.assets[file], anonymous=True)
        for file in (*_NEEDED, GUARANTEE, ROWS)
        if file in view.assets
    }
    if lost := [file for file in _NEEDED if file not in files and file in _sent(view)]:
        return VerificationRow(f"{name}: portal", "", (f"{name}: {lost[0]} was attached, and is gone",), _CODE)
    if not set(_NEEDED) <= files.keys():
        words = f"{name}: has no {MANIFEST} and {EVIDENCE}: it is a total over time, or from before there were any"
        return VerificationRow(f"{name}: portal", "", (words,))
    try:
        manifest = Manifest.model_validate_json(files[MANIFEST])
        evidence = ReleaseEvidence.model_validate_json(files[EVIDENCE])
        level = "" if name == manifest.dataset else name.removeprefix(f"{manifest.dataset}-")
        if level not in ("", *(each.name for each in manifest.rollups)):
            words = f"{name}: shows {MANIFEST} of {manifest.name}, which has no such table"
            return VerificationRow(f"{name}: portal", "", (words,), _CODE)
        faults = [
            *_release_faults(manifest, evidence, files, level),
            *_row_faults(client, view, manifest, files, level),
        ]
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
        return VerificationRow(f"{name}: portal", "", (f"{name}: {MANIFEST} or {EVIDENCE} was changed",), _CODE)
    return VerificationRow(f"{name}: portal", f"newest release: {manifest.name}", tuple(faults), _CODE)


def _sent(view: View) -> set[str]:
    """The files that the table says were attached to it."""
    try:
        return set(json.loads(view.custom.get("files") or "{}"))
    except (ValueError, TypeError):
        return set()


_CODE = PortalError.exit_code


def _release_faults(
    manifest: Manifest, evidence: ReleaseEvidence, files: Mapping[str, bytes], level: str
) -> Iterator[str]:
    name = manifest.name
    yield from (f"{name}: {words}" for words in proof_faults(manifest))
    for proven in evidence.entries:
        if not _holds(proven):
            yield f"{name}: entry {proven.entry.sequence} of the ledger was changed"
    ledger = PublicLedger([each.entry for each in evidence.entries])
    entered = [said for _, said in ledger.of("release") if said["manifest"] == _sha256(files[MANIFEST])]
    if not [said for said in entered if f"{said['dataset']}/{said['period']}/{said['edition']}" == name]:
        yield f"{name}: {MANIFEST} was changed: the ledger has another one"
    for file, written in ((GUARANTEE, GUARANTEE), (ROWS, csv_file(level))):
        if file in files and manifest.files[written].sha256 != _sha256(files[file]):
            yield f"{name}: {file} was changed"
    for entry, said in ledger.of(*KINDS):
        file = f"{said['place']}/{said['reviewer']}.json"
        if words := approval_fault(evidence.approvals.get(file, "").encode(), entry, said, ledger):
            yield f"{file}: {words}"


def _holds(proven: ProvenEntry) -> bool:
    """Whether an entry is what its hash says, and its path leads to the root."""
    entry = proven.entry
    leaf = leaf_hash(leaf_of_hash(entry.sequence, entry.kind, entry.at, entry.sha256, entry.previous))
    root = root_of(leaf, entry.sequence - 1, entry.sequence, [bytes.fromhex(each) for each in proven.path])
    same = entry.payload is None or payload_hash(entry.payload) == entry.sha256
    return same and root is not None and root.hex() == proven.root


def _row_faults(
    client: SocrataClient, view: View, manifest: Manifest, files: Mapping[str, bytes], level: str
) -> Iterator[str]:
    """The rows of the newest release that are not those of its CSV, and rows of periods after it."""
    if ROWS not in files:
        if manifest.files[csv_file(level)].bytes <= MOST_BYTES:
            yield f"{view.ours}: {ROWS} is gone, so its rows cannot be compared"
        return
    table = manifest if not level else next(each for each in manifest.rollups if each.name == level)
    wanted = {str(row[_key(table.columns)]): row for row in _csv_rows(files[ROWS], table.columns)}
    period = table.shape.period
    where = f"{period} = '{manifest.period}'"
    held = client.rows(view.id, [each.name for each in table.columns], where=where, anonymous=True)
    difference = compare(wanted, held, table.columns)
    if difference.ids:
        yield f"{view.ours} {manifest.period}: rows that are not as released: {named(difference.ids)}"
    later = client.rows(view.id, ["id"], where=f"{period} > '{manifest.period}'", anonymous=True)
    if ids := [str(row.get("id")) for row in later]:
        yield f"{view.ours}: rows after {manifest.period}, the newest release: {named(ids)}"


def _key(columns: Sequence[ColumnSpec]) -> int:
    return [each.name for each in columns].index("id")


def _csv_rows(content: bytes, columns: Sequence[ColumnSpec]) -> Iterator[tuple[str | None, ...]]:
    for fields in csv.DictReader(io.StringIO(content.decode())):
        yield read_row(fields, columns)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
