"""PostgreSQL as this project uses it: kept connections, and prepared statements where they are asked for.

Connections are kept from request to request, and looked at before each use without asking the server anything.
Django's own check is a `SELECT 1` for every request: a tenth of what an answer costs. A server that was stopped or
killed has closed its end, and this shows on the socket. What does not show, such as a host that vanished without a
word, costs one request an error, as it would with a query.
"""

from __future__ import annotations

import select
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper


class PreparedCursor(psycopg.Cursor[Any]):
    """A cursor whose statements are parsed once a connection; values travel beside them."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> PreparedCursor:
        return super().execute(query, params, **{**options, "prepare": True})


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL."""

    def prepared_cursor(self) -> CursorWrapper:
        """A cursor for the few statements that run again and again, like `cursor()` otherwise."""
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors:
            prepared: CursorWrapper = self._prepare_cursor(PreparedCursor(self.connection))  # type: ignore[attr-defined]
            return prepared

    def is_usable(self) -> bool:
        """Whether the server still holds its end of the connection, as far as the socket tells."""
        kept: psycopg.Connection[object] | None = self.connection
        if kept is None or kept.closed:
            return False
        poll = select.poll()
        poll.register(kept.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        try:
            while poll.poll(0):  # something came unasked: a notice, or a last word and the end
                kept.pgconn.consume_input()
        except psycopg.OperationalError:
            return False
        return kept.pgconn.status == psycopg.pq.ConnStatus.OK
