"""Bulk work that gives way: it holds many rows, and a request may hold one of them and wait for another."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep
from typing import TypeVar

from django.db import OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected

ATTEMPTS = 8
FIRST_PAUSE = 0.02  # seconds; then twice that each time, 2.5 s in all

Result = TypeVar("Result")


def in_turn(work: Callable[[], Result]) -> Result:
    """What `work()` returns, done in a transaction; done anew where PostgreSQL ended that to resolve a deadlock.

    So `work` may be called several times, and nothing of a call that failed is stored. The pauses let the requests pass
    that it ran into. Inside another transaction, which a deadlock ends as a whole, and after 8 attempts the error is
    raised.
    """
    n_tried = 0
    while True:
        n_tried += 1
        try:
            with transaction.atomic():
                return work()
        except OperationalError as error:
            if not isinstance(error.__cause__, DeadlockDetected) or connection.in_atomic_block or n_tried == ATTEMPTS:
                raise
        sleep(FIRST_PAUSE * 2 ** (n_tried - 1))
