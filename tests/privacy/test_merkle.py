"""The Merkle tree of RFC 9162: known roots, and proofs that hold for what they prove and for nothing else."""

from __future__ import annotations

import pytest

from publisher.privacy.merkle import EMPTY, MerkleTree, begins, leaf_hash, node_hash, root_of

INPUTS = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
"""The test vectors of Certificate Transparency's reference implementation."""
SIZE = 40
LEAVES = [leaf_hash(bytes([number])) for number in range(SIZE)]


def test_roots_are_those_of_certificate_transparency() -> None:
    """Its published vectors, and the hash of nothing for no leaves."""
    tree = MerkleTree([leaf_hash(each) for each in INPUTS])
    assert {size: tree.root(size).hex() for size in ROOTS} == ROOTS
    assert tree.root(0) == EMPTY


@pytest.mark.parametrize("size", range(1, SIZE + 1))
def test_an_audit_path_leads_from_its_leaf_to_the_root(size: int) -> None:
    """From no other leaf, place or size, and not once a hash of it is changed, missing or added."""
    tree = MerkleTree(LEAVES)
    for index in range(size):
        path, root = tree.path(index, size), tree.root(size)
        assert root_of(LEAVES[index], index, size, path) == root
        assert root_of(LEAVES[(index + 1) % SIZE], index, size, path) != root
        assert root_of(LEAVES[index], index, size, [*path, root]) != root
        assert size == 1 or root_of(LEAVES[index], index, size, path[:-1]) != root
        assert size == 1 or root_of(LEAVES[index], (index + 1) % size, size, path) != root
    assert root_of(LEAVES[0], size, size, []) is None


@pytest.mark.parametrize("second", range(1, SIZE + 1))
def test_a_tree_that_grew_shows_it(second: int) -> None:
    """The proof holds for its two roots, and not for a tree of which an old leaf was changed."""
    tree = MerkleTree(LEAVES)
    for first in range(1, second + 1):
        proof = tree.consistency(first, second)
        ours, theirs = (first, tree.root(first)), (second, tree.root(second))
        assert begins(ours, theirs, proof)
        changed = MerkleTree([leaf_hash(b"changed"), *LEAVES[1:]])
        assert not begins(ours, (second, changed.root(second)), changed.consistency(first, second))
        assert not begins(ours, theirs, [*proof, EMPTY])
        assert not begins((first, EMPTY), theirs, proof)
    assert not begins((second + 1, tree.root(second)), (second, tree.root(second)), [])


def test_leaves_added_later_change_no_earlier_root() -> None:
    """A tree to which leaves were added between the questions answers as one that was made at once."""
    grown, whole = MerkleTree(), MerkleTree(LEAVES)
    for size in range(1, SIZE + 1):
        grown.add(LEAVES[size - 1])
        assert grown.root(size) == whole.root(size)
        assert grown.path(size // 2, size) == whole.path(size // 2, size)
    assert len(grown) == SIZE


def test_a_node_is_no_leaf() -> None:
    """What two nodes make cannot be passed off as a leaf."""
    assert node_hash(LEAVES[0], LEAVES[1]) != leaf_hash(LEAVES[0] + LEAVES[1])
