"""What was learned, as bytes: one safetensors file of arrays with a JSON card in its header, known by its SHA-256.

Reading such a file runs no code. Nothing learned is ever stored in any other way: no pickle, no joblib.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

_CARD = "card"


class WeightsError(ValueError):
    """These bytes are not what was stored."""


def pack(arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> bytes:
    """Arrays and their card as the bytes of one safetensors file.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Numeric arrays.
    card : mapping
        What JSON can hold: the kind, the sizes, how it was fitted.

    Returns
    -------
    bytes
        The same for the same input, on any machine of the same byte order.

    Examples
    --------
    >>> data = pack({"idf": np.ones(3, np.float32)}, {"kind": "text"})
    >>> arrays, card = unpack(data, sha256(data))
    >>> arrays["idf"].tolist(), card
    ([1.0, 1.0, 1.0], {'kind': 'text'})
    """
    text = json.dumps(card, sort_keys=True, allow_nan=False)
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata={_CARD: text})


def sha256(data: bytes) -> str:
    """The digest under which the bytes are recorded, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def unpack(data: bytes, digest: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and card from bytes, after they were checked against their recorded digest.

    Raises
    ------
    WeightsError
        If the digest differs, or the bytes are no file of ours.
    """
    if sha256(data) != digest:
        raise WeightsError("the stored weights do not match their recorded SHA-256")
    try:
        arrays = load(data)
        # safetensors reads the card from a path only; the header is 8 bytes of length, then JSON.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        card: dict[str, Any] = json.loads(header["__metadata__"][_CARD])
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(f"these bytes are no stored weights: {error}") from error
    return arrays, card
