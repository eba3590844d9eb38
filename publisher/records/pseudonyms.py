"""Pseudonyms: keyed hashes of 128 bits, made in one of two ways, and always in one way within a source.

`HMAC`, the first way, is HMAC-SHA256. `PREFIXED` is SHA-256 of a secret key of fixed length followed by the text, at a
quarter of the price; since half of the digest is cut off, no one who sees one can extend it. A source whose records, or
first receipts, were landed with HMAC keeps it: with the other, everyone would have two pseudonyms and be counted twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from publisher.duck import quoted
from publisher.records import secrets

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    Domain = Literal["record", "unit"]

Way = Literal[1, 2]
HMAC: Way = 1
PREFIXED: Way = 2
PREFIX = 16
"""Bytes of the key before the text. Always as many: otherwise a longer key with a shorter text could be the same."""
_BLOCK = 64


def set_keys(connection: DuckDBPyConnection, private: Path, source: str) -> None:
    """Give the connection the source's keys for both ways. Raises SourceError without a master key."""
    for domain in ("record", "unit"):
        key = secrets.derive(private, f"{domain}/{source}").ljust(_BLOCK, b"\0")
        connection.execute(f"SET VARIABLE {domain}_inner = ?", [bytes(byte ^ 0x36 for byte in key)])
        connection.execute(f"SET VARIABLE {domain}_outer = ?", [bytes(byte ^ 0x5C for byte in key)])
        connection.execute(f"SET VARIABLE {domain}_prefix = ?", [prefix(private, domain, source)])


def prefix(private: Path, domain: Domain, source: str) -> bytes:
    """The key before the texts; it is used for nothing else. Raises SourceError without a master key."""
    key = secrets.derive(private, f"prefix/{domain}/{source}")[:PREFIX]
    assert len(key) == PREFIX  # noqa: S101 - the way is sound for this length alone
    return key


def keyed(text: str, domain: Domain, way: Way) -> str:
    """SQL for the pseudonym of a text, as UUID."""
    digest = f"left({_digest(text, domain, way)}, 32)"
    return f"CAST(unhex({digest}) AS UUID)"


def identifier(text: str, way: Way) -> str:
    """SQL for the pseudonym of an identifier as it is landed: with HMAC in 32 letters, otherwise in 16 bytes."""
    return f"left({_digest(text, 'unit', way)}, 32)" if way == HMAC else keyed(text, "unit", way)


def shown(column: str) -> str:
    """SQL for a landed identifier as records have it, 32 hex digits, in whichever way it was landed."""
    return f"replace(CAST({quoted(column)} AS VARCHAR), '-', '')"


def _digest(text: str, domain: Domain, way: Way) -> str:
    """SQL for a digest of 64 hex digits."""
    if way == PREFIXED:
        return f"sha256(getvariable('{domain}_prefix') || encode({text}))"
    inner = f"sha256(getvariable('{domain}_inner') || encode({text}))"
    return f"sha256(getvariable('{domain}_outer') || unhex({inner}))"
