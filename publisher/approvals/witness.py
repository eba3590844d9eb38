"""A witnessed head: someone outside signs how far the ledger had come, so that no other ledger can be shown later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from publisher.approvals.keys import is_signed
from publisher.definitions.model import Model

if TYPE_CHECKING:
    from publisher.approvals.keys import SigningKey

CONTEXT = b"publisher witness 1\n"
"""Begins every signed message, so that a signature made for anything else is none."""


class TreeHead(Model):
    """How far a ledger has come: the size and the root of the Merkle tree (RFC 9162) over its entries."""

    format: Literal[1] = 1
    organization: str
    size: int
    root: str
    entry: str
    """The hash of the last entry."""
    at: str
    """When it was made."""

    @property
    def content(self) -> bytes:
        """Its file."""
        return self.model_dump_json(indent=2).encode() + b"\n"


class Witness(Model):
    """A head that someone outside has signed."""

    format: Literal[1] = 1
    head: TreeHead
    witness: str
    at: str
    """In ISO 8601, by the clock of who signed."""
    public_key: str
    signature: str = ""
    """Over everything else."""

    @property
    def message(self) -> bytes:
        """What is signed."""
        said = self.model_dump(mode="json", exclude={"signature"})
        return CONTEXT + json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def genuine(self) -> bool:
        """Whether it was signed with its public key, and nothing was changed since."""
        return is_signed(self.public_key, self.message, self.signature)

    @property
    def content(self) -> bytes:
        """Its file."""
        return self.model_dump_json(indent=2).encode() + b"\n"


def witnessed(key: SigningKey, head: TreeHead, witness: str, at: str) -> Witness:
    """The head, signed.

    >>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    >>> from publisher.approvals.keys import SigningKey
    >>> head = TreeHead(organization="Town", size=1, root="0", entry="1", at="2026-11-30T12:00:00+00:00")
    >>> made = witnessed(SigningKey(Ed25519PrivateKey.generate()), head, "library", "2026-12-01T09:00:00+00:00")
    >>> made.genuine, made.model_copy(update={"witness": "other"}).genuine
    (True, False)
    """
    unsigned = Witness(head=head, witness=witness, at=at, public_key=key.public)
    return unsigned.model_copy(update={"signature": key.sign(unsigned.message)})
