"""A vector that somebody made of an item's content, as it is sent: numbers, or the bytes of numbers in base64."""

from __future__ import annotations

import base64
import binascii

import numpy as np
from django.utils.translation import gettext as _

MAX_DIMENSIONS = 4096
# Beyond this the square of a number is no float32 any more, and a length cannot be taken.
MAX_NUMBER = 1e18


class VectorError(ValueError):
    """This is no vector; the message is a sentence that says why."""


def parse_vector(sent: object) -> bytes:
    """A vector as float32, little-endian, four bytes a number.

    `sent`: a list of 1 to 4,096 finite numbers, or such bytes in base64. Raises VectorError.
    """
    if isinstance(sent, str):
        try:
            data = base64.b64decode(sent, validate=True)
        except (binascii.Error, ValueError) as error:
            raise VectorError(_("A vector that is a text must be base64.")) from error
        if len(data) % 4:
            raise VectorError(_("A vector in base64 must hold float32 numbers, of four bytes each."))
        values = np.frombuffer(data, "<f4")
    elif isinstance(sent, list):
        if not set(map(type, sent)) <= {int, float}:
            raise VectorError(_("A vector must hold numbers alone."))
        try:
            values = np.array(sent, np.float64)
        except OverflowError as error:
            raise VectorError(_too_large()) from error
    else:
        raise VectorError(_("A vector must be a list of numbers, or float32 numbers in base64."))
    if not 1 <= len(values) <= MAX_DIMENSIONS:
        raise VectorError(
            _("A vector has 1 to %(most)d numbers, this one has %(n)d.") % {"most": MAX_DIMENSIONS, "n": len(values)}
        )
    if not (np.abs(values) <= MAX_NUMBER).all():  # nor is one that is not a number
        raise VectorError(_too_large())
    return values.astype("<f4").tobytes()


def _too_large() -> str:
    return _("The numbers of a vector must be finite, and none beyond 1e18.")
