"""API tokens as texts: how one is made, and what is stored of it.

A prefix and a checksum let secret scanners find a leaked token; only its SHA-256 is stored.
"""

from __future__ import annotations

import hashlib
import secrets
import string
import zlib

PREFIX = "ts_"
_ALPHABET = string.digits + string.ascii_letters


def _base62(number: int, width: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = _ALPHABET[rest] + digits
    return digits.rjust(width, "0")


def make_token() -> str:
    """A new token: prefix, 30 random characters, and their CRC-32 in 6."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(30))
    return f"{PREFIX}{body}{_base62(zlib.crc32(body.encode()), 6)}"


def digest_token(token: str) -> bytes:
    """What is stored of a token. It is random and long, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).digest()
