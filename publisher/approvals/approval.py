"""What a reviewer signs: a decision about one release, or about one definition, with its reason."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field

from publisher.approvals.keys import SigningKey, is_signed
from publisher.definitions.model import Model

CONTEXT = b"publisher approval 1\n"
"""Begins every signed message, so that a signature made for anything else is none."""

DecisionKind = Literal["approved", "rejected"]


class ReleaseSubject(Model):
    """One release, byte for byte."""

    kind: Literal["release"] = "release"
    dataset: str
    period: str
    edition: int
    manifest: str
    """The SHA-256 of its manifest, which has the hashes of all its files."""
    statistical_hash: str
    """That of the definition by which it was drawn."""

    @property
    def place(self) -> str:
        """Where its approvals are, and what it is called."""
        return f"{self.dataset}/{self.period}/{self.edition}"


class DefinitionSubject(Model):
    """One definition: everything that decides a draw, what a source may spend, and what is approved automatically."""

    kind: Literal["definition"] = "definition"
    dataset: str
    statistical_hash: str
    budget: str
    """The most that may be spent on a block of its source, exact."""
    delta: str
    automatic: str
    """The SHA-256 of the conditions of automatic approval and of what they depend on; empty if there are none."""
    totals: str
    """The SHA-256 over how its totals over time are computed and finished, which no one approves one by one; empty if
    there are none."""
    text: str
    """The SHA-256 of the text that was approved, which later changes are compared with."""
    editor: str
    """Who edited the definition last, as the reviewer knows it."""

    @property
    def place(self) -> str:
        """Where its approvals are, and what it is called."""
        return f"{self.dataset}/definition/{self.statistical_hash}"

    @property
    def hash(self) -> str:
        """Over all that is shown of it: also its budget, its conditions and its text, which the place does not tell."""
        return hashlib.sha256(self.model_copy(update={"editor": ""}).model_dump_json().encode()).hexdigest()


Subject = Annotated[ReleaseSubject | DefinitionSubject, Field(discriminator="kind")]


class Approval(Model):
    """A public file: one reviewer's decision about one subject."""

    format: Literal[1] = 1
    subject: Subject
    decision: DecisionKind
    reason: str
    """Everyone can read it."""
    reviewer: str
    at: str
    """In ISO 8601, by the clock of who signed."""
    follows: str
    """The hash of the ledger's entry of the reviewer's decision before this one about the subject, or else of who
    reviews: nobody can put back what was decided before, nor use it in another workspace."""
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


def signed(
    key: SigningKey,
    subject: ReleaseSubject | DefinitionSubject,
    decision: DecisionKind,
    reason: str,
    reviewer: str,
    at: str,
    follows: str,
) -> Approval:
    """A decision, signed.

    >>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    >>> key = SigningKey(Ed25519PrivateKey.generate())
    >>> subject = ReleaseSubject(dataset="a", period="2024", edition=1, manifest="0", statistical_hash="1")
    >>> made = signed(key, subject, "approved", "Looks right", "ana", "2024-05-01T00:00:00+00:00", "")
    >>> made.genuine, made.model_copy(update={"decision": "rejected"}).genuine
    (True, False)
    """
    unsigned = Approval(
        subject=subject,
        decision=decision,
        reason=reason,
        reviewer=reviewer,
        at=at,
        follows=follows,
        public_key=key.public,
    )
    return unsigned.model_copy(update={"signature": key.sign(unsigned.message)})
