"""The Merkle tree of RFC 6962 (section 2.1) over SHA-256: leaf = H(0x00 || entry), node = H(0x01 || left || right)."""

from __future__ import annotations

import hashlib


def hash_leaf(entry: bytes) -> bytes:
    """Return the 32 bytes that stand for one entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """Return the 32 bytes that stand for two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class MerkleTree:
    """A root that grows leaf by leaf. Memory: one hash for each bit of the number of leaves."""

    def __init__(self) -> None:
        self.n_leaves = 0
        self._peaks: list[tuple[int, bytes]] = []  # (height, root) of the full subtrees, highest first

    def append(self, entry: bytes) -> bytes:
        """Add an entry at the end and return its leaf hash."""
        leaf = hash_leaf(entry)
        height, node = 0, leaf
        while self._peaks and self._peaks[-1][0] == height:
            node = hash_node(self._peaks.pop()[1], node)
            height += 1
        self._peaks.append((height, node))
        self.n_leaves += 1
        return leaf

    def root(self) -> bytes:
        """Return the root over what was added so far; of nothing it is SHA-256 of the empty string (RFC 6962)."""
        if not self._peaks:
            return hashlib.sha256(b"").digest()
        node = self._peaks[-1][1]
        for _height, left in reversed(self._peaks[:-1]):
            node = hash_node(left, node)
        return node
