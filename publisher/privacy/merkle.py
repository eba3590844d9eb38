"""A Merkle tree as RFC 9162 (section 2.1) has it: roots, audit paths, and proofs that one tree begins another.

Leaves and inner nodes are hashed with different first bytes, so none can stand for the other.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

EMPTY = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""


def leaf_hash(content: bytes) -> bytes:
    """The hash of a leaf with this content."""
    return hashlib.sha256(b"\0" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over two others."""
    return hashlib.sha256(b"\1" + left + right).digest()


class MerkleTree:
    """A tree that leaves are added to; each whole subtree is hashed once."""

    def __init__(self, leaves: Sequence[bytes] = ()) -> None:
        """`leaves` are hashes of leaves."""
        self._leaves = list(leaves)
        self._whole: dict[tuple[int, int], bytes] = {}

    def __len__(self) -> int:
        return len(self._leaves)

    def add(self, leaf: bytes) -> None:
        """Add the hash of a leaf at the end."""
        self._leaves.append(leaf)

    def root(self, size: int) -> bytes:
        """The root of the tree of the first `size` leaves."""
        return self._range(0, size) if size else EMPTY

    def path(self, index: int, size: int) -> list[bytes]:
        """The audit path of a leaf, counted from zero, in the tree of the first `size` leaves."""
        return self._path(index, 0, size)

    def consistency(self, first: int, second: int) -> list[bytes]:
        """The proof that the tree of the first `second` leaves begins with that of the first `first`, which is not
        empty."""
        return self._begins(first, 0, second, whole=True)

    def _path(self, index: int, start: int, end: int) -> list[bytes]:
        if end - start == 1:
            return []
        middle = start + _split(end - start)
        if index < middle:
            return [*self._path(index, start, middle), self._range(middle, end)]
        return [*self._path(index, middle, end), self._range(start, middle)]

    def _begins(self, first: int, start: int, end: int, *, whole: bool) -> list[bytes]:
        """`whole`: the verifier knows the root of these leaves, if they are all that the first tree has."""
        if first == end:
            return [] if whole else [self._range(start, end)]
        middle = start + _split(end - start)
        if first <= middle:
            return [*self._begins(first, start, middle, whole=whole), self._range(middle, end)]
        return [*self._begins(first, middle, end, whole=False), self._range(start, middle)]

    def _range(self, start: int, end: int) -> bytes:
        size = end - start
        if size == 1:
            return self._leaves[start]
        known = self._whole.get((start, end))
        if known is None:
            middle = start + _split(size)
            known = node_hash(self._range(start, middle), self._range(middle, end))
            if size & (size - 1) == 0:  # whole: more leaves do not change it
                self._whole[start, end] = known
        return known


def root_of(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that an audit path leads to from a leaf; None if it is not of a tree of that size."""
    if not 0 <= index < size:
        return None
    node, last, found = index, size - 1, leaf
    for each in path:
        if not last:
            return None
        if node & 1 or node == last:
            found = node_hash(each, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, each)
        node, last = node >> 1, last >> 1
    return found if not last else None


def begins(first: tuple[int, bytes], second: tuple[int, bytes], proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the second tree, by size and root, begins with the first."""
    (size, root), (larger, whole) = first, second
    if size == larger:
        return root == whole and not proof
    if not 0 < size < larger:
        return False
    rest = [root, *proof] if size & (size - 1) == 0 else list(proof)
    if not rest:
        return False
    node, last = size - 1, larger - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    ours = theirs = rest[0]
    for each in rest[1:]:
        if not last:
            return False
        if node & 1 or node == last:
            ours, theirs = node_hash(each, ours), node_hash(each, theirs)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            theirs = node_hash(theirs, each)
        node, last = node >> 1, last >> 1
    return ours == root and theirs == whole and not last


def _split(size: int) -> int:
    """The largest power of two that is smaller than the size."""
    return 1 << (size - 1).bit_length() - 1
