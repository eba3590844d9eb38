"""What the ledger says that files of the state folder are: their hashes, as they were recorded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from publisher.errors import SourceError
from publisher.release import packs
from publisher.release.manifest import MANIFEST, is_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from publisher.backup.contents import Backup
    from publisher.pipeline.catalog import Catalog

RELEASES, MEASUREMENTS, VALIDATIONS = "public/releases", "private/measurements", "public/validations"
APPROVALS, TUNING = "public/approvals", "private/tuning"


def expected_hashes(catalog: Catalog, backup: Backup, wanted: Iterable[str]) -> dict[str, str]:
    """By file, the SHA-256 that the ledger recorded; a file of an old kind, or one that it does not know, has none.

    An approval that the ledger does not know counts nowhere, so it is expected to be no file at all.
    """
    names = list(wanted)
    found = dict(_recorded(catalog))
    for release in {_release(name) for name in names if name.startswith((f"{RELEASES}/", f"{MEASUREMENTS}/"))}:
        found |= _released(catalog, backup, release)
    return {name: "" for name in names if name.startswith(f"{APPROVALS}/")} | found


def _recorded(catalog: Catalog) -> Iterator[tuple[str, str]]:
    ledger = catalog.ledger
    for name, sha256 in ledger.validations().items():
        yield f"{VALIDATIONS}/{name}.json", sha256
    for entry in ledger.entries("tuning"):
        yield f"{TUNING}/{entry.payload['statistical_hash']}.json", str(entry.payload["sha256"])
    for dataset in {str(each.payload["dataset"]) for each in ledger.entries("approval", "rejection")}:
        for review in catalog.reviews(dataset).entries.values():
            yield f"{APPROVALS}/{review.file}", review.sha256


def _release(name: str) -> str:
    """The release of a file, such as water/2024-01/1; a pack belongs to none."""
    return "/".join(name.split("/")[2:5]) if name.count("/") > 4 else ""


def _released(catalog: Catalog, backup: Backup, release: str) -> dict[str, str]:
    """The files of a release, by its manifest in the backup, if that is the one that the ledger has."""
    recorded = catalog.ledger.manifests().get(release)
    manifest = f"{RELEASES}/{release}/{MANIFEST}"
    if recorded is None or f"state/{manifest}" not in backup.about.files or backup.hash_of(manifest).sha256 != recorded:
        return {manifest: recorded} if recorded is not None else {}
    files = json.loads(backup.path(manifest).read_bytes())["files"]
    places = {name: f"{MEASUREMENTS if is_private(name) else RELEASES}/{release}/{name}" for name in files}
    return {manifest: recorded} | {places[name]: about["sha256"] for name, about in files.items()}


def is_packed(state: Path, name: str) -> bool:
    """Whether a pack that is here has the file, or, if the file is a pack, all that is in it was packed since."""
    root, _, within = name.partition("/")
    kind, _, within = within.partition("/")
    dataset, _, within = within.partition("/")
    if f"{root}/{kind}" not in (RELEASES, MEASUREMENTS, VALIDATIONS) or not within:
        return False
    try:
        packs_here = packs.entries_of(packs.pack_of(state / root / kind / dataset, within))
    except SourceError:
        return False  # damaged
    return within in packs_here if "/" in within else False


def damaged_pack(here: Path, theirs: Path) -> bool:
    """Whether a pack cannot be read, or a file in it cannot, and the backup's has all that is in it."""
    if here.suffix != ".zip":
        return False
    try:
        names = packs.entries_of(here)
        for name in names:
            packs.read_packed(here.parent, name)
    except SourceError:
        return True
    except OSError:
        return set(names) <= set(packs.entries_of(theirs))
    return False
