"""What must still agree before a run spends anything: the ledger with every release that names it, and the key.

A restored or copied state folder, a ledger that is gone and a swapped key would all spend again what was spent.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from publisher.errors import SourceError
from publisher.privacy.chain import Head
from publisher.records.secrets import fingerprint
from publisher.release.manifest import MANIFEST, Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.pipeline.catalog import Catalog


def resume(catalog: Catalog, private: Path) -> None:
    """Under the lock: refuse a state that went back, or another key; then write what an old workspace lacks.

    Raises BudgetError and SourceError.
    """
    catalog.ledger.resume(unentered_heads(catalog))
    own, known = fingerprint(private), catalog.ledger.key()
    if known is None:
        catalog.adopt()
        catalog.ledger.record_key(own)
    elif known != own:
        raise SourceError(
            f"{private / 'key'}: is not the key that this ledger was begun with: with another key everyone would have "
            "another pseudonym and be counted twice. Restore the key from a backup. Nothing was landed or spent."
        )


def unentered_heads(catalog: Catalog) -> Iterator[Head]:
    """The entries named by releases, of all datasets, that the ledger has not entered as they are.

    An entered manifest names an entry that comes before its own: only its bytes are compared.
    """
    entered = catalog.ledger.manifests()
    root = catalog.store.root
    for folder in sorted(root.glob("*/[0-9]*/[0-9]*")):
        name = str(folder.relative_to(root))
        try:
            content = (folder / MANIFEST).read_bytes()
            if entered.get(name) == hashlib.sha256(content).hexdigest():
                continue
            head = Manifest.model_validate_json(content).ledger
        except (OSError, ValueError):
            if name in entered:
                continue  # verification and its dataset's next run say so
            raise SourceError(f"{folder / MANIFEST} is missing or damaged: restore it from a backup") from None
        yield Head(f"release {name}", head.sequence, head.hash)
