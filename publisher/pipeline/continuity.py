"""What must still agree before a run spends anything: the ledger with every release that names it, and the key.

A restored or copied state folder, a ledger that is gone and a swapped key would all spend again what was spent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.errors import SourceError
from publisher.privacy.chain import Head
from publisher.records.secrets import fingerprint

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
    entered, store = catalog.ledger.manifests(), catalog.store
    for name in store.names():
        try:
            if entered.get(name) == store.sha256(name):
                continue
            head = store.named(name).manifest.ledger
        except SourceError:
            if name in entered:
                continue  # verification and its dataset's next run say so
            raise
        yield Head(f"release {name}", head.sequence, head.hash)
