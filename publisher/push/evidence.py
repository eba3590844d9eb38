"""What a table's page attaches for people who verify it: the newest release's manifest, CSV and ledger entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.definitions.model import Model
from publisher.pipeline.public_ledger import PublicEntry, public_entry
from publisher.pipeline.reviews import FOLDER, TERMS
from publisher.push.listing import Attachment
from publisher.release.manifest import MANIFEST, csv_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from publisher.pipeline.catalog import Catalog
    from publisher.privacy.ledger import Ledger
    from publisher.release.manifest import Release

EVIDENCE, ROWS = "evidence.json", "release.csv"

MOST_BYTES = 5_000_000
"""A larger CSV is not attached."""


class ProvenEntry(Model):
    """An entry of the ledger, and its audit path in the Merkle tree of the entries up to it."""

    entry: PublicEntry
    path: tuple[str, ...]
    root: str


class ReleaseEvidence(Model):
    """`evidence.json`: the entries about one release."""

    format: int = 1
    release: str
    entries: tuple[ProvenEntry, ...]
    """The release itself, who reviewed, and what reviewers decided about it."""
    approvals: dict[str, str]
    """The files of these decisions, by name."""


def evidence_of(catalog: Catalog, tables: Sequence[Release]) -> tuple[Attachment, ...]:
    """The files about the newest of these tables; none if it is a total over time, or of a version without proofs.

    Raises SourceError when its files were changed.
    """
    if not tables or tables[-1].manifest.proof is None:
        return ()
    release, ledger = tables[-1], catalog.ledger
    says = release.manifest
    dataset = release.folder.parent.parent.name
    wanted = {"dataset": dataset, "period": says.period, "edition": says.edition}
    decided = [
        each
        for each in catalog.reviews(dataset).entries.values()
        if each.place == f"{dataset}/{says.period}/{says.edition}"
    ]
    numbers = [each.sequence for each in ledger.about(dataset, "release") if wanted.items() <= each.payload.items()]
    if decided:
        numbers += [each.sequence for each in ledger.entries(TERMS)]
    evidence = ReleaseEvidence(
        release=f"{dataset}/{says.period}/{says.edition}",
        entries=tuple(_proven(ledger, sorted({*numbers, *(each.sequence for each in decided)}))),
        approvals={
            each.file: (catalog.store.public / FOLDER / each.file).read_text(encoding="utf-8")
            for each in sorted(decided, key=lambda each: each.file)
            if (catalog.store.public / FOLDER / each.file).is_file()
        },
    )
    name = csv_file(release.level)
    rows = says.files[name].bytes <= MOST_BYTES
    return (
        Attachment(MANIFEST, release.content(MANIFEST), "application/json"),
        Attachment(EVIDENCE, evidence.model_dump_json(indent=2).encode() + b"\n", "application/json"),
        *([Attachment(ROWS, release.content(name), "text/csv")] if rows else []),
    )


def _proven(ledger: Ledger, numbers: Iterable[int]) -> list[ProvenEntry]:
    return [
        ProvenEntry(
            entry=public_entry(ledger.rows_since(number - 1, 1)[0]),
            path=tuple(each.hex() for each in ledger.path(number)),
            root=ledger.root(number)[1].hex(),
        )
        for number in numbers
    ]
