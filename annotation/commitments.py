"""Salted commitments: what is hashed of content, so that history can be proved and content can be erased.

A commitment is SHA-256 over a random salt and the content in canonical JSON (sorted keys, no spaces, UTF-8). With the
salt gone nothing can be guessed back from it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from typing import Any

SALT_BYTES = 16


def make_salt() -> bytes:
    """A new random salt."""
    return secrets.token_bytes(SALT_BYTES)


def commit(content: Any, salt: bytes) -> bytes:
    """The 32-byte commitment to JSON content."""
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(salt + canonical.encode("utf-8", "surrogatepass")).digest()


def holds(commitment: bytes, content: Any, salt: bytes) -> bool:
    """Whether this is the content that was committed to."""
    return hmac.compare_digest(commitment, commit(content, salt))
