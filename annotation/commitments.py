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
_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def make_salt() -> bytes:
    """A new random salt."""
    return secrets.token_bytes(SALT_BYTES)


def canonical_json(content: Any) -> str:
    """JSON content as it is hashed: what is stored may be stored in this spelling, and is then written but once."""
    return _CANONICAL.encode(content)


def commit_text(canonical: str, salt: bytes) -> bytes:
    """The 32-byte commitment to content that is in canonical JSON already."""
    return hashlib.sha256(salt + canonical.encode("utf-8", "surrogatepass")).digest()


def commit(content: Any, salt: bytes) -> bytes:
    """The 32-byte commitment to JSON content."""
    return commit_text(canonical_json(content), salt)


def commit_answer(question: int, text: str, salt: bytes) -> bytes:
    """The commitment that a label keeps of a text answer; `question` is its id."""
    return commit({"question": question, "text": text}, salt)


def holds(commitment: bytes, content: Any, salt: bytes) -> bool:
    """Whether this is the content that was committed to."""
    return hmac.compare_digest(commitment, commit(content, salt))
