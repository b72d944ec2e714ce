"""Several calls at the same moment, each on a connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from django.db import connection, connections

from annotation.errors import TouchstoneError


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls at once; their results in order, a TouchstoneError as a result. No lock is waited for over 20 s."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            with connection.cursor() as cursor:
                cursor.execute("set lock_timeout = '20s'")
            barrier.wait()
            return call()
        except TouchstoneError as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))
