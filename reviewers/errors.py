"""What can go wrong when a label is judged, as callers are told."""

from __future__ import annotations

from annotation.errors import TouchstoneError


class StaleDecisionError(TouchstoneError):
    """This item was decided or answered again since you opened it. See `fields`, and decide anew with that version."""

    code = "stale"
    status = 409


class HeldError(TouchstoneError):
    """Another reviewer is deciding this item right now. Take the next dispute, or try again when their time is over."""

    code = "held"
    status = 409


class OwnWorkError(TouchstoneError):
    """You labelled this item yourself, so somebody else has to decide it. An owner may make an exception."""

    code = "own_work"
    status = 403
