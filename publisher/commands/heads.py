"""`publisher ledger head` and `publisher ledger witness`: how far the ledger has come, signed by someone outside."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from publisher.approvals.keys import read_key
from publisher.approvals.witness import TreeHead, Witness, witnessed
from publisher.errors import BudgetError, DefinitionError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from publisher.privacy.ledger import Ledger


def head_of(ledger: Ledger, organization: str) -> TreeHead:
    """The head of the whole ledger. Raises BudgetError when it is empty or was changed."""
    size, root = ledger.root()
    if not size:
        raise BudgetError("the ledger has no entry yet: the first run makes some")
    last = ledger.rows_since(size - 1, 1)[0]
    return TreeHead(organization=organization, size=size, root=root.hex(), entry=last.hash, at=last.at)


def sign_head(path: Path, name: str, key: Path, passphrase: Callable[[], str]) -> Witness:
    """A head in a file, signed. Raises SourceError when it is none, DefinitionError when the passphrase is wrong."""
    if not name.strip() or not name.isprintable():
        raise DefinitionError("--name: give the name under which people know you, such as public-library")
    try:
        head = TreeHead.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        raise SourceError(f"{path}: is not a head, as `publisher ledger head` prints it") from None
    return witnessed(read_key(key, passphrase), head, name, datetime.now(UTC).isoformat(timespec="seconds"))
