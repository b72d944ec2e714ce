"""Every failure that a caller can be told about: one class, a stable code, a status, a sentence to act on.

Higher apps subclass `TouchstoneError` in their own `errors.py`. What is not one of these is a surprise and bubbles up.
The docstring of a class is its default sentence. `docs/errors.md` lists the codes; a test holds the two together.
"""

from __future__ import annotations

from typing import Any, ClassVar


class TouchstoneError(Exception):
    """The request could not be carried out."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400

    def __init__(self, detail: str | None = None, *, fields: dict[str, Any] | None = None) -> None:
        self.detail: str = detail or " ".join((type(self).__doc__ or "").split())
        self.fields: dict[str, Any] = fields or {}
        super().__init__(self.detail)

    def as_dict(self) -> dict[str, Any]:
        """Return the body of an API error: `{"code", "detail", "fields"}`."""
        return {"code": self.code, "detail": str(self.detail), "fields": self.fields}


class InvalidError(TouchstoneError):
    """Some fields are not valid: see `fields`."""

    code = "invalid"


class NotAuthenticatedError(TouchstoneError):
    """Sign in, or send a valid token in the Authorization header."""

    code = "not_authenticated"
    status = 401


class ForbiddenError(TouchstoneError):
    """Your role in this project does not allow this. Ask an owner of the project."""

    code = "forbidden"
    status = 403


class AbsentError(TouchstoneError):
    """There is nothing here, or nothing that you may see."""

    code = "not_found"
    status = 404


class NotMadeError(TouchstoneError):
    """There is no such thing for this file, or not yet: the worker makes it soon after the file came. Ask later."""

    code = "not_made"
    status = 404


class ExistsError(TouchstoneError):
    """This name is taken. Choose another one."""

    code = "exists"
    status = 409


class LeaseGoneError(TouchstoneError):
    """This lease has ended and the place is taken. Your answer was not stored; keep it and ask for the next item."""

    code = "lease_gone"
    status = 409


class AlreadySubmittedError(TouchstoneError):
    """You have already answered this item. Undo that answer first if you want to change it."""

    code = "already_submitted"
    status = 409


class KeyReusedError(TouchstoneError):
    """This Idempotency-Key was used before with another body or lease. Send a new key with a new answer."""

    code = "key_reused"
    status = 422


class KeyMissingError(TouchstoneError):
    """Send an Idempotency-Key header of 1 to 255 printable characters, a new one for each answer."""

    code = "key_missing"


class UndoTooLateError(TouchstoneError):
    """This answer can no longer be taken back: the time for it has passed, or a decision or a snapshot has used it."""

    code = "undo_too_late"
    status = 409


class BreakingChangeError(TouchstoneError):
    """This schema changes the meaning of stored labels. Send a `map` that says what becomes of each old value."""

    code = "breaking_change"
    status = 409


class StateError(TouchstoneError):
    """This cannot be done in the present state."""

    code = "wrong_state"
    status = 409


class NotYetError(TouchstoneError):
    """This setting is not offered yet."""

    code = "not_offered"
    status = 422


class TooLargeError(TouchstoneError):
    """The body is larger than this server accepts. Send it in several parts."""

    code = "too_large"
    status = 413


class UnsupportedTypeError(TouchstoneError):
    """Send application/x-ndjson, text/csv, application/vnd.apache.parquet, or one file as multipart/form-data."""

    code = "unsupported_type"
    status = 415


class UnavailableError(TouchstoneError):
    """The server cannot store anything now. Send the same again in a moment: an answer sent twice is stored once."""

    code = "unavailable"
    status = 503
